package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// Time-outs of statements where the context has no deadline, and the longest
// wait for another session's change of the same account.
const (
	defaultStatementTimeout = 30 * time.Second
	maxLockTimeout          = 10 * time.Second
)

// statementTimeouts derives the server's time-outs from the time that is left:
// the server must give up before the caller does, or a change could take
// effect after the caller has gone.
func statementTimeouts(ctx context.Context) (statement, lock time.Duration) {
	statement = defaultStatementTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		statement = max(left-max(left/5, 50*time.Millisecond), time.Millisecond)
	}
	return statement, max(min(statement*4/5, maxLockTimeout), time.Millisecond)
}

// begin opens a transaction in which nothing that is set on the role, the
// database or the server stands in the way: read-only by default, time-outs
// of a millisecond, a search_path that puts other people's functions first.
// They are set in the transaction and not at sign-in, because poolers refuse
// such parameters there.
func begin(ctx context.Context, major int, access string) []pgwire.Statement {
	statement, lock := statementTimeouts(ctx)
	statements := []pgwire.Statement{
		{SQL: "BEGIN ISOLATION LEVEL READ COMMITTED " + access},
		{SQL: "SET LOCAL statement_timeout = " + milliseconds(statement)},
		{SQL: "SET LOCAL lock_timeout = " + milliseconds(lock)},
		{SQL: "SET LOCAL idle_in_transaction_session_timeout = " + milliseconds(statement)},
		{SQL: "SET LOCAL search_path = pg_catalog, pg_temp"},
	}
	if major >= 17 {
		statements = append(statements, pgwire.Statement{SQL: "SET LOCAL transaction_timeout = 0"})
	}
	return statements
}

// durable makes the commit of a change wait until it is on disk, where the
// role, the database or the server is set not to. A crash must not undo a
// password that was acknowledged, and that the secret is about to make current.
//
// https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT
const durable = `SELECT set_config('synchronous_commit', 'local', true) WHERE current_setting('synchronous_commit') = 'off'`

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(d.Milliseconds(), 10)
}

// openingWithin bounds for how long a transaction is opened anew. Until its
// second statement the account's own statement_timeout is in force; a
// millisecond is mostly enough, less so on a busy machine, and where it was
// not, nothing has happened yet.
const openingWithin = 5 * time.Second

// open begins a transaction and asks, all in one round trip.
func open(ctx context.Context, session *pgwire.Session, statements []pgwire.Statement) ([]pgwire.Answer, error) {
	for began := time.Now(); ; {
		answers, err := session.Ask(ctx, statements...)
		if !hasState(err, "57014") || session.Ended() || time.Since(began) > openingWithin {
			return answers, err
		}
		for {
			_, undone := session.Run(ctx, "ROLLBACK")
			if undone == nil {
				break
			}
			// It may take longer than the time-out just as well.
			if !hasState(undone, "57014") || session.Ended() || time.Since(began) > openingWithin {
				return nil, err
			}
		}
	}
}

func hasState(err error, states ...string) bool {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return false
	}
	for _, state := range states {
		if server.Code == state {
			return true
		}
	}
	return false
}
