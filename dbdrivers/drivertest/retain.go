package drivertest

import (
	"strings"
	"sync"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// RetainFixture is what a server is told about accounts that have two passwords.
// Nothing of it uses the driver.
type RetainFixture struct {
	// Allow gives an account the right to keep its own former password. It is
	// nil where every account has it, or by the driver's traits none.
	Allow func(t *testing.T, username string)
	// Cut returns login for a call of the driver that breaks off at the nth
	// message, from zero: before the server has it, or where answerLost is set
	// after the server has done it. The second result reports whether the call
	// came that far. It is nil where the connection cannot be cut.
	Cut func(t *testing.T, login dbdrivers.Login, nth int, answerLost bool) (dbdrivers.Login, func() bool)
}

// keeper is an account of a sub-test that may have two passwords, and by whom.
type keeper struct {
	account
	retainer dbdrivers.PasswordRetainer
	byAdmin  bool
}

func retainTests(retainer dbdrivers.PasswordRetainer) map[string]func(Fixture, *testing.T) {
	tests := map[string]func(keeper){
		"a former password opens beside the new one":           keeper.testRetained,
		"retaining said twice destroys neither password":       keeper.testSaidAgain,
		"retaining at the same moment destroys neither":        keeper.testAtOnce,
		"the older of two passwords is the one that is kept":   keeper.testOlder,
		"a wrong password retains nothing":                     keeper.testWrong,
		"what is not a password of the account is not kept":    keeper.testNotItsOwn,
		"a barred account retains nothing":                     keeper.testBarred,
		"a hash or a password that cannot be retains nothing":  keeper.testImpossible,
		"hostile passwords are retained":                       keeper.testHostile,
		"retaining that is cut off locks nobody out":           keeper.testCutOff,
		"a plain change ends a former password or tells of it": keeper.testPlainChange,
	}
	run := make(map[string]func(Fixture, *testing.T), len(tests)+2)
	for name, test := range tests {
		run[name] = func(f Fixture, t *testing.T) { f.keepers(t, retainer, test) }
	}
	run["without the right nothing is retained"] = func(f Fixture, t *testing.T) { f.testNoRight(t, retainer) }
	run["an account retains no password of another"] = func(f Fixture, t *testing.T) { f.testRetainForAnother(t, retainer) }
	return run
}

// keepers runs test on an account that makes the change itself, and on one whose
// admin does.
func (f Fixture) keepers(t *testing.T, retainer dbdrivers.PasswordRetainer, test func(keeper)) {
	t.Helper()
	if f.Retain == nil {
		t.Fatal("the driver retains passwords, and the fixture does not say how to see it")
	}
	if f.Driver.Traits().RetainsByAdminOnly && f.Admin == nil {
		t.Fatal("nobody could retain a password")
	}
	run := func(name string, byAdmin bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := f.account(t)
			if f.Retain.Allow != nil && !byAdmin {
				f.Retain.Allow(t, a.name())
			}
			test(keeper{a, retainer, byAdmin})
		})
	}
	if !f.Driver.Traits().RetainsByAdminOnly {
		run("by itself", false)
	}
	if f.Admin != nil {
		run("by an admin", true)
	}
}

// as is who makes the change where current is the account's.
func (k keeper) as(current string) dbdrivers.Login {
	k.t.Helper()
	if k.byAdmin {
		return k.fixture.Admin(k.t)
	}
	return k.with(current)
}

func (k keeper) retain(current, next string) error {
	k.t.Helper()
	return k.retainAs(k.as(current), current, next)
}

func (k keeper) retainAs(as dbdrivers.Login, current, next string) error {
	k.t.Helper()
	return k.ask(dbdrivers.RetainPasswordRequest{
		As: as, Account: k.name(), Current: dbdrivers.NewPassword(current), Password: dbdrivers.NewPassword(next),
	})
}

