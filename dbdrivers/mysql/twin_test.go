package mysql_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
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
			name:    "a partial revoke",
			arrange: []string{"GRANT SELECT ON *.* TO %app", "REVOKE SELECT ON mysql.* FROM %app", "REVOKE SELECT ON twin_shop.* FROM %app"},
			change:  []string{"GRANT SELECT ON twin_shop.* TO %app"},
		},
		{
			name:    "a partial revoke that comes later",
			arrange: []string{"GRANT SELECT, PROCESS ON *.* TO %app"},
			change:  []string{"REVOKE SELECT ON mysql.* FROM %app"},
		},
		{
			name:    "privileges on databases, by name and by pattern",
			arrange: []string{"GRANT ALL ON `app_%`.* TO %app WITH GRANT OPTION", "GRANT INSERT, UPDATE ON `sh\\_op`.* TO %app", "GRANT SELECT ON `100%`.* TO %app"},
			change:  []string{"REVOKE GRANT OPTION ON `app_%`.* FROM %app", "REVOKE UPDATE ON `sh\\_op`.* FROM %app"},
		},
		{
			name:    "all privileges, then some",
			arrange: []string{"GRANT ALL ON twin_shop.* TO %app", "GRANT ALL ON twin_shop.orders TO %app"},
			change: []string{
				"REVOKE ALL ON twin_shop.* FROM %app", "GRANT SELECT, EVENT ON twin_shop.* TO %app",
				"REVOKE ALL ON twin_shop.orders FROM %app", "GRANT INSERT ON twin_shop.orders TO %app",
			},
		},
		{
			name:    "some privileges, then all",
			arrange: []string{"GRANT SELECT, EVENT ON twin_shop.* TO %app", "GRANT INSERT ON twin_shop.orders TO %app"},
			change:  []string{"GRANT ALL ON twin_shop.* TO %app", "GRANT ALL ON twin_shop.orders TO %app"},
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
			arrange: []string{"GRANT EXECUTE ON PROCEDURE twin_shop.p1 TO %app", "GRANT EXECUTE, ALTER ROUTINE ON FUNCTION twin_shop.f1 TO %app WITH GRANT OPTION"},
			change:  []string{"REVOKE EXECUTE ON PROCEDURE twin_shop.p1 FROM %app", "REVOKE GRANT OPTION ON FUNCTION twin_shop.f1 FROM %app"},
		},
		{
			name: "names with quotes and keywords",
			arrange: []string{
				"GRANT SELECT (`c1, (x)`), DELETE ON `twin we``ird TO x`.`t ON \"q' TO ``app``@``%``` TO %app WITH GRANT OPTION",
				"GRANT `twin odd'``role`@`%` TO %app WITH ADMIN OPTION",
			},
			change: []string{"REVOKE GRANT OPTION, DELETE ON `twin we``ird TO x`.`t ON \"q' TO ``app``@``%``` FROM %app", "REVOKE `twin odd'``role`@`%` FROM %app"},
		},
		{
			name:    "dynamic privileges",
			arrange: []string{"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO %app", "GRANT XA_RECOVER_ADMIN ON *.* TO %app WITH GRANT OPTION"},
			change:  []string{"REVOKE XA_RECOVER_ADMIN, APPLICATION_PASSWORD_ADMIN ON *.* FROM %app", "GRANT XA_RECOVER_ADMIN ON *.* TO %app"},
		},
		{
			name:    "roles",
			arrange: []string{"GRANT twin_read, twin_write TO %app", "GRANT twin_admin TO %app WITH ADMIN OPTION", "SET DEFAULT ROLE twin_read, twin_write TO %app"},
			change:  []string{"REVOKE twin_write FROM %app", "REVOKE twin_admin FROM %app", "GRANT twin_admin TO %app", "SET DEFAULT ROLE twin_admin TO %app"},
		},
		{
			name:    "a default role that loses its admin option",
			arrange: []string{"GRANT twin_admin TO %app WITH ADMIN OPTION", "SET DEFAULT ROLE twin_admin TO %app"},
			change:  []string{"REVOKE twin_admin FROM %app", "GRANT twin_admin TO %app", "SET DEFAULT ROLE twin_admin TO %app"},
		},
		{
			name:    "no default role any more",
			arrange: []string{"GRANT twin_admin TO %app", "SET DEFAULT ROLE twin_admin TO %app"},
			change:  []string{"SET DEFAULT ROLE NONE TO %app"},
		},
		{
			name:    "limits and options of the password",
			arrange: []string{"ALTER USER %app WITH MAX_QUERIES_PER_HOUR 10000 MAX_USER_CONNECTIONS 17 PASSWORD HISTORY 5 PASSWORD REUSE INTERVAL 30 DAY PASSWORD REQUIRE CURRENT FAILED_LOGIN_ATTEMPTS 4 PASSWORD_LOCK_TIME UNBOUNDED PASSWORD EXPIRE INTERVAL 90 DAY"},
			change:  []string{"ALTER USER %app WITH MAX_QUERIES_PER_HOUR 0 PASSWORD HISTORY DEFAULT PASSWORD REQUIRE CURRENT OPTIONAL FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 0", "ALTER USER %app PASSWORD EXPIRE DEFAULT"},
		},
		{
			name: "a password that never expires", arrange: []string{"ALTER USER %app PASSWORD EXPIRE NEVER"}, change: []string{"ALTER USER %app PASSWORD EXPIRE INTERVAL 7 DAY"},
		},
		{name: "TLS", arrange: []string{"ALTER USER %app REQUIRE SSL"}, change: []string{"ALTER USER %app REQUIRE NONE"}},
		{
			name:    "the plugin of SHA-256",
			arrange: []string{"ALTER USER %app IDENTIFIED WITH sha256_password BY '" + siblingPassword + "'"},
			change:  []string{"ALTER USER %app IDENTIFIED WITH caching_sha2_password BY '" + siblingPassword + "'"},
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
// tests.
func (s *server) shop(t *testing.T) {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	odd := "`twin we``ird TO x`"
	for _, sql := range []string{
		"CREATE DATABASE IF NOT EXISTS twin_shop", "CREATE TABLE IF NOT EXISTS twin_shop.orders (id int, `na``me` text, note text)",
		"CREATE PROCEDURE IF NOT EXISTS twin_shop.p1 () SELECT 1", "CREATE FUNCTION IF NOT EXISTS twin_shop.f1 () RETURNS int DETERMINISTIC RETURN 1",
		"CREATE DATABASE IF NOT EXISTS " + odd, "CREATE TABLE IF NOT EXISTS " + odd + ".`t ON \"q' TO ``app``@``%``` (`c1, (x)` int)",
		"CREATE ROLE IF NOT EXISTS twin_read, twin_write, twin_admin, `twin odd'``role`",
	} {
		s.exec(t, sql)
	}
}

var making sync.Mutex

// TestTLSOfTheTwin is REQUIRE with a certificate, by which no test can sign in,
// and whose texts the server shows unescaped.
func TestTLSOfTheTwin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "certified")
		for _, require := range []string{"X509",
			// One after the other they are the same text.
			"SUBJECT '/CN=a' ISSUER '/CN=b/CN=c'", "SUBJECT '/CN=a/CN=b' ISSUER '/CN=c'",
			`SUBJECT '/CN=a''b\\c' ISSUER '/C=US/CN=? "x"' CIPHER 'ECDHE-RSA-AES256-GCM-SHA384'`, "CIPHER 'ECDHE-RSA-AES256-GCM-SHA384'"} {
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

// TestGrantsOnWhatIsGone outlive the table, and the column.
func TestGrantsOnWhatIsGone(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "haunted")
		s.exec(t, "CREATE DATABASE twin_ghosts")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE twin_ghosts") })
		s.exec(t, "CREATE TABLE twin_ghosts.gone (id int, note text)")
		s.exec(t, "CREATE TABLE twin_ghosts.shrunk (id int, note text)")
		p.with("GRANT SELECT, INSERT ON twin_ghosts.gone TO %app", "GRANT SELECT (id, note) ON twin_ghosts.shrunk TO %app")
		s.exec(t, "DROP TABLE twin_ghosts.gone")
		s.exec(t, "ALTER TABLE twin_ghosts.shrunk DROP COLUMN note")
		if _, err := openTwin(t, p.request()); err != nil {
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
		s.exec(t, "ALTER TABLE twin_ghosts.shrunk ADD COLUMN note text")
		p.open()
	})
}

