package mongogate

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// dialTimeout bounds the connection to a server that is on this machine.
const dialTimeout = 10 * time.Second

// session is one client's connection, and the server's that belongs to it.
type session struct {
	gate           *Gate
	client, server net.Conn // without their TLS
	// answers are the server's, said the client's messages. It is closed when
	// the client has left.
	answers *bufio.Reader
	said    <-chan opmsg.Message

	// signing is the sign-in that is under way, if any, and user who has signed
	// in.
	signing *pendingCall
	user    string
}

// errOver ends a session: by a fault, or since the client has left.
var errOver = errors.New("the session is over")

// serve serves one client to its end. Errors have nobody to be told to: the
// client sees its connection end.
func (g *Gate) serve(client net.Conn) {
	if g.config.TLS != nil {
		secure := tls.Server(client, g.config.TLS)
		if err := secure.Handshake(); err != nil {
			return
		}
		client = secure
	}
	server, err := net.DialTimeout("tcp", g.config.Server, dialTimeout)
	if err != nil || !g.Hold(server) {
		return
	}
	defer g.Drop(server)
	if g.config.TLS != nil {
		// The server is on this machine, and known to be the one that was
		// started.
		server = tls.Client(server, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	}
	s := &session{gate: g, client: client, server: server, answers: bufio.NewReader(server)}
	stop := s.listen()
	defer stop()
	for m := range s.said {
		if err := s.command(m); err != nil {
			return
		}
	}
}

// listen reads what the client says, and cuts the server off when the client
// leaves, whatever the server is at.
func (s *session) listen() (stop func()) {
	said, done := make(chan opmsg.Message), make(chan struct{})
	s.said = said
	from, server := bufio.NewReader(s.client), s.server
	s.gate.Go(func() {
		defer close(said)
		for {
			m, err := opmsg.Read(from)
			if err != nil {
				_ = server.Close()
				return
			}
			select {
			case said <- m:
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		_ = s.client.Close()
	}
}

// command relays one message of the client's and the answer to it. An error
// means that the session is over.
func (s *session) command(m opmsg.Message) error {
	call, counts := s.begin(m)
	if !counts {
		return s.relay(m, func(opmsg.Message) error { return nil })
	}
	if call.fault.Keeps() {
		return s.strike(call)
	}
	return s.relay(m, func(answer opmsg.Message) error {
		if call.Kind == SignIn && !s.verdict(answer) {
			return nil
		}
		s.gate.fail(call, answer.Code())
		if call.fault.Withholds() {
			return s.strike(call)
		}
		return nil
	})
}

// begin returns the call that a message belongs to, and counts one that begins
// with it. A message that belongs to none is passed on as it is.
func (s *session) begin(m opmsg.Message) (call pendingCall, counts bool) {
	name := m.Command()
	if who, starts := m.SignIn(); starts {
		// A server that knows nothing of a hello that begins the conversation
		// leaves it to the saslStart that follows: it is one sign-in.
		if s.signing == nil {
			begun := s.gate.begin(Call{Kind: SignIn, User: who.User})
			s.signing, s.user = &begun, ""
		}
		return *s.signing, true
	}
	switch {
	case s.signing != nil && name == "saslContinue":
		return *s.signing, true
	case s.user == "" || noCall[name]:
		return pendingCall{}, false
	}
	return s.gate.begin(Call{Kind: Statement, User: s.user, Text: strings.Join(m.Fields(), " ")}), true
}

// noCall are commands that clients say on their own.
var noCall = map[string]bool{"hello": true, "isMaster": true, "ismaster": true, "endSessions": true}

// verdict reports whether an answer is the server's verdict on the sign-in that
// is under way, and notes it.
func (s *session) verdict(answer opmsg.Message) bool {
	told := answer.Body
	if inner, is := told.Lookup("speculativeAuthenticate").DocumentOK(); is {
		told = inner
	}
	over, _ := told.Lookup("done").BooleanOK()
	if answer.OK() && !over {
		return false
	}
	if over {
		s.user = s.signing.User
	}
	s.signing = nil
	return true
}

// relay passes a message on, and each answer to it that heed has no error for.
func (s *session) relay(m opmsg.Message, heed func(answer opmsg.Message) error) error {
	if _, err := s.server.Write(m.Raw); err != nil {
		return fmt.Errorf("passing on a message: %w", err)
	}
	for more := m.WantsAnswer(); more; {
		answer, err := opmsg.Read(s.answers)
		if err != nil {
			return err
		}
		if err := heed(answer); err != nil {
			return err
		}
		if _, err := s.client.Write(answer.Raw); err != nil {
			return fmt.Errorf("passing on an answer: %w", err)
		}
		more = answer.MoreToCome()
	}
	return nil
}

// strike is the moment of a call's fault. Afterwards the session is over: the
// gate ends it, or waits until the client does.
func (s *session) strike(call pendingCall) error {
	call.fault.Fire()
	if call.fault.Cuts() {
		return errOver
	}
	for range s.said { // what it still says is lost
	}
	return errOver
}