func (k keeper) ask(req dbdrivers.RetainPasswordRequest) error {
	k.t.Helper()
	ctx, cancel := contextOf(k.t)
	defer cancel()
	secrets := []string{req.As.Password.Reveal(), req.Current.Reveal(), req.Password.Reveal(), k.old()}
	req.Note = func(text string) { k.wantNone(text, secrets...) }
	err := k.retainer.RetainPassword(ctx, req)
	WantSafe(k.t, err, secrets...)
	return err
}

// wantNone asserts that a note shows no secret.
func (k keeper) wantNone(note string, secrets ...string) {
	k.t.Helper()
	for _, secret := range secrets {
		if secret != "" && strings.Contains(note, secret) {
			k.t.Errorf("a note shows a password: %q", strings.ReplaceAll(note, secret, "<HERE>"))
		}
	}
}

func (k keeper) mustRetain(current, next string) {
	k.t.Helper()
	if err := k.retain(current, next); err != nil {
		k.t.Fatalf("RetainPassword: %v", err)
	}
	k.wantBoth(current, next)
}

// wantBoth asserts that both passwords open and that no third does.
func (k keeper) wantBoth(current, next string, dead ...string) {
	k.t.Helper()
	k.mustOpen(current)
	k.mustOpen(next)
	for _, password := range append(dead, newPassword()) {
		k.mustRefuse(password)
	}
}

// wantUntouched asserts that the account has its first password alone.
func (k keeper) wantUntouched(next string) {
	k.t.Helper()
	k.mustOpen(k.old())
	k.mustRefuse(next)
}

func (k keeper) testRetained() {
	second, third := newPassword(), newPassword()
	k.mustRetain(k.old(), second)
	k.mustRetain(second, third)
	k.mustRefuse(k.old())
}

func (k keeper) testSaidAgain() {
	next := newPassword()
	for range 3 {
		k.mustRetain(k.old(), next)
	}
}

func (k keeper) testAtOnce() {
	const callers = 6
	next := newPassword()
	as, errs := k.as(k.old()), make([]error, callers)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = k.retainAs(as, k.old(), next) })
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
			continue
		}
		wantClass(k.t, err, dbdrivers.ErrBusy, next, k.old())
	}
	if done == 0 {
		k.t.Error("no call was done")
	}
	k.wantBoth(k.old(), next)
}

// testOlder is a rotation that was given up after it had set its password: what
// is current then is the older of two.
func (k keeper) testOlder() {
	abandoned, next := newPassword(), newPassword()
	k.mustRetain(k.old(), abandoned)
	for range 2 {
		k.mustRetain(k.old(), next)
		k.mustRefuse(abandoned)
	}
}

func (k keeper) testWrong() {
	wrong, next := newPassword(), newPassword()
	refused := func() {
		k.t.Helper()
		as := k.as(wrong)
		as.Password = dbdrivers.NewPassword(wrong)
		wantClass(k.t, k.retainAs(as, wrong, next), dbdrivers.ErrRefused, wrong, next, k.old())
	}
	refused()
	k.mustRefuse(wrong)
	k.wantUntouched(next)
	second := newPassword()
	k.mustRetain(k.old(), second)
	refused()
	k.wantBoth(k.old(), second, wrong, next)
}

// testNotItsOwn is an admin's change of an account that somebody else changed
// since its password was proven.
func (k keeper) testNotItsOwn() {
	if !k.byAdmin {
		return // its own sign-in is refused, see testWrong
	}
	wrong, next, second := newPassword(), newPassword(), newPassword()
	stale := func() {
		k.t.Helper()
		wantOneOf(k.t, k.retain(wrong, next), []error{dbdrivers.ErrBusy, dbdrivers.ErrUnsupported}, wrong, next, k.old())
	}
	stale()
	k.mustRefuse(wrong)
	k.wantUntouched(next)
	k.mustRetain(k.old(), second)
	stale()
	k.wantBoth(k.old(), second, wrong, next)

	// Nor does it come back beside the new one.
	if err := k.fixture.set(k.t, k.fixture.Admin(k.t), k.name(), next); err != nil {
		k.t.Fatal(err)
	}
	stale()
	k.mustRefuse(wrong)
	k.mustOpen(next)
}

