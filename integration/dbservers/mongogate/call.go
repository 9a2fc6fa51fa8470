package mongogate

import (
	"strconv"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/gates"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

// The kinds of calls.
const (
	// SignIn is a conversation in which a client proves who it is, from its
	// first message (a saslStart, or a hello that begins it) up to the server's
	// verdict.
	SignIn = "sign-in"
	// Statement is a command of a client that has signed in, with the server's
	// answer.
	Statement = "statement"
)

// Call is one thing that a client wanted of the server.
type Call struct {
	// Kind is SignIn or Statement.
	Kind string
	// User is the user whom the client signed in as, or wanted to.
	User string
	// Text is the command's name and those of its fields, with spaces between
	// them: "updateUser pwd mechanisms". No value of a field is kept. It is
	// empty for a sign-in.
	Text string
	// Err is the number of the error in the server's answer; empty if there
	// was none, or no answer. See
	// https://www.mongodb.com/docs/manual/reference/error-codes/.
	Err string
}

// Calls returns the calls since the last Reset, in the order in which they
// began. Calls that a fault kept from the server are among them. When a client
// has the answer to a call, the call's Err is set.
func (g *Gate) Calls() []Call { return g.calls.List() }

// Reset forgets calls and faults. A call that is under way goes on as it
// began, and counts no more.
func (g *Gate) Reset() { g.calls.Reset() }

// Inject adds a fault, until the next Reset. Of several that meet the same
// call, the first counts. The function it returns reports whether the fault
// has struck.
func (g *Gate) Inject(f wiregate.Fault) (fired func() bool) { return g.calls.Inject(f) }

// pendingCall is a call and the fault that it meets, nil for none.
type pendingCall struct {
	*Call
	fault *gates.Injected
}

// begin counts a call.
func (g *Gate) begin(c Call) pendingCall {
	return pendingCall{Call: &c, fault: g.calls.Begin(&c)}
}

// fail records an error of the server's.
func (g *Gate) fail(c pendingCall, code int32) {
	if code != 0 {
		g.calls.Change(func() { c.Err = strconv.Itoa(int(code)) })
	}
}
