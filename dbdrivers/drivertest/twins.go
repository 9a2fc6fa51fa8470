package drivertest

import (
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// TwinFixture is what a server is asked and told about two accounts that take
// turns. Nothing of it uses the driver.
type TwinFixture struct {
	// Right makes something that an account can be given the right to use, and
	// returns its name.
	Right func(t *testing.T) string
	// Grant gives an account a right, and Revoke takes it away.
	Grant, Revoke func(t *testing.T, account, right string)
	// Has signs in and uses the right.
	Has func(t *testing.T, login dbdrivers.Login, right string) bool
	// Exists reports whether there is such an account.
	Exists func(t *testing.T, account string) bool
	// Own has an account make something that it owns, and returns it as a
	// report names it; Owner returns whose it is now. They are nil where the
	// engine's accounts own nothing.
	Own   func(t *testing.T, account dbdrivers.Login) (object string)
	Owner func(t *testing.T, object string) (account string)
	// Blind says that one of the two cannot see what the other may, so that
	// VerifyTwin need not list what a twin has beyond its sibling.
	Blind bool
	// Cut returns a login of the admin whose next call of the driver breaks off
	// at the nth message, from zero: before the server has it, or where
	// answerLost is set after the server has done it. The second result
	// reports whether the call came that far.
	Cut func(t *testing.T, nth int, answerLost bool) (dbdrivers.Login, func() bool)
}

// pair is the canonical account of a sub-test, a right that it has, and its
// twin, which does not exist yet.
type pair struct {
	account
	opener dbdrivers.TwinOpener
	twins  *TwinFixture
	twin   string
	right  string
}

func twinTests(f Fixture, opener dbdrivers.TwinOpener) map[string]func(Fixture, *testing.T) {
	tests := map[string]func(pair){
		"a twin is made equal and opens":                        pair.testCreated,
		"what its sibling gains and loses, the twin does":       pair.testFollows,
		"a twin with a right of its own is not opened with it":  pair.testExtra,
		"an account that only has the twin's name is untouched": pair.testUnproven,
		"a sibling is not set on the word of a mere name":       pair.testSiblingUnproven,
		"another account's twin is untouched, proof or not":     pair.testAnothers,
		"a twin that is taken over loses nothing":               pair.testTakenOver,
		"no account is made where none may be":                  pair.testMayNotCreate,
		"what is no pair of twins is refused":                   pair.testRefusedPairs,
		"an account without the power opens no twin":            pair.testPowerless,
		"a twin that is cut off is closed or complete":          pair.testCutOff,
		"a twin opened at the same moment is opened once":       pair.testSameMoment,
		"a hostile password opens a twin":                       pair.testHostile,
		"a request for a turn that is over changes nothing":     pair.testTurnIsOver,
		"either of the two is verified as any account is":       pair.testVerified,
		"verifying lists in what the twin differs":              pair.testDifferences,
	}
	if f.Twins != nil && f.Twins.Own != nil {
		maps.Copy(tests, adoptionTests)
	}
	run := make(map[string]func(Fixture, *testing.T), len(tests))
	for name, test := range tests {
		run[name] = func(_ Fixture, t *testing.T) { test(f.pair(t, opener)) }
	}
	return run
}

func (f Fixture) pair(t *testing.T, opener dbdrivers.TwinOpener) pair {
	t.Helper()
	if f.Twins == nil || f.Admin == nil {
		t.Fatal("the driver opens twins, and the fixture does not say how to see them")
	}
	p := pair{account: f.account(t), opener: opener, twins: f.Twins}
	p.twin, p.right = p.name()+"_clone", f.Twins.Right(t)
	f.Twins.Grant(t, p.name(), p.right)
	return p
}

func (p pair) request(password string) dbdrivers.OpenTwinRequest {
	return dbdrivers.OpenTwinRequest{
		Admin: p.fixture.Admin(p.t), Canonical: p.name(), Twin: p.twin,
		Password: dbdrivers.NewPassword(password), MayCreate: true,
	}
}

func (p pair) open(req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	p.t.Helper()
	ctx, cancel := contextOf(p.t)
	defer cancel()
	report, err := p.opener.OpenTwin(ctx, req)
	WantSafe(p.t, err, req.Password.Reveal(), req.Admin.Password.Reveal(), p.old())
	return report, err
}

func (p pair) mustOpenTwin(req dbdrivers.OpenTwinRequest) dbdrivers.TwinReport {
	p.t.Helper()
	report, err := p.open(req)
	if err != nil {
		p.t.Fatalf("OpenTwin: %v", err)
	}
	p.wantComplete(req.Password.Reveal())
	if len(report.Kept) == 0 {
		p.wantDifferences(req.Password.Reveal(), 0)
	}
	return report
}

// wantComplete asserts that the twin opens, has its sibling's right, and that
// its sibling is as it was.
func (p pair) wantComplete(password string) {
	p.t.Helper()
	twin := p.twinAccount(password)
	twin.mustOpen(password)
	p.wantRight(password, p.right, true)
	p.mustOpen(p.old())
}

func (p pair) twinAccount(password string) account {
	login := p.login
	login.Username, login.Password = p.twin, dbdrivers.NewPassword(password)
	return account{t: p.t, fixture: p.fixture, login: login}
}

func (p pair) wantRight(password, right string, want bool) {
	p.t.Helper()
	if has := p.twins.Has(p.t, p.twinAccount(password).login, right); has != want {
		p.t.Errorf("the twin may use what its sibling may: %t; want %t", has, want)
	}
}

// wantNone asserts that there is no twin.
func (p pair) wantNone() {
	p.t.Helper()
	if p.twins.Exists(p.t, p.twin) {
		p.t.Error("an account was made")
	}
}

func (p pair) testCreated() {
	for i, password := range []string{newPassword(), newPassword()} {
		report := p.mustOpenTwin(p.request(password))
		if report.Created != (i == 0) || report.TakenOver || len(report.Kept) > 0 {
			p.t.Errorf("call %d reports %+v", i+1, report)
		}
		if i > 0 && len(report.Added)+len(report.Removed) > 0 {
			p.t.Errorf("call %d found something left to do: %+v", i+1, report)
		}
		if i > 0 {
			p.twinAccount(password).mustOpen(password)
		}
	}
	// The same words once more have the same outcome.
	password := newPassword()
	for range 2 {
		p.mustOpenTwin(p.request(password))
	}
}

func (p pair) testFollows() {
	password, later := newPassword(), p.twins.Right(p.t)
	p.mustOpenTwin(p.request(password))
	p.wantRight(password, later, false)
	p.twins.Grant(p.t, p.name(), later)
	p.mustOpenTwin(p.request(password))
	p.wantRight(password, later, true)
	p.twins.Revoke(p.t, p.name(), later)
	p.mustOpenTwin(p.request(password))
	p.wantRight(password, later, false)
}

// testExtra lets a driver take the right away, or say no.
func (p pair) testExtra() {
	before, next, extra := newPassword(), newPassword(), p.twins.Right(p.t)
	p.mustOpenTwin(p.request(before))
	p.twins.Grant(p.t, p.twin, extra)
	report, err := p.open(p.request(next))
	if err != nil {
		wantOneOf(p.t, err, []error{dbdrivers.ErrUnsupported, dbdrivers.ErrPrivilege}, next, before)
		p.twinAccount(before).mustOpen(before)
		p.twinAccount(before).mustRefuse(next)
		p.twins.Revoke(p.t, p.twin, extra)
		p.mustOpenTwin(p.request(next))
		return
	}
	p.wantComplete(next)
	p.wantRight(next, extra, false)
	if p.twins.Has(p.t, p.login, extra) {
		p.t.Error("the sibling was given what was the twin's")
	}
	if len(report.Removed) == 0 {
		p.t.Error("the report does not name what was taken away")
	}
}

// stranger makes an account of the twin's name that is none, with a right of
// its own.
func (p pair) stranger() (a account, right string) {
	p.t.Helper()
	a, right = p.fixture.accountNamed(p.t, p.twin, newPassword()), p.twins.Right(p.t)
	p.twins.Grant(p.t, p.twin, right)
	return a, right
}

func (p pair) testUnproven() {
	next := newPassword()
	stranger, own := p.stranger()
	_, err := p.open(p.request(next))
	wantClass(p.t, err, dbdrivers.ErrUnsupported, next, stranger.old(), p.old())
	if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
		p.t.Errorf("error %v; want that it says that nothing proves the twin", err)
	}
	stranger.mustOpen(stranger.old())
	stranger.mustRefuse(next)
	p.wantRight(stranger.old(), own, true)
	p.wantRight(stranger.old(), p.right, false)
}

