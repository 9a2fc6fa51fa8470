package mysql_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// siblingsTurn is the canonical account's new password on the word of its twin's.
func (p pair) siblingsTurn(as dbdrivers.Login, current, password string) error {
	p.t.Helper()
	return set(p.t, dbdrivers.SetPasswordRequest{
		As: as, Account: p.canonical, Twin: p.twin,
		Current: dbdrivers.NewPassword(current), Password: dbdrivers.NewPassword(password),
	})
}

// TestAMarkThatIsWrittenIntoTheTables is none: what counts is what the server
// itself has granted.
func TestAMarkThatIsWrittenIntoTheTables(t *testing.T) {
	t.Parallel()
	// No other test lets this server read its tables anew.
	s := start(t, dbservers.MySQLOptions{Settings: map[string]string{"report_host": "forged"}})
	p := s.pair(t, "forged_row")
	s.exec(t, "CREATE USER ?@'%' IDENTIFIED BY ?", p.twin, clonePassword)
	p.with("GRANT INSERT ON mysql.role_edges TO %twin", "CREATE ROLE "+backquoted(mysql.MarkRole("equal", p.canonical)))
	if err := p.as(p.twin, clonePassword, "INSERT INTO mysql.role_edges VALUES ('%', '"+mysql.MarkRole("equal", p.canonical)+"', '%', '"+p.twin+"', 'N')"); err != nil {
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
	wantRefused(dbdrivers.ErrUnsupported, `the account has INSERT, UPDATE or DELETE on tables of the schema mysql, and so is an admin itself`)
	p.with("REVOKE INSERT ON mysql.role_edges FROM %twin")
	check(t, p.siblingsTurn(s.Admin, clonePassword, second), nil, "")
}

// TestTwinsThatWriteTheTablesOfAccounts could mark what they like.
func TestTwinsThatWriteTheTablesOfAccounts(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, c := range map[string]struct {
			grants []string
			tells  string
		}{
			"INSERT on everything":         {[]string{"GRANT INSERT ON *.* TO %"}, "run: REVOKE INSERT ON *.* FROM"},
			"UPDATE, where INSERT is kept": {[]string{"GRANT INSERT, UPDATE ON *.* TO %", "REVOKE INSERT ON mysql.* FROM %"}, "run: REVOKE UPDATE ON *.* FROM"},
			"DELETE on every database":     {[]string{"GRANT DELETE ON `%`.* TO %"}, "run: REVOKE DELETE ON `%`.* FROM"},
			"INSERT on what looks alike":   {[]string{"GRANT INSERT ON `m_sql`.* TO %"}, "run: REVOKE INSERT ON `m_sql`.* FROM"},
			"everything by a role":         {[]string{"GRANT writers TO %"}, "run: REVOKE INSERT ON *.* FROM `writers`@`%`"},
			"UPDATE on mysql":              {[]string{"GRANT UPDATE ON mysql.* TO %"}, "an admin itself"},
			"DELETE on a table":            {[]string{"GRANT DELETE ON mysql.role_edges TO %"}, "an admin itself"},
			"INSERT on a column":           {[]string{"GRANT INSERT (from_user) ON mysql.role_edges TO %"}, "an admin itself"},
			"SUPER":                        {[]string{"GRANT SUPER ON *.* TO %"}, "an admin itself"},
			"all of its own database":      {[]string{"GRANT ALL ON twin_written.* TO % WITH GRANT OPTION"}, ""},
			"all of databases by a name":   {[]string{"GRANT ALL ON `twin\\_%`.* TO %"}, ""},
			"to read everything":           {[]string{"GRANT SELECT ON *.* TO %"}, ""},
			"everything but the system's":  {[]string{"GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO %", "REVOKE INSERT, UPDATE, DELETE ON mysql.* FROM %"}, ""},
		} {
			t.Run(name, func(t *testing.T) {
				s.exec(t, "CREATE ROLE IF NOT EXISTS writers")
				for _, holder := range []string{"twin", "app"} {
					s.exec(t, "GRANT INSERT ON *.* TO writers")
					p := s.pair(t, "table_writer_"+holder)
					p.open()
					for _, grant := range c.grants {
						p.with(strings.Replace(strings.Replace(grant, "TO %", "TO %"+holder, 1), "FROM %", "FROM %"+holder, 1))
					}
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

// TestAMarkWithTheAdminOption is none, and is taken away like any other role that
// the sibling has not.
func TestAMarkWithTheAdminOption(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "marked_admin")
		p.open()
		s.mark(t, p.twin, "taken", p.canonical, "WITH ADMIN OPTION")
		found, err := mysql.New().VerifyTwin(inTime(t), dbdrivers.VerifyTwinRequest{Login: s.Admin, Canonical: p.canonical, Twin: p.twin})
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
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Plaintext: true})
	late := func(t *testing.T, err error) {
		t.Helper()
		check(t, err, dbdrivers.ErrBusy, "somebody has just", first, second, third, siblingPassword, twinPassword)
	}
	for _, other := range []string{third, second} {
		// A call of the same rotation is no other.
		same := other == second
		judge := func(t *testing.T, err error) {
			t.Helper()
			if same {
				check(t, err, nil, "")
			} else {
				late(t, err)
			}
		}
		t.Run("two passwords", func(t *testing.T) {
			login := s.userAt(t, "waited", "%", first, "IDENTIFIED BY ?", first)
			as := s.pausing(t, s.Admin, "GET_LOCK", func() { check(t, retain(t, s.Admin, "waited", first, other), nil, "") })
			judge(t, retain(t, as, "waited", first, second))
			s.wantOpen(t, login, []string{first, other})
		})
		t.Run("the sibling's turn", func(t *testing.T) {
			p := s.pair(t, "waited_pair")
			p.open()
			as := s.pausing(t, s.Admin, "GET_LOCK", func() { check(t, p.siblingsTurn(s.Admin, twinPassword, other), nil, "") })
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
				as := s.pausing(t, s.Admin, "GET_LOCK", func() { check(t, turn(s.Admin, other), nil, "") })
				judge(t, turn(as, second))
				p.wantTwin(other, true)
			})
		}
	}
}

// TestOwnChangeKeepsOthersOut until it has ended the older password: another
// rotation's would be ended otherwise.
func TestOwnChangeKeepsOthersOut(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Plaintext: true})
	login := s.dual(t, "own_alone", "")
	as := s.pausing(t, login, "DISCARD OLD", func() {
		err := retain(t, withPassword(login, second), "own_alone", second, third)
		check(t, err, dbdrivers.ErrBusy, "another rotation", second, third)
	})
	check(t, setOwn(t, as, second), nil, "")
	s.wantOpen(t, login, []string{second}, first, third)
}

// TestOneConnectionAtATime is an account whose second sign-in is barred by its
// first: its password was right.
func TestOneConnectionAtATime(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.dual(t, "one_at_a_time", "WITH MAX_USER_CONNECTIONS 1")
		check(t, retain(t, login, "one_at_a_time", first, second), nil, "")
		s.left(t, "one_at_a_time")
		check(t, retain(t, login, "one_at_a_time", first, third), nil, "")
		s.exec(t, "ALTER USER one_at_a_time WITH MAX_USER_CONNECTIONS 0")
		s.wantOpen(t, login, []string{first, third}, second)
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
