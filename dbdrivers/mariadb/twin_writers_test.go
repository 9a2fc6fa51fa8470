package mariadb_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
)

// TestAMarkThatIsWrittenIntoTheTables is none: what counts is what the server
// itself has granted.
func TestAMarkThatIsWrittenIntoTheTables(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		p := s.pair(t, "forged")
		p.make(p.twin, "%", clonePassword)
		const role = "dbrotation(twin of forged, equal, 01234567)"
		p.with("GRANT INSERT ON mysql.roles_mapping TO %twin", "CREATE ROLE `"+role+"`")
		t.Cleanup(func() { s.clean(t, "DROP ROLE `"+role+"`") })
		if err := p.as(p.twin, clonePassword, "INSERT INTO mysql.roles_mapping VALUES ('%', 'forged_clone', '"+role+"', 'N')"); err != nil {
			t.Fatal(err)
		}
		wantRefused := func(class error, tells string) {
			t.Helper()
			check(t, p.siblingsTurn(s.Admin, clonePassword, second), class, tells, second)
			s.wantOpen(t, p.login(p.canonical, siblingPassword), []string{siblingPassword}, second)
			_, err := openTwin(t, p.request())
			check(t, err, class, tells, twinPassword)
			p.wantTwin(clonePassword, true)
		}
		wantRefused(dbdrivers.ErrTwinUnproven, p.twin)
		// The row is as the server writes it, and counts once it is read.
		s.exec(t, "FLUSH PRIVILEGES")
		wantRefused(dbdrivers.ErrUnsupported, `"forged_clone" has INSERT, UPDATE or DELETE on tables of the schema mysql, and so is an admin itself`)
		p.with("REVOKE INSERT ON mysql.roles_mapping FROM %twin")
		check(t, p.siblingsTurn(s.Admin, clonePassword, second), nil, "")
	})
}

// TestTwinsThatWriteTheTablesOfAccounts could mark what they like.
func TestTwinsThatWriteTheTablesOfAccounts(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.exec(t, "CREATE DATABASE IF NOT EXISTS twin_written")
		for name, c := range map[string]struct{ grant, tells string }{
			"INSERT on everything":       {"GRANT INSERT ON *.* TO %", "run: REVOKE INSERT ON *.* FROM"},
			"UPDATE and DELETE on it":    {"GRANT UPDATE, DELETE, SELECT ON *.* TO %", "run: REVOKE UPDATE, DELETE ON *.* FROM"},
			"DELETE on every database":   {"GRANT DELETE ON `%`.* TO %", "run: REVOKE DELETE ON `%`.* FROM"},
			"INSERT on what looks alike": {"GRANT INSERT ON `m_sql`.* TO %", "run: REVOKE INSERT ON `m_sql`.* FROM"},
			"everything by a role":       {"GRANT all_writers TO %", "run: REVOKE INSERT ON *.* FROM `all_writers`"},
			"UPDATE on mysql":            {"GRANT UPDATE ON mysql.* TO %", "an admin itself"},
			"DELETE on a table":          {"GRANT DELETE ON mysql.roles_mapping TO %", "an admin itself"},
			"SUPER":                      {"GRANT SUPER ON *.* TO %", "an admin itself"},
			"most of its own database":   {"GRANT SELECT, INSERT, UPDATE, DELETE ON twin_written.* TO %", ""},
			"most of databases by name":  {"GRANT SELECT, INSERT, UPDATE, DELETE ON `twin\\_%`.* TO %", ""},
			"to read everything":         {"GRANT SELECT ON *.* TO %", ""},
		} {
			t.Run(name, func(t *testing.T) {
				s.exec(t, "CREATE ROLE IF NOT EXISTS all_writers")
				for _, holder := range []string{"twin", "app"} {
					s.exec(t, "GRANT INSERT ON *.* TO all_writers")
					p := s.pair(t, "table_writer_"+holder)
					p.open()
					p.with(strings.Replace(c.grant, "TO %", "TO %"+holder, 1))
					turn := p.siblingsTurn(s.Admin, twinPassword, second)
					req := p.request()
					req.Password = dbdrivers.NewPassword(third)
					_, opening := openTwin(t, req)
					if c.tells == "" {
						check(t, turn, nil, "")
						check(t, opening, nil, "")
						continue
					}
					for _, err := range []error{turn, opening} {
						check(t, err, dbdrivers.ErrUnsupported, c.tells, second, third)
					}
					s.wantOpen(t, p.login(p.canonical, siblingPassword), []string{siblingPassword}, second)
					p.wantTwin(twinPassword, true)
					if _, remedy, found := strings.Cut(fmt.Sprint(turn), "run: "); found {
						remedy, _, _ = strings.Cut(remedy, ", and grant")
						s.exec(t, remedy)
						check(t, p.siblingsTurn(s.Admin, twinPassword, second), nil, "")
					}
				}
			})
		}
	})
}

