package mariadb_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// TestOwnChange keeps all of an account but its password.
func TestOwnChange(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, c := range map[string]struct{ clause, after string }{
			"by the usual plugin":          {"IDENTIFIED BY 'first-password-1A'", "BY PASSWORD '<2>'"},
			"by ed25519":                   {"IDENTIFIED VIA ed25519 USING PASSWORD('first-password-1A')", "VIA ed25519 USING '<2>'"},
			"with a socket after it":       {"IDENTIFIED VIA mysql_native_password USING PASSWORD('first-password-1A') OR unix_socket", "VIA mysql_native_password USING '<2>' OR unix_socket"},
			"with a socket before it":      {"IDENTIFIED VIA unix_socket USING 'bob' OR mysql_native_password USING PASSWORD('first-password-1A')", "VIA unix_socket USING 'bob' OR mysql_native_password USING '<2>'"},
			"that demands TLS":             {"IDENTIFIED BY 'first-password-1A' REQUIRE SSL", "BY PASSWORD '<2>' REQUIRE SSL"},
			"with one connection a time":   {"IDENTIFIED BY 'first-password-1A' WITH MAX_USER_CONNECTIONS 1", "BY PASSWORD '<2>' WITH MAX_USER_CONNECTIONS 1"},
			"that has to change it":        {"IDENTIFIED BY 'first-password-1A' PASSWORD EXPIRE INTERVAL 90 DAY", "BY PASSWORD '<2>' PASSWORD EXPIRE INTERVAL 90 DAY"},
			"with a short statement limit": {"IDENTIFIED BY 'first-password-1A' WITH MAX_STATEMENT_TIME 5", "BY PASSWORD '<2>' WITH MAX_STATEMENT_TIME 5.000000"},
		} {
			t.Run(name, func(t *testing.T) {
				login := s.user(t, "own", c.clause)
				for range 2 {
					check(t, setOwn(t, login, second), nil, "")
					login = withPassword(login, second)
					s.left(t, "own")
				}
				check(t, verify(t, login), nil, "")
				s.left(t, "own")
				s.wantOpen(t, login, []string{second}, first)
				if got := s.created(t, "own"); got != c.after {
					t.Errorf("the account is IDENTIFIED %s; want %s", got, c.after)
				}
			})
		}
	})
}

// TestOwnChangeIsOfItsHostRow leaves what the login did not open.
func TestOwnChangeIsOfItsHostRow(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "hosted", "IDENTIFIED BY 'first-password-1A'")
		s.userAt(t, "hosted", "192.0.2.%", third, "IDENTIFIED BY ?", third)
		check(t, setOwn(t, login, second), nil, "")
		s.wantOpen(t, login, []string{second}, first, third)
		if got := s.created(t, "hosted@'192.0.2.%'"); got != "BY PASSWORD '<3>'" {
			t.Errorf("another host's row is IDENTIFIED %s", got)
		}
	})
}

// TestOwnChangeThatCannotBe is refused before anything is changed.
func TestOwnChangeThatCannotBe(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, c := range map[string]struct{ clause, tells string }{
			"another plugin": {"IDENTIFIED VIA mysql_native_password USING PASSWORD('first-password-1A') OR mysql_old_password USING '5d2e19393cc5ef67'", "mysql_old_password"},
			"two plugins":    {"IDENTIFIED VIA mysql_native_password USING PASSWORD('first-password-1A') OR ed25519 USING PASSWORD('first-password-1A')", "let an admin"},
			// A retry would not hear that the password is wrong by then.
			"two of ed25519":  {"IDENTIFIED VIA ed25519 USING PASSWORD('first-password-1A') OR ed25519 USING PASSWORD('third-password-3C')", "would never be found out"},
			"three passwords": {"IDENTIFIED VIA mysql_native_password USING PASSWORD('first-password-1A') OR mysql_native_password USING PASSWORD('third-password-3C') OR mysql_native_password USING PASSWORD('third-password-3C')", "would never be found out"},
		} {
			t.Run(name, func(t *testing.T) {
				login := s.user(t, "stuck", c.clause)
				before := s.created(t, "stuck")
				check(t, setOwn(t, login, second), dbdrivers.ErrUnsupported, c.tells, first, second)
				if after := s.created(t, "stuck"); after != before {
					t.Errorf("the account is IDENTIFIED %s; it was %s", after, before)
				}
			})
		}
	})
}

// TestOwnChangeOfTwoPasswords tells what it cannot end. It compares with the one
// that it reaches: who signs in by the older of two may be of a rotation that was
// given up, and the newer the one that applications use.
func TestOwnChangeOfTwoPasswords(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "two", "IDENTIFIED BY 'first-password-1A'")
		check(t, s.retain(t, "two", first, second), nil, "")
		check(t, setOwn(t, login, third), dbdrivers.ErrBusy, "rotate once by an admin", first, third)
		s.wantOpen(t, login, []string{first, second}, third)
		for _, as := range []string{second, third, first} {
			var notes []string
			check(t, set(t, dbdrivers.SetPasswordRequest{
				As: withPassword(login, as), Account: "two", Password: dbdrivers.NewPassword(third),
				Note: func(text string) { notes = append(notes, text) },
			}), nil, "")
			if len(notes) != 1 || !strings.Contains(notes[0], "still opens") {
				t.Errorf("signed in by %q: notes %q; want one that a former password still opens", as, notes)
			}
			s.wantOpen(t, login, []string{first, third}, second)
		}
	})
}

