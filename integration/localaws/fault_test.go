package localaws_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	t.Run("failing before, nothing was done", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		id := w.create("app", "1")
		f := w.Inject(localaws.Fault{Kind: localaws.FailBefore, Operation: "PutSecretValue"})
		w.wantError(w.put(id, "second", "2"), "InternalServiceError", "injected")
		w.wantLabels(id, map[string][]string{"first": {"AWSCURRENT"}})
		w.must(w.put(id, "second", "2"))
		if f.Fired() != 1 {
			t.Errorf("fired %d times", f.Fired())
		}
	})
	t.Run("failing before with a code of one's own", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		id := w.create("app", "1")
		w.Inject(localaws.Fault{Kind: localaws.FailBefore, Operation: "PutSecretValue", Code: "ThrottlingException", Skip: 1, Times: 2})
		w.must(w.put(id, "second", "2"))
		w.wantError(w.put(id, "third", "3"), "ThrottlingException", "")
		w.wantError(w.put(id, "third", "3"), "ThrottlingException", "")
		w.must(w.put(id, "third", "3"))
	})
	t.Run("failing after, it was done", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		id := w.create("app", "1")
		w.Inject(localaws.Fault{Kind: localaws.FailAfter, Operation: "PutSecretValue"})
		var answered smithy.APIError
		if err := w.put(id, "second", "2"); err == nil || errors.As(err, &answered) {
			t.Errorf("the put ended with %v, want a connection cut off", err)
		}
		w.wantLabels(id, map[string][]string{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}})
	})
	t.Run("delayed, it is answered late", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		id := w.create("app", "1")
		w.Inject(localaws.Fault{Kind: localaws.Delay, Delay: 50 * time.Millisecond})
		began := time.Now()
		_, err := w.get(id, "", "")
		w.must(err)
		if took := time.Since(began); took < 50*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
	})
	t.Run("delayed for ever, Close does not wait", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		id := w.create("app", "1")
		f := w.Inject(localaws.Fault{Kind: localaws.Delay, Delay: time.Hour})
		done := make(chan struct{})
		go func() {
			_, _ = w.get(id, "", "") // answered or cut off, as it comes
			close(done)
		}()
		for deadline := time.Now().Add(patience); f.Fired() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the call did not arrive")
			}
		}
		w.must(w.Close())
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the call goes on after Close")
		}
	})
	t.Run("stale, a read misses the last write", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		id := w.create("app", "1")
		w.must(w.put(id, "second", "2", "AWSPENDING"))
		w.Inject(localaws.Fault{Kind: localaws.StaleRead, Times: 2})
		_, err := w.get(id, "second", "")
		w.wantError(err, "ResourceNotFoundException", "VersionId: "+token("second"))
		w.wantLabels(id, map[string][]string{"first": {"AWSCURRENT"}})
		got, err := w.get(id, "second", "")
		if err != nil || got != "2" {
			t.Errorf("the next read finds %q, %v", got, err)
		}
	})
	t.Run("cleared, nothing more happens", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		id := w.create("app", "1")
		f := w.Inject(localaws.Fault{Kind: localaws.FailBefore, Times: -1})
		for range 3 {
			w.wantError(w.put(id, "second", "2"), "InternalServiceError", "")
		}
		w.ClearFaults()
		w.must(w.put(id, "second", "2"))
		if f.Fired() != 3 {
			t.Errorf("fired %d times", f.Fired())
		}
	})
}