func (k keeper) testBarred() {
	if k.fixture.Bar == nil || k.byAdmin {
		return
	}
	k.fixture.Bar(k.t, k.name())
	wantClass(k.t, k.retain(k.old(), newPassword()), dbdrivers.ErrBarred, k.old())
}

func (k keeper) testImpossible() {
	next := newPassword()
	err := k.ask(dbdrivers.RetainPasswordRequest{
		As: k.as(k.old()), Account: k.name(), Current: k.login.Password, Password: dbdrivers.NewPassword(next), Hash: "rot13",
	})
	wantClass(k.t, err, dbdrivers.ErrUnsupported, next, k.old())
	k.wantUntouched(next)
	wantClass(k.t, k.retain(k.old(), ""), dbdrivers.ErrPasswordRules, k.old())
	k.mustOpen(k.old())
	k.mustRefuse("")
}

func (k keeper) testHostile() {
	for name, password := range hostilePasswords {
		if !takes(k.fixture.Driver.Traits().Password, password) {
			continue
		}
		k.t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := k.fixture.account(t)
			if k.fixture.Retain.Allow != nil && !k.byAdmin {
				k.fixture.Retain.Allow(t, a.name())
			}
			k := keeper{a, k.retainer, k.byAdmin}
			k.mustRetain(k.old(), password)
			k.mustRetain(password, password+"2")
			k.mustRefuse(k.old())
		})
	}
}

// testCutOff breaks a call off at each of its messages, for an account with one
// password and for one with two.
func (k keeper) testCutOff() {
	if k.fixture.Retain.Cut == nil {
		return
	}
	for _, answerLost := range []bool{false, true} {
		for _, two := range []bool{false, true} {
			for nth := range mostMessages {
				if !k.cutOffAt(nth, answerLost, two) {
					break
				}
			}
		}
	}
}

// cutOffAt reports whether the call came as far as the nth message.
func (k keeper) cutOffAt(nth int, answerLost, two bool) bool {
	k.t.Helper()
	current := newPassword()
	k.account = k.fixture.accountNamed(k.t, newName(), current)
	if k.fixture.Retain.Allow != nil && !k.byAdmin {
		k.fixture.Retain.Allow(k.t, k.name())
	}
	if two {
		current = newPassword()
		k.mustRetain(k.old(), current)
	}
	next := newPassword()
	as, cut := k.fixture.Retain.Cut(k.t, k.as(current), nth, answerLost)
	err := k.retainAs(as, current, next)
	if !cut() {
		if err != nil {
			k.t.Errorf("RetainPassword, whose connection was not cut off: %v", err)
		}
		return false
	}
	wantClass(k.t, err, dbdrivers.ErrUnreachable, next, current, k.old())
	if !k.fixture.Opens(k.t, k.name(), current) {
		k.t.Errorf("cut off at message %d: the password before does not open", nth)
	}
	k.mustRetain(current, next)
	if two {
		k.mustRefuse(k.old())
	}
	return true
}

// testPlainChange is an account that another strategy rotates from now on: what
// is to be its only password may not silently be one of two.
func (k keeper) testPlainChange() {
	former, next := newPassword(), newPassword()
	k.mustRetain(k.old(), former)
	var notes []string
	ctx, cancel := contextOf(k.t)
	defer cancel()
	err := k.fixture.Driver.SetPassword(ctx, dbdrivers.SetPasswordRequest{
		As: k.as(former), Account: k.name(), Password: dbdrivers.NewPassword(next),
		Note: func(text string) { notes = append(notes, text) },
	})
	if err != nil {
		WantSafe(k.t, err, former, next, k.old())
		k.t.Fatalf("SetPassword: %v", err)
	}
	k.mustOpen(next)
	for _, password := range []string{k.old(), former} {
		if k.fixture.Opens(k.t, k.name(), password) && len(notes) == 0 {
			k.t.Error("a former password opens after a plain change, and nothing was said of it")
		}
	}
	for _, note := range notes {
		k.wantNone(note, k.old(), former, next)
	}
}

