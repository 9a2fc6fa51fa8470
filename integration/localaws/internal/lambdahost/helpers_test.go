package lambdahost_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/lambdahost"
)

// bound is how long a test waits for what should come at once.
const bound = 20 * time.Second

// journal is a log that a test reads.
type journal struct {
	mu     sync.Mutex
	writes []string
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.writes = append(j.writes, string(p))
	return len(p), nil
}

// lines are the Writes so far, each without its line feed.
func (j *journal) lines() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := slices.Clone(j.writes)
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\n")
	}
	return lines
}

// told are the lines of the function itself that begin with word, without it.
func (j *journal) told(word string) []string {
	var told []string
	for _, line := range j.lines() {
		if rest, ok := strings.CutPrefix(line, word+" "); ok {
			told = append(told, rest)
		}
	}
	return told
}

func (j *journal) text() string { return strings.Join(j.lines(), "\n") }

// expect fails the test unless a line matches pattern.
func (j *journal) expect(t *testing.T, pattern string) {
	t.Helper()
	if !slices.ContainsFunc(j.lines(), regexp.MustCompile(pattern).MatchString) {
		t.Errorf("no line of the log matches %s:\n%s", pattern, j.text())
	}
}

// host is a function under test, its log, and short words for what tests do.
type host struct {
	*lambdahost.Function
	t   *testing.T
	log *journal
}

type option func(*lambdahost.Config)

func timeout(d time.Duration) option { return func(c *lambdahost.Config) { c.Timeout = d } }
func memory(mb int) option           { return func(c *lambdahost.Config) { c.MemoryMB = mb } }
func env(name, value string) option {
	return func(c *lambdahost.Config) { c.Env[name] = value }
}

// newHost hosts this test binary, which by the variable FUNCTION becomes the
// function of that name (function_test.go).
func newHost(t *testing.T, function string, options ...option) *host {
	t.Helper()
	log := &journal{}
	c := config(log, function)
	for _, o := range options {
		o(&c)
	}
	f, err := lambdahost.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return &host{f, t, log}
}

func config(log io.Writer, function string) lambdahost.Config {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return lambdahost.Config{
		Name:    "rotation",
		ARN:     "arn:aws:lambda:eu-central-1:123456789012:function:rotation",
		Path:    path,
		Region:  "eu-central-1",
		Env:     map[string]string{"FUNCTION": function},
		Timeout: bound,
		Log:     log,
	}
}

var counter struct {
	sync.Mutex
	n int
}

func newID() string {
	counter.Lock()
	defer counter.Unlock()
	counter.n++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", counter.n)
}

// event is an invocation that asks the function to do something.
func event(do string) lambdahost.Invocation {
	return lambdahost.Invocation{ID: newID(), Event: fmt.Appendf(nil, `{"do":%q}`, do)}
}

func (h *host) invoke(inv lambdahost.Invocation) error {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	return h.Invoke(ctx, inv)
}

// do invokes and demands success.
func (h *host) do(what string) {
	h.t.Helper()
	if err := h.invoke(event(what)); err != nil {
		h.t.Fatalf("%s: %v\n%s", what, err, h.log.text())
	}
}

// start invokes in the background.
func (h *host) start(inv lambdahost.Invocation) <-chan error {
	result := make(chan error, 1)
	go func() { result <- h.invoke(inv) }()
	return result
}

// functionError demands an InvokeError.
func functionError(t *testing.T, err error) *lambdahost.InvokeError {
	t.Helper()
	var failure *lambdahost.InvokeError
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want a function error", err)
	}
	return failure
}

// until polls until done.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(bound); !done(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func receive(t *testing.T, result <-chan error) error {
	t.Helper()
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(bound):
		t.Fatal("the invocation does not end")
		return nil
	}
}

// goroutines are the stacks of those that run code of the host.
func goroutines() []string {
	buffer := make([]byte, 1<<20)
	var found []string
	for _, stack := range bytes.Split(buffer[:runtime.Stack(buffer, true)], []byte("\n\n")) {
		if bytes.Contains(stack, []byte("/lambdahost.(*")) {
			found = append(found, string(stack))
		}
	}
	return found
}
