package postgres_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
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

const newest = "18"

// eachVersion runs a test once per version.
func eachVersion(t *testing.T, test func(t *testing.T, s *server)) {
	t.Parallel()
	for _, version := range dbservers.TestedPostgresVersions() {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, dbservers.PostgresOptions{Version: version, HBA: hostRules}))
		})
	}
}

// hostRules are the lines that single accounts of the tests sign in by.
var hostRules = []string{
	"hostssl all trusted all trust",
	"hostssl all rejected all reject",
	"hostssl all cleartext all password",
	// Nobody answers there, so every password is wrong.
	`hostssl all checked_elsewhere all ldap ldapserver=127.0.0.1 ldapport=1 ldapprefix="uid=" ldapsuffix=""`,
	"host all plaintext_md5 all md5",
	"hostssl all planted_log all md5",
	"hostnossl all plaintext_cleartext all password",
	"hostnossl all plaintext_scram all scram-sha-256",
}

// server is a real server and what tests ask of it.
type server struct {
	*dbservers.Server
	options dbservers.PostgresOptions
}

// making is held while an account comes or goes: what grants and revokes on one
// database at the same moment meets, and one fails.
var making sync.Mutex

// create makes an account by the admin.
func (s *server) create(t *testing.T, name, password string) dbdrivers.Login {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	if err := s.CreateUser(t.Context(), name, password); err != nil {
		t.Fatal(err)
	}
	return s.Login(name, password)
}

var servers dbservers.Pool

// start returns the server with these options; all tests share it.
func start(t *testing.T, options dbservers.PostgresOptions) *server {
	t.Helper()
	s, err := servers.Postgres(options)
	if err != nil {
		t.Fatal(err)
	}
	return &server{s, options}
}

// user makes an account that goes with the test.
func (s *server) user(t *testing.T, name, password string) dbdrivers.Login {
	t.Helper()
	login := s.create(t, name, password)
	t.Cleanup(func() {
		// The next case of the same test reuses the name.
		making.Lock()
		defer making.Unlock()
		s.clean(t, "DROP OWNED BY "+quoted(name), "DROP ROLE "+quoted(name))
	})
	return login
}

// exec runs statements as the superuser.
func (s *server) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if err := s.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
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

// ask reads one value as the superuser.
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

// kept returns what the server keeps in place of a password.
func (s *server) kept(t *testing.T, user string) string {
	t.Helper()
	var verifier string
	s.ask(t, &verifier, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", user)
	return verifier
}

func (s *server) log(t *testing.T) string {
	t.Helper()
	text, err := s.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// clean runs statements as the superuser after a test.
func (s *server) clean(t *testing.T, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if err := s.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
