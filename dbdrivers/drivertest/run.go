package drivertest

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Run tests a driver against the contract. It sets environment variables, so
// the test that calls it must not be parallel.
func Run(t *testing.T, f Fixture) {
	t.Run("the environment changes nothing", f.testEnvironment)

	tests := map[string]func(Fixture, *testing.T){
		"traits are sound":                                   Fixture.testTraits,
		"the driver has the powers that are claimed":         Fixture.testPowers,
		"an account changes its own password":                Fixture.testBySelf,
		"a change said twice is one change":                  Fixture.testRepeated,
		"an admin changes an account's password":             Fixture.testByAdmin,
		"an admin's change that comes late":                  Fixture.testByAdminLate,
		"an account cannot change another's":                 Fixture.testByStranger,
		"a wrong password is refused and changes nothing":    Fixture.testRefused,
		"an unknown user is refused":                         Fixture.testUnknownUser,
		"a barred account is not refused":                    Fixture.testBarred,
		"no connection is left":                              Fixture.testLeaves,
		"an unknown hash changes nothing":                    Fixture.testUnknownHash,
		"an empty password is never set":                     Fixture.testEmptyPassword,
		"each call signs in once":                            Fixture.testSignIns,
		"hostile passwords":                                  Fixture.testHostilePasswords,
		"hostile usernames":                                  Fixture.testHostileUsernames,
		"a name that would be cut off is not another's":      Fixture.testLongUsername,
		"what cannot be reached is not refused":              Fixture.testUnreachable,
		"a cancelled call returns at once":                   Fixture.testCancelled,
		"TLS is verified":                                    Fixture.testTLS,
		"of changes at the same moment one password is left": Fixture.testConcurrent,
		"sign-ins at the same moment do not disturb another": Fixture.testConcurrentVerify,
	}
	opener, hasTwins := f.Driver.(dbdrivers.TwinOpener)
	if hasTwins {
		maps.Copy(tests, twinTests(f, opener))
	}
	retainer, retains := f.Driver.(dbdrivers.PasswordRetainer)
	if retains {
		maps.Copy(tests, retainTests(retainer))
	}
	t.Run("contract", func(t *testing.T) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(f, t)
			})
		}
	})
	// No other test signs in as the admin now.
	t.Run("an admin signs in once", f.testAdminSignIns)
	if hasTwins {
		t.Run("a twin is opened by one sign-in", func(t *testing.T) { f.testTwinSignIns(t, opener) })
	}
	if retains {
		t.Run("a password is retained by one sign-in", func(t *testing.T) { f.testRetainSignIns(t, retainer) })
		t.Run("no retained password is in the server's log", func(t *testing.T) { f.testRetainLog(t, retainer) })
	}
	t.Run("no password is in the server's log", f.testLog)
}

func (f Fixture) testTraits(t *testing.T) {
	traits := f.Driver.Traits()
	if traits.Engine == "" {
		t.Error("no name of the engine; by it an admin's secret is known to be of the same one")
	}
	if traits.DefaultPort < 1 || traits.DefaultPort > 65535 {
		t.Errorf("default port %d", traits.DefaultPort)
	}
	if traits.Username.Max < 1 {
		t.Error("no limit of usernames; every engine has one")
	}
	if most := traits.Password.MaxLength; most > 0 && most < traits.Password.MinLength {
		t.Errorf("passwords of %d to %d characters", traits.Password.MinLength, most)
	}
}

