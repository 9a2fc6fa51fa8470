package documentdb_test

import (
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/documentdb"
)

// TestOwnPasswordNeedsARight: AWS's function for one user tells nothing of why it
// fails.
func TestOwnPasswordNeedsARight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		driver documentdb.Driver
		script script
		tells  string
	}{
		"DocumentDB": {documentdb.New(), script{}, `let an admin rotate this user ("masterarn")`},
		"MongoDB":    {documentdb.NewMongo(), script{Mongo: true}, "changeOwnPassword"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, c.script)
			check(t, set(t, c.driver, s.app(), "app", nextPassword), dbdrivers.ErrPrivilege, c.tells)
			if got := s.user("app").password; got != firstPassword {
				t.Errorf("the password is %q", got)
			}
		})
	}
}

// TestAdminsOwnPassword: the primary user rotates itself.
func TestAdminsOwnPassword(t *testing.T) {
	t.Parallel()
	s := play(t, script{})
	check(t, set(t, documentdb.New(), s.master(), "master", nextPassword), nil, "")
	check(t, verify(t, documentdb.New(), s.login("master", nextPassword)), nil, "")
}

func TestReadersTakeNoChanges(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]bool{"by hello": false, "by isMaster": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, script{Replica: true, OldHello: old})
			login := s.app()
			check(t, set(t, documentdb.New(), login, "app", nextPassword), dbdrivers.ErrNotWritable, "cluster's endpoint")
			check(t, set(t, documentdb.New(), s.master(), "app", nextPassword), dbdrivers.ErrNotWritable, "cluster's endpoint")
			_, err := documentdb.New().OpenTwin(inTime(t), s.turn(nextPassword))
			check(t, err, dbdrivers.ErrNotWritable, "cluster's endpoint")
			if slices.Contains(s.commands(), "updateUser") {
				t.Error("a change was tried")
			}
		})
	}
}

// TestFences: the secret of an application names an account, and is less trusted
// than its admin.
func TestFences(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		account account
		script  script
		tells   string
	}{
		"the service's own":                  {account: account{name: "serviceadmin"}, tells: "reserved"},
		"root":                               {account: account{name: "x", roles: []grant{{"root", "admin"}}}, tells: "role root@admin"},
		"who manages all users":              {account: account{name: "x", roles: []grant{{"read", "shop"}, {"userAdminAnyDatabase", "admin"}}}, tells: "role userAdminAnyDatabase@admin"},
		"who manages the users of one":       {account: account{name: "x", roles: []grant{{"userAdmin", "shop"}}}, tells: "role userAdmin@shop"},
		"who restores users":                 {account: account{name: "x", roles: []grant{{"restore", "admin"}}}, tells: "role restore@admin"},
		"who owns admin":                     {account: account{name: "x", roles: []grant{{"dbOwner", "admin"}}}, tells: "role dbOwner@admin"},
		"who signs in by IAM":                {account: account{name: "x", roles: []grant{{"read", "shop"}}, mechanisms: []string{"MONGODB-AWS"}}, tells: "signs in by IAM"},
		"a server that shows no roles":       {account: account{name: "x", roles: []grant{{"read", "shop"}}}, script: script{HideRoles: true}, tells: "does not show its roles"},
		"nobody":                             {account: account{name: "y"}, tells: `"x" does not exist`},
		"whose name is longer than names go": {account: account{name: strings.Repeat("x", 64)}, tells: "longer than 63"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, c.script)
			target := "x"
			if c.account.name != "y" {
				target = c.account.name
			}
			c.account.password = firstPassword
			s.add(c.account)
			check(t, set(t, documentdb.New(), s.master(), target, nextPassword), dbdrivers.ErrUnsupported, c.tells)
			req := s.turn(nextPassword)
			req.Canonical = target
			_, err := documentdb.New().OpenTwin(inTime(t), req)
			check(t, err, dbdrivers.ErrUnsupported, c.tells)
			if s.user(c.account.name).password != firstPassword || s.user("app_clone").name != "" {
				t.Error("something was changed")
			}
		})
	}
	t.Run("who manages the cluster", func(t *testing.T) {
		t.Parallel()
		for _, role := range []string{"clusterAdmin", "clusterManager", "hostManager"} {
			// Every user of an old DocumentDB does, and may not change passwords.
			s := play(t, script{})
			s.add(account{name: "x", password: firstPassword, roles: []grant{{role, "admin"}}})
			check(t, set(t, documentdb.New(), s.master(), "x", nextPassword), nil, "")
			s = play(t, script{Mongo: true})
			s.add(account{name: "x", password: firstPassword, roles: []grant{{role, "admin"}}})
			check(t, set(t, documentdb.NewMongo(), s.master(), "x", nextPassword), dbdrivers.ErrUnsupported, "role "+role+"@admin")
			if s.user("x").password != firstPassword {
				t.Error("the password was changed")
			}
		}
	})
	t.Run("who owns a database of an application", func(t *testing.T) {
		t.Parallel()
		s := play(t, script{})
		s.add(account{name: "x", password: firstPassword, roles: []grant{{"dbOwner", "shop"}}})
		check(t, set(t, documentdb.New(), s.master(), "x", nextPassword), nil, "")
	})
}

