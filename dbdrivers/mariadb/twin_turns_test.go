package mariadb_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
)

// TestTenTurns is a pair whose sibling changes between all turns of the twin.
func TestTenTurns(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "turning")
		p.open()
		for _, change := range [][]string{
			{"GRANT SELECT, INSERT ON twin_shop.* TO %app WITH GRANT OPTION"},
			{"REVOKE INSERT, GRANT OPTION ON twin_shop.* FROM %app", "GRANT UPDATE (id, note) ON twin_shop.orders TO %app"},
			{"GRANT twin_admin TO %app WITH ADMIN OPTION", "GRANT twin_read TO %app", "SET DEFAULT ROLE twin_admin FOR %app"},
			{"REVOKE UPDATE (id) ON twin_shop.orders FROM %app", "SET DEFAULT ROLE twin_read FOR %app", "REVOKE ADMIN OPTION FOR twin_admin FROM %app"},
			{"GRANT PROCESS, RELOAD ON *.* TO %app WITH GRANT OPTION", "GRANT EXECUTE ON PROCEDURE twin_shop.p1 TO %app"},
			{"REVOKE PROCESS ON *.* FROM %app", "GRANT UPDATE ON twin_shop.orders TO %app"},
			{"REVOKE twin_read FROM %app", "SET DEFAULT ROLE NONE FOR %app", "ALTER USER %app REQUIRE SSL WITH MAX_USER_CONNECTIONS 11"},
			{"REVOKE GRANT OPTION, RELOAD ON *.* FROM %app", "REVOKE EXECUTE ON PROCEDURE twin_shop.p1 FROM %app", "ALTER USER %app REQUIRE NONE"},
			{"REVOKE UPDATE ON twin_shop.orders FROM %app", "GRANT UPDATE (note) ON twin_shop.orders TO %app", "GRANT twin_admin TO %app WITH ADMIN OPTION"},
			{"REVOKE twin_admin FROM %app", "REVOKE SELECT ON twin_shop.* FROM %app", "REVOKE UPDATE (note) ON twin_shop.orders FROM %app"},
		} {
			p.with(change...)
			if report := p.open(); len(report.Added)+len(report.Removed) == 0 {
				t.Errorf("nothing is reported of %q", change)
			}
		}
		if holds := p.holds(p.twin); len(holds) != 1 {
			t.Errorf("in the end the twin holds %q; want a row of its own alone", holds)
		}
	})
}

// TestNothingToDoIsNothingSaid: a turn without a change of the sibling says one
// statement that changes anything.
func TestNothingToDoIsNothingSaid(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "unchanged", "%", "10.%")
		p.with("GRANT SELECT ON twin_shop.* TO %app WITH GRANT OPTION", "GRANT twin_read TO %app", "SET DEFAULT ROLE twin_read FOR %app", "ALTER USER %app REQUIRE SSL WITH MAX_STATEMENT_TIME 0.1")
		statements := func(call func()) (said []string) {
			t.Helper()
			before := s.general(t)
			call()
			for line := range strings.SplitSeq(s.general(t)[len(before):], "\n") {
				_, statement, is := strings.Cut(line, " Query\t")
				word, _, _ := strings.Cut(statement, " ")
				if is && slices.Contains([]string{"GRANT", "REVOKE", "ALTER", "CREATE", "RENAME", "DROP"}, word) {
					said = append(said, word)
				}
			}
			return said
		}
		if said := statements(func() { p.open() }); !slices.Contains(said, "RENAME") || !slices.Contains(said, "GRANT") {
			t.Fatalf("the log tells of %q; it proves nothing", said)
		}
		if diff := cmp.Diff([]string{"ALTER"}, statements(func() { p.open() })); diff != "" {
			t.Errorf("statements of a turn without a change (-want +got):\n%s", diff)
		}
	})
}

// general is the server's log of statements.
func (s *server) general(t *testing.T) string {
	t.Helper()
	log, err := s.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// TestGrantsToEverybody are nobody's own, and are not copied; nor are they taken
// for a difference by who has them.
func TestGrantsToEverybody(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		s.shop(t)
		s.exec(t, "GRANT SELECT ON twin_shop.* TO PUBLIC")
		t.Cleanup(func() { s.clean(t, "REVOKE SELECT ON twin_shop.* FROM PUBLIC") })
		p := s.pair(t, "publicly")
		p.with("GRANT SELECT ON mysql.* TO %app", "GRANT twin_read TO %app", "SET DEFAULT ROLE twin_read FOR %app")
		p.open()
		if got := p.holds(p.twin)["db"]; len(got) != 1 || !strings.Contains(got[0], "mysql") {
			t.Errorf("the twin holds %q; want its sibling's own right alone", got)
		}
		for user, password := range map[string]string{p.canonical: siblingPassword, p.twin: twinPassword} {
			found, err := mariadb.New().VerifyTwin(inTime(t), dbdrivers.VerifyTwinRequest{Login: p.login(user, password), Canonical: p.canonical, Twin: p.twin})
			if err != nil || len(found) > 0 {
				t.Errorf("%s: differences %q, %v; want none", user, found, err)
			}
		}
		p.with("REVOKE twin_read FROM %twin")
		found, err := mariadb.New().VerifyTwin(inTime(t), dbdrivers.VerifyTwinRequest{Login: p.login(p.canonical, siblingPassword), Canonical: p.canonical, Twin: p.twin})
		if diff := cmp.Diff([]string{"lacks role `twin_read`"}, found); diff != "" || err != nil {
			t.Errorf("error %v, differences (-want +got):\n%s", err, diff)
		}
	})
}

// TestPrivilegesOfTheTwinsAdmin names what the admin lacks, one after the other,
// before there is a twin.
func TestPrivilegesOfTheTwinsAdmin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "administered")
		oracle := func(sql string) { p.with("SET SESSION sql_mode = 'ORACLE'", sql, "SET SESSION sql_mode = ''") }
		p.with("GRANT SELECT ON twin_shop.* TO %app")
		oracle("GRANT EXECUTE ON PACKAGE twin_shop.pk TO %app")
		req := p.request()
		req.Admin = s.userAt(t, "weak_admin", "%", third, "IDENTIFIED BY ?", third)
		for _, step := range []struct {
			says, grant string
			made        bool
		}{
			{"GRANT SELECT ON mysql.* TO `weak_admin`@`%`", "GRANT SELECT ON mysql.* TO weak_admin", false},
			{"GRANT CREATE USER ON *.* TO `weak_admin`@`%`", "GRANT CREATE USER ON *.* TO weak_admin", false},
			{"run: GRANT SELECT ON `twin_shop`.* TO `administered_clone`@`%`", "GRANT SELECT ON twin_shop.* TO weak_admin WITH GRANT OPTION", true},
			{"equal to its sibling: EXECUTE on PACKAGE `twin_shop`.`pk` (Error 1370", "GRANT EXECUTE ON PACKAGE twin_shop.pk TO weak_admin WITH GRANT OPTION", true},
		} {
			_, err := openTwin(t, req)
			check(t, err, dbdrivers.ErrPrivilege, step.says, twinPassword, third)
			p.wantTwin(twinPassword, false)
			if made := len(p.holds(p.twin)["user"]) > 0; made != step.made {
				t.Errorf("after %v there is a twin: %t; want %t", err, made, step.made)
			}
			oracle(step.grant)
		}
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		p.wantEqual()
	})
}
