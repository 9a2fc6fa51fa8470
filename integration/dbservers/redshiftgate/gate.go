package redshiftgate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// Config says what stands behind the gate, and how clients come in.
type Config struct {
	// Server is the PostgreSQL server's host:port. It lets clients in without
	// TLS, keeps passwords as md5 and asks for them so, and was given to
	// [Install].
	Server string
	// Connect signs in to the server as a superuser, to the database that was
	// given to Install. By it the gate looks up which users have a sha256
	// password.
	Connect func(ctx context.Context) (*pgx.Conn, error)
	// TLS holds the gate's certificate. Nil means that the gate offers no TLS.
	TLS *tls.Config
	// Plaintext lets clients in without TLS, too.
	Plaintext bool
}

// Gate is a gate. Its methods may be called from several goroutines at once.
type Gate struct {
	config  Config
	tls     atomic.Pointer[tls.Config]
	address netip.AddrPort
	done    sync.WaitGroup // connections, and the goroutine that accepts them

	mu       sync.Mutex
	listener *net.TCPListener // nil while the gate is shut
	conns    map[net.Conn]struct{}

	lookups sync.Mutex
	lookup  *pgx.Conn
}

// Start opens a gate on a port of the loopback interface that the system
// chooses. It does not try whether the server is there.
func Start(c Config) (*Gate, error) {
	if _, _, err := net.SplitHostPort(c.Server); err != nil {
		return nil, fmt.Errorf("opening a gate: the server is to be host:port: %w", err)
	}
	if c.Connect == nil {
		return nil, errors.New("opening a gate: there is no way to look users up: set Connect")
	}
	g := &Gate{config: c, address: netip.MustParseAddrPort("127.0.0.1:0"), conns: make(map[net.Conn]struct{})}
	g.tls.Store(c.TLS)
	if err := g.Open(); err != nil {
		return nil, err
	}
	return g, nil
}

// Addr returns where clients connect to. It never changes.
func (g *Gate) Addr() (host string, port int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.address.Addr().String(), int(g.address.Port())
}

// SetCertificate gives the gate another certificate, for the sessions to come.
func (g *Gate) SetCertificate(cert tls.Certificate) {
	g.tls.Store(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
}

// Open opens a gate that was shut, on the same port. Opening an open gate does
// nothing.
func (g *Gate) Open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		return nil
	}
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(g.address))
	if err != nil {
		return fmt.Errorf("opening a gate: %w", err)
	}
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return errors.Join(fmt.Errorf("opening a gate: %w", err), listener.Close())
	}
	g.address, g.listener = address, listener
	g.done.Add(1)
	go g.accept(listener)
	return nil
}

// Close shuts the gate: it cuts all connections, refuses new ones, and returns
// when nothing of it is left. [Gate.Open] opens it again.
func (g *Gate) Close() error {
	g.mu.Lock()
	listener := g.listener
	g.listener = nil
	for conn := range g.conns {
		_ = conn.Close() // it is being cut: there is nothing to lose
	}
	g.mu.Unlock()
	var err error
	if listener != nil {
		err = listener.Close()
	}
	g.done.Wait()
	g.forgetLookup(context.Background())
	if err != nil {
		return fmt.Errorf("closing the gate: %w", err)
	}
	return nil
}

func (g *Gate) accept(listener *net.TCPListener) {
	defer g.done.Done()
	for {
		client, err := listener.Accept()
		if err != nil {
			return // shut
		}
		if !g.hold(client) {
			return
		}
		g.done.Add(1)
		go func() {
			defer g.done.Done()
			defer g.drop(client)
			g.serve(client)
		}()
	}
}

// hold makes conn one that Close cuts. It reports false, and has closed conn,
// if the gate is shut.
func (g *Gate) hold(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil {
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
