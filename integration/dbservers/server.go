package dbservers

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// Server is one running database server. Its fields are set once by the
// function that starts it; its methods may be called from several goroutines.
type Server struct {
	// Engine is the engine as a secret names it: "postgres".
	Engine string
	// Version is the version number that the server itself reports: "18.6".
	Version string
	// Source says where the server came from: "container postgres:18.1",
	// "local process /usr/lib/postgresql/15/bin".
	Source string

	// Host and Port are where clients on this machine reach the server. They
	// stay the same until Close.
	Host string
	Port int

	// CA issued the server's certificate, which carries Host, 127.0.0.1 and
	// localhost. No other server but its replicas uses it.
	CA *CA
	// Roots and RootsPEM are CA's certificate.
	Roots    *x509.CertPool
	RootsPEM []byte

	// Database belongs to Admin.
	Database string
	// Admin is shaped as the master user of Amazon RDS: it signs in, makes
	// roles and databases, and is no superuser.
	Admin dbdrivers.Login
	// Superuser is for setting up and for assertions alone. Nothing that is
	// tested may sign in with it.
	Superuser dbdrivers.Login

	place   place
	release release
	options PostgresOptions

	// granting is held while a user is made: the server refuses two sessions
	// that change the rights on one database at the same time.
	granting sync.Mutex

	mu sync.Mutex
	// own is how this package itself verifies the server, whatever
	// certificate SetTLS gave it.
	own    tlsconf.Settings
	closed bool
}

// errClosed is the error of every method after Close.
var errClosed = errors.New("the server is closed")

// Log returns all that the server has written to its log since it was first
// started. The server writes the log without a pipe in between: what it logged
// before it answered a client is there when the client has the answer. What it
// logs after a client leaves (a disconnection) may come a moment later.
func (s *Server) Log(ctx context.Context) (string, error) {
	if err := s.open(); err != nil {
		return "", fmt.Errorf("reading the server's log: %w", err)
	}
	text, err := s.place.log(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the server's log: %w", err)
	}
	return text, nil
}

// Login returns a login to Database, over TLS verified by Roots (plaintext
// where the server was started without TLS). It asks nothing of the server.
func (s *Server) Login(user, password string) dbdrivers.Login {
	return dbdrivers.Login{
		Host:     s.Host,
		Port:     s.Port,
		Username: user,
		Password: dbdrivers.NewPassword(password),
		Database: s.Database,
		TLS:      tlsconf.Settings{Plaintext: s.options.NoTLS, Roots: s.Roots},
	}
}

// Stop takes the server away: its sessions are cut off and its port refuses
// connections. Its data stays. Stopping a stopped server does nothing.
func (s *Server) Stop(ctx context.Context) error {
	if err := s.open(); err != nil {
		return fmt.Errorf("stopping the server: %w", err)
	}
	if err := s.place.stop(ctx); err != nil {
		return fmt.Errorf("stopping the server: %w", err)
	}
	return nil
}

// Start brings a stopped server back, on the same port and with its data, and
// returns when it serves. Starting a running server does nothing.
func (s *Server) Start(ctx context.Context) error {
	if err := s.open(); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	if err := s.place.start(ctx); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	if err := s.awaitReady(ctx); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	return nil
}

// Close ends the server and removes all that it left on this machine. Closing
// it again does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	if err := s.place.close(); err != nil {
		return fmt.Errorf("closing the server: %w", err)
	}
	return nil
}

func (s *Server) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return nil
}
