package mysql_test

import (
	"context"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestWordOnThePassword is what a failed sign-in says of the password: wrong,
// right, or nothing.
func TestWordOnThePassword(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.installSocketPlugin(t)
		for name, c := range map[string]struct {
			clause   string
			database string
			right    error
			tells    string
			wrong    error
		}{
			"a usual account":             {"", "", nil, "", dbdrivers.ErrRefused},
			"locked":                      {"ACCOUNT LOCK", "", dbdrivers.ErrBarred, "3118", dbdrivers.ErrRefused},
			"expired":                     {"PASSWORD EXPIRE", "", dbdrivers.ErrBarred, "1862", dbdrivers.ErrRefused},
			"no right to the database":    {"", "mysql", dbdrivers.ErrBarred, "1044", dbdrivers.ErrRefused},
			"wants TLS":                   {"REQUIRE SSL", "", nil, "", dbdrivers.ErrRefused},
			"wants a client certificate":  {"REQUIRE X509", "", dbdrivers.ErrRefused, "REQUIRE", dbdrivers.ErrRefused},
			"wants a certificate's owner": {"REQUIRE SUBJECT '/CN=app'", "", dbdrivers.ErrRefused, "REQUIRE", dbdrivers.ErrRefused},
		} {
			t.Run(name, func(t *testing.T) {
				login := s.userAt(t, "worded", "%", first, "IDENTIFIED BY ? "+c.clause, first)
				login.Database = c.database
				for range 2 {
					check(t, verify(t, login), c.right, c.tells, first)
					check(t, setOwn(t, login, first), c.right, c.tells, first)
				}
				check(t, verify(t, withPassword(login, second)), c.wrong, "1045", second)
				check(t, setOwn(t, withPassword(login, second), third), c.wrong, "1045", second, third)
			})
		}
		t.Run("a database that does not exist", func(t *testing.T) {
			login := s.userAt(t, "worded", "%", first, "IDENTIFIED BY ?", first)
			s.exec(t, "GRANT SELECT ON *.* TO worded")
			login.Database = "nowhere"
			check(t, verify(t, login), dbdrivers.ErrBarred, "1049", first)
			check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
		})
		t.Run("blocked after a refusal", func(t *testing.T) {
			login := s.userAt(t, "worded", "%", first, "IDENTIFIED BY ? FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME 1", first)
			check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
			for _, password := range []string{second, first} {
				check(t, verify(t, withPassword(login, password)), dbdrivers.ErrBusy, "ACCOUNT UNLOCK", password)
			}
			s.exec(t, "ALTER USER worded ACCOUNT UNLOCK")
			check(t, verify(t, login), nil, "")
		})
		t.Run("all its connections in use", func(t *testing.T) {
			login := s.userAt(t, "worded", "%", first, "IDENTIFIED BY ? WITH MAX_USER_CONNECTIONS 1", first)
			s.occupied(t, login, func() {
				check(t, verify(t, login), dbdrivers.ErrBarred, "1226", first)
				check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
			})
		})
		t.Run("as often as it may in an hour", func(t *testing.T) {
			login := s.userAt(t, "worded", "%", first, "IDENTIFIED BY ? WITH MAX_CONNECTIONS_PER_HOUR 1", first)
			check(t, verify(t, login), nil, "")
			check(t, verify(t, login), dbdrivers.ErrBarred, "1226", first)
			check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
		})
		t.Run("a second factor", func(t *testing.T) {
			// To a client that has none the server says nothing else.
			login := s.userAt(t, "worded", "%", first, "IDENTIFIED BY ? AND IDENTIFIED WITH auth_socket", first)
			check(t, verify(t, login), dbdrivers.ErrRefused, "a second factor", first)
			check(t, setOwn(t, login, second), dbdrivers.ErrRefused, "a second factor", first, second)
			check(t, s.setByAdmin(t, "worded", second), dbdrivers.ErrUnsupported, "asks for a second factor", second)
			check(t, retain(t, s.Admin, "worded", first, second), dbdrivers.ErrUnsupported, "asks for a second factor", first, second)
			_, err := openTwin(t, dbdrivers.OpenTwinRequest{
				Admin: s.Admin, Canonical: "worded", Twin: "worded_clone", Password: dbdrivers.NewPassword(second), MayCreate: true,
			})
			check(t, err, dbdrivers.ErrUnsupported, "asks for a second factor", second)
		})
		t.Run("no password at all", func(t *testing.T) {
			login := s.userAt(t, "worded", "%", first, "IDENTIFIED WITH auth_socket")
			check(t, verify(t, login), dbdrivers.ErrUnsupported, "", first)
		})
	})
}