// testNoRight is an account that may change its password, and may not keep the
// one before.
func (f Fixture) testNoRight(t *testing.T, retainer dbdrivers.PasswordRetainer) {
	if f.Retain == nil || f.Retain.Allow == nil && !f.Driver.Traits().RetainsByAdminOnly {
		return // every account has the right
	}
	k, next := keeper{f.account(t), retainer, false}, newPassword()
	want := []error{dbdrivers.ErrPrivilege}
	if f.Driver.Traits().RetainsByAdminOnly {
		want = append(want, dbdrivers.ErrUnsupported)
	}
	wantOneOf(t, k.retain(k.old(), next), want, next, k.old())
	k.wantUntouched(next)
	if f.Admin == nil {
		return
	}
	// An account whose two passwords its admin made keeps both.
	second := newPassword()
	admin := k
	admin.byAdmin = true
	admin.mustRetain(k.old(), second)
	wantOneOf(t, k.retain(second, next), want, next, second, k.old())
	k.wantBoth(k.old(), second, next)
}

func (f Fixture) testRetainForAnother(t *testing.T, retainer dbdrivers.PasswordRetainer) {
	stranger, next := f.account(t), newPassword()
	if f.Retain != nil && f.Retain.Allow != nil {
		f.Retain.Allow(t, stranger.name())
	}
	k := keeper{f.account(t), retainer, false}
	wantOneOf(t, k.retainAs(stranger.login, k.old(), next),
		[]error{dbdrivers.ErrPrivilege, dbdrivers.ErrUnsupported}, next, k.old(), stranger.old())
	k.wantUntouched(next)
	stranger.mustOpen(stranger.old())
	if f.Admin == nil {
		return
	}
	k.login.Username = newName()
	wantOneOf(t, k.retainAs(f.Admin(t), k.old(), next), []error{dbdrivers.ErrPrivilege, dbdrivers.ErrUnsupported}, next, k.old())
}

func (f Fixture) testRetainSignIns(t *testing.T, retainer dbdrivers.PasswordRetainer) {
	const one, none = "1 taken, 0 refused", "0 taken, 0 refused"
	f.keepers(t, retainer, func(k keeper) {
		next, wrong := newPassword(), newPassword()
		admin := account{t: k.t, fixture: f}
		if f.Admin != nil {
			admin.login = f.Admin(k.t)
		}
		by, want := k.account, one
		if k.byAdmin {
			by, want = admin, none
		}
		for _, turn := range []string{"the first time", "said again"} {
			var own string
			makers := by.signIns(func() {
				own = k.signIns(func() {
					if err := k.retain(k.old(), next); err != nil {
						k.t.Fatalf("RetainPassword: %v", err)
					}
				})
			})
			if makers != one || own != want {
				k.t.Errorf("%s: the server counted %s of who makes the change and %s of the account; want %s and %s", turn, makers, own, one, want)
			}
		}
		if k.byAdmin {
			return
		}
		if got := k.signIns(func() { WantSafe(k.t, k.retain(wrong, next), wrong, next) }); got != "0 taken, 1 refused" {
			k.t.Errorf("with a wrong password: the server counted %s; want 0 taken, 1 refused", got)
		}
	})
}

func (f Fixture) testRetainLog(t *testing.T, retainer dbdrivers.PasswordRetainer) {
	if f.Log == nil || f.ShowsPasswords {
		return
	}
	f.keepers(t, retainer, func(k keeper) {
		second, third := newPassword(), newPassword()
		k.mustRetain(k.old(), second)
		k.mustRetain(k.old(), third)
		log := f.Log(k.t)
		if !strings.Contains(log, k.name()) {
			k.t.Fatal("the log does not tell of the account; it proves nothing")
		}
		for _, secret := range []string{k.old(), second, third} {
			if strings.Contains(log, secret) || strings.Contains(log, encoded(secret)) {
				k.t.Error("the server's log holds a password")
			}
		}
	})
}