// testSiblingUnproven is the turn of the canonical account: an admin sets its
// password because its twin opened, and so the twin must be one.
func (p pair) testSiblingUnproven() {
	next := newPassword()
	p.stranger()
	req := dbdrivers.SetPasswordRequest{
		As: p.fixture.Admin(p.t), Account: p.name(), Twin: p.twin, Password: dbdrivers.NewPassword(next),
	}
	set := func() error {
		ctx, cancel := contextOf(p.t)
		defer cancel()
		err := p.fixture.Driver.SetPassword(ctx, req)
		WantSafe(p.t, err, next, p.old())
		return err
	}
	for _, twin := range []string{p.twin, newName()} {
		req.Twin = twin
		err := set()
		wantClass(p.t, err, dbdrivers.ErrUnsupported, next, p.old())
		if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
			p.t.Errorf("error %v; want that it says that nothing proves the twin", err)
		}
		p.mustOpen(p.old())
		p.mustRefuse(next)
	}
	req.Twin, req.Proven = p.twin, true
	if err := set(); err != nil {
		p.t.Fatalf("with proof: %v", err)
	}
	p.mustOpen(next)

	// The mark that OpenTwin leaves is proof.
	open := p.request(newPassword())
	open.Proven = true
	if _, err := p.open(open); err != nil {
		p.t.Fatalf("OpenTwin: %v", err)
	}
	next = newPassword()
	req.Proven, req.Password = false, dbdrivers.NewPassword(next)
	if err := set(); err != nil {
		p.t.Fatalf("with the mark: %v", err)
	}
	p.mustOpen(next)
}

