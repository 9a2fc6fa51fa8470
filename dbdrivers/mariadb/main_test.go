package mariadb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
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

const (
	first  = "first-password-1A"
	second = "second-password-2B"
	third  = "third-password-3C"
)

// eachVersion runs a test once per version, on a server that tests share.
func eachVersion(t *testing.T, test func(t *testing.T, s *server)) {
	t.Parallel()
	for _, version := range dbservers.TestedMariaDBVersions() {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, dbservers.MariaDBOptions{Version: version}))
		})
	}
}

// eachAlone runs a test once per version, on a server that no other test uses
// meanwhile: one that changes what holds for all of the server.
func eachAlone(t *testing.T, test func(t *testing.T, s *server)) {
	t.Parallel()
	for _, version := range dbservers.TestedMariaDBVersions() {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			mutex, _ := alone.LoadOrStore(version, new(sync.Mutex))
			use, ok := mutex.(*sync.Mutex)
			if !ok {
				t.Fatal("no mutex")
			}
			use.Lock()
			t.Cleanup(use.Unlock)
			test(t, start(t, dbservers.MariaDBOptions{Version: version, Settings: map[string]string{
				"report_host": "alone",
				// Where there is no limit at first there can be none later.
				"max_user_connections": "100",
			}}))
		})
	}
}

// alone holds a mutex for the server of each version.
var alone sync.Map

// set changes a setting of the whole server until the test ends, or is told
// otherwise.
func (s *server) set(t *testing.T, name string, value any) {
	t.Helper()
	var before string
	s.ask(t, &before, "SELECT @@GLOBAL."+name)
	s.exec(t, "SET GLOBAL "+name+" = ?", value)
	t.Cleanup(func() {
		var restored any = before
		if n, err := strconv.ParseInt(before, 10, 64); err == nil {
			restored = n
		}
		if err := s.Exec(context.WithoutCancel(t.Context()), "SET GLOBAL "+name+" = ?", restored); err != nil {
			t.Error(err)
		}
	})
}

// server is a real server and what tests ask of it.
type server struct{ *dbservers.Server }

// start returns the server with these options, and ed25519 as well; all tests
// share it.
func start(t *testing.T, options dbservers.MariaDBOptions) *server {
	t.Helper()
	settings := map[string]string{"plugin_load_add": "auth_ed25519"}
	for name, value := range options.Settings {
		settings[name] = value
	}
	options.Settings = settings
	s, err := servers.MariaDB(options)
	if err != nil {
		t.Fatal(err)
	}
	return &server{s}
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

func (s *server) user(t *testing.T, name, identified string) dbdrivers.Login {
	t.Helper()
	return s.userAt(t, name, "%", first, identified)
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

// created is how the server writes an account down, its hashes as <n> for the
// n-th of the passwords of these tests, and <?> for any other.
func (s *server) created(t *testing.T, account string) string {
	t.Helper()
	var row string
	s.ask(t, &row, "SHOW CREATE USER "+account)
	var hashes []string
	for i, password := range []string{first, second, third} {
		hashes = append(hashes, mariadb.NativeHash(password), fmt.Sprintf("<%d>", i+1), mariadb.Ed25519Key(password), fmt.Sprintf("<%d>", i+1))
	}
	_, rest, _ := strings.Cut(strings.NewReplacer(hashes...).Replace(row), "IDENTIFIED ")
	return rest
}

// opens asks without the driver.
func (s *server) opens(t *testing.T, login dbdrivers.Login, password string) bool {
	t.Helper()
	conn, err := dbservers.ConnectMySQL(t.Context(), withPassword(login, password))
	if err != nil {
		if number := numberOf(err); number != 1045 && number != 1698 {
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

// numberOf is the number of the server's error in err, or zero.
func numberOf(err error) uint16 {
	var server *driver.MySQLError
	if errors.As(err, &server) {
		return server.Number
	}
	return 0
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
	return mariadb.New().Verify(inTime(t), dbdrivers.VerifyRequest{Login: login})
}

func setOwn(t *testing.T, login dbdrivers.Login, password string) error {
	return set(t, dbdrivers.SetPasswordRequest{As: login, Account: login.Username, Password: dbdrivers.NewPassword(password)})
}

func (s *server) setByAdmin(t *testing.T, account, password string) error {
	return set(t, dbdrivers.SetPasswordRequest{As: s.Admin, Account: account, Password: dbdrivers.NewPassword(password)})
}

func set(t *testing.T, req dbdrivers.SetPasswordRequest) error {
	return mariadb.New().SetPassword(inTime(t), req)
}

// within asks with so many seconds left.
func within(t *testing.T, seconds int, req dbdrivers.SetPasswordRequest) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	return mariadb.New().SetPassword(ctx, req)
}

func (s *server) retain(t *testing.T, account, current, password string) error {
	return retain(t, s.Admin, account, current, password)
}

func retain(t *testing.T, as dbdrivers.Login, account, current, password string) error {
	return mariadb.New().RetainPassword(inTime(t), dbdrivers.RetainPasswordRequest{
		As: as, Account: account, Current: dbdrivers.NewPassword(current), Password: dbdrivers.NewPassword(password),
	})
}

// check asserts an error's class, what it tells, and that it shows no secret.
func check(t *testing.T, err, class error, tells string, secrets ...string) {
	t.Helper()
	for _, password := range secrets {
		secrets = append(secrets, mariadb.NativeHash(password), mariadb.Ed25519Key(password))
	}
	drivertest.WantSafe(t, err, secrets...)
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
