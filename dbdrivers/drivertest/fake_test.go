package drivertest_test

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
)

func TestFakeConforms(t *testing.T) { conform(t, nil) }

// An engine whose accounts cannot keep a former password of their own, though
// their admin can.
func TestFakeConformsWhereOnlyAnAdminRetains(t *testing.T) {
	conform(t, func(driver dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		traits := driver.Traits()
		traits.RetainsByAdminOnly = true
		fakeOf(driver).SetTraits(traits)
		return driver
	}, func(f *drivertest.Fixture) { f.Retain.Allow = nil })
}

// conform runs the suite on the fake, or on what breaks makes of it.
func conform(t *testing.T, breaks func(dbdrivers.Driver, *drivertest.FakeServer) dbdrivers.Driver, edits ...func(*drivertest.Fixture)) {
	srv := drivertest.NewFakeServer("db.fake")
	noTLS, stranger, otherName := drivertest.NewFakeServer("plain.fake"), drivertest.NewFakeServer("stranger.fake"), drivertest.NewFakeServer("other.fake")
	noTLS.SetTLSFault("the server offers no TLS")
	stranger.SetTLSFault("unknown authority")
	otherName.SetTLSFault("another name")
	srv.SetAdmin("admin", "admin-password")

	login := func(host, user, password string) dbdrivers.Login {
		return dbdrivers.Login{Host: host, Port: 5999, Username: user, Password: dbdrivers.NewPassword(password), Database: "fake"}
	}
	at := func(s *drivertest.FakeServer) func(*testing.T) dbdrivers.Login {
		return func(*testing.T) dbdrivers.Login { return login(s.Host(), "app", "app-password") }
	}
	var driver dbdrivers.Driver = drivertest.NewFake(srv, noTLS, stranger, otherName)
	if breaks != nil {
		driver = breaks(driver, srv)
	}
	fixture := drivertest.Fixture{
		Driver: driver,
		Account: func(_ *testing.T, user, password string) dbdrivers.Login {
			srv.CreateAccount(user, password)
			srv.MayRetain(user, false)
			return login(srv.Host(), user, password)
		},
		Admin:         func(*testing.T) dbdrivers.Login { return login(srv.Host(), "admin", "admin-password") },
		AdminCompares: true,
		Opens:         func(_ *testing.T, user, password string) bool { return srv.Opens(user, password) },
		SignIns:       func(_ *testing.T, user string) (ok, refused int) { return srv.SignInsOf(user) },
		Bar:           func(_ *testing.T, user string) { srv.Bar(user) },
		Twins: &drivertest.TwinFixture{
			Right:  func(*testing.T) string { return rand.Text() },
			Grant:  func(_ *testing.T, user, right string) { srv.Grant(user, right) },
			Revoke: func(_ *testing.T, user, right string) { srv.Revoke(user, right) },
			Has:    func(_ *testing.T, l dbdrivers.Login, right string) bool { return srv.Has(l.Username, right) },
			Exists: func(_ *testing.T, user string) bool { return srv.Exists(user) },
			Own: func(_ *testing.T, account dbdrivers.Login) string {
				object := rand.Text()
				srv.Own(account.Username, object)
				return object
			},
			Owner: func(_ *testing.T, object string) string { return srv.OwnerOf(object) },
			Cut: func(_ *testing.T, nth int, answerLost bool) (dbdrivers.Login, func() bool) {
				return cutting(srv, login, nth, answerLost)
			},
		},
		Retain: &drivertest.RetainFixture{
			Allow: func(_ *testing.T, user string) { srv.MayRetain(user, true) },
			Cut: func(_ *testing.T, by dbdrivers.Login, nth int, answerLost bool) (dbdrivers.Login, func() bool) {
				if by.Username != "admin" {
					return by, cutOff(srv, by.Username, retainMoments, nth, answerLost)
				}
				by.Username = "admin-" + rand.Text()
				srv.SetAdmin(by.Username, "admin-password")
				return by, cutOff(srv, by.Username, retainMoments, nth, answerLost)
			},
		},
		NoTLS:            at(noTLS),
		UnknownAuthority: at(stranger),
		OtherName:        at(otherName),
		Environment:      map[string]string{"PGHOST": "elsewhere.invalid"},
	}
	for _, edit := range edits {
		edit(&fixture)
	}
	drivertest.Run(t, fixture)
}

