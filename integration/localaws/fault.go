package localaws

import (
	"fmt"
	"sync"
	"time"
)

// FaultKind says what goes wrong with a call.
type FaultKind int

// The kinds of faults.
const (
	// FailBefore answers an error; nothing was done.
	FailBefore FaultKind = iota
	// FailAfter does what was asked, then cuts the connection without an
	// answer.
	FailAfter
	// Delay does what was asked and answers Fault.Delay later.
	Delay
	// StaleRead answers a read as before the last write to that secret: a
	// version just put is not there, labels are where they were. It matches
	// GetSecretValue, DescribeSecret and ListSecretVersionIds alone.
	StaleRead
	// KillBefore kills the process that calls; nothing was done. It matches
	// calls by functions alone.
	KillBefore
	// KillAfter does what was asked, then kills the process that called. It
	// matches calls by functions alone.
	KillAfter
)

// String returns the kind's name, as in "FailBefore".
func (k FaultKind) String() string {
	switch k {
	case FailBefore:
		return "FailBefore"
	case FailAfter:
		return "FailAfter"
	case Delay:
		return "Delay"
	case StaleRead:
		return "StaleRead"
	case KillBefore:
		return "KillBefore"
	case KillAfter:
		return "KillAfter"
	default:
		return fmt.Sprintf("FaultKind(%d)", int(k))
	}
}

// Fault is something to go wrong with the calls that it matches.
type Fault struct {
	Kind FaultKind
	// Operation is the name of the only operation to match, as in
	// "PutSecretValue"; empty matches any.
	Operation string
	// Function is the name of the only function whose calls match; empty
	// matches any caller.
	Function string
	// Skip lets so many matching calls pass first.
	Skip int
	// Times is how often the fault happens: zero is once, negative is until
	// ClearFaults.
	Times int
	// Delay is how late a call is answered, for the kind Delay.
	Delay time.Duration
	// Code is the error that FailBefore answers. Empty means
	// InternalServiceError with HTTP status 500; any other comes with 400.
	Code string
}

// Injected is a fault in place.
type Injected struct {
	fault Fault
	board *faultBoard

	seen, fired int // guarded by board.mu
}

// Fired returns how often the fault has happened.
func (i *Injected) Fired() int {
	i.board.mu.Lock()
	defer i.board.mu.Unlock()
	return i.fired
}

// Inject puts a fault in place, until it has happened as often as it should or
// [Server.ClearFaults] is called. When several faults match a call, the one
// injected first happens; the others do not count that call as passed if it was
// their turn.
func (s *Server) Inject(f Fault) *Injected {
	if f.Times == 0 {
		f.Times = 1
	}
	i := &Injected{fault: f, board: &s.faults}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.injected = append(s.faults.injected, i)
	return i
}

// ClearFaults takes all faults away. [Injected.Fired] keeps its count.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.injected = nil
}

// A faultBoard holds the faults in the order of their injection.
type faultBoard struct {
	mu       sync.Mutex
	injected []*Injected
}

// take counts a call and returns the fault that happens to it, or nil.
func (b *faultBoard) take(operation, function string, staleable bool) *Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	var hit *Injected
	for _, i := range b.injected {
		if !i.fault.matches(operation, function, staleable) {
			continue
		}
		if i.seen < i.fault.Skip {
			i.seen++
			continue
		}
		if hit == nil && (i.fault.Times < 0 || i.fired < i.fault.Times) {
			hit = i
		}
	}
	if hit == nil {
		return nil
	}
	hit.fired++
	f := hit.fault
	return &f
}

func (f *Fault) matches(operation, function string, staleable bool) bool {
	switch f.Kind {
	case StaleRead:
		if !staleable {
			return false
		}
	case KillBefore, KillAfter:
		if function == "" {
			return false
		}
	}
	return (f.Operation == "" || f.Operation == operation) &&
		(f.Function == "" || f.Function == function)
}

// answer is the error of a FailBefore.
func (f *Fault) answer() *apiError {
	if f.Code == "" || f.Code == codeInternal {
		return internalError("This failure was injected.")
	}
	return &apiError{Code: f.Code, Message: "This failure was injected.", Status: 400}
}
