package localaws_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

// logBook is a log that a test reads.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBook) into(c *localaws.Config) { c.Log = slog.New(slog.NewJSONHandler(l, nil)) }

func TestSecretIsFoundByEachOfItsNames(t *testing.T) {
	t.Parallel()
	w := start(t)
	arn := w.create("prod/app", "1")
	partial := arn[:len(arn)-len("-123456")]
	for _, id := range []string{"prod/app", arn, partial} {
		if got, err := w.get(id, "", ""); err != nil || got != "1" {
			t.Errorf("%s gives %q, %v", id, got, err)
		}
	}
	// A name that ends as a suffix does is found by name, and not by its
	// partial ARN.
	arn = w.create("app-secret", "2")
	if got, err := w.get("app-secret", "", ""); err != nil || got != "2" {
		t.Errorf("app-secret gives %q, %v", got, err)
	}
	_, err := w.get(arn[:len(arn)-len("-123456")], "", "")
	w.wantError(err, "ResourceNotFoundException", "")
}

func TestRegionsAreApart(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.create("app", "here")
	there := &world{Server: w.Server, T: t, sm: newClient(w.Endpoint(), "us-east-1", localaws.AccessKey, localaws.SecretKey, "")}
	_, err := there.get("app", "", "")
	w.wantError(err, "ResourceNotFoundException", "")
	if arn := there.create("app", "there"); !strings.HasPrefix(arn, "arn:aws:secretsmanager:us-east-1:"+localaws.Account+":secret:app-") {
		t.Errorf("the ARN is %s", arn)
	}
	if got, err := w.get("app", "", ""); err != nil || got != "here" {
		t.Errorf("the first Region has %q, %v", got, err)
	}
}

func TestCreateAgain(t *testing.T) {
	t.Parallel()
	w := start(t)
	if first, again := w.create("app", "1"), w.create("app", "1"); first != again {
		t.Errorf("the same request made %s and %s", first, again)
	}
}

func TestValuesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.create("app", "1")
	text := "quote\" back\\slash \u2028 <&> é " + strings.Repeat("x", 60000)
	w.must(w.put("app", "second", text))
	if got, err := w.get("app", "", ""); err != nil || got != text {
		t.Errorf("the text came back with %d bytes, %v", len(got), err)
	}
	binary := []byte{0, 1, 0xff, 0xfe, '\n'}
	_, err := w.sm.PutSecretValue(w.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("app"), SecretBinary: binary})
	w.must(err)
	out, err := w.sm.GetSecretValue(w.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
	w.must(err)
	if !bytes.Equal(out.SecretBinary, binary) || out.SecretString != nil || out.CreatedDate == nil {
		t.Errorf("the binary came back as %v, %v", out.SecretBinary, out.SecretString)
	}
}

func TestDescription(t *testing.T) {
	t.Parallel()
	now := &clock{now: time.Date(2026, 3, 1, 10, 30, 0, 123_000_000, time.UTC)}
	w := start(t, func(c *localaws.Config) { c.Now = now.Now })
	arn := w.create("app", "1")
	now.advance(time.Hour)
	out, err := w.sm.UpdateSecret(w.Context(), &secretsmanager.UpdateSecretInput{SecretId: &arn, Description: aws.String("for the app")})
	w.must(err)
	if out.VersionId != nil {
		t.Errorf("an update without a value returns version %s", *out.VersionId)
	}
	d := w.describe("app")
	got := map[string]any{"arn": *d.ARN, "name": *d.Name, "description": aws.ToString(d.Description), "created": d.CreatedDate.UTC(), "changed": d.LastChangedDate.UTC(),
		"accessed": d.LastAccessedDate, "enabled": d.RotationEnabled, "key": d.KmsKeyId, "tags": d.Tags}
	want := map[string]any{"arn": arn, "name": "app", "description": "for the app",
		"created": time.Date(2026, 3, 1, 10, 30, 0, 123_000_000, time.UTC), "changed": time.Date(2026, 3, 1, 11, 30, 0, 123_000_000, time.UTC),
		"accessed": (*time.Time)(nil), "enabled": (*bool)(nil), "key": (*string)(nil), "tags": []types.Tag(nil)}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b []types.Tag) bool { return len(a) == len(b) })); diff != "" {
		t.Errorf("description (-want +got):\n%s", diff)
	}
	_, err = w.get(arn, "", "")
	w.must(err)
	if accessed := w.describe(arn).LastAccessedDate; accessed == nil || !accessed.Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("accessed %v", accessed)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	_, err := w.sm.TagResource(w.Context(), &secretsmanager.TagResourceInput{SecretId: &id, Tags: tags(2)})
	w.must(err)
	_, err = w.sm.TagResource(w.Context(), &secretsmanager.TagResourceInput{SecretId: &id, Tags: []types.Tag{{Key: aws.String("k1"), Value: aws.String("new")}}})
	w.must(err)
	got := make(map[string]string)
	for _, tag := range w.describe(id).Tags {
		got[*tag.Key] = *tag.Value
	}
	if diff := cmp.Diff(map[string]string{"k0": "v", "k1": "new"}, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	for range 2 { // the second time there is nothing to remove
		_, err = w.sm.UntagResource(w.Context(), &secretsmanager.UntagResourceInput{SecretId: &id, TagKeys: []string{"k0", "k1"}})
		w.must(err)
	}
	if left := w.describe(id).Tags; left == nil || len(left) != 0 {
		t.Errorf("after removing all, Tags is %v, want empty and not absent", left)
	}
}

