package wiregate

import "sync/atomic"

// FaultKind is a way in which a call fails.
type FaultKind int

const (
	// CutBefore cuts the connection; the server saw nothing of the call.
	CutBefore FaultKind = iota
	// CutAfter lets the server do it, withholds its answer, and cuts the
	// connection.
	CutAfter
	// HoldBefore calls Fault.Act, and the server sees nothing of the call.
	// The connection stays open until the client leaves.
	HoldBefore
	// HoldAfter lets the server do it, then calls Fault.Act, and withholds the
	// answer. The connection stays open until the client leaves.
	HoldAfter
	// Stall forwards nothing and answers nothing. The connection stays open
	// until the client leaves.
	Stall
)

// String returns the kind's name.
func (k FaultKind) String() string {
	switch k {
	case CutBefore:
		return "CutBefore"
	case CutAfter:
		return "CutAfter"
	case HoldBefore:
		return "HoldBefore"
	case HoldAfter:
		return "HoldAfter"
	case Stall:
		return "Stall"
	default:
		return "unknown kind of fault"
	}
}

// after reports whether the server gets to do the call.
func (k FaultKind) after() bool { return k == CutAfter || k == HoldAfter }

// cuts reports whether the gate ends the connection, instead of the client.
func (k FaultKind) cuts() bool { return k == CutBefore || k == CutAfter }

// Fault says which calls fail, and how.
type Fault struct {
	// Kind is how.
	Kind FaultKind
	// Nth is the first call that fails, counted from 0 at the last Reset.
	Nth int
	// Times is how many calls in a row fail. Zero means one; a negative number
	// means that call and all later ones.
	Times int
	// Act, if not nil, is called once for each call that fails, at the moment
	// of the fault: it may, for example, kill the client's process. Kinds that
	// cut call it before they do. It must not call Gate.Close.
	Act func()
}

// injected is a fault in place.
type injected struct {
	Fault
	fired atomic.Bool
}

// meets reports whether call nth is to fail.
func (f *injected) meets(nth int) bool {
	switch {
	case nth < f.Nth:
		return false
	case f.Times < 0:
		return true
	default:
		return nth < f.Nth+max(f.Times, 1)
	}
}

// fire is the moment of the fault.
func (f *injected) fire() {
	f.fired.Store(true)
	if f.Act != nil {
		f.Act()
	}
}

// Inject adds a fault, until the next Reset. Of several that meet the same
// call, the first counts. The function it returns reports whether the fault
// has struck.
func (g *Gate) Inject(f Fault) (fired func() bool) {
	in := &injected{Fault: f}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, in)
	return in.fired.Load
}
