package wiregate

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"
)

// relayStatements passes on what the client says, call by call, until it
// leaves or a fault strikes.
func (s *session) relayStatements() {
	var batch *pendingCall              // extended messages that no Sync has ended yet
	parsed := make(map[string]struct{}) // names of the statements parsed in batch
	for {
		message, err := s.backend.Receive()
		if err != nil {
			return
		}
		inCall, last := callPart(message)
		if inCall && batch == nil {
			batch = s.begin(Statement)
			s.describe(batch, message, parsed)
			if s.strikesBefore(batch) {
				return
			}
			s.expect(batch)
		} else if inCall {
			s.describe(batch, message, parsed)
		}
		s.frontend.Send(message)
		if !inCall || last || isFlush(message) {
			if err := s.frontend.Flush(); err != nil {
				return
			}
		}
		if last && batch.fault.Withholds() {
			s.awaitLeaving()
			return
		}
		if last {
			batch = nil
			clear(parsed)
		}
	}
}

// callPart reports whether message belongs to a call, and whether it is the
// last of its messages. Terminate and the data of COPY do not: they begin
// nothing that the server answers.
func callPart(message pgproto3.FrontendMessage) (inCall, last bool) {
	switch message.(type) {
	case *pgproto3.Query, *pgproto3.FunctionCall, *pgproto3.Sync:
		return true, true
	case *pgproto3.Parse, *pgproto3.Bind, *pgproto3.Describe, *pgproto3.Execute, *pgproto3.Close, *pgproto3.Flush:
		return true, false
	}
	return false, false
}

// isFlush reports whether the client waits for an answer before the call's
// end.
func isFlush(message pgproto3.FrontendMessage) bool {
	_, flush := message.(*pgproto3.Flush)
	return flush
}

// describe adds to call the statement that message brings or runs. One that
// was parsed in the same call is told once.
func (s *session) describe(call *pendingCall, message pgproto3.FrontendMessage, parsed map[string]struct{}) {
	switch message := message.(type) {
	case *pgproto3.Query:
		s.gate.addText(call.Call, s.masked(message.String))
	case *pgproto3.FunctionCall:
		s.gate.addText(call.Call, fmt.Sprintf("function call of OID %d", message.Function))
	case *pgproto3.Parse:
		text := s.masked(message.Query)
		s.prepared[message.Name] = text
		parsed[message.Name] = struct{}{}
		s.gate.addText(call.Call, text)
	case *pgproto3.Bind:
		if _, told := parsed[message.PreparedStatement]; !told {
			s.gate.addText(call.Call, s.prepared[message.PreparedStatement])
		}
	case *pgproto3.Close:
		if message.ObjectType == 'S' {
			delete(s.prepared, message.Name)
		}
	}
}

func (s *session) masked(sql string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maskLiterals(sql, s.backslashEscapes)
}

// expect notes that the server is to answer call after those before it.
func (s *session) expect(call *pendingCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, call)
}

// oldest is the call that the server is answering now, or nil.
func (s *session) oldest() *pendingCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		return nil
	}
	return s.pending[0]
}

func (s *session) removeOldest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) > 0 {
		s.pending = s.pending[1:]
	}
}

// relayAnswers passes on what the server says, until it hangs up or a fault
// strikes.
func (s *session) relayAnswers() error {
	for {
		message, err := s.frontend.Receive()
		if err != nil {
			return fmt.Errorf("reading an answer: %w", err)
		}
		call := s.oldest()
		s.note(message, call)
		over := endsCall(message)
		if over {
			s.removeOldest()
		}
		if call != nil && call.fault.Withholds() {
			if !over {
				continue
			}
			call.fault.Fire()
			if call.fault.Cuts() {
				return errCut
			}
			return errHeld
		}
		s.backend.Send(message)
		if over || s.frontend.ReadBufferLen() == 0 {
			if err := s.backend.Flush(); err != nil {
				return fmt.Errorf("passing on an answer: %w", err)
			}
		}
	}
}