func TestDeletion(t *testing.T) {
	t.Parallel()
	now := &clock{now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	w := start(t, func(c *localaws.Config) { c.Now = now.Now })
	arn := w.create("app", "1")
	out, err := w.sm.DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app"), RecoveryWindowInDays: aws.Int64(7)})
	w.must(err)
	if !out.DeletionDate.Equal(now.Now().AddDate(0, 0, 7)) {
		t.Errorf("to be deleted %v", out.DeletionDate)
	}
	if d := w.describe(arn); d.DeletedDate == nil || !d.DeletedDate.Equal(now.Now()) {
		t.Errorf("marked as deleted %v", d.DeletedDate)
	}
	_, err = w.sm.RestoreSecret(w.Context(), &secretsmanager.RestoreSecretInput{SecretId: &arn})
	w.must(err)
	if got, err := w.get(arn, "", ""); err != nil || got != "1" {
		t.Errorf("restored, it holds %q, %v", got, err)
	}
	_, err = w.sm.DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app"), RecoveryWindowInDays: aws.Int64(7)})
	w.must(err)
	now.advance(7 * 24 * time.Hour)
	_, err = w.sm.DescribeSecret(w.Context(), &secretsmanager.DescribeSecretInput{SecretId: &arn})
	w.wantError(err, "ResourceNotFoundException", "")
	if again := w.create("app", "2"); again == arn {
		t.Error("the secret made again has the old ARN")
	}
	for range 2 { // the second time there is nothing left
		out, err := w.sm.DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("app"), ForceDeleteWithoutRecovery: aws.Bool(true)})
		w.must(err)
		if !strings.Contains(aws.ToString(out.ARN), ":secret:app-") {
			t.Errorf("force returns ARN %v", out.ARN)
		}
	}
	_, err = w.get("app", "", "")
	w.wantError(err, "ResourceNotFoundException", "")
}

func TestVersionsAreListed(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	for i := range 4 {
		w.must(w.put(id, fmt.Sprintf("v%d", i), "x"))
	}
	list := func(deprecated bool) (versions []types.SecretVersionsListEntry, pages int) {
		in := &secretsmanager.ListSecretVersionIdsInput{SecretId: &id, IncludeDeprecated: &deprecated, MaxResults: aws.Int32(2)}
		for p := secretsmanager.NewListSecretVersionIdsPaginator(w.sm, in); p.HasMorePages(); pages++ {
			out, err := p.NextPage(w.Context())
			w.must(err)
			versions = append(versions, out.Versions...)
		}
		return versions, pages
	}
	if labelled, pages := list(false); len(labelled) != 2 || pages != 1 {
		t.Errorf("%d labelled versions on %d pages", len(labelled), pages)
	}
	all, pages := list(true)
	if len(all) != 5 || pages != 3 {
		t.Fatalf("%d versions on %d pages", len(all), pages)
	}
	if all[0].VersionStages != nil || len(all[0].KmsKeyIds) != 1 || all[0].KmsKeyIds[0] != "DefaultEncryptionKey" {
		t.Errorf("the oldest is %v %v", all[0].VersionStages, all[0].KmsKeyIds)
	}
	if got, err := w.get(id, "first", ""); err != nil || got != "1" {
		t.Errorf("a version without labels gives %q, %v", got, err)
	}
	_, err := w.sm.ListSecretVersionIds(w.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &id, NextToken: aws.String("forged")})
	w.wantError(err, "InvalidNextTokenException", "")
}

