package documentdb_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/documentdb"
)

// turn asks for the twin of app to be opened.
func (s *scripted) turn(password string) dbdrivers.OpenTwinRequest {
	return dbdrivers.OpenTwinRequest{
		Admin: s.master(), Canonical: "app", Twin: "app_clone", Password: dbdrivers.NewPassword(password), MayCreate: true,
	}
}

func (s *scripted) open(t *testing.T, req dbdrivers.OpenTwinRequest) dbdrivers.TwinReport {
	t.Helper()
	driver := documentdb.New()
	if s.Mongo {
		driver = documentdb.NewMongo()
	}
	report, err := driver.OpenTwin(inTime(t), req)
	check(t, err, nil, "")
	return report
}

// wantTwin asserts what the twin has, but for the order.
func (s *scripted) wantTwin(t *testing.T, password string, roles []grant, custom bson.D) {
	t.Helper()
	twin := s.user("app_clone")
	if twin.password != password {
		t.Errorf("the twin's password is %q; want %q", twin.password, password)
	}
	text := func(grants []grant) (names []string) {
		for _, g := range grants {
			names = append(names, g.String())
		}
		slices.Sort(names)
		return names
	}
	if got, want := text(twin.roles), text(roles); !slices.Equal(got, want) {
		t.Errorf("the twin's roles are %q; want %q", got, want)
	}
	if got, want := twin.custom.String(), document(t, custom).String(); got != want {
		t.Errorf("the twin's customData is %s; want %s", got, want)
	}
}

func marked(state string) bson.E {
	return bson.E{Key: "dbrotation", Value: bson.D{{Key: "twinOf", Value: "app"}, {Key: "state", Value: state}}}
}

var team = bson.E{Key: "team", Value: bson.D{{Key: "name", Value: "billing"}, {Key: "size", Value: 7}}}

// TestTwinIsMadeWhole: AWS's function copies roles when it makes a clone, and
// nothing else, nor ever again.
func TestTwinIsMadeWhole(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]script{
		"DocumentDB 5.0":     {},
		"DocumentDB 4.0":     {Wires: [2]int32{0, 7}, Mechanisms: []string{sha1}, HideMechanisms: true, OldHello: true},
		"an elastic cluster": {Elastic: true},
		"MongoDB":            {Mongo: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, script)
			mechanisms := s.Mechanisms[:1]
			roles := []grant{{"readWrite", "shop"}, {"read", "stock"}, {"clerk", "admin"}}
			s.add(account{name: "app", password: firstPassword, roles: roles, custom: document(t, bson.D{team}), mechanisms: mechanisms})
			report := s.open(t, s.turn(nextPassword))
			if !report.Created || report.TakenOver || len(report.Kept)+len(report.Added)+len(report.Removed) > 0 {
				t.Errorf("the report is %+v", report)
			}
			s.wantTwin(t, nextPassword, roles, bson.D{team, marked("equal")})
			if got := s.user("app_clone").mechanisms; !slices.Equal(got, mechanisms) {
				t.Errorf("the twin's mechanisms are %q; want %q", got, mechanisms)
			}

			roles = []grant{{"read", "stock"}, {"dbOwner", "shop"}, {"clerk", "stock"}}
			office := bson.E{Key: "office", Value: "north"}
			s.edit("app", func(a *account) { a.roles, a.custom, a.mechanisms = roles, document(t, bson.D{office}), s.Mechanisms })
			report = s.open(t, s.turn("Another-password-3"))
			for what, c := range map[string]struct{ got, want []string }{
				"added":   {report.Added, []string{"customData field office", "role clerk@stock", "role dbOwner@shop"}},
				"removed": {report.Removed, []string{"customData field team", "role clerk@admin", "role readWrite@shop"}},
				"kept":    {report.Kept, nil},
			} {
				if slices.Sort(c.got); !slices.Equal(c.got, c.want) {
					t.Errorf("%s: %q; want %q", what, c.got, c.want)
				}
			}
			s.wantTwin(t, "Another-password-3", roles, bson.D{office, marked("equal")})
			if got := s.user("app_clone").mechanisms; !s.HideMechanisms && !slices.Equal(got, s.Mechanisms) {
				t.Errorf("the twin's mechanisms are %q; want %q", got, s.Mechanisms)
			}
			app := s.user("app")
			if app.password != firstPassword || !slices.Equal(app.roles, roles) {
				t.Errorf("the sibling was changed: %+v", app)
			}
		})
	}
}

