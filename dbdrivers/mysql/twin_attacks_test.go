package mysql_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestAnApplicationThatGrants is one that may grant on its own database, and
// names what it makes there so that a grant on it reads like more.
func TestAnApplicationThatGrants(t *testing.T) {
	// A server of its own: after any statement on accounts that fails, as other
	// tests' do, MySQL 9.7 reads its tables anew, and loses the names of routines
	// beyond ASCII.
	eachVersionSet(t, map[string]string{"report_host": "granting"}, func(t *testing.T, s *server) {
		s.exec(t, "CREATE DATABASE `twin-own`")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE `twin-own`") })
		p := s.pair(t, "granter")
		p.with("GRANT ALL ON `twin-own`.* TO %app WITH GRANT OPTION")
		p.open()
		me, twin := backquoted(p.canonical)+"@`%`", backquoted(p.twin)+"@`%`"
		for _, name := range []string{
			"t` TO `root`@`%` WITH GRANT OPTION; -- x", "t' TO 'root'@'%'", "*.*", "t\nGRANT ALL PRIVILEGES ON *.* TO `granter_clone`@`%`", `ends in \`, "用户 表", "%", "_", "? ?", "`", "``",
			"ON *.* TO", strings.Repeat("n", 64),
		} {
			table := "`twin-own`." + backquoted(name)
			column := backquoted("c) ON *.* TO `x`, SELECT (" + strings.Repeat("`", 3))
			statements := []string{
				"CREATE TABLE " + table + " (id int, " + column + " int)",
				"GRANT SELECT (id, " + column + "), INSERT ON " + table + " TO " + me + " WITH GRANT OPTION",
				"GRANT ALL ON " + table + " TO " + twin + " WITH GRANT OPTION",
				"CREATE PROCEDURE " + table + " () SELECT 1",
				"GRANT EXECUTE ON PROCEDURE " + table + " TO " + me,
			}
			if err := p.as(p.canonical, siblingPassword, statements...); err != nil {
				t.Fatalf("%q: %v", name, err)
			}
		}
		if report := p.open(); !contains(report.Removed, "GRANT OPTION on") && !contains(report.Removed, "ALL PRIVILEGES on") {
			t.Errorf("removed %q; want what the application gave the twin beyond itself", report.Removed)
		}
		reach := func(account string) []string {
			return p.column(t.Context(), "SELECT DISTINCT db FROM (SELECT user, db FROM mysql.db UNION ALL SELECT user, db FROM mysql.tables_priv "+
				"UNION ALL SELECT user, db FROM mysql.columns_priv UNION ALL SELECT user, db FROM mysql.procs_priv) held WHERE user = ? ORDER BY db", account)
		}
		if diff := cmp.Diff([]string{"twin-own"}, reach(p.twin)); diff != "" {
			t.Errorf("the databases of the twin (-want +got):\n%s", diff)
		}
		if global := p.column(t.Context(), "SELECT CONCAT(select_priv, create_priv, grant_priv, super_priv) FROM mysql.user WHERE user = ?", p.twin); global[0] != "NNNN" {
			t.Errorf("the twin's privileges on everything: %q", global)
		}
	})
}

// TestATwinsNameThatIsARole: to open a role would open all that its holders were
// given by it, and shut nobody out who holds it.
func TestATwinsNameThatIsARole(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "role_twinned")
		s.exec(t, "CREATE ROLE role_twinned_clone")
		s.userAt(t, "role_holder", "%", first, "IDENTIFIED BY ? DEFAULT ROLE role_twinned_clone", first)
		p.with("GRANT SELECT ON twin_roles.* TO %app")
		before := p.holds(p.twin)
		for _, mark := range []string{"", "made", "taken"} {
			if mark != "" {
				s.mark(t, p.twin, mark, p.canonical)
			}
			for _, proven := range []bool{false, true} {
				req := p.request()
				req.Proven = proven
				_, err := openTwin(t, req)
				check(t, err, dbdrivers.ErrUnsupported, p.twin, twinPassword)
				if diff := cmp.Diff(before, p.holds(p.twin)); diff != "" {
					t.Errorf("%s: the role was changed: %s", mark, diff)
				}
				kept := p.column(t.Context(), "SELECT CONCAT(account_locked, authentication_string) FROM mysql.user WHERE user = ?", p.twin)
				if diff := cmp.Diff([]string{"Y"}, kept); diff != "" {
					t.Errorf("%s: the role's lock and password (-want +got):\n%s", mark, diff)
				}
			}
		}
	})
}

