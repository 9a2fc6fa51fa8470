package wiregate

import "github.com/dbrotation/dbrotation/integration/dbservers/internal/gates"

// FaultKind is a way in which a call fails.
type FaultKind = gates.FaultKind

// The ways in which a call fails.
const (
	// CutBefore cuts the connection; the server saw nothing of the call.
	CutBefore = gates.CutBefore
	// CutAfter lets the server do it, withholds its answer, and cuts the
	// connection.
	CutAfter = gates.CutAfter
	// HoldBefore calls Fault.Act, and the server sees nothing of the call.
	// The connection stays open until the client leaves.
	HoldBefore = gates.HoldBefore
	// HoldAfter lets the server do it, then calls Fault.Act, and withholds the
	// answer. The connection stays open until the client leaves.
	HoldAfter = gates.HoldAfter
	// Stall forwards nothing and answers nothing. The connection stays open
	// until the client leaves.
	Stall = gates.Stall
)

// Fault says which calls fail, and how.
type Fault = gates.Fault

// Inject adds a fault, until the next Reset. Of several that meet the same
// call, the first counts. The function it returns reports whether the fault
// has struck.
func (g *Gate) Inject(f Fault) (fired func() bool) { return g.calls.Inject(f) }
