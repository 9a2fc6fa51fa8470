// Package mysql is the driver for MySQL 8.0.14 and later, and for what speaks
// and behaves as it does: Amazon RDS for MySQL and Aurora MySQL 3. What it does
// on MySQL 5.7 is as that server documents it, and untested.
//
// An admin's change sends a hash that is made here. An account's own change must
// send the password, since the server takes no hash from it; the server writes
// the hash, or nothing, into its logs. So only an own change meets the
// server's rules for passwords (validate_password, PASSWORD HISTORY): a hash
// tells nothing of length or characters.
//
// # The mark of a twin
//
// A host row of a twin is marked by a role that it is granted and that holds
// nothing:
//
//	dbrotation.equal.k3x5w7q2m4ab
//
// Its name tells a state and, by the beginning of a hash, the canonical account.
// The state is "made" for a row that was made as the twin's and has not been
// opened yet, "taken" for one that was proven to be the twin's and has not been
// opened as an equal one, and "equal" afterwards; the last one counts.
//
// To grant or revoke a role takes ROLE_ADMIN, or the role itself WITH ADMIN
// OPTION, and an account that has it so is not marked by it. So no application
// can mark its account, nor rid it of its mark. SHOW GRANTS tells it, from the
// server's memory, where a row that somebody has written into mysql.role_edges
// does not stand until the server reads its tables anew; so an account that may
// write them takes no turns. An account's ATTRIBUTE would
// prove nothing: anybody may set their own along with their own password. The
// server drops the grant with the account, and renames it with it: another
// account of the twin's name is not marked.
//
// A new row is made with its mark in one statement, and a row that is taken over
// gets it before it is opened; so no row that opens is without its mark. Roles
// of marks are never dropped. Nothing of them is copied to anyone, compared or
// left as a default role; WITH ADMIN OPTION such a role is one like any other.
// They show in SHOW GRANTS of the twin.
package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// Driver is MySQL's driver. Its zero value is ready.
type Driver struct{}

var (
	_ dbdrivers.Driver           = Driver{}
	_ dbdrivers.PasswordRetainer = Driver{}
)

// New returns the driver.
func New() Driver { return Driver{} }

// maxName is the longest username, in characters.
//
// https://dev.mysql.com/doc/refman/9.7/en/user-names.html
const maxName = 32

// maxPassword is what the plugins for SHA-256 take of a password, in bytes. An
// account whose hash is of a longer one could never sign in.
//
// https://dev.mysql.com/doc/refman/9.7/en/caching-sha2-pluggable-authentication.html
const maxPassword = 256

var dialect = mywire.Dialect{
	Name:    "MySQL",
	MaxName: maxName,
	Settings: func(left time.Duration) []string {
		return []string{
			"SESSION transaction_read_only = 0",
			"SESSION max_execution_time = " + strconv.FormatInt(left.Milliseconds(), 10),
			// Grants without quotes cannot be read.
			"SESSION sql_quote_show_create = 1",
		}
	},
	AlsoRefused: "where the account does not exist, where it demands a client's certificate or another TLS (REQUIRE) or a second factor, " +
		"and where a row of mysql.user with a more specific host, or without a name, stands before the one that was meant",
	SignIn: mywire.Rules{
		{Numbers: []uint16{errAccountLocked}, Class: dbdrivers.ErrBarred, Remedy: "the account is locked; run ALTER USER ... ACCOUNT UNLOCK"},
		{Numbers: []uint16{errMustChange}, Class: dbdrivers.ErrBarred, Remedy: "the account's password has expired; set a new one by hand with ALTER USER, and store it under AWSCURRENT"},
		{Numbers: []uint16{errBlocked}, Class: dbdrivers.ErrBusy, Remedy: "the server blocks the account after failed sign-ins (FAILED_LOGIN_ATTEMPTS), whatever the password; " +
			"wait for PASSWORD_LOCK_TIME, or run ALTER USER ... ACCOUNT UNLOCK"},
	},
	Statement: mywire.Rules{
		// A session begins with MySQL's own settings.
		{Numbers: []uint16{errUnknownVariable}, Class: dbdrivers.ErrUnsupported, Remedy: "the server is no MySQL that is known here; where it is MariaDB, set \"engine\": \"mariadb\" in the secret"},
	},
}

// Errors of the server that the driver tells apart.
//
// https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html
const (
	errNoSuchAccount     = 1396 // ER_CANNOT_USER
	errUnknownVariable   = 1193 // ER_UNKNOWN_SYSTEM_VARIABLE
	errLacksPrivilege    = 1227 // ER_SPECIFIC_ACCESS_DENIED_ERROR
	errNotValidPassword  = 1819 // ER_NOT_VALID_PASSWORD
	errMustChange        = 1862 // ER_MUST_CHANGE_PASSWORD_LOGIN
	errAccountLocked     = 3118 // ER_ACCOUNT_HAS_BEEN_LOCKED
	errPasswordInHistory = 3638 // ER_CREDENTIALS_CONTRADICT_TO_HISTORY
	errIncorrectCurrent  = 3891 // ER_INCORRECT_CURRENT_PASSWORD
	errMissingCurrent    = 3892 // ER_MISSING_CURRENT_PASSWORD
	errBlocked           = 3955 // ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK
)