// TestExpiredPasswordInASandbox is a server that lets such an account in, to
// change its password and for nothing else.
func TestExpiredPasswordInASandbox(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Settings: map[string]string{"disconnect_on_expired_password": "OFF"}})
	login := s.userAt(t, "sandboxed", "%", first, "IDENTIFIED BY ? PASSWORD EXPIRE", first)
	check(t, verify(t, login), dbdrivers.ErrBarred, "1820", first)
	check(t, setOwn(t, login, second), dbdrivers.ErrBarred, "1820", first, second)
	check(t, retain(t, login, "sandboxed", first, second), dbdrivers.ErrBarred, "1820", first, second)
	check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
	check(t, s.setByAdmin(t, "sandboxed", second), nil, "")
	s.exec(t, "ALTER USER sandboxed PASSWORD EXPIRE NEVER")
}

// TestStatementsThatLackAPrivilege are refused with the numbers that servers give
// them, one of which is that of a wrong password at sign-in.
func TestStatementsThatLackAPrivilege(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.exec(t, "CREATE DATABASE lacked")
		s.exec(t, "CREATE TABLE lacked.t (id int, note text)")
		s.exec(t, "CREATE PROCEDURE lacked.p () SELECT 1")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE lacked") })
		s.userAt(t, "given", "%", first, "IDENTIFIED BY ?", first)
		app := s.userAt(t, "lacking", "%", first, "IDENTIFIED BY ?", first)
		s.exec(t, "GRANT SELECT (id) ON lacked.t TO lacking")
		s.exec(t, "GRANT INSERT ON *.* TO given")
		for _, c := range []struct {
			as     dbdrivers.Login
			sql    string
			number uint16
		}{
			{s.Admin, "GRANT FILE ON *.* TO given", 1045},
			{app, "GRANT SELECT ON lacked.* TO given", 1044},
			{app, "DELETE FROM lacked.t", 1142},
			{app, "SELECT note FROM lacked.t", 1143},
			{app, "ALTER USER given IDENTIFIED BY 'x'", 1227},
			{app, "CALL lacked.p()", 1370},
			{s.Admin, "GRANT PROXY ON lacking TO given", 1698},
			{s.Admin, "REVOKE INSERT ON *.* FROM given", 3879},
		} {
			session, err := mywire.Connect(inTime(t), c.as, mysql.Dialect)
			if err != nil {
				t.Fatal(err)
			}
			err = session.Run(inTime(t), c.sql)
			if mywire.Number(err) != c.number {
				t.Errorf("%s: error %v; want number %d", c.sql, err, c.number)
			}
			check(t, session.Classify("trying", err, mywire.Unknown, nil), dbdrivers.ErrPrivilege, "")
			session.Close()
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
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Settings: map[string]string{"report_host": "full"}})
	login := s.userAt(t, "late", "%", first, "IDENTIFIED BY ?", first)
	// The one connection that there is room for changes the room as well: the
	// server takes its time to forget one that has left.
	conn, err := s.ConnectMySQLSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	set := func(sql string) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	set("SET GLOBAL max_connections = 1")
	check(t, verify(t, login), dbdrivers.ErrBusy, "1040", first)
	set("SET GLOBAL max_connections = 100, GLOBAL max_user_connections = 1")
	s.occupied(t, login, func() {
		check(t, verify(t, login), dbdrivers.ErrBarred, "1203", first)
		check(t, verify(t, withPassword(login, second)), dbdrivers.ErrRefused, "1045", second)
	})
	set("SET GLOBAL max_user_connections = 0")
}

