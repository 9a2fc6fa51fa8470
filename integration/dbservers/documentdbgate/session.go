package documentdbgate

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// session is one client's connection, and FerretDB's that belongs to it.
type session struct {
	gate   *Gate
	client net.Conn // within its TLS
	said   *bufio.Reader
	server net.Conn

	// asking is who is signing in, user who has.
	asking opmsg.SignIn
	user   account
	// application is what the client calls itself.
	application string
}

// account is a user by the database where it lives; nobody where the name is
// empty.
type account struct{ name, db string }

func (a account) String() string { return a.name + "@" + a.db }

// serve serves one client to its end. Errors have nobody to be told to: the
// client sees its connection end.
func (g *Gate) serve(client net.Conn) {
	said, conn, err := g.greet(client)
	if err != nil {
		return
	}
	server, err := net.DialTimeout("tcp", g.config.Server, dialTimeout)
	if err != nil || !g.hold(server) {
		return
	}
	defer g.drop(server)
	s := &session{gate: g, client: conn, said: said, server: server}
	for {
		m, err := opmsg.Read(s.said)
		if err != nil {
			return
		}
		if err := s.answer(m); err != nil {
			return
		}
	}
}

// greet begins TLS where the client does. DocumentDB cuts off who does not.
func (g *Gate) greet(client net.Conn) (*bufio.Reader, net.Conn, error) {
	g.mu.Lock()
	config := g.tls
	g.mu.Unlock()
	peeked := bufio.NewReader(client)
	if config == nil {
		return peeked, client, nil
	}
	if g.config.Plaintext {
		// A record of TLS's first message; the length of one of MongoDB's
		// messages does not read like it.
		//
		// https://www.rfc-editor.org/rfc/rfc8446#section-5.1
		first, err := peeked.Peek(2)
		if err != nil {
			return nil, nil, err
		}
		if first[0] != 0x16 || first[1] != 0x03 {
			return peeked, client, nil
		}
	}
	secure := tls.Server(&peekedConn{Conn: client, from: peeked}, config)
	if err := secure.Handshake(); err != nil {
		return nil, nil, err
	}
	return bufio.NewReader(secure), secure, nil
}

// peekedConn is a connection of which something was read ahead.
type peekedConn struct {
	net.Conn
	from *bufio.Reader
}

func (c *peekedConn) Read(b []byte) (int, error) { return c.from.Read(b) }

// answer does a command and answers it. An error means that the session is
// over; the client is told of one that is the stand-in's own first.
func (s *session) answer(m opmsg.Message) error {
	answer, err := s.do(s.gate.life, m)
	if refused, is := asRefusal(err); is {
		answer, err = refused.document(), nil
	}
	if err != nil {
		answer = broken(err).document()
	}
	if m.WantsAnswer() {
		err = errors.Join(err, s.write(m, answer))
	}
	return err
}

// write sends the answer to m.
func (s *session) write(m opmsg.Message, answer any) error {
	raw, err := bson.Marshal(answer)
	if err != nil {
		return err
	}
	if _, err := s.client.Write(m.Answer(raw)); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}

// do does a command. It returns the answer's document: a refusal, or any other
// error, where there is none.
func (s *session) do(ctx context.Context, m opmsg.Message) (any, error) {
	name := m.Command()
	known, found := commands[name]
	if !found && s.user.name != ServiceAdmin {
		return nil, refuse(codeCommandNotFound, "Feature not supported: "+name)
	}
	if !found {
		return s.pass(m)
	}
	if known.signedIn && s.user.name == "" {
		return nil, refuse(codeUnauthorized, "Command "+name+" requires authentication")
	}
	plays := s.gate.plays()
	if known.roles && plays.Elastic {
		return nil, refuse(codeCommandNotFound, "Feature not supported: "+name)
	}
	if known.changes && plays.Reader && s.user.name != ServiceAdmin {
		return nil, refuse(codeNotWritablePrimary, "not master")
	}
	return known.do(ctx, s, m)
}

// command is a command that the gate knows.
type command struct {
	do func(ctx context.Context, s *session, m opmsg.Message) (any, error)
	// signedIn: somebody must have signed in. changes: it changes something.
	// roles: it is one of those for user-defined roles.
	signedIn, changes, roles bool
}