// TestNamesThatLookTheSame: the case of a username counts, that of a host does
// not, and to the table's collation blanks at the end are nothing.
func TestNamesThatLookTheSame(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "alike", "%", "O'dd`Ho\\st.Example", "Some.Host.Example")
		s.userAt(t, "ALIKE_CLONE", "%", third, "IDENTIFIED BY ?", third)
		s.userAt(t, "Alike", "%", third, "IDENTIFIED BY ?", third)
		s.exec(t, "GRANT SELECT ON twin_alike.* TO Alike@'%', ALIKE_CLONE@'%'")
		p.with("GRANT INSERT ON twin_alike.* TO `alike`@`SOME.host.EXAMPLE`")
		s.userAt(t, "alike_elsewhere", "203.0.113.9", third, "IDENTIFIED BY ?", third)
		elsewhere, upper := p.holds("alike_elsewhere"), p.holds("ALIKE_CLONE")
		p.open()
		p.open()
		if diff := cmp.Diff(upper, p.holds("ALIKE_CLONE")); diff != "" {
			t.Errorf("an account of another name was changed: %s", diff)
		}
		before := p.holds(p.twin)
		for name, change := range map[string]func(*dbdrivers.OpenTwinRequest){
			"the twin's, and a blank":          func(r *dbdrivers.OpenTwinRequest) { r.Twin += " " },
			"the sibling's, and a blank":       func(r *dbdrivers.OpenTwinRequest) { r.Canonical += " " },
			"another account's, and a blank":   func(r *dbdrivers.OpenTwinRequest) { r.Twin = "alike_elsewhere " },
			"the sibling's in capital letters": func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "ALIKE" },
			"the admin's, and a blank":         func(r *dbdrivers.OpenTwinRequest) { r.Twin = r.Admin.Username + " " },
			"root's, and a blank":              func(r *dbdrivers.OpenTwinRequest) { r.Twin = "root " },
		} {
			req := p.request()
			req.Password, req.Proven = dbdrivers.NewPassword(second), true
			change(&req)
			_, err := openTwin(t, req)
			check(t, err, dbdrivers.ErrUnsupported, "", second)
			if diff := cmp.Diff([]any{before, upper, elsewhere}, []any{p.holds(p.twin), p.holds("ALIKE_CLONE"), p.holds("alike_elsewhere")}); diff != "" {
				t.Errorf("%s: an account was changed: %s", name, diff)
			}
			p.wantTwin(twinPassword, true)
			p.wantTwin(second, false)
		}
		if err := verify(t, s.Admin); err != nil {
			t.Errorf("the admin: %v", err)
		}
	})
}

// TestADefinerThatOnlyLooksLikeTheTwin grants the twin a routine of its own: that
// is no reason to grant it to the sibling.
func TestADefinerThatOnlyLooksLikeTheTwin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "defined")
		s.exec(t, "CREATE DATABASE twin_defined")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE twin_defined") })
		p.open()
		other := s.userAt(t, "DEFINED_CLONE", "%", third, "IDENTIFIED BY ?", third)
		s.exec(t, "GRANT CREATE ROUTINE, EXECUTE ON twin_defined.* TO DEFINED_CLONE@'%' WITH GRANT OPTION")
		if err := p.as(other.Username, third, "CREATE PROCEDURE twin_defined.trap () SELECT 1", "GRANT EXECUTE ON PROCEDURE twin_defined.trap TO defined_clone@'%'"); err != nil {
			t.Fatal(err)
		}
		report := p.open()
		if contains(report.Added, "trap") || !contains(report.Removed, "trap") {
			t.Errorf("added %q, removed %q; want that the routine is taken from the twin, and not given to its sibling", report.Added, report.Removed)
		}
	})
}

