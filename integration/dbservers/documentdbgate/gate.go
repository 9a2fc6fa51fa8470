// Package documentdbgate is a gate in front of FerretDB that stands in for
// Amazon DocumentDB, which nobody can run.
//
// It ends the client's TLS and speaks to FerretDB, on the same machine, in
// plaintext. It lets pass only the commands that a rotation and its tests send
// and that DocumentDB documents; to all others it says that there is no such
// command. A sign-in passes to FerretDB as the client proves it (SCRAM), and the
// gate watches the verdict: it knows who signed in, and refuses what the user's
// roles do not allow.
//
// FerretDB keeps a user's password, and neither roles nor custom data. The gate
// keeps those, in FerretDB's own collection of users, so that they stay when
// both are stopped and started. User-defined roles it keeps likewise.
//
// What is taken from DocumentDB's documentation, and what is not:
//
//   - documented: which commands there are; users and roles live in admin alone,
//     whichever database a command names; a role without a database is bound to
//     the command's own; serviceadmin may not be touched, and the primary user
//     not be dropped nor lose root; which built-in roles may manage users; that
//     no built-in role lets a user change itself.
//   - unproven: the words of errors; that usersInfo shows mechanisms; which rules
//     for names and passwords hold for others than the primary user (the gate
//     demands the primary's password rules of all); what hello says.
//   - not played: replication lag, sessions, transactions, limits of numbers, the
//     authentication by IAM, authenticationRestrictions.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/mongo-apis.html
// https://docs.aws.amazon.com/documentdb/latest/developerguide/role_based_access_control.html
// https://docs.aws.amazon.com/documentdb/latest/developerguide/security.managing-users.html
package documentdbgate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// ServiceAdmin is the user that every cluster has for AWS itself, and that
// nobody can sign in as. Here it is FerretDB's first user, by which the gate
// does its own work; a test that has its password may say all that FerretDB
// understands.
const ServiceAdmin = "serviceadmin"

// Config says what stands behind the gate, and which cluster it plays.
type Config struct {
	// Listen is the host:port that the gate listens on; empty is a port of the
	// loopback interface that the system chooses.
	Listen string
	// Server is FerretDB's host:port. It must let clients in without TLS.
	Server string
	// Password is that of ServiceAdmin.
	Password string
	// Primary is the name of the cluster's primary user. It need not be there
	// yet.
	Primary string
	// TLS holds the gate's certificate. A client that does not speak TLS is
	// then cut off, unless Plaintext is set. Nil means that the gate offers no
	// TLS, as a cluster does whose parameter tls is disabled.
	TLS *tls.Config
	// Plaintext lets clients in without TLS too: for a gate that stands in
	// front of this one.
	Plaintext bool
	// Audit is where the gate writes its audit events, one line each, in the
	// shape of DocumentDB's. A line is written before the client has its
	// answer. Nil is nowhere.
	Audit io.Writer
	// Behavior is which cluster the gate plays.
	Behavior Behavior
}

// Behavior is how a cluster differs from the usual one: an instance-based
// cluster of version 5.0, by its cluster endpoint. The zero value is that one.
type Behavior struct {
	// MaxWireVersion is what hello says: 7 for DocumentDB 4.0, 6 for 3.6. Zero
	// is what FerretDB says; what DocumentDB 5.0 says is unproven.
	MaxWireVersion int
	// Reader makes the cluster say that it is not the writer, and refuse all
	// that changes something, as at a reader endpoint.
	Reader bool
	// Elastic makes an elastic cluster: hello tells of no replica set, and there
	// are no commands for roles.
	Elastic bool
	// OwnPassword lets every user change its own password, which DocumentDB's
	// documentation does not list among what a role allows.
	OwnPassword bool
	// HideMechanisms leaves the mechanisms out of usersInfo, which
	// DocumentDB's documentation does not show there.
	HideMechanisms bool
	// AnySource lets a user sign in by whichever database the client names, and
	// connectionStatus says admin. What DocumentDB does about another database
	// than admin is unproven; the usual cluster here has no users there.
	AnySource bool
	// MongoDB makes a MongoDB server instead: users live in the database that
	// their command names, usersInfo shows them as MongoDB does, a user that is
	// there already is error 51003, and there are no rules for passwords.
	MongoDB bool
}

