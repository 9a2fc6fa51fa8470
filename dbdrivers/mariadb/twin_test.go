package mariadb_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// TestTwinIsItsSibling opens a twin of accounts of many kinds and compares what
// the server keeps of both; then once more, after the kind has changed.
func TestTwinIsItsSibling(t *testing.T) {
	tests := []struct {
		name string
		// arrange and change have the account as %app.
		arrange, change []string
	}{
		{name: "an account without any right"},
		{
			name:    "privileges on everything",
			arrange: []string{"GRANT SELECT, PROCESS, RELOAD ON *.* TO %app"},
			change:  []string{"REVOKE PROCESS, RELOAD ON *.* FROM %app", "GRANT SHOW DATABASES ON *.* TO %app WITH GRANT OPTION"},
		},
		{
			name:    "privileges on databases, by name and by pattern",
			arrange: []string{"GRANT SELECT, EVENT ON `app_%`.* TO %app WITH GRANT OPTION", "GRANT INSERT, UPDATE ON `sh\\_op`.* TO %app", "GRANT SELECT ON `100%`.* TO %app"},
			change:  []string{"REVOKE GRANT OPTION ON `app_%`.* FROM %app", "REVOKE UPDATE ON `sh\\_op`.* FROM %app"},
		},
		{
			name:    "many privileges, then some",
			arrange: []string{"GRANT SELECT, INSERT, CREATE, DROP, EVENT ON twin_shop.* TO %app", "GRANT SELECT, INSERT, TRIGGER ON twin_shop.orders TO %app"},
			change:  []string{"REVOKE INSERT, CREATE, DROP ON twin_shop.* FROM %app", "REVOKE SELECT, TRIGGER ON twin_shop.orders FROM %app"},
		},
		{
			name:    "privileges on columns",
			arrange: []string{"GRANT SELECT (id, `na``me`), INSERT (note), UPDATE ON twin_shop.orders TO %app"},
			change:  []string{"REVOKE UPDATE, SELECT (id) ON twin_shop.orders FROM %app", "GRANT UPDATE (id) ON twin_shop.orders TO %app WITH GRANT OPTION"},
		},
		{
			name:    "a privilege on a table and on a column of it",
			arrange: []string{"GRANT UPDATE (id) ON twin_shop.orders TO %app"},
			change:  []string{"GRANT UPDATE ON twin_shop.orders TO %app", "REVOKE UPDATE (id) ON twin_shop.orders FROM %app"},
		},
		{
			name:    "privileges on routines",
			arrange: []string{"GRANT EXECUTE ON PROCEDURE twin_shop.p1 TO %app", "GRANT ALL ON FUNCTION twin_shop.f1 TO %app WITH GRANT OPTION"},
			change:  []string{"REVOKE EXECUTE ON PROCEDURE twin_shop.p1 FROM %app", "REVOKE GRANT OPTION ON FUNCTION twin_shop.f1 FROM %app"},
		},
		{
			name: "privileges on packages",
			arrange: []string{
				"SET SESSION sql_mode = 'ORACLE'", "GRANT EXECUTE ON PACKAGE twin_shop.pk TO %app", "GRANT EXECUTE, ALTER ROUTINE ON PACKAGE BODY twin_shop.pk TO %app",
				"SET SESSION sql_mode = ''",
			},
			change: []string{"SET SESSION sql_mode = 'ORACLE'", "REVOKE ALTER ROUTINE ON PACKAGE BODY twin_shop.pk FROM %app", "SET SESSION sql_mode = ''"},
		},
		{
			name: "names with quotes and keywords",
			arrange: []string{
				"GRANT SELECT (`c1, (x)`), DELETE ON `twin we``ird TO x`.`t ON \"q' TO ``app``@``%``` TO %app WITH GRANT OPTION",
				"GRANT `twin odd'``role` TO %app WITH ADMIN OPTION",
			},
			change: []string{"REVOKE GRANT OPTION, DELETE ON `twin we``ird TO x`.`t ON \"q' TO ``app``@``%``` FROM %app", "REVOKE `twin odd'``role` FROM %app"},
		},
		{
			name:    "roles",
			arrange: []string{"GRANT twin_read TO %app", "GRANT twin_admin TO %app WITH ADMIN OPTION", "SET DEFAULT ROLE twin_read FOR %app"},
			change:  []string{"REVOKE twin_read FROM %app", "SET DEFAULT ROLE NONE FOR %app", "REVOKE ADMIN OPTION FOR twin_admin FROM %app", "GRANT twin_write TO %app"},
		},
		{
			name:    "another default role",
			arrange: []string{"GRANT twin_read TO %app", "GRANT twin_write TO %app", "SET DEFAULT ROLE twin_read FOR %app"},
			change:  []string{"SET DEFAULT ROLE twin_write FOR %app", "REVOKE twin_read FROM %app"},
		},
		{
			name:    "limits and the password's lifetime",
			arrange: []string{"ALTER USER %app WITH MAX_QUERIES_PER_HOUR 10000 MAX_UPDATES_PER_HOUR 9000 MAX_CONNECTIONS_PER_HOUR 8000 MAX_USER_CONNECTIONS 17 MAX_STATEMENT_TIME 12.345678 PASSWORD EXPIRE INTERVAL 90 DAY"},
			change:  []string{"ALTER USER %app WITH MAX_QUERIES_PER_HOUR 0 MAX_USER_CONNECTIONS 0 MAX_STATEMENT_TIME 0 PASSWORD EXPIRE DEFAULT"},
		},
		{
			name: "a password that never expires", arrange: []string{"ALTER USER %app PASSWORD EXPIRE NEVER"}, change: []string{"ALTER USER %app PASSWORD EXPIRE INTERVAL 7 DAY"},
		},
		{
			name:    "a password that has expired, and a lifetime",
			arrange: []string{"ALTER USER %app PASSWORD EXPIRE NEVER", "ALTER USER %app PASSWORD EXPIRE"},
			change:  []string{"ALTER USER %app PASSWORD EXPIRE INTERVAL 7 DAY"},
		},
		{name: "TLS", arrange: []string{"ALTER USER %app REQUIRE SSL"}, change: []string{"ALTER USER %app REQUIRE NONE"}},
		{
			name:    "the plugin of ed25519",
			arrange: []string{"ALTER USER %app IDENTIFIED VIA ed25519 USING PASSWORD('" + siblingPassword + "')"},
			change:  []string{"ALTER USER %app IDENTIFIED BY '" + siblingPassword + "'"},
		},
		{
			name:    "two plugins",
			arrange: []string{"ALTER USER %app IDENTIFIED VIA mysql_native_password USING PASSWORD('" + siblingPassword + "') OR ed25519 USING PASSWORD('" + siblingPassword + "')"},
			change:  []string{"ALTER USER %app IDENTIFIED VIA ed25519 USING PASSWORD('" + siblingPassword + "')"},
		},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				p := s.pair(t, "twinned `app`")
				p.with(test.arrange...)
				before := p.holds(p.canonical)
				if report := p.open(); !report.Created || report.TakenOver || len(report.Removed) > 0 || len(report.Kept) > 0 {
					t.Errorf("report of the first time: %+v", report)
				}
				report, err := openTwin(t, p.request())
				if err != nil || report.Created || len(report.Added)+len(report.Removed) > 0 {
					t.Errorf("the second time something was left to do: %+v, %v", report, err)
				}
				if diff := cmp.Diff(before, p.holds(p.canonical)); diff != "" {
					t.Errorf("the canonical account was changed: %s", diff)
				}
				if len(test.change) == 0 {
					return
				}
				p.with(test.change...)
				if report := p.open(); len(report.Added)+len(report.Removed) == 0 {
					t.Error("nothing is reported of the change")
				}
			})
		}
	})
}

