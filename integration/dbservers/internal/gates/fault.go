package gates

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
	// cut call it before they do. It must not call the gate's Close.
	Act func()
}

// meets reports whether call nth is to fail.
func (f Fault) meets(nth int) bool {
	switch {
	case nth < f.Nth:
		return false
	case f.Times < 0:
		return true
	default:
		return nth < f.Nth+max(f.Times, 1)
	}
}

// Injected is a fault in place; nil is none.
type Injected struct {
	fault Fault
	fired atomic.Bool
}

// Fire is the moment of the fault.
func (f *Injected) Fire() {
	f.fired.Store(true)
	if f.fault.Act != nil {
		f.fault.Act()
	}
}

// Keeps reports whether the server is to see nothing of the call.
func (f *Injected) Keeps() bool { return f != nil && !f.Withholds() }

// Withholds reports whether the client is to see nothing of the answer.
func (f *Injected) Withholds() bool {
	return f != nil && (f.fault.Kind == CutAfter || f.fault.Kind == HoldAfter)
}

// Cuts reports whether the gate ends the connection, instead of the client.
func (f *Injected) Cuts() bool {
	return f != nil && (f.fault.Kind == CutBefore || f.fault.Kind == CutAfter)
}
