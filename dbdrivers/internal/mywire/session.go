package mywire

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Time-outs of statements where the context has no deadline, and the longest
// wait for another session's change of the same accounts.
const (
	defaultStatementTimeout = 30 * time.Second
	maxLockTimeout          = 10 * time.Second
)

// settings are what every session begins with, whatever is set on the server
// or the account: text is UTF-8 and quoted in a known way, and a statement that
// waits gives up before the caller does. The server counts that wait in
// seconds, so with less than two of them left it may outlive the caller.
func (s *Session) settings(ctx context.Context) string {
	left := defaultStatementTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
		left = max(left-max(left/5, 50*time.Millisecond), time.Millisecond)
	}
	lock := strconv.Itoa(max(int(min(left*4/5, maxLockTimeout)/time.Second), 1))
	// What a session that has died holds, its locks above all, is free again when
	// the server gives it up: by default after eight hours.
	idle := strconv.Itoa(int(left/time.Second) + 1)
	assignments := []string{
		"NAMES utf8mb4",
		"SESSION sql_mode = '" + s.dialect.SQLMode + "'",
		"SESSION wait_timeout = " + idle,
		"SESSION lock_wait_timeout = " + lock,
		"SESSION innodb_lock_wait_timeout = " + lock,
	}
	if s.dialect.Settings != nil {
		assignments = append(assignments, s.dialect.Settings(left)...)
	}
	return "SET " + strings.Join(assignments, ", ")
}

// Keep adds a secret that no error of this session may show: a hash is nobody's
// business either.
func (s *Session) Keep(secret string) { s.secrets = append(s.secrets, secret) }

// Answer is the rows of one statement, as text, with the names of its columns
// in lower case.
type Answer struct {
	Columns []string
	Rows    [][]Value
}

// Value is one field of a row.
type Value struct {
	Text string
	Null bool
}

// Get returns the field of a row by its column's name, in lower case. A column
// that the server's version does not have is null.
func (a Answer) Get(row int, column string) Value {
	i := slices.Index(a.Columns, column)
	if i < 0 {
		return Value{Null: true}
	}
	return a.Rows[row][i]
}

// errUnquoted is told where the library would let the server do the quoting,
// which it cannot do in statements on accounts.
var errUnquoted = errors.New("the client library does not quote this statement")

// Ask sends one statement and returns its rows. A ? stands for one of args, a
// string, an integer or nil, which the library quotes.
func (s *Session) Ask(ctx context.Context, sql string, args ...any) (answer Answer, err error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, unsentError{err}
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	err = guarded(func() (err error) {
		answer, err = s.read(ctx, sql, args)
		return err
	})
	if err != nil {
		return Answer{}, s.clean(ctx, err)
	}
	return answer, nil
}

func (s *Session) read(ctx context.Context, sql string, args []any) (answer Answer, err error) {
	rows, err := s.conn.QueryContext(ctx, sql, named(args))
	if err != nil {
		return Answer{}, err
	}
	defer func() {
		if closed := rows.Close(); err == nil {
			err = closed
		}
	}()
	answer.Columns = slices.Clone(rows.Columns())
	for i, name := range answer.Columns {
		answer.Columns[i] = strings.ToLower(name)
	}
	for {
		fields := make([]driver.Value, len(answer.Columns))
		switch err := rows.Next(fields); {
		case errors.Is(err, io.EOF):
			return answer, nil
		case err != nil:
			return Answer{}, err
		}
		row := make([]Value, len(fields))
		for i, field := range fields {
			row[i] = valueOf(field)
		}
		answer.Rows = append(answer.Rows, row)
	}
}

func valueOf(field driver.Value) Value {
	switch field := field.(type) {
	case nil:
		return Value{Null: true}
	case []byte:
		return Value{Text: string(field)}
	case string:
		return Value{Text: field}
	}
	return Value{Text: fmt.Sprint(field)}
}

// Run sends one statement that has no rows. Its ? are as in [Session.Ask].
func (s *Session) Run(ctx context.Context, sql string, args ...any) error {
	if err := ctx.Err(); err != nil {
		return unsentError{err}
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := guarded(func() error {
		_, err := s.conn.ExecContext(ctx, sql, named(args))
		return err
	})
	if err != nil {
		return s.clean(ctx, err)
	}
	return nil
}

func named(args []any) []driver.NamedValue {
	values := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		if n, ok := arg.(int); ok {
			arg = int64(n)
		}
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	return values
}

// unsentError is an error from before a statement was sent.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

func (s *Session) clean(ctx context.Context, err error) error {
	var server *mysql.MySQLError
	switch {
	case errors.As(err, &server):
		return scrub(server, s.secrets)
	case errors.Is(err, driver.ErrSkip):
		return unsentError{errUnquoted}
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if cause := s.wire.failure(); lostConnection(err) && cause != nil {
		return fmt.Errorf("reading the answer: %w", cause)
	}
	return err
}

// Close leaves. Nothing of the session is left when it returns.
func (s *Session) Close() {
	_ = s.wire.SetDeadline(time.Now().Add(time.Second))
	_ = s.conn.Close()
	_ = s.wire.Close()
}

// Identifier quotes the name of an object.
//
// https://dev.mysql.com/doc/refman/9.7/en/identifiers.html
func Identifier(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// Account quotes the name of an account, which the server reads as two names.
// It may stand in a statement that has ? as well, where the library knows
// backquotes and leaves what is between them alone.
func Account(user, host string) string { return Identifier(user) + "@" + Identifier(host) }

// SplitAccount takes apart what CURRENT_USER() and USER() say. A host has no @.
func SplitAccount(account string) (user, host string) {
	i := strings.LastIndexByte(account, '@')
	if i < 0 {
		return account, ""
	}
	return account[:i], account[i+1:]
}

// Outcome says what is known when a statement fails.
type Outcome int

const (
	// Unchanged is for a statement that only reads.
	Unchanged Outcome = iota
	// Unknown is for a statement that may have taken effect before its answer,
	// or the connection, was lost.
	Unknown
)

// Classify says what a statement's error means: by the first rule of own that
// fits, else by those of the dialect, else by those that all servers share.
func (s *Session) Classify(doing string, err error, outcome Outcome, own Rules) error {
	var server *mysql.MySQLError
	if !errors.As(err, &server) {
		if errors.As(err, new(unsentError)) {
			outcome = Unchanged
		}
		return dbdrivers.Classify(dbdrivers.ErrUnreachable, doing, lost(err, outcome))
	}
	if slices.Contains(ending, server.Number) {
		return dbdrivers.Classify(dbdrivers.ErrUnreachable, doing, lost(server, outcome))
	}
	rule := find(server, own, s.dialect.Statement, statement)
	return dbdrivers.Classify(rule.Class, doing, because(rule, server))
}

func lost(err error, outcome Outcome) error {
	if outcome == Unknown {
		return fmt.Errorf("no answer from the server to the statement; whether it took effect is not known: %w", err)
	}
	return fmt.Errorf("no answer from the server to the statement; nothing was changed: %w", err)
}
