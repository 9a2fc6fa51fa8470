package dbservers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// wrongPassword is the SQLSTATE invalid_password: the server rejected the
// password itself.
//
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const wrongPassword = "28P01"

// How long a server is given to serve, and how often it is asked.
const (
	readyWithin = 60 * time.Second
	askEvery    = 20 * time.Millisecond
)

// Exec runs one statement in Database as the superuser, for setting up. It
// works whatever certificate SetTLS gave the server.
func (s *Server) Exec(ctx context.Context, sql string, args ...any) error {
	conn, err := s.ConnectSuperuser(ctx)
	if err != nil {
		return fmt.Errorf("executing as superuser: %w", err)
	}
	defer closeConn(ctx, conn)
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("executing as superuser: %w", err)
	}
	return nil
}

// ConnectSuperuser opens a connection to Database as the superuser, for
// assertions. It works whatever certificate SetTLS gave the server. The caller
// closes it.
func (s *Server) ConnectSuperuser(ctx context.Context) (*pgx.Conn, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	login := s.Superuser
	login.TLS = s.ownTLS()
	return Connect(ctx, login)
}

// CreateUser makes a role that may sign in to Database, as Admin would: the
// role is the admin's, and the server's own rules for passwords hold. The
// statement itself, which carries the password, is kept out of the server's
// log, so that a test may search the log for the password.
func (s *Server) CreateUser(ctx context.Context, user, password string) error {
	conn, err := s.connectQuietly(ctx, s.Database)
	if err != nil {
		return fmt.Errorf("creating user %s: %w", user, err)
	}
	defer closeConn(ctx, conn)
	s.granting.Lock()
	defer s.granting.Unlock()
	for _, statement := range []string{
		// Only a superuser may turn a session's logging off, hence the detour.
		// From here on the session has the admin's rights and no others.
		"SET ROLE " + quoteName(s.Admin.Username),
		"CREATE ROLE " + quoteName(user) + " LOGIN PASSWORD " + quoteText(password),
		"GRANT CONNECT ON DATABASE " + quoteName(s.Database) + " TO " + quoteName(user),
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("creating user %s: %w", user, err)
		}
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
	conn, err := Connect(ctx, s.Login(user, password))
	var rejected *pgconn.PgError
	if errors.As(err, &rejected) && rejected.Code == wrongPassword {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("trying to sign in as %s: %w", user, err)
	}
	closeConn(ctx, conn)
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
	if err := s.open(); err != nil {
		return err
	}
	if s.options.NoTLS {
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
	conn, err := s.ConnectSuperuser(ctx)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	if err := s.place.write(ctx,
		file{name: postgresCert, mode: 0o600, content: certPEM},
		file{name: postgresKey, mode: 0o600, content: keyPEM},
	); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	s.mu.Lock()
	s.own = settings
	s.mu.Unlock()
	// The server reads the files some time after it has answered.
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

func (s *Server) ownTLS() tlsconf.Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own
}

// awaitReady returns when the superuser can sign in, or as soon as the server
// has ended.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	login := s.Superuser
	login.Database = "postgres"
	login.TLS = s.ownTLS()
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	for {
		conn, err := Connect(ctx, login)
		if err == nil {
			closeConn(ctx, conn)
			return nil
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
