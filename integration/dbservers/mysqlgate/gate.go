// Package mysqlgate is a gate in front of a MySQL or MariaDB server that fails
// chosen calls, for tests of what a client makes of it. It is to their protocol
// what package wiregate is to PostgreSQL's, and its faults are that package's.
//
// It speaks the protocol with both sides, just well enough to know where calls
// begin and end: a sign-in, each statement, and the quit. It ends the client's TLS
// itself and begins its own with the server, on the same machine; a client without
// TLS is let in, where the gate has no certificate, and comes to the server
// without it. Passwords pass through it as the client proves them; it cannot sign
// in by itself, and it keeps no statement's literals.
//
// It knows the commands COM_QUERY, COM_PING and COM_QUIT. A client that sends
// another, such as that of a prepared statement, gets an error of the gate's.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html
package mysqlgate

import (
	"crypto/tls"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/gates"
)

// Config says what stands behind the gate, and how clients come in.
type Config struct {
	// Server is the server's host:port.
	Server string
	// TLS holds the gate's certificate. A client that does not ask for TLS is
	// then refused. Nil means that the gate offers no TLS, and then the server
	// must let clients in without it.
	TLS *tls.Config
}

// Gate is a gate that is open. Its methods may be called from several
// goroutines at once.
type Gate struct {
	*gates.Door
	config Config
	// answered are sign-ins and statements.
	answered, quits gates.Series[Call]
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
