package lambdahost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Invocation is one event for the function.
type Invocation struct {
	// ID is the request id. It is required, and unique.
	ID string
	// Event is the event's JSON text.
	Event []byte
	// Env, if not nil, gives variables that only the processes of one sandbox
	// find in their environment, such as the role's credentials. It is asked
	// once, when a sandbox starts.
	Env func(sandbox string) map[string]string
	// OnSandbox, if not nil, is told which sandbox takes this invocation,
	// before the event is handed out. Where an idle sandbox turns out to be
	// gone it is called again; the last call counts.
	OnSandbox func(sandbox string)
}

// Invoke hands one event to the function and returns when the process has
// answered and asked for the next event, or has ended. An answer that was
// given stands, even if the process ends before it asks again.
//
// A function error is an [*InvokeError]. If ctx ends first the process is
// killed and the error wraps the cause; any other error means that the
// function could not be run here at all.
func (f *Function) Invoke(ctx context.Context, inv Invocation) error {
	if err := f.enter(); err != nil {
		return err
	}
	defer f.running.Done()
	if inv.ID == "" {
		return fmt.Errorf("invoking function %q: the invocation has no id", f.config.Name)
	}
	if ctx.Err() != nil {
		return f.givenUp(ctx)
	}
	for {
		s := f.takeIdle()
		if s == nil {
			return f.invokeFresh(ctx, inv)
		}
		if s.process.hasEnded() {
			continue // by itself, or by someone else's hand
		}
		inv.tell(s)
		e := f.newEvent(inv)
		done, timedOut := s.serve(ctx, e)
		if !done && !timedOut && ctx.Err() == nil && !s.wasTaken(e) && !s.isKilled() {
			continue // it ended just now: nobody saw the event
		}
		return f.conclude(ctx, s, e, 0, done, timedOut)
	}
}

// invokeFresh serves an invocation with a new sandbox.
func (f *Function) invokeFresh(ctx context.Context, inv Invocation) error {
	s, err := f.openSandbox(inv.Env)
	if err != nil {
		return fmt.Errorf("invoking function %q: %w", f.config.Name, err)
	}
	inv.tell(s)
	if err := s.start(); err != nil {
		return f.failStart(inv.ID, err)
	}
	if ready, timedOut := s.awaitReady(ctx); !ready {
		return f.failInit(ctx, s, inv.ID, timedOut)
	}
	initTook, _ := s.initOutcome()
	e := f.newEvent(inv)
	done, timedOut := s.serve(ctx, e)
	return f.conclude(ctx, s, e, initTook, done, timedOut)
}

func (inv Invocation) tell(s *sandbox) {
	if inv.OnSandbox != nil {
		inv.OnSandbox(s.id)
	}
}

func (f *Function) newEvent(inv Invocation) *event {
	return &event{
		id:       inv.ID,
		body:     inv.Event,
		deadline: time.Now().Add(f.config.Timeout),
		done:     make(chan struct{}),
	}
}

// conclude tells the log and the caller how an event ended.
func (f *Function) conclude(ctx context.Context, s *sandbox, e *event, initTook time.Duration, done, timedOut bool) error {
	took := time.Since(e.deadline.Add(-f.config.Timeout))
	if !s.wasTaken(e) {
		f.logStart(e.id)
	}
	answered, failure := s.outcome(e)
	report := report{id: e.id, took: took, initTook: initTook, process: s.process}
	switch {
	case done:
	case timedOut:
		report.status = "timeout"
		f.logTimeout(e.id)
	default:
		report.status, report.errorType = "error", typeExit
		f.logExit(e.id, s.process.exitReason())
	}
	f.logReport(report)
	if done {
		f.putIdle(s)
	}
	switch {
	case answered && failure != nil:
		return failure
	case answered:
		return nil
	case timedOut:
		return f.timedOut(e.id)
	case ctx.Err() != nil:
		return f.givenUp(ctx)
	default:
		return exited(e.id, s.process.exitReason())
	}
}

// failInit tells the log and the caller that a process did not get as far as
// asking for an event.
func (f *Function) failInit(ctx context.Context, s *sandbox, id string, timedOut bool) error {
	took, failure := s.initOutcome()
	var err error
	switch {
	case timedOut:
		f.logInit(took, "timeout", "")
		err = &InvokeError{
			Type:     typeTimedOut,
			Message:  fmt.Sprintf("RequestId: %s Error: Initialization timed out after %.2f seconds", id, f.initLimit.Seconds()),
			TimedOut: true,
		}
	case ctx.Err() != nil:
		f.logInit(took, "error", typeExit)
		err = f.givenUp(ctx)
	case failure != nil:
		f.logInit(took, "error", failure.Type)
		err = failure
	default:
		f.logInit(took, "error", typeExit)
		err = exited(id, s.process.exitReason())
	}
	f.logStart(id)
	if !timedOut {
		f.logExit(id, s.process.exitReason())
	}
	f.logReport(report{id: id, took: took, process: s.process, status: "error", errorType: typeExit})
	return err
}

// failStart tells the log and the caller that there was no process at all.
func (f *Function) failStart(id string, cause error) error {
	if errors.Is(cause, errKilled) {
		return exited(id, "Runtime exited with error: "+errKilled.Error())
	}
	var unusable *fs.PathError // as os.StartProcess tells it
	if !errors.As(cause, &unusable) {
		return fmt.Errorf("invoking function %q: %w", f.config.Name, cause)
	}
	failure := &InvokeError{
		Type:    typeEntrypoint,
		Message: fmt.Sprintf("RequestId: %s Error: %v", id, cause),
	}
	f.logStart(id)
	f.log.printf("%s", failure.Message)
	f.log.printf("%s", failure.Type)
	f.logReport(report{id: id, status: "error", errorType: failure.Type})
	return failure
}

func (f *Function) timedOut(id string) error {
	return &InvokeError{
		Type:     typeTimedOut,
		Message:  fmt.Sprintf("RequestId: %s Error: %s", id, f.timeoutText()),
		TimedOut: true,
	}
}

func (f *Function) timeoutText() string {
	return fmt.Sprintf("Task timed out after %.2f seconds", f.config.Timeout.Seconds())
}

func exited(id, reason string) error {
	return &InvokeError{Type: typeExit, Message: fmt.Sprintf("RequestId: %s Error: %s", id, reason)}
}

func (f *Function) givenUp(ctx context.Context) error {
	return fmt.Errorf("invoking function %q: %w", f.config.Name, context.Cause(ctx))
}
