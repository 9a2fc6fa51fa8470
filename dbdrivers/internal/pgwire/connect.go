package pgwire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// withoutDeadline bounds a sign-in, and each round trip after it, where the
// context has no deadline. A paused Aurora Serverless v2 instance takes the connection at once and answers it
// after 15 seconds or more, after 24 hours of pause after 30 or more.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
const withoutDeadline = 60 * time.Second

// applicationName tells a rotation's sessions apart in the server's log.
const applicationName = "dbrotation"

// Dialect is in what a server differs at sign-in.
type Dialect struct {
	// MaxName is the longest user or database name, in bytes.
	MaxName int
	// Parameters are sent at sign-in beside the user, the database, the
	// encoding and the application's name. Poolers refuse many.
	Parameters map[string]string
	// IsRefusal reports whether an error before AuthenticationOk says that the
	// password is wrong.
	IsRefusal func(*pgconn.PgError) bool
	// AlsoRefused names what else looks like a wrong password to a client.
	AlsoRefused string
	// DemandsTLS names what makes a server let nobody in without TLS.
	DemandsTLS string
	// Digest says that the server may ask for Amazon Redshift's own digest.
	Digest bool
}

// Session is one signed-in connection. Close it.
type Session struct {
	conn    *pgconn.PgConn
	wire    *wire
	method  int64
	secrets []string
}

// Connect signs in: one connection to one address, TLS as the login says and
// nothing less, one attempt. Everything comes from login and dialect. Its
// errors are classified, and [dbdrivers.ErrRefused] among them.
func Connect(ctx context.Context, login dbdrivers.Login, dialect Dialect) (*Session, error) {
	doing := fmt.Sprintf("signing in to %s as %q", login.Address(), login.Username)
	if err := checkLogin(login, dialect.MaxName); err != nil {
		return nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	base, err := template()
	if err != nil {
		return nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()

	a := &attempt{login: login, dialect: dialect, observer: observer{asked: -1}}
	config := a.config(base)
	conn, err := pgconn.ConnectConfig(ctx, config)
	// The library keeps the configuration for as long as the connection; the
	// password has done its work.
	config.Password = ""
	if err != nil {
		if a.wire != nil {
			_ = a.wire.Close()
		}
		class, why := a.classify(err)
		return nil, dbdrivers.Classify(class, doing, why)
	}
	if a.observer.asked < 0 {
		_ = conn.Close(ctx)
		_ = a.wire.Close()
		return nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, errUnasked)
	}
	return &Session{conn: conn, wire: a.wire, method: a.observer.asked, secrets: []string{login.Password.Reveal()}}, nil
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, withoutDeadline)
}

// checkLogin refuses what would be taken for something else: no host is this
// machine to a dialer, and a name that the protocol or the server cuts short is
// another account's.
func checkLogin(login dbdrivers.Login, longest int) error {
	if login.Host == "" {
		return errors.New("the host is empty")
	}
	if login.Port < 1 || login.Port > 65535 {
		return fmt.Errorf("%d is no port", login.Port)
	}
	for what, name := range map[string]string{"username": login.Username, "database name": login.Database} {
		switch {
		case name == "":
			return fmt.Errorf("the %s is empty", what)
		case strings.IndexByte(name, 0) >= 0:
			return fmt.Errorf("the %s has a zero byte", what)
		case len(name) > longest:
			return fmt.Errorf("the %s is longer than %d bytes; the server would cut it off", what, longest)
		}
	}
	return nil
}

// attempt is one sign-in under way.
type attempt struct {
	login    dbdrivers.Login
	dialect  Dialect
	observer observer
	hop      hop
	wire     *wire
}

// hop is the part of a sign-in that is under way, in words that finish "no
// answer from ...".
type hop string

const (
	hopConnection hop = "the address"
	hopTLSRequest hop = "the server to the request for TLS"
	hopTLS        hop = "the server in the TLS handshake"
	hopSignIn     hop = "the server to the sign-in"
)

func (a *attempt) config(base *pgconn.Config) *pgconn.Config {
	config := base.Copy()
	config.Host = a.login.Host
	config.User = a.login.Username
	config.Database = a.login.Database
	config.Password = a.login.Password.Reveal()
	config.TLSConfig = a.login.TLS.Config(a.login.Host)
	config.Fallbacks = nil
	config.ChannelBinding = "prefer"
	config.RequireAuth = "scram-sha-256,md5,password"
	if config.TLSConfig == nil {
		// Only TLS may carry a password that is readable.
		config.RequireAuth = "scram-sha-256,md5"
	}
	if a.dialect.Digest {
		// The library does not see that a digest was asked for. That anything
		// was, is seen by [Connect].
		config.RequireAuth += ",none"
	}
	config.RuntimeParams = map[string]string{
		"application_name": applicationName,
		"client_encoding":  "UTF8",
	}
	maps.Copy(config.RuntimeParams, a.dialect.Parameters)

	// The host is looked up by the dialer, which settles on one address that
	// answers. The library would sign in at each address in turn.
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.DialFunc = a.dial
	config.AfterNetConnect = a.handshake
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		r = a.observer.messages(r)
		if a.dialect.Digest {
			r = &digestReader{r: r, w: w, password: a.login.Password.Reveal}
		}
		return pgproto3.NewFrontend(r, w)
	}
	// The library prepares a password by another profile (PRECIS) than the
	// server; what SASLprep has prepared it leaves as it is. MD5 and PAM take
	// the password as it was typed.
	a.observer.onSASL = func() { config.Password = Prepare(config.Password) }
	// The library looks at the localised severity.
	config.OnPgError = func(_ *pgconn.PgConn, err *pgconn.PgError) bool { return !fatal(err) }
	return config
}

var errOneConnection = errors.New("one sign-in makes one connection")

// dial connects by TCP to the login's address, once. The library dials again
// only to cancel a statement; the statement's own time-out does that.
func (a *attempt) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if a.wire != nil {
		return nil, errOneConnection
	}
	a.hop = hopConnection
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", a.login.Address())
	if err != nil {
		return nil, err
	}
	a.wire = &wire{Conn: conn}
	a.hop = hopTLSRequest
	if a.login.TLS.Plaintext {
		a.hop = hopSignIn
	}
	return a.wire, nil
}

// handshake does at once what the library leaves to the first write, so that
// a fault of TLS is told from one of the sign-in.
func (a *attempt) handshake(ctx context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
	if secure, ok := conn.(*tls.Conn); ok {
		a.hop = hopTLS
		if err := secure.HandshakeContext(ctx); err != nil {
			return conn, err
		}
	}
	a.hop = hopSignIn
	return conn, nil
}

func fatal(err *pgconn.PgError) bool {
	severity := err.SeverityUnlocalized
	if severity == "" {
		severity = err.Severity
	}
	return severity == "FATAL" || severity == "PANIC"
}
