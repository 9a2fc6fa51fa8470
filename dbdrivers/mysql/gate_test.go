package mysql_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// gate stands in front of a server and cuts one connection off. The client
// comes without TLS, so that the gate sees where a message begins and ends.
type gate struct {
	server     string
	nth        int
	answerLost bool
	seen       int
	cut        atomic.Bool
}

// gated returns login for a connection that is cut off at the client's nth
// message, from zero, and whether it came that far. The goodbye is none.
func (s *server) gated(t *testing.T, login dbdrivers.Login, nth int, answerLost bool) (dbdrivers.Login, func() bool) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{server: login.Address(), nth: nth, answerLost: answerLost}
	var done sync.WaitGroup
	done.Go(func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		g.pass(t, client)
	})
	t.Cleanup(func() {
		_ = listener.Close()
		done.Wait()
	})
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	login.Host, login.Port, login.TLS.Plaintext = "127.0.0.1", address.Port, true
	return login, g.cut.Load
}

func (g *gate) pass(t *testing.T, client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.server)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = server.Close() }()
	var done sync.WaitGroup
	defer done.Wait()
	var withhold atomic.Bool
	done.Go(func() {
		defer func() { _, _ = client.Close(), server.Close() }()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil {
				return
			}
			if withhold.Load() {
				g.cut.Store(true)
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	defer func() { _ = server.Close() }()
	for {
		message, err := readMessage(client)
		if err != nil {
			return
		}
		const quit = 0x01
		if len(message) == 5 && message[3] == 0 && message[4] == quit {
			_, _ = server.Write(message)
			return
		}
		if g.seen == g.nth {
			if !g.answerLost {
				g.cut.Store(true)
				return
			}
			withhold.Store(true)
		}
		g.seen++
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// pausing stands in front of a server without TLS, and calls hook before it passes
// on the first message of its first connection that has needle in it.
func (s *server) pausing(t *testing.T, login dbdrivers.Login, needle string, hook func()) dbdrivers.Login {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	var paused atomic.Bool
	behind := login.Address()
	done.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				relay(t, client, behind, func(message []byte) {
					if bytes.Contains(message, []byte(needle)) && paused.CompareAndSwap(false, true) {
						hook()
					}
				})
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		done.Wait()
		if !paused.Load() {
			t.Errorf("no message had %q in it", needle)
		}
	})
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	login.Host, login.Port, login.TLS.Plaintext = "127.0.0.1", address.Port, true
	return login
}

// relay shows each of the client's messages before it passes it on.
func relay(t *testing.T, client net.Conn, to string, show func(message []byte)) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	var done sync.WaitGroup
	defer done.Wait()
	defer func() { _ = server.Close() }()
	done.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	for {
		message, err := readMessage(client)
		if err != nil {
			return
		}
		show(message)
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// readMessage reads one packet: its length in three bytes, its number, itself.
func readMessage(r io.Reader) ([]byte, error) {
	message := make([]byte, 4)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, err
	}
	length := int(message[0]) | int(message[1])<<8 | int(message[2])<<16
	message = append(message, make([]byte, length)...)
	_, err := io.ReadFull(r, message[4:])
	return message, err
}
