package localaws_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

func TestLabelsMove(t *testing.T) {
	t.Parallel()
	type labels = map[string][]string
	for _, c := range []struct {
		story string
		after func(w *world, id string) error
		want  labels
	}{
		{"the first value is current", func(*world, string) error { return nil },
			labels{"first": {"AWSCURRENT"}}},
		{"a second value makes the first one previous", func(w *world, id string) error { return w.put(id, "second", "2") },
			labels{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}}},
		{"a third value leaves the first one without labels", func(w *world, id string) error {
			w.must(w.put(id, "second", "2"))
			return w.put(id, "third", "3")
		}, labels{"third": {"AWSCURRENT"}, "second": {"AWSPREVIOUS"}}},
		{"a pending value moves nothing", func(w *world, id string) error { return w.put(id, "second", "2", "AWSPENDING") },
			labels{"first": {"AWSCURRENT"}, "second": {"AWSPENDING"}}},
		{"a label of one's own moves to the new version", func(w *world, id string) error {
			w.must(w.put(id, "second", "2", "blue"))
			return w.put(id, "third", "3", "blue", "green")
		}, labels{"first": {"AWSCURRENT"}, "third": {"blue", "green"}}},
		{"what was current keeps a label of its own", func(w *world, id string) error {
			w.must(w.move(id, "blue", "", "first"))
			return w.put(id, "second", "2")
		}, labels{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS", "blue"}}},
		{"promoting leaves AWSPENDING on the version", func(w *world, id string) error {
			w.must(w.put(id, "second", "2", "AWSPENDING"))
			return w.move(id, "AWSCURRENT", "first", "second")
		}, labels{"second": {"AWSCURRENT", "AWSPENDING"}, "first": {"AWSPREVIOUS"}}},
		{"a value put by hand takes AWSPENDING away from what was promoted", func(w *world, id string) error {
			w.must(w.put(id, "second", "2", "AWSPENDING"))
			w.must(w.move(id, "AWSCURRENT", "first", "second"))
			return w.put(id, "third", "3")
		}, labels{"third": {"AWSCURRENT"}, "second": {"AWSPREVIOUS"}}},
		{"an update takes AWSPENDING away too", func(w *world, id string) error {
			w.must(w.put(id, "second", "2", "AWSPENDING"))
			_, err := w.sm.UpdateSecret(w.Context(), &secretsmanager.UpdateSecretInput{
				SecretId: &id, SecretString: aws.String("3"), ClientRequestToken: aws.String(token("third")),
			})
			return err
		}, labels{"third": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}}},
		{"rolling back swaps current and previous", func(w *world, id string) error {
			w.must(w.put(id, "second", "2"))
			return w.move(id, "AWSCURRENT", "second", "first")
		}, labels{"first": {"AWSCURRENT"}, "second": {"AWSPREVIOUS"}}},
		{"moving a label to where it is changes nothing", func(w *world, id string) error {
			return w.move(id, "AWSCURRENT", "", "first")
		}, labels{"first": {"AWSCURRENT"}}},
		{"the same value and token again moves nothing", func(w *world, id string) error {
			w.must(w.put(id, "second", "2"))
			return w.put(id, "first", "1")
		}, labels{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}}},
		{"a removed label is nowhere", func(w *world, id string) error {
			w.must(w.put(id, "second", "2", "AWSPENDING"))
			return w.move(id, "AWSPENDING", "second", "")
		}, labels{"first": {"AWSCURRENT"}}},
	} {
		t.Run(c.story, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			id := w.create("app", "1")
			w.must(c.after(w, id))
			w.wantLabels(id, c.want)
		})
	}
}

func TestFirstValueIsCurrentWhateverItsLabels(t *testing.T) {
	t.Parallel()
	w := start(t)
	_, err := w.sm.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("app")})
	w.must(err)
	if d := w.describe("app"); d.VersionIdsToStages != nil {
		t.Errorf("a secret without a value has versions %v", d.VersionIdsToStages)
	}
	w.must(w.put("app", "first", "1", "AWSPENDING"))
	w.wantLabels("app", map[string][]string{"first": {"AWSCURRENT", "AWSPENDING"}})
}

// TestLabelInvariants does random things to a secret. A label is on one version
// at most, and AWSCURRENT is always on a version whose value opens.
func TestLabelInvariants(t *testing.T) {
	t.Parallel()
	w := start(t)
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			w := &world{Server: w.Server, T: t, sm: w.sm}
			random := rand.New(rand.NewPCG(seed, seed))
			id := w.create(fmt.Sprintf("app-%d", seed), "0")
			names := []string{"first"}
			labels := []string{"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS", "blue", "green"}
			pick := func(from []string) string { return from[random.IntN(len(from))] }
			for i := range 60 {
				var did string
				switch random.IntN(5) {
				case 0:
					name := fmt.Sprintf("v%d", i)
					names = append(names, name)
					var on []string
					if random.IntN(2) == 0 {
						on = []string{pick(labels)}
					}
					did = fmt.Sprintf("put %s on %v", name, on)
					w.must(w.put(id, name, name, on...))
				case 1:
					did = "update"
					name := fmt.Sprintf("v%d", i)
					names = append(names, name)
					_, err := w.sm.UpdateSecret(w.Context(), &secretsmanager.UpdateSecretInput{
						SecretId: &id, SecretString: &name, ClientRequestToken: aws.String(token(name))})
					w.must(err)
				default: // most of these are refused, and must then change nothing
					label, from, to := pick(labels), pick(append(names, "")), pick(append(names, ""))
					did = fmt.Sprintf("move %s from %q to %q", label, from, to)
					before := w.describe(id).VersionIdsToStages
					if err := w.move(id, label, from, to); err != nil && !equalLabels(before, w.describe(id).VersionIdsToStages) {
						t.Fatalf("refused, and yet changed: %s", did)
					}
				}
				on := make(map[string]int)
				for _, held := range w.describe(id).VersionIdsToStages {
					for _, l := range held {
						on[l]++
					}
				}
				for l, n := range on {
					if n > 1 {
						t.Fatalf("%s is on %d versions after: %s", l, n, did)
					}
				}
				if on["AWSCURRENT"] != 1 {
					t.Fatalf("AWSCURRENT is gone after: %s", did)
				}
				if _, err := w.get(id, "", ""); err != nil {
					t.Fatalf("AWSCURRENT does not open after: %s: %v", did, err)
				}
			}
		})
	}
}

func equalLabels(a, b map[string][]string) bool {
	if len(a) != len(b) {
		return false
	}
	for id := range a {
		if !slices.Equal(a[id], b[id]) {
			return false
		}
	}
	return true
}
