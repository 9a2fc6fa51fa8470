package lambdahost_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/lambdahost"
)

func TestAFunctionErrorIsReported(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		what    string
		want    lambdahost.InvokeError // %ID% in the message stands for the request id
		log     string
		survive bool // whether the next event goes to the same process
	}{
		{
			what:    "fail",
			want:    lambdahost.InvokeError{Type: "oddError", Message: "the database said no"},
			log:     `^REPORT RequestId: %ID%\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms$`,
			survive: true,
		},
		{
			what: "panic",
			want: lambdahost.InvokeError{Type: "string", Message: "out of cheese"},
			log:  `^RequestId: %ID% Error: Runtime exited with error: exit status 1$`,
		},
		{
			what: "exit 7",
			want: lambdahost.InvokeError{Type: "Runtime.ExitError", Message: "RequestId: %ID% Error: Runtime exited with error: exit status 7"},
			log:  `^REPORT RequestId: %ID%\t.*\tStatus: error\tError Type: Runtime.ExitError$`,
		},
		{
			what: "exit 0",
			want: lambdahost.InvokeError{Type: "Runtime.ExitError", Message: "RequestId: %ID% Error: Runtime exited without providing a reason"},
			log:  `^Runtime.ExitError$`,
		},
		{
			what: "answer too much",
			want: lambdahost.InvokeError{Type: "Function.ResponseSizeTooLarge", Message: "Response payload size exceeded maximum allowed payload size (6291556 bytes)."},
			log:  `status code: 413$`,
		},
		{
			what:    "fail while answering",
			want:    lambdahost.InvokeError{Type: "oddError", Message: "the database said no"},
			log:     `^END RequestId: %ID%$`,
			survive: true,
		},
	} {
		t.Run(row.what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, "obedient")
			inv := event(row.what)
			got := functionError(t, h.invoke(inv))
			row.want.Message = strings.ReplaceAll(row.want.Message, "%ID%", inv.ID)
			if diff := cmp.Diff(&row.want, got); diff != "" {
				t.Errorf("the error (-want +got):\n%s", diff)
			}
			h.log.expect(t, strings.ReplaceAll(row.log, "%ID%", inv.ID))
			h.do("answer")
			pids := h.log.told("pid")
			if survived := pids[0] == pids[1]; survived != row.survive {
				t.Errorf("the processes were %v, want the same one: %t", pids, row.survive)
			}
		})
	}
}

func TestAnAnswerThatWasGivenStands(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	h.do("answer, then exit")
	h.log.expect(t, "Runtime exited with error: exit status 9$")
	h.do("answer")
}