// TestGrantOptionsOnWhatIsGone outlive the table too. An admin who may not create
// it there leaves them out, and says how that ends.
func TestGrantOptionsOnWhatIsGone(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "haunting")
		s.exec(t, "CREATE DATABASE twin_spooks")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE twin_spooks") })
		for _, table := range []string{"both", "option", "created"} {
			s.exec(t, "CREATE TABLE twin_spooks."+backquoted(table)+" (id int)")
		}
		grants := []string{
			"GRANT SELECT ON twin_spooks.`both` TO %app WITH GRANT OPTION",
			"GRANT USAGE ON twin_spooks.`option` TO %app WITH GRANT OPTION",
			"GRANT SELECT, CREATE ON twin_spooks.created TO %app WITH GRANT OPTION",
		}
		p.with(grants...)
		s.exec(t, "DROP TABLE twin_spooks.`both`, twin_spooks.`option`, twin_spooks.created")
		p.open()
		// CREATE stays with a twin that is to have it.
		p.with("REVOKE SELECT, GRANT OPTION ON twin_spooks.created FROM %twin")
		p.open()
		if said := p.saidOfGrants(); contains(said, "REVOKE CREATE ON `twin_spooks`.`created`") || !contains(said, "REVOKE CREATE ON `twin_spooks`.`both`") {
			t.Errorf("the server was told %q; want that CREATE is taken away where it is not wanted, and only there", said)
		}

		q := s.pair(t, "haunting_too")
		for _, table := range []string{"both", "option"} {
			s.exec(t, "CREATE TABLE twin_spooks."+backquoted(table)+" (id int)")
		}
		q.with(grants[:2]...)
		s.exec(t, "DROP TABLE twin_spooks.`both`, twin_spooks.`option`")
		req := q.request()
		req.Admin = s.userAt(t, "no_creator", "%", first, "IDENTIFIED BY ?", first)
		s.exec(t, "GRANT CREATE USER, SELECT, ROLE_ADMIN ON *.* TO no_creator WITH GRANT OPTION")
		var notes []string
		req.Note = func(text string) { notes = append(notes, text) }
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		q.wantTwin(twinPassword, true)
		if len(notes) != 3 {
			t.Errorf("notes %q; want three", notes)
		}
		for _, note := range notes {
			_, remedy, _ := strings.Cut(note, "as an admin run: ")
			if !strings.HasPrefix(remedy, "REVOKE ") {
				t.Errorf("note %q; want one that says how to take it from the sibling", note)
			}
			q.with(remedy)
		}
		notes = nil
		if _, err := openTwin(t, req); err != nil || len(notes) > 0 {
			t.Errorf("after the remedies: notes %q, error %v", notes, err)
		}
		q.wantEqual()
	})
}

