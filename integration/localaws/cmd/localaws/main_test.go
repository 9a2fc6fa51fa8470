package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLinesThatAreNone(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(script, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		story  string
		args   []string
		status int
		want   string
	}{
		{"help", []string{"--help"}, 0, "-function-env"},
		{"a mistyped flag", []string{"--lisen", "x"}, exitUsage, "-lisen"},
		{"an argument", []string{"start"}, exitUsage, `unexpected argument "start"`},
		{"a function without a path", []string{"--function", "rotation"}, exitUsage, "NAME=PATH"},
		{"a function twice", []string{"--function", "a=x", "--function", "a=y"}, exitUsage, "names a twice"},
		{"an environment for no function", []string{"--function-env", "a:K=planted"}, exitUsage, "function a, which no --function names"},
		{"an environment without a name", []string{"--function-env", "K=planted"}, exitUsage, "NAME:KEY=VALUE"},
		{"an environment without a value", []string{"--function-env", "planted"}, exitUsage, "NAME:KEY=VALUE"},
		{"no time at all", []string{"--function-timeout", "0s"}, exitUsage, "more than zero"},
		{"a root key without data", []string{"--root-key", "x"}, exitUsage, "--root-key needs --data"},
		{"an address that is none", []string{"--listen", "256.0.0.1:1"}, exitFailed, "256.0.0.1"},
		{"a program that is not there", []string{"--listen", "127.0.0.1:0", "--function", "a=/does/not/exist"}, exitFailed, "/does/not/exist"},
		{"a program that does not run", []string{"--listen", "127.0.0.1:0", "--function", "a=" + script}, exitFailed, script},
	} {
		var stdout, stderr strings.Builder
		status := run(t.Context(), c.args, &stdout, &stderr)
		if status != c.status || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: status %d, %q", c.story, status, stderr.String())
		}
		if strings.Contains(stderr.String(), "planted") {
			t.Errorf("%s: the error repeats a value: %q", c.story, stderr.String())
		}
	}
}

func TestServesUntilTheSignal(t *testing.T) {
	t.Parallel()
	ctx, signal := context.WithCancel(t.Context())
	defer signal()
	out, in := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data")}, in, io.Discard)
		_ = in.Close()
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("it says nothing")
	}
	_, rest, _ := strings.Cut(lines.Text(), " at ")
	endpoint, _, _ := strings.Cut(rest, ",")
	go func() {
		for lines.Scan() { // keeps the pipe from filling up
		}
	}()
	res, err := http.Post(endpoint, "application/x-amz-json-1.1", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("an unsigned request gets %s", res.Status)
	}
	signal()
	if got := <-status; got != 0 {
		t.Errorf("status %d", got)
	}
	if res, err := http.Post(endpoint, "", nil); err == nil {
		_ = res.Body.Close()
		t.Error("it still answers")
	}
}