// shop makes what the tests grant on, once at each server, which ends with the
// tests. Its roles are the admin's to grant.
func (s *server) shop(t *testing.T) {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	odd := "`twin we``ird TO x`"
	for _, sql := range []string{
		"CREATE DATABASE IF NOT EXISTS twin_shop", "CREATE TABLE IF NOT EXISTS twin_shop.orders (id int, `na``me` text, note text)",
		"CREATE PROCEDURE IF NOT EXISTS twin_shop.p1 () SELECT 1", "CREATE FUNCTION IF NOT EXISTS twin_shop.f1 () RETURNS int DETERMINISTIC RETURN 1",
		"CREATE DATABASE IF NOT EXISTS " + odd, "CREATE TABLE IF NOT EXISTS " + odd + ".`t ON \"q' TO ``app``@``%``` (`c1, (x)` int)",
	} {
		s.exec(t, sql)
	}
	for _, role := range []string{"twin_read", "twin_write", "twin_admin", "`twin odd'``role`"} {
		s.exec(t, "CREATE ROLE IF NOT EXISTS "+role)
		s.exec(t, "GRANT "+role+" TO ?@'%' WITH ADMIN OPTION", s.Admin.Username)
	}
	root := pair{server: s, t: t, root: s.superuser(t)}
	root.with("SET SESSION sql_mode = 'ORACLE'", "CREATE PACKAGE IF NOT EXISTS twin_shop.pk AS PROCEDURE p(); END",
		"CREATE PACKAGE BODY IF NOT EXISTS twin_shop.pk AS PROCEDURE p() AS BEGIN NULL; END; END")
}