// TestRoutinesOfEitherAreUsableByBoth: the server gives a routine to its
// creator alone.
func TestRoutinesOfEitherAreUsableByBoth(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "routine_maker")
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
		if !contains(report.Added, "EXECUTE on PROCEDURE `twin_made`.`by_twin` to `routine_maker`@`%`") {
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
		if err := mysql.New().SetPassword(t.Context(), dbdrivers.SetPasswordRequest{
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

// TestLibrariesOfEitherAreUsableByBoth: the server gives a library to its creator
// alone, as it does a routine.
func TestLibrariesOfEitherAreUsableByBoth(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "librarian")
		s.exec(t, "CREATE DATABASE twin_books")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE twin_books") })
		const library = " LANGUAGE JAVASCRIPT AS 'export function f(n) {return n}'"
		p.with("GRANT CREATE ROUTINE ON twin_books.* TO %app")
		p.open()
		if err := p.as(p.twin, twinPassword, "CREATE LIBRARY twin_books.by_twin"+library); err != nil {
			t.Fatal(err)
		}
		var notes []string
		if err := set(t, dbdrivers.SetPasswordRequest{
			As: p.Admin, Account: p.canonical, Twin: p.twin, Password: dbdrivers.NewPassword(siblingPassword),
			Note: func(text string) { notes = append(notes, text) },
		}); err != nil {
			t.Fatal(err)
		}
		if !contains(notes, "EXECUTE on LIBRARY `twin_books`.`by_twin`") {
			t.Errorf("notes %q; want that they name what was granted", notes)
		}
		if err := p.as(p.canonical, siblingPassword, "CREATE LIBRARY twin_books.by_sibling"+library); err != nil {
			t.Fatal(err)
		}
		s.exec(t, "CREATE LIBRARY twin_books.by_nobody"+library)
		p.with("GRANT EXECUTE ON LIBRARY twin_books.by_nobody TO %twin")
		report := p.open()
		if !contains(report.Removed, "`by_nobody`") || contains(report.Removed, "`by_twin`") || !contains(report.Added, "`by_sibling`") {
			t.Errorf("report %+v; want the sibling's library added, and nobody's removed", report)
		}
		for user, password := range map[string]string{p.canonical: siblingPassword, p.twin: twinPassword} {
			if err := p.as(user, password, "ALTER LIBRARY twin_books.by_twin COMMENT '"+user+"'", "ALTER LIBRARY twin_books.by_sibling COMMENT '"+user+"'"); err != nil {
				t.Errorf("%s: %v", user, err)
			}
		}
	})
}

