package mysqlgate_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/mysqlgate"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

func TestASignInAndStatementsPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	var user, text string
	if err := conn.QueryRowContext(w.ctx, "SELECT USER(), CONCAT('it''s ', ?)", "fine").Scan(&user, &text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(user, w.user+"@") || text != "it's fine" {
		t.Errorf("got %q, %q", user, text)
	}
	if _, err := conn.ExecContext(w.ctx, "SELECT 'a secret' FROM nowhere"); number(err) != 1146 {
		t.Errorf("a statement that fails: got %v, want error 1146", err)
	}
	if _, err := conn.ExecContext(w.ctx, w.mark()); err != nil {
		t.Errorf("after an error: %v", err)
	}
	if err := conn.PingContext(w.ctx); err != nil {
		t.Errorf("a ping: %v", err)
	}
	w.wantCalls(
		mysqlgate.Call{Kind: mysqlgate.SignIn},
		mysqlgate.Call{Kind: mysqlgate.Statement, Text: "SELECT USER(), CONCAT('...', '...')"},
		mysqlgate.Call{Kind: mysqlgate.Statement, Text: "SELECT '...' FROM nowhere", Err: "1146"},
		mysqlgate.Call{Kind: mysqlgate.Statement, Text: w.mark()},
		mysqlgate.Call{Kind: mysqlgate.Statement, Text: "ping"},
	)
	if !w.traced() {
		t.Error("the statement left no trace")
	}
}

func TestEveryKindOfProofPasses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, plugin string }{
		{"the first, which the server has not cached, and the second", "caching_sha2_password"},
		{"another than the server's own kind", "sha256_password"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := w.server.Exec(w.ctx, "ALTER USER ?@'%' IDENTIFIED WITH "+row.plugin+" BY ?", w.user, "another"); err != nil {
				t.Fatal(err)
			}
			w.password = "another"
			for range 2 {
				w.mustSignIn()
			}
			if _, err := w.signInWith(w.ctx, "wrong"); number(err) != 1045 {
				t.Errorf("a wrong password: got %v, want error 1045", err)
			}
			w.wantCalls(
				mysqlgate.Call{Kind: mysqlgate.SignIn},
				mysqlgate.Call{Kind: mysqlgate.SignIn},
				mysqlgate.Call{Kind: mysqlgate.SignIn, Err: "1045"},
			)
		})
	}
}

func TestMuchDataPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	// More than a packet of the protocol holds.
	const much = 17 << 20
	var length int
	if err := conn.QueryRowContext(w.ctx, "SELECT LENGTH('"+strings.Repeat("x", much)+"')").Scan(&length); err != nil || length != much {
		t.Errorf("a long statement: got %d, %v", length, err)
	}
	var text string
	if err := conn.QueryRowContext(w.ctx, "SELECT REPEAT('y', ?)", much).Scan(&text); err != nil || len(text) != much {
		t.Errorf("a long row: got %d, %v", len(text), err)
	}
	rows, err := conn.QueryContext(w.ctx, `WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 1000) SELECT n, NULL, '' FROM r`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var read int
	for rows.Next() {
		read++
	}
	if err := rows.Err(); err != nil || read != 1000 {
		t.Errorf("many rows: got %d, %v", read, err)
	}
	if _, err := conn.ExecContext(w.ctx, w.mark()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAProceduresResultsAreOneCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	procedure := "two_" + w.user
	for _, statement := range []string{
		"CREATE PROCEDURE " + procedure + "() BEGIN SELECT 1; SELECT 2; END",
		"GRANT EXECUTE ON PROCEDURE " + procedure + " TO " + w.user,
	} {
		if err := w.server.Exec(w.ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := w.mustSignIn().QueryContext(w.ctx, "CALL "+procedure+"()")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var got []int
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
	}
	if err := rows.Err(); err != nil || len(got) != 2 || got[0] != 1 || got[1] != 2 {
		t.Errorf("got %v, %v; want both results", got, err)
	}
	if calls := w.Calls(); len(calls) != 2 {
		t.Errorf("the calls are %+v, want the sign-in and one", calls)
	}
}

func TestAMaskFollowsTheSessionsSyntax(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	for _, statement := range []string{"SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'", `SELECT 'a\', 'hunter2'`} {
		if _, err := conn.ExecContext(w.ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	w.wantCalls(
		mysqlgate.Call{Kind: mysqlgate.SignIn},
		mysqlgate.Call{Kind: mysqlgate.Statement, Text: "SET SESSION sql_mode = '...'"},
		mysqlgate.Call{Kind: mysqlgate.Statement, Text: "SELECT '...', '...'"},
	)
}

func TestACommandThatTheGateDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	_, err := conn.PrepareContext(w.ctx, "SELECT 1")
	if number(err) != 1047 || !strings.Contains(err.Error(), "this gate") {
		t.Errorf("got %v, want an error of the gate's own", err)
	}
	if _, err := conn.ExecContext(w.ctx, w.mark()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A client that gives up on a statement ends its session with the server, as if
// there were no gate.
func TestAClientLeavesInTheMiddleOfAStatement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	var id int
	if err := conn.QueryRowContext(w.ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	client, leave := context.WithCancel(w.ctx)
	defer leave()
	result := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(client, "DO SLEEP(3600)")
		result <- err
	}()
	running := func() (there bool) {
		w.ask(&there, "SELECT COUNT(*) > 0 FROM information_schema.PROCESSLIST WHERE ID = ? AND INFO LIKE 'DO SLEEP%'", id)
		return there
	}
	w.eventually("the statement runs", running)
	leave()
	if err := <-result; err == nil {
		t.Error("the statement ended well")
	}
	w.eventually("the server's session has ended", func() bool { return !running() })
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
	if _, err := idle.ExecContext(w.ctx, "SELECT 1"); err == nil {
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
	gate, err := mysqlgate.Start(mysqlgate.Config{Server: address})
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
	if _, err := dbservers.ConnectMySQL(t.Context(), login); err == nil || number(err) != 0 {
		t.Errorf("got %v, want a connection that ends without a word", err)
	}
}

func TestAGateWithACertificateRefusesPlaintext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	login := w.server.Login(w.user, w.password)
	login.Host, login.Port = w.Addr()
	login.TLS.Plaintext = true
	if _, err := dbservers.ConnectMySQL(w.ctx, login); number(err) != 3159 {
		t.Errorf("got %v, want error 3159", err)
	}
	w.wantCalls()
	if n := w.admitted(); n != 0 {
		t.Errorf("the server let the user in %d times", n)
	}
}

func TestAGateWithoutACertificateOffersNoTLS(t *testing.T) {
	t.Parallel()
	w := worldBehind(t, nil)
	if _, err := w.signIn(); !errors.Is(err, mysql.ErrNoTLS) {
		t.Errorf("got %v, want the client to be told that there is no TLS", err)
	}
	login := w.server.Login(w.user, w.password)
	login.Host, login.Port = w.Addr()
	login.TLS.Plaintext = true
	conn, err := dbservers.ConnectMySQL(w.ctx, login)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(w.ctx, w.mark()); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		t.Error(err)
	}
	w.wantCalls(mysqlgate.Call{Kind: mysqlgate.SignIn}, mysqlgate.Call{Kind: mysqlgate.Statement, Text: w.mark()})
}

func TestAGateIsAskedForWhatCannotBe(t *testing.T) {
	t.Parallel()
	if _, err := mysqlgate.Start(mysqlgate.Config{Server: "nowhere"}); err == nil || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("got %v, want an error that names host:port", err)
	}
}
