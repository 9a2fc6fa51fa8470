package postgres_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestMain closes the servers that the tests have started.
func TestMain(m *testing.M) {
	code := m.Run()
	servers.mu.Lock()
	defer servers.mu.Unlock()
	for _, s := range servers.started {
		if s.server == nil {
			continue
		}
		if err := s.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// versions are the ends of what is supported, and all between on request.
func versions() []string {
	if os.Getenv("DBROTATION_ALL") == "1" {
		return dbservers.PostgresVersions()
	}
	return []string{"15", "18"}
}

const newest = "18"

// eachVersion runs a test once per version.
func eachVersion(t *testing.T, test func(t *testing.T, s *server)) {
	t.Parallel()
	for _, version := range versions() {
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
	making  *sync.Mutex
}

// create makes an account by the admin, one at a time: two grants on one
// database at the same moment meet, and one fails.
func (s *server) create(t *testing.T, name, password string) dbdrivers.Login {
	t.Helper()
	s.making.Lock()
	defer s.making.Unlock()
	if err := s.CreateUser(t.Context(), name, password); err != nil {
		t.Fatal(err)
	}
	return s.Login(name, password)
}

var servers struct {
	mu      sync.Mutex
	started map[string]*starting
}

type starting struct {
	once   sync.Once
	making sync.Mutex
	server *dbservers.Server
	err    error
}

const startTimeout = 5 * time.Minute // the first start on a machine makes an image

// start returns the server with these options; all tests share it.
func start(t *testing.T, options dbservers.PostgresOptions) *server {
	t.Helper()
	key := fmt.Sprintf("%+v", options)
	servers.mu.Lock()
	if servers.started == nil {
		servers.started = make(map[string]*starting)
	}
	s := servers.started[key]
	if s == nil {
		s = &starting{}
		servers.started[key] = s
	}
	servers.mu.Unlock()
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		s.server, s.err = dbservers.StartPostgres(ctx, options)
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return &server{s.server, options, &s.making}
}

// user makes an account that goes with the test.
func (s *server) user(t *testing.T, name, password string) dbdrivers.Login {
	t.Helper()
	login := s.create(t, name, password)
	t.Cleanup(func() {
		// The next case of the same test reuses the name.
		s.making.Lock()
		defer s.making.Unlock()
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
