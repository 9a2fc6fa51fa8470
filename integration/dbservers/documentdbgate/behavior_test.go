package documentdbgate_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/documentdbgate"
	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

func TestAWrongPasswordIsOneRefusedSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	if _, err := w.say(w.as(w.user, "not-the-password"), "admin", `{"ping": 1}`); code(err) != 18 {
		t.Errorf("got %v, want error 18", err)
	}
	if _, err := w.say(w.as("nobody", "not-the-password"), "admin", `{"ping": 1}`); code(err) != 18 {
		t.Errorf("a user who is not there: got %v, want error 18", err)
	}
	counted, err := w.server.SignIns(w.ctx, w.user)
	if want := (dbservers.SignIns{Refused: 1}); err != nil || counted != want {
		t.Errorf("the log tells of %+v, %v; want %+v", counted, err, want)
	}
}

func TestNobodyIsSignedInBeforeTheProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	status := w.mustSay(w.as(w.user, w.password), `{"connectionStatus": 1}`)
	var seen struct {
		AuthInfo struct {
			AuthenticatedUsers     []struct{ User, DB string }
			AuthenticatedUserRoles []struct{ Role, DB string }
		}
	}
	decode(t, status, &seen)
	if len(seen.AuthInfo.AuthenticatedUsers) != 1 || seen.AuthInfo.AuthenticatedUsers[0].User != w.user || seen.AuthInfo.AuthenticatedUsers[0].DB != "admin" {
		t.Errorf("signed in are %+v", seen.AuthInfo.AuthenticatedUsers)
	}
	if len(seen.AuthInfo.AuthenticatedUserRoles) != 1 || seen.AuthInfo.AuthenticatedUserRoles[0].Role != "readWrite" {
		t.Errorf("the roles are %+v", seen.AuthInfo.AuthenticatedUserRoles)
	}
	c := w.as(w.user, w.password)
	w.mustSay(c, `{"logout": 1}`)
	if _, err := w.say(c, "appdb", `{"find": "things"}`); code(err) != 13 {
		t.Errorf("after a logout: %v, want error 13", err)
	}
}

func TestDataPassesAndStaysInItsDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	things := newName("things")
	c := w.as(w.user, w.password).Database("appdb").Collection(things)
	if _, err := c.InsertMany(w.ctx, []any{map[string]int{"n": 1}, map[string]int{"n": 2}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateOne(w.ctx, map[string]int{"n": 2}, map[string]any{"$set": map[string]int{"n": 3}}); err != nil {
		t.Fatal(err)
	}
	found, err := c.Find(w.ctx, map[string]int{"n": 3})
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	if err := found.All(w.ctx, &all); err != nil || len(all) != 1 {
		t.Errorf("found %v, %v; want one", all, err)
	}
	if _, err := w.as(w.user, w.password).Database("other").Collection(things).InsertOne(w.ctx, map[string]int{"n": 1}); code(err) != 13 {
		t.Errorf("another database: %v, want error 13", err)
	}
}

func TestTLSIsVerifiedByTheDriver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	for _, row := range []struct {
		name string
		tls  tlsconf.Settings
		lets bool
	}{
		{"with the authority", tlsconf.Settings{Roots: w.server.Roots}, true},
		{"without the authority", tlsconf.Settings{Roots: x509.NewCertPool()}, false},
		{"another name", tlsconf.Settings{Roots: w.server.Roots, ServerName: "db.example.com"}, false},
		{"no TLS", tlsconf.Settings{Plaintext: true}, false},
	} {
		login := w.server.Login(w.user, w.password)
		login.TLS = row.tls
		_, err := w.say(w.client(login), "admin", `{"ping": 1}`)
		if (err == nil) != row.lets || code(err) != 0 {
			t.Errorf("%s: %v, let in %v", row.name, err, row.lets)
		}
	}
	if counted, err := w.server.SignIns(w.ctx, w.user); err != nil || counted != (dbservers.SignIns{Accepted: 1}) {
		t.Errorf("the log tells of %+v, %v", counted, err)
	}
}

func TestWhatTheAuditTellsOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{})
	user := newName("audited")
	w.mustSay(w.admin(), `{"createUser": "`+user+`", "pwd": "planted-1", "roles": ["read"], "customData": {"k": "planted-2"}}`)
	w.mustSay(w.admin(), `{"updateUser": "`+user+`", "pwd": "planted-3"}`)
	if _, err := w.say(w.as(user, "planted-3"), "admin", `{"updateUser": "`+user+`", "pwd": "planted-4"}`); code(err) != 13 {
		t.Errorf("got %v, want error 13", err)
	}
	if _, err := w.say(w.admin(), "admin", `{"createUser": "`+user+`", "pwd": "planted-5", "roles": []}`); code(err) != 11000 {
		t.Errorf("got %v, want error 11000", err)
	}
	if _, err := w.say(w.as(user, "planted-6"), "admin", `{"ping": 1}`); code(err) != 18 {
		t.Errorf("got %v, want error 18", err)
	}
	results := func(kind string) (results []int32) {
		for _, e := range w.events(kind, user) {
			if e.Time == 0 || e.RemoteIP == "" || e.Param.DB != "admin" {
				t.Errorf("the event lacks something: %+v", e)
			}
			results = append(results, e.Result)
		}
		return results
	}
	for kind, want := range map[string][]int32{
		"createUser": {0, 11000}, "updateUser": {0, 13}, documentdbgate.EventAuthenticate: {0, 18},
	} {
		if got := results(kind); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%s: the results are %v, want %v", kind, got, want)
		}
	}
	logs, err := w.server.Logs(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range logs {
		if strings.Contains(text, "planted") {
			t.Errorf("%s holds a password or custom data", name)
		}
	}
}

func TestAReaderRefusesChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{Reader: true})
	told := w.mustSay(w.admin(), `{"hello": 1}`)
	if told["isWritablePrimary"] != false || told["secondary"] != true {
		t.Errorf("hello says %v", told)
	}
	for _, command := range []string{
		`{"updateUser": "` + w.user + `", "pwd": "a-password"}`, `{"createUser": "someone", "pwd": "a-password", "roles": []}`,
		`{"grantRolesToUser": "` + w.user + `", "roles": ["read"]}`, `{"insert": "things", "documents": [{"a": 1}]}`,
	} {
		if _, err := w.say(w.admin(), "admin", command); code(err) != 10107 {
			t.Errorf("%s: %v, want error 10107", command, err)
		}
	}
	w.mustSay(w.as(w.user, w.password), `{"ping": 1}`)
	w.shown(w.user)
}

func TestAnOldClusterKnowsNoSHA256(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{MaxWireVersion: 7})
	if shown := w.shown(w.user); !strings.Contains(shown, `"mechanisms": ["SCRAM-SHA-1"]`) {
		t.Errorf("shown is %s", shown)
	}
	w.mustSay(w.as(w.user, w.password), `{"ping": 1}`)
	if _, err := w.say(w.admin(), "admin", `{"updateUser": "`+w.user+`", "pwd": "a-password", "mechanisms": ["SCRAM-SHA-256"]}`); code(err) != 2 {
		t.Errorf("a mechanism of a later version: %v, want error 2", err)
	}
}

func TestAClusterTooOldForTheDriver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{MaxWireVersion: 6})
	if _, err := w.say(w.as(w.user, w.password), "admin", `{"ping": 1}`); err == nil || !strings.Contains(err.Error(), "wire version") {
		t.Errorf("got %v, want the driver's word that the server is too old", err)
	}
}

func TestAnElasticClusterHasNoRoleCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{Elastic: true})
	told := w.mustSay(w.admin(), `{"hello": 1}`)
	if told["msg"] != "isdbgrid" || told["setName"] != nil {
		t.Errorf("hello says %v", told)
	}
	for command, want := range map[string]int32{
		`{"rolesInfo": 1}`: 59,
		`{"createRole": "r", "privileges": [], "roles": []}`:                          59,
		`{"grantRolesToUser": "` + w.user + `", "roles": ["read"]}`:                   0,
		`{"updateUser": "` + w.user + `", "customData": {"a": 1}, "pwd": "another1"}`: 0,
	} {
		if _, err := w.say(w.admin(), "admin", command); code(err) != want {
			t.Errorf("%s: %v, want error %d", command, err, want)
		}
	}
}

func TestAClusterWhereUsersMayChangeTheirOwnPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{OwnPassword: true})
	other := newWorld(t, documentdbgate.Behavior{OwnPassword: true})
	c := w.as(w.user, w.password)
	w.mustSay(c, `{"updateUser": "`+w.user+`", "pwd": "mine-alone"}`)
	w.mustSay(w.as(w.user, "mine-alone"), `{"ping": 1}`)
	for _, command := range []string{
		`{"updateUser": "` + other.user + `", "pwd": "not-mine1"}`,
		`{"updateUser": "` + w.user + `", "pwd": "mine-again", "roles": ["root"]}`,
		`{"updateUser": "` + w.user + `", "customData": {}}`,
	} {
		if _, err := w.say(c, "admin", command); code(err) != 13 {
			t.Errorf("%s: %v, want error 13", command, err)
		}
	}
	w.mustSay(w.as(w.user, "mine-alone"), `{"ping": 1}`)
}

