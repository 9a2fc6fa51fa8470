package wiregate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
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
	conn, secure := client, false
	for {
		backend := pgproto3.NewBackend(conn, conn)
		message, err := backend.ReceiveStartupMessage()
		if err != nil {
			return nil, nil, fmt.Errorf("reading the client's first message: %w", err)
		}
		switch message.(type) {
		case *pgproto3.SSLRequest:
			if g.config.TLS == nil || secure {
				if _, err := conn.Write([]byte{'N'}); err != nil {
					return nil, nil, fmt.Errorf("refusing TLS: %w", err)
				}
				continue
			}
			if _, err := conn.Write([]byte{'S'}); err != nil {
				return nil, nil, fmt.Errorf("offering TLS: %w", err)
			}
			conn, secure = tls.Server(conn, g.config.TLS), true
		case *pgproto3.GSSEncRequest:
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return nil, nil, fmt.Errorf("refusing GSSAPI encryption: %w", err)
			}
		case *pgproto3.StartupMessage:
			if g.config.TLS != nil && !secure {
				return nil, nil, refusePlaintext(backend)
			}
			return conn, message, nil
		default:
			return conn, message, nil
		}
	}
}

// refusePlaintext answers as a server does whose pg_hba.conf has only hostssl
// lines.
func refusePlaintext(backend *pgproto3.Backend) error {
	backend.Send(&pgproto3.ErrorResponse{
		Severity:            "FATAL",
		SeverityUnlocalized: "FATAL",
		Code:                "28000",
		Message:             "this gate lets in only clients that ask for TLS",
	})
	if err := backend.Flush(); err != nil {
		return fmt.Errorf("refusing plaintext: %w", err)
	}
	return errors.New("the client asked for no TLS")
}

// cancel passes on a request to cancel another session's statement.
func (g *Gate) cancel(request *pgproto3.CancelRequest) error {
	server, err := g.dial()
	if err != nil {
		return err
	}
	defer g.Drop(server)
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
	if !g.Hold(server) {
		return nil, net.ErrClosed
	}
	return server, nil
}
