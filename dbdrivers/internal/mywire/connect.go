package mywire

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// withoutDeadline bounds a sign-in, and each round trip after it, where the
// context has no deadline. A paused Aurora Serverless v2 instance takes the
// connection at once and answers it after 15 seconds or more, after 24 hours of
// pause after 30 or more.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
const withoutDeadline = 60 * time.Second

// applicationName tells a rotation's sessions apart on the server
// (performance_schema.session_connect_attrs).
const applicationName = "dbrotation"

// collation is the one that every server since MySQL 5.5 knows.
const collation = "utf8mb4_general_ci"

// maxAllowedPacket spares the library a question to the server. No statement
// here comes near it, nor near the least that a server can be set to.
const maxAllowedPacket = 16 << 20

// maxDatabase is the longest name of a database, in characters.
//
// https://dev.mysql.com/doc/refman/9.7/en/identifier-length.html
const maxDatabase = 64

// Dialect is in what a server differs.
type Dialect struct {
	// Name is the server's name in errors: "MySQL".
	Name string
	// MaxName is the longest username, in characters.
	MaxName int
	// SQLMode is that of every session, so that quoting is known.
	SQLMode string
	// Settings are further assignments of the SET statement that begins a
	// session ("SESSION transaction_read_only = 0"). left is the time that a
	// statement may take.
	Settings func(left time.Duration) []string
	// AlsoRefused names what else looks like a wrong password to a client.
	AlsoRefused string
	// SignIn are errors of a sign-in that this server has, or means otherwise.
	SignIn Rules
	// Statement are the same for errors of any statement.
	Statement Rules
	// Ed25519 says that accounts may sign in by MariaDB's plugin of that name.
	Ed25519 bool
}

// Session is one signed-in connection. It is used by one goroutine at a time.
// Close it.
type Session struct {
	conn    connection
	wire    *wire
	dialect Dialect
	secrets []string
}

// connection is what the library's connection can do.
type connection interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
}

// Connect signs in: one connection to one address, TLS as the login says and
// nothing less, one attempt. Everything comes from login and dialect. Its
// errors are classified, and [dbdrivers.ErrRefused] among them.
//
// Only where the client library has broken off instead of answering the question
// that the server put after the first message, is there another attempt. A
// sign-in whose answer has gone out is not made again.
func Connect(ctx context.Context, login dbdrivers.Login, dialect Dialect) (*Session, error) {
	doing := fmt.Sprintf("signing in to %s as %q", login.Address(), login.Username)
	if err := checkLogin(login, dialect); err != nil {
		return nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	a := &attempt{login: login, dialect: dialect}
	conn, err := a.signIn(ctx)
	for range mostBrokenOff {
		if !dialect.Ed25519 || !errors.Is(err, mysql.ErrMalformPkt) || a.hop() != hopSignIn || a.answered() {
			break
		}
		a = &attempt{login: login, dialect: dialect}
		conn, err = a.signIn(ctx)
	}
	if err != nil {
		class, why := a.classify(ctx, err)
		return nil, dbdrivers.Classify(class, doing, why)
	}
	known, ok := conn.(connection)
	if !ok {
		_ = conn.Close()
		return nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, errors.New("the client library's connection is not as it was"))
	}
	s := &Session{conn: known, wire: a.wire, dialect: dialect, secrets: []string{login.Password.Reveal()}}
	if err := s.Run(ctx, s.settings(ctx)); err != nil {
		s.Close()
		return nil, s.Classify(doing, err, Unchanged, nil)
	}
	return s, nil
}

// mostBrokenOff bounds the attempts after the first. The library takes a zero at
// the end of what an ed25519 proof is to be made of for its end, and gives up: so
// it does with one of 256 sign-ins. The first message, with a proof for
// mysql_native_password that is asked of nobody then, is the same each time.
const mostBrokenOff = 2

// unusableError is the library's on a configuration that it does not take.
type unusableError struct{ error }

func (e unusableError) Unwrap() error { return e.error }

