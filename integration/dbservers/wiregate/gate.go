// Package wiregate is a gate in front of a PostgreSQL server that fails chosen
// calls, for tests of what a client makes of it.
//
// It speaks the PostgreSQL protocol with both sides, just well enough to know
// where calls begin and end: a sign-in, and each statement. It ends the
// client's TLS itself and reaches the server, on the same machine, in
// plaintext. Passwords pass through it as the client proves them (SCRAM, md5);
// it cannot sign in by itself, and it keeps no statement's literals.
//
// The client must not demand SCRAM's channel binding, which would bind it to
// the gate's certificate and not the server's.
package wiregate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Config says what stands behind the gate, and how clients come in.
type Config struct {
	// Server is the server's host:port. It must let clients in without TLS.
	Server string
	// TLS holds the gate's certificate. A client that does not ask for TLS is
	// then refused. Nil means that the gate offers no TLS.
	TLS *tls.Config
}

// Gate is a gate that is open. Its methods may be called from several
// goroutines at once.
type Gate struct {
	config   Config
	listener *net.TCPListener
	address  netip.AddrPort
	done     sync.WaitGroup // connections, and the goroutine that accepts them

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{} // of both sides
	calls  []*Call
	faults []*injected
}

// Start opens a gate on a port of the loopback interface that the system
// chooses. It does not try whether the server is there.
func Start(c Config) (*Gate, error) {
	if _, _, err := net.SplitHostPort(c.Server); err != nil {
		return nil, fmt.Errorf("opening a gate: the server is to be host:port: %w", err)
	}
	if c.TLS != nil {
		if len(c.TLS.Certificates) == 0 && c.TLS.GetCertificate == nil && c.TLS.GetConfigForClient == nil {
			return nil, errors.New("opening a gate: the TLS configuration has no certificate: set Certificates")
		}
		c.TLS = c.TLS.Clone()
	}
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("opening a gate: %w", err)
	}
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a gate: %w", err), listener.Close())
	}
	g := &Gate{config: c, listener: listener, address: address, conns: make(map[net.Conn]struct{})}
	g.done.Add(1)
	go g.accept()
	return g, nil
}

// Addr returns where clients connect to.
func (g *Gate) Addr() (host string, port int) {
	return g.address.Addr().String(), int(g.address.Port())
}

// Close cuts all connections and returns when nothing of the gate is left. A
// Fault.Act that is running is waited for.
func (g *Gate) Close() error {
	g.mu.Lock()
	again := g.closed
	g.closed = true
	for conn := range g.conns {
		_ = conn.Close() // it is being cut: there is nothing to lose
	}
	g.mu.Unlock()
	var err error
	if !again {
		err = g.listener.Close()
	}
	g.done.Wait()
	if err != nil {
		return fmt.Errorf("closing the gate: %w", err)
	}
	return nil
}

func (g *Gate) accept() {
	defer g.done.Done()
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return // closed
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