// moments are those of OpenTwin, in their order. Its messages are the spaces
// between them.
var moments = []drivertest.Moment{
	drivertest.AtSignIn, drivertest.BeforeChange, drivertest.WhileEqualising, drivertest.BeforeOpening, drivertest.AfterChange,
}

// retainMoments are those of RetainPassword.
var retainMoments = []drivertest.Moment{drivertest.AtSignIn, drivertest.BeforeChange, drivertest.AfterChange}

// cutting makes an admin whose next call of OpenTwin fails at the moment before
// or after the nth message.
func cutting(srv *drivertest.FakeServer, login func(host, user, password string) dbdrivers.Login, nth int, answerLost bool) (dbdrivers.Login, func() bool) {
	admin := "admin-" + rand.Text()
	srv.SetAdmin(admin, "admin-password")
	return login(srv.Host(), admin, "admin-password"), cutOff(srv, admin, moments, nth, answerLost)
}

// cutOff makes user's next call fail at the moment before or after the nth
// message, and reports whether there is one.
func cutOff(srv *drivertest.FakeServer, user string, moments []drivertest.Moment, nth int, answerLost bool) func() bool {
	if answerLost {
		nth++
	}
	if nth >= len(moments) {
		return func() bool { return false }
	}
	srv.FailNextOf(user, dbdrivers.ErrUnreachable, moments[nth])
	return func() bool { return true }
}

// app is a fake server with one account, and how to call the driver on it.
type app struct {
	*drivertest.FakeServer
	driver *drivertest.Fake
	t      *testing.T
}

func newApp(t *testing.T) app {
	srv := drivertest.NewFakeServer("db.fake")
	srv.CreateAccount("app", "old")
	return app{srv, drivertest.NewFake(srv), t}
}

func (a app) login(password string) dbdrivers.Login {
	return dbdrivers.Login{Host: a.Host(), Port: 5999, Username: "app", Password: dbdrivers.NewPassword(password)}
}

func (a app) verify(password string) error {
	return a.driver.Verify(a.t.Context(), dbdrivers.VerifyRequest{Login: a.login(password)})
}

func (a app) set(current, next string) error {
	return a.driver.SetPassword(a.t.Context(), dbdrivers.SetPasswordRequest{
		As: a.login(current), Account: "app", Password: dbdrivers.NewPassword(next),
	})
}

func TestFaultsMeetTheirMoment(t *testing.T) {
	tests := map[string]struct {
		at    drivertest.Moment
		opens string
	}{
		"before the sign-in nothing has changed":   {drivertest.AtSignIn, "old"},
		"before the change nothing has changed":    {drivertest.BeforeChange, "old"},
		"after the change only the answer is lost": {drivertest.AfterChange, "new"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			a.FailNext(dbdrivers.ErrUnreachable, test.at)
			if err := a.set("old", "new"); !errors.Is(err, dbdrivers.ErrUnreachable) {
				t.Fatalf("error %v; want unreachable", err)
			}
			if !a.Opens("app", test.opens) {
				t.Errorf("%q does not open", test.opens)
			}
			if err := a.verify(test.opens); err != nil {
				t.Errorf("the fault was met twice: %v", err)
			}
		})
	}
}

