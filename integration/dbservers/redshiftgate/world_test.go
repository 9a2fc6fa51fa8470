package redshiftgate_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/redshiftgate"
)

// bound is how long a test waits for what should come at once.
const bound = 60 * time.Second

// server is the one of all these tests. The first test that needs it starts it.
var server *dbservers.Server

var startServer = sync.OnceValue(func() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server, err = dbservers.StartRedshift(ctx, dbservers.RedshiftOptions{Plaintext: true})
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

// names counts what these tests have made.
var names atomic.Int32

// newName is a name that nothing else has.
func newName(kind string) string { return fmt.Sprintf("%s_%d", kind, names.Add(1)) }

// world is a connection of the admin's, as an operator.
type world struct {
	t    *testing.T
	ctx  context.Context
	conn *pgx.Conn
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if err := startServer(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx}
	w.conn = w.connect(server.Admin.Username, server.Admin.Password.Reveal(), "")
	return w
}

// as is a world of another user, whom the driver's table is for where driver is
// true.
func (w *world) as(user, password string, driver bool) *world {
	w.t.Helper()
	name := ""
	if driver {
		name = redshiftgate.ApplicationName
	}
	return &world{t: w.t, ctx: w.ctx, conn: w.connect(user, password, name)}
}

func (w *world) connect(user, password, application string) *pgx.Conn {
	w.t.Helper()
	conn, err := w.tryConnect(user, password, map[string]string{"application_name": application})
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

func (w *world) tryConnect(user, password string, parameters map[string]string) (*pgx.Conn, error) {
	login := server.Login(user, password)
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		w.t.Fatal(err)
	}
	config.Host, config.Port, config.User, config.Password, config.Database = login.Host, uint16(login.Port), user, password, login.Database
	config.TLSConfig = login.TLS.Config(login.Host)
	config.Fallbacks = nil
	config.RuntimeParams = parameters
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(w.ctx, config)
	if err == nil {
		w.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

// user makes a user by CREATE USER, and returns the name.
func (w *world) user(password string) string {
	w.t.Helper()
	name := newName("app")
	w.exec("CREATE USER " + name + " PASSWORD '" + password + "'")
	return name
}

func (w *world) exec(statements ...string) {
	w.t.Helper()
	for _, sql := range statements {
		if _, err := w.conn.Exec(w.ctx, sql); err != nil {
			w.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// refuses asserts that a statement fails with a SQLSTATE, and returns the
// error's text.
func (w *world) refuses(sql, code string) string {
	w.t.Helper()
	_, err := w.conn.Exec(w.ctx, sql)
	if got := sqlstate(err); got != code {
		w.t.Errorf("%s: %v, want SQLSTATE %s", sql, err, code)
	}
	return fmt.Sprint(err)
}

// rows are those of a query, each as one line of its values.
func (w *world) rows(sql string, args ...any) []string {
	w.t.Helper()
	rows, err := w.conn.Query(w.ctx, sql, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		words := make([]string, len(values))
		for i, v := range values {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, " "), err
	})
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return lines
}

func sqlstate(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}
