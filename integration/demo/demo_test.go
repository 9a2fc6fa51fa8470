package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// within bounds a demo, the first start of a server included.
const within = 10 * time.Minute

// program is the demo, built once.
var program string

func TestMain(m *testing.M) {
	os.Exit(buildAndTest(m))
}

func buildAndTest(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dbrotation-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "demo.exe")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the demo: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A shown is a demo that runs, with its output going to a pipe.
type shown struct {
	cmd    *exec.Cmd
	pipe   io.ReadCloser
	out    *bufio.Reader
	errors bytes.Buffer
	// temporary is the folder in which it makes its own.
	temporary string
}

func show(t *testing.T, environment []string, args ...string) *shown {
	t.Helper()
	// Not t.TempDir, which the server's own user may not enter.
	temporary, err := os.MkdirTemp("", "dbrotation-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temporary) })
	if err := os.Chmod(temporary, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	t.Cleanup(cancel)
	s := &shown{cmd: exec.CommandContext(ctx, program, args...), temporary: temporary}
	s.cmd.Env = append(append(os.Environ(), "TMPDIR="+temporary), environment...)
	s.cmd.Stderr = &s.errors
	if s.pipe, err = s.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReader(s.pipe)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// until reads the output up to a line that holds text.
func (s *shown) until(t *testing.T, text string) {
	t.Helper()
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("no line with %q: %v\n%s", text, err, s.errors.String())
		}
		if strings.Contains(line, text) {
			return
		}
	}
}

// ends reads the rest, and returns it with the exit status.
func (s *shown) ends(t *testing.T) (rest string, status int) {
	t.Helper()
	text, err := io.ReadAll(s.out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), s.status(t)
}

// status waits for the end and returns the exit status; -1 is a signal's. It
// fails the test where the demo has left something.
func (s *shown) status(t *testing.T) int {
	t.Helper()
	_ = s.cmd.Wait() // its outcome is the status
	left, err := os.ReadDir(s.temporary)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("%s is left in the folder for temporary files", entry.Name())
	}
	return s.cmd.ProcessState.ExitCode()
}

func TestTheDemoEndsWithItsLastLine(t *testing.T) {
	t.Parallel()
	s := show(t, nil)
	out, status := s.ends(t)
	if status != 0 || !strings.HasSuffix(out, "\nrotated: postgres single\n") {
		t.Errorf("status %d, and it said:\n%s%s", status, out, s.errors.String())
	}
	if strings.ContainsAny(out, "\x1b\r") {
		t.Errorf("there are a terminal's codes in a pipe: %q", out)
	}
}

func TestTheDemoIsToldToEnd(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{
		"by the keyboard":             syscall.SIGINT,
		"by a terminal that closes":   syscall.SIGHUP,
		"by whoever started the demo": syscall.SIGTERM,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := show(t, nil)
			s.until(t, "function") // the next is the server's start
			if err := s.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if _, status := s.ends(t); status != 1 || !strings.Contains(s.errors.String(), "interrupted; what was started is stopped again") {
				t.Errorf("status %d, and it said %q", status, s.errors.String())
			}
		})
	}
}

func TestTwoAccountsTakeTurnsInTheDemo(t *testing.T) {
	t.Parallel()
	s := show(t, nil, "-strategy", "alternating")
	out, status := s.ends(t)
	if status != 0 || !strings.HasSuffix(out, "\nrotated: postgres alternating\n") {
		t.Fatalf("status %d, and it said %q and %q", status, out, s.errors.String())
	}
	if !strings.Contains(out, "failed logins: 0") {
		t.Errorf("it does not count the application's failed logins:\n%s", out)
	}
}

func TestNobodyReadsTheDemosOutput(t *testing.T) {
	t.Parallel()
	s := show(t, nil)
	s.until(t, "PostgreSQL") // the server runs
	if err := s.pipe.Close(); err != nil {
		t.Fatal(err)
	}
	if status := s.status(t); status != 0 {
		t.Errorf("status %d, and it said %q", status, s.errors.String())
	}
}

func TestTheDemoIsAskedForWhatItDoesNotShow(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name        string
		environment []string
		args        []string
		says        string
	}{
		{"another engine", nil, []string{"-engine", "oracle"}, `there is no demo of "oracle single"; there is postgres alternating, postgres single`},
		{"another strategy", nil, []string{"-strategy", "sngle"}, `there is no demo of "postgres sngle"; there is postgres alternating, postgres single`},
		{"a word too many", nil, []string{"postgres"}, "there is no demo of"},
		{"a flag that is none", nil, []string{"-engin", "postgres"}, "-engin"},
		{"servers from nowhere", []string{"DBROTATION_SERVERS=podman"}, nil, "container or process"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := show(t, row.environment, row.args...)
			if _, status := s.ends(t); status != 1 || !strings.Contains(s.errors.String(), row.says) {
				t.Errorf("status %d, want 1; it said %q, want %q in it", status, s.errors.String(), row.says)
			}
		})
	}
}
