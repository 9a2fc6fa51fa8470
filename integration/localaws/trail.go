package localaws

import (
	"sync"
	"time"
)

// Call is one request to the API, as the caller's audit trail shows it. It
// holds no value and no token.
type Call struct {
	Time     time.Time
	Duration time.Duration
	Region   string
	// Operation is the name in the request, known or not.
	Operation string
	// SecretID is the secret as the request names it: a name or an ARN.
	SecretID string
	// Function is the name of the function whose role called; empty for a
	// user.
	Function string
	// InvocationID and Step tell the invocation that the calling process was
	// working on.
	InvocationID, Step string
	// ErrorCode is the error answered; empty for success. A call that a fault
	// cut off has the kind of the fault ("KillAfter").
	ErrorCode string
}

// Invocation is one finished invocation of a function for one step.
type Invocation struct {
	Function, InvocationID, Region, SecretARN, Token, Step string
	// Attempt counts the tries of this rotation from 1.
	Attempt  int
	Started  time.Time
	Duration time.Duration
	// Err is the function's error; empty for success.
	Err string
}

// Calls returns the API calls so far, in the order they were answered. It waits
// for none.
func (s *Server) Calls() []Call { return s.trail.calls.all() }

// Invocations returns the finished invocations so far, in order.
func (s *Server) Invocations() []Invocation { return s.trail.invocations.all() }

// Events returns the service events so far, in order.
func (s *Server) Events() []Event { return s.trail.events.all() }

// OnInvocation has f called after each finished invocation, before the next
// step of that rotation. Rotations of other secrets may call it at the same
// time. f must not wait for the rotation that calls it.
func (s *Server) OnInvocation(f func(Invocation)) {
	s.trail.mu.Lock()
	defer s.trail.mu.Unlock()
	s.trail.observers = append(s.trail.observers, f)
}

// A trail is what happened.
type trail struct {
	calls       journal[Call]
	invocations journal[Invocation]
	events      journal[Event]

	mu        sync.Mutex
	observers []func(Invocation)
}

// invoked records an invocation and tells the observers.
func (t *trail) invoked(i Invocation) {
	t.invocations.add(i)
	t.mu.Lock()
	observers := t.observers
	t.mu.Unlock()
	for _, f := range observers {
		f(i)
	}
}

// journalLimit is how many entries a journal keeps at least. It is far above
// what a test looks at and keeps a server that runs for weeks from growing.
const journalLimit = 100_000

// A journal holds the latest entries of one kind.
type journal[T any] struct {
	mu      sync.Mutex
	entries []T
}

func (j *journal[T]) add(entry T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) >= 2*journalLimit {
		j.entries = append(make([]T, 0, 2*journalLimit), j.entries[journalLimit:]...)
	}
	j.entries = append(j.entries, entry)
}

func (j *journal[T]) all() []T {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]T(nil), j.entries...)
}
