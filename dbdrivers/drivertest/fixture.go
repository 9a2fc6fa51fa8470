package drivertest

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Fixture is a driver and a real server for it. Every function may be called
// from several sub-tests at once.
type Fixture struct {
	// Driver is what is tested.
	Driver dbdrivers.Driver
	// Account makes an account that can change its own password, and returns a
	// login of it that works.
	Account func(t *testing.T, username, password string) dbdrivers.Login
	// Admin returns a login that may set the passwords of such accounts. It is
	// nil where the engine has no such thing.
	Admin func(t *testing.T) dbdrivers.Login
	// AdminCompares says that the engine shows an admin which password an account
	// has, so that a request which comes late changes nothing.
	AdminCompares bool
	// Opens asks the server, without the driver, whether a password opens it.
	Opens func(t *testing.T, username, password string) bool
	// SignIns returns how many sign-ins of a user the server itself has
	// counted so far, by whomever.
	SignIns func(t *testing.T, username string) (ok, refused int)

	// Bar keeps an account out though its password is right, by the engine's
	// own means. It is nil where the engine has none.
	Bar func(t *testing.T, username string)
	// Sessions returns how many connections of a user the server holds now. It
	// is nil where connections cannot be seen.
	Sessions func(t *testing.T, username string) int

	// Twins is what the alternating power is tested with. A driver that
	// implements [dbdrivers.TwinOpener] must have it, and no other may.
	Twins *TwinFixture
	// Retain is what the strategy dual-password is tested with. A driver that
	// implements [dbdrivers.PasswordRetainer] must have it, and no other may.
	Retain *RetainFixture

	// NoTLS returns a login that asks for TLS at a server that offers none.
	NoTLS func(t *testing.T) dbdrivers.Login
	// UnknownAuthority returns a login at a server whose certificate is of an
	// authority that the login does not trust.
	UnknownAuthority func(t *testing.T) dbdrivers.Login
	// OtherName returns a login at a server whose certificate carries another
	// name than the login asks for.
	OtherName func(t *testing.T) dbdrivers.Login

	// Log returns the server's log of connections and statements. It is nil
	// where there is none. ShowsPasswords says that the engine is known to
	// write passwords there; then the log is not searched.
	Log            func(t *testing.T) string
	ShowsPasswords bool
	// Environment are the variables that the client library is known to read,
	// set to what would break it.
	Environment map[string]string
}

// callTimeout bounds one call of a driver in the suite.
const callTimeout = 30 * time.Second

// newName returns a name that no other account has.
func newName() string { return "acct_" + strings.ToLower(rand.Text()[:12]) }

// newPassword returns a password that every engine takes and no text holds by
// chance.
func newPassword() string { return "Pw1-" + rand.Text()[:20] }

// account is one account of a sub-test.
type account struct {
	t       *testing.T
	fixture Fixture
	login   dbdrivers.Login
}

func (f Fixture) account(t *testing.T) account {
	t.Helper()
	return f.accountNamed(t, newName(), newPassword())
}

func (f Fixture) accountNamed(t *testing.T, username, password string) account {
	t.Helper()
	return account{t: t, fixture: f, login: f.Account(t, username, password)}
}

func (a account) name() string { return a.login.Username }

// with is the account's login with another password.
func (a account) with(password string) dbdrivers.Login {
	login := a.login
	login.Password = dbdrivers.NewPassword(password)
	return login
}

func (a account) old() string { return a.login.Password.Reveal() }

// set asks as login for a new password.
func (a account) set(login dbdrivers.Login, password string) error {
	return a.fixture.set(a.t, login, a.name(), password)
}

func (f Fixture) set(t *testing.T, login dbdrivers.Login, username, password string) error {
	ctx, cancel := contextOf(t)
	defer cancel()
	return f.Driver.SetPassword(ctx, dbdrivers.SetPasswordRequest{
		As: login, Account: username, Password: dbdrivers.NewPassword(password),
	})
}

func (f Fixture) verify(t *testing.T, login dbdrivers.Login) error {
	ctx, cancel := contextOf(t)
	defer cancel()
	return f.Driver.Verify(ctx, dbdrivers.VerifyRequest{Login: login})
}

// mustOpen asserts that a password opens the database, for the driver and for
// everybody else.
func (a account) mustOpen(password string) {
	a.t.Helper()
	if err := a.fixture.verify(a.t, a.with(password)); err != nil {
		a.t.Errorf("the driver's Verify: %v; want that the password opens", err)
	}
	if !a.fixture.Opens(a.t, a.name(), password) {
		a.t.Error("the server does not open to the password")
	}
}

// mustRefuse asserts that it does not.
func (a account) mustRefuse(password string) {
	a.t.Helper()
	err := a.fixture.verify(a.t, a.with(password))
	wantClass(a.t, err, dbdrivers.ErrRefused, password, a.old())
	if a.fixture.Opens(a.t, a.name(), password) {
		a.t.Error("the server opens to the password")
	}
}

// signIns returns how many sign-ins the server counted while call ran.
func (a account) signIns(call func()) string {
	okBefore, refusedBefore := a.fixture.SignIns(a.t, a.name())
	call()
	ok, refused := a.fixture.SignIns(a.t, a.name())
	return fmt.Sprintf("%d taken, %d refused", ok-okBefore, refused-refusedBefore)
}