// TestRolesOfEverybody are granted to all accounts by a setting of the server,
// and cannot be taken away.
func TestRolesOfEverybody(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Settings: map[string]string{"mandatory_roles": "everybodys"}})
	s.exec(t, "CREATE ROLE IF NOT EXISTS everybodys")
	p := s.pair(t, "one_of_all")
	for _, statements := range [][]string{
		{"SET DEFAULT ROLE everybodys TO %app"},
		{"GRANT everybodys TO %app"},
		{"SET DEFAULT ROLE NONE TO %app"},
		{"GRANT everybodys TO %app WITH ADMIN OPTION"},
	} {
		p.with(statements...)
		p.open()
		p.open()
	}
	// What the twin has of it beyond its sibling cannot go.
	q := s.pair(t, "another_of_all")
	q.open()
	q.with("GRANT everybodys TO %twin WITH ADMIN OPTION")
	req := q.request()
	req.Password = dbdrivers.NewPassword(second)
	_, err := openTwin(t, req)
	check(t, err, dbdrivers.ErrUnsupported, "3628", second, twinPassword)
	q.wantTwin(twinPassword, true)
	q.wantTwin(second, false)
}

// TestAttributesThatLookLikeTheServers are an operator's, who may write what he
// likes beside what the server keeps of an account.
func TestAttributesThatLookLikeTheServers(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "attributed")
		p.open()
		const attribute = `ATTRIBUTE '{"additional_password": "x", "multi_factor_authentication": [{"plugin": "auth_socket"}], "Restrictions": [{"Database": "mysql", "Privileges": ["SELECT"]}], "a": {"b": [1, null]}}'`
		p.with("ALTER USER %app "+attribute, "ALTER USER %twin "+attribute)
		if notes := p.noted(); len(notes) > 0 {
			t.Errorf("notes %q", notes)
		}
		check(t, retain(t, s.Admin, p.canonical, siblingPassword, second), nil, "")
		s.wantOpen(t, p.login(p.canonical, second), []string{siblingPassword, second})
		check(t, s.setByAdmin(t, p.canonical, siblingPassword), nil, "")
		s.wantOpen(t, p.login(p.canonical, second), []string{siblingPassword}, second)
	})
}

// TestATwinOfNobodys: no other account's mark is proof, whatever the caller has
// been told.
func TestATwinOfNobodys(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "nobodys")
		for _, of := range []string{"nobodys ", "Nobodys", "nobodys_clone", "another"} {
			s.exec(t, "CREATE USER ?@'%' IDENTIFIED BY ?", p.twin, clonePassword)
			s.mark(t, p.twin, "equal", of)
			for _, also := range []bool{false, true} {
				if also {
					s.mark(t, p.twin, "equal", p.canonical)
				}
				req := p.request()
				req.Proven = true
				_, err := openTwin(t, req)
				check(t, err, dbdrivers.ErrUnsupported, "is marked as another account's", twinPassword)
				if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
					t.Errorf("%s: error %v; want that nothing proves the twin", of, err)
				}
				p.wantTwin(clonePassword, true)
			}
			p.drop(p.twin)
		}
		p.open()
		p.open()
	})
}

// TestAnAccountForgesAMark says of itself what it can, without any privilege but
// one to make roles: that proves nothing, and neither it nor its sibling is
// touched.
func TestAnAccountForgesAMark(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "forged")
		s.userAt(t, p.twin, "%", first, "IDENTIFIED BY ?", first)
		p.with("GRANT CREATE ROLE ON *.* TO %twin")
		role := backquoted(mysql.MarkRole("equal", p.canonical))
		attribute := ` ATTRIBUTE '{"dbrotation": {"twinOf": "forged", "state": "kept equal"}}'`
		said := 0
		for _, sql := range []string{
			"ALTER USER CURRENT_USER() IDENTIFIED BY '" + first + "'" + attribute,
			"ALTER USER USER() IDENTIFIED BY '" + first + "' REPLACE '" + first + "'" + attribute,
			"CREATE ROLE " + role,
			"GRANT " + role + " TO CURRENT_USER()",
			"GRANT " + role + " TO forged_clone WITH ADMIN OPTION",
			"ALTER USER CURRENT_USER() DEFAULT ROLE " + role,
			"SET ROLE " + role,
		} {
			if err := p.as(p.twin, first, sql); err == nil {
				said++
			}
			check(t, set(t, dbdrivers.SetPasswordRequest{As: s.Admin, Account: p.canonical, Twin: p.twin, Password: dbdrivers.NewPassword(third)}),
				dbdrivers.ErrUnsupported, dbdrivers.ErrTwinUnproven.Error(), third)
			_, err := openTwin(t, p.request())
			check(t, err, dbdrivers.ErrUnsupported, dbdrivers.ErrTwinUnproven.Error(), twinPassword)
		}
		if said == 0 {
			t.Error("the server took none of it; nothing was tried")
		}
		s.wantOpen(t, p.login(p.canonical, siblingPassword), []string{siblingPassword}, third)
		s.wantOpen(t, p.login(p.twin, first), []string{first}, twinPassword)
	})
}

