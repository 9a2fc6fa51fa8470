// Package mariadb is the driver for MariaDB 10.6 and later, and for what speaks
// and behaves as it does: Amazon RDS for MariaDB.
//
// MariaDB takes a hash from everybody, also from an account that changes its own
// password. So no statement holds a password, and the server's rules for
// passwords (simple_password_check, cracklib_password_check) see none: where
// strict_password_validation demands that they do, the change is refused.
//
// An account keeps the plugin by which it signs in (mysql_native_password or
// ed25519), and unix_socket beside it.
//
// # The mark of a twin
//
// MariaDB keeps no text of an account: it has no ATTRIBUTE and no comment, its
// limits are numbers, and REQUIRE would shut the account. So a host row of a twin
// is marked by a role that it is granted and that holds nothing:
//
//	dbrotation(twin of app, equal, 1a2b3c4d)
//
// Its name tells the canonical account, a state, and who made it, by the
// beginning of a hash of the admin's account: only who has made a role may grant
// it, and so each admin has one of its own. The state is "taken" for a row that
// was proven to be the twin's and has not been opened as an equal one yet, and
// "equal" afterwards; a row with both is equal.
//
// Who may make a role may make accounts, and who may grant one has made it, so
// no application can mark an account. SHOW GRANTS tells the mark, from the
// server's memory, where a row that somebody has written into
// mysql.roles_mapping does not stand until the server reads its tables anew; so
// an account that may write them takes no turns. What an account may grant itself (WITH
// ADMIN OPTION) is no mark. The server drops the grant with the account, and
// renames it with it: another account of the twin's name is not marked. A role
// that is granted to nobody, and only named for the twin, would go on to mark
// that one.
//
// A new row is marked under another name before it gets the twin's, and a row
// that is taken over before anything else of the twin is changed; so no row that
// opens is without its mark, and a call that is cut off loses no proof. Roles of
// marks are never dropped. Nothing of them is copied to anyone, compared or set
// as a default; WITH ADMIN OPTION such a role is one like any other. They show in SHOW GRANTS of the twin, and of the admin, who holds
// those that it has made.
//
// Where an admin of the same name had made the role, who is gone, the next of
// three names is used. Whoever may grant something on can grant it to such a
// role, and the twin would have it: one that holds anything is refused.
package mariadb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// Driver is MariaDB's driver. Its zero value is ready.
type Driver struct{}

var (
	_ dbdrivers.Driver           = Driver{}
	_ dbdrivers.PasswordRetainer = Driver{}
	_ dbdrivers.TwinOpener       = Driver{}
)

// New returns the driver.
func New() Driver { return Driver{} }

// maxName is the longest username, in characters, that every version keeps.
//
// https://mariadb.com/docs/server/reference/sql-structure/sql-language-structure/identifier-names#maximum-length
const maxName = 80

var dialect = mywire.Dialect{
	Name:    "MariaDB",
	MaxName: maxName,
	Ed25519: true,
	// GRANT makes no account, whatever the server's own mode says.
	SQLMode: "NO_AUTO_CREATE_USER",
	Settings: func(left time.Duration) []string {
		return []string{
			// The name that every version knows.
			"SESSION tx_read_only = 0",
			"SESSION max_statement_time = " + strconv.FormatFloat(left.Seconds(), 'f', 3, 64),
			"SESSION sql_quote_show_create = 1",
		}
	},
	AlsoRefused: "where the account does not exist, where it demands a client's certificate or another TLS (REQUIRE), " +
		"where the server takes nobody without TLS (require_secure_transport) and there is none, " +
		"and where an account of a more specific host, or without a name, stands before the one that was meant",
	SignIn: mywire.Rules{
		{Numbers: []uint16{errNotByPassword}, Class: dbdrivers.ErrRefused, Remedy: "it is a wrong password where unix_socket is another way into the account, " +
			"and any password where it is the only one"},
		{Numbers: []uint16{errAccountLocked}, Class: dbdrivers.ErrBarred, Remedy: "the account is locked; run ALTER USER ... ACCOUNT UNLOCK"},
		{Numbers: []uint16{errMustChange, errMustChangeAtSignIn}, Class: dbdrivers.ErrBarred, Remedy: "the account's password has expired; set a new one by hand with ALTER USER, and store it under AWSCURRENT"},
		{Numbers: []uint16{errBlocked}, Class: dbdrivers.ErrBusy, Remedy: "the server blocks the account after failed sign-ins (max_password_errors), whatever the password; " +
			"run FLUSH PRIVILEGES, or ALTER USER ... ACCOUNT UNLOCK"},
	},
	Statement: mywire.Rules{
		// A session begins with MariaDB's own settings.
		{Numbers: []uint16{errUnknownVariable}, Class: dbdrivers.ErrUnsupported, Remedy: "the server is no MariaDB that is known here; where it is MySQL, set \"engine\": \"mysql\" in the secret"},
	},
}

