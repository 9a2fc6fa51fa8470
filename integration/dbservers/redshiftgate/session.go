package redshiftgate

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"
)

// session is one client's connection, and the server's that belongs to it.
type session struct {
	gate     *Gate
	conn     net.Conn          // the client's, or TLS on it
	backend  *pgproto3.Backend // what the client takes for the server
	frontend *pgproto3.Frontend
	// operator is whether the session may say more than the driver's forms.
	operator bool
	// keepsCase is whether names in quotes keep their case. Only the goroutine
	// that reads from the client uses it.
	keepsCase bool

	mu sync.Mutex
	// calls are those that the server has not answered yet, the oldest first.
	calls []*call
	// refusals are the gate's own errors, by the word that makes the server
	// fail in their place; failures counts them.
	refusals map[string]*refused
	failures int
}

// call is a simple query, or extended messages up to Sync.
type call struct {
	// parts are what the server was told in a simple query, the first
	// unanswered one first.
	parts []part
}

// run serves a client that wants to sign in; conn is client, or TLS on it.
func (g *Gate) run(client, conn net.Conn, startup *pgproto3.StartupMessage) {
	s := &session{
		gate:     g,
		conn:     conn,
		backend:  pgproto3.NewBackend(conn, conn),
		operator: startup.Parameters["application_name"] != ApplicationName,
		refusals: make(map[string]*refused),
	}
	server, err := g.dial()
	if err != nil {
		return
	}
	defer g.drop(server)
	s.frontend = pgproto3.NewFrontend(server, server)
	if err := s.signIn(startup); err != nil {
		return
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_ = s.relayAnswers()
		_ = client.Close() // by this the other direction ends
	}()
	s.relayStatements()
	_ = server.Close() // by this the answers end
	<-answered
}

// relayStatements passes on what the client says, in PostgreSQL's words, until
// it leaves.
func (s *session) relayStatements() {
	batch := false // extended messages that no Sync has ended yet
	for {
		message, err := s.backend.Receive()
		if err != nil {
			return
		}
		flush := false
		switch message := message.(type) {
		case *pgproto3.Query:
			parts := s.simple(message.String)
			s.expect(&call{parts: parts})
			message.String = said(message.String, joined(parts))
			flush = true
		case *pgproto3.Parse:
			message.Query = said(message.Query, s.extended(message.Query))
		case *pgproto3.FunctionCall:
			return // Redshift's manual knows no such thing
		case *pgproto3.Sync:
			if !batch {
				s.expect(&call{})
			}
			flush = true
		case *pgproto3.Flush, *pgproto3.Terminate:
			flush = true
		}
		switch message.(type) {
		case *pgproto3.Parse, *pgproto3.Bind, *pgproto3.Describe, *pgproto3.Execute, *pgproto3.Close, *pgproto3.Flush:
			if !batch {
				s.expect(&call{})
			}
			batch = true
		case *pgproto3.Sync:
			batch = false
		}
		s.frontend.Send(message)
		if flush {
			if err := s.frontend.Flush(); err != nil {
				return
			}
		}
	}
}

// said puts what the client said before what the server is told, as a comment:
// so the server's log has it, as Redshift's STL_UTILITYTEXT has,
// and a test that finds no password there has proven something.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_STL_UTILITYTEXT.html
func said(client, server string) string {
	if server == "" || !utf8.ValidString(client) {
		return server
	}
	var b strings.Builder
	b.WriteString("/* ")
	for i := range len(client) {
		if i > 0 && (client[i-1:i+1] == "*/" || client[i-1:i+1] == "/*") {
			b.WriteByte(' ') // else it would open a comment or end this one
		}
		b.WriteByte(client[i])
	}
	return b.String() + " */ " + server
}

// joined is one simple query of all parts.
func joined(parts []part) string {
	sql := make([]string, len(parts))
	for i, p := range parts {
		sql[i] = p.sql
	}
	return strings.Join(sql, ";\n")
}

// simple says the statements of a simple query in PostgreSQL's words.
func (s *session) simple(sql string) []part {
	all, err := tokens(sql)
	if err != nil {
		return []part{s.failing(err)}
	}
	var parts []part
	for _, statement := range statements(all) {
		translated, err := s.translate(statement)
		if err != nil {
			return []part{s.failing(err)}
		}
		parts = append(parts, translated...)
	}
	return parts
}