// TestATwinShakesItsMarkOff, or changes it, to keep what its sibling has lost, or
// to be nobody's twin: on its next turn it is as equal as ever.
func TestATwinShakesItsMarkOff(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "shaking")
		for _, sql := range []string{
			"ALTER USER CURRENT_USER() IDENTIFIED BY '" + twinPassword + `' ATTRIBUTE '{"dbrotation": null}'`,
			"ALTER USER CURRENT_USER() IDENTIFIED BY '" + twinPassword + `' ATTRIBUTE '{"dbrotation": {"twinOf": "z"}}'`,
			"ALTER USER CURRENT_USER() DEFAULT ROLE NONE",
			"REVOKE " + backquoted(mysql.MarkRole("equal", p.canonical)) + " FROM CURRENT_USER()",
			"DROP ROLE " + backquoted(mysql.MarkRole("equal", p.canonical)),
			"REVOKE ALL PRIVILEGES, GRANT OPTION FROM CURRENT_USER()",
			"ALTER USER CURRENT_USER() DEFAULT ROLE " + backquoted(mysql.MarkRole("equal", p.canonical)),
		} {
			p.with("GRANT SELECT, DELETE ON twin_shop.* TO %app")
			p.open()
			p.with("REVOKE DELETE ON twin_shop.* FROM %app")
			err := p.as(p.twin, twinPassword, sql)
			t.Logf("%s: %v", sql, err)
			req := p.request()
			req.Proven = true
			report, err := openTwin(t, req)
			if err != nil || report.TakenOver || len(report.Kept) > 0 || !contains(report.Removed, "DELETE on `twin_shop`.*") {
				t.Errorf("%s: report %+v, error %v; want that DELETE is revoked", sql, report, err)
			}
		}
	})
}

// TestAMarkWithRights is a role that marks a twin and that somebody has granted
// something: the twin could make it its own, and its sibling could not.
func TestAMarkWithRights(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "marked_more")
		p.open()
		role := backquoted(mysql.MarkRole("equal", p.canonical))
		p.with("GRANT DELETE ON twin_shop.* TO "+role, "GRANT SELECT ON twin_shop.* TO "+role+" WITH GRANT OPTION")
		if report := p.open(); !contains(report.Removed, "DELETE on `twin_shop`.* of the role that marks it") {
			t.Errorf("report %+v", report)
		}
		if err := p.as(p.twin, twinPassword, "SET ROLE "+role, "DELETE FROM twin_shop.orders"); err == nil {
			t.Error("the twin may do by its mark what its sibling may not")
		}
	})
}

// TestNobodysLockIsUndone is a twin that is open when its turn begins: should an
// operator lock it meanwhile, it stays locked.
func TestNobodysLockIsUndone(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "locked_now")
		p.open()
		p.open()
		log, err := s.Log(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		changes, unlocks := 0, 0
		for line := range strings.Lines(log) {
			if _, sql, is := strings.Cut(line, " Query\t"); is && strings.HasPrefix(sql, "ALTER USER 'locked_now_clone'@") {
				changes++
				unlocks += strings.Count(sql, "ACCOUNT UNLOCK")
			}
		}
		if changes != 2 || unlocks != 1 {
			t.Errorf("%d changes of the twin's password, of which %d unlock it; want 2 and 1", changes, unlocks)
		}
	})
}
