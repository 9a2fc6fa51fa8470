package mongogate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/mongogate"
)

// bound is how long a test waits for what should come at once; patience is
// how long a client waits for an answer that is not to come.
const (
	bound    = 30 * time.Second
	patience = 300 * time.Millisecond
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

// users counts the users that these tests have made.
var users atomic.Int32

// world is a gate with a user of its own behind it.
type world struct {
	*mongogate.Gate
	t              *testing.T
	ctx            context.Context
	server         *dbservers.Server
	user, password string
	// plaintext: the gate has no certificate.
	plaintext bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server := theServer(t)
	certPEM, keyPEM, err := server.CA.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return worldBehind(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
}

func theServer(t *testing.T) *dbservers.Server {
	t.Helper()
	server, err := servers.DocumentDB(dbservers.DocumentDBOptions{Plaintext: true, Gated: true})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// worldBehind asks for the server first: the first who does waits for its start,
// which is not the test.
func worldBehind(t *testing.T, config *tls.Config) *world {
	t.Helper()
	server := theServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	gate, err := mongogate.Start(mongogate.Config{Server: net.JoinHostPort(server.Host, strconv.Itoa(server.Port)), TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gate.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{Gate: gate, t: t, ctx: ctx, server: server, password: "correct-horse", plaintext: config == nil}
	w.user = fmt.Sprintf("app_%d", users.Add(1))
	if err := server.CreateUser(ctx, w.user, w.password); err != nil {
		t.Fatal(err)
	}
	return w
}

// login is to the gate.
func (w *world) login(password string) dbdrivers.Login {
	login := w.server.Login(w.user, password)
	login.Host, login.Port = w.Addr()
	login.TLS.Plaintext = w.plaintext
	return login
}

// signIn signs in through the gate, over verified TLS.
func (w *world) signIn() (*dbservers.MongoConn, error) { return w.signInWith(w.ctx, w.password) }

func (w *world) signInWith(ctx context.Context, password string) (*dbservers.MongoConn, error) {
	conn, err := dbservers.ConnectMongo(ctx, w.login(password))
	if err == nil {
		w.t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

func (w *world) mustSignIn() *dbservers.MongoConn {
	w.t.Helper()
	conn, err := w.signIn()
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// driver is MongoDB's own, with its monitors.
func (w *world) driver(password string) *mongo.Client {
	w.t.Helper()
	login := w.login(password)
	c, err := mongo.Connect(options.Client().
		SetHosts([]string{login.Address()}).SetDirect(true).
		SetTLSConfig(login.TLS.Config(login.Host)).
		SetAuth(options.Credential{Username: login.Username, Password: login.Password.Reveal(), AuthSource: "admin"}).
		SetHeartbeatInterval(500 * time.Millisecond).
		SetMaxPoolSize(1).SetRetryReads(false).SetRetryWrites(false).
		SetServerSelectionTimeout(3 * time.Second))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Disconnect(context.Background()) })
	return c
}

// mark is a command that leaves a trace, and traced tells whether it did.
func (w *world) mark(ctx context.Context, conn *dbservers.MongoConn) error {
	_, err := conn.Run(ctx, w.server.Database, bson.D{
		{Key: "insert", Value: "of_" + w.user}, {Key: "documents", Value: bson.A{bson.D{{Key: "secret", Value: "planted"}}}},
	})
	return err
}

// markCall is what the gate says of mark.
const markCall = "insert documents"

func (w *world) traced() bool {
	w.t.Helper()
	conn, err := w.server.ConnectMongoSuperuser(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answer, err := conn.Run(w.ctx, w.server.Database, bson.D{{Key: "find", Value: "of_" + w.user}})
	if err != nil {
		w.t.Fatal(err)
	}
	listed, _ := answer.Lookup("cursor", "firstBatch").ArrayOK()
	found, err := listed.Values()
	if err != nil {
		w.t.Fatal(err)
	}
	return len(found) > 0
}

// admitted counts the times that the server has let the user in.
func (w *world) admitted() int {
	w.t.Helper()
	counted, err := w.server.SignIns(w.ctx, w.user)
	if err != nil {
		w.t.Fatal(err)
	}
	return counted.Accepted
}

func (w *world) wantCalls(want ...mongogate.Call) {
	w.t.Helper()
	want = append([]mongogate.Call{}, want...) // Calls returns no nil
	for i := range want {
		want[i].User = w.user
	}
	if diff := cmp.Diff(want, w.Calls()); diff != "" {
		w.t.Errorf("the calls (-want +got):\n%s", diff)
	}
}

// eventually asks until the answer is yes.
func (w *world) eventually(what string, ask func() bool) {
	w.t.Helper()
	for !ask() {
		if w.ctx.Err() != nil {
			w.t.Fatalf("not in time: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// code is that of a server's error, and 0 of any other.
func code(err error) int32 {
	var bare *dbservers.MongoError
	if errors.As(err, &bare) {
		return bare.Code
	}
	var told mongo.CommandError
	if errors.As(err, &told) {
		return told.Code
	}
	return 0
}