// signIn makes the attempt.
func (a *attempt) signIn(ctx context.Context) (conn driver.Conn, err error) {
	connector, err := mysql.NewConnector(a.config())
	if err != nil {
		return nil, unusableError{err}
	}
	err = guarded(func() (err error) {
		conn, err = connector.Connect(ctx)
		return err
	})
	if err != nil && a.wire != nil {
		_ = a.wire.Close()
	}
	return conn, err
}

// errNonsense stands for a packet that the client library trips over.
var errNonsense = errors.New("malformed packet")

// guarded calls the library. It panics on some packets that no server of this
// protocol sends, and whatever listens at the address must not end the process.
func guarded(call func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errNonsense
		}
	}()
	return call()
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, withoutDeadline)
}

// checkLogin refuses what would be taken for something else: no host is this
// machine to a dialer, and a name with a zero byte ends there for the server.
func checkLogin(login dbdrivers.Login, dialect Dialect) error {
	if login.Host == "" {
		return errors.New("the host is empty")
	}
	if login.Port < 1 || login.Port > 65535 {
		return fmt.Errorf("%d is no port", login.Port)
	}
	if login.Username == "" {
		return errors.New("the username is empty")
	}
	for what, text := range map[string]string{
		"username": login.Username, "database name": login.Database, "password": login.Password.Reveal(),
	} {
		switch {
		case strings.IndexByte(text, 0) >= 0:
			return fmt.Errorf("the %s has a zero byte", what)
		case !utf8.ValidString(text):
			return fmt.Errorf("the %s is not UTF-8", what)
		}
	}
	if n := utf8.RuneCountInString(login.Username); n > dialect.MaxName {
		return fmt.Errorf("the username is longer than %d characters, the most that %s keeps", dialect.MaxName, dialect.Name)
	}
	if n := utf8.RuneCountInString(login.Database); n > maxDatabase {
		return fmt.Errorf("the database name is longer than %d characters", maxDatabase)
	}
	return nil
}

// attempt is one sign-in under way.
type attempt struct {
	login   dbdrivers.Login
	dialect Dialect
	wire    *wire
	secured atomic.Bool // the TLS handshake was verified
	// finishing is how often this end speaks from there to the handshake's end
	// and its first message together.
	finishing atomic.Int32
}

func (a *attempt) config() *mysql.Config {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = a.login.Address()
	config.User = a.login.Username
	config.Passwd = a.login.Password.Reveal()
	config.DBName = a.login.Database
	config.Collation = collation
	config.ConnectionAttributes = "program_name:" + applicationName
	config.InterpolateParams = true
	config.MaxAllowedPacket = maxAllowedPacket
	config.Logger = &mysql.NopLogger{}
	// These are the library's defaults, and must stay.
	config.AllowNativePasswords = true
	config.AllowCleartextPasswords = false
	config.AllowOldPasswords = false
	config.AllowFallbackToPlaintext = false
	config.AllowAllFiles = false
	config.MultiStatements = false
	if settings := a.login.TLS.Config(a.login.Host); settings != nil {
		settings.VerifyConnection = func(state tls.ConnectionState) error {
			a.secured.Store(true)
			a.finishing.Store(2)
			if state.Version >= tls.VersionTLS13 {
				// The first message goes out with the handshake's last.
				a.finishing.Store(1)
			}
			a.wire.countAnew()
			return nil
		}
		config.TLS = settings
	}
	config.DialFunc = a.dial
	return config
}

var errOneConnection = errors.New("one sign-in makes one connection")

// dial connects by TCP to the login's address, once.
func (a *attempt) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if a.wire != nil {
		return nil, errOneConnection
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", a.login.Address())
	if err != nil {
		return nil, err
	}
	a.wire = &wire{Conn: conn}
	return a.wire, nil
}

// answered reports whether the client library has answered what the server asked
// after the first message of the sign-in.
func (a *attempt) answered() bool {
	first := 1
	if !a.login.TLS.Plaintext {
		first = int(a.finishing.Load())
	}
	return a.wire.answers() > first
}

// hop is where a sign-in that has failed has come to.
func (a *attempt) hop() hop {
	switch {
	case a.wire == nil:
		return hopConnection
	case !a.wire.answered():
		return hopGreeting
	case !a.login.TLS.Plaintext && !a.secured.Load():
		return hopTLS
	}
	return hopSignIn
}
