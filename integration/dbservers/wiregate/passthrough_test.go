package wiregate_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

func TestASignInAndStatementsPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	var user, text string
	if err := conn.QueryRow(w.ctx, "SELECT current_user, 'it''s ' || $1", "fine").Scan(&user, &text); err != nil {
		t.Fatal(err)
	}
	if user != w.user || text != "it's fine" {
		t.Errorf("got %q, %q", user, text)
	}
	_, err := conn.Exec(w.ctx, "SELECT 'a secret' FROM nowhere", pgx.QueryExecModeSimpleProtocol)
	if got := sqlstate(err); got != "42P01" {
		t.Errorf("a statement that fails: got %v, want SQLSTATE 42P01", err)
	}
	if _, err := conn.Exec(w.ctx, mark); err != nil {
		t.Errorf("after an error: %v", err)
	}
	w.wantCalls(
		wiregate.Call{Kind: wiregate.SignIn},
		wiregate.Call{Kind: wiregate.Statement, Text: "SELECT current_user, '...' || $1"},
		wiregate.Call{Kind: wiregate.Statement, Text: "SELECT '...' FROM nowhere", Err: "42P01"},
		wiregate.Call{Kind: wiregate.Statement, Text: "ALTER ROLE CURRENT_USER SET application_name = '...'"},
	)
	log, err := server.Log(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("identity=%q method=scram-sha-256", w.user); !strings.Contains(log, want) {
		t.Errorf("the server did not authenticate by SCRAM: no %s in its log", want)
	}
}

func TestAWrongPasswordIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.signInWith(w.ctx, "wrong")
	if got := sqlstate(err); got != "28P01" {
		t.Errorf("got %v, want SQLSTATE 28P01", err)
	}
	w.wantCalls(wiregate.Call{Kind: wiregate.SignIn, Err: "28P01"})
}

func TestPreparedStatementsAreCallsWithTheirText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	const sql = "SELECT length($1::text)"
	for range 2 {
		var n int
		if err := conn.QueryRow(w.ctx, sql, pgx.QueryExecModeCacheStatement, "hunter2").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(sql, "a")
	batch.Queue("SELECT 'b'")
	if err := conn.SendBatch(w.ctx, batch).Close(); err != nil {
		t.Fatal(err)
	}
	w.wantCalls(
		wiregate.Call{Kind: wiregate.SignIn},
		wiregate.Call{Kind: wiregate.Statement, Text: sql}, // prepare
		wiregate.Call{Kind: wiregate.Statement, Text: sql}, // execute
		wiregate.Call{Kind: wiregate.Statement, Text: sql}, // execute again
		wiregate.Call{Kind: wiregate.Statement, Text: sql + "; SELECT '...'"},
	)
}

func TestCallsInAPipelineAreToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pipeline := w.mustSignIn().PgConn().StartPipeline(w.ctx)
	for _, sql := range []string{"SELECT 1", "SELECT 1/0", "SELECT 3"} {
		pipeline.SendQueryParams(sql, nil, nil, nil, nil)
		if err := pipeline.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := pipeline.Close(); sqlstate(err) != "22012" {
		t.Errorf("got %v, want the division by zero", err)
	}
	w.wantCalls(
		wiregate.Call{Kind: wiregate.SignIn},
		wiregate.Call{Kind: wiregate.Statement, Text: "SELECT 1"},
		wiregate.Call{Kind: wiregate.Statement, Text: "SELECT 1/0", Err: "22012"},
		wiregate.Call{Kind: wiregate.Statement, Text: "SELECT 3"},
	)
}

// A client may ask for answers before the end of a call.
func TestAFlushIsAnsweredBeforeTheSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pipeline := w.mustSignIn().PgConn().StartPipeline(w.ctx)
	pipeline.SendPrepare("p", "SELECT 1", nil)
	pipeline.SendFlushRequest()
	if err := pipeline.Flush(); err != nil {
		t.Fatal(err)
	}
	result, err := pipeline.GetResults()
	if _, ok := result.(*pgconn.StatementDescription); !ok || err != nil {
		t.Errorf("got %T, %v, want the statement's description", result, err)
	}
	if err := pipeline.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := pipeline.Close(); err != nil {
		t.Error(err)
	}
	w.wantCalls(
		wiregate.Call{Kind: wiregate.SignIn},
		wiregate.Call{Kind: wiregate.Statement, Text: "SELECT 1"},
	)
}

func TestMuchDataPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	var length int
	if err := conn.QueryRow(w.ctx, "SELECT length($1)", strings.Repeat("x", 5<<20)).Scan(&length); err != nil || length != 5<<20 {
		t.Errorf("a long parameter: got %d, %v", length, err)
	}
	rows, err := conn.Query(w.ctx, "SELECT repeat('y', 100) FROM generate_series(1, 50000)")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(texts) != 50000 {
		t.Errorf("many rows: got %d, %v", len(texts), err)
	}
}

func TestACopyPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	if _, err := conn.Exec(w.ctx, "CREATE TEMP TABLE copied (n int)"); err != nil {
		t.Fatal(err)
	}
	rows := make([][]any, 10000)
	for i := range rows {
		rows[i] = []any{i}
	}
	n, err := conn.CopyFrom(w.ctx, pgx.Identifier{"copied"}, []string{"n"}, pgx.CopyFromRows(rows))
	if err != nil || n != 10000 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := conn.Exec(w.ctx, "SELECT 1"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAMaskFollowsTheSessionsSyntax(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	for _, sql := range []string{"SET standard_conforming_strings = off", `SELECT 'a\' hunter2'`} {
		if _, err := conn.Exec(w.ctx, sql, pgx.QueryExecModeExec); err != nil {
			t.Fatal(err)
		}
	}
	w.wantCalls(
		wiregate.Call{Kind: wiregate.SignIn},
		wiregate.Call{Kind: wiregate.Statement, Text: "SET standard_conforming_strings = off"},
		wiregate.Call{Kind: wiregate.Statement, Text: "SELECT '...'"},
	)
}

func TestACancelRequestPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	result := make(chan error, 1)
	go func() {
		_, err := conn.Exec(w.ctx, "SELECT pg_sleep(3600)")
		result <- err
	}()
	for {
		// A request that comes before the statement cancels nothing.
		if err := conn.PgConn().CancelRequest(w.ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-result:
			if sqlstate(err) != "57014" {
				t.Errorf("got %v, want SQLSTATE 57014", err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestTheServerHangsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.mustSignIn()
	_, err := conn.Exec(w.ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
	if sqlstate(err) != "57P01" {
		t.Errorf("got %v, want SQLSTATE 57P01", err)
	}
	if calls := w.Calls(); len(calls) != 2 || calls[1].Err != "57P01" {
		t.Errorf("the calls are %+v", calls)
	}
	if _, err := conn.Exec(w.ctx, "SELECT 1"); err == nil {
		t.Error("the connection is still there")
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
	gate, err := wiregate.Start(wiregate.Config{Server: address})
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
	_, err = dbservers.Connect(t.Context(), login)
	if err == nil || sqlstate(err) != "" {
		t.Errorf("got %v, want a connection that ends without a word", err)
	}
}

func TestAGateWithACertificateRefusesPlaintext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	login := server.Login(w.user, w.password)
	login.Host, login.Port = w.Addr()
	login.TLS.Plaintext = true
	_, err := dbservers.Connect(w.ctx, login)
	if sqlstate(err) != "28000" {
		t.Errorf("got %v, want SQLSTATE 28000", err)
	}
	w.wantCalls()
	if n := w.admitted(); n != 0 {
		t.Errorf("the server let the user in %d times", n)
	}
}

func TestAGateWithoutACertificateOffersNoTLS(t *testing.T) {
	t.Parallel()
	w := worldBehind(t, nil)
	_, err := w.signIn()
	if err == nil || !strings.Contains(err.Error(), "refused TLS") {
		t.Errorf("got %v, want the client to be told that there is no TLS", err)
	}
	login := server.Login(w.user, w.password)
	login.Host, login.Port = w.Addr()
	login.TLS.Plaintext = true
	conn, err := dbservers.Connect(w.ctx, login)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(w.ctx); err != nil {
		t.Error(err)
	}
	w.wantCalls(wiregate.Call{Kind: wiregate.SignIn})
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
	for len(w.Calls()) < 2 {
		if w.ctx.Err() != nil {
			t.Fatal("the second sign-in does not come")
		}
		time.Sleep(time.Millisecond)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-result; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the stalled sign-in: got %v, want a lost connection", err)
	}
	if _, err := idle.Exec(w.ctx, "SELECT 1"); err == nil {
		t.Error("the idle connection is still there")
	}
	if _, err := w.signIn(); err == nil {
		t.Error("a closed gate let a client in")
	}
}