var making sync.Mutex

// TestTLSOfTheTwin is REQUIRE with a certificate, by which no test can sign in.
func TestTLSOfTheTwin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "certified")
		for _, require := range []string{"X509", `SUBJECT '/CN=a''b\\c' ISSUER '/C=US/CN=? "x"' CIPHER 'ECDHE-RSA-AES256-GCM-SHA384'`, "CIPHER 'ECDHE-RSA-AES256-GCM-SHA384'"} {
			p.with("ALTER USER %app REQUIRE " + require)
			if _, err := openTwin(t, p.request()); err != nil {
				t.Fatalf("%s: %v", require, err)
			}
			if diff := cmp.Diff(p.holds(p.canonical), p.holds(p.twin)); diff != "" {
				t.Errorf("%s (-sibling +twin):\n%s", require, diff)
			}
		}
	})
}

// TestGrantsOnWhatIsGone outlive the table, the column and the role's grant.
func TestGrantsOnWhatIsGone(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "haunted")
		s.exec(t, "CREATE DATABASE twin_ghosts")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE twin_ghosts") })
		s.exec(t, "CREATE TABLE twin_ghosts.gone (id int, note text)")
		s.exec(t, "CREATE TABLE twin_ghosts.shrunk (id int, note text)")
		p.with("GRANT SELECT, INSERT ON twin_ghosts.gone TO %app", "GRANT SELECT (id, note) ON twin_ghosts.shrunk TO %app",
			"GRANT twin_read TO %app", "SET DEFAULT ROLE twin_read FOR %app", "REVOKE twin_read FROM %app")
		s.exec(t, "DROP TABLE twin_ghosts.gone")
		s.exec(t, "ALTER TABLE twin_ghosts.shrunk DROP COLUMN note")
		var notes []string
		req := p.request()
		req.Note = func(text string) { notes = append(notes, text) }
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		p.wantTwin(twinPassword, true)
		s.exec(t, "CREATE TABLE twin_ghosts.gone (id int, note text)")
		for _, account := range []struct{ user, password string }{{p.canonical, siblingPassword}, {p.twin, twinPassword}} {
			login := p.login(account.user, account.password)
			for sql, want := range map[string]bool{
				"SELECT * FROM twin_ghosts.gone":               true,
				"INSERT INTO twin_ghosts.gone (id) VALUES (1)": true,
				"DELETE FROM twin_ghosts.gone":                 false,
				"SELECT id FROM twin_ghosts.shrunk":            true,
				"CREATE TABLE twin_ghosts.another (n int)":     false,
			} {
				if got := s.may(t, login, sql); got != want {
					t.Errorf("%s: %s: %t; want %t", account.user, sql, got, want)
				}
			}
		}
		// What the notes say ends them.
		if len(notes) != 2 {
			t.Fatalf("notes %q; want one on the column and one on the role", notes)
		}
		for _, note := range notes {
			_, remedy, _ := strings.Cut(note, "as an admin run: ")
			s.sayAll(t, s.Admin, remedy)
		}
		notes = nil
		if _, err := openTwin(t, req); err != nil || len(notes) > 0 {
			t.Errorf("error %v, notes %q; want none of either", err, notes)
		}
		p.wantEqual()
	})
}