// TestSharingLeavesTheSiblingsOtherRightsAlone: what the operator grants to it and
// takes from it meanwhile is as the operator said.
func TestSharingLeavesTheSiblingsOtherRightsAlone(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Plaintext: true})
	s.shop(t)
	p := s.pair(t, "meanwhile")
	s.exec(t, "CREATE DATABASE twin_meanwhile")
	t.Cleanup(func() { s.clean(t, "DROP DATABASE twin_meanwhile") })
	p.with("GRANT CREATE ROUTINE ON twin_meanwhile.* TO %app", "GRANT SELECT ON twin_shop.* TO %app")
	p.open()
	if err := p.as(p.twin, twinPassword, "CREATE PROCEDURE twin_meanwhile.by_twin () SELECT 1"); err != nil {
		t.Fatal(err)
	}
	as := s.pausing(t, p.Admin, "ON PROCEDURE `twin_meanwhile`", func() {
		p.with("REVOKE SELECT ON twin_shop.* FROM %app", "GRANT INSERT ON twin_shop.* TO %app")
	})
	check(t, set(t, dbdrivers.SetPasswordRequest{As: as, Account: p.canonical, Twin: p.twin, Password: dbdrivers.NewPassword(siblingPassword)}), nil, "")
	grants := strings.Join(p.column(t.Context(), "SHOW GRANTS FOR ?", p.canonical), "\n")
	for grant, want := range map[string]bool{"GRANT SELECT ON `twin_shop`": false, "GRANT INSERT ON `twin_shop`": true, "ON PROCEDURE `twin_meanwhile`.`by_twin`": true} {
		if strings.Contains(grants, grant) != want {
			t.Errorf("the sibling holds %s: %t; want %t", grant, !want, want)
		}
	}
}

