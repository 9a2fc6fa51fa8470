package postgres_test

import (
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// TestOutcome is what a server can say to a change and its commit. A server
// that is not at fault says some of it only in moments that no test can
// arrange.
func TestOutcome(t *testing.T) {
	t.Parallel()
	altered := &pgproto3.CommandComplete{CommandTag: []byte("ALTER ROLE")}
	committed := &pgproto3.CommandComplete{CommandTag: []byte("COMMIT")}
	rolledBack := &pgproto3.CommandComplete{CommandTag: []byte("ROLLBACK")}
	fault := func(severity, code string) pgproto3.BackendMessage {
		return &pgproto3.ErrorResponse{Severity: severity, SeverityUnlocalized: severity, Code: code, Message: "a fault"}
	}
	tests := []struct {
		name   string
		answer []pgproto3.BackendMessage
		want   error
		says   string
	}{
		{name: "committed", answer: []pgproto3.BackendMessage{altered, committed}},
		{name: "rolled back without an error", answer: []pgproto3.BackendMessage{altered, rolledBack}, want: dbdrivers.ErrUnreachable, says: `"ROLLBACK" to COMMIT`},
		{name: "no word on the commit", answer: []pgproto3.BackendMessage{altered}, want: dbdrivers.ErrUnreachable, says: `"ALTER ROLE" to COMMIT`},
		{name: "ended while it commits", answer: []pgproto3.BackendMessage{altered, fault("FATAL", "57P01")}, want: dbdrivers.ErrUnreachable, says: "not known"},
		{name: "ended in the words of a refusal", answer: []pgproto3.BackendMessage{fault("FATAL", "28P01")}, want: dbdrivers.ErrUnreachable, says: "not known"},
		{name: "a panic", answer: []pgproto3.BackendMessage{altered, fault("PANIC", "XX000")}, want: dbdrivers.ErrUnreachable, says: "not known"},
		{name: "the server itself does not know", answer: []pgproto3.BackendMessage{altered, fault("ERROR", "40003")}, want: dbdrivers.ErrUnreachable, says: "does not know"},
		{name: "a check in the words of a refusal", answer: []pgproto3.BackendMessage{fault("ERROR", "28P01")}, want: dbdrivers.ErrPasswordRules, says: "a fault"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := setOwn(t, answering(t, test.answer), "new-password")
			check(t, err, test.want, test.says, "old-password", "new-password")
		})
	}
}

// answering returns a login at a server that plays one change and gives answer
// to its last message.
func answering(t *testing.T, answer []pgproto3.BackendMessage) dbdrivers.Login {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("listening at %v", listener.Addr())
	}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		play(pgproto3.NewBackend(conn, conn), answer)
	}()
	return dbdrivers.Login{
		Host: "127.0.0.1", Port: address.Port, Username: "app", Database: "appdb",
		Password: dbdrivers.NewPassword("old-password"), TLS: tlsconf.Settings{Plaintext: true},
	}
}

func play(server *pgproto3.Backend, answer []pgproto3.BackendMessage) {
	send := func(messages ...pgproto3.BackendMessage) {
		for _, m := range messages {
			server.Send(m)
		}
		_ = server.Flush()
	}
	if _, err := server.ReceiveStartupMessage(); err != nil {
		return
	}
	send(&pgproto3.AuthenticationMD5Password{})
	if _, err := server.Receive(); err != nil {
		return
	}
	send(&pgproto3.AuthenticationOk{},
		&pgproto3.ParameterStatus{Name: "server_version", Value: "18.1"},
		&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"},
		&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"},
		&pgproto3.ReadyForQuery{TxStatus: 'I'})
	var row []string
	for {
		message, err := server.Receive()
		if err != nil {
			return
		}
		switch message := message.(type) {
		case *pgproto3.Parse:
			row = answerTo(message.Query)
			server.Send(&pgproto3.ParseComplete{})
		case *pgproto3.Bind:
			server.Send(&pgproto3.BindComplete{})
		case *pgproto3.Describe:
			server.Send(&pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, len(row))})
		case *pgproto3.Execute:
			if row != nil {
				data := &pgproto3.DataRow{}
				for _, value := range row {
					data.Values = append(data.Values, []byte(value))
				}
				server.Send(data)
			}
			server.Send(&pgproto3.CommandComplete{CommandTag: []byte("DONE")})
		case *pgproto3.Sync:
			send(&pgproto3.ReadyForQuery{TxStatus: 'T'})
		case *pgproto3.Query:
			send(append(answer, &pgproto3.ReadyForQuery{TxStatus: 'I'})...)
		case *pgproto3.Terminate:
			return
		}
	}
}

// answerTo is the row of the statement that asks who signed in, and of the one
// that asks what a change depends on.
func answerTo(query string) []string {
	switch {
	case strings.Contains(query, "password_encryption"):
		return []string{"scram-sha-256", "4096", "f", "app", "f", "f", "t", "f", "f", "t", "f", "f"}
	case strings.Contains(query, "session_user"):
		return []string{"app", "app", "none"}
	}
	return nil
}
