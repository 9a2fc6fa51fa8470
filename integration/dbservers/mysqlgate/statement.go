package mysqlgate

import (
	"bufio"
	"fmt"
)

// Commands.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html
const (
	comQuit  = 0x01
	comQuery = 0x03
	comPing  = 0x0e
)

// The server's status.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/mysql__com_8h.html
const (
	statusMoreResults = 1 << 3
	statusNoBackslash = 1 << 9
)

// command relays the client's next command and the answer to it. An error means
// that the session is over.
func (s *session) command() error {
	p, ok := <-s.said
	if !ok {
		return errOver
	}
	call := Call{Kind: Statement, User: s.user}
	switch p.first() {
	case comQuit:
		s.quit(p)
		return errOver
	case comQuery:
		call.Text = maskStrings(string(p.payload[1:]), !s.noBackslash)
	case comPing:
		call.Text = "ping"
	default:
		text := fmt.Sprintf("this gate does not know the command 0x%02x", p.first())
		if _, err := s.client.Write(errorPacket(p.sequence()+1, errUnknownCommand, text)); err != nil {
			return fmt.Errorf("refusing a command: %w", err)
		}
		return nil
	}
	pending := s.gate.begin(call)
	if pending.fault.Keeps() {
		s.strike(pending)
		return errOver
	}
	if err := s.tell(p); err != nil {
		return err
	}
	if err := s.answer(pending); err != nil {
		return err
	}
	if pending.fault.Withholds() {
		s.strike(pending)
		return errOver
	}
	return nil
}

// quit passes on that the client leaves.
func (s *session) quit(p packet) {
	call := s.gate.begin(Call{Kind: Quit, User: s.user})
	if !call.fault.Keeps() {
		_ = s.tell(p)
	}
	if call.fault != nil {
		s.strike(call)
	}
}

// answer reads the server's whole answer, and passes it on where it is not
// withheld.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response.html
func (s *session) answer(call pendingCall) error {
	out := bufio.NewWriter(s.client)
	next := func() (packet, error) {
		p, err := readPacket(s.answers)
		if err != nil || call.fault.Withholds() {
			return p, err
		}
		if _, err := out.Write(p.raw); err != nil {
			return p, fmt.Errorf("passing on an answer: %w", err)
		}
		return p, nil
	}
	for more := true; more; {
		status, err := s.result(call, next)
		if err != nil {
			return err
		}
		more = status&statusMoreResults != 0
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("passing on an answer: %w", err)
	}
	return nil
}

// result reads one result to its end, and returns the server's status there.
// The status after an error promises no more results.
func (s *session) result(call pendingCall, next func() (packet, error)) (status uint16, err error) {
	p, err := next()
	if err != nil {
		return 0, err
	}
	switch p.first() {
	case errHeader:
		s.gate.fail(call, p.errorNumber())
		return 0, nil
	case okHeader:
		status, err = p.statusOfOK()
		s.heed(status)
		return status, err
	}
	n, err := p.columns()
	if err != nil {
		return 0, err
	}
	if !s.deprecateEOF {
		n++ // the packet that ends the columns
	}
	for range n {
		if _, err := next(); err != nil {
			return 0, err
		}
	}
	for {
		p, err := next()
		if err != nil {
			return 0, err
		}
		switch {
		case p.first() == errHeader:
			s.gate.fail(call, p.errorNumber())
			return 0, nil
		case p.first() != eofHeader || len(p.raw) > maxChunk:
			// A row, which may begin with the same byte only where it is
			// longer than a packet.
			continue
		case s.deprecateEOF:
			status, err = p.statusOfOK()
		default:
			status, err = p.statusOfEOF()
		}
		s.heed(status)
		return status, err
	}
}

// heed keeps what the gate itself needs to know of the server's status.
func (s *session) heed(status uint16) { s.noBackslash = status&statusNoBackslash != 0 }
