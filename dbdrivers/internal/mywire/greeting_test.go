package mywire_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// serverThat listens, and talks to one client after the other by say. It returns a login for it,
// without TLS.
func serverThat(t *testing.T, say func(t *testing.T, conn net.Conn)) dbdrivers.Login {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			say(t, conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	login := dbdrivers.Login{Host: "127.0.0.1", Port: address.Port, Username: "app", Password: dbdrivers.NewPassword(password)}
	login.TLS.Plaintext = true
	return login
}

const password = "planted-password-1A"

// send writes one packet of the protocol.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
func send(conn net.Conn, number byte, payload string) {
	header := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	header[3] = number
	_, _ = conn.Write(append(header, payload...))
}

// receive reads one packet and returns its payload.
func receive(conn net.Conn) string {
	header := make([]byte, 4)
	if _, err := io.ReadFull(conn, header); err != nil {
		return ""
	}
	payload := make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
	_, _ = io.ReadFull(conn, payload)
	return string(payload)
}

// The capabilities of a greeting: protocol 4.1, secure connection, plugins, and
// TLS.
const (
	basicCapabilities = 0x0200 | 0x8000
	tlsCapability     = 0x0800
)

// greet greets as MySQL does, with a plugin.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
func greet(conn net.Conn, capabilities uint16, plugin string) {
	const scramble = "12345678"
	greeting := "\x0a8.4.0\x00\x01\x00\x00\x00" + scramble + "\x00"
	greeting += string(binary.LittleEndian.AppendUint16(nil, capabilities))
	greeting += "\x2d\x02\x00" + "\x08\x00" + "\x15" + string(make([]byte, 10)) + "123456789012\x00" + plugin + "\x00"
	send(conn, 0, greeting)
}

// fault is an error packet.
func fault(number uint16, state, message string) string {
	return "\xff" + string(binary.LittleEndian.AppendUint16(nil, number)) + "#" + state + message
}
