package redshiftgate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// dialTimeout bounds the connection to a server that is on this machine.
const dialTimeout = 10 * time.Second

// serve serves one client to its end. Errors have nobody to be told to: the
// client sees its connection end.
func (g *Gate) serve(client net.Conn) {
	conn, startup, err := g.greet(client)
	if err != nil {
		return
	}
	switch startup := startup.(type) {
	case *pgproto3.CancelRequest:
		_ = g.cancel(startup)
	case *pgproto3.StartupMessage:
		g.run(client, conn, startup)
	}
}

// greet comes to terms about TLS, and returns the connection to speak on and
// the client's first message on it.
func (g *Gate) greet(client net.Conn) (net.Conn, pgproto3.FrontendMessage, error) {
	conn, secure, config := client, false, g.tls.Load()
	for {
		backend := pgproto3.NewBackend(conn, conn)
		message, err := backend.ReceiveStartupMessage()
		if err != nil {
			return nil, nil, fmt.Errorf("reading the client's first message: %w", err)
		}
		switch message := message.(type) {
		case *pgproto3.SSLRequest:
			if config == nil || secure {
				if _, err := conn.Write([]byte{'N'}); err != nil {
					return nil, nil, fmt.Errorf("refusing TLS: %w", err)
				}
				continue
			}
			if _, err := conn.Write([]byte{'S'}); err != nil {
				return nil, nil, fmt.Errorf("offering TLS: %w", err)
			}
			conn, secure = tls.Server(conn, config), true
		case *pgproto3.GSSEncRequest:
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return nil, nil, fmt.Errorf("refusing GSSAPI encryption: %w", err)
			}
		case *pgproto3.StartupMessage:
			if refused := g.admits(message, secure, client); refused != nil {
				backend.Send(refused.response(true))
				return nil, nil, errors.Join(refused, backend.Flush())
			}
			return conn, message, nil
		default:
			return conn, message, nil
		}
	}
}

// startupParameters are those that a client may begin with: the protocol's own,
// and those that the drivers of Redshift's send. Those with a value of true are
// for PostgreSQL to know, too.
//
// https://docs.aws.amazon.com/redshift/latest/mgmt/jdbc20-configuration-options.html
var startupParameters = map[string]bool{
	"user": true, "database": true, "client_encoding": true, "application_name": true,
	"datestyle": true, "timezone": true, "extra_float_digits": true, "search_path": true,
	"driver_version": false, "os_version": false, "client_protocol_version": false,
}

// admits is nil where the client may go on to prove its password.
func (g *Gate) admits(startup *pgproto3.StartupMessage, secure bool, client net.Conn) *refused {
	user, database := startup.Parameters["user"], startup.Parameters["database"]
	if g.tls.Load() != nil && !g.config.Plaintext && !secure {
		host, _, _ := net.SplitHostPort(client.RemoteAddr().String())
		return &refused{code: "28000", message: fmt.Sprintf(`no pg_hba.conf entry for host "%s", user "%s", database "%s", SSL off`, host, user, database)}
	}
	names := make([]string, 0, len(startup.Parameters))
	for name := range startup.Parameters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if _, known := startupParameters[strings.ToLower(name)]; !known {
			return &refused{code: "42704", message: fmt.Sprintf(`unrecognized configuration parameter "%s"`, name)}
		}
	}
	for _, name := range []string{user, database} {
		var long *refused
		if len(name) > maxName && errors.As(longName(len(name)), &long) {
			return long
		}
	}
	return nil
}

// cancel passes on a request to cancel another session's statement.
func (g *Gate) cancel(request *pgproto3.CancelRequest) error {
	server, err := g.dial()
	if err != nil {
		return err
	}
	defer g.drop(server)
	frontend := pgproto3.NewFrontend(server, server)
	frontend.Send(request)
	if err := frontend.Flush(); err != nil {
		return fmt.Errorf("cancelling: %w", err)
	}
	_, _ = io.Copy(io.Discard, server) // it closes when it has taken note
	return nil
}

func (g *Gate) dial() (net.Conn, error) {
	server, err := net.DialTimeout("tcp", g.config.Server, dialTimeout)
	if err != nil {
		return nil, fmt.Errorf("connecting to the server: %w", err)
	}
	if !g.hold(server) {
		return nil, net.ErrClosed
	}
	return server, nil
}