// TestNothingProvesNothing: two users without roles are alike, and can do nothing.
func TestNothingProvesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script script
		roles  []grant
		tells  string
	}{
		"the server shows none":    {script{}, nil, "has no roles"},
		"the server does not show": {script{HideRoles: true}, []grant{{"read", "shop"}}, "does not show its roles"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, exists := range []bool{false, true} {
				s := play(t, c.script)
				s.add(account{name: "app", password: firstPassword, roles: c.roles})
				if exists {
					s.add(account{name: "app_clone", password: firstPassword, custom: document(t, bson.D{marked("equal")})})
				}
				_, err := documentdb.New().OpenTwin(inTime(t), s.turn(nextPassword))
				check(t, err, dbdrivers.ErrUnsupported, c.tells)
				if twin := s.user("app_clone"); exists && twin.password != firstPassword || !exists && twin.name != "" {
					t.Errorf("there is a twin: %+v", twin)
				}
			}
		})
	}
}

// TestEqualityIsProven: a server that acknowledges and does nothing opens no twin.
func TestEqualityIsProven(t *testing.T) {
	t.Parallel()
	s := play(t, script{Forgets: true})
	s.app()
	s.add(account{name: "app_clone", password: firstPassword, roles: []grant{{"read", "shop"}}, custom: document(t, bson.D{marked("equal")})})
	_, err := documentdb.New().OpenTwin(inTime(t), s.turn(nextPassword))
	check(t, err, dbdrivers.ErrBusy, "role readWrite@shop")
	if got := s.user("app_clone").password; got != firstPassword {
		t.Error("the twin was opened")
	}
}

// TestServerKeepsNoCustomData: a twin that is made there can never be known again.
func TestServerKeepsNoCustomData(t *testing.T) {
	t.Parallel()
	s := play(t, script{NoCustom: true})
	s.app()
	_, err := documentdb.New().OpenTwin(inTime(t), s.turn(nextPassword))
	check(t, err, dbdrivers.ErrUnsupported, `"app_clone" was made, but the server keeps no customData`)
	if errors.Is(err, dbdrivers.ErrTwinUnproven) {
		t.Errorf("error %v; its remedies are none here", err)
	}
	if got := s.user("app_clone"); got.name == "" || got.password == nextPassword {
		t.Errorf("the twin is %+v", got)
	}
	_, err = documentdb.New().OpenTwin(inTime(t), s.turn(nextPassword))
	check(t, err, dbdrivers.ErrUnsupported, "")
	if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
		t.Errorf("error %v; want that nothing proves the twin", err)
	}
}

