package mysqlgate

import (
	"strconv"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/gates"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

// The kinds of calls.
const (
	// SignIn is what a client says of who it is, up to the server's verdict.
	SignIn = "sign-in"
	// Statement is a command, with the whole of the server's answer.
	Statement = "statement"
	// Quit is a client's word that it leaves. There is no answer to it.
	Quit = "quit"
)

// Call is one thing that a client wanted of the server.
type Call struct {
	// Kind is SignIn, Statement or Quit.
	Kind string
	// User is the user whom the client signed in as, or wanted to.
	User string
	// Text is the statement, every string of which is replaced by '...' and
	// every comment by a space. It is empty for a sign-in, and "ping" for a
	// ping.
	Text string
	// Err is the number of the error in the server's answer; empty if there
	// was none, or no answer. See
	// https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html.
	Err string
}

// Calls returns the sign-ins and statements since the last Reset, in the order
// in which they began. Calls that a fault kept from the server are among them.
// When a client has the answer to a call, the call's Err is set.
func (g *Gate) Calls() []Call { return g.answered.List() }

// Quits is Calls for quits, which are counted by themselves: a client does not
// wait for the gate to have heard of one before it signs in anew.
func (g *Gate) Quits() []Call { return g.quits.List() }

// Reset forgets calls and faults. A call that is under way goes on as it
// began, and counts no more.
func (g *Gate) Reset() {
	g.answered.Reset()
	g.quits.Reset()
}

// Inject adds a fault of sign-ins and statements, until the next Reset. Of
// several that meet the same call, the first counts. The function it returns
// reports whether the fault has struck.
func (g *Gate) Inject(f wiregate.Fault) (fired func() bool) { return g.answered.Inject(f) }

// InjectAtQuit is Inject for quits. The client has left whatever the fault: it
// decides whether the server is told, and when the fault's Act runs.
func (g *Gate) InjectAtQuit(f wiregate.Fault) (fired func() bool) { return g.quits.Inject(f) }

// pendingCall is a call and the fault that it meets, nil for none.
type pendingCall struct {
	*Call
	fault *gates.Injected
}

// begin counts a call.
func (g *Gate) begin(c Call) pendingCall {
	series := &g.answered
	if c.Kind == Quit {
		series = &g.quits
	}
	return pendingCall{Call: &c, fault: series.Begin(&c)}
}

// fail records an error of the server's.
func (g *Gate) fail(c pendingCall, number uint16) {
	g.answered.Change(func() { c.Err = strconv.Itoa(int(number)) })
}
