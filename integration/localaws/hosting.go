package localaws

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/lambdahost"
)

// A function is a Function in place.
type function struct {
	Function
	server *Server
	log    *functionLog

	mu      sync.Mutex
	hosts   map[string]*lambdahost.Function // by Region
	running map[string]*invoking            // by invocation id
	closed  bool
}

// invoking is an invocation that runs now.
type invoking struct {
	id, region, secretARN, step string
	sandbox                     string             // of a process
	cancel                      context.CancelFunc // of a handler
}

// invoke runs one event and waits for its end.
func (fn *function) invoke(ctx context.Context, inv *invoking, event []byte) error {
	if fn.Handler != nil {
		return fn.invokeHandler(ctx, inv, event)
	}
	host, err := fn.host(inv.region)
	if err != nil {
		return fmt.Errorf("hosting function %s: %w", fn.Name, err)
	}
	if !fn.begin(inv) {
		return errClosed
	}
	defer fn.end(inv)
	return host.Invoke(ctx, lambdahost.Invocation{
		ID:    inv.id,
		Event: event,
		Env: func(sandbox string) map[string]string {
			return fn.server.credentials.ofSandbox(fn.Name, sandbox).environment(fn.server.Endpoint())
		},
		OnSandbox: func(sandbox string) {
			fn.mu.Lock()
			defer fn.mu.Unlock()
			inv.sandbox = sandbox
		},
	})
}

// host returns the processes of the function in one Region.
func (fn *function) host(region string) (*lambdahost.Function, error) {
	fn.mu.Lock()
	defer fn.mu.Unlock()
	if fn.closed {
		return nil, errClosed
	}
	if h := fn.hosts[region]; h != nil {
		return h, nil
	}
	h, err := lambdahost.New(lambdahost.Config{
		Name: fn.Name, ARN: FunctionARN(region, fn.Name), Path: fn.Path, Region: region,
		Env: fn.Env, Timeout: fn.Timeout, MemoryMB: fn.MemoryMB, Log: fn.log,
	})
	if err != nil {
		return nil, err
	}
	fn.hosts[region] = h
	return h, nil
}

func (fn *function) begin(inv *invoking) bool {
	fn.mu.Lock()
	defer fn.mu.Unlock()
	if fn.closed {
		return false
	}
	fn.running[inv.id] = inv
	return true
}

func (fn *function) end(inv *invoking) {
	fn.mu.Lock()
	defer fn.mu.Unlock()
	delete(fn.running, inv.id)
}

// invokeHandler runs the handler as Lambda runs a process: with its start and
// end in the log, and given up at the time-out whatever the handler does.
func (fn *function) invokeHandler(ctx context.Context, inv *invoking, event []byte) error {
	started := time.Now()
	parent := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inv.cancel = cancel
	ctx, release := context.WithDeadline(ctx, started.Add(fn.Timeout))
	defer release()
	if !fn.begin(inv) {
		return errClosed
	}
	defer fn.end(inv)

	_, _ = fmt.Fprintf(fn.log, "START RequestId: %s Version: $LATEST\n", inv.id)
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("panic: %v", p)
			}
		}()
		done <- fn.Handler(ctx, event)
	}()
	err := fn.outcome(ctx, done)
	switch {
	case parent.Err() != nil:
		err = parent.Err()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = &lambdahost.InvokeError{
			Type:     "Sandbox.Timedout",
			Message:  fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", inv.id, fn.Timeout.Seconds()),
			TimedOut: true,
		}
	case ctx.Err() != nil: // killed: it fails, whatever it had got done
		err = &lambdahost.InvokeError{
			Type:    "Runtime.ExitError",
			Message: fmt.Sprintf("RequestId: %s Error: Runtime exited with error: signal: killed", inv.id),
		}
	}
	spent := time.Since(started)
	_, _ = fmt.Fprintf(fn.log, "END RequestId: %s\nREPORT RequestId: %s\tDuration: %.2f ms\n",
		inv.id, inv.id, float64(spent)/float64(time.Millisecond))
	return err
}

// grace is how long a handler whose context has ended may take to return. A
// process would be dead at once; waiting keeps what the handler does last from
// falling into the next attempt.
const grace = 2 * time.Second

// outcome waits for a handler, or for the end of its context.
func (fn *function) outcome(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return ctx.Err()
	}
}

// caller returns the running invocation that a call with these credentials
// comes from, or nil. A process has credentials of its own; handlers share
// their role's, and are told apart by Region and secret.
func (fn *function) caller(sandbox, region, secretARN string) *invoking {
	fn.mu.Lock()
	defer fn.mu.Unlock()
	var candidates []*invoking
	for _, inv := range fn.running {
		if sandbox != "" {
			if inv.sandbox == sandbox {
				return inv
			}
			continue
		}
		if inv.region != region {
			continue
		}
		if inv.secretARN == secretARN {
			return inv
		}
		candidates = append(candidates, inv)
	}
	if len(candidates) == 1 {
		return candidates[0]
	}
	return nil
}

// killCaller kills the process, or cancels the handler, of one invocation.
func (fn *function) killCaller(inv *invoking) {
	fn.mu.Lock()
	host, sandbox, cancel := fn.hosts[inv.region], inv.sandbox, inv.cancel
	fn.mu.Unlock()
	if cancel != nil {
		cancel()
		return
	}
	if host != nil && sandbox != "" {
		host.KillSandbox(sandbox)
	}
}

func (fn *function) kill() {
	fn.mu.Lock()
	hosts := make([]*lambdahost.Function, 0, len(fn.hosts))
	for _, h := range fn.hosts {
		hosts = append(hosts, h)
	}
	for _, inv := range fn.running {
		if inv.cancel != nil {
			inv.cancel()
		}
	}
	fn.mu.Unlock()
	for _, h := range hosts {
		h.Kill()
	}
}

func (fn *function) close() error {
	fn.mu.Lock()
	fn.closed = true // first, so that nothing begins after the kill
	fn.mu.Unlock()
	fn.kill()
	var errs []error
	for _, h := range fn.hosts { // constant, once closed
		errs = append(errs, h.Close())
	}
	return errors.Join(errs...)
}
