package wiregate

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/gates"
)

// session is one client's connection, and the server's that belongs to it.
type session struct {
	gate     *Gate
	user     string
	client   net.Conn          // without its TLS
	backend  *pgproto3.Backend // what the client takes for the server
	server   net.Conn
	frontend *pgproto3.Frontend // what the server takes for the client
	digests  *digestReader      // what frontend reads from

	// prepared are the texts, by name, of the statements that the client has
	// prepared. Only the goroutine that reads from the client uses it.
	prepared map[string]string

	mu sync.Mutex
	// pending are the calls that the server has not answered yet, the oldest
	// first.
	pending []*pendingCall
	// backslashEscapes is true where the server's standard_conforming_strings
	// is off.
	backslashEscapes bool
}

// pendingCall is a call and the fault that it meets, nil for none.
type pendingCall struct {
	*Call
	fault *gates.Injected
}

// begin counts a call.
func (s *session) begin(kind string) *pendingCall {
	call := &Call{Kind: kind, User: s.user}
	return &pendingCall{Call: call, fault: s.gate.calls.Begin(call)}
}

// strikesBefore lets a fault strike that keeps call from the server. It
// reports whether there was one; then the session is over.
func (s *session) strikesBefore(call *pendingCall) bool {
	if !call.fault.Keeps() {
		return false
	}
	call.fault.Fire()
	if !call.fault.Cuts() {
		s.awaitLeaving()
	}
	return true
}

// awaitLeaving returns when the client has left. What it still says is lost.
func (s *session) awaitLeaving() { _, _ = io.Copy(io.Discard, s.client) }

// run serves a client that wants to sign in; conn is client, or TLS on it.
func (g *Gate) run(client, conn net.Conn, startup *pgproto3.StartupMessage) {
	s := &session{
		gate:     g,
		user:     startup.Parameters["user"],
		client:   client,
		backend:  pgproto3.NewBackend(conn, conn),
		prepared: make(map[string]string),
	}
	call := s.begin(SignIn)
	if s.strikesBefore(call) {
		return
	}
	server, err := g.dial()
	if err != nil {
		return
	}
	defer g.Drop(server)
	s.server, s.digests = server, &digestReader{from: server}
	s.frontend = pgproto3.NewFrontend(s.digests, server)
	if err := s.signIn(startup, call); err != nil {
		return
	}

	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if err := s.relayAnswers(); !errors.Is(err, errHeld) {
			_ = s.client.Close() // by this the other direction ends
		}
	}()
	s.relayStatements()
	_ = s.server.Close() // by this the answers end
	<-answered
}

var (
	// errHeld ends the answers while the connection is to stay open.
	errHeld = errors.New("held by a fault")
	// errCut ends the answers with the connection.
	errCut = errors.New("cut by a fault")
	// errRefused ends a session that the server did not let in.
	errRefused = errors.New("the server refused the sign-in")
)

// signIn relays the sign-in to its end. An error means that the session is
// over.
func (s *session) signIn(startup *pgproto3.StartupMessage, call *pendingCall) error {
	s.frontend.Send(startup)
	for {
		if err := s.frontend.Flush(); err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
		message, err := s.frontend.Receive()
		if err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
		s.note(message, call)
		if !call.fault.Withholds() || leadsToVerdict(message) {
			s.backend.Send(s.digests.restored(message))
		}
		over := endsCall(message)
		if over || s.frontend.ReadBufferLen() == 0 {
			if err := s.backend.Flush(); err != nil {
				return fmt.Errorf("signing in: %w", err)
			}
		}
		switch {
		case over && call.fault.Withholds():
			call.fault.Fire()
			if !call.fault.Cuts() {
				s.awaitLeaving()
			}
			return errCut
		case over && call.Err != "":
			return errRefused
		case over:
			return nil
		case isChallenge(message):
			if err := s.relayProof(); err != nil {
				return fmt.Errorf("signing in: %w", err)
			}
		}
	}
}

// relayProof passes on the client's answer to what the server just asked for.
func (s *session) relayProof() error {
	if err := s.backend.SetAuthType(s.frontend.GetAuthType()); err != nil {
		return err
	}
	if err := s.backend.Flush(); err != nil {
		return err
	}
	message, err := s.backend.Receive()
	if err != nil {
		return err
	}
	s.frontend.Send(message)
	return nil
}

// isChallenge reports whether the client answers message during its sign-in.
func isChallenge(message pgproto3.BackendMessage) bool {
	switch message.(type) {
	case *pgproto3.AuthenticationCleartextPassword, *pgproto3.AuthenticationMD5Password,
		*pgproto3.AuthenticationSASL, *pgproto3.AuthenticationSASLContinue,
		*pgproto3.AuthenticationGSS, *pgproto3.AuthenticationGSSContinue:
		return true
	}
	return false
}

// leadsToVerdict reports whether a sign-in cannot come to the server's verdict
// without message.
func leadsToVerdict(message pgproto3.BackendMessage) bool {
	_, negotiates := message.(*pgproto3.NegotiateProtocolVersion)
	return negotiates || isChallenge(message)
}

// endsCall reports whether the server says nothing more on a call. After a
// fatal error it says nothing more at all.
func endsCall(message pgproto3.BackendMessage) bool {
	switch message := message.(type) {
	case *pgproto3.ReadyForQuery:
		return true
	case *pgproto3.ErrorResponse:
		return message.Severity == "FATAL" || message.Severity == "PANIC" ||
			message.SeverityUnlocalized == "FATAL" || message.SeverityUnlocalized == "PANIC"
	}
	return false
}

// note keeps what the gate itself needs to know of the server's words on call,
// which may be nil.
func (s *session) note(message pgproto3.BackendMessage, call *pendingCall) {
	switch message := message.(type) {
	case *pgproto3.ErrorResponse:
		if call != nil {
			s.gate.fail(call.Call, message.Code)
		}
	case *pgproto3.ParameterStatus:
		if message.Name == "standard_conforming_strings" {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.backslashEscapes = message.Value == "off"
		}
	}
}
