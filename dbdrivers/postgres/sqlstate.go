package postgres

import (
	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// opening are errors of the statements before the change, where they mean
// something else than in general.
var opening = pgwire.Rules{
	// BEGIN READ WRITE on a standby; servers before 14 do not report that
	// they are one.
	{State: "0A000", Class: dbdrivers.ErrNotWritable, Remedy: "this is a standby or a read-only server; name the writer in \"host\""},
}

// alterRole are errors of ALTER ROLE ... PASSWORD. Modules that check passwords
// choose their codes themselves: passwordcheck takes 22023, others those of a
// failed sign-in or of a RAISE.
//
// https://www.postgresql.org/docs/current/passwordcheck.html
var alterRole = pgwire.Rules{
	{State: "22023", Class: dbdrivers.ErrPasswordRules},
	{State: "28000", Class: dbdrivers.ErrPasswordRules},
	{State: "28P01", Class: dbdrivers.ErrPasswordRules},
	{State: "P0", Class: dbdrivers.ErrPasswordRules},
	{State: "42704", Class: dbdrivers.ErrUnsupported, Remedy: "the account was dropped meanwhile"},
	{State: "0A000", Class: dbdrivers.ErrUnsupported, Remedy: "the server does not let passwords be changed by a statement"},
}
