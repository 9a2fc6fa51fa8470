// Package redshift is the driver for Amazon Redshift, clusters and Serverless.
//
// Redshift speaks PostgreSQL's protocol and began as its version 8.0, but its
// SQL, its catalogues and its way to keep passwords are its own. The driver
// sends what Redshift's manual knows, one statement in each message.
//
// A password is hashed here and only md5(password, username) is sent, in the
// form that Redshift stores. STL_UTILITYTEXT and SVL_STATEMENTTEXT show that
// hash to superusers and to who sent it, but no password.
//
// A twin is marked by membership of a group of ours, named after its sibling
// and its own number. Superusers make groups and put users in one; who holds the
// privilege to create users may make one in a group that there is (IN GROUP),
// and that one has another number. Such a group holds no privileges, and does
// not count as a difference.
//
// None of this has met a real Redshift: the tests run against PostgreSQL behind
// a gate that passes only what Redshift's manual knows.
//
// https://docs.aws.amazon.com/redshift/latest/dg/c_redshift-and-postgres-sql.html
package redshift

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// Driver is Redshift's driver. Its zero value is ready.
type Driver struct{}

var (
	_ dbdrivers.Driver     = Driver{}
	_ dbdrivers.TwinOpener = Driver{}
)

// New returns the driver.
func New() Driver { return Driver{} }

const (
	defaultPort     = 5439
	defaultDatabase = "dev"
	// maxName is the longest name of anything, in bytes.
	//
	// https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
	maxName = 127
)

// dialect sends no parameter beside those of every sign-in: one that Redshift
// does not know ends it.
var dialect = pgwire.Dialect{
	MaxName:     maxName,
	IsRefusal:   isRefusal,
	DemandsTLS:  "require_ssl in the cluster's parameter group",
	AlsoRefused: "the server says the same where the account does not exist or its password is disabled, and may where its VALID UNTIL is past",
	Digest:      true,
}

// isRefusal knows a wrong password. Redshift has PostgreSQL's message, which it
// does not translate, under the code that also means a host rule.
func isRefusal(err *pgconn.PgError) bool {
	return err.Code == "28P01" || err.Code == "28000" && strings.Contains(err.Message, "password authentication failed")
}

// Traits describes Redshift. Its rules for passwords are those of CREATE USER,
// and no password has a semicolon, by which connection strings of Redshift's
// clients end an option.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
func (Driver) Traits() dbdrivers.Traits {
	return dbdrivers.Traits{
		Engine:          "redshift",
		DefaultPort:     defaultPort,
		DefaultDatabase: defaultDatabase,
		Username:        dbdrivers.Limit{Max: maxName, Bytes: true},
		Password: dbdrivers.PasswordTraits{
			MinLength:         minPassword,
			MaxLength:         maxPassword,
			Forbidden:         forbidden,
			ExcludedByDefault: `:/@"'\`,
			NeedsUpper:        true,
			NeedsLower:        true,
			NeedsDigit:        true,
			ASCII:             true,
		},
		Hashes: []string{hashMD5},
	}
}

// Verify signs in and asks the server whom it took the login for. Accounts kept
// as sha256 are signed in to as well.
func (Driver) Verify(ctx context.Context, req dbdrivers.VerifyRequest) error {
	login := withDatabase(req.Login)
	session, err := pgwire.Connect(ctx, login, dialect)
	if err != nil {
		return err
	}
	defer session.Close(ctx)
	return identify(ctx, session, verifying(login), login.Username)
}

func verifying(login dbdrivers.Login) string {
	return fmt.Sprintf("verifying %q at %s", login.Username, login.Address())
}

const askMe = "SELECT current_user"

// identify refuses a session that a pooler opened as somebody else.
func identify(ctx context.Context, session *pgwire.Session, doing, username string) error {
	rows, err := ask(ctx, session, askMe)
	if err != nil {
		return pgwire.Classify(doing, err, pgwire.Unchanged, nil)
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, errors.New("the server does not say who signed in"))
	}
	if signedIn := rows[0][0].Text; signedIn != username {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing,
			fmt.Errorf("the server took the login for %q; a pooler in between signs in as another user, so give the cluster's or the workgroup's own address in \"host\"", signedIn))
	}
	return nil
}

// SetPassword sets an account's password, by the account itself or by an admin:
// a superuser, as the admin user of a cluster or a namespace is. It is kept as
// md5. Where it was kept as sha256 until now that is a step back, which is
// refused ([dbdrivers.ErrUnsupported]) unless req.Hash is "md5". An account's
// own sign-in tells it, and so does pg_shadow, to a superuser; where that is
// masked nothing tells, and req.Note is told so.
//
// An admin's change is refused as well for superusers, for who holds the role
// sys:superuser, for accounts of an identity provider (EXTERNALID), for names
// that Redshift reserves, and where the password is disabled, unless neither
// req.Current nor req.Twin is given: the operator's word. Where pg_shadow is
// masked a disabled password is not seen. NOLOGIN no view shows.
//
// The rules for passwords are held here, before the sign-in
// ([dbdrivers.ErrPasswordRules]): a hash hides from the server what it is of.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_USER.html
func (Driver) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	req.As = withDatabase(req.As)
	doing := fmt.Sprintf("setting the password of %q at %s", req.Account, req.As.Address())
	if err := checkPassword(req.Password); err != nil {
		return dbdrivers.Classify(dbdrivers.ErrPasswordRules, doing, err)
	}
	if err := checkTarget(req.As, req.Account); err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	if err := checkHash(req.Hash); err != nil {
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

// ask sends one statement with its parameters and returns its rows.
func ask(ctx context.Context, session *pgwire.Session, sql string, parameters ...string) (pgwire.Answer, error) {
	answers, err := session.Ask(ctx, pgwire.Statement{SQL: sql, Parameters: parameters})
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}