// commands are those that a rotation and its tests send. All are documented as
// there on instance-based clusters.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/mongo-apis.html
var commands = map[string]command{
	"hello":            {do: hello},
	"isMaster":         {do: hello},
	"ismaster":         {do: hello},
	"ping":             {do: passOn},
	"buildInfo":        {do: passOn},
	"buildinfo":        {do: passOn},
	"saslStart":        {do: saslStart},
	"saslContinue":     {do: saslContinue},
	"logout":           {do: logout},
	"endSessions":      {do: done},
	"connectionStatus": {do: connectionStatus},

	"find":   {do: data(actionFind), signedIn: true},
	"insert": {do: data(actionInsert), signedIn: true, changes: true},
	"update": {do: data(actionUpdate), signedIn: true, changes: true},

	"usersInfo":           {do: telling(usersInfo), signedIn: true},
	"createUser":          {do: changing(createUser), signedIn: true, changes: true},
	"updateUser":          {do: changing(updateUser), signedIn: true, changes: true},
	"dropUser":            {do: changing(dropUser), signedIn: true, changes: true},
	"grantRolesToUser":    {do: changing(grantRoles), signedIn: true, changes: true},
	"revokeRolesFromUser": {do: changing(revokeRoles), signedIn: true, changes: true},

	"rolesInfo":  {do: telling(rolesInfo), signedIn: true, roles: true},
	"createRole": {do: changing(createRole), signedIn: true, changes: true, roles: true},
}

// changing makes a command that changes users or roles the only one at its
// time, and has it audited.
func changing(do func(context.Context, *session, opmsg.Message) (any, error)) func(context.Context, *session, opmsg.Message) (any, error) {
	return func(ctx context.Context, s *session, m opmsg.Message) (any, error) {
		s.gate.users.Lock()
		defer s.gate.users.Unlock()
		answer, err := do(ctx, s, m)
		s.auditChange(m, err)
		return answer, err
	}
}

// telling makes a command that tells of users or roles wait until none is half
// changed.
func telling(do func(context.Context, *session, opmsg.Message) (any, error)) func(context.Context, *session, opmsg.Message) (any, error) {
	return func(ctx context.Context, s *session, m opmsg.Message) (any, error) {
		s.gate.users.RLock()
		defer s.gate.users.RUnlock()
		return do(ctx, s, m)
	}
}

// inTime bounds how long FerretDB may take for a command that is passed on.
func (s *session) inTime() { _ = s.server.SetDeadline(time.Now().Add(answerTimeout)) }

// pass passes a command on to FerretDB as it is, and returns the answer's
// document.
func (s *session) pass(m opmsg.Message) (any, error) {
	s.inTime()
	if _, err := s.server.Write(m.Raw); err != nil {
		return nil, fmt.Errorf("passing a command on: %w", err)
	}
	return s.heard(m)
}

// heard reads FerretDB's answer to m.
func (s *session) heard(m opmsg.Message) (any, error) {
	if !m.WantsAnswer() {
		return nil, nil
	}
	answer, err := opmsg.Read(s.server)
	if err != nil {
		return nil, fmt.Errorf("passing an answer on: %w", err)
	}
	return answer.Body, nil
}

// tell passes on another document in m's place.
func (s *session) tell(m opmsg.Message, document any) (opmsg.Message, error) {
	raw, err := bson.Marshal(document)
	if err != nil {
		return opmsg.Message{}, err
	}
	s.inTime()
	if _, err := s.server.Write(opmsg.Request(m.ID, raw)); err != nil {
		return opmsg.Message{}, fmt.Errorf("passing a command on: %w", err)
	}
	answer, err := opmsg.Read(s.server)
	if err != nil {
		return opmsg.Message{}, fmt.Errorf("passing an answer on: %w", err)
	}
	return answer, nil
}

func passOn(_ context.Context, s *session, m opmsg.Message) (any, error) { return s.pass(m) }

func done(context.Context, *session, opmsg.Message) (any, error) {
	return bson.D{{Key: "ok", Value: 1.0}}, nil
}

// data passes on a command on documents, where the user's roles allow action on
// its database. The collections of admin's system are nobody's but
// ServiceAdmin's.
func data(action action) func(context.Context, *session, opmsg.Message) (any, error) {
	return func(ctx context.Context, s *session, m opmsg.Message) (any, error) {
		collection, _ := m.Body.Lookup(m.Command()).StringValueOK()
		if isSystem(collection) && s.user.name != ServiceAdmin {
			return nil, refuse(codeUnauthorized, "Authorization failure")
		}
		if err := s.may(ctx, action, m.Database()); err != nil {
			return nil, err
		}
		return s.pass(m)
	}
}