func TestTimeIsUp(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient", timeout(250*time.Millisecond))
	inv := event("leave a child that hangs")
	started := time.Now()
	got := functionError(t, h.invoke(inv))
	want := &lambdahost.InvokeError{
		Type:     "Sandbox.Timedout",
		Message:  "RequestId: " + inv.ID + " Error: Task timed out after 0.25 seconds",
		TimedOut: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the error (-want +got):\n%s", diff)
	}
	if took := time.Since(started); took < 250*time.Millisecond {
		t.Errorf("the time was up after %s", took)
	}
	h.log.expect(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z `+inv.ID+` Task timed out after 0\.25 seconds$`)
	h.log.expect(t, `^REPORT RequestId: `+inv.ID+`\t.*\tStatus: timeout$`)
	awaitGone(t, h.log.told("pid")[0])
	awaitGone(t, h.log.told("child")[0])
	h.do("answer")
}

func TestTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]func(h *host, sandbox string){
		"all":           func(h *host, _ string) { h.Kill() },
		"by sandbox":    func(h *host, sandbox string) { h.KillSandbox(sandbox) },
		"by its leader": func(h *host, _ string) { killProcess(h.t, h.log.told("pid")[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, "obedient")
			inv := event("leave a child that hangs")
			sandbox := make(chan string, 1)
			inv.OnSandbox = func(id string) { sandbox <- id }
			result := h.start(inv)
			until(t, "the function hangs", func() bool { return len(h.log.told("child")) == 1 })
			kill(h, <-sandbox)
			got := functionError(t, receive(t, result))
			want := &lambdahost.InvokeError{
				Type:    "Runtime.ExitError",
				Message: "RequestId: " + inv.ID + " Error: Runtime exited with error: signal: killed",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the error (-want +got):\n%s", diff)
			}
			awaitGone(t, h.log.told("child")[0])
			h.do("answer")
			if pids := h.log.told("pid"); pids[0] == pids[1] {
				t.Errorf("the processes were %v, want a new one", pids)
			}
		})
	}
}

func TestKillSandboxSparesTheOthers(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	sandboxes := make(chan string, 1)
	inv := event("hang")
	inv.OnSandbox = func(id string) { sandboxes <- id }
	killed := h.start(inv)
	first := <-sandboxes
	until(t, "the function hangs", func() bool { return len(h.log.told("pid")) == 1 })
	h.do("answer")
	h.KillSandbox("unknown")
	h.KillSandbox(first)
	_ = functionError(t, receive(t, killed))
	h.do("answer")
	if pids := h.log.told("pid"); pids[1] != pids[2] {
		t.Errorf("the processes were %v, want the last one used again", pids)
	}
}

func TestKilledBeforeItWasStarted(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	inv := event("answer")
	inv.OnSandbox = h.KillSandbox
	failure := functionError(t, h.invoke(inv))
	if failure.Type != "Runtime.ExitError" || !strings.HasSuffix(failure.Message, "signal: killed") {
		t.Errorf("got %v", failure)
	}
	if pids := h.log.told("pid"); len(pids) != 0 {
		t.Errorf("processes %v saw the event", pids)
	}
	h.do("answer")

	// The same where the process is there already and idle: the invocation had
	// it, so it is not given to another.
	var told []string
	inv = event("answer")
	inv.OnSandbox = func(id string) {
		told = append(told, id)
		if len(told) == 1 {
			h.KillSandbox(id)
		}
	}
	_ = functionError(t, h.invoke(inv))
	if len(told) != 1 {
		t.Errorf("the invocation went to sandboxes %v, want one", told)
	}
	if pids := h.log.told("pid"); len(pids) != 1 {
		t.Errorf("processes %v saw an event, want the first alone", pids)
	}
}

func TestAnIdleProcessDiedUnseen(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	h.do("answer")
	killProcess(t, h.log.told("pid")[0])
	awaitGone(t, h.log.told("pid")[0])
	h.do("answer")
}

func TestTheCallerGivesUp(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	why := errors.New("the rotation was cancelled")
	ctx, cancel := context.WithCancelCause(context.Background())
	result := make(chan error, 1)
	go func() { result <- h.Invoke(ctx, event("hang")) }()
	until(t, "the function hangs", func() bool { return len(h.log.told("pid")) == 1 })
	cancel(why)
	if err := receive(t, result); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	awaitGone(t, h.log.told("pid")[0])
	if err := h.Invoke(ctx, event("answer")); !errors.Is(err, why) {
		t.Errorf("with a context that has ended: got %v, want the cause", err)
	}
	h.do("answer")
}

func TestAnInvocationNeedsAnID(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	if err := h.invoke(lambdahost.Invocation{Event: []byte("{}")}); err == nil {
		t.Error("an invocation without an id was made")
	}
}

func TestOneProcessServesOneEventAfterTheOther(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	asked := 0
	for range 200 {
		inv := event("answer")
		inv.Env = func(string) map[string]string { asked++; return nil }
		if err := h.invoke(inv); err != nil {
			t.Fatal(err)
		}
		if last := h.log.lines(); !strings.HasPrefix(last[len(last)-3], "pid ") {
			t.Fatalf("what the function said is not in the log before its REPORT: %q", last)
		}
	}
	pids := h.log.told("pid")
	if len(pids) != 200 || len(slices.Compact(pids)) != 1 {
		t.Errorf("%d events went to %d processes, want 200 to one", len(pids), len(slices.Compact(pids)))
	}
	if asked != 1 {
		t.Errorf("the environment was asked for %d times, want once", asked)
	}
}

func TestTwoAtOnceTakeTwoProcesses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "go on")
	h := newHost(t, "obedient", env("WAIT_FOR", file))
	sandboxes := make(chan string, 2)
	var results []<-chan error
	for range 2 {
		inv := event("wait for the file")
		inv.OnSandbox = func(id string) { sandboxes <- id }
		results = append(results, h.start(inv))
	}
	until(t, "both events are taken", func() bool { return len(h.log.told("pid")) == 2 })
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, result := range results {
		if err := receive(t, result); err != nil {
			t.Error(err)
		}
	}
	first, second := <-sandboxes, <-sandboxes
	pids := h.log.told("pid")
	if pids[0] == pids[1] || first == second {
		t.Fatalf("two events at once went to processes %v of sandboxes %s and %s", pids, first, second)
	}
	h.do("answer")
	if pids := h.log.told("pid"); !slices.Contains(pids[:2], pids[2]) {
		t.Errorf("processes %v, want an idle one used again", pids)
	}
}