// extended says a statement of the extended protocol in PostgreSQL's words.
func (s *session) extended(sql string) string {
	all, err := tokens(sql)
	if err != nil {
		return s.failing(err).sql
	}
	several := statements(all)
	if len(several) == 0 {
		return ""
	}
	if len(several) > 1 {
		return s.failing(refusal("42601", "cannot insert multiple commands into a prepared statement")).sql
	}
	parts, err := s.translate(several[0])
	if err != nil {
		return s.failing(err).sql
	}
	if len(parts) > 1 {
		return s.failing(refusal("0A000", "the stand-in passes this statement by the simple protocol alone: %s", shape(several[0]))).sql
	}
	return parts[0].sql
}

func (s *session) translate(statement []token) ([]part, error) {
	parts, err := translate(statement, s.operator, s.keepsCase)
	if err == nil && len(statement) > 3 && statement[0].is("set") && statement[1].is(caseSensitive) {
		value := strings.ToLower(statement[3].value)
		s.keepsCase = value == "true" || value == "on" || value == "1"
	}
	return parts, err
}

// failing is a statement that fails with err: the server is given a word that
// is none, so that what an error does to a transaction and to the messages that
// follow is its own doing, and its error is replaced.
func (s *session) failing(err error) part {
	var r *refused
	if !errors.As(err, &r) {
		r = &refused{code: "XX000", message: err.Error()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	word := "refused_by_the_gate_" + strconv.Itoa(s.failures)
	s.refusals[word] = r
	return part{sql: word}
}

// expect notes that the server is to answer c after those before it.
func (s *session) expect(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
}

// relayAnswers passes on what the server says, until it hangs up.
func (s *session) relayAnswers() error {
	for {
		message, err := s.frontend.Receive()
		if err != nil {
			return fmt.Errorf("reading an answer: %w", err)
		}
		if passes := s.answer(message); passes != nil {
			s.backend.Send(passes)
		}
		if _, ready := message.(*pgproto3.ReadyForQuery); ready || s.frontend.ReadBufferLen() == 0 {
			if err := s.backend.Flush(); err != nil {
				return fmt.Errorf("passing on an answer: %w", err)
			}
		}
	}
}

// answer is what the client sees of a message, or nil.
func (s *session) answer(message pgproto3.BackendMessage) pgproto3.BackendMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var current part
	if len(s.calls) > 0 && len(s.calls[0].parts) > 0 {
		current = s.calls[0].parts[0]
	}
	switch message := message.(type) {
	case *pgproto3.ReadyForQuery:
		if len(s.calls) > 0 {
			s.calls = s.calls[1:]
		}
	case *pgproto3.RowDescription, *pgproto3.DataRow:
		if current.hidden || current.tag != "" {
			return nil
		}
	case *pgproto3.CommandComplete, *pgproto3.EmptyQueryResponse:
		if len(s.calls) > 0 && len(s.calls[0].parts) > 0 {
			s.calls[0].parts = s.calls[0].parts[1:]
		}
		if current.hidden {
			return nil
		}
		if current.tag != "" {
			return &pgproto3.CommandComplete{CommandTag: []byte(current.tag)}
		}
	case *pgproto3.ParameterStatus:
		if !reported[message.Name] {
			return nil
		}
	case *pgproto3.ErrorResponse:
		return s.failure(message)
	}
	return message
}

// failure is an error of the server's as the client sees it. Where in a
// statement it is, the client cannot know: the statement was another.
func (s *session) failure(e *pgproto3.ErrorResponse) *pgproto3.ErrorResponse {
	if e.Code == "42601" {
		for word, r := range s.refusals {
			if strings.Contains(e.Message, `"`+word+`"`) {
				delete(s.refusals, word)
				return r.response(false)
			}
		}
	}
	seen := *e
	seen.Position, seen.InternalPosition, seen.InternalQuery, seen.Where = 0, 0, "", ""
	if strings.HasPrefix(e.Message, "role ") && e.Code == "2BP01" {
		// Redshift says so of users, by another SQLSTATE.
		seen.Code = "55006"
	}
	return &seen
}
