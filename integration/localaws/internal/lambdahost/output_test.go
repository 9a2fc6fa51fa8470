package lambdahost_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/lambdahost"
)

func TestTheLogIsWholeWhenInvokeReturns(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	inv := event("write much on both streams")
	if err := h.invoke(inv); err != nil {
		t.Fatal(err)
	}
	lines := h.log.lines()
	for stream, letter := range map[string]string{"stdout": "o", "stderr": "e"} {
		var want, got []string
		for i := range 2000 {
			want = append(want, fmt.Sprint(stream, " ", i, " ", strings.Repeat(letter, 100)))
		}
		for _, line := range lines {
			if strings.HasPrefix(line, stream) {
				got = append(got, line)
			}
		}
		if !slices.Equal(want, got) {
			t.Errorf("%s is not what was written, line by line", stream)
		}
	}
	if lines[0] != "START RequestId: "+inv.ID+" Version: $LATEST" {
		t.Errorf("the first line is %q", lines[0])
	}
	end := lines[len(lines)-2:]
	if end[0] != "END RequestId: "+inv.ID || !strings.HasPrefix(end[1], "REPORT RequestId: "+inv.ID+"\t") {
		t.Errorf("the last lines are %q", end)
	}
	if len(lines) != 4000+1+3 {
		t.Errorf("%d lines, want the function's 4001 and the platform's 3", len(lines))
	}
}

func TestHalfALineIsKeptWhenTheProcessEnds(t *testing.T) {
	t.Parallel()
	h := newHost(t, "obedient")
	_ = functionError(t, h.invoke(event("end in mid-line")))
	if diff := cmp.Diff([]string{"half a line"}, h.log.told("said")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type brokenLog struct{}

var errDiskFull = errors.New("no space left")

func (brokenLog) Write([]byte) (int, error) { return 0, errDiskFull }

func TestCloseTellsThatTheLogIsNotWhole(t *testing.T) {
	t.Parallel()
	c := config(brokenLog{}, "obedient")
	f, err := lambdahost.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Invoke(t.Context(), event("answer")); err != nil {
		t.Errorf("invoking: %v", err)
	}
	if err := f.Close(); !errors.Is(err, errDiskFull) {
		t.Errorf("closing: got %v, want the log's error", err)
	}
}
