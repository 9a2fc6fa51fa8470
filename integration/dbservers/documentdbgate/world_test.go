package documentdbgate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/documentdbgate"
)

// bound is how long a test waits for what should come at once, and selection
// how long the driver tries to reach a server that may not want it.
const (
	bound     = 30 * time.Second
	selection = 5 * time.Second
)

var servers dbservers.Pool

func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// names counts the users and roles that these tests have made.
var names atomic.Int32

func newName(what string) string { return fmt.Sprintf("%s%d", what, names.Add(1)) }

// world is a gate and FerretDB, with a user of its own who may read and write
// appdb. Its clients are of MongoDB's own driver.
type world struct {
	t              *testing.T
	ctx            context.Context
	server         *dbservers.Server
	user, password string
}

func newWorld(t *testing.T, b documentdbgate.Behavior) *world {
	t.Helper()
	server, err := servers.DocumentDB(dbservers.DocumentDBOptions{Gated: true, Behavior: b})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, server: server, user: newName("app"), password: "correct-horse"}
	if err := server.CreateUser(ctx, w.user, w.password); err != nil {
		t.Fatal(err)
	}
	return w
}

// client is MongoDB's driver as login says, for one connection, which is made
// when it is first used.
func (w *world) client(login dbdrivers.Login) *mongo.Client {
	w.t.Helper()
	source := "admin"
	if named := login.Params["authSource"]; named != "" {
		source = named
	}
	c, err := mongo.Connect(options.Client().
		SetHosts([]string{login.Address()}).SetDirect(true).
		SetTLSConfig(login.TLS.Config(login.Host)).
		SetAuth(options.Credential{Username: login.Username, Password: login.Password.Reveal(), AuthSource: source}).
		SetMaxPoolSize(1).SetRetryReads(false).SetRetryWrites(false).
		SetServerSelectionTimeout(selection))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Disconnect(context.Background()) })
	return c
}

func (w *world) as(user, password string) *mongo.Client {
	w.t.Helper()
	return w.client(w.server.Login(user, password))
}

func (w *world) admin() *mongo.Client { w.t.Helper(); return w.client(w.server.Admin) }

// say runs a command, in Extended JSON, in a database.
func (w *world) say(c *mongo.Client, database, command string) (bson.M, error) {
	w.t.Helper()
	var said bson.D
	if err := bson.UnmarshalExtJSON([]byte(command), false, &said); err != nil {
		w.t.Fatal(err)
	}
	var answer bson.M
	err := c.Database(database).RunCommand(w.ctx, said).Decode(&answer)
	return answer, err
}

func (w *world) mustSay(c *mongo.Client, command string) bson.M {
	w.t.Helper()
	answer, err := w.say(c, "admin", command)
	if err != nil {
		w.t.Fatalf("%s: %v", command, err)
	}
	return answer
}

// shown is what usersInfo shows of a user, in Extended JSON.
func (w *world) shown(user string) string {
	w.t.Helper()
	var answer struct{ Users []bson.Raw }
	if err := w.admin().Database("admin").RunCommand(w.ctx, bson.D{{Key: "usersInfo", Value: user}}).Decode(&answer); err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, u := range answer.Users {
		all = append(all, u.String())
	}
	return strings.Join(all, "\n")
}

func (w *world) wantShown(user, want string) {
	w.t.Helper()
	var wanted bson.D
	if err := bson.UnmarshalExtJSON([]byte(want), false, &wanted); err != nil {
		w.t.Fatal(err)
	}
	raw, err := bson.Marshal(wanted)
	if err != nil {
		w.t.Fatal(err)
	}
	if got := w.shown(user); got != bson.Raw(raw).String() {
		w.t.Errorf("usersInfo shows\n%s\nwant\n%s", got, bson.Raw(raw))
	}
}

// events are the audit events of a type about a user.
func (w *world) events(kind, user string) []documentdbgate.Event {
	w.t.Helper()
	text, err := w.server.Log(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	var found []documentdbgate.Event
	for line := range strings.Lines(text) {
		e, err := documentdbgate.ParseEvent([]byte(line))
		if err != nil {
			w.t.Fatal(err)
		}
		if e.Type == kind && e.Param.User == user {
			found = append(found, e)
		}
	}
	return found
}

// code is that of a server's error, and 0 of any other.
func code(err error) int32 {
	var told mongo.CommandError
	if errors.As(err, &told) {
		return told.Code
	}
	return 0
}

// decode reads an answer into what a test asks for.
func decode(t *testing.T, answer bson.M, into any) {
	t.Helper()
	raw, err := bson.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	if err := bson.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