func TestRulesOfPasswords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		password string
		mongo    bool // MongoDB takes it
		tells    string
	}{
		"empty":               {"", false, "empty"},
		"too short":           {"Short-1", true, "8 to 100"},
		"too long":            {strings.Repeat("a", 101), true, "8 to 100"},
		"a slash":             {"Pass/word-1", true, "one of the characters"},
		"a quote":             {`Pass"word-1`, true, "one of the characters"},
		"an at sign":          {"Pass@word-1", true, "one of the characters"},
		"a blank":             {"Pass word-1", true, "one of the characters"},
		"a control character": {"Pass\tword-1", false, "control"},
		"beyond ASCII":        {"Pässword-1", true, "beyond ASCII"},
		"no text":             {"Pass\xffword-1", false, "UTF-8"},
		"of a new alphabet":   {"Password-\U0001F511", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, script{Mongo: true})
			s.app()
			check(t, set(t, documentdb.New(), s.master(), "app", c.password), dbdrivers.ErrPasswordRules, c.tells, c.password)
			if len(s.commands()) > 0 {
				t.Error("the server was asked")
			}
			if err := set(t, documentdb.NewMongo(), s.master(), "app", c.password); c.mongo {
				check(t, err, nil, "", c.password)
			} else {
				check(t, err, dbdrivers.ErrPasswordRules, "", c.password)
			}
		})
	}
}

// TestMechanismsAreKept: the server would give a user all that it has.
func TestMechanismsAreKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hide bool
		want []string
	}{
		"shown":  {false, []string{sha256}},
		"hidden": {true, []string{sha1, sha256}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, script{HideMechanisms: c.hide})
			s.add(account{name: "app", password: firstPassword, mechanisms: []string{sha256}, roles: []grant{{"read", "shop"}}})
			check(t, set(t, documentdb.New(), s.master(), "app", nextPassword), nil, "")
			if got := s.user("app").mechanisms; !slices.Equal(got, c.want) {
				t.Errorf("the mechanisms are %q; want %q", got, c.want)
			}
		})
	}
}

// TestUserInAnotherDatabase: AWS's function looks for the user in the database that
// the admin's secret names, and breaks where it is not.
func TestUserInAnotherDatabase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dbname, authSource string
	}{
		"by its dbname":     {dbname: "shop"},
		"by its authSource": {dbname: "stock", authSource: "shop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, script{Mongo: true})
			s.add(account{name: "app", database: "shop", password: firstPassword, roles: []grant{{"readWrite", "shop"}}})
			// Its namesake is another user, and so is that one's twin.
			s.add(account{name: "app", password: strangePassword, roles: []grant{{"readWrite", "shop"}}})
			s.add(account{name: "app_clone", password: strangePassword, custom: document(t, bson.D{marked("equal")})})
			params := map[string]string{}
			if c.authSource != "" {
				params["authSource"] = c.authSource
			}
			check(t, documentdb.NewMongo().SetPassword(inTime(t), dbdrivers.SetPasswordRequest{
				As: s.master(), Account: "app", Database: c.dbname, Params: params, Password: dbdrivers.NewPassword(nextPassword),
			}), nil, "")
			req := s.turn(nextPassword)
			req.Database, req.Params = c.dbname, params
			report, err := documentdb.NewMongo().OpenTwin(inTime(t), req)
			check(t, err, nil, "")
			if !report.Created {
				t.Errorf("the report is %+v", report)
			}
			for _, name := range []string{"app", "app_clone"} {
				login := s.login(name, nextPassword)
				login.Database, login.Params = c.dbname, params
				check(t, verify(t, documentdb.NewMongo(), login), nil, "")
				if got := s.user(name).password; got != strangePassword {
					t.Errorf("the password of %s's namesake in admin is %q", name, got)
				}
			}
		})
	}
}

const strangePassword = "Strange-password-9"