// TestGrantsOnARoutineThatIsGone outlive it where the server is told so. Nobody
// can be granted them.
func TestGrantsOnARoutineThatIsGone(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		s.set(t, "automatic_sp_privileges", 0)
		p := s.pair(t, "lost")
		s.exec(t, "CREATE DATABASE twin_lost")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE twin_lost") })
		for _, routine := range []string{"dropped", "kept"} {
			s.exec(t, "CREATE PROCEDURE twin_lost."+routine+"() SELECT 1")
			p.with("GRANT EXECUTE ON PROCEDURE twin_lost." + routine + " TO %app")
		}
		s.exec(t, "DROP PROCEDURE twin_lost.dropped")
		var notes []string
		req := p.request()
		req.Note = func(text string) { notes = append(notes, text) }
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		if !s.may(t, p.login(p.twin, twinPassword), "CALL twin_lost.kept()") {
			t.Error("the twin may not call the routine that is there")
		}
		if len(notes) != 1 || !strings.HasPrefix(notes[0], "EXECUTE on PROCEDURE `twin_lost`.`dropped` could not be given") {
			t.Fatalf("notes %q; want one of the routine that was dropped", notes)
		}
		_, remedy, _ := strings.Cut(notes[0], "as an admin run: ")
		p.with(remedy)
		notes = nil
		if _, err := openTwin(t, req); err != nil || len(notes) > 0 {
			t.Errorf("after the remedy: error %v, notes %q; want none of either", err, notes)
		}
		p.wantEqual()
	})
}

// TestRoutinesOfEitherAreUsableByBoth: the server gives a routine to its
// creator alone.
func TestRoutinesOfEitherAreUsableByBoth(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "routine`maker")
		s.exec(t, "CREATE DATABASE twin_made")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE twin_made") })
		p.with("GRANT CREATE ROUTINE ON twin_made.* TO %app")
		p.open()
		if err := p.as(p.twin, twinPassword, "CREATE PROCEDURE twin_made.by_twin () SELECT 1"); err != nil {
			t.Fatal(err)
		}
		if err := p.as(p.canonical, siblingPassword, "CREATE PROCEDURE twin_made.by_sibling () SELECT 2"); err != nil {
			t.Fatal(err)
		}
		s.exec(t, "CREATE PROCEDURE twin_made.by_nobody () SELECT 1")
		p.with("GRANT EXECUTE ON PROCEDURE twin_made.by_nobody TO %twin")
		report := p.open()
		if !contains(report.Added, "EXECUTE on PROCEDURE `twin_made`.`by_twin` to `routine``maker`@`%`") {
			t.Errorf("added %q; want the sibling's right on the twin's procedure among them", report.Added)
		}
		if !contains(report.Removed, "`by_nobody`") || contains(report.Added, "`by_nobody`") {
			t.Errorf("added %q, removed %q; want that a right of the twin's own is taken away", report.Added, report.Removed)
		}
		for user, password := range map[string]string{p.canonical: siblingPassword, p.twin: twinPassword} {
			if err := p.as(user, password, "CALL twin_made.by_twin()", "CALL twin_made.by_sibling()"); err != nil {
				t.Errorf("%s: %v", user, err)
			}
		}
	})
}

// TestRoutinesOfTheTwinOnItsSiblingsTurn: what the twin made while it was
// current is its sibling's from the sibling's own turn on.
func TestRoutinesOfTheTwinOnItsSiblingsTurn(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "turn_maker")
		s.exec(t, "CREATE DATABASE turn_made")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE turn_made") })
		p.with("GRANT CREATE ROUTINE ON turn_made.* TO %app")
		p.open()
		if err := p.as(p.twin, twinPassword, "CREATE PROCEDURE turn_made.by_twin () SELECT 1"); err != nil {
			t.Fatal(err)
		}
		var notes []string
		const next = "Pw1-the-siblings-turn"
		if err := set(t, dbdrivers.SetPasswordRequest{
			As: p.Admin, Account: p.canonical, Twin: p.twin, Password: dbdrivers.NewPassword(next),
			Note: func(text string) { notes = append(notes, text) },
		}); err != nil {
			t.Fatal(err)
		}
		if !contains(notes, "EXECUTE on PROCEDURE `turn_made`.`by_twin`") {
			t.Errorf("notes %q; want that they name what was granted", notes)
		}
		if err := p.as(p.canonical, next, "CALL turn_made.by_twin()"); err != nil {
			t.Error(err)
		}
	})
}

