package mariadb_test

import (
	"context"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestWordOnThePassword is what a failed sign-in says of the password: wrong,
// right, or nothing.
func TestWordOnThePassword(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		const usual = "IDENTIFIED BY 'first-password-1A' "
		for name, c := range map[string]struct {
			clause   string
			database string
			right    error
			tells    string
			wrong    error
			number   string
		}{
			"a usual account":             {usual, "", nil, "", dbdrivers.ErrRefused, "1045"},
			"by ed25519":                  {"IDENTIFIED VIA ed25519 USING PASSWORD('first-password-1A')", "", nil, "", dbdrivers.ErrRefused, "1045"},
			"with a socket after it":      {"IDENTIFIED VIA mysql_native_password USING PASSWORD('first-password-1A') OR unix_socket", "", nil, "", dbdrivers.ErrRefused, "1698"},
			"with a socket before it":     {"IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('first-password-1A')", "", nil, "", dbdrivers.ErrRefused, "1045"},
			"locked":                      {usual + "ACCOUNT LOCK", "", dbdrivers.ErrBarred, "4151", dbdrivers.ErrRefused, "1045"},
			"expired":                     {usual + "PASSWORD EXPIRE", "", dbdrivers.ErrBarred, "1820", dbdrivers.ErrRefused, "1045"},
			"no right to the database":    {usual, "mysql", dbdrivers.ErrBarred, "1044", dbdrivers.ErrRefused, "1045"},
			"wants TLS":                   {usual + "REQUIRE SSL", "", nil, "", dbdrivers.ErrRefused, "1045"},
			"wants a client certificate":  {usual + "REQUIRE X509", "", dbdrivers.ErrRefused, "REQUIRE", dbdrivers.ErrRefused, "1045"},
			"wants a certificate's owner": {usual + "REQUIRE SUBJECT '/CN=app'", "", dbdrivers.ErrRefused, "REQUIRE", dbdrivers.ErrRefused, "1045"},
			"a socket alone":              {"IDENTIFIED VIA unix_socket", "", dbdrivers.ErrRefused, "unix_socket", dbdrivers.ErrRefused, "1698"},
		} {
			t.Run(name, func(t *testing.T) {
				login := s.user(t, "worded", c.clause)
				login.Database = c.database
				for range 2 {
					check(t, verify(t, login), c.right, c.tells, first)
					check(t, setOwn(t, login, first), c.right, c.tells, first)
				}
				check(t, verify(t, withPassword(login, second)), c.wrong, c.number, second)
				check(t, setOwn(t, withPassword(login, second), third), c.wrong, c.number, second, third)
			})
		}
		t.Run("either of two passwords", func(t *testing.T) {
			login := s.user(t, "worded", "IDENTIFIED BY 'first-password-1A'")
			check(t, s.retain(t, "worded", first, second), nil, "")
			for _, password := range []string{first, second} {
				check(t, verify(t, withPassword(login, password)), nil, "")
			}
			check(t, verify(t, withPassword(login, third)), dbdrivers.ErrRefused, "1045", third)
		})
		// The client follows one change of the method, and no second one.
		t.Run("a list that the client gives up on", func(t *testing.T) {
			login := s.user(t, "worded", "IDENTIFIED VIA ed25519 USING PASSWORD('first-password-1A') OR mysql_native_password USING PASSWORD('first-password-1A')")
			check(t, verify(t, login), nil, "")
			check(t, verify(t, withPassword(login, second)), dbdrivers.ErrUnsupported, "no word on the password", second)
		})
		t.Run("a database that does not exist", func(t *testing.T) {
			login := s.user(t, "worded", usual)
			s.exec(t, "GRANT SELECT ON *.* TO worded")
			login.Database = "nowhere"
			check(t, verify(t, login), dbdrivers.ErrBarred, "1049", first)
			check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
		})
		t.Run("all its connections in use", func(t *testing.T) {
			login := s.user(t, "worded", usual+"WITH MAX_USER_CONNECTIONS 1")
			s.occupied(t, login, func() {
				check(t, verify(t, login), dbdrivers.ErrBarred, "1226", first)
				check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
			})
		})
	})
}

// TestExpiredAtTheDoor is a server that lets nobody in to change a password that
// has expired.
func TestExpiredAtTheDoor(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		s.set(t, "disconnect_on_expired_password", 1)
		login := s.user(t, "late", "IDENTIFIED BY 'first-password-1A' PASSWORD EXPIRE")
		check(t, verify(t, login), dbdrivers.ErrBarred, "1862", first)
		check(t, setOwn(t, login, second), dbdrivers.ErrBarred, "1862", first, second)
		check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
		check(t, s.setByAdmin(t, "late", second), nil, "")
		check(t, verify(t, withPassword(login, second)), nil, "")
	})
}

