package mongogate_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/mongogate"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

func TestASignInAndStatementsPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	if err := w.mark(w.ctx, conn); err != nil {
		t.Fatal(err)
	}
	// It is no call, on a connection that is signed in either.
	if _, err := conn.Run(w.ctx, "admin", bson.D{{Key: "hello", Value: 1}}); err != nil {
		t.Errorf("a hello: %v", err)
	}
	_, err := conn.Run(w.ctx, "admin", bson.D{
		{Key: "updateUser", Value: w.user}, {Key: "pwd", Value: "planted-1"},
		{Key: "customData", Value: bson.D{{Key: "planted", Value: "planted"}}}, {Key: "mechanisms", Value: bson.A{"SCRAM-SHA-256"}},
	})
	if code(err) != 13 {
		t.Errorf("a statement that fails: got %v, want error 13", err)
	}
	if _, err := w.signInWith(w.ctx, "wrong-password"); code(err) != 18 {
		t.Errorf("a wrong password: got %v, want error 18", err)
	}
	w.wantCalls(
		mongogate.Call{Kind: mongogate.SignIn},
		mongogate.Call{Kind: mongogate.Statement, Text: markCall},
		mongogate.Call{Kind: mongogate.Statement, Text: "updateUser pwd customData mechanisms", Err: "13"},
		mongogate.Call{Kind: mongogate.SignIn, Err: "18"},
	)
	if !w.traced() {
		t.Error("the statement left no trace")
	}
}

// The driver's monitors say hello all the time, and at the end it says that its
// sessions end; neither is a call.
func TestWhatTheDriverSaysOnItsOwnIsNoCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.driver(w.password)
	things := c.Database(w.server.Database).Collection("of_" + w.user)
	if _, err := things.InsertOne(w.ctx, bson.D{{Key: "secret", Value: "planted"}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond) // three heartbeats
	if _, err := things.InsertOne(w.ctx, bson.D{{Key: "secret", Value: "planted"}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Disconnect(w.ctx); err != nil {
		t.Error(err)
	}
	insert := mongogate.Call{Kind: mongogate.Statement, Text: "insert ordered documents"}
	w.wantCalls(mongogate.Call{Kind: mongogate.SignIn}, insert, insert)
}

func TestMuchDataPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	const much = 10 << 20
	if _, err := conn.Run(w.ctx, w.server.Database, bson.D{
		{Key: "insert", Value: "of_" + w.user}, {Key: "documents", Value: bson.A{bson.D{{Key: "x", Value: strings.Repeat("x", much)}}}},
	}); err != nil {
		t.Fatal(err)
	}
	answer, err := conn.Run(w.ctx, w.server.Database, bson.D{{Key: "find", Value: "of_" + w.user}})
	if err != nil || len(answer) < much {
		t.Errorf("got %d bytes, %v", len(answer), err)
	}
}

func TestCloseCutsEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	idle := w.mustSignIn()
	w.Inject(wiregate.Fault{Kind: wiregate.Stall, Nth: 1})
	result := make(chan error, 1)
	go func() {
		_, err := w.signInWith(context.Background(), w.password)
		result <- err
	}()
	w.eventually("the second sign-in comes", func() bool { return len(w.Calls()) == 2 })
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-result; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the stalled sign-in: got %v, want a lost connection", err)
	}
	if err := w.mark(w.ctx, idle); err == nil {
		t.Error("the idle connection is still there")
	}
	if _, err := w.signIn(); err == nil {
		t.Error("a closed gate let a client in")
	}
}

func TestTheServerIsNotThere(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	gate, err := mongogate.Start(mongogate.Config{Server: address})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := gate.Close(); err != nil {
			t.Error(err)
		}
	}()
	login := dbdrivers.Login{Username: "someone", TLS: tlsconf.Settings{Plaintext: true}}
	login.Host, login.Port = gate.Addr()
	if _, err := dbservers.ConnectMongo(t.Context(), login); err == nil || code(err) != 0 {
		t.Errorf("got %v, want a connection that ends without a word", err)
	}
}

func TestAGateWithACertificateRefusesPlaintext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	login := w.login(w.password)
	login.TLS.Plaintext = true
	if _, err := dbservers.ConnectMongo(w.ctx, login); err == nil || code(err) != 0 {
		t.Errorf("got %v, want a connection that is cut off", err)
	}
	w.wantCalls()
	if n := w.admitted(); n != 0 {
		t.Errorf("the server let the user in %d times", n)
	}
}

func TestAGateWithoutACertificateOffersNoTLS(t *testing.T) {
	t.Parallel()
	w := worldBehind(t, nil)
	encrypted := w.login(w.password)
	encrypted.TLS.Plaintext = false
	if _, err := dbservers.ConnectMongo(w.ctx, encrypted); err == nil || code(err) != 0 {
		t.Errorf("got %v, want no TLS", err)
	}
	if err := w.mark(w.ctx, w.mustSignIn()); err != nil {
		t.Error(err)
	}
	w.wantCalls(mongogate.Call{Kind: mongogate.SignIn}, mongogate.Call{Kind: mongogate.Statement, Text: markCall})
}

func TestAGateIsAskedForWhatCannotBe(t *testing.T) {
	t.Parallel()
	if _, err := mongogate.Start(mongogate.Config{Server: "nowhere"}); err == nil || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("got %v, want an error that names host:port", err)
	}
}