// TestNoCredentialWithoutTLS: a server that offers none hears of nobody.
func TestNoCredentialWithoutTLS(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{NoTLS: true})
	login := s.user(t, "unheard", first)
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
// far as the server does.
func TestPlaintextWhereTLSIsDemanded(t *testing.T) {
	t.Parallel()
	demanding := start(t, dbservers.MySQLOptions{})
	login := demanding.userAt(t, "plain", "%", first, "IDENTIFIED BY ?", first)
	login.TLS.Plaintext = true
	check(t, verify(t, login), dbdrivers.ErrTLS, "require_secure_transport", first)

	free := start(t, dbservers.MySQLOptions{Plaintext: true})
	login = free.userAt(t, "plain", "%", first, "IDENTIFIED BY ? REQUIRE SSL", first)
	check(t, verify(t, login), nil, "")
	login.TLS.Plaintext = true
	check(t, verify(t, login), dbdrivers.ErrRefused, `"ssl": false`, first)
}

// TestPlaintextChangeIsTold, because the password is readable then.
func TestPlaintextChangeIsTold(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Plaintext: true})
	login := s.userAt(t, "told", "%", first, "IDENTIFIED BY ?", first)
	s.allowRetain(t, "told")
	notes := func(plaintext bool) (notes []string) {
		login.TLS.Plaintext = plaintext
		check(t, set(t, dbdrivers.SetPasswordRequest{
			As: login, Account: "told", Password: dbdrivers.NewPassword(first), Note: func(text string) { notes = append(notes, text) },
		}), nil, "")
		return notes
	}
	if got := notes(false); len(got) != 0 {
		t.Errorf("over TLS: notes %q; want none", got)
	}
	if got := notes(true); len(got) != 1 {
		t.Errorf("without TLS: notes %q; want one", got)
	}
}

// TestSomebodyElse is a login that the server takes for another account.
func TestSomebodyElse(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Settings: map[string]string{"check_proxy_users": "ON", "sha256_password_proxy_users": "ON"}})
	s.userAt(t, "proxied", "%", first, "IDENTIFIED BY ?", first)
	login := s.userAt(t, "proxying", "%", first, "IDENTIFIED WITH sha256_password BY ?", first)
	check(t, verify(t, login), nil, "")
	s.exec(t, "GRANT PROXY ON proxied TO proxying")
	check(t, verify(t, login), dbdrivers.ErrUnsupported, `proxy user of "proxied"`, first)
	check(t, setOwn(t, login, second), dbdrivers.ErrUnsupported, `proxy user of "proxied"`, first, second)
	s.wantOpen(t, login, []string{first}, second)

	s.userAt(t, "", "%", first, "IDENTIFIED BY ?", first)
	login.Username = "whoever"
	check(t, verify(t, login), dbdrivers.ErrUnsupported, "anonymous", first)
	check(t, setOwn(t, login, second), dbdrivers.ErrUnsupported, "anonymous", first, second)
	s.wantOpen(t, login, []string{first}, second)
}

// TestMariaDBIsNamed: another driver is the right one.
func TestMariaDBIsNamed(t *testing.T) {
	t.Parallel()
	maria, err := servers.MariaDB(dbservers.MariaDBOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := maria.CreateUser(t.Context(), "lost", first); err != nil {
		t.Fatal(err)
	}
	login := maria.Login("lost", first)
	check(t, verify(t, login), dbdrivers.ErrUnsupported, `"engine": "mariadb"`, first)
	check(t, setOwn(t, login, second), dbdrivers.ErrUnsupported, `"engine": "mariadb"`, first, second)
	if open, err := maria.Opens(context.WithoutCancel(t.Context()), "lost", first); err != nil || !open {
		t.Errorf("the password before opens: %t, %v", open, err)
	}
}