// Traits describes MySQL. A name is limited in characters.
func (Driver) Traits() dbdrivers.Traits {
	return dbdrivers.Traits{
		Engine:      "mysql",
		DefaultPort: 3306,
		Username:    dbdrivers.Limit{Max: maxName},
		Password: dbdrivers.PasswordTraits{
			MinLength: 1,
			MaxLength: maxPassword,
			// The client ends a password there.
			Forbidden:         "\x00",
			ExcludedByDefault: `/@"'\`,
		},
		// An account keeps the plugin that it has.
		Hashes: nil,
		// FAILED_LOGIN_ATTEMPTS.
		CountsRefusals: true,
	}
}

// Verify signs in and asks the server whom it took the login for. Where that is
// another account (a proxy user, an anonymous account) the login proves nothing
// of the one that it names: [dbdrivers.ErrUnsupported].
func (Driver) Verify(ctx context.Context, req dbdrivers.VerifyRequest) error {
	session, err := mywire.Connect(ctx, req.Login, dialect)
	if err != nil {
		return err
	}
	defer session.Close()
	_, err = identify(ctx, session, fmt.Sprintf("verifying %q at %s", req.Login.Username, req.Login.Address()), req.Login.Username)
	return err
}

// SetPassword sets an account's password, by the account itself or by an admin
// who has CREATE USER and may read mysql.*.
//
// By itself an account changes the row of mysql.user that it signed in by, and
// only while req.As.Password is still its password: a call that comes late
// changes nothing. Servers before 8.0.13 cannot compare, and there whoever has
// signed in sets the password. Where the account can see that its name has other
// rows, it is refused ([dbdrivers.ErrUnsupported]).
//
// An admin changes all host rows of the name in one statement, and is refused
// for accounts that are admins themselves, or that the server or Amazon RDS
// reserves, and for those whose password the server does not keep itself. With
// req.Twin neither of the two may write the tables of accounts, also not by a
// privilege on everything.
//
// Nothing is changed either ([dbdrivers.ErrBusy]) where an admin's call waited for
// another rotation, and that has set another password than req.Password.
//
// Where req.Current says what opened the account, or its twin, just before, and no
// row has that password any more, nothing is changed ([dbdrivers.ErrBusy]).
//
// An older password that a former rotation with two of them has left is
// discarded, where the login may; else req.Note is told. An admin discards it
// before the change, unless it is req.Current.
func (Driver) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	c := change{
		doing: fmt.Sprintf("setting the password of %q at %s", req.Account, req.As.Address()),
		as:    req.As, account: req.Account, current: req.Current, password: req.Password, note: req.Note,
		twin: req.Twin, proven: req.Proven,
	}
	switch {
	case c.bySelf():
		c.current = req.As.Password
	case req.Twin != "":
		c.current, c.opened = dbdrivers.Password{}, req.Current
	}
	return c.signedIn(ctx, req.Hash, func(me identity) error {
		if c.bySelf() {
			return c.setOwn(ctx, me)
		}
		return c.setByAdmin(ctx, me)
	})
}

// change is one password's change, in a session of its own.
type change struct {
	doing   string
	as      dbdrivers.Login
	account string
	// current opened the account just before; it is empty where that is not
	// known.
	current, password dbdrivers.Password
	note              func(string)
	// twin is the account that takes turns with this one, and proven what its
	// caller knows of it. opened opened the other one of the two just before,
	// where that is known.
	twin   string
	proven bool
	opened dbdrivers.Password

	session *mywire.Session
	// before are the account's rows as they were before the session had its lock.
	before []row
}

func (c *change) bySelf() bool { return c.as.Username == c.account }

// signedIn checks what can be checked without a server, and makes the change in
// a session of the login.
func (c *change) signedIn(ctx context.Context, hash string, change func(me identity) error) error {
	if err := checkPassword(c.password); err != nil {
		return dbdrivers.Classify(dbdrivers.ErrPasswordRules, c.doing, err)
	}
	if hash != "" {
		return c.unsupported(fmt.Errorf("no hash %q: an account of MySQL keeps the plugin that it has; take the hash out of the secret", hash))
	}
	if err := c.checkTarget(); err != nil {
		return c.unsupported(err)
	}
	session, err := mywire.Connect(ctx, c.as, dialect)
	if err != nil {
		return err
	}
	defer session.Close()
	session.Keep(c.password.Reveal())
	session.Keep(c.current.Reveal())
	session.Keep(c.opened.Reveal())
	c.session = session
	me, err := identify(ctx, session, c.doing, c.as.Username)
	if err != nil {
		return err
	}
	if me.readOnly {
		return dbdrivers.Classify(dbdrivers.ErrNotWritable, c.doing, errReadOnly)
	}
	return change(me)
}

var errReadOnly = errors.New("the server is read-only, as replicas are; name the writer in \"host\"")

func (c *change) unsupported(err error) error {
	return dbdrivers.Classify(dbdrivers.ErrUnsupported, c.doing, err)
}

func (c *change) tell(text string) {
	if c.note != nil {
		c.note(text)
	}
}

// checkPassword refuses what a server would take, and no client could sign in
// with, or anyone could.
func checkPassword(password dbdrivers.Password) error {
	text := password.Reveal()
	switch {
	case text == "":
		return errors.New("it is empty, and would open the account to everybody")
	case strings.IndexByte(text, 0) >= 0:
		return errors.New("it has a zero byte, where clients end it")
	case !utf8.ValidString(text):
		return errors.New("it is not UTF-8")
	case len(text) > maxPassword:
		return fmt.Errorf("it is longer than %d bytes, the most that an account can sign in with", maxPassword)
	}
	return nil
}
