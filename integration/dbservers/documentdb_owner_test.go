package dbservers

import (
	"bufio"
	"context"
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

// standInVariable makes the test below the owner of a stand-in, who tells its
// process and waits to be killed.
const standInVariable = "DBSERVERS_TEST_STAND_IN"

func TestAStandInForDocumentDBDiesWithAKilledOwner(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	if os.Getenv(standInVariable) != "" {
		s := startStandIn(t, DocumentDBOptions{})
		fmt.Printf("\n%d\n", behind(t, s).current.cmd.Process.Pid)
		time.Sleep(testWithin)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), testWithin)
	defer cancel()
	owner := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$")
	owner.Env = append(os.Environ(), standInVariable+"=1")
	told, err := owner.StdoutPipe()
	check(t, err)
	check(t, owner.Start())
	defer func() { _ = owner.Wait() }()
	pid := 0
	for lines := bufio.NewScanner(told); pid == 0 && lines.Scan(); {
		pid, _ = strconv.Atoi(strings.TrimSpace(lines.Text()))
	}
	if pid == 0 || !alive(pid) {
		t.Fatalf("the server is not there: process %d", pid)
	}
	check(t, owner.Process.Kill())
	// What another run would do after an hour.
	defer func() {
		folders, err := filepath.Glob(filepath.Join(os.TempDir(), foldersNamed+strconv.Itoa(owner.Process.Pid)+"-*"))
		check(t, err)
		for _, folder := range folders {
			check(t, os.RemoveAll(folder))
		}
	}()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server outlived its owner")
		}
	}
}