// testAnothers is a twin that takes turns with another account: two secrets
// that name it would each close it to the other.
func (p pair) testAnothers() {
	before, next := newPassword(), newPassword()
	p.mustOpenTwin(p.request(before))
	other := p.fixture.pair(p.t, p.opener)
	other.twin = p.twin
	open := other.request(next)
	open.Proven = true
	_, opening := other.open(open)

	ctx, cancel := contextOf(p.t)
	defer cancel()
	changing := p.fixture.Driver.SetPassword(ctx, dbdrivers.SetPasswordRequest{
		As: open.Admin, Account: other.name(), Twin: other.twin, Password: dbdrivers.NewPassword(next), Proven: true,
	})
	for _, err := range []error{opening, changing} {
		wantClass(p.t, err, dbdrivers.ErrUnsupported, next, before, other.old())
		if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
			p.t.Errorf("error %v; want that it says that nothing proves the twin", err)
		}
	}
	p.wantComplete(before)
	p.twinAccount(before).mustRefuse(next)
	p.wantDifferences(before, 0)
	other.mustOpen(other.old())
	other.mustRefuse(next)
}

func (p pair) testTakenOver() {
	next := newPassword()
	_, own := p.stranger()
	req := p.request(next)
	req.Proven, req.MayCreate = true, false
	report := p.mustOpenTwin(req)
	if !report.TakenOver || report.Created || len(report.Removed) > 0 || len(report.Kept) == 0 {
		p.t.Errorf("the first time it reports %+v", report)
	}
	p.wantRight(next, own, true)

	// From now on the mark is proof.
	p.twins.Revoke(p.t, p.twin, own)
	req.Proven = false
	if report := p.mustOpenTwin(req); report.TakenOver {
		p.t.Errorf("the second time it reports %+v", report)
	}
}