// Errors of the server that the driver tells apart.
//
// https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
const (
	errUnknownVariable    = 1193 // ER_UNKNOWN_SYSTEM_VARIABLE
	errLacksPrivilege     = 1227 // ER_SPECIFIC_ACCESS_DENIED_ERROR
	errNoSuchAccount      = 1396 // ER_CANNOT_USER
	errNotByPassword      = 1698 // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
	errMustChange         = 1820 // ER_MUST_CHANGE_PASSWORD
	errMustChangeAtSignIn = 1862 // ER_MUST_CHANGE_PASSWORD_LOGIN
	errBlocked            = 4150 // ER_USER_IS_BLOCKED
	errAccountLocked      = 4151 // ER_ACCOUNT_HAS_BEEN_LOCKED
)

// Traits describes MariaDB. A name is limited in characters.
func (Driver) Traits() dbdrivers.Traits {
	return dbdrivers.Traits{
		Engine:      "mariadb",
		DefaultPort: 3306,
		Username:    dbdrivers.Limit{Max: maxName},
		Password: dbdrivers.PasswordTraits{
			MinLength: 1,
			// The client ends a password there.
			Forbidden:         "\x00",
			ExcludedByDefault: `/@"'\`,
		},
		// An account keeps the plugin that it has.
		Hashes:             nil,
		RetainsByAdminOnly: true,
		// max_password_errors.
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
// By itself an account changes the row of mysql.global_priv that it signed in
// by, and only while req.As.Password is the first of its passwords, or
// req.Password is already: a call that comes late changes nothing
// ([dbdrivers.ErrBusy]). It can change the first of its passwords alone; a
// second one, which a former rotation by an admin has left, stays, and req.Note
// is told. An admin changes all host rows of the name in one statement, and
// leaves each with one password; nothing is changed ([dbdrivers.ErrBusy]) where
// no row has req.Current or the new one, or with req.Twin no row of the twin has
// req.Current, and where the call waited for another rotation that has set
// another password. It is refused ([dbdrivers.ErrUnsupported]) for
// accounts that are admins themselves, or that the server or Amazon RDS
// reserves.
//
// Whoever asks, a row that may be entered by another plugin than the three of
// the package's comment is refused before anything is changed.
func (Driver) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	c := change{
		doing: fmt.Sprintf("setting the password of %q at %s", req.Account, req.As.Address()),
		as:    req.As, account: req.Account, current: req.As.Password, password: req.Password, note: req.Note,
		other: req.Twin, opened: req.Current,
	}
	return c.signedIn(ctx, req.Hash, func(me identity) error {
		if c.bySelf() {
			return c.setOwn(ctx, me)
		}
		return c.setByAdmin(ctx, me, req.Proven)
	})
}

// change is one password's change, in a session of its own.
type change struct {
	doing             string
	as                dbdrivers.Login
	account           string
	current, password dbdrivers.Password
	note              func(string)
	// other is the account's other half, where it takes turns with one.
	other string
	// opened is what opened the account just before an admin's change, or where
	// it takes turns with one its other half; empty where nothing is proven.
	opened dbdrivers.Password

	session *mywire.Session
	// before are the account's rows as they were before the session had its lock,
	// where an admin reads them.
	before []row
}

func (c *change) bySelf() bool { return c.as.Username == c.account }

// signedIn checks what can be checked without a server, and makes the change in
// a session of the login. What the change reads must still be so when it
// writes, so it keeps other changes of the account out.
func (c *change) signedIn(ctx context.Context, hash string, change func(me identity) error) error {
	if err := checkPassword(c.password); err != nil {
		return dbdrivers.Classify(dbdrivers.ErrPasswordRules, c.doing, err)
	}
	if hash != "" {
		return c.unsupported(fmt.Errorf("no hash %q: an account of MariaDB keeps the plugin that it has; take the hash out of the secret", hash))
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
	switch {
	case me.readOnly:
		return dbdrivers.Classify(dbdrivers.ErrNotWritable, c.doing, errReadOnly)
	case me.judged:
		return c.unsupported(errJudged)
	}
	if !c.bySelf() {
		if c.before, err = rowsOf(ctx, session, c.account); err != nil {
			return c.unread(err, me)
		}
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	return change(me)
}

// lock keeps other changes from the account and its other half, whichever of
// the two they begin with, until the session ends. Names are in one order for
// all, so that no two wait for each other.
func (c *change) lock(ctx context.Context) error {
	names := []string{c.account}
	if c.other != "" && !c.bySelf() {
		names = append(names, c.other)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if err := c.session.Lock(ctx, c.doing, name); err != nil {
			return err
		}
	}
	return nil
}

// errReadOnly is told before anything is changed: an admin with READ_ONLY ADMIN
// would change a replica, and part it from its source.
//
// https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables#read_only
var errReadOnly = errors.New("read_only is set: this is a replica or a read-only server; name the writer in \"host\"")

// errJudged is why no hash can be sent: a text would stand in the server's logs.
//
// https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables#strict_password_validation
var errJudged = errors.New("the server takes no hash of a password while a plugin validates passwords and strict_password_validation is ON, " +
	"and the password itself would stand in its logs; set strict_password_validation to OFF (in Amazon RDS by the parameter group), or remove the plugin")

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
	}
	return nil
}
