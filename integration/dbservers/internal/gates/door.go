// Package gates is what the gates in front of database servers have in common: a
// door by which clients come in, and calls that are counted and meet faults.
package gates

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Door is an open port of the loopback interface. Its methods may be called from
// several goroutines at once.
type Door struct {
	listener *net.TCPListener
	address  netip.AddrPort
	done     sync.WaitGroup // what Go began

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

// Open opens a door on a port that the system chooses. Nobody comes in before
// [Door.Admit].
func Open() (*Door, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("opening a gate: %w", err)
	}
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a gate: %w", err), listener.Close())
	}
	return &Door{listener: listener, address: address, conns: make(map[net.Conn]struct{})}, nil
}

// Check says what is wrong with where a gate is to lead, and with how clients come
// in, and returns a copy of the latter.
func Check(server string, config *tls.Config) (*tls.Config, error) {
	if _, _, err := net.SplitHostPort(server); err != nil {
		return nil, fmt.Errorf("opening a gate: the server is to be host:port: %w", err)
	}
	if config == nil {
		return nil, nil
	}
	if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return nil, errors.New("opening a gate: the TLS configuration has no certificate: set Certificates")
	}
	return config.Clone(), nil
}

// Admit lets clients in from now on, and serves each in a goroutine of its own. A
// client's connection is closed when serve returns.
func (d *Door) Admit(serve func(client net.Conn)) {
	d.Go(func() {
		for {
			client, err := d.listener.Accept()
			if err != nil {
				return // closed
			}
			if !d.Hold(client) {
				return
			}
			d.Go(func() {
				defer d.Drop(client)
				serve(client)
			})
		}
	})
}

// Addr returns where clients connect to.
func (d *Door) Addr() (host string, port int) {
	return d.address.Addr().String(), int(d.address.Port())
}

// Go runs what Close waits for.
func (d *Door) Go(run func()) { d.done.Go(run) }

// Close cuts all connections and returns when nothing of the gate is left. A
// [Fault]'s Act that is running is waited for. Closing it again does nothing.
func (d *Door) Close() error {
	d.mu.Lock()
	again := d.closed
	d.closed = true
	for conn := range d.conns {
		_ = conn.Close() // it is being cut: there is nothing to lose
	}
	d.mu.Unlock()
	var err error
	if !again {
		err = d.listener.Close()
	}
	d.done.Wait()
	if err != nil {
		return fmt.Errorf("closing the gate: %w", err)
	}
	return nil
}

// Hold makes conn one that Close cuts. It reports false, and has closed conn,
// where the door is closed.
func (d *Door) Hold(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = conn.Close()
		return false
	}
	d.conns[conn] = struct{}{}
	return true
}

// Drop closes conn.
func (d *Door) Drop(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, conn)
	_ = conn.Close()
}
