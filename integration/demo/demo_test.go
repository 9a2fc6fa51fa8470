package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/integration/dbservers"
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
	for _, server := range serversOf(t, s.cmd.Process.Pid) {
		t.Errorf("%s is left", server)
	}
	return s.cmd.ProcessState.ExitCode()
}

// TestEveryDemoEndsWithItsLastLine runs each, and holds what a rotation in it
// costs and whom it keeps out.
func TestEveryDemoEndsWithItsLastLine(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		engine, strategy string
		rotations        int
		each             string // of the line "in all"
		application      bool   // one signs in all the while
	}{
		{"postgres", "single", 1, "8 calls of Secrets Manager   2 logins, 0 failed", false},
		{"postgres", "alternating", 3, "9 calls of Secrets Manager   3 logins, 0 failed", true},
		{"mysql", "single", 1, "8 calls of Secrets Manager   2 logins, 0 failed", false},
		{"mysql", "alternating", 3, "9 calls of Secrets Manager   3 logins, 0 failed", true},
		{"mysql", "dual-password", 3, "8 calls of Secrets Manager   2 logins, 0 failed", true},
		{"mariadb", "single", 1, "8 calls of Secrets Manager   2 logins, 0 failed", false},
		{"mariadb", "alternating", 3, "9 calls of Secrets Manager   3 logins, 0 failed", true},
		{"mariadb", "dual-password", 3, "9 calls of Secrets Manager   3 logins, 0 failed", true},
		{"redshift", "single", 1, "8 calls of Secrets Manager   2 logins, 0 failed", false},
		{"redshift", "alternating", 3, "9 calls of Secrets Manager   3 logins, 0 failed", true},
		{"documentdb", "single", 1, "9 calls of Secrets Manager   3 logins, 0 failed", false},
		{"documentdb", "alternating", 3, "9 calls of Secrets Manager   3 logins, 0 failed", true},
	} {
		name := row.engine + " " + row.strategy
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := show(t, nil, "-engine", row.engine, "-strategy", row.strategy)
			out, status := s.ends(t)
			if status != 0 || !strings.HasSuffix(out, "\nrotated: "+name+"\n") {
				t.Fatalf("status %d, and it said:\n%s%s", status, out, s.errors.String())
			}
			if strings.ContainsAny(out, "\x1b\r") {
				t.Errorf("there are a terminal's codes in a pipe: %q", out)
			}
			if n := len(regexp.MustCompile(`(?m)^  in all .* `+row.each+`$`).FindAllString(out, -1)); n != row.rotations {
				t.Errorf("%d rotations cost %s, want %d:\n%s", n, row.each, row.rotations, out)
			}
			if got := strings.Contains(out, "failed logins: 0 (in the server's log: 0)"); got != row.application {
				t.Errorf("it counts an application's failed logins: %t, want %t:\n%s", got, row.application, out)
			}
		})
	}
}

func TestTheDemoIsToldToEnd(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		args   []string
		after  string        // the line that it has printed
		and    time.Duration // which passes then
		signal syscall.Signal
	}{
		// The next is the server's start.
		{"by the keyboard", nil, "bootstrap, ", 0, syscall.SIGINT},
		{"by a terminal that closes", []string{"-engine", "mariadb"}, "bootstrap, ", 0, syscall.SIGHUP},
		{"by whoever started the demo", []string{"-engine", "mysql"}, "bootstrap, ", 0, syscall.SIGTERM},
		{"while its container is made", nil, "bootstrap, ", 20 * time.Millisecond, syscall.SIGINT},
		{"while its server starts", nil, "bootstrap, ", 500 * time.Millisecond, syscall.SIGINT},
		{"while an application signs in", []string{"-engine", "mysql", "-strategy", "dual-password"}, "Rotation 2", 0, syscall.SIGINT},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := show(t, nil, row.args...)
			s.until(t, row.after)
			time.Sleep(row.and)
			if err := s.cmd.Process.Signal(row.signal); err != nil {
				t.Fatal(err)
			}
			if _, status := s.ends(t); status != 1 || !strings.Contains(s.errors.String(), "interrupted; what was started is stopped again") {
				t.Errorf("status %d, and it said %q", status, s.errors.String())
			}
			// A Docker engine may make a container after whoever asked for it
			// has gone.
			time.Sleep(4 * time.Second)
			for _, server := range serversOf(t, s.cmd.Process.Pid) {
				t.Errorf("%s came later, and is left", server)
			}
		})
	}
}

// When a container is made depends on how busy the machine is; so this holds it
// to the start itself.
func TestAStartThatHasBegunComesToItsEnd(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		within time.Duration
		want   error
	}{
		{"in time", time.Minute, nil},
		{"unless it takes too long", time.Millisecond, context.Canceled},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ctx, interrupt := context.WithCancel(t.Context())
			_, err := startWhole(ctx, row.within, func(starting context.Context) (*dbservers.Server, error) {
				interrupt()
				select {
				case <-starting.Done():
				case <-time.After(500 * time.Millisecond):
				}
				return nil, starting.Err()
			})
			if !errors.Is(err, row.want) {
				t.Errorf("it ended with %v, want %v", err, row.want)
			}
		})
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
		{"another engine", nil, []string{"-engine", "oracle"}, `there is no engine "oracle"; ENGINE is one of documentdb, mariadb, mysql, postgres, redshift`},
		{"another strategy", nil, []string{"-strategy", "sngle"}, `there is no strategy "sngle"; STRATEGY is one of alternating, dual-password, single`},
		{"a strategy that the engine does not have", nil, []string{"-strategy", "dual-password"},
			"there is no dual-password with ENGINE=postgres: an account of PostgreSQL has one password; STRATEGY is one of alternating, single"},
		{"a word too many", nil, []string{"postgres"}, `"postgres" is a word too many`},
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
