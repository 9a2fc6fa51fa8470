package wiregate

// The kinds of calls.
const (
	// SignIn is a start-up message, up to the server's word that it is ready
	// or its error.
	SignIn = "sign-in"
	// Statement is a simple query, or extended messages up to Sync, with the
	// server's answer up to its word that it is ready.
	Statement = "statement"
)

// Call is one thing that a client wanted of the server.
type Call struct {
	// Kind is SignIn or Statement.
	Kind string
	// User is the user whom the client signed in as, or wanted to.
	User string
	// Text is the statement, every string literal of which is replaced by
	// '...' and every comment by a space; several that came up to one Sync are
	// joined by "; ". Values that were bound to it are not kept. It is empty
	// for a sign-in.
	Text string
	// Err is the SQLSTATE of the first error in the server's answer; empty if
	// there was none, or no answer. See
	// https://www.postgresql.org/docs/current/errcodes-appendix.html.
	Err string
}

// Calls returns the calls since the last Reset, in the order in which they
// began. Calls that a fault kept from the server are among them. When a client
// has the answer to a call, the call's Err is set.
func (g *Gate) Calls() []Call { return g.calls.List() }

// Reset forgets calls and faults. A call that is under way goes on as it
// began, and counts no more.
func (g *Gate) Reset() { g.calls.Reset() }

// addText adds a statement to a call.
func (g *Gate) addText(c *Call, text string) {
	g.calls.Change(func() {
		if c.Text != "" {
			c.Text += "; "
		}
		c.Text += text
	})
}

// fail records an error of the server's, unless it is a later one.
func (g *Gate) fail(c *Call, sqlstate string) {
	g.calls.Change(func() {
		if c.Err == "" {
			c.Err = sqlstate
		}
	})
}