// TestProxiesOfTheTwin: the grant option of a proxy brings one on everything
// along, which the sibling has lost again; it takes two rounds.
func TestProxiesOfTheTwin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "proxying")
		s.exec(t, "CREATE ROLE twin_proxy")
		t.Cleanup(func() { s.clean(t, "DROP ROLE twin_proxy") })
		s.exec(t, "GRANT PROXY ON twin_proxy TO ?@'%' WITH GRANT OPTION", s.Admin.Username)
		t.Cleanup(func() { s.clean(t, "REVOKE PROXY ON twin_proxy FROM `"+s.Admin.Username+"`@'%'") })
		p.with("GRANT PROXY ON twin_proxy TO %app WITH GRANT OPTION", "REVOKE GRANT OPTION ON *.* FROM %app")
		p.open()
		p.with("REVOKE PROXY ON twin_proxy FROM %app", "GRANT PROXY ON twin_proxy TO %app")
		p.open()

		// An admin who is restricted on a database may take no proxy away.
		p.with("REVOKE PROXY ON twin_proxy FROM %app")
		_, err := openTwin(t, p.request())
		check(t, err, dbdrivers.ErrPrivilege, "run: REVOKE PROXY ON `twin_proxy`@`%` FROM `proxying_clone`@`%`", twinPassword)
		p.with("REVOKE PROXY ON twin_proxy FROM %twin")
		p.open()
	})
}

// TestSecondPasswordOfTheTwin is what a former dual-password rotation has left.
func TestSecondPasswordOfTheTwin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "formerly_dual")
		p.open()
		p.with("ALTER USER %twin IDENTIFIED BY 'newer' RETAIN CURRENT PASSWORD")
		p.wantTwin(twinPassword, true)
		req := p.request()
		req.Password = dbdrivers.NewPassword("next")
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		p.wantTwin("next", true)
		p.wantTwin("newer", false)
		p.wantTwin(twinPassword, false)
	})
}

