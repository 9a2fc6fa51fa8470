package dbservers

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// Server is one running database server. Its fields are set once by the
// function that starts it; its methods may be called from several goroutines.
type Server struct {
	// Engine is the engine as a secret names it: "postgres", "mysql",
	// "mariadb".
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

	// CA issued the server's certificate, which carries Host, 127.0.0.1,
	// localhost and the name by which replicas reach it. No other server but
	// its replicas uses it.
	CA *CA
	// Roots and RootsPEM are CA's certificate.
	Roots    *x509.CertPool
	RootsPEM []byte

	// Database is Admin's to use: where the engine has owners of databases, it
	// is the owner.
	Database string
	// Admin is shaped as the master user of Amazon RDS: it signs in, makes
	// accounts and databases, and is no superuser.
	Admin dbdrivers.Login
	// Superuser is for setting up and for assertions alone. Nothing that is
	// tested may sign in with it.
	Superuser dbdrivers.Login

	place   place
	dialect dialect

	mu sync.Mutex
	// own is how this package itself verifies the server, whatever
	// certificate SetTLS gave it.
	own    tlsconf.Settings
	closed bool
}

// The names that every server starts with.
const (
	databaseName = "appdb"
	adminName    = "radmin"
)

// passwords are those that a server starts with.
type passwords struct{ superuser, admin string }

// How long a server is given to serve, and how often it is asked.
const (
	readyWithin = 60 * time.Second
	askEvery    = 20 * time.Millisecond
)

// errClosed is the error of every method after Close.
var errClosed = errors.New("the server is closed")

// startServer starts a server of a dialect, and gives it what RDS gives a new
// one.
func startServer(ctx context.Context, d dialect, w way) (*Server, error) {
	ca, err := NewCA()
	if err != nil {
		return nil, err
	}
	given := passwords{superuser: newPassword(), admin: newPassword()}
	p, err := openPlace(ctx, d.primary(ca, given.superuser), w)
	if err != nil {
		return nil, err
	}
	s := newServer(p, d, ca, given)
	if err := s.begin(ctx); err != nil {
		return nil, s.giveUp(ctx, err)
	}
	if err := s.setUp(ctx); err != nil {
		return nil, s.giveUp(ctx, err)
	}
	return s, nil
}

// newPassword satisfies the rules for passwords that a test may load.
func newPassword() string { return "Aa1-" + rand.Text() }

// newServer describes the server that runs in a place.
func newServer(p place, d dialect, ca *CA, given passwords) *Server {
	host, port := p.address()
	s := &Server{
		Engine:   d.engine(),
		Source:   p.source(),
		Host:     host,
		Port:     port,
		CA:       ca,
		Roots:    ca.Roots(),
		RootsPEM: ca.PEM(),
		Database: databaseName,
		place:    p,
		dialect:  d,
		own:      tlsconf.Settings{Plaintext: !d.encrypted(), Roots: ca.Roots()},
	}
	s.Admin = s.Login(adminName, given.admin)
	s.Superuser = s.Login(d.superuser(), given.superuser)
	return s
}

// begin waits for a new server.
func (s *Server) begin(ctx context.Context) error {
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	return s.place.write(ctx, s.dialect.spent()...)
}

func (s *Server) setUp(ctx context.Context) error {
	quiet, err := s.quietly(ctx, s.dialect.systemDatabase())
	if err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	defer quiet.leave(ctx)
	if err := quiet.ask(ctx, &s.Version, s.dialect.versionQuestion()); err != nil {
		return fmt.Errorf("asking for the version: %w", err)
	}
	if err := s.dialect.setUp(ctx, quiet, s); err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	return nil
}

// giveUp closes a server that could not be made ready, and returns why.
func (s *Server) giveUp(ctx context.Context, err error) error {
	err = withLogTail(ctx, s.place, err)
	if closing := s.Close(); closing != nil {
		err = fmt.Errorf("%w (and %w)", err, closing)
	}
	return err
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
		TLS:      tlsconf.Settings{Plaintext: !s.dialect.encrypted(), Roots: s.Roots},
	}
}

// Exec runs one statement in Database as the superuser, for setting up. It
// works whatever certificate SetTLS gave the server.
func (s *Server) Exec(ctx context.Context, sql string, args ...any) error {
	if err := s.exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("executing as superuser: %w", err)
	}
	return nil
}

func (s *Server) exec(ctx context.Context, sql string, args ...any) error {
	mine, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer mine.leave(ctx)
	return mine.exec(ctx, sql, args...)
}

