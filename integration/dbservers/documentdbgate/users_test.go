package documentdbgate_test

import (
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/documentdbgate"
)

const bothMechanisms = `["SCRAM-SHA-1", "SCRAM-SHA-256"]`

func TestUsersInfoShowsWhatDocumentDBDocuments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	user := newName("full")
	if _, err := w.say(w.admin(), "elsewhere", `{"createUser": "`+user+`", "pwd": "a-password",
		"roles": ["read", {"role": "readWrite", "db": "appdb"}, {"role": "clusterMonitor", "db": "admin"}],
		"customData": {"team": "orders", "since": {"year": 2020}}}`); err != nil {
		t.Fatal(err)
	}
	// The user lives in admin, and the role without a database is bound to the
	// command's own.
	w.wantShown(user, `{"_id": "`+user+`", "user": "`+user+`", "db": "admin", "roles": [
		{"db": "elsewhere", "role": "read"}, {"db": "appdb", "role": "readWrite"}, {"db": "admin", "role": "clusterMonitor"}],
		"customData": {"team": "orders", "since": {"year": 2020}}, "mechanisms": `+bothMechanisms+`}`)
}

func TestRolesAndCustomDataSurviveAPasswordChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	user := newName("kept")
	w.mustSay(w.admin(), `{"createUser": "`+user+`", "pwd": "first-password",
		"roles": [{"role": "readWrite", "db": "appdb"}], "customData": {"team": "orders"}}`)
	before := w.shown(user)
	if !strings.Contains(before, `"role": "readWrite"`) || !strings.Contains(before, `"team": "orders"`) {
		t.Fatalf("a user with a role and custom data is shown as %s", before)
	}
	w.mustSay(w.admin(), `{"updateUser": "`+user+`", "pwd": "second-password"}`)
	if after := w.shown(user); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	w.mustSay(w.as(user, "second-password"), `{"ping": 1}`)
	if _, err := w.say(w.as(user, "first-password"), "admin", `{"ping": 1}`); code(err) != 18 {
		t.Errorf("the first password: %v, want error 18", err)
	}
}

// DocumentDB takes a command on a user as one change.
func TestNobodyIsToldOfAUserThatIsHalfMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	maker, reader := w.admin(), w.admin()
	for range 20 {
		user := newName("whole")
		made := make(chan error, 1)
		go func() {
			_, err := w.say(maker, "admin", `{"createUser": "`+user+`", "pwd": "a-password",
				"roles": [{"role": "readWrite", "db": "appdb"}], "customData": {"team": "orders"}}`)
			made <- err
		}()
		var seen bool
		for !seen {
			var answer struct{ Users []bson.M }
			decode(t, w.mustSay(reader, `{"usersInfo": "`+user+`"}`), &answer)
			if seen = len(answer.Users) == 1; seen && answer.Users[0]["customData"] == nil {
				t.Errorf("seen half made: %v", answer.Users[0])
			}
		}
		if err := <-made; err != nil {
			t.Fatal(err)
		}
	}
}

func TestRolesAreGrantedAndRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	user := newName("roles")
	show := func(roles string) {
		t.Helper()
		w.wantShown(user, `{"_id": "`+user+`", "user": "`+user+`", "db": "admin", "roles": `+roles+`, "mechanisms": `+bothMechanisms+`}`)
	}
	w.mustSay(w.admin(), `{"createUser": "`+user+`", "pwd": "a-password", "roles": []}`)
	show(`[]`)
	w.mustSay(w.admin(), `{"grantRolesToUser": "`+user+`", "roles": [{"role": "read", "db": "a"}, "backup"]}`)
	w.mustSay(w.admin(), `{"grantRolesToUser": "`+user+`", "roles": [{"role": "read", "db": "a"}, {"role": "read", "db": "b"}]}`)
	show(`[{"db": "a", "role": "read"}, {"db": "admin", "role": "backup"}, {"db": "b", "role": "read"}]`)
	w.mustSay(w.admin(), `{"revokeRolesFromUser": "`+user+`", "roles": [{"role": "read", "db": "a"}, {"role": "read", "db": "never"}]}`)
	show(`[{"db": "admin", "role": "backup"}, {"db": "b", "role": "read"}]`)
	w.mustSay(w.admin(), `{"updateUser": "`+user+`", "roles": [{"role": "dbOwner", "db": "c"}]}`)
	show(`[{"db": "c", "role": "dbOwner"}]`)
}

func TestMechanismsChangeWithThePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	w.mustSay(w.admin(), `{"updateUser": "`+w.user+`", "pwd": "another-password", "mechanisms": ["SCRAM-SHA-1"]}`)
	if shown := w.shown(w.user); !strings.Contains(shown, `"mechanisms": ["SCRAM-SHA-1"]`) {
		t.Errorf("shown is %s", shown)
	}
	w.mustSay(w.as(w.user, "another-password"), `{"ping": 1}`)
	if _, err := w.say(w.admin(), "admin", `{"updateUser": "`+w.user+`", "mechanisms": ["SCRAM-SHA-256"]}`); code(err) != 2 {
		t.Errorf("mechanisms without a password: %v, want error 2", err)
	}
	if events := w.events(documentdbgate.EventAuthenticate, w.user); len(events) != 1 || events[0].Param.Mechanism != "SCRAM-SHA-1" {
		t.Errorf("the sign-ins are %+v", events)
	}
}

func TestACommandIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	manager := newName("manager")
	w.mustSay(w.admin(), `{"createUser": "`+manager+`", "pwd": "a-password", "roles": ["userAdminAnyDatabase"]}`)
	admin, app, managing := w.admin(), w.as(w.user, w.password), w.as(manager, "a-password")
	primary := w.server.Admin.Username
	create := func(user, password string) string {
		return fmt.Sprintf(`{"createUser": %q, "pwd": %q, "roles": []}`, user, password)
	}
	for _, row := range []struct {
		name    string
		manager bool // or the application
		command string
		want    int32 // 0 is none
	}{
		{"an application changes its own password", false, `{"updateUser": "` + w.user + `", "pwd": "mine-alone"}`, 13},
		{"an application changes its own custom data", false, `{"updateUser": "` + w.user + `", "customData": {}}`, 13},
		{"an application gives itself a role", false, `{"grantRolesToUser": "` + w.user + `", "roles": ["root"]}`, 13},
		{"an application changes another's password", false, `{"updateUser": "` + manager + `", "pwd": "not-mine"}`, 13},
		{"an application makes a user", false, create("someone", "a-password"), 13},
		{"an application drops a user", false, `{"dropUser": "` + manager + `"}`, 13},
		{"an application looks at itself", false, `{"usersInfo": "` + w.user + `"}`, 0},
		{"an application looks at another", false, `{"usersInfo": "` + manager + `"}`, 13},
		{"an application looks at all", false, `{"usersInfo": 1}`, 13},
		{"an application makes a role", false, `{"createRole": "any", "privileges": [], "roles": []}`, 13},
		{"an application writes a user's document", false, `{"update": "system.users", "updates": [{"q": {}, "u": {"$set": {"roles": []}}}]}`, 13},
		{"an application reads the users' documents", false, `{"find": "system.users"}`, 13},
		{"an application reads another database", false, `{"find": "things"}`, 13},
		{"a manager changes its own password", true, `{"updateUser": "` + manager + `", "pwd": "a-password"}`, 0},
		{"a manager reads data", true, `{"find": "things"}`, 13},

		{"serviceadmin's password", true, `{"updateUser": "serviceadmin", "pwd": "a-password"}`, 13},
		{"serviceadmin's roles", true, `{"grantRolesToUser": "serviceadmin", "roles": ["read"]}`, 13},
		{"dropping serviceadmin", true, `{"dropUser": "serviceadmin"}`, 13},
		{"dropping the primary user", true, `{"dropUser": "` + primary + `"}`, 13},
		{"taking root from the primary user", true, `{"revokeRolesFromUser": "` + primary + `", "roles": ["root"]}`, 13},
		{"other roles for the primary user", true, `{"updateUser": "` + primary + `", "roles": ["read"]}`, 13},

		{"a user who is there", true, create(w.user, "a-password"), 11000},
		{"a password for nobody", true, `{"updateUser": "nobody", "pwd": "a-password"}`, 11},
		{"a role for nobody", true, `{"grantRolesToUser": "nobody", "roles": ["read"]}`, 11},
		{"dropping nobody", true, `{"dropUser": "nobody"}`, 11},
		{"looking at nobody", true, `{"usersInfo": "nobody"}`, 0},
		{"a role that is not there", true, `{"grantRolesToUser": "` + w.user + `", "roles": ["reader"]}`, 31},
		{"a role of admin's in another database", true, `{"grantRolesToUser": "` + w.user + `", "roles": [{"role": "root", "db": "appdb"}]}`, 31},
		{"nothing to change", true, `{"updateUser": "` + w.user + `"}`, 2},
		{"a field that DocumentDB refuses", true, `{"updateUser": "` + w.user + `", "authenticationRestrictions": []}`, 2},
		{"a mechanism that nobody knows", true, `{"updateUser": "` + w.user + `", "pwd": "a-password", "mechanisms": ["PLAIN"]}`, 2},
		{"a user without a list of roles", true, `{"createUser": "someone", "pwd": "a-password"}`, 2},
		{"a user without a name", true, create("", "a-password"), 2},
		{"a name of 64 characters", true, create(strings.Repeat("n", 64), "a-password"), 2},
		{"a password of 7 characters", true, create("someone", "seven77"), 2},
		{"a password of 101 characters", true, create("someone", strings.Repeat("p", 101)), 2},
		{"a password with a slash", true, create("someone", "a/password"), 2},
		{"a password with a quote", true, create("someone", `a"password`), 2},
		{"a password with an at sign", true, create("someone", "a@password"), 2},
		{"a password with a space", true, create("someone", "a password"), 2},
		{"a password with an umlaut", true, create("someone", "a-pässword"), 2},

		{"a command that DocumentDB does not know", true, `{"setUserWriteBlockMode": 1, "global": true}`, 59},
		{"a command that this gate does not play", true, `{"dropAllUsersFromDatabase": 1}`, 59},
	} {
		c := app
		if row.manager {
			c = managing
		}
		_, err := w.say(c, "admin", row.command)
		if code(err) != row.want || (err != nil) != (row.want != 0) {
			t.Errorf("%s: %v, want error %d", row.name, err, row.want)
		}
		if err != nil && (strings.Contains(err.Error(), "passw") && strings.Contains(err.Error(), "a-")) {
			t.Errorf("%s: the error holds a password: %v", row.name, err)
		}
	}
	// Nothing of it was done.
	if _, err := w.say(admin, "admin", `{"usersInfo": ["serviceadmin", "`+primary+`"]}`); err != nil {
		t.Error(err)
	}
	w.mustSay(w.as(w.user, w.password), `{"ping": 1}`)
	w.mustSay(w.client(w.server.Admin), `{"ping": 1}`)
	if shown := w.shown("someone"); shown != "" {
		t.Errorf("a user was made: %s", shown)
	}
}

func TestAUserIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	w.mustSay(w.admin(), `{"dropUser": "`+w.user+`"}`)
	if shown := w.shown(w.user); shown != "" {
		t.Errorf("the user is still there: %s", shown)
	}
	if _, err := w.say(w.as(w.user, w.password), "admin", `{"ping": 1}`); code(err) != 18 {
		t.Errorf("the user's password: %v, want error 18", err)
	}
}

func TestUserDefinedRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	inner, outer := newName("inner"), newName("outer")
	w.mustSay(w.admin(), `{"createRole": "`+inner+`", "privileges": [
		{"resource": {"db": "appdb", "collection": ""}, "actions": ["find"]},
		{"resource": {"db": "admin", "collection": ""}, "actions": ["changeOwnPassword"]}], "roles": []}`)
	w.mustSay(w.admin(), `{"createRole": "`+outer+`", "privileges": [], "roles": ["`+inner+`"]}`)
	user := newName("custom")
	w.mustSay(w.admin(), `{"createUser": "`+user+`", "pwd": "a-password", "roles": ["`+outer+`"]}`)
	w.wantShown(user, `{"_id": "`+user+`", "user": "`+user+`", "db": "admin",
		"roles": [{"db": "admin", "role": "`+outer+`"}], "mechanisms": `+bothMechanisms+`}`)
	c := w.as(user, "a-password")
	for database, want := range map[string]int32{"appdb": 0, "other": 13} {
		if _, err := w.say(c, database, `{"find": "things"}`); code(err) != want {
			t.Errorf("reading %s: %v, want error %d", database, err, want)
		}
	}
	if _, err := w.say(c, "appdb", `{"insert": "things", "documents": [{"a": 1}]}`); code(err) != 13 {
		t.Errorf("writing: %v, want error 13", err)
	}
	w.mustSay(c, `{"updateUser": "`+user+`", "pwd": "b-password"}`)
	w.mustSay(w.as(user, "b-password"), `{"ping": 1}`)

	told := w.mustSay(w.admin(), `{"rolesInfo": "`+outer+`"}`)
	if text := fmt.Sprint(told["roles"]); !strings.Contains(text, outer) || !strings.Contains(text, inner) {
		t.Errorf("rolesInfo shows %s", text)
	}
	if _, err := w.say(w.admin(), "admin", `{"createRole": "`+outer+`", "privileges": [], "roles": []}`); code(err) != 51002 {
		t.Errorf("a role that is there: %v, want error 51002", err)
	}
	if _, err := w.say(w.admin(), "admin", `{"createRole": "r", "privileges": [], "roles": [], "authenticationRestrictions": []}`); code(err) != 2 {
		t.Errorf("restrictions: %v, want error 2", err)
	}
}
