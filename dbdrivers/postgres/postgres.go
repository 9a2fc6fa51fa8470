// Package postgres is the driver for PostgreSQL, and for what speaks and
// behaves as it does: Amazon RDS for PostgreSQL and Aurora PostgreSQL.
//
// A password is hashed here and only its verifier is sent, so that no log of
// statements, no pg_stat_statements and no error line of the server can hold
// the password.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// Driver is PostgreSQL's driver. Its zero value is ready.
type Driver struct{}

var (
	_ dbdrivers.Driver     = Driver{}
	_ dbdrivers.TwinOpener = Driver{}
)

// New returns the driver.
func New() Driver { return Driver{} }

const (
	defaultDatabase = "postgres"
	// maxName is NAMEDATALEN less the terminating zero. The server cuts a
	// longer name off, and what is left is another account's.
	maxName = 63
)

var dialect = pgwire.Dialect{
	MaxName: maxName,
	// A role may be set to read backslashes in literals; poolers know this
	// parameter.
	Parameters:  map[string]string{"standard_conforming_strings": "on"},
	IsRefusal:   func(err *pgconn.PgError) bool { return err.Code == "28P01" },
	DemandsTLS:  "pg_hba.conf, or rds.force_ssl on Amazon RDS",
	AlsoRefused: "the server says the same where the account does not exist, has no password, or its VALID UNTIL is past",
}

// Traits describes PostgreSQL. A name is limited in bytes; a password has no
// limit that its clients would not have sooner.
func (Driver) Traits() dbdrivers.Traits {
	return dbdrivers.Traits{
		Engine:          "postgres",
		DefaultPort:     5432,
		DefaultDatabase: defaultDatabase,
		Username:        dbdrivers.Limit{Max: maxName, Bytes: true},
		Password: dbdrivers.PasswordTraits{
			MinLength: 1,
			// No client can send a zero byte.
			Forbidden:         "\x00",
			ExcludedByDefault: `:/@"'\`,
		},
		Hashes:    []string{hashSCRAM, hashMD5},
		OwnerRole: true,
	}
}

// Verify signs in and asks the server whom it took the login for. An account
// that is set to act as another role (ALTER ROLE ... SET role) must also do so:
// where it no longer may, the server lets it in with a warning only, and the
// application would meet missing privileges. That is [dbdrivers.ErrPrivilege]
// and not [dbdrivers.ErrBarred], because the account does enter: an
// application may be at work, and its password must not change before the
// new one can be verified.
func (Driver) Verify(ctx context.Context, req dbdrivers.VerifyRequest) (err error) {
	login := withDatabase(req.Login)
	session, err := pgwire.Connect(ctx, login, dialect)
	if err != nil {
		return err
	}
	defer session.Close(ctx)
	_, err = verify(ctx, session, login)
	return err
}

// SetPassword sets an account's password, by the account itself or by an
// admin: a role with CREATEROLE and, from version 16 on, ADMIN OPTION on the
// account. What [Driver.Verify] would find fault with afterwards, an account's
// own change finds first. An admin's change is refused ([dbdrivers.ErrUnsupported]) for
// superusers, for roles that the server or Amazon RDS reserves, and for roles
// that share the admin's own power.
func (Driver) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	req.As = withDatabase(req.As)
	doing := fmt.Sprintf("setting the password of %q at %s", req.Account, req.As.Address())
	if err := checkPassword(req.Password); err != nil {
		return dbdrivers.Classify(dbdrivers.ErrPasswordRules, doing, err)
	}
	if err := checkTarget(req); err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	session, err := pgwire.Connect(ctx, req.As, dialect)
	if err != nil {
		return err
	}
	defer session.Close(ctx)
	session.Keep(req.Password.Reveal())
	return (&change{session: session, req: req, doing: doing}).run(ctx)
}

func withDatabase(login dbdrivers.Login) dbdrivers.Login {
	if login.Database == "" {
		login.Database = defaultDatabase
	}
	return login
}

// checkPassword refuses what a server would take for something else: it keeps
// no password at all in place of an empty one.
//
// https://www.postgresql.org/docs/current/sql-alterrole.html
func checkPassword(password dbdrivers.Password) error {
	switch {
	case password.IsEmpty():
		return errors.New("it is empty, which to PostgreSQL means no password")
	case strings.IndexByte(password.Reveal(), 0) >= 0:
		return errors.New("it has a zero byte, which no client can send")
	}
	return nil
}