func (p pair) testMayNotCreate() {
	next := newPassword()
	req := p.request(next)
	req.MayCreate = false
	_, err := p.open(req)
	wantClass(p.t, err, dbdrivers.ErrUnsupported, next)
	p.wantNone()
	p.mustOpenTwin(p.request(next))
	p.mustOpenTwin(req)
}

func (p pair) testRefusedPairs() {
	next := newPassword()
	admin := p.fixture.Admin(p.t)
	changes := map[string]func(*dbdrivers.OpenTwinRequest){
		"the sibling itself":            func(r *dbdrivers.OpenTwinRequest) { r.Twin = r.Canonical },
		"the admin as the twin":         func(r *dbdrivers.OpenTwinRequest) { r.Twin = admin.Username; r.Proven = true },
		"the admin as the sibling":      func(r *dbdrivers.OpenTwinRequest) { r.Canonical = admin.Username },
		"a sibling that does not exist": func(r *dbdrivers.OpenTwinRequest) { r.Canonical = newName() },
		"no name":                       func(r *dbdrivers.OpenTwinRequest) { r.Twin = "" },
		"a name that would be cut off": func(r *dbdrivers.OpenTwinRequest) {
			r.Twin += strings.Repeat("n", p.fixture.Driver.Traits().Username.Max+1-len(r.Twin))
		},
		"an unknown hash": func(r *dbdrivers.OpenTwinRequest) { r.Hash = "rot13" },
	}
	for name, change := range changes {
		req := p.request(next)
		change(&req)
		_, err := p.open(req)
		if !errors.Is(err, dbdrivers.ErrUnsupported) {
			p.t.Errorf("%s: error %v; want that it is not supported", name, err)
		}
	}
	_, err := p.open(p.request(""))
	wantClass(p.t, err, dbdrivers.ErrPasswordRules)
	wrong := p.request(next)
	wrong.Admin.Password = dbdrivers.NewPassword(newPassword())
	_, err = p.open(wrong)
	wantClass(p.t, err, dbdrivers.ErrRefused, next, wrong.Admin.Password.Reveal())
	p.wantNone()
	p.mustOpen(p.old())
}

func (p pair) testPowerless() {
	next := newPassword()
	req := p.request(next)
	req.Admin = p.fixture.account(p.t).login
	_, err := p.open(req)
	wantOneOf(p.t, err, []error{dbdrivers.ErrPrivilege, dbdrivers.ErrUnsupported}, next)
	p.wantNone()
}

// mostMessages bounds how many messages a call may be made of.
const mostMessages = 1000

// testCutOff breaks a call off at each of its messages: one that makes the
// twin, and one that opens it again after its sibling has gained a right.
func (p pair) testCutOff() {
	for _, answerLost := range []bool{false, true} {
		for _, made := range []bool{false, true} {
			for nth := range mostMessages {
				if !p.fixture.pair(p.t, p.opener).cutOffAt(nth, answerLost, made) {
					break
				}
			}
		}
	}
}

// cutOffAt reports whether the call came as far as the nth message.
func (p pair) cutOffAt(nth int, answerLost, made bool) bool {
	p.t.Helper()
	before, next := newPassword(), newPassword()
	if made {
		p.mustOpenTwin(p.request(before))
		right := p.twins.Right(p.t)
		p.twins.Grant(p.t, p.name(), right)
		p.right = right
	}
	req := p.request(next)
	var cut func() bool
	req.Admin, cut = p.twins.Cut(p.t, nth, answerLost)
	_, err := p.open(req)
	if !cut() {
		if err != nil {
			p.t.Errorf("OpenTwin, whose connection was not cut off: %v", err)
		}
		return false
	}
	wantClass(p.t, err, dbdrivers.ErrUnreachable, next, before)
	if exists := p.twins.Exists(p.t, p.twin); exists && p.opens(next) {
		p.wantRight(next, p.right, true)
	} else if made && !p.opens(before) {
		p.t.Errorf("cut off at message %d: neither the password before nor the new one opens", nth)
	}
	p.mustOpenTwin(p.request(next))
	return true
}

