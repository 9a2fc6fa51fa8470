package redshift_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/redshift"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestMain closes the servers that the tests have started.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// server is a stand-in for Redshift and what tests ask of it.
type server struct{ *dbservers.Server }

// making is held while an account or a grant comes or goes: what grants and
// revokes on one database at the same moment meets, and one fails.
var making sync.Mutex

var servers dbservers.Pool

// ready are the servers that have the schema that everybody may make tables in.
var ready sync.Map

// start returns the server with these options; all tests share it.
func start(t *testing.T, options dbservers.RedshiftOptions) *server {
	t.Helper()
	shared, err := servers.Redshift(options)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{shared}
	once, _ := ready.LoadOrStore(shared, &sync.Once{})
	if o, ok := once.(*sync.Once); ok && !options.NoTLS {
		o.Do(func() { s.say(t, "CREATE SCHEMA work", "GRANT ALL ON SCHEMA work TO PUBLIC") })
	}
	return s
}

// say runs statements as the admin, in Redshift's words.
func (s *server) say(t *testing.T, statements ...string) {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	for _, sql := range statements {
		if err := s.retried(t, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// retried says a statement again where a driver was in the way.
func (s *server) retried(t *testing.T, sql string) error {
	for try := 0; ; try++ {
		err := s.ExecRedshift(context.WithoutCancel(t.Context()), sql)
		var refused *pgconn.PgError
		if err == nil || try > 20 || !errors.As(err, &refused) || refused.Code != "40001" && refused.Code != "40P01" && !strings.Contains(refused.Message, "concurrently") {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// create makes an account by PostgreSQL's superuser.
func (s *server) create(t *testing.T, name, password string) dbdrivers.Login {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	if err := s.CreateUser(t.Context(), name, password); err != nil {
		t.Fatal(err)
	}
	return s.Login(name, password)
}

// opens asks without the driver.
func (s *server) opens(t *testing.T, user, password string) bool {
	t.Helper()
	ok, err := s.Opens(t.Context(), user, password)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// ask reads one value as PostgreSQL's superuser.
func (s *server) ask(t *testing.T, into any, sql string, args ...any) {
	t.Helper()
	conn, err := s.ConnectSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(into); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// kept returns what the server behind keeps in place of a password.
func (s *server) kept(t *testing.T, user string) string {
	t.Helper()
	var hash *string
	s.ask(t, &hash, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", user)
	if hash == nil {
		return ""
	}
	return *hash
}

func (s *server) log(t *testing.T) string {
	t.Helper()
	text, err := s.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// as runs statements in a session of an account.
func (s *server) as(t *testing.T, login dbdrivers.Login, statements ...string) error {
	t.Helper()
	conn, err := dbservers.Connect(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			return err
		}
	}
	return nil
}

func denied(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "42501"
}

func quoted(names ...string) string { return pgx.Identifier(names).Sanitize() }

func withPassword(login dbdrivers.Login, password string) dbdrivers.Login {
	login.Password = dbdrivers.NewPassword(password)
	return login
}

func inTime(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func verify(t *testing.T, login dbdrivers.Login) error {
	return redshift.New().Verify(inTime(t), dbdrivers.VerifyRequest{Login: login})
}

func setOwn(t *testing.T, login dbdrivers.Login, password string) error {
	return set(t, dbdrivers.SetPasswordRequest{As: login, Account: login.Username, Password: dbdrivers.NewPassword(password)})
}

func set(t *testing.T, req dbdrivers.SetPasswordRequest) error {
	return redshift.New().SetPassword(inTime(t), req)
}
