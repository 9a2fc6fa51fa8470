package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a pseudo terminal: what a person types
// into, and what a program reads from.
//
// https://man7.org/linux/man-pages/man7/pty.7.html
func openTerminal(t *testing.T) (keyboard, input *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if input, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = input.Close() })
	return keyboard, input
}

// TestTheOwnerIsAskedAtATerminal: nothing changes before the answer.
func TestTheOwnerIsAskedAtATerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, postgres(t))
	arn := w.secret(w.document(), function)
	for _, row := range []struct {
		name, types string
		interrupted bool
		status      int
		says        string
	}{
		{name: "and says no", types: "no\n", status: 1, says: "not confirmed; nothing was changed"},
		{name: "and interrupts", interrupted: true, status: 1, says: "interrupted; nothing was changed"},
		{name: "and says yes", types: "yes\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := w.labels(arn)
			keyboard, input := openTerminal(t)
			p := w.beginAt(input, nil, "-engine", "postgres", "-secret", arn, "-roots", w.roots)
			p.until("Type yes to rotate: ")
			if diff := cmp.Diff(before, w.labels(arn)); diff != "" {
				t.Errorf("the secret changed before the answer:\n%s", diff)
			}
			if row.interrupted {
				if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			} else if _, err := keyboard.WriteString(row.types); err != nil {
				t.Fatal(err)
			}
			status, out, errs := p.ends(arn)
			if status != row.status || !strings.Contains(errs, row.says) || strings.Contains(out, "proven: ") != (row.status == 0) {
				t.Errorf("status %d:\n%s%s", status, out, errs)
			}
			if changed := !cmp.Equal(before, w.labels(arn)); changed != (row.status == 0) {
				t.Errorf("the secret changed: %t", changed)
			}
		})
	}
}
