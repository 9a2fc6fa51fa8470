package pgwire

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Statement is one statement and the text of its parameters ($1, $2, ...).
type Statement struct {
	SQL        string
	Parameters []string
}

// Keep adds a secret that no error of this session may show: a verifier is
// nobody's business either.
func (s *Session) Keep(secret string) { s.secrets = append(s.secrets, secret) }

// Parameter returns what the server has reported of one of its settings, or
// the empty string for one that it does not report.
func (s *Session) Parameter(name string) string { return s.conn.ParameterStatus(name) }

// Major returns the first number of the server's version, or zero where it
// tells none.
func (s *Session) Major() int {
	version := s.Parameter("server_version")
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		version = version[:end]
	}
	major, err := strconv.Atoi(version)
	if err != nil {
		return 0
	}
	return major
}

// BySCRAM reports whether the server proved the password by SCRAM, which means
// that it keeps a SCRAM verifier of it.
func (s *Session) BySCRAM() bool { return s.method == authSASL }

// ByDigest reports whether the server proved the password by Amazon Redshift's
// digest, which means that it keeps a SHA-256 hash of it.
func (s *Session) ByDigest() bool { return s.method == authDigest }

// Answer is the rows of one statement, as text.
type Answer [][]Value

// Ask sends statements in one round trip and returns an answer for each.
func (s *Session) Ask(ctx context.Context, statements ...Statement) ([]Answer, error) {
	if err := s.unsent(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	batch := &pgconn.Batch{}
	for _, st := range statements {
		values := make([][]byte, len(st.Parameters))
		for i, p := range st.Parameters {
			values[i] = []byte(p)
		}
		batch.ExecParams(st.SQL, values, nil, nil, nil)
	}
	results, err := s.conn.ExecBatch(ctx, batch).ReadAll()
	if err != nil {
		return nil, s.clean(err)
	}
	if len(results) != len(statements) {
		return nil, fmt.Errorf("%d answers to %d statements", len(results), len(statements))
	}
	answers := make([]Answer, len(results))
	for i, result := range results {
		answers[i] = values(result.Rows)
	}
	return answers, nil
}

func values(rows [][][]byte) Answer {
	out := make(Answer, len(rows))
	for i, row := range rows {
		out[i] = make([]Value, len(row))
		for j, field := range row {
			out[i][j] = Value{Text: string(field), Null: field == nil}
		}
	}
	return out
}

// Value is one field of a row.
type Value struct {
	Text string
	Null bool
}

// Is reports whether the value is the boolean true.
func (v Value) Is() bool { return !v.Null && v.Text == "t" }

// Run sends sql, which may be several statements, in one message and returns
// what the last of them reports ("COMMIT").
func (s *Session) Run(ctx context.Context, sql string) (tag string, err error) {
	if err := s.unsent(ctx); err != nil {
		return "", err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	results, err := s.conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return "", s.clean(err)
	}
	if len(results) == 0 {
		return "", errors.New("no answer to a statement")
	}
	return results[len(results)-1].CommandTag.String(), nil
}

// unsentError is an error from before a statement was sent. The library's own
// mark, SafeToRetry, is also on some that came after.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

func (s *Session) unsent(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return unsentError{err}
	}
	if s.conn.IsClosed() {
		return unsentError{pgconn.ErrConnClosed}
	}
	return nil
}

func (s *Session) clean(err error) error {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return scrub(server, s.secrets)
	}
	if cause := s.wire.failure(); errors.Is(err, pgconn.ErrConnClosed) && cause != nil {
		// The library has lost the cause on its way.
		return fmt.Errorf("reading the answer: %w", cause)
	}
	return err
}

// Ended reports whether err left the session unusable.
func (s *Session) Ended() bool { return s.conn.IsClosed() }

// Quote makes text a literal, by the library. It refuses where the session's
// settings would let the literal mean something else.
func (s *Session) Quote(text string) (string, error) {
	escaped, err := s.conn.EscapeString(text)
	if err != nil {
		return "", err
	}
	return "'" + escaped + "'", nil
}

// Close leaves. Nothing of the session is left when it returns.
func (s *Session) Close(ctx context.Context) {
	// The library says goodbye and closes; on a session that has failed it has
	// begun to do so in the background, which ends with the connection.
	_ = s.conn.Close(ctx)
	_ = s.wire.Close()
}

// Outcome says what is known when a statement fails.
type Outcome int

const (
	// Unchanged is for a statement that only reads, or one that the end of the
	// session undoes.
	Unchanged Outcome = iota
	// Unknown is for a statement that may have taken effect before its answer, or
	// the connection, was lost.
	Unknown
)

// Classify says what a statement's error means: by the first rule of own that
// fits, else by those that all servers of this protocol share.
func Classify(doing string, err error, outcome Outcome, own Rules) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		if errors.As(err, new(unsentError)) {
			outcome = Unchanged
		}
		return dbdrivers.Classify(dbdrivers.ErrUnreachable, doing, lost(err, outcome))
	}
	if outcome == Unknown && fatal(server) {
		return dbdrivers.Classify(dbdrivers.ErrUnreachable, doing, lost(Said(server), outcome))
	}
	rule := find(server, own, statement)
	return dbdrivers.Classify(rule.Class, doing, because(rule, Said(server)))
}

func lost(err error, outcome Outcome) error {
	if outcome == Unknown {
		return fmt.Errorf("no answer from the server to the statement; whether it took effect is not known: %w", err)
	}
	return fmt.Errorf("no answer from the server to the statement; nothing was changed: %w", err)
}
