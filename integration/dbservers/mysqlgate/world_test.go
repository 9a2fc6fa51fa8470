package mysqlgate_test

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

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/mysqlgate"
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

// world is a gate with a user of its own behind it, who has a table.
type world struct {
	*mysqlgate.Gate
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
	server, err := servers.MySQL(dbservers.MySQLOptions{Plaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// worldBehind asks for the server first: the first who does waits for its start,
// which is not the test.
func worldBehind(t *testing.T, config *tls.Config) *world {
	t.Helper()
	return worldAt(t, theServer(t), config)
}

func worldAt(t *testing.T, server *dbservers.Server, config *tls.Config) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	gate, err := mysqlgate.Start(mysqlgate.Config{Server: net.JoinHostPort(server.Host, strconv.Itoa(server.Port)), TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gate.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{Gate: gate, t: t, ctx: ctx, server: server, password: "correct horse"}
	w.user = fmt.Sprintf("app_%d", users.Add(1))
	if err := server.CreateUser(ctx, w.user, w.password); err != nil {
		t.Fatal(err)
	}
	if err := server.Exec(ctx, "CREATE TABLE of_"+w.user+" (n int)"); err != nil {
		t.Fatal(err)
	}
	return w
}

// signIn signs in through the gate, over verified TLS.
func (w *world) signIn() (*dbservers.MySQLConn, error) { return w.signInWith(w.ctx, w.password) }

func (w *world) signInWith(ctx context.Context, password string) (*dbservers.MySQLConn, error) {
	login := w.server.Login(w.user, password)
	login.Host, login.Port = w.Addr()
	login.TLS.Plaintext = w.plaintext
	conn, err := dbservers.ConnectMySQL(ctx, login)
	if err == nil {
		w.t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

func (w *world) mustSignIn() *dbservers.MySQLConn {
	w.t.Helper()
	conn, err := w.signIn()
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// leave signs in through the gate and quits.
func (w *world) leave() {
	w.t.Helper()
	if err := w.mustSignIn().Close(); err != nil {
		w.t.Error(err)
	}
}

// aborted counts the clients that left the server without a word.
func (w *world) aborted() (n int) {
	w.t.Helper()
	var name string
	conn, err := w.server.ConnectMySQLSuperuser(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.QueryRowContext(w.ctx, "SHOW GLOBAL STATUS LIKE 'Aborted_clients'").Scan(&name, &n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// sessions counts the user's.
func (w *world) sessions() (n int) {
	w.t.Helper()
	w.ask(&n, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = ?", w.user)
	return n
}

// mark is a statement that leaves a trace, and traced tells whether it did.
func (w *world) mark() string { return "INSERT INTO of_" + w.user + " VALUES (1)" }

func (w *world) traced() (found bool) {
	w.t.Helper()
	w.ask(&found, "SELECT COUNT(*) > 0 FROM of_"+w.user)
	return found
}

// ask reads one value, not through the gate.
func (w *world) ask(into any, question string, args ...any) {
	w.t.Helper()
	conn, err := w.server.ConnectMySQLSuperuser(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.QueryRowContext(w.ctx, question, args...).Scan(into); err != nil {
		w.t.Fatal(err)
	}
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

func (w *world) wantCalls(want ...mysqlgate.Call) {
	w.t.Helper()
	want = append([]mysqlgate.Call{}, want...) // Calls returns no nil
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

// number is that of a server's error, and 0 of any other.
func number(err error) uint16 {
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		return server.Number
	}
	return 0
}
