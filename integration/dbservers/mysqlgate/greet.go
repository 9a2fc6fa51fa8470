package mysqlgate

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// dialTimeout bounds the connection to a server that is on this machine.
const dialTimeout = 10 * time.Second

// Capabilities that the server offers and the client takes.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html
const (
	capCompress         = 1 << 5
	capLocalFiles       = 1 << 7
	capSSL              = 1 << 11
	capOptionalMetadata = 1 << 25
	capDeprecateEOF     = 1 << 24
	capZstd             = 1 << 26
	capQueryAttributes  = 1 << 27

	// withheldCapabilities change what packets look like in ways that the gate
	// does not know. No client has to have them.
	withheldCapabilities uint32 = capCompress | capLocalFiles | capOptionalMetadata | capZstd | capQueryAttributes
)

// Errors of the gate's own.
const (
	errUnknownCommand  = 1047 // ER_UNKNOWN_COM_ERROR
	errSecureTransport = 3159 // ER_SECURE_TRANSPORT_REQUIRED
)

// serve serves one client to its end. Errors have nobody to be told to: the
// client sees its connection end.
func (g *Gate) serve(client net.Conn) {
	// The server speaks first, and what it says goes into the client's proof.
	server, err := net.DialTimeout("tcp", g.config.Server, dialTimeout)
	if err != nil || !g.Hold(server) {
		return
	}
	defer g.Drop(server)
	s := &session{gate: g, client: client, server: server}
	hello, err := s.greet()
	if err != nil {
		return
	}
	s.run(hello)
}

// hello is how a client begins: it asks for TLS, where it does, and says who
// it is.
type hello struct {
	askTLS   *packet
	response packet
}

// greet passes on the server's greeting and reads what the client says to it,
// without a word of that to the server.
func (s *session) greet() (hello, error) {
	greeting, err := readPacket(s.server)
	if err != nil {
		return hello{}, err
	}
	if greeting.first() != errHeader {
		if err := offer(greeting, s.gate.config.TLS != nil); err != nil {
			return hello{}, err
		}
	}
	if _, err := s.client.Write(greeting.raw); err != nil {
		return hello{}, fmt.Errorf("passing on the greeting: %w", err)
	}
	said, err := readPacket(s.client)
	if err != nil {
		return hello{}, err
	}
	capabilities, err := capabilitiesOf(said)
	if err != nil {
		return hello{}, err
	}
	switch {
	case s.gate.config.TLS == nil:
		return hello{response: said}, nil
	case capabilities&capSSL == 0:
		_, _ = s.client.Write(errorPacket(said.sequence()+1, errSecureTransport, "this gate lets in only clients that ask for TLS"))
		return hello{}, errors.New("the client asked for no TLS")
	}
	s.client = tls.Server(s.client, s.gate.config.TLS)
	response, err := readPacket(s.client)
	if err != nil {
		return hello{}, err
	}
	return hello{askTLS: &said, response: response}, nil
}

// offer takes from a greeting, in place, what the gate cannot do.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
func offer(greeting packet, secure bool) error {
	withheld := withheldCapabilities
	if !secure {
		withheld |= capSSL
	}
	version := bytes.IndexByte(greeting.payload, 0)
	const (
		toLower = 1 + 4 + 8 + 1 // the zero byte, the connection's number, and the proof's first part
		toUpper = toLower + 2 + 1 + 2
		// MariaDB has capabilities of its own here, and MySQL zeros.
		toOwn = toUpper + 2 + 1 + 6
	)
	if version < 0 || len(greeting.payload) < version+toOwn+4 {
		return errShort
	}
	at := greeting.raw[headerSize+version:]
	lower, upper := at[toLower:], at[toUpper:]
	binary.LittleEndian.PutUint16(lower, binary.LittleEndian.Uint16(lower)&^uint16(withheld))
	binary.LittleEndian.PutUint16(upper, binary.LittleEndian.Uint16(upper)&^uint16(withheld>>16))
	clear(at[toOwn : toOwn+4])
	return nil
}

// capabilitiesOf are those that a client takes.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_response.html
func capabilitiesOf(response packet) (uint32, error) {
	if len(response.payload) < responseSize {
		return 0, errShort
	}
	return binary.LittleEndian.Uint32(response.payload), nil
}

// responseSize is what comes before the user's name.
const responseSize = 4 + 4 + 1 + 23

func userOf(response packet) (string, error) {
	if len(response.payload) < responseSize {
		return "", errShort
	}
	user, _, found := bytes.Cut(response.payload[responseSize:], []byte{0})
	if !found {
		return "", errShort
	}
	return string(user), nil
}

// secure begins TLS with the server, which is on this machine and known to be
// the one that was started.
func (s *session) secure(ask packet) error {
	if _, err := s.server.Write(ask.raw); err != nil {
		return fmt.Errorf("asking for TLS: %w", err)
	}
	s.server = tls.Client(s.server, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	return nil
}
