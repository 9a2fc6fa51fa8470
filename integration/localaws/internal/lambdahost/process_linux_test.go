package lambdahost_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestTheProcessDiesWithTheHost(t *testing.T) {
	t.Parallel()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path) // #nosec G204 -- this test itself
	cmd.Env = append(os.Environ(), "FUNCTION=host")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid string
	for lines := bufio.NewScanner(stdout); pid == "" && lines.Scan(); {
		pid, _ = strings.CutPrefix(lines.Text(), "pid ")
		if pid == lines.Text() {
			pid = ""
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it says that it was killed
	if pid == "" {
		t.Fatal("the host started no function")
	}
	awaitGone(t, pid)
}
