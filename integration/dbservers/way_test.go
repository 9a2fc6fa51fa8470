package dbservers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// childVariable makes this test binary a program that starts a server, tells
// where from and under which process, and stays.
const childVariable = "DBSERVERS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	s, err := StartPostgres(context.Background(), PostgresOptions{Version: "15"})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	pid := 0
	if p, ok := s.place.(*process); ok {
		pid = p.current.cmd.Process.Pid
	}
	fmt.Printf("%d %s\n", pid, s.Source)
	_, _ = os.Stdin.Read(make([]byte, 1))
	if err := s.Close(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// child starts this binary as a program with more environment, and returns its
// first line.
func child(t *testing.T, environment ...string) (*exec.Cmd, string) {
	t.Helper()
	// Not t's own context, which is done before the clean-up: the child is to
	// close its server.
	ctx, cancel := context.WithTimeout(context.Background(), testWithin)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), childVariable+"=1", "DOCKER_HOST=unix:///no/such/engine.sock"), environment...)
	stdin, err := cmd.StdinPipe()
	check(t, err)
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
		cancel()
	})
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	return cmd, strings.TrimSpace(line)
}

func TestWhereThereIsNoEngineAContainerCannotBeForced(t *testing.T) {
	t.Parallel()
	_, told := child(t, waysVariable+"=container")
	if !strings.Contains(told, "no Docker engine answers (start one, or set DOCKER_HOST)") {
		t.Errorf("got %q", told)
	}
}

func TestWhereThereIsNoEngineAProcessIsStarted(t *testing.T) {
	t.Parallel()
	_, told := child(t, waysVariable+"=")
	if !strings.Contains(told, " local process ") {
		t.Errorf("got %q", told)
	}
}

func TestAnUnknownPlaceIsAnError(t *testing.T) {
	t.Parallel()
	_, told := child(t, waysVariable+"=cloud")
	if !strings.Contains(told, waysVariable+"=cloud is not known") {
		t.Errorf("got %q", told)
	}
}

func TestAServerDiesWithAKilledOwner(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	cmd, told := child(t, waysVariable+"=process")
	first, _, _ := strings.Cut(told, " ")
	pid, err := strconv.Atoi(first)
	if err != nil || pid == 0 {
		t.Fatalf("the child told %q", told)
	}
	if !alive(pid) {
		t.Fatal("the server is not there")
	}
	check(t, cmd.Process.Kill())
	t.Cleanup(func() { removeFolderOf(t, cmd.Process.Pid) })
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server outlived its owner")
		}
	}
}

// removeFolderOf does at once what another run would do after an hour.
func removeFolderOf(t *testing.T, pid int) {
	t.Helper()
	h, err := findHome(context.Background(), postgresReleases[0])
	check(t, err)
	folders, err := filepath.Glob(filepath.Join(h.parent, foldersNamed+strconv.Itoa(pid)+"-*"))
	check(t, err)
	if len(folders) != 1 {
		t.Errorf("the killed owner left the folders %q, want one", folders)
	}
	for _, folder := range folders {
		check(t, os.RemoveAll(folder))
	}
}

func TestOnlyWhatNobodyOwnsIsLeftOver(t *testing.T) {
	t.Parallel()
	here, err := os.Hostname()
	check(t, err)
	ended := exec.Command(os.Args[0], "-test.run=^$")
	check(t, ended.Run())
	gone, mine := strconv.Itoa(ended.Process.Pid), strconv.Itoa(os.Getpid())
	for _, row := range []struct {
		what      string
		host, pid string
		age       time.Duration
		want      bool
	}{
		{"a demo that is still running after two days", here, mine, 48 * time.Hour, false},
		{"a killed run, a minute ago", here, gone, time.Minute, false},
		{"a killed run, two hours ago", here, gone, 2 * time.Hour, true},
		{"a run in another container, two hours ago", "elsewhere", mine, 2 * time.Hour, false},
		{"a run in another container, two days ago", "elsewhere", mine, 48 * time.Hour, true},
		{"a run that left no id, two hours ago", here, "", 2 * time.Hour, true},
	} {
		if got := leftover(row.host, row.pid, time.Now().Add(-row.age)); got != row.want {
			t.Errorf("%s: left over %v, want %v", row.what, got, row.want)
		}
	}
}

func TestAMissingPrerequisiteKeepsItsCauses(t *testing.T) {
	t.Parallel()
	cause := errors.New("exit status 7")
	err := fmt.Errorf("starting: %w", &missingError{what: "install it", err: errors.Join(cause, os.ErrNotExist)})
	if !errors.Is(err, cause) || !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q", err)
	}
}