func (f Fixture) testEnvironment(t *testing.T) {
	for name, value := range f.Environment {
		t.Setenv(name, value)
	}
	a, next := f.account(t), newPassword()
	if err := a.set(a.login, next); err != nil {
		t.Errorf("SetPassword: %v", err)
	}
	if err := f.verify(t, a.with(next)); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func (f Fixture) testBySelf(t *testing.T) {
	a, next := f.account(t), newPassword()
	a.mustOpen(a.old())
	a.mustRefuse(next)
	if err := a.set(a.login, next); err != nil {
		t.Fatalf("SetPassword: %v", err)
	}
	a.mustRefuse(a.old())
	a.mustOpen(next)
}

func (f Fixture) testRepeated(t *testing.T) {
	a, next := f.account(t), newPassword()
	for _, current := range []string{a.old(), next, next} {
		if err := a.set(a.with(current), next); err != nil {
			t.Fatalf("SetPassword: %v", err)
		}
		a.mustOpen(next)
	}
	a.mustRefuse(a.old())
}

// testByAdminLate is an admin's request that comes when the password which it was
// to replace, as somebody proved, is the account's or is not any more.
func (f Fixture) testByAdminLate(t *testing.T) {
	if f.Admin == nil {
		return
	}
	a, next, later, admin := f.account(t), newPassword(), newPassword(), f.Admin(t)
	set := func(current, password string) error {
		ctx, cancel := contextOf(t)
		defer cancel()
		return f.Driver.SetPassword(ctx, dbdrivers.SetPasswordRequest{
			As: admin, Account: a.name(), Current: dbdrivers.NewPassword(current), Password: dbdrivers.NewPassword(password),
		})
	}
	for range 2 { // the second time it is set already
		if err := set(a.old(), next); err != nil {
			t.Fatalf("SetPassword: %v", err)
		}
		a.mustOpen(next)
	}
	if err := set(next, later); err != nil {
		t.Fatalf("SetPassword: %v", err)
	}
	if !f.AdminCompares {
		return
	}
	wantClass(t, set(a.old(), next), dbdrivers.ErrBusy, a.old(), next, later)
	a.mustOpen(later)
	a.mustRefuse(next)
}

func (f Fixture) testByAdmin(t *testing.T) {
	if f.Admin == nil {
		return
	}
	a, next, admin := f.account(t), newPassword(), f.Admin(t)
	for range 2 {
		if err := a.set(admin, next); err != nil {
			t.Fatalf("SetPassword: %v", err)
		}
		a.mustOpen(next)
		a.mustRefuse(a.old())
	}

	wrong := admin
	wrong.Password = dbdrivers.NewPassword(newPassword())
	never := newPassword()
	err := a.set(wrong, never)
	wantClass(t, err, dbdrivers.ErrRefused, wrong.Password.Reveal(), admin.Password.Reveal(), never)
	a.mustOpen(next)

	err = f.set(t, admin, newName(), next)
	wantOneOf(t, err, []error{dbdrivers.ErrUnsupported, dbdrivers.ErrPrivilege}, next, admin.Password.Reveal())
}

func (f Fixture) testByStranger(t *testing.T) {
	a, b, next := f.account(t), f.account(t), newPassword()
	err := b.set(a.login, next)
	wantOneOf(t, err, []error{dbdrivers.ErrPrivilege, dbdrivers.ErrUnsupported}, next, a.old(), b.old())
	b.mustOpen(b.old())
	a.mustOpen(a.old())
}

func (f Fixture) testRefused(t *testing.T) {
	a, wrong, next := f.account(t), newPassword(), newPassword()
	err := a.set(a.with(wrong), next)
	wantClass(t, err, dbdrivers.ErrRefused, wrong, next, a.old())
	a.mustRefuse(wrong)
	a.mustRefuse(next)
	a.mustOpen(a.old())
}

func (f Fixture) testUnknownUser(t *testing.T) {
	a := f.account(t)
	login := a.login
	login.Username = newName()
	wantClass(t, f.verify(t, login), dbdrivers.ErrRefused, a.old())
}

func (f Fixture) testBarred(t *testing.T) {
	if f.Bar == nil {
		return
	}
	a, wrong, next := f.account(t), newPassword(), newPassword()
	f.Bar(t, a.name())
	wantClass(t, f.verify(t, a.login), dbdrivers.ErrBarred, a.old())
	wantClass(t, a.set(a.login, next), dbdrivers.ErrBarred, a.old(), next)
	wantClass(t, f.verify(t, a.with(wrong)), dbdrivers.ErrRefused, wrong, a.old())
}

func (f Fixture) testLeaves(t *testing.T) {
	if f.Sessions == nil {
		return
	}
	a, next := f.account(t), newPassword()
	if err := a.set(a.login, next); err != nil {
		t.Fatalf("SetPassword: %v", err)
	}
	if err := f.verify(t, a.with(next)); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	// The server takes its own time to notice that a client has left.
	deadline := time.Now().Add(callTimeout)
	for f.Sessions(t, a.name()) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are left", f.Sessions(t, a.name()))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (a account) setHashed(password, hash string) error {
	ctx, cancel := contextOf(a.t)
	defer cancel()
	return a.fixture.Driver.SetPassword(ctx, dbdrivers.SetPasswordRequest{
		As: a.login, Account: a.name(), Password: dbdrivers.NewPassword(password), Hash: hash,
	})
}

func (f Fixture) testUnknownHash(t *testing.T) {
	a, next := f.account(t), newPassword()
	err := a.setHashed(next, "rot13")
	wantClass(t, err, dbdrivers.ErrUnsupported, next, a.old())
	a.mustOpen(a.old())
}

func (f Fixture) testEmptyPassword(t *testing.T) {
	a := f.account(t)
	wantClass(t, a.set(a.login, ""), dbdrivers.ErrPasswordRules, a.old())
	a.mustOpen(a.old())
}

func (f Fixture) testSignIns(t *testing.T) {
	a, next, wrong := f.account(t), newPassword(), newPassword()
	calls := []struct {
		name, want string
		call       func() error
	}{
		{"Verify", "1 taken, 0 refused", func() error { return f.verify(t, a.login) }},
		{"Verify with a wrong password", "0 taken, 1 refused", func() error { return f.verify(t, a.with(wrong)) }},
		{"SetPassword with a wrong password", "0 taken, 1 refused", func() error { return a.set(a.with(wrong), next) }},
		{"SetPassword", "1 taken, 0 refused", func() error { return a.set(a.login, next) }},
	}
	for _, c := range calls {
		if got := a.signIns(func() { WantSafe(t, c.call(), wrong, next, a.old()) }); got != c.want {
			t.Errorf("%s: the server counted %s; want %s", c.name, got, c.want)
		}
	}
	if f.Admin == nil {
		return
	}
	admin := f.Admin(t)
	if got := a.signIns(func() { WantSafe(t, a.set(admin, next), next) }); got != "0 taken, 0 refused" {
		t.Errorf("SetPassword by an admin: the server counted %s of the account; want none", got)
	}
}

func (f Fixture) testAdminSignIns(t *testing.T) {
	if f.Admin == nil {
		return
	}
	a, next := f.account(t), newPassword()
	admin := account{t: t, fixture: f, login: f.Admin(t)}
	if got, want := admin.signIns(func() { WantSafe(t, a.set(admin.login, next), next) }), "1 taken, 0 refused"; got != want {
		t.Errorf("SetPassword by an admin: the server counted %s of the admin; want %s", got, want)
	}
}

func (f Fixture) testLog(t *testing.T) {
	if f.Log == nil || f.ShowsPasswords {
		return
	}
	a, next, wrong := f.account(t), newPassword(), newPassword()
	if err := a.set(a.login, next); err != nil {
		t.Fatalf("SetPassword: %v", err)
	}
	if f.Admin != nil {
		if err := a.set(f.Admin(t), next); err != nil {
			t.Fatalf("SetPassword by an admin: %v", err)
		}
	}
	WantSafe(t, a.set(a.with(wrong), next), next, wrong)
	log := f.Log(t)
	if !strings.Contains(log, a.name()) {
		t.Fatal("the log does not tell of the account; it proves nothing")
	}
	for _, secret := range []string{next, encoded(next), wrong, encoded(wrong)} {
		if strings.Contains(log, secret) {
			t.Error("the server's log holds a password")
		}
	}
}