// TestAMarkWithTheAdminOption is none, and is a difference like any other role
// that the sibling has not.
func TestAMarkWithTheAdminOption(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "marked_admin")
		p.open()
		const role = "dbrotation(twin of marked_admin, taken, 01234567)"
		p.with("CREATE ROLE `"+role+"`", "GRANT `"+role+"` TO %twin WITH ADMIN OPTION", "GRANT `"+role+"` TO %admin WITH ADMIN OPTION")
		t.Cleanup(func() { s.clean(t, "DROP ROLE `"+role+"`") })
		found, err := mariadb.New().VerifyTwin(inTime(t), dbdrivers.VerifyTwinRequest{Login: s.Admin, Canonical: p.canonical, Twin: p.twin})
		if err != nil || !contains(found, "with ADMIN OPTION") {
			t.Errorf("differences %q, error %v; want the role with its option", found, err)
		}
		if report := p.open(); !contains(report.Removed, "with ADMIN OPTION") {
			t.Errorf("removed %q; want the role with its option", report.Removed)
		}
	})
}

// TestAbandonedRotationThatWaited has signed in, and waits for its turn while
// another one is done: what that has set stays.
func TestAbandonedRotationThatWaited(t *testing.T) {
	eachPlain(t, func(t *testing.T, s *server) {
		for _, other := range []string{third, second} {
			judge := func(t *testing.T, err error) {
				t.Helper()
				if other == second {
					// A call of the same rotation is no other.
					check(t, err, nil, "")
				} else {
					check(t, err, dbdrivers.ErrBusy, "another session has just", first, second, third)
				}
			}
			meanwhile := func(t *testing.T, happens func() error) dbdrivers.Login {
				return before(t, s.Admin, "GET_LOCK", func() bool {
					check(t, happens(), nil, "")
					return true
				})
			}
			t.Run("two passwords", func(t *testing.T) {
				login := s.user(t, "waited", "IDENTIFIED BY 'first-password-1A'")
				as := meanwhile(t, func() error { return s.retain(t, "waited", first, other) })
				judge(t, retain(t, as, "waited", first, second))
				s.wantOpen(t, login, []string{first, other})
			})
			t.Run("one password", func(t *testing.T) {
				login := s.user(t, "waited", "IDENTIFIED BY 'first-password-1A'")
				as := meanwhile(t, func() error { return s.retain(t, "waited", first, other) })
				judge(t, set(t, dbdrivers.SetPasswordRequest{As: as, Account: "waited", Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(second)}))
				s.wantOpen(t, login, []string{other})
			})
			t.Run("the sibling's turn", func(t *testing.T) {
				p := s.pair(t, "waited_pair")
				p.open()
				as := meanwhile(t, func() error { return p.siblingsTurn(s.Admin, twinPassword, other) })
				judge(t, p.siblingsTurn(as, twinPassword, second))
				s.wantOpen(t, p.login(p.canonical, other), []string{other})
			})
			for _, exists := range []bool{true, false} {
				t.Run("the twin's turn", func(t *testing.T) {
					p := s.pair(t, "waited_pair")
					if exists {
						p.open()
					}
					turn := func(as dbdrivers.Login, password string) error {
						req := p.request()
						req.Admin, req.Current, req.Password = as, dbdrivers.NewPassword(siblingPassword), dbdrivers.NewPassword(password)
						_, err := openTwin(t, req)
						return err
					}
					as := meanwhile(t, func() error { return turn(s.Admin, other) })
					judge(t, turn(as, second))
					p.wantTwin(other, true)
				})
			}
		}
	})
}

// TestAPasswordThatWasEmptied is no change that a later attempt finds out more of.
func TestAPasswordThatWasEmptied(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.userAt(t, "emptied", "%", "", "IDENTIFIED BY ''")
		req := dbdrivers.SetPasswordRequest{As: s.Admin, Account: "emptied", Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(second)}
		err := set(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "set one by hand", first, second)
		if errors.Is(err, dbdrivers.ErrBusy) {
			t.Errorf("error %v; want one that does not pass", err)
		}
		p := s.pair(t, "emptied_pair")
		p.open()
		p.with("ALTER USER %twin IDENTIFIED BY ''")
		check(t, p.siblingsTurn(s.Admin, twinPassword, second), dbdrivers.ErrUnsupported, "set one by hand", second)
	})
}
