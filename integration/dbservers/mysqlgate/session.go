package mysqlgate

import (
	"bufio"
	"errors"
	"fmt"
	"net"
)

// session is one client's connection, and the server's that belongs to it.
type session struct {
	gate   *Gate
	user   string
	client net.Conn
	server net.Conn
	// answers are the server's, said the client's messages. It is closed when
	// the client has left.
	answers *bufio.Reader
	said    <-chan packet

	deprecateEOF bool
	// noBackslash is true where a backslash in a string is itself.
	noBackslash bool
}

var (
	// errOver ends a session: by a fault, or since the client has left.
	errOver = errors.New("the session is over")
	// errRefused ends a session that the server did not let in.
	errRefused = errors.New("the server refused the sign-in")
)

// run serves a client that wants to sign in.
func (s *session) run(h hello) {
	user, err := userOf(h.response)
	if err != nil {
		return
	}
	s.user = user
	capabilities, err := capabilitiesOf(h.response)
	if err != nil {
		return
	}
	s.deprecateEOF = capabilities&capDeprecateEOF != 0
	stop := s.listen()
	defer stop()

	call := s.gate.begin(Call{Kind: SignIn, User: user})
	if call.fault.Keeps() {
		s.strike(call)
		return
	}
	if h.askTLS != nil {
		if err := s.secure(*h.askTLS); err != nil {
			return
		}
	}
	s.answers = bufio.NewReader(s.server)
	if err := s.signIn(h.response, call); err != nil {
		return
	}
	for {
		if err := s.command(); err != nil {
			return
		}
	}
}

// listen reads what the client says, and cuts the server off when the client
// leaves without a word, whatever the server is at. A client that quits leaves at
// once too, and the server is told of that first.
func (s *session) listen() (stop func()) {
	said, done := make(chan packet), make(chan struct{})
	s.said = said
	// The connection below TLS: what is above it is made later.
	client, server := s.client, s.server
	s.gate.Go(func() {
		defer close(said)
		for {
			p, err := readPacket(client)
			if err != nil {
				_ = server.Close()
				return
			}
			select {
			case said <- p:
			case <-done:
				return
			}
			if p.quits() {
				return
			}
		}
	})
	return func() {
		close(done)
		_ = client.Close()
	}
}

// strike is the moment of a call's fault. Afterwards the session is over: the
// gate ends it, or waits until the client does.
func (s *session) strike(call pendingCall) {
	call.fault.Fire()
	if call.fault.Cuts() {
		return
	}
	for range s.said { // what it still says is lost
	}
}

// signIn relays the sign-in to its end. An error means that the session is
// over.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
func (s *session) signIn(response packet, call pendingCall) error {
	said := response
	for {
		if err := s.tell(said); err != nil {
			return err
		}
		for {
			p, err := readPacket(s.answers)
			if err != nil {
				return err
			}
			verdict := p.first() == okHeader || p.first() == errHeader
			if err := s.note(p, call); err != nil {
				return err
			}
			if !call.fault.Withholds() || asksBack(p) {
				if _, err := s.client.Write(p.raw); err != nil {
					return fmt.Errorf("passing on an answer: %w", err)
				}
			}
			switch {
			case verdict && call.fault.Withholds():
				s.strike(call)
				return errOver
			case p.first() == errHeader:
				return errRefused
			case verdict:
				return nil
			}
			if asksBack(p) {
				break
			}
		}
		var ok bool
		if said, ok = <-s.said; !ok {
			return errOver
		}
	}
}

// asksBack reports whether the client says something to a packet of the server's
// sign-in. That a cached proof is right (fast_auth_success) it only hears.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html
func asksBack(p packet) bool {
	const moreData, fastAuthSuccess = 0x01, 0x03
	switch p.first() {
	case okHeader, errHeader:
		return false
	case moreData:
		return len(p.payload) != 2 || p.payload[1] != fastAuthSuccess
	}
	return true
}

// note keeps what the gate itself needs to know of an OK or ERR packet.
func (s *session) note(p packet, call pendingCall) error {
	switch p.first() {
	case errHeader:
		s.gate.fail(call, p.errorNumber())
	case okHeader:
		status, err := p.statusOfOK()
		if err != nil {
			return err
		}
		s.heed(status)
	}
	return nil
}

func (s *session) tell(p packet) error {
	if _, err := s.server.Write(p.raw); err != nil {
		return fmt.Errorf("passing on a message: %w", err)
	}
	return nil
}
