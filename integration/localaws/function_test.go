package localaws_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

func TestFunctionsAreChecked(t *testing.T) {
	t.Parallel()
	w := start(t)
	handler := func(context.Context, []byte) error { return nil }
	text := filepath.Join(t.TempDir(), "text")
	w.must(os.WriteFile(text, []byte("no program"), 0o600))
	w.must(w.AddFunction(localaws.Function{Name: "one", Handler: handler}))
	for story, f := range map[string]localaws.Function{
		"a name taken":         {Name: "one", Handler: handler},
		"a bad name":           {Name: "a b", Handler: handler},
		"nothing to run":       {Name: "two"},
		"two things to run":    {Name: "two", Handler: handler, Path: "/bin/true"},
		"a path to nothing":    {Name: "two", Path: "/does/not/exist"},
		"a path to no program": {Name: "two", Path: text},
		"a negative time-out":  {Name: "two", Handler: handler, Timeout: -1},
	} {
		if err := w.AddFunction(f); err == nil {
			t.Errorf("%s was accepted", story)
		}
	}
}

func TestInvokeByHand(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		story string
		add   func(w *world)
	}{
		{"an executable", func(w *world) {
			w.must(w.AddFunction(localaws.Function{Name: "rotation", Path: exe, Timeout: patience}))
		}},
		{"a handler", func(w *world) { w.function(nil) }},
	} {
		t.Run(c.story, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			id := w.create("app", "1")
			c.add(w)
			event := func(s string) []byte {
				text, err := json.Marshal(step{Step: s, SecretId: id, ClientRequestToken: token("second"), RotationToken: token("rotation")})
				w.must(err)
				return text
			}
			w.must(w.Invoke(t.Context(), region, "rotation", event("createSecret")))
			w.wantLabels(id, map[string][]string{"first": {"AWSCURRENT"}, "second": {"AWSPENDING"}})
			put := w.Calls()[1]
			if put.Operation != "PutSecretValue" || put.Function != "rotation" || put.Step != "createSecret" || put.InvocationID == "" {
				t.Errorf("the put is told as %+v", put)
			}

			killed := w.Inject(localaws.Fault{Kind: localaws.KillBefore, Function: "rotation"})
			err := w.Invoke(t.Context(), region, "rotation", event("testSecret"))
			if err == nil || !strings.Contains(err.Error(), "signal: killed") || killed.Fired() != 1 {
				t.Errorf("killed %d times it ends with %v", killed.Fired(), err)
			}

			w.must(w.move(id, "AWSPENDING", "second", ""))
			err = w.Invoke(t.Context(), region, "rotation", event("testSecret"))
			if err == nil || !strings.Contains(err.Error(), "VersionStage that is not associated") {
				t.Errorf("the function's own error comes back as %v", err)
			}
			if len(w.Invocations()) != 0 || len(w.Events()) != 0 {
				t.Errorf("a rotation is told of: %v, %v", w.Invocations(), w.eventNames())
			}
		})
	}
}

func TestInvokeIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.must(w.AddFunction(localaws.Function{Name: "rotation", Handler: func(context.Context, []byte) error { return nil }}))
	w.must(w.Invoke(t.Context(), region, "rotation", []byte("{}")))
	for _, c := range []struct{ story, region, name, want string }{
		{"no such function", region, "other", "none of this name"},
		{"no such Region", "", "rotation", "not the name of a Region"},
	} {
		if err := w.Invoke(t.Context(), c.region, c.name, []byte("{}")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.story, err)
		}
	}
	w.must(w.Close())
	if err := w.Invoke(t.Context(), region, "rotation", []byte("{}")); err == nil {
		t.Error("a closed server invokes")
	}
}

func TestInvokeEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	w := start(t)
	entered := make(chan struct{}, 2)
	w.function(func(ctx context.Context, _ *secretsmanager.Client, _ step) error {
		entered <- struct{}{}
		<-ctx.Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	invoke := func(ctx context.Context) { result <- w.Invoke(ctx, region, "rotation", []byte("{}")) }
	for _, c := range []struct {
		story string
		ctx   context.Context
		end   func()
	}{
		{"the caller gives up", ctx, cancel},
		{"the server closes", t.Context(), func() { w.must(w.Close()) }},
	} {
		go invoke(c.ctx)
		<-entered
		c.end()
		select {
		case err := <-result:
			if err == nil {
				t.Errorf("%s: it succeeded", c.story)
			}
		case <-time.After(patience):
			t.Fatalf("%s: it goes on", c.story)
		}
	}
}
