package lambdahost_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/lambdahost"
)

func TestTheStartFails(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		function string
		limit    time.Duration
		want     lambdahost.InvokeError
		log      string
	}{
		{
			function: "crash in init",
			want:     lambdahost.InvokeError{Type: "Runtime.ExitError", Message: "RequestId: %ID% Error: Runtime exited with error: exit status 3"},
			log:      `^INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError$`,
		},
		{
			function: "reports its init error",
			want:     lambdahost.InvokeError{Type: "Config.Missing", Message: "set STRATEGY"},
			log:      `\tPhase: init\tStatus: error\tError Type: Config.Missing$`,
		},
		{
			function: "never ready",
			limit:    200 * time.Millisecond,
			want:     lambdahost.InvokeError{Type: "Sandbox.Timedout", Message: "RequestId: %ID% Error: Initialization timed out after 0.20 seconds", TimedOut: true},
			log:      `\tPhase: init\tStatus: timeout$`,
		},
	} {
		t.Run(row.function, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, row.function)
			if row.limit != 0 {
				h.SetInitLimit(row.limit)
			}
			for range 2 {
				inv := event("answer")
				got := functionError(t, h.invoke(inv))
				want := row.want
				want.Message = strings.ReplaceAll(want.Message, "%ID%", inv.ID)
				if diff := cmp.Diff(&want, got); diff != "" {
					t.Errorf("the error (-want +got):\n%s", diff)
				}
				h.log.expect(t, row.log)
				h.log.expect(t, `^REPORT RequestId: `+inv.ID)
			}
		})
	}
}

func TestASlowStartIsNoneOfTheFunctionsTime(t *testing.T) {
	t.Parallel()
	h := newHost(t, "slow to start", timeout(time.Second))
	h.do("show the context")
	if diff := cmp.Diff([]string{"1s"}, h.log.told("left")); diff != "" {
		t.Errorf("time left (-want +got):\n%s", diff)
	}
	h.log.expect(t, `\tInit Duration: [3-9]\d\d\.\d\d ms$`)
}

func TestTheExecutableCannotRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(path, []byte{0x7f, 'E', 'L', 'F', 0}, 0o700); err != nil { // #nosec G306 -- it is to be executed
		t.Fatal(err)
	}
	h := newHost(t, "", func(c *lambdahost.Config) { c.Path = path })
	failure := functionError(t, h.invoke(event("answer")))
	if failure.Type != "Runtime.InvalidEntrypoint" || !strings.Contains(failure.Message, "exec format error") {
		t.Errorf("got %v", failure)
	}
}
