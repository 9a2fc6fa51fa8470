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
func (g *Gate) Calls() []Call {
	g.mu.Lock()
	defer g.mu.Unlock()
	calls := make([]Call, len(g.calls))
	for i, c := range g.calls {
		calls[i] = *c
	}
	return calls
}

// Reset forgets calls and faults. A call that is under way goes on as it
// began, and counts no more.
func (g *Gate) Reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = nil
	g.faults = nil
}

// begin counts a call, and returns the fault that it is to meet, if any.
func (g *Gate) begin(c *Call) *injected {
	g.mu.Lock()
	defer g.mu.Unlock()
	nth := len(g.calls)
	g.calls = append(g.calls, c)
	for _, f := range g.faults {
		if f.meets(nth) {
			return f
		}
	}
	return nil
}

// addText adds a statement to a call.
func (g *Gate) addText(c *Call, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.Text != "" {
		c.Text += "; "
	}
	c.Text += text
}

// fail records an error of the server's, unless it is a later one.
func (g *Gate) fail(c *Call, sqlstate string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.Err == "" {
		c.Err = sqlstate
	}
}
