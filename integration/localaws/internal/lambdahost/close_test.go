package lambdahost_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/lambdahost"
)

// It is not parallel: no other test's goroutines and processes are there.
func TestCloseLeavesNothing(t *testing.T) {
	log := &journal{}
	f, err := lambdahost.New(config(log, "obedient"))
	if err != nil {
		t.Fatal(err)
	}
	h := &host{f, t, log}
	for _, what := range []string{"answer", "fail", "panic", "exit 7", "answer"} {
		_ = h.invoke(event(what)) // how they end is other tests' subject
	}
	hanging := h.start(event("leave a child that hangs"))
	until(t, "the function hangs", func() bool { return len(log.told("child")) == 1 })
	h.do("answer") // leaves an idle process

	if err := f.Close(); err != nil {
		t.Error(err)
	}
	_ = functionError(t, receive(t, hanging))
	for _, pid := range append(log.told("pid"), log.told("child")...) {
		awaitGone(t, pid)
	}
	if zombies := childrenOfMine(t); len(zombies) > 0 {
		t.Errorf("processes %v are left, ended or not", zombies)
	}
	until(t, "no goroutine is left", func() bool { return len(goroutines()) == 0 })

	before := len(log.lines())
	if err := f.Invoke(t.Context(), event("answer")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("invoking what is closed: %v", err)
	}
	f.Kill()
	if err := f.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if after := len(log.lines()); after != before {
		t.Errorf("%s was logged after Close", strings.Join(log.lines()[before:], "\n"))
	}
}