// TestBlockedAfterRefusals says nothing of the password any more.
func TestBlockedAfterRefusals(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		s.set(t, "max_password_errors", 2)
		login := s.user(t, "guessed", "IDENTIFIED BY 'first-password-1A'")
		for range 2 {
			check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
		}
		for _, password := range []string{second, first} {
			check(t, verify(t, withPassword(login, password)), dbdrivers.ErrBusy, "FLUSH PRIVILEGES", password)
			check(t, setOwn(t, withPassword(login, password), third), dbdrivers.ErrBusy, "FLUSH PRIVILEGES", password, third)
		}
		// An admin's change lets the account in again.
		check(t, s.setByAdmin(t, "guessed", third), nil, "")
		check(t, verify(t, withPassword(login, third)), nil, "")

		// The second of two passwords is no refusal of the first.
		check(t, s.retain(t, "guessed", third, second), nil, "")
		for range 4 {
			check(t, verify(t, withPassword(login, third)), nil, "")
		}
	})
}

// occupied holds a connection of login while call runs.
func (s *server) occupied(t *testing.T, login dbdrivers.Login, call func()) {
	t.Helper()
	conn, err := dbservers.ConnectMySQL(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	call()
}

// left waits until the server has noticed the end of an account's connections:
// it counts them until then.
func (s *server) left(t *testing.T, user string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var connections int
		s.ask(t, &connections, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = ?", user)
		if connections == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections of %s are still there", connections, user)
		}
	}
}

func TestServerWithoutRoom(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		login := s.user(t, "late", "IDENTIFIED BY 'first-password-1A'")
		s.set(t, "max_user_connections", 1)
		s.occupied(t, login, func() {
			check(t, verify(t, login), dbdrivers.ErrBarred, "1203", first)
			check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
		})
	})
}

// TestNoCredentialWithoutTLS: a server that offers none hears of nobody.
func TestNoCredentialWithoutTLS(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MariaDBOptions{NoTLS: true})
	login := s.user(t, "unheard", "IDENTIFIED BY 'first-password-1A'")
	login.TLS.Plaintext = false
	check(t, verify(t, login), dbdrivers.ErrTLS, `"ssl": false`, first)
	check(t, setOwn(t, login, second), dbdrivers.ErrTLS, `"ssl": false`, first, second)
	counted, err := s.SignIns(t.Context(), "unheard")
	if err != nil {
		t.Fatal(err)
	}
	if counted != (dbservers.SignIns{}) {
		t.Errorf("the server has seen %+v; want nothing", counted)
	}
	login.TLS.Plaintext = true
	check(t, verify(t, login), nil, "")
}

// TestPlaintextWhereTLSIsDemanded tells a missing TLS from a wrong password as
// far as the server does: before 11 it calls both the same.
func TestPlaintextWhereTLSIsDemanded(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "plain", "IDENTIFIED BY 'first-password-1A'")
		login.TLS.Plaintext = true
		class := dbdrivers.ErrTLS
		var old bool
		if s.ask(t, &old, "SELECT VERSION() LIKE '10.%'"); old {
			class = dbdrivers.ErrRefused
		}
		check(t, verify(t, login), class, "require_secure_transport", first)
		check(t, setOwn(t, login, second), class, "require_secure_transport", first, second)
		login.TLS.Plaintext = false
		s.wantOpen(t, login, []string{first}, second)
	})
}

func TestPlaintextWhereTheAccountDemandsTLS(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedMariaDBVersions() {
		s := start(t, dbservers.MariaDBOptions{Version: version, Plaintext: true})
		login := s.user(t, "plain", "IDENTIFIED BY 'first-password-1A' REQUIRE SSL")
		check(t, verify(t, login), nil, "")
		login.TLS.Plaintext = true
		check(t, verify(t, login), dbdrivers.ErrRefused, `"ssl": false`, first)
	}
}

// TestSomebodyElse is a login that the server takes for another account.
func TestSomebodyElse(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		login := s.userAt(t, "", "%", first, "IDENTIFIED BY ?", first)
		login.Username = "whoever"
		check(t, verify(t, login), dbdrivers.ErrUnsupported, "anonymous", first)
		check(t, setOwn(t, login, second), dbdrivers.ErrUnsupported, "anonymous", first, second)
		s.wantOpen(t, login, []string{first}, second)
	})
}

// TestMySQLIsNamed: another driver is the right one.
func TestMySQLIsNamed(t *testing.T) {
	t.Parallel()
	my, err := servers.MySQL(dbservers.MySQLOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := my.CreateUser(t.Context(), "lost", first); err != nil {
		t.Fatal(err)
	}
	login := my.Login("lost", first)
	check(t, verify(t, login), dbdrivers.ErrUnsupported, `"engine": "mysql"`, first)
	check(t, setOwn(t, login, second), dbdrivers.ErrUnsupported, `"engine": "mysql"`, first, second)
	if open, err := my.Opens(context.WithoutCancel(t.Context()), "lost", first); err != nil || !open {
		t.Errorf("the password before opens: %t, %v", open, err)
	}
}