// TestRotationConvergesWhateverCallFails fails each call of a rotation in each
// way; the rotation ends well every time.
func TestRotationConvergesWhateverCallFails(t *testing.T) {
	t.Parallel()
	calls := 5 // of the sound function: put, get, get, describe, move
	for _, kind := range []localaws.FaultKind{localaws.FailBefore, localaws.FailAfter, localaws.StaleRead, localaws.KillBefore, localaws.KillAfter} {
		for skip := range calls {
			t.Run(kind.String()+" "+string(rune('1'+skip)), func(t *testing.T) {
				t.Parallel()
				w := start(t)
				id := w.create("app", "1")
				w.function(nil)
				f := w.Inject(localaws.Fault{Kind: kind, Function: "rotation", Skip: skip})
				w.must(w.rotate(id, "second"))
				w.must(w.wait(id))
				reads := 3
				if want := kind != localaws.StaleRead || skip < reads; want != (f.Fired() == 1) {
					t.Errorf("the fault fired %d times", f.Fired())
				}
				w.wantLabels(id, map[string][]string{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}})
				if got, err := w.get(id, "", ""); err != nil || got != "rotated-"+token("second") {
					t.Errorf("the current value is %q, %v", got, err)
				}
			})
		}
	}
}

func TestFunctionIsKilled(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	killed := false
	w.function(func(ctx context.Context, _ *secretsmanager.Client, e step) error {
		if e.Step == "setSecret" && !killed {
			killed = true
			w.KillFunction("rotation")
			<-ctx.Done()
		}
		return nil
	})
	w.must(w.rotate(id, "second"))
	w.must(w.wait(id))
	w.wantSteps("1 createSecret", "1 setSecret", "2 createSecret", "2 setSecret", "2 testSecret", "2 finishSecret")
	if i := w.Invocations()[1]; !strings.Contains(i.Err, "signal: killed") {
		t.Errorf("the killed invocation failed with %q", i.Err)
	}
}

func TestFunctionTimesOut(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *localaws.Config) { c.Attempts = 1 })
	id := w.create("app", "1")
	w.must(w.AddFunction(localaws.Function{Name: "rotation", Timeout: 20 * time.Millisecond, Handler: func(ctx context.Context, _ []byte) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the handler's context has no deadline")
		}
		<-ctx.Done()
		return ctx.Err()
	}}))
	w.must(w.rotate(id, "second"))
	if err := w.wait(id); err == nil || !strings.Contains(err.Error(), "Task timed out after 0.02 seconds") {
		t.Errorf("the rotation ended with %v", err)
	}
}

func TestObserverSeesEachInvocationBeforeTheNext(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	w.function(nil)
	var labels []string
	w.OnInvocation(func(i localaws.Invocation) {
		v, err := w.get(id, "", "")
		if err != nil {
			t.Error(err)
		}
		labels = append(labels, i.Step+" "+strings.TrimRight(v, "0-"))
	})
	w.must(w.rotate(id, "second"))
	w.must(w.wait(id))
	if got, want := strings.Join(labels, ", "), "createSecret 1, setSecret 1, testSecret 1, finishSecret rotated-second"; got != want {
		t.Errorf("seen %s, want %s", got, want)
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	log := &logBook{}
	w := start(t, log.into)
	id := w.create("app", "planted-first")
	var tokens []string
	w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
		tokens = append(tokens, e.RotationToken)
		return nil
	})
	w.Inject(localaws.Fault{Kind: localaws.FailAfter, Operation: "PutSecretValue"})
	w.must(w.rotate(id, "second"))
	w.must(w.wait(id))
	_, err := w.sm.PutSecretValue(w.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("planted-other"), ClientRequestToken: aws.String(token("first"))})
	w.wantError(err, "ResourceExistsException", "")
	_, _, _ = w.send(signed("PutSecretValue", `{"SecretString":"planted-broken`))
	_, _, session := w.FunctionCredentials("rotation")
	text := log.String()
	if !strings.Contains(text, "RotationSucceeded") || !strings.Contains(text, "PutSecretValue") {
		t.Fatalf("the log tells nothing:\n%s", text)
	}
	for _, planted := range append(tokens, "planted", "rotated-", session) {
		if strings.Contains(text, planted) {
			t.Errorf("the log holds %q", planted)
		}
	}
	for _, c := range w.Calls() {
		if strings.Contains(c.SecretID+c.ErrorCode+c.Operation, "planted") {
			t.Errorf("the trail holds a value: %+v", c)
		}
	}
}