func TestHostileTwins(t *testing.T) {
	names := []string{"x'; DROP USER root; --", "o`reilly``", `back\slash\`, "100%s ? $$", "new\nline", "Bjørn-用户", "select", "a@b", strings.Repeat("n", 26)}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, name := range names {
			p := s.pair(t, name)
			p.with("GRANT SELECT ON `twin_?`.* TO %app", "ALTER USER %app REQUIRE SSL WITH MAX_USER_CONNECTIONS 9")
			p.open()
			p.open()
		}
		long := s.pair(t, strings.Repeat("m", 27))
		_, err := openTwin(t, long.request())
		check(t, err, dbdrivers.ErrUnsupported, "32 characters", twinPassword)
	})
}

// TestWhatCannotBeCopied is named before the password is set.
func TestWhatCannotBeCopied(t *testing.T) {
	tests := []struct {
		name          string
		arrange, says []string
	}{
		{name: "a privilege that the admin has not", arrange: []string{"GRANT FILE, SELECT ON *.* TO %app"}, says: []string{"FILE on *.* (Error 1045", "run: GRANT FILE ON *.* TO"}},
		{name: "a dynamic privilege", arrange: []string{"GRANT CONNECTION_ADMIN, XA_RECOVER_ADMIN ON *.* TO %app"}, says: []string{"CONNECTION_ADMIN on *.* (Error 1227"}},
		{name: "a proxy", arrange: []string{"GRANT PROXY ON twin_proxied TO %app"}, says: []string{"PROXY on `twin_proxied`@`%` (Error 1698"}},
		{name: "what the admin may not do on the system's tables", arrange: []string{"GRANT DROP ON *.* TO %app"}, says: []string{"partial revoke of DROP on `mysql`.*, which is too much"}},
		{name: "two of them", arrange: []string{"GRANT FILE, SHUTDOWN ON *.* TO %app", "GRANT PROXY ON twin_proxied TO %app"}, says: []string{"FILE on *.*", "SHUTDOWN on *.*", "PROXY on"}},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		s.exec(t, "CREATE ROLE twin_proxied")
		t.Cleanup(func() { s.clean(t, "DROP ROLE twin_proxied") })
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				for _, made := range []bool{false, true} {
					p := s.pair(t, "uncopied")
					if made {
						p.open()
					}
					p.with(test.arrange...)
					req := p.request()
					req.Password = dbdrivers.NewPassword("next-password")
					_, err := openTwin(t, req)
					for _, says := range test.says {
						check(t, err, dbdrivers.ErrPrivilege, says, "next-password")
					}
					p.wantTwin("next-password", false)
					locked := p.column(t.Context(), "SELECT account_locked FROM mysql.user WHERE user = ?", p.twin)
					if want := map[bool]string{false: "Y", true: "N"}[made]; !slices.Equal(locked, []string{want}) {
						t.Errorf("the twin is locked: %q; want %s", locked, want)
					}
					if made {
						p.wantTwin(twinPassword, true)
					}
					// What it says is the remedy.
					_, remedies, _ := strings.Cut(err.Error(), "run: ")
					remedies, _, _ = strings.Cut(remedies, ", or take it")
					for sql := range strings.SplitSeq(remedies, "; ") {
						s.exec(t, sql)
					}
					p.open()
					p.drop(p.canonical, p.twin)
				}
			})
		}
	})
}

func TestWhatHasNoTwin(t *testing.T) {
	tests := []struct {
		name, says string
		arrange    []string
		change     func(*dbdrivers.OpenTwinRequest)
		want       error
	}{
		{name: "a superuser", says: "SUPER", arrange: []string{"GRANT SUPER ON *.* TO %app"}},
		{name: "an account that makes accounts", says: "CREATE USER", arrange: []string{"GRANT CREATE USER ON *.* TO %app"}},
		{name: "an account of the system", says: "SYSTEM_USER", arrange: []string{"GRANT SYSTEM_USER ON *.* TO %app"}},
		{name: "an admin by a role", says: `CREATE USER by the role "rds_superuser_role"`, arrange: []string{"GRANT rds_superuser_role TO %app"}},
		{name: "a locked account", says: "is locked", arrange: []string{"ALTER USER %app ACCOUNT LOCK"}},
		{name: "the admin", says: "the admin itself", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = r.Admin.Username }},
		{name: "the admin as the twin", says: "the admin itself", change: func(r *dbdrivers.OpenTwinRequest) { r.Twin = r.Admin.Username; r.Proven = true }},
		{name: "itself", says: "one of its own", change: func(r *dbdrivers.OpenTwinRequest) { r.Twin = r.Canonical }},
		{name: "root", says: "reserved", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "root" }},
		{name: "RDS's own account as the twin", says: "reserved", change: func(r *dbdrivers.OpenTwinRequest) { r.Twin = "rdsadmin"; r.Proven = true }},
		{name: "the server's own account", says: "reserved", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "mysql.sys" }},
		{name: "a role", says: "is a role", arrange: []string{"CREATE ROLE lonely_role"}, change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "lonely_role" }},
		{name: "nobody", says: "does not exist", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "lonely_nobody" }},
		{name: "an owner role", says: "ownerRole", change: func(r *dbdrivers.OpenTwinRequest) { r.OwnerRole = "owner" }},
		{name: "not to be created", says: "CREATE USER", change: func(r *dbdrivers.OpenTwinRequest) { r.MayCreate = false }},
		{name: "a hash", says: "rot13", change: func(r *dbdrivers.OpenTwinRequest) { r.Hash = "rot13" }},
		{name: "an empty password", says: "empty", want: dbdrivers.ErrPasswordRules, change: func(r *dbdrivers.OpenTwinRequest) { r.Password = dbdrivers.NewPassword("") }},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				p := s.pair(t, "lonely")
				t.Cleanup(func() { p.drop("lonely_role") })
				p.with(test.arrange...)
				req := p.request()
				if test.change != nil {
					test.change(&req)
				}
				if test.want == nil {
					test.want = dbdrivers.ErrUnsupported
				}
				_, err := openTwin(t, req)
				check(t, err, test.want, test.says, twinPassword, p.Admin.Password.Reveal())
				if len(p.holds(p.twin)["user"]) > 0 {
					t.Error("a twin was made")
				}
			})
		}
	})
}

// TestTwinMadeByHand runs what the error names where accounts are not to be
// created.
func TestTwinMadeByHand(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "by'hand", "%", "10.%")
		req := p.request()
		req.MayCreate = false
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "as the admin run: ", twinPassword)
		if !errors.Is(err, dbdrivers.ErrTwinMissing) {
			t.Errorf("error %v; want that the twin is missing", err)
		}
		s.remedy(t, err, "as the admin run: ")
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		p.wantEqual()
	})
}

// TestCutOffTwins breaks off a call that makes a twin of several rows and many
// rights, and one that takes a twin over, after each of its messages. Two pairs
// share the cuts of each, since most of the time is the server's.
func TestCutOffTwins(t *testing.T) {
	t.Parallel()
	const pairs = 2
	for _, version := range dbservers.TestedMySQLVersions() {
		for _, cloned := range []bool{false, true} {
			for first := range pairs {
				name := fmt.Sprintf("cut_off_%t_%d", cloned, first)
				t.Run("version "+version+" "+name, func(t *testing.T) {
					t.Parallel()
					s := start(t, dbservers.MySQLOptions{Version: version, Plaintext: true})
					s.shop(t)
					nth := first
					for ; s.cutOffAt(t, name, nth, cloned); nth += pairs {
					}
					if nth < fewestMessages {
						t.Errorf("the call was cut off before message %d at the latest; it is of more", nth)
					}
				})
			}
		}
	}
}

// fewestMessages is less than a call that opens a twin can do with.
const fewestMessages = 20

// cutOffAt reports whether the call came as far as the nth message.
func (s *server) cutOffAt(t *testing.T, name string, nth int, cloned bool) bool {
	t.Helper()
	p := s.pair(t, name, "%", "10.%")
	defer p.drop(p.canonical, p.twin)
	p.with("GRANT SELECT ON twin_shop.* TO %app WITH GRANT OPTION", "GRANT XA_RECOVER_ADMIN ON *.* TO %app", "GRANT twin_admin TO %app", "SET DEFAULT ROLE twin_admin TO %app",
		"ALTER USER %app WITH MAX_USER_CONNECTIONS 17", "GRANT SELECT ON twin_shop.orders TO "+backquoted(name)+"@`10.%`")
	req := p.request()
	if cloned {
		p.clone()
		p.with("GRANT twin_read TO %twin")
		req.Proven = true
	}
	var cut func() bool
	req.Admin, cut = s.gated(t, s.Admin, nth, true)
	_, err := openTwin(t, req)
	if !cut() {
		if err != nil {
			t.Errorf("nothing was cut off: %v", err)
		}
		return false
	}
	check(t, err, dbdrivers.ErrUnreachable, "", twinPassword)
	complete := func() {
		t.Helper()
		if cloned {
			p.with("REVOKE IF EXISTS twin_read FROM %twin")
		}
		p.wantEqual()
	}
	if verify(t, p.login(p.twin, twinPassword)) == nil {
		complete()
	} else if cloned {
		p.wantTwin(clonePassword, true)
	}
	req.Admin = s.Admin
	if _, err := openTwin(t, req); err != nil {
		t.Fatalf("cut off at message %d, then: %v", nth, err)
	}
	complete()
	return true
}
