package rotator

import (
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
)

func TestWhoseTurnItIs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, username, ours string
		pair                 TwinPair
		next                 string
	}{
		{"AWS's names, the canonical account", "app", `{}`, TwinPair{"app", "app_clone"}, "app_clone"},
		{"AWS's names, the twin", "app_clone", `{}`, TwinPair{"app", "app_clone"}, "app"},
		{"AWS's names, twice over", "app_clone_clone", `{}`, TwinPair{"app_clone", "app_clone_clone"}, "app_clone"},
		{"named, the canonical account", "app_a", `{"twins": ["app_a", "app_b"]}`, TwinPair{"app_a", "app_b"}, "app_b"},
		{"named, the twin", "app_b", `{"twins": ["app_a", "app_b"]}`, TwinPair{"app_a", "app_b"}, "app_a"},
		{"named, and the canonical account ends as AWS's twins do", "app_clone", `{"twins": ["app_clone", "app"]}`, TwinPair{"app_clone", "app"}, "app"},
		{"named, and the twin of it", "app", `{"twins": ["app_clone", "app"]}`, TwinPair{"app_clone", "app"}, "app_clone"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := mustParse(t, `{"engine": "example", "username": "`+row.username+`", "password": "p", "dbrotation": `+row.ours+`}`)
			a := &attempt{strategyName: Alternating}
			if diff := cmp.Diff(row.pair, d.pair()); diff != "" {
				t.Error(diff)
			}
			if next := a.nextUsername(d); next != row.next {
				t.Errorf("the next is %q, want %q", next, row.next)
			}
		})
	}
}

func TestWhatARotationTouches(t *testing.T) {
	t.Parallel()
	const document = `{"engine": "example", "username": "app_b", "password": "p", "dbrotation": {"twins": ["app_a", "app_b"], "ownerRole": "owner"}}`
	for strategy, want := range map[Strategy][]string{
		Single:      {"app_b"},
		Alternating: {"app_a", "app_b", "owner"},
	} {
		a := &attempt{strategyName: strategy}
		if diff := cmp.Diff(want, a.touches(mustParse(t, document))); diff != "" {
			t.Errorf("%s: %s", strategy, diff)
		}
	}
}

func TestAPairIsVerifiedByOneSignIn(t *testing.T) {
	t.Parallel()
	const password = "planted-Pair-1"
	document := mustParse(t, `{"engine": "fake", "username": "app_b", "password": "`+password+`", "dbrotation": {"twins": ["app_a", "app_b"]}}`)
	for _, row := range []struct {
		name                 string
		prepare              func(*drivertest.FakeServer)
		plain                bool // the driver keeps no twins
		differences          []string
		err                  error
		class                Class
		signIns, refused     int
		signedIn, serverSaid int
	}{
		{name: "equal", signIns: 1, signedIn: 1},
		{name: "different", prepare: func(s *drivertest.FakeServer) { s.Grant("app_a", "read") }, differences: []string{"right read"}, signIns: 1, signedIn: 1},
		{name: "another password", prepare: func(s *drivertest.FakeServer) { s.CreateAccount("app_b", "another") }, err: dbdrivers.ErrRefused, class: ClassRefused, signIns: 1, refused: 1, serverSaid: 1},
		{name: "a driver without twins", plain: true, class: ClassUnsupported},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := drivertest.NewFakeServer("db.example.com")
			server.CreateAccount("app_a", "another")
			server.CreateAccount("app_b", password)
			if row.prepare != nil {
				row.prepare(server)
			}
			fake := drivertest.NewFake(server)
			a := &attempt{log: slog.New(slog.DiscardHandler), driver: fake, traits: fake.Traits(), engine: "fake"}
			if row.plain {
				a.driver = struct{ dbdrivers.Driver }{fake}
			}
			differences, err := a.verifyPair(t.Context(), document, dbdrivers.Login{
				Host: server.Host(), Port: 5999, Username: "app_b", Password: document.password, Database: "fake",
			})
			if class, _ := classOf(err); err != nil && class != row.class || (err == nil) != (row.class == "") || row.err != nil && !errors.Is(err, row.err) {
				t.Errorf("error %v, want class %q", err, row.class)
			}
			if !slices.Equal(differences, row.differences) {
				t.Errorf("differences %q, want %q", differences, row.differences)
			}
			if a.signIns != row.signIns || a.refusals != row.refused {
				t.Errorf("counted %d sign-ins and %d refused, want %d and %d", a.signIns, a.refusals, row.signIns, row.refused)
			}
			if ok, refused := server.SignIns(); ok != row.signedIn || refused != row.serverSaid {
				t.Errorf("the server counted %d sign-ins and %d refused, want %d and %d", ok, refused, row.signedIn, row.serverSaid)
			}
		})
	}
}