// opens asks without the driver. A closed twin is an error of its own to some
// servers' clients, and so the driver's word on the password counts first.
func (p pair) opens(password string) bool {
	p.t.Helper()
	return p.fixture.verify(p.t, p.twinAccount(password).login) == nil && p.fixture.Opens(p.t, p.twin, password)
}

func (p pair) testSameMoment() {
	const callers = 6
	password := newPassword()
	reports, errs := make([]dbdrivers.TwinReport, callers), make([]error, callers)
	req := p.request(password)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { reports[i], errs[i] = p.open(req) })
	}
	wg.Wait()
	var made int
	for i, err := range errs {
		if err != nil {
			wantClass(p.t, err, dbdrivers.ErrBusy, password)
		}
		if reports[i].Created {
			made++
		}
	}
	if made != 1 {
		p.t.Errorf("%d calls say that they made the twin; want one", made)
	}
	p.wantComplete(password)
}

// testTurnIsOver is a request that comes late, when the two have taken turns
// since.
func (p pair) testTurnIsOver() {
	first, second, third := newPassword(), newPassword(), newPassword()
	open := func(current, password string) error {
		req := p.request(password)
		req.Current = dbdrivers.NewPassword(current)
		_, err := p.open(req)
		return err
	}
	set := func(current, password string) error {
		ctx, cancel := contextOf(p.t)
		defer cancel()
		return p.fixture.Driver.SetPassword(ctx, dbdrivers.SetPasswordRequest{
			As: p.fixture.Admin(p.t), Account: p.name(), Twin: p.twin,
			Current: dbdrivers.NewPassword(current), Password: dbdrivers.NewPassword(password),
		})
	}
	turn := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatalf("a turn: %v", err)
		}
	}
	late := func(err error) {
		p.t.Helper()
		wantClass(p.t, err, dbdrivers.ErrBusy, p.old(), first, second, third)
	}
	for range 2 { // an opening that is said again comes in time
		turn(open(p.old(), first))
	}
	turn(set(first, second))
	if p.fixture.AdminCompares {
		late(open(p.old(), newPassword()))
	}
	turn(open(second, third))
	if p.fixture.AdminCompares {
		late(open(p.old(), first))
		late(set(first, newPassword()))
	}
	sibling, twin := account{t: p.t, fixture: p.fixture, login: p.with(second)}, p.twinAccount(third)
	sibling.mustOpen(second)
	twin.mustOpen(third)
}

func (p pair) testHostile() {
	for name, password := range hostilePasswords {
		if !takes(p.fixture.Driver.Traits().Password, password) {
			continue
		}
		if _, err := p.open(p.request(password)); err != nil {
			p.t.Errorf("%s: %v", name, err)
			continue
		}
		p.twinAccount(password).mustOpen(password)
	}
}

func (f Fixture) testTwinSignIns(t *testing.T, opener dbdrivers.TwinOpener) {
	p := f.pair(t, opener)
	password, wrong := newPassword(), newPassword()
	admin := account{t: t, fixture: f, login: f.Admin(t)}
	for range 2 {
		var twins string
		admins := admin.signIns(func() {
			twins = p.twinAccount(password).signIns(func() {
				if _, err := p.open(p.request(password)); err != nil {
					t.Fatalf("OpenTwin: %v", err)
				}
			})
		})
		if want := "1 taken, 0 refused"; admins != want {
			t.Errorf("the server counted %s of the admin; want %s", admins, want)
		}
		if want := "0 taken, 0 refused"; twins != want {
			t.Errorf("the server counted %s of the twin; want %s", twins, want)
		}
	}
	for _, call := range []struct{ given, want string }{{password, "1 taken, 0 refused"}, {wrong, "0 taken, 1 refused"}} {
		twin := p.twinAccount(call.given)
		got := twin.signIns(func() {
			_, err := p.verifyTwin(twin.login)
			WantSafe(t, err, password, wrong)
		})
		if got != call.want {
			t.Errorf("VerifyTwin: the server counted %s of the twin; want %s", got, call.want)
		}
	}
}
