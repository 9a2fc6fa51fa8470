package pgwire

import (
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Rule is what an error code means for a rotation. State is a whole SQLSTATE
// or its class, the first two characters; the whole one goes first.
//
// https://www.postgresql.org/docs/current/errcodes-appendix.html
type Rule struct {
	State string
	// Routine, where given, is the function of the server that must have
	// raised the error. It is not translated, as the message is.
	Routine string
	Class   error
	// Remedy says what to do, where the server's message does not.
	Remedy string
}

// Rules are looked through from the most exact to the least.
type Rules []Rule

// beforePassword are errors that come before the server has looked at the
// password: they are no word on it.
var beforePassword = Rules{
	{State: "28000", Class: dbdrivers.ErrUnreachable, Remedy: "a host rule of the server (pg_hba.conf) turned the account away before the password was asked; add a rule for this account, database and address"},
	{State: "28", Class: dbdrivers.ErrUnreachable, Remedy: "something turned the account away before the password was asked; where a proxy or a pooler is in between, it may not know the account"},
	{State: "53", Class: dbdrivers.ErrBusy, Remedy: "the server has no room for another connection; try again, or raise max_connections"},
	{State: "57P", Class: dbdrivers.ErrBusy, Remedy: "the server is starting or stopping; try again"},
	{State: "", Class: dbdrivers.ErrUnreachable},
}

// midway are errors that come once the server has asked for a password, and go
// before those of beforePassword: 28000 is then no host rule, but a channel
// binding that failed, or a pooler's own word.
var midway = Rules{
	{State: "08", Class: dbdrivers.ErrUnreachable, Remedy: brokenOff},
	{State: "28", Class: dbdrivers.ErrUnreachable, Remedy: brokenOff},
}

const brokenOff = "the sign-in was broken off with a code that is no word on the password; where a proxy or a pooler is in between, " +
	"give the database's own address in \"host\""

// afterPassword are errors that end the session after AuthenticationOk: the
// password was right.
var afterPassword = Rules{
	{State: "28000", Class: dbdrivers.ErrBarred, Remedy: "the account may not sign in; give it LOGIN"},
	{State: "42501", Class: dbdrivers.ErrBarred, Remedy: "the account may not use the database; grant it CONNECT on it"},
	{State: "3D000", Class: dbdrivers.ErrBarred, Remedy: "the database does not exist; correct \"dbname\""},
	{State: "53300", Routine: "InitPostgres", Class: dbdrivers.ErrBusy, Remedy: "the last connections are reserved for administrators; try again, or raise max_connections"},
	{State: "53300", Class: dbdrivers.ErrBarred, Remedy: "the account's or the database's CONNECTION LIMIT is reached; raise it by one for the rotation"},
	{State: "55000", Class: dbdrivers.ErrBarred, Remedy: "the database takes no connections (ALLOW_CONNECTIONS)"},
	{State: "57P04", Class: dbdrivers.ErrBarred, Remedy: "the database was dropped"},
	{State: "57", Class: dbdrivers.ErrBusy, Remedy: "the server ended the session while it began; try again"},
	{State: "25", Class: dbdrivers.ErrBusy, Remedy: "a time-out of the account ended the session while it began; raise it"},
	{State: "53", Class: dbdrivers.ErrBusy, Remedy: "the server lacks memory, disk or connections; try again"},
	{State: "58", Class: dbdrivers.ErrBusy, Remedy: "the server's own system failed; see its log"},
	{State: "08", Class: dbdrivers.ErrUnreachable},
	{State: "", Class: dbdrivers.ErrBarred},
}

// statement are errors that a statement ends with.
var statement = Rules{
	{State: "08", Class: dbdrivers.ErrUnreachable},
	{State: "25006", Class: dbdrivers.ErrNotWritable, Remedy: "this is a standby or a read-only server; name the writer in \"host\""},
	{State: "25P03", Class: dbdrivers.ErrBusy, Remedy: "idle_in_transaction_session_timeout ended the session; raise it for the account"},
	{State: "25P04", Class: dbdrivers.ErrBusy, Remedy: "transaction_timeout ended the session; raise it for the account"},
	{State: "40003", Class: dbdrivers.ErrUnreachable, Remedy: "the server does not know whether the statement was completed"},
	{State: "40", Class: dbdrivers.ErrBusy, Remedy: "another transaction was in the way; try again"},
	{State: "42501", Class: dbdrivers.ErrPrivilege},
	{State: "53100", Class: dbdrivers.ErrNotWritable, Remedy: "the server's disk is full"},
	{State: "53", Class: dbdrivers.ErrBusy, Remedy: "the server lacks memory or connections; try again"},
	{State: "55006", Class: dbdrivers.ErrBusy, Remedy: "what the statement needs is in use; try again"},
	{State: "55P03", Class: dbdrivers.ErrBusy, Remedy: "a lock was not had in time; another session is changing the account"},
	{State: "57014", Class: dbdrivers.ErrBusy, Remedy: "the statement did not end in time, or was cancelled on the server"},
	{State: "57P04", Class: dbdrivers.ErrBarred, Remedy: "the database was dropped"},
	{State: "57", Class: dbdrivers.ErrBusy, Remedy: "the server ended the session; try again"},
	{State: "58", Class: dbdrivers.ErrBusy, Remedy: "the server's own system failed; see its log"},
	// Everything else says that the server, or this version of it, does not
	// do what was asked: 0A, 0P, 22, 23, 2B, 42, 54, F0, XX and the like.
	{State: "", Class: dbdrivers.ErrUnsupported},
}

// find returns the rule for err in the first table that has one. Every table
// of this package ends in a rule for everything.
func find(err *pgconn.PgError, tables ...Rules) Rule {
	for _, table := range tables {
		best, found := Rule{}, false
		for _, rule := range table {
			if !strings.HasPrefix(err.Code, rule.State) || (rule.Routine != "" && rule.Routine != err.Routine) {
				continue
			}
			if !found || len(rule.State) > len(best.State) {
				best, found = rule, true
			}
		}
		if found {
			return best
		}
	}
	return Rule{Class: dbdrivers.ErrUnsupported}
}