func TestVersionQuota(t *testing.T) {
	t.Parallel()
	now := &clock{now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	w := start(t, func(c *localaws.Config) { c.Now, c.VersionQuota = now.Now, 3 })
	id := w.create("app", "1")
	w.must(w.put(id, "second", "2"))
	w.must(w.put(id, "third", "3"))
	w.wantError(w.put(id, "fourth", "4"), "LimitExceededException", "")
	now.advance(24 * time.Hour)
	w.must(w.put(id, "fourth", "4")) // the first version is a day old and goes
	_, err := w.get(id, "first", "")
	w.wantError(err, "ResourceNotFoundException", "")
}

func TestSecretsAreListed(t *testing.T) {
	t.Parallel()
	now := &clock{now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	w := start(t, func(c *localaws.Config) { c.Now = now.Now })
	add := func(name, description, key, value string) {
		_, err := w.sm.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{Name: &name, Description: &description,
			SecretString: aws.String("x"), Tags: []types.Tag{{Key: &key, Value: &value}}})
		w.must(err)
		now.advance(time.Second)
	}
	add("prod/orders", "Orders database", "Team", "Blue")
	add("prod/billing", "Billing database", "Team", "Green")
	add("test/orders", "Orders, for tests", "team", "blue")
	add("gone", "database", "Team", "Blue")
	_, err := w.sm.DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("gone")})
	w.must(err)

	filter := func(key types.FilterNameStringType, values ...string) types.Filter {
		return types.Filter{Key: key, Values: values}
	}
	for _, c := range []struct {
		story string
		in    secretsmanager.ListSecretsInput
		want  []string
	}{
		{"all, by creation", secretsmanager.ListSecretsInput{}, []string{"prod/orders", "prod/billing", "test/orders"}},
		{"with what is to be deleted", secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)}, []string{"prod/orders", "prod/billing", "test/orders", "gone"}},
		{"by name, backwards", secretsmanager.ListSecretsInput{SortBy: types.SortByTypeName, SortOrder: types.SortOrderTypeDesc}, []string{"test/orders", "prod/orders", "prod/billing"}},
		{"page by page", secretsmanager.ListSecretsInput{MaxResults: aws.Int32(1)}, []string{"prod/orders", "prod/billing", "test/orders"}},
		{"a name", secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("name", "prod/")}}, []string{"prod/orders", "prod/billing"}},
		{"a name in the wrong case", secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("name", "Prod/")}}, nil},
		{"not a name", secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("name", "!prod/")}}, []string{"test/orders"}},
		{"one name or another", secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("name", "prod/o", "test")}}, []string{"prod/orders", "test/orders"}},
		{"a tag and its value", secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("tag-key", "Team"), filter("tag-value", "Blue")}}, []string{"prod/orders"}},
		{"words of a description, in any case", secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("description", "DATA orders")}}, []string{"prod/orders"}},
		{"anything", secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("all", "BLUE")}}, []string{"prod/orders", "test/orders"}},
	} {
		var got []string
		for p := secretsmanager.NewListSecretsPaginator(w.sm, &c.in); p.HasMorePages(); {
			out, err := p.NextPage(w.Context())
			w.must(err)
			for _, s := range out.SecretList {
				got = append(got, *s.Name)
				if len(s.SecretVersionsToStages) != 1 {
					t.Errorf("%s: %s has versions %v", c.story, *s.Name, s.SecretVersionsToStages)
				}
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.story, diff)
		}
	}
}

func TestRandomPasswords(t *testing.T) {
	t.Parallel()
	w := start(t)
	for range 20 {
		out, err := w.sm.GetRandomPassword(w.Context(), &secretsmanager.GetRandomPasswordInput{
			PasswordLength: aws.Int64(5), IncludeSpace: aws.Bool(true), ExcludeCharacters: aws.String("abc\"'`$")})
		w.must(err)
		p := *out.RandomPassword
		kinds := []string{"defghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "!#%&()*+,-./:;<=>?@[\\]^_{|}~", " "}
		for _, kind := range kinds {
			if !strings.ContainsAny(p, kind) {
				t.Errorf("a password has nothing of %q", kind)
			}
		}
		if len(p) != 5 {
			t.Errorf("a password has %d characters", len(p))
		}
	}
	out, err := w.sm.GetRandomPassword(w.Context(), &secretsmanager.GetRandomPasswordInput{})
	w.must(err)
	if len(*out.RandomPassword) != 32 || strings.Contains(*out.RandomPassword, " ") {
		t.Errorf("by default it has %d characters", len(*out.RandomPassword))
	}
}

// TestManyAtOnce is of use under the race detector.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.function(nil)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			own := fmt.Sprintf("own-%d", i)
			arn := w.create(own, "1")
			for j := range 5 {
				if err := w.put(arn, fmt.Sprintf("v%d", j), "x"); err != nil {
					t.Error(err)
				}
			}
			if err := w.rotate(arn, "rotated"); err != nil {
				t.Error(err)
			}
			if err := w.wait(arn); err != nil {
				t.Error(err)
			}
			if got, err := w.get(arn, "", ""); err != nil || got != "rotated-"+token("rotated") {
				t.Errorf("%s holds %q, %v", own, got, err)
			}
		})
	}
	shared := w.create("shared", "1")
	for i := range 8 {
		group.Go(func() {
			for j := range 5 {
				if err := w.put(shared, fmt.Sprintf("s%d%d", i, j), "x"); err != nil {
					t.Error(err)
				}
				if _, err := w.get(shared, "", ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := len(w.describe(shared).VersionIdsToStages); n != 2 {
		t.Errorf("%d versions have labels", n)
	}
	w.wantAttributed(8 * 4)
}
