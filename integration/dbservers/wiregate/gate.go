// Package wiregate is a gate in front of a PostgreSQL server that fails chosen
// calls, for tests of what a client makes of it.
//
// It speaks the PostgreSQL protocol with both sides, just well enough to know
// where calls begin and end: a sign-in, and each statement. It ends the
// client's TLS itself and reaches the server, on the same machine, in
// plaintext. Passwords pass through it as the client proves them (SCRAM, md5);
// it cannot sign in by itself, and it keeps no statement's literals.
//
// The client must not demand SCRAM's channel binding, which would bind it to
// the gate's certificate and not the server's.
package wiregate

import (
	"crypto/tls"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/gates"
)

// Config says what stands behind the gate, and how clients come in.
type Config struct {
	// Server is the server's host:port. It must let clients in without TLS.
	Server string
	// TLS holds the gate's certificate. A client that does not ask for TLS is
	// then refused. Nil means that the gate offers no TLS.
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