func TestServerBehaviours(t *testing.T) {
	tests := map[string]func(t *testing.T, a app){
		"barred: the right password is told from a wrong one": func(t *testing.T, a app) {
			a.Bar("app")
			if err := a.verify("old"); !errors.Is(err, dbdrivers.ErrBarred) {
				t.Errorf("right password: %v", err)
			}
			if err := a.verify("wrong"); !errors.Is(err, dbdrivers.ErrRefused) {
				t.Errorf("wrong password: %v", err)
			}
			a.Unbar("app")
			if err := a.verify("old"); err != nil {
				t.Errorf("unbarred: %v", err)
			}
		},
		"locked after two refusals": func(t *testing.T, a app) {
			a.LockAfter(2)
			for range 2 {
				_ = a.verify("wrong")
			}
			if err := a.verify("old"); !errors.Is(err, dbdrivers.ErrBarred) {
				t.Errorf("error %v; want barred", err)
			}
		},
		"rules refuse and change nothing": func(t *testing.T, a app) {
			a.Rules(func(string) error { return errors.New("too short") })
			if err := a.set("old", "new"); !errors.Is(err, dbdrivers.ErrPasswordRules) {
				t.Errorf("error %v; want password rules", err)
			}
			if !a.Opens("app", "old") {
				t.Error("the old password no longer opens")
			}
		},
		"a change settles after two more sign-ins": func(t *testing.T, a app) {
			a.SettleAfter(2)
			if err := a.set("old", "new"); err != nil {
				t.Fatal(err)
			}
			var refused int
			for a.verify("new") != nil {
				refused++
			}
			if refused != 2 {
				t.Errorf("refused %d times before it opened; want 2", refused)
			}
		},
		"cut off and back": func(t *testing.T, a app) {
			a.SetReachable(false)
			if err := a.verify("old"); !errors.Is(err, dbdrivers.ErrUnreachable) {
				t.Errorf("error %v; want unreachable", err)
			}
			a.SetReachable(true)
			if err := a.verify("old"); err != nil {
				t.Errorf("back: %v", err)
			}
		},
		"sign-ins are counted": func(t *testing.T, a app) {
			_ = a.verify("old")
			_ = a.verify("wrong")
			_ = a.set("old", "new")
			if ok, refused := a.SignIns(); ok != 2 || refused != 1 {
				t.Errorf("%d taken, %d refused; want 2 and 1", ok, refused)
			}
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newApp(t))
		})
	}
}

// TestFakeTwinsSettings: settings follow as rights do.
func TestFakeTwinsSettings(t *testing.T) {
	a := newApp(t)
	a.SetAdmin("admin", "admin-password")
	admin := a.login("admin-password")
	admin.Username = "admin"
	open := func() dbdrivers.TwinReport {
		report, err := a.driver.OpenTwin(t.Context(), dbdrivers.OpenTwinRequest{
			Admin: admin, Canonical: "app", Twin: "app_clone", Password: dbdrivers.NewPassword("new"), MayCreate: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	a.SetSetting("app", "path", "here")
	open()
	a.SetSetting("app", "path", "there")
	a.SetSetting("app_clone", "limit", "1")
	report := open()
	want := dbdrivers.TwinReport{Added: []string{"setting path"}, Removed: []string{"setting limit"}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
	if value, _ := a.Setting("app_clone", "path"); value != "there" {
		t.Errorf("the twin's setting is %q", value)
	}
	if _, found := a.Setting("app_clone", "limit"); found {
		t.Error("the twin has kept a setting of its own")
	}
}

func TestAFaultOfOneUserMeetsNoOther(t *testing.T) {
	a := newApp(t)
	a.FailNextOf("somebody", dbdrivers.ErrBusy, drivertest.AtSignIn)
	if err := a.verify("old"); err != nil {
		t.Errorf("another user's fault: %v", err)
	}
	a.FailNextOf("app", dbdrivers.ErrBusy, drivertest.AtSignIn)
	if err := a.verify("old"); !errors.Is(err, dbdrivers.ErrBusy) {
		t.Errorf("error %v; want busy", err)
	}
}
