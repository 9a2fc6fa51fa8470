package gates

import "sync"

// Series are calls that are counted together, and the faults that they meet. Its
// zero value is ready, and its methods may be called from several goroutines at
// once.
type Series[Call any] struct {
	mu     sync.Mutex
	calls  []*Call
	faults []*Injected
}

// List returns the calls since the last Reset, in the order in which they began.
// Calls that a fault kept from the server are among them.
func (s *Series[Call]) List() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.calls))
	for i, c := range s.calls {
		calls[i] = *c
	}
	return calls
}

// Reset forgets calls and faults. A call that is under way goes on as it began,
// and counts no more.
func (s *Series[Call]) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.faults = nil, nil
}

// Inject adds a fault, until the next Reset. Of several that meet the same call,
// the first counts. The function it returns reports whether the fault has struck.
func (s *Series[Call]) Inject(f Fault) (fired func() bool) {
	in := &Injected{fault: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, in)
	return in.fired.Load
}

// Begin counts a call, and returns the fault that it is to meet.
func (s *Series[Call]) Begin(c *Call) *Injected {
	s.mu.Lock()
	defer s.mu.Unlock()
	nth := len(s.calls)
	s.calls = append(s.calls, c)
	for _, f := range s.faults {
		if f.fault.meets(nth) {
			return f
		}
	}
	return nil
}

// Change changes a call of the series while nobody lists them.
func (s *Series[Call]) Change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}