// TestProxiesOfTheTwin: the grant option of a proxy brings one on everything
// along, which the sibling has lost again; it takes two rounds. The server does
// not escape the names when it shows them.
func TestProxiesOfTheTwin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "proxying")
		const target = "`it's' TO 'app`@`%`"
		p.with("GRANT PROXY ON "+target+" TO %admin WITH GRANT OPTION", "GRANT PROXY ON "+target+" TO %app WITH GRANT OPTION", "REVOKE GRANT OPTION ON *.* FROM %app")
		t.Cleanup(func() { s.clean(t, "REVOKE PROXY ON "+target+" FROM "+backquoted(s.Admin.Username)+"@'%'") })
		p.open()
		p.with("REVOKE PROXY ON "+target+" FROM %app", "GRANT PROXY ON "+target+" TO %app")
		p.open()
		p.with("REVOKE PROXY ON " + target + " FROM %app")
		p.open()
	})
}

// TestOtherWaysIn are what a former dual-password rotation has left, and a
// socket.
func TestOtherWaysIn(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		const usual = "mysql_native_password USING PASSWORD('"
		for name, c := range map[string]struct{ statement, tells string }{
			"two passwords of the twin": {"ALTER USER %twin IDENTIFIED VIA " + usual + "newer') OR " + usual + "older')", "a second password of"},
			"a socket of the twin":      {"ALTER USER %twin IDENTIFIED VIA unix_socket OR " + usual + "newer')", "cannot any more"},
			"a socket of its sibling":   {"ALTER USER %app IDENTIFIED VIA " + usual + siblingPassword + "') OR unix_socket", "and its twin may not"},
			"two of its sibling":        {"ALTER USER %app IDENTIFIED VIA " + usual + siblingPassword + "') OR " + usual + "older')", ""},
			"a lock of the twin":        {"ALTER USER %twin ACCOUNT LOCK", "was locked"},
		} {
			t.Run(name, func(t *testing.T) {
				p := s.pair(t, "ways_in")
				p.open()
				p.with(c.statement)
				var notes []string
				req := p.request()
				req.Password, req.Note = dbdrivers.NewPassword(second), func(text string) { notes = append(notes, text) }
				if _, err := openTwin(t, req); err != nil {
					t.Fatal(err)
				}
				if c.tells == "" && len(notes) > 0 || c.tells != "" && (len(notes) != 1 || !strings.Contains(notes[0], c.tells)) {
					t.Errorf("notes %q; want one that tells %q, or none", notes, c.tells)
				}
				if got := s.created(t, p.twin); got != "BY PASSWORD '<2>'" {
					t.Errorf("the twin is IDENTIFIED %s; want one password", got)
				}
				s.wantOpen(t, p.login(p.twin, second), []string{second}, "newer", "older", twinPassword)
			})
		}
	})
}

func TestHostileTwins(t *testing.T) {
	names := []string{
		"x'; DROP USER root; --", "o`reilly``", `back\slash\`, "100%s ? $$", "new\nline", "Bjørn-用户", "select", "a@b", " leading",
		"my dbrotation(twin of x, equal, 12345678)", strings.Repeat("n", 74),
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, name := range names {
			p := s.pair(t, name)
			p.with("GRANT SELECT ON `twin_?`.* TO %app", "ALTER USER %app REQUIRE SSL WITH MAX_USER_CONNECTIONS 9")
			p.open()
			p.open()
		}
		long := s.pair(t, strings.Repeat("m", 75))
		_, err := openTwin(t, long.request())
		check(t, err, dbdrivers.ErrUnsupported, "80 characters", twinPassword)
		for _, name := range []string{"blank ", "blank  "} {
			req := long.request()
			req.Twin = name
			_, err := openTwin(t, req)
			check(t, err, dbdrivers.ErrUnsupported, "ends in a blank", twinPassword)
		}
	})
}
