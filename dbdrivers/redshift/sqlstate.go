package redshift

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// alterUser are errors of ALTER USER ... PASSWORD.
var alterUser = pgwire.Rules{
	{State: "42501", Class: dbdrivers.ErrPrivilege, Remedy: "the login may not change this password; an account changes its own, and a superuser those of others"},
	{State: "42704", Class: dbdrivers.ErrUnsupported, Remedy: "the account was dropped meanwhile"},
}

var collision = pgwire.Rules{{State: "", Class: dbdrivers.ErrBusy, Remedy: "another transaction was in the way, and nothing was changed; try again"}}

// collided reports whether a transaction met another that changed the same.
// Redshift says that it is not serializable, or words what PostgreSQL words
// too; a group or an account may have been made meanwhile.
//
// https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
func collided(err error) bool {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return false
	}
	switch server.Code {
	case "40001", "40P01", "23505", "42710":
		return true
	case "XX000":
		said := server.Message + " " + server.Detail
		return strings.HasPrefix(strings.TrimSpace(server.Message), "1023") || slices.ContainsFunc(inTheWay, func(words string) bool {
			return strings.Contains(said, words)
		})
	}
	return false
}

// inTheWay are words of an internal error that is a collision.
var inTheWay = []string{"Serializable isolation violation", "conflict with concurrent transaction", "concurrently"}

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

// nameTaken is of CREATE USER, where trying again has not helped.
var nameTaken = pgwire.Rules{{
	State: "42710", Class: dbdrivers.ErrUnsupported,
	Remedy: "a role or a group has the twin's name; rename or drop it, or name another twin in \"twins\"",
}}

// failed says what an error of a statement means.
func failed(doing string, err error, outcome pgwire.Outcome, rules pgwire.Rules) error {
	if collided(err) {
		rules = collision
	}
	return pgwire.Classify(doing, err, outcome, rules)
}
