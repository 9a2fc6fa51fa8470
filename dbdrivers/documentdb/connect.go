package documentdb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

const (
	// withoutDeadline bounds a call where the context has no deadline.
	withoutDeadline = 60 * time.Second
	// leaving bounds how long a session's goodbye may take.
	leaving = time.Second
	// applicationName tells a rotation's sessions apart in the server's log.
	applicationName = "dbrotation"
	// noHeartbeats is longer than any call. The library's watch over the server
	// asks once, on a connection that never signs in, and then rests.
	noHeartbeats = time.Hour
	// mostConnections are the library's watch and the one that signs in.
	mostConnections = 2
)

// hop is the part of a sign-in that is under way, in words that finish "no
// answer from ...".
type hop string

const (
	hopConnection hop = "the address"
	hopTLS        hop = "the server in the TLS handshake"
	hopGreeting   hop = "the server to the greeting"
	hopSignIn     hop = "the server to the sign-in"
)

// attempt is one sign-in, and what is known of it.
type attempt struct {
	login dbdrivers.Login
	mongo bool // the login is by that name of the engine
	// call is the call's context, and ctx ends with it, or as soon as the sign-in
	// cannot succeed.
	call, ctx context.Context
	cancel    context.CancelCauseFunc

	mu sync.Mutex
	// conns are the connections that were made, settled the address of the first.
	conns   []net.Conn
	settled string
	hop     hop
	failed  error // the first failure, before the sign-in
	ready   bool  // the sign-in succeeded
	left    bool  // no connection is made any more
	newest  int32 // the newest wire version that the server speaks
	known   bool  // the server has told newest
}

// connect signs in: one connection to one address, TLS as the login says and
// nothing less, one attempt. Beside it the library has a second connection to the
// same address, which never signs in. Everything comes from login. Errors are
// classified, and [dbdrivers.ErrRefused] among them.
func (d Driver) connect(ctx context.Context, login dbdrivers.Login) (*session, error) {
	doing := fmt.Sprintf("signing in to %s as %q", login.Address(), login.Username)
	if err := d.checkLogin(login); err != nil {
		return nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	call, end := bounded(ctx)
	a := &attempt{login: login, mongo: d.mongo, call: call, hop: hopConnection}
	a.ctx, a.cancel = withoutMaxTime(call)
	s := &session{driver: d, attempt: a, end: end, source: d.source(login), secrets: []string{login.Password.Reveal()}}
	if err := s.signIn(doing); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

// withoutMaxTime is a context that ends with the call's. The library makes a
// deadline into maxTimeMS on each command, by which a server ends one whose caller
// has left. DocumentDB documents that for queries only, and may not take it on
// commands for users: so the deadline is not told.
func withoutMaxTime(call context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(call))
	stop := context.AfterFunc(call, func() { cancel(context.Cause(call)) })
	return ctx, func(cause error) {
		stop()
		cancel(cause)
	}
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, withoutDeadline)
}

// signIn makes the attempt. The library signs in with the first command, which
// asks who is signed in.
func (s *session) signIn(doing string) error {
	if err := s.attempt.call.Err(); err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnreachable, doing, err)
	}
	client, err := mongo.Connect(s.attempt.options(s.source))
	if err != nil {
		// It tells of the settings, the password among them.
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, errors.New("the client library does not take the login"))
	}
	s.client = client
	me, err := s.whoami()
	switch {
	case err != nil && !s.attempt.isReady():
		class, why := s.attempt.classify(s.clean(err))
		return dbdrivers.Classify(class, doing, why)
	case err != nil:
		return s.classify(doing, err, unchanged)
	}
	if s.source, err = me.is(s.attempt.login.Username, s.source); err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	return nil
}

