package wiregate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

// bound is how long a test waits for what should come at once; patience is
// how long a client waits for an answer that is not to come.
const (
	bound    = 20 * time.Second
	patience = 300 * time.Millisecond
)

// server is the one that stands behind all the gates of these tests. The first
// test that needs it starts it.
var server *dbservers.Server

var startServer = sync.OnceValue(func() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server, err = dbservers.StartPostgres(ctx, dbservers.PostgresOptions{
		Version:   "15",
		Plaintext: true,
		Settings:  map[string]string{"max_connections": "200"},
	})
	return err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if server != nil {
		if err := server.Close(); err != nil {
			log.Print(err)
			code = 1
		}
	}
	os.Exit(code)
}

var granting sync.Mutex

// users counts the users that these tests have made.
var users atomic.Int32

// world is a gate with a user of its own behind it.
type world struct {
	*wiregate.Gate
	t              *testing.T
	ctx            context.Context
	user, password string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if err := startServer(); err != nil {
		t.Fatal(err)
	}
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

func worldBehind(t *testing.T, config *tls.Config) *world {
	t.Helper()
	if err := startServer(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	gate, err := wiregate.Start(wiregate.Config{Server: net.JoinHostPort(server.Host, strconv.Itoa(server.Port)), TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gate.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{Gate: gate, t: t, ctx: ctx, password: "correct horse"}
	w.user = fmt.Sprintf("app_%d", users.Add(1))
	// Two grants on one database at once would be refused.
	granting.Lock()
	defer granting.Unlock()
	if err := server.CreateUser(ctx, w.user, w.password); err != nil {
		t.Fatal(err)
	}
	return w
}

// signIn signs in through the gate, over verified TLS.
func (w *world) signIn() (*pgx.Conn, error) { return w.signInWith(w.ctx, w.password) }

func (w *world) signInWith(ctx context.Context, password string) (*pgx.Conn, error) {
	login := server.Login(w.user, password)
	login.Host, login.Port = w.Addr()
	conn, err := dbservers.Connect(ctx, login)
	if err == nil {
		w.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

func (w *world) mustSignIn() *pgx.Conn {
	w.t.Helper()
	conn, err := w.signIn()
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// mark is a statement that leaves a trace, and traced tells whether it did.
const mark = "ALTER ROLE CURRENT_USER SET application_name = 'was here'"

func (w *world) traced() bool {
	w.t.Helper()
	conn, err := server.ConnectSuperuser(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close(w.ctx) }()
	var found bool
	err = conn.QueryRow(w.ctx, "SELECT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = $1::regrole)", w.user).Scan(&found)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// admitted counts the times that the server has let the user in.
func (w *world) admitted() int {
	w.t.Helper()
	text, err := server.Log(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Count(text, "connection authorized: user="+w.user+" ")
}

func (w *world) wantCalls(want ...wiregate.Call) {
	w.t.Helper()
	want = append([]wiregate.Call{}, want...) // Calls returns no nil
	for i := range want {
		want[i].User = w.user
	}
	if diff := cmp.Diff(want, w.Calls()); diff != "" {
		w.t.Errorf("the calls (-want +got):\n%s", diff)
	}
}

func sqlstate(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}