// CreateUser makes an account that may sign in to Database. Where the engine
// has owners of accounts, the account is Admin's; the server's own rules for
// passwords hold. The statement itself, which carries the password, is kept out
// of the server's logs, so that a test may search them for the password.
//
// On MySQL and MariaDB the account is for any host ('user'@'%'), and has the
// usual rights of an application on Database, and no others.
func (s *Server) CreateUser(ctx context.Context, user, password string) error {
	quiet, err := s.quietly(ctx, s.Database)
	if err != nil {
		return fmt.Errorf("creating user %s: %w", user, err)
	}
	defer quiet.leave(ctx)
	if err := s.dialect.createUser(ctx, quiet, s, user, password); err != nil {
		return fmt.Errorf("creating user %s: %w", user, err)
	}
	return nil
}

// Opens reports whether the server lets user in to Database with password, by
// a real sign-in as [Server.Login] describes it. It is false only where the
// server rejects the password; anything else that keeps the user out is an
// error.
func (s *Server) Opens(ctx context.Context, user, password string) (bool, error) {
	if err := s.open(); err != nil {
		return false, fmt.Errorf("trying to sign in as %s: %w", user, err)
	}
	theirs, err := s.dialect.connect(ctx, s.Login(user, password))
	if err != nil && s.dialect.rejected(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("trying to sign in as %s: %w", user, err)
	}
	theirs.leave(ctx)
	return true, nil
}

// SetTLS gives the server another certificate, in PEM, and returns when new
// connections see it. Sessions that are open stay. Roots stay as they are:
// after a certificate of another authority or another name, clients that use
// [Server.Login] refuse the server.
func (s *Server) SetTLS(ctx context.Context, certPEM, keyPEM []byte) error {
	if err := s.setTLS(ctx, certPEM, keyPEM); err != nil {
		return fmt.Errorf("changing the server's certificate: %w", err)
	}
	return nil
}

func (s *Server) setTLS(ctx context.Context, certPEM, keyPEM []byte) error {
	if !s.dialect.encrypted() {
		return errors.New("the server was started without TLS")
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return err
	}
	settings, err := trustOnly(pair.Leaf)
	if err != nil {
		return err
	}
	mine, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer mine.leave(ctx)
	if err := s.place.write(ctx,
		file{name: certificateFile, mode: 0o600, content: certPEM},
		file{name: certificateKeyFile, mode: 0o600, content: keyPEM},
	); err != nil {
		return err
	}
	if err := mine.exec(ctx, s.dialect.reloadTLS()); err != nil {
		return err
	}
	s.mu.Lock()
	s.own = settings
	s.mu.Unlock()
	// A server may read the files some time after it has answered.
	return s.awaitReady(ctx)
}

// trustOnly returns settings that verify a server by this very certificate.
func trustOnly(leaf *x509.Certificate) (tlsconf.Settings, error) {
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	switch {
	case len(leaf.DNSNames) > 0:
		return tlsconf.Settings{Roots: pool, ServerName: leaf.DNSNames[0]}, nil
	case len(leaf.IPAddresses) > 0:
		return tlsconf.Settings{Roots: pool, ServerName: leaf.IPAddresses[0].String()}, nil
	}
	return tlsconf.Settings{}, errors.New("the certificate carries no name and no IP address")
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

// superuserOf is how this package itself signs in to a database.
func (s *Server) superuserOf(database string) dbdrivers.Login {
	s.mu.Lock()
	defer s.mu.Unlock()
	login := s.Superuser
	login.Database = database
	login.TLS = s.own
	return login
}

// connect signs in to Database as the superuser.
func (s *Server) connect(ctx context.Context) (session, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	return s.dialect.connect(ctx, s.superuserOf(s.Database))
}

// quietly signs in as the superuser to a session that leaves no statement in
// the server's logs.
func (s *Server) quietly(ctx context.Context, database string) (session, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	return s.dialect.connectQuietly(ctx, s.superuserOf(database))
}

// awaitReady returns when the superuser can sign in, or as soon as the server
// has ended.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	login := s.superuserOf(s.dialect.systemDatabase())
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	for {
		mine, err := s.dialect.connect(ctx, login)
		if err == nil {
			mine.leave(ctx)
			return nil
		}
		// The superuser's password is set before the server lets anyone in.
		if s.dialect.rejected(err) {
			return fmt.Errorf("waiting for the server to serve: %w", err)
		}
		if ended := s.place.running(ctx); ended != nil && ctx.Err() == nil {
			return ended
		}
		select {
		case <-ask.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server to serve: %w (%w)", err, ctx.Err())
		}
	}
}
