package lambdahost

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// sandbox is one process of a function, with a Runtime API of its own. It
// serves one event at a time; whoever took it from the idle ones, or opened
// it, has it alone.
type sandbox struct {
	id       string
	function *Function
	api      *http.Server
	address  string
	own      map[string]string // variables of this sandbox alone
	served   chan struct{}     // closed when api accepts no more
	clients  sync.WaitGroup    // connections to api
	events   chan *event       // to whichever request waits for the next event
	ready    chan struct{}     // closed at the first request for an event
	exited   chan struct{}     // closed when the process is gone, or never was

	mu        sync.Mutex
	killed    bool
	process   *process // nil before the start
	stdout    *output
	stderr    *output
	started   time.Time
	polled    bool
	initTook  time.Duration
	initError *InvokeError
	current   *event
}

// event is one invocation as a sandbox sees it. Its fields are guarded by the
// sandbox's mutex, constant ones aside.
type event struct {
	id       string
	body     []byte
	deadline time.Time
	done     chan struct{} // closed when it is answered and the next event is asked for

	taken    bool
	answered bool
	failure  *InvokeError // the answer, if it is an error
}

// openSandbox makes a sandbox whose process is not started yet.
func (f *Function) openSandbox(ask func(sandbox string) map[string]string) (*sandbox, error) {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails: https://pkg.go.dev/crypto/rand#Read
	s := &sandbox{
		id:       hex.EncodeToString(id),
		function: f,
		served:   make(chan struct{}),
		events:   make(chan *event),
		ready:    make(chan struct{}),
		exited:   make(chan struct{}),
	}
	if ask != nil {
		s.own = ask(s.id)
	}
	if err := checkVariables(s.own); err != nil {
		return nil, fmt.Errorf("opening a sandbox: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a sandbox: %w", err)
	}
	if err := f.register(s); err != nil {
		return nil, errors.Join(fmt.Errorf("opening a sandbox: %w", err), listener.Close())
	}
	s.address = listener.Addr().String()
	s.api = &http.Server{Handler: s.runtimeAPI(), ReadHeaderTimeout: 10 * time.Second, ConnState: s.countClient}
	go func() {
		defer close(s.served)
		_ = s.api.Serve(listener) // ends by Close, and says so
	}()
	return s, nil
}

// countClient keeps count of the connections, so that end can wait until the
// last one is served.
func (s *sandbox) countClient(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.clients.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.clients.Done()
	}
}

// errKilled is the failure to start in a sandbox that was killed before.
var errKilled = errors.New("signal: killed")

// start starts the process. Where it cannot, the sandbox is gone.
func (s *sandbox) start() error {
	err := s.startProcess()
	if err != nil {
		s.end()
		return err
	}
	go func() {
		s.process.wait()
		s.stdout.finish()
		s.stderr.finish()
		s.end()
	}()
	return nil
}

func (s *sandbox) startProcess() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.killed {
		return errKilled
	}
	f := s.function
	stdout, toStdout, err := newOutput(f.log)
	if err != nil {
		return err
	}
	stderr, toStderr, err := newOutput(f.log)
	if err != nil {
		stdout.finish()
		return errors.Join(err, toStdout.Close())
	}
	s.started = time.Now()
	cmd := &exec.Cmd{
		Path:        f.config.Path,
		Args:        []string{f.config.Path},
		Env:         f.config.environment(s.id, s.address, s.started, s.own),
		Dir:         filepath.Dir(f.config.Path),
		Stdout:      toStdout,
		Stderr:      toStderr,
		SysProcAttr: processAttributes(),
	}
	err = f.launch.start(cmd)
	for _, file := range []*os.File{toStdout, toStderr} {
		_ = file.Close() // the process has its own
	}
	if err != nil {
		stdout.finish()
		stderr.finish()
		return err
	}
	s.process, s.stdout, s.stderr = &process{cmd: cmd}, stdout, stderr
	return nil
}

// end lets go of all that is left when the process is gone.
func (s *sandbox) end() {
	s.function.forget(s)
	close(s.exited)
	_ = s.api.Close()
	<-s.served
	s.clients.Wait()
	s.function.living.Done()
}

// signalKill kills the process, or keeps it from being started.
func (s *sandbox) signalKill() (started bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = true
	if s.process == nil {
		return false
	}
	s.process.kill()
	return true
}

// kill is signalKill, and returns when the process is gone.
func (s *sandbox) kill() {
	if s.signalKill() {
		<-s.exited
	}
}

func (s *sandbox) isKilled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.killed
}

// awaitReady returns when the process has asked for its first event. If ctx
// ends first, or the process, or its time, the sandbox is gone.
func (s *sandbox) awaitReady(ctx context.Context) (ready, timedOut bool) {
	limit := time.NewTimer(s.function.initLimit)
	defer limit.Stop()
	select {
	case <-s.ready:
		return true, false
	case <-s.exited:
		return false, false
	case <-limit.C:
		timedOut = true
	case <-ctx.Done():
	}
	s.kill()
	return false, timedOut
}

// serve hands e to the process and returns when it is done with it. If ctx
// ends first, or the process, or its time, the sandbox is gone. A sandbox that
// was gone before it could take e leaves e.taken false.
func (s *sandbox) serve(ctx context.Context, e *event) (done, timedOut bool) {
	s.mu.Lock()
	s.current = e
	s.mu.Unlock()
	limit := time.NewTimer(time.Until(e.deadline))
	defer limit.Stop()
	select {
	case s.events <- e:
		select {
		case <-e.done:
			s.stdout.drain()
			s.stderr.drain()
			return true, false
		case <-s.exited:
			return false, false
		case <-limit.C:
			timedOut = true
		case <-ctx.Done():
		}
	case <-s.exited:
		return false, false
	case <-limit.C:
		timedOut = true
	case <-ctx.Done():
	}
	s.kill()
	return false, timedOut
}

// wasTaken reports whether the process got e.
func (s *sandbox) wasTaken(e *event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.taken
}

// outcome is the answer to e, which the sandbox is done with. No answer is
// taken after it.
func (s *sandbox) outcome(e *event) (answered bool, failure *InvokeError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = nil
	return e.answered, e.failure
}

// initOutcome is how long the initialisation took, and the error that the
// process gave for its failure, if it gave one.
func (s *sandbox) initOutcome() (took time.Duration, failure *InvokeError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.polled {
		return time.Since(s.started), s.initError
	}
	return s.initTook, nil
}