// options are the library's own settings. None comes from a connection string or
// the environment, from which the library would take where to log. Of that it
// only reads where it runs, and tells the server (a Lambda function's Region).
func (a *attempt) options(source string) *options.ClientOptions {
	left := withoutDeadline
	if deadline, ok := a.call.Deadline(); ok {
		left = max(time.Until(deadline), time.Millisecond)
	}
	return options.Client().
		SetHosts([]string{a.login.Address()}).
		SetDirect(true).
		SetAuth(options.Credential{
			AuthSource: source, Username: a.login.Username, Password: a.login.Password.Reveal(), PasswordSet: true,
		}).
		SetAppName(applicationName).
		SetCompressors(nil).
		SetRetryReads(false).
		SetRetryWrites(false).
		SetMinPoolSize(0).
		SetMaxPoolSize(1).
		SetMaxConnecting(1).
		SetServerMonitoringMode(options.ServerMonitoringModePoll).
		SetHeartbeatInterval(noHeartbeats).
		SetServerSelectionTimeout(left).
		SetConnectTimeout(left).
		// TLS is the dialer's. The library would also ask the certificate's
		// authority, over a route that a function need not have.
		SetDisableOCSPEndpointCheck(true).
		SetDialer(dialer(a.dial)).
		SetPoolMonitor(&event.PoolMonitor{Event: a.onPool}).
		SetServerMonitor(&event.ServerMonitor{ServerHeartbeatFailed: a.onSilence, ServerDescriptionChanged: a.onDescription}).
		SetLoggerOptions(silent())
}

// silent turns every log of the library off, by name: what is not named here is
// read from the environment.
func silent() *options.LoggerOptions {
	off := options.Logger().SetSink(nowhere{})
	for _, component := range []options.LogComponent{
		options.LogComponentAll, options.LogComponentCommand, options.LogComponentTopology,
		options.LogComponentServerSelection, options.LogComponentConnection,
	} {
		off = off.SetComponentLevel(component, 0)
	}
	return off
}

// nowhere is a log that keeps nothing.
type nowhere struct{}

// Info keeps nothing.
func (nowhere) Info(int, string, ...any) {}

// Error keeps nothing.
func (nowhere) Error(error, string, ...any) {}

type dialer func(ctx context.Context) (net.Conn, error)

// DialContext makes a connection to the login's address, whatever it is asked for.
func (d dialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) { return d(ctx) }

var errOneConnection = errors.New("one sign-in makes one connection")

// dial connects by TCP and TLS. The first connection settles on one address, and
// the second goes there too.
func (a *attempt) dial(ctx context.Context) (net.Conn, error) {
	address, err := a.next()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.ctx, cancel)()

	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, a.fail(err)
	}
	if !a.made(conn) {
		_ = conn.Close()
		return nil, errOneConnection
	}
	settings := a.login.TLS.Config(a.login.Host)
	if settings == nil {
		return conn, nil
	}
	secure := tls.Client(conn, settings)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, a.fail(err)
	}
	a.secured()
	return secure, nil
}

// next is the address to dial, while there is one.
func (a *attempt) next() (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left || a.ready || len(a.conns) == mostConnections {
		return "", errOneConnection
	}
	if a.settled != "" {
		return a.settled, nil
	}
	return a.login.Address(), nil
}

// made keeps a connection, so that none outlives the session.
func (a *attempt) made(conn net.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left || a.ready || len(a.conns) == mostConnections {
		return false
	}
	a.conns = append(a.conns, conn)
	if len(a.conns) == 1 {
		a.settled = conn.RemoteAddr().String()
		a.hop = hopTLS
		if a.login.TLS.Plaintext {
			a.hop = hopGreeting
		}
	}
	return true
}

func (a *attempt) secured() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hop == hopTLS {
		a.hop = hopGreeting
	}
}

// fail ends the attempt. The library would wait for the server to come back.
func (a *attempt) fail(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil && !a.ready && !a.left {
		a.failed = err
		a.cancel(err)
	}
	return err
}

// onSilence hears that the library's watch had no answer. Once it had one, its
// failures are of no account: a password that is refused ends the watch as well.
func (a *attempt) onSilence(e *event.ServerHeartbeatFailedEvent) {
	a.mu.Lock()
	known := a.known
	a.mu.Unlock()
	if !known {
		_ = a.fail(e.Failure)
	}
}

// onDescription hears what the server says of itself.
func (a *attempt) onDescription(e *event.ServerDescriptionChangedEvent) {
	if e.NewDescription.Kind == "Unknown" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.newest, a.known = e.NewDescription.MaxWireVersion, true
	if !a.ready {
		a.hop = hopSignIn
	}
}

// onPool hears that the connection for commands has signed in.
func (a *attempt) onPool(e *event.PoolEvent) {
	if e.Type != event.ConnectionReady {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready = true
}

func (a *attempt) isReady() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ready
}

// leave lets no connection be made any more.
func (a *attempt) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = true
}

// cut closes what connections there are.
func (a *attempt) cut() {
	a.mu.Lock()
	conns := a.conns
	a.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
}