func TestAClusterThatShowsNoMechanisms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{HideMechanisms: true})
	if shown := w.shown(w.user); strings.Contains(shown, "mechanisms") || !strings.Contains(shown, "readWrite") {
		t.Errorf("shown is %s", shown)
	}
}

func TestMongoDBKeepsUsersInEveryDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, documentdbgate.Behavior{MongoDB: true})
	user := newName("placed")
	create := `{"createUser": "` + user + `", "pwd": "p", "roles": ["readWrite"]}`
	if _, err := w.say(w.admin(), "appdb", create); err != nil {
		t.Fatal(err)
	}
	if _, err := w.say(w.admin(), "appdb", create); code(err) != 51003 {
		t.Errorf("a user who is there: %v, want error 51003", err)
	}
	if shown := w.shown(user); shown != "" {
		t.Errorf("admin shows %s", shown)
	}
	told, err := w.say(w.admin(), "appdb", `{"usersInfo": "`+user+`"}`)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Users []struct {
			ID    string `bson:"_id"`
			DB    string
			Roles []struct{ Role, DB string }
		}
	}
	decode(t, told, &info)
	if len(info.Users) != 1 || info.Users[0].ID != "appdb."+user || info.Users[0].DB != "appdb" || len(info.Users[0].Roles) != 1 {
		t.Errorf("usersInfo shows %+v", info)
	}
	login := w.server.Login(user, "p")
	if _, err := w.say(w.client(login), "admin", `{"ping": 1}`); code(err) != 18 {
		t.Errorf("signing in to admin: %v, want error 18", err)
	}
	login.Params = map[string]string{"authSource": "appdb"}
	w.mustSay(w.client(login), `{"ping": 1}`)
	if _, err := w.say(w.client(login), "appdb", `{"insert": "`+newName("things")+`", "documents": [{"a": 1}]}`); err != nil {
		t.Error(err)
	}
}

func TestAGateIsAskedForWhatCannotBe(t *testing.T) {
	t.Parallel()
	if _, err := documentdbgate.Start(documentdbgate.Config{Server: "nowhere"}); err == nil || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("got %v, want an error that names host:port", err)
	}
	if _, err := documentdbgate.ParseEvent([]byte(`{}`)); err == nil || !strings.Contains(err.Error(), "atype") {
		t.Errorf("got %v, want an error that names atype", err)
	}
	if _, err := documentdbgate.ParseEvent([]byte(`x`)); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestAClusterThatTakesAnySource(t *testing.T) {
	t.Parallel()
	for _, b := range []documentdbgate.Behavior{{}, {AnySource: true}} {
		w := newWorld(t, b)
		login := w.server.Login(w.user, w.password)
		login.Params = map[string]string{"authSource": "shop"}
		answer, err := w.say(w.client(login), "admin", `{"connectionStatus": 1}`)
		if !b.AnySource {
			if code(err) != 18 {
				t.Errorf("the usual cluster: %v, want error 18", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var told struct {
			AuthInfo struct {
				Users []documentdbgate.EventUser `bson:"authenticatedUsers"`
			} `bson:"authInfo"`
		}
		decode(t, answer, &told)
		if want := (documentdbgate.EventUser{User: w.user, DB: "admin"}); len(told.AuthInfo.Users) != 1 || told.AuthInfo.Users[0] != want {
			t.Errorf("signed in are %v, want %v", told.AuthInfo.Users, want)
		}
	}
}

// TestTheGateTellsOfItsOwnFailure: a client that merely saw its connection end would
// take that for what it tests.
func TestTheGateTellsOfItsOwnFailure(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = opmsg.Read(conn)
			_ = conn.Close()
		}
	}()
	gate, err := documentdbgate.Start(documentdbgate.Config{Server: listener.Addr().String(), Password: "none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gate.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	conn, err := opmsg.Dial(ctx, gate.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Run(ctx, "admin", bson.D{{Key: "ping", Value: 1}})
	var told *opmsg.CommandError
	if !errors.As(err, &told) || told.Code != 1 || !strings.Contains(told.Message, "the stand-in failed") {
		t.Errorf("got %v, want the gate's word that it failed", err)
	}
}