// TestNamesakeProvesNothing: who may make users of one database makes one of the
// name of an account of admin, with a mark, and writes a secret that it opens.
func TestNamesakeProvesNothing(t *testing.T) {
	t.Parallel()
	for name, twin := range map[string]string{"by the name": "", "by its twin": "app_clone"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, script{Mongo: true})
			s.app()
			s.add(account{name: "app_clone", password: firstPassword, custom: document(t, bson.D{marked("equal")})})
			s.add(account{name: "app_clone", database: "foo", password: strangePassword, custom: document(t, bson.D{marked("equal")})})
			err := documentdb.NewMongo().SetPassword(inTime(t), dbdrivers.SetPasswordRequest{
				As: s.master(), Account: "app", Database: "admin", Params: map[string]string{"authSource": "foo"},
				Password: dbdrivers.NewPassword(nextPassword), Twin: twin, Proven: true,
			})
			check(t, err, dbdrivers.ErrUnsupported, `the user "app" does not exist in the database "foo"`)
			if got := s.user("app").password; got != firstPassword {
				t.Errorf("the password is %q", got)
			}
		})
	}
}

// TestServerWhoseUsersLiveInAdmin is DocumentDB by AWS's name for it, with a dbname:
// as far as it takes that for the database of a login.
func TestServerWhoseUsersLiveInAdmin(t *testing.T) {
	t.Parallel()
	s := play(t, script{AnySource: true, SelfService: true})
	login := s.app()
	login.Database = "shop"
	master := s.master()
	master.Database = "stock"
	check(t, set(t, documentdb.NewMongo(), login, "app", nextPassword), nil, "")
	check(t, documentdb.NewMongo().SetPassword(inTime(t), dbdrivers.SetPasswordRequest{
		As: master, Account: "app", Database: "shop", Password: dbdrivers.NewPassword(firstPassword),
	}), nil, "")
	req := s.turn(nextPassword)
	req.Admin, req.Database = master, "shop"
	_, err := documentdb.NewMongo().OpenTwin(inTime(t), req)
	check(t, err, nil, "")
	login.Username, login.Password = "app_clone", dbdrivers.NewPassword(nextPassword)
	check(t, verify(t, documentdb.NewMongo(), login), nil, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.sent {
		if q.command.Lookup("pwd").Type != 0 && q.database != "admin" {
			t.Errorf("%s was said to %q", q.name(), q.database)
		}
	}
}

// TestMostMembersConfirm: what one member alone has is rolled back where it fails.
func TestMostMembersConfirm(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script script
		driver documentdb.Driver
		asked  bool // of the change that was made
		class  error
	}{
		"MongoDB":                              {script{Mongo: true}, documentdb.NewMongo(), true, nil},
		"MongoDB, and they do not":             {script{Mongo: true, Unconfirmed: true}, documentdb.NewMongo(), true, dbdrivers.ErrUnreachable},
		"a server that does not know the word": {script{NoConcern: 303}, documentdb.NewMongo(), false, nil},
		"one that says so without a field":     {script{NoConcern: 72}, documentdb.NewMongo(), false, nil},
		"DocumentDB":                           {script{}, documentdb.New(), false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, c.script)
			s.app()
			check(t, set(t, c.driver, s.master(), "app", nextPassword), c.class, "whether it stays is not known")
			if got := s.user("app").password; got != nextPassword {
				t.Errorf("the password is %q", got)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			last := s.sent[len(s.sent)-1]
			if w, _ := last.command.Lookup("writeConcern", "w").StringValueOK(); w == "majority" != c.asked {
				t.Errorf("%s has the writeConcern %q", last.name(), w)
			}
		})
	}
}

// TestDocumentDBByTheNameMongo: AWS's secrets call both engines so.
func TestDocumentDBByTheNameMongo(t *testing.T) {
	t.Parallel()
	s := play(t, script{})
	s.app()
	check(t, set(t, documentdb.NewMongo(), s.master(), "app", nextPassword), nil, "")
	_, err := documentdb.NewMongo().OpenTwin(inTime(t), s.turn(nextPassword))
	check(t, err, nil, "")
	check(t, verify(t, documentdb.NewMongo(), s.login("app_clone", nextPassword)), nil, "")
}

// TestNothingIsSentBesidesTheCommand: a server that does not know a field refuses the
// command that has it. One question is asked with such a field, to tell MongoDB
// from DocumentDB, and then without.
func TestNothingIsSentBesidesTheCommand(t *testing.T) {
	t.Parallel()
	s := play(t, script{})
	s.app()
	check(t, set(t, documentdb.New(), s.master(), "app", nextPassword), nil, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	known := []string{"pwd", "mechanisms", "lsid", "$db", "$readPreference"}
	var asked int
	for _, q := range s.sent {
		elements, err := q.command.Elements()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range elements[1:] {
			if e.Key() == "showAuthenticationRestrictions" {
				asked++
			} else if !slices.Contains(known, e.Key()) {
				t.Errorf("%s has the field %s", q.name(), e.Key())
			}
			if e.Key() == "mechanisms" && e.Value().Type != bson.TypeArray {
				t.Errorf("%s has %s of the type %s", q.name(), e.Key(), e.Value().Type)
			}
		}
	}
	if asked != 1 {
		t.Errorf("asked of restrictions %d times; want once", asked)
	}
}
