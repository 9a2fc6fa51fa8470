package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
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

var servers dbservers.Pool

// eachVersion runs a test once per version.
func eachVersion(t *testing.T, test func(t *testing.T, s *server)) {
	eachVersionSet(t, nil, test)
}

// eachVersionSet is eachVersion for servers with settings, and so not those of
// the other tests.
func eachVersionSet(t *testing.T, settings map[string]string, test func(t *testing.T, s *server)) {
	t.Parallel()
	for _, version := range dbservers.TestedMySQLVersions() {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, dbservers.MySQLOptions{Version: version, Settings: settings}))
		})
	}
}

// server is a real server and what tests ask of it.
type server struct{ *dbservers.Server }

// start returns the server with these options; all tests share it.
func start(t *testing.T, options dbservers.MySQLOptions) *server {
	t.Helper()
	s, err := servers.MySQL(options)
	if err != nil {
		t.Fatal(err)
	}
	return &server{s}
}

// user makes an account for every host, which goes with the test.
func (s *server) user(t *testing.T, name, password string) dbdrivers.Login {
	t.Helper()
	if err := s.CreateUser(t.Context(), name, password); err != nil {
		t.Fatal(err)
	}
	s.dropAfter(t, name, "%")
	return s.Login(name, password)
}

// userAt makes an account by the rest of CREATE USER, for a login without a
// database.
func (s *server) userAt(t *testing.T, name, host, password, identified string, args ...any) dbdrivers.Login {
	t.Helper()
	s.exec(t, "CREATE USER ?@? "+identified, append([]any{name, host}, args...)...)
	s.dropAfter(t, name, host)
	login := s.Login(name, password)
	login.Database = ""
	return login
}

func (s *server) dropAfter(t *testing.T, name, host string) {
	t.Cleanup(func() {
		if err := s.Exec(context.WithoutCancel(t.Context()), "DROP USER ?@?", name, host); err != nil {
			t.Error(err)
		}
	})
}

// exec runs a statement as the superuser.
func (s *server) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if err := s.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// ask reads one value as the superuser.
func (s *server) ask(t *testing.T, into any, sql string, args ...any) {
	t.Helper()
	conn, err := s.ConnectMySQLSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.QueryRowContext(t.Context(), sql, args...).Scan(into); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// installing is held while a plugin comes: a server takes it once.
var installing sync.Mutex

// installSocketPlugin lets accounts sign in by who they are on the machine.
func (s *server) installSocketPlugin(t *testing.T) {
	t.Helper()
	installing.Lock()
	defer installing.Unlock()
	var installed bool
	if s.ask(t, &installed, "SELECT count(*) FROM information_schema.plugins WHERE plugin_name = 'auth_socket'"); !installed {
		s.exec(t, "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'")
	}
}

// kept returns what the server keeps in place of a password.
func (s *server) kept(t *testing.T, user string) (hash string) {
	t.Helper()
	s.ask(t, &hash, "SELECT authentication_string FROM mysql.user WHERE user = ?", user)
	return hash
}

// opens asks without the driver.
func (s *server) opens(t *testing.T, login dbdrivers.Login, password string) bool {
	t.Helper()
	conn, err := dbservers.ConnectMySQL(t.Context(), withPassword(login, password))
	if err != nil {
		if mysqlNumber(err) != 1045 {
			t.Fatal(err)
		}
		return false
	}
	_ = conn.Close()
	return true
}

// wantOpen asserts which of some passwords open an account.
func (s *server) wantOpen(t *testing.T, login dbdrivers.Login, open []string, shut ...string) {
	t.Helper()
	for _, password := range slices.Concat(open, shut) {
		want := slices.Contains(open, password)
		if got := s.opens(t, login, password); got != want {
			t.Errorf("%q opens the account: %t; want %t", password, got, want)
		}
	}
}

// logs are all that the server writes, in one text.
func (s *server) logs(t *testing.T) string {
	t.Helper()
	logs, err := s.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, text := range logs {
		b.WriteString(text)
	}
	return b.String()
}

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
	return mysql.New().Verify(inTime(t), dbdrivers.VerifyRequest{Login: login})
}

func setOwn(t *testing.T, login dbdrivers.Login, password string) error {
	return set(t, dbdrivers.SetPasswordRequest{As: login, Account: login.Username, Password: dbdrivers.NewPassword(password)})
}

func (s *server) setByAdmin(t *testing.T, account, password string) error {
	return set(t, dbdrivers.SetPasswordRequest{As: s.Admin, Account: account, Password: dbdrivers.NewPassword(password)})
}

func set(t *testing.T, req dbdrivers.SetPasswordRequest) error {
	return mysql.New().SetPassword(inTime(t), req)
}

func retain(t *testing.T, as dbdrivers.Login, account, current, password string) error {
	return mysql.New().RetainPassword(inTime(t), dbdrivers.RetainPasswordRequest{
		As: as, Account: account, Current: dbdrivers.NewPassword(current), Password: dbdrivers.NewPassword(password),
	})
}

// check asserts an error's class, what it tells, and that it shows no secret, nor
// the beginning of a hash.
func check(t *testing.T, err, class error, tells string, secrets ...string) {
	t.Helper()
	drivertest.WantSafe(t, err, append(secrets, "$A$")...)
	switch {
	case class == nil && err == nil:
	case class == nil:
		t.Errorf("error %v; want none", err)
	case !errors.Is(err, class):
		t.Errorf("error %v; want %q", err, class)
	case !strings.Contains(err.Error(), tells):
		t.Errorf("error %v; want one that tells %q", err, tells)
	}
}

// within asks with so many seconds left.
func within(t *testing.T, seconds int, req dbdrivers.SetPasswordRequest) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	return mysql.New().SetPassword(ctx, req)
}
