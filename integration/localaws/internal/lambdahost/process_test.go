package lambdahost_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// awaitGone waits until process pid has ended. A zombie has: an orphan's is
// for the system's first process to reap, which is not our subject.
func awaitGone(t *testing.T, pid string) {
	t.Helper()
	until(t, "process "+pid+" is gone", func() bool {
		return errors.Is(syscall.Kill(number(t, pid), 0), syscall.ESRCH) || isZombie(pid)
	})
}

// isZombie reports whether all threads of a process have ended. Where there is
// no /proc it does not know.
func isZombie(pid string) bool {
	state, _ := stat(pid)
	threads, err := os.ReadDir(filepath.Join("/proc", pid, "task"))
	return state == "Z" && err == nil && len(threads) == 1
}

// stat is a process's state and its parent, empty if there is none.
func stat(pid string) (state, parent string) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return "", ""
	}
	// The second field is a name in brackets, which may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	return fields[0], fields[1]
}

// childrenOfMine are the children of this process, zombies included. Where
// there is no /proc it knows none.
func childrenOfMine(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var children []string
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		if _, parent := stat(entry.Name()); parent == strconv.Itoa(os.Getpid()) {
			children = append(children, entry.Name())
		}
	}
	return children
}

func killProcess(t *testing.T, pid string) {
	t.Helper()
	if err := syscall.Kill(number(t, pid), syscall.SIGKILL); err != nil {
		t.Fatalf("killing process %s: %v", pid, err)
	}
}

func number(t *testing.T, pid string) int {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