// TestOwnChangesAtOnce lets one win: the others have changed nothing.
func TestOwnChangesAtOnce(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "raced", "IDENTIFIED BY 'first-password-1A'")
		passwords := []string{"race-a-1", "race-b-2", "race-c-3", "race-d-4", "race-e-5", "race-f-6"}
		errs := make([]error, len(passwords))
		var group sync.WaitGroup
		for i, password := range passwords {
			group.Go(func() { errs[i] = setOwn(t, login, password) })
		}
		group.Wait()
		won := 0
		for i, password := range passwords {
			open := s.opens(t, login, password)
			if open != (errs[i] == nil) {
				t.Errorf("%s opens: %t, and its change had the error %v", password, open, errs[i])
			}
			switch err := errs[i]; {
			case err == nil:
				won++
			case !errors.Is(err, dbdrivers.ErrRefused) && !errors.Is(err, dbdrivers.ErrBusy):
				t.Errorf("error %v; want a refusal at sign-in, or one that may pass", err)
			}
		}
		if won != 1 {
			t.Errorf("%d changes were made; want one", won)
		}
	})
}

func TestPasswordThatCannotBe(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "strict", "IDENTIFIED BY 'first-password-1A'")
		for _, password := range []string{"", "zero\x00inside", "not \xff UTF-8"} {
			check(t, setOwn(t, login, password), dbdrivers.ErrPasswordRules, "", password)
			check(t, s.setByAdmin(t, "strict", password), dbdrivers.ErrPasswordRules, "", password)
		}
		s.wantOpen(t, login, []string{first})
		long := strings.Repeat("é", 2000)
		for _, plugin := range []string{"mysql_native_password", "ed25519"} {
			s.exec(t, "ALTER USER strict IDENTIFIED VIA "+plugin+" USING PASSWORD(?)", first)
			check(t, s.setByAdmin(t, "strict", long), nil, "")
			check(t, setOwn(t, withPassword(login, long), long+"2"), nil, "")
			s.wantOpen(t, login, []string{long + "2"}, long)
		}
	})
}

// TestServersRules are those that would see a password as text.
func TestServersRules(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		login := s.user(t, "ruled", "IDENTIFIED BY 'first-password-1A'")
		s.exec(t, "INSTALL SONAME 'simple_password_check'")
		t.Cleanup(func() {
			if err := s.Exec(context.WithoutCancel(t.Context()), "UNINSTALL SONAME 'simple_password_check'"); err != nil {
				t.Error(err)
			}
		})
		for _, change := range []func() error{
			func() error { return setOwn(t, login, second) },
			func() error { return s.setByAdmin(t, "ruled", second) },
			func() error { return s.retain(t, "ruled", first, second) },
		} {
			check(t, change(), dbdrivers.ErrUnsupported, "strict_password_validation to OFF", first, second)
		}
		s.wantOpen(t, login, []string{first}, second)
		check(t, verify(t, login), nil, "")
		// A hash tells nothing of the password.
		s.set(t, "strict_password_validation", 0)
		check(t, setOwn(t, login, "weak"), nil, "")
		check(t, s.setByAdmin(t, "ruled", "weaker"), nil, "")
		check(t, s.retain(t, "ruled", "weaker", "weak"), nil, "")
		s.wantOpen(t, login, []string{"weak", "weaker"}, first)
	})
}

// TestReplicaTakesNoChange is a server that answers and does not write.
func TestReplicaTakesNoChange(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		login := s.user(t, "reader", "IDENTIFIED BY 'first-password-1A'")
		s.set(t, "read_only", 1)
		check(t, verify(t, login), nil, "")
		check(t, setOwn(t, login, second), dbdrivers.ErrNotWritable, "the writer", first, second)
		check(t, s.setByAdmin(t, "reader", second), dbdrivers.ErrNotWritable, "the writer", first, second)
		check(t, s.retain(t, "reader", first, second), dbdrivers.ErrNotWritable, "the writer", first, second)
		// The server itself would let this one.
		mighty := s.userAt(t, "mighty", "%", first, "IDENTIFIED BY ?", first)
		s.exec(t, "GRANT ALL ON *.* TO mighty WITH GRANT OPTION")
		check(t, verify(t, mighty), nil, "")
		check(t, set(t, dbdrivers.SetPasswordRequest{As: mighty, Account: "reader", Password: dbdrivers.NewPassword(second)}), dbdrivers.ErrNotWritable, "the writer", first, second)
		_, err := openTwin(t, dbdrivers.OpenTwinRequest{Admin: mighty, Canonical: "reader", Twin: "reader_clone", Password: dbdrivers.NewPassword(second), MayCreate: true})
		check(t, err, dbdrivers.ErrNotWritable, "the writer", first, second)
		s.set(t, "read_only", 0)
		s.wantOpen(t, login, []string{first}, second)
		// A default of sessions is no property of the server.
		s.exec(t, "SET GLOBAL tx_read_only = ON")
		err = setOwn(t, login, second)
		// The superuser's own sessions would change nothing either.
		s.exec(t, "SET GLOBAL tx_read_only = OFF")
		check(t, err, nil, "")
	})
}

// TestLocksEndInTime is a change that waits for another session, which gives up
// before its caller does.
func TestLocksEndInTime(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		login := s.user(t, "waiting", "IDENTIFIED BY 'first-password-1A'")
		byItself := dbdrivers.SetPasswordRequest{As: login, Account: "waiting", Password: dbdrivers.NewPassword(second)}
		byAdmin := byItself
		byAdmin.As = s.Admin
		conn, err := s.ConnectMySQLSuperuser(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK"); err != nil {
			t.Fatal(err)
		}
		check(t, within(t, 4, byItself), dbdrivers.ErrBusy, "", first, second)
		check(t, within(t, 4, byAdmin), dbdrivers.ErrBusy, "", first, second)
		if _, err := conn.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
			t.Fatal(err)
		}
		s.wantOpen(t, login, []string{first}, second)
	})
}