// Gate is a gate that is open. Its methods may be called from several
// goroutines at once.
type Gate struct {
	config   Config
	listener net.Listener
	own      store // as ServiceAdmin
	done     sync.WaitGroup
	life     context.Context // of the gate; over when it is closed
	end      context.CancelFunc
	audit    auditor

	// users is held for writing while users and roles are changed, and for reading
	// while somebody is told of them: FerretDB is told of a change in two commands,
	// between which a user has a password and not yet its roles.
	users sync.RWMutex

	mu       sync.Mutex
	closed   bool
	behavior Behavior
	tls      *tls.Config
	conns    map[net.Conn]struct{} // of both sides
}

// How long the gate waits for FerretDB, which is on the same machine. The time of
// an answer is one command's alone: waiting for one's turn does not count, however
// many clients there are.
const (
	dialTimeout   = 10 * time.Second
	answerTimeout = time.Minute
)

// Start opens a gate. It does not try whether FerretDB is there.
func Start(c Config) (*Gate, error) {
	if _, _, err := net.SplitHostPort(c.Server); err != nil {
		return nil, fmt.Errorf("opening a gate: the server is to be host:port: %w", err)
	}
	if c.TLS != nil && len(c.TLS.Certificates) == 0 {
		return nil, errors.New("opening a gate: the TLS configuration has no certificate: set Certificates")
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("opening a gate: %w", err)
	}
	life, end := context.WithCancel(context.Background())
	g := &Gate{
		config: c, listener: listener, life: life, end: end,
		own: store{server: c.Server, password: c.Password}, audit: auditor{out: c.Audit},
		behavior: c.Behavior, conns: make(map[net.Conn]struct{}),
	}
	if c.TLS != nil {
		g.tls = c.TLS.Clone()
	}
	g.done.Go(g.accept)
	return g, nil
}

// Addr returns the host:port that clients connect to.
func (g *Gate) Addr() string { return g.listener.Addr().String() }

// SetCertificate makes new connections see another certificate. It is an error
// where the gate offers no TLS.
func (g *Gate) SetCertificate(cert tls.Certificate) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tls == nil {
		return errors.New("changing the gate's certificate: it offers no TLS; start one with Config.TLS")
	}
	g.tls = g.tls.Clone()
	g.tls.Certificates = []tls.Certificate{cert}
	return nil
}

// SetBehavior makes the gate play another cluster from now on, to sessions that
// are open too.
func (g *Gate) SetBehavior(b Behavior) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.behavior = b
}

func (g *Gate) plays() Behavior {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.behavior
}

// Close cuts all connections and returns when nothing of the gate is left.
func (g *Gate) Close() error {
	g.mu.Lock()
	again := g.closed
	g.closed = true
	g.end()
	for conn := range g.conns {
		_ = conn.Close() // it is being cut: there is nothing to lose
	}
	g.mu.Unlock()
	var err error
	if !again {
		err = g.listener.Close()
	}
	g.done.Wait()
	if !again {
		err = errors.Join(err, g.own.close())
	}
	if err != nil {
		return fmt.Errorf("closing the gate: %w", err)
	}
	return nil
}

func (g *Gate) accept() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		if !g.hold(client) {
			return
		}
		g.done.Go(func() {
			defer g.drop(client)
			g.serve(client)
		})
	}
}

// hold makes conn one that Close cuts. It reports false, and has closed conn,
// if the gate is closed.
func (g *Gate) hold(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = conn.Close()
		return false
	}
	g.conns[conn] = struct{}{}
	return true
}

// drop closes conn.
func (g *Gate) drop(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, conn)
	_ = conn.Close()
}