func TestTwinIsTakenOver(t *testing.T) {
	t.Parallel()
	s := play(t, script{})
	s.app()
	s.edit("app", func(a *account) { a.custom = document(t, bson.D{team, {Key: "office", Value: "north"}}) })
	own := bson.D{{Key: "office", Value: "south"}, {Key: "its", Value: "own"}}
	s.add(account{name: "app_clone", password: firstPassword, roles: []grant{{"read", "stock"}}, custom: document(t, own)})
	req := s.turn(nextPassword)
	_, err := documentdb.New().OpenTwin(inTime(t), req)
	check(t, err, dbdrivers.ErrUnsupported, `dbrotation: {twinOf: "app", state: "taken"}`)
	if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
		t.Errorf("error %v; want that nothing proves the twin", err)
	}
	s.wantTwin(t, firstPassword, []grant{{"read", "stock"}}, own)

	req.Proven = true
	report := s.open(t, req)
	kept := []string{"customData field its", "customData field office", "role read@stock"}
	if slices.Sort(report.Kept); !report.TakenOver || len(report.Removed) > 0 || !slices.Equal(report.Kept, kept) {
		t.Errorf("the report is %+v; want that it keeps %q", report, kept)
	}
	s.wantTwin(t, nextPassword, []grant{{"read", "stock"}, {"readWrite", "shop"}}, append(own, team, marked("equal")))

	// From now on the mark is proof, and the twin is as its sibling.
	req.Proven = false
	report = s.open(t, req)
	if report.TakenOver || len(report.Kept) > 0 || len(report.Removed) != 2 {
		t.Errorf("the second report is %+v", report)
	}
	s.wantTwin(t, nextPassword, []grant{{"readWrite", "shop"}}, bson.D{team, {Key: "office", Value: "north"}, marked("equal")})
}

// TestMarks: what a twin's customData says, by whomever it was written.
func TestMarks(t *testing.T) {
	t.Parallel()
	mark := func(value any) bson.D { return bson.D{{Key: "dbrotation", Value: value}} }
	for name, c := range map[string]struct {
		custom bson.D
		opens  bool
	}{
		"made":                         {bson.D{marked("made")}, true},
		"taken":                        {bson.D{marked("taken")}, true},
		"equal":                        {bson.D{marked("equal")}, true},
		"another account's":            {mark(bson.D{{Key: "twinOf", Value: "application"}, {Key: "state", Value: "equal"}}), false},
		"of an account of no name":     {mark(bson.D{{Key: "state", Value: "equal"}}), false},
		"a state that nobody knows":    {mark(bson.D{{Key: "twinOf", Value: "app"}, {Key: "state", Value: "open"}}), false},
		"no document":                  {mark("equal"), false},
		"an account's in another case": {mark(bson.D{{Key: "twinOf", Value: "App"}, {Key: "state", Value: "equal"}}), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, script{})
			s.app()
			s.add(account{name: "app_clone", password: firstPassword, roles: []grant{{"readWrite", "shop"}}, custom: document(t, c.custom)})
			req := s.turn(nextPassword)
			// No proof is stronger than another account's mark.
			req.Proven = !c.opens
			_, err := documentdb.New().OpenTwin(inTime(t), req)
			if c.opens {
				check(t, err, nil, "")
				s.wantTwin(t, nextPassword, []grant{{"readWrite", "shop"}}, bson.D{marked("equal")})
				return
			}
			check(t, err, dbdrivers.ErrUnsupported, "another account's")
			s.wantTwin(t, firstPassword, []grant{{"readWrite", "shop"}}, c.custom)
		})
	}
	t.Run("the sibling is marked", func(t *testing.T) {
		t.Parallel()
		s := play(t, script{})
		s.app()
		s.edit("app", func(a *account) {
			a.custom = document(t, mark(bson.D{{Key: "twinOf", Value: "x"}, {Key: "state", Value: "equal"}}))
		})
		_, err := documentdb.New().OpenTwin(inTime(t), s.turn(nextPassword))
		check(t, err, dbdrivers.ErrUnsupported, "itself marked as another account's twin")
	})
}

// TestRestrictions: MongoDB's alone.
func TestRestrictions(t *testing.T) {
	t.Parallel()
	s := play(t, script{Mongo: true})
	home := bson.A{bson.D{{Key: "clientSource", Value: bson.A{"10.0.0.0/8"}}}}
	s.app()
	s.edit("app", func(a *account) { a.restrictions = home })
	s.open(t, s.turn(nextPassword))
	if got := s.user("app_clone").restrictions; len(got) != 1 {
		t.Errorf("the twin's restrictions are %v", got)
	}
	s.edit("app", func(a *account) { a.restrictions = nil })
	report := s.open(t, s.turn(nextPassword))
	if got := s.user("app_clone").restrictions; len(got) != 0 || !slices.Equal(report.Added, []string{"authenticationRestrictions"}) {
		t.Errorf("the twin's restrictions are %v, and the report is %+v", got, report)
	}
}

