// Package mongogate is a gate in front of a server that speaks MongoDB's protocol,
// which fails chosen calls, for tests of what a client makes of it. It is to that
// protocol what package wiregate is to PostgreSQL's, and its faults are that
// package's.
//
// It reads the messages of both sides, just well enough to know where calls begin
// and end: a sign-in, and each command of a connection that is signed in. What
// clients say besides is passed on and is no call: the hello of their monitors,
// and that sessions end. It ends the client's TLS itself and begins its own with
// the server, on the same machine. Passwords pass through it as the client proves
// them, or within a command; it cannot sign in by itself, and it keeps no values.
//
// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
package mongogate

import (
	"crypto/tls"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/gates"
)

// Config says what stands behind the gate, and how clients come in.
type Config struct {
	// Server is the server's host:port.
	Server string
	// TLS holds the gate's certificate. A client that does not speak TLS is then
	// cut off, and the server must offer TLS. Nil means that the gate offers no
	// TLS, and then the server must let clients in without it.
	TLS *tls.Config
}

// Gate is a gate that is open. Its methods may be called from several
// goroutines at once.
type Gate struct {
	*gates.Door
	config Config
	calls  gates.Series[Call]
}

// Start opens a gate on a port of the loopback interface that the system
// chooses. It does not try whether the server is there.
func Start(c Config) (*Gate, error) {
	var err error
	if c.TLS, err = gates.Check(c.Server, c.TLS); err != nil {
		return nil, err
	}
	door, err := gates.Open()
	if err != nil {
		return nil, err
	}
	g := &Gate{Door: door, config: c}
	door.Admit(g.serve)
	return g, nil
}