// TestTheSecretDoesNotDecideWhatIsCompared: a secret of a MongoDB that names
// DocumentDB would have its twin made without restrictions.
func TestTheSecretDoesNotDecideWhatIsCompared(t *testing.T) {
	t.Parallel()
	s := play(t, script{Mongo: true})
	s.app()
	s.edit("app", func(a *account) {
		a.restrictions = bson.A{bson.D{{Key: "clientSource", Value: bson.A{"10.0.0.0/8"}}}}
	})
	_, err := documentdb.New().OpenTwin(inTime(t), s.turn(nextPassword))
	check(t, err, dbdrivers.ErrUnsupported, `correct "engine" to "mongo"`)
	if twin := s.user("app_clone"); twin.name != "" {
		t.Errorf("the twin was made: %+v", twin)
	}
}

// TestPasswordComesLast: until the two are proven equal no command has the new
// password.
func TestPasswordComesLast(t *testing.T) {
	t.Parallel()
	s := play(t, script{})
	s.app()
	s.open(t, s.turn(nextPassword))
	s.edit("app", func(a *account) { a.roles = []grant{{"read", "shop"}} })
	s.open(t, s.turn(nextPassword))
	s.mu.Lock()
	defer s.mu.Unlock()
	var said []string
	for _, q := range s.sent {
		name := q.name()
		if password, ok := q.command.Lookup("pwd").StringValueOK(); ok {
			name += " with a password"
			if password != nextPassword {
				name = q.name() + " with a random password"
			}
		}
		said = append(said, name)
	}
	want := []string{
		"connectionStatus", "isMaster", "usersInfo", "usersInfo", "usersInfo", "createUser with a random password",
		"usersInfo", "usersInfo", "updateUser with a password",
		"connectionStatus", "isMaster", "usersInfo", "usersInfo", "usersInfo", "grantRolesToUser", "revokeRolesFromUser",
		"usersInfo", "usersInfo", "updateUser with a password",
	}
	if !slices.Equal(said, want) {
		t.Errorf("the commands are\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}

// TestVerifyTwinLists: a login that may see users is told of the differences.
func TestVerifyTwinLists(t *testing.T) {
	t.Parallel()
	s := play(t, script{})
	s.app()
	s.add(account{name: "seer", password: firstPassword, roles: []grant{{"userAdminAnyDatabase", "admin"}}})
	s.edit("app", func(a *account) { a.custom = document(t, bson.D{team}) })
	ask := func(login dbdrivers.Login) []string {
		t.Helper()
		found, err := documentdb.New().VerifyTwin(inTime(t), dbdrivers.VerifyTwinRequest{Login: login, Canonical: "app", Twin: "app_clone"})
		check(t, err, nil, "")
		return found
	}
	seer := s.login("seer", firstPassword)
	if found := ask(seer); len(found) > 0 {
		t.Errorf("without a twin it lists %q", found)
	}
	s.open(t, s.turn(nextPassword))
	if found := ask(seer); len(found) > 0 {
		t.Errorf("of an equal twin it lists %q", found)
	}
	s.edit("app_clone", func(a *account) { a.roles, a.custom = []grant{{"read", "stock"}}, document(t, bson.D{marked("equal")}) })
	s.edit("app_clone", func(a *account) { a.mechanisms = []string{sha1} })
	want := []string{"lacks role readWrite@shop", "has role read@stock", "lacks customData field team", "mechanisms"}
	if found := ask(seer); !slices.Equal(found, want) {
		t.Errorf("it lists %q; want %q", found, want)
	}
	if found := ask(s.login("app", firstPassword)); len(found) > 0 {
		t.Errorf("who may see nobody is told of %q", found)
	}
}
