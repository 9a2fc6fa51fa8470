package mysql_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// dual makes an account that may keep its own former password.
func (s *server) dual(t *testing.T, name, clause string) dbdrivers.Login {
	t.Helper()
	login := s.userAt(t, name, "%", first, "IDENTIFIED BY ? "+clause, first)
	s.allowRetain(t, name)
	return login
}

// TestAbandonedRotation is one that was given up after it had set its password:
// the one that is current then is the older of two.
func TestAbandonedRotation(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, byAdmin := range map[string]bool{"by itself": false, "by an admin": true} {
			t.Run(name, func(t *testing.T) {
				login := s.dual(t, "given_up", "")
				as := login
				if byAdmin {
					as = s.Admin
				}
				check(t, retain(t, as, "given_up", first, second), nil, "")
				for range 3 {
					check(t, retain(t, as, "given_up", first, third), nil, "")
					s.wantOpen(t, login, []string{first, third}, second)
				}
			})
		}
	})
}

// TestLateDelivery is of a rotation that has signed in, and then waited while
// others were done.
func TestLateDelivery(t *testing.T) {
	t.Parallel()
	const fourth = "fourth-password-4D"
	s := start(t, dbservers.MySQLOptions{Plaintext: true})
	retainNext := func(t *testing.T, login dbdrivers.Login) {
		check(t, retain(t, login, login.Username, first, second), nil, "")
		check(t, retain(t, withPassword(login, second), login.Username, second, third), nil, "")
	}
	setNext := func(t *testing.T, login dbdrivers.Login) {
		check(t, s.setByAdmin(t, login.Username, third), nil, "")
	}
	for name, row := range map[string]struct {
		// needle is in the statement that waits.
		needle string
		late   func(t *testing.T, own, admin dbdrivers.Login) error
		admin  bool
		// meanwhile are the changes before it, after which open opens.
		meanwhile func(t *testing.T, login dbdrivers.Login)
		open      []string
	}{
		"two passwords by itself, after two rotations": {
			needle: "GET_LOCK", meanwhile: retainNext, open: []string{second, third},
			late: func(t *testing.T, own, _ dbdrivers.Login) error { return retain(t, own, own.Username, first, second) },
		},
		"two passwords by itself, after the operator's change": {
			needle: "GET_LOCK", open: []string{fourth},
			meanwhile: func(t *testing.T, login dbdrivers.Login) {
				s.exec(t, "ALTER USER ? IDENTIFIED BY ?", login.Username, fourth)
			},
			late: func(t *testing.T, own, _ dbdrivers.Login) error { return retain(t, own, own.Username, first, second) },
		},
		"one password by an admin, after another rotation": {
			needle: "GET_LOCK", admin: true, meanwhile: setNext, open: []string{third},
			late: func(t *testing.T, own, admin dbdrivers.Login) error {
				return set(t, dbdrivers.SetPasswordRequest{As: admin, Account: own.Username, Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(second)})
			},
		},
		"one password by an admin, after two of dual-password": {
			needle: "GET_LOCK", admin: true, meanwhile: retainNext, open: []string{second, third},
			late: func(t *testing.T, own, admin dbdrivers.Login) error {
				return set(t, dbdrivers.SetPasswordRequest{As: admin, Account: own.Username, Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(fourth)})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			login := s.dual(t, "racer", "")
			own, admin := login, s.Admin
			waiting := &own
			if row.admin {
				waiting = &admin
			}
			*waiting = s.pausing(t, *waiting, row.needle, func() { row.meanwhile(t, login) })
			check(t, row.late(t, own, admin), dbdrivers.ErrBusy, "somebody has just", first, second, third, fourth)
			shut := slices.DeleteFunc([]string{first, second, third, fourth}, func(password string) bool { return slices.Contains(row.open, password) })
			s.wantOpen(t, login, row.open, shut...)
		})
	}
}

// TestOwnRotationsTakeTurns: while an account sets its second password, no other
// rotation does.
func TestOwnRotationsTakeTurns(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Plaintext: true})
	login := s.dual(t, "own_turns", "")
	as := s.pausing(t, login, "RETAIN CURRENT", func() {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := mysql.New().RetainPassword(ctx, dbdrivers.RetainPasswordRequest{
			As: login, Account: "own_turns", Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(third),
		})
		check(t, err, dbdrivers.ErrBusy, "another rotation", first, third)
	})
	check(t, retain(t, as, "own_turns", first, second), nil, "")
	s.wantOpen(t, login, []string{first, second}, third)
}

// TestSaidAgainUnderAHistory changes nothing: the server counts the new password
// as one that was used before.
func TestSaidAgainUnderAHistory(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.dual(t, "remembering", "PASSWORD HISTORY 5")
		check(t, retain(t, login, "remembering", first, second), nil, "")
		for range 2 {
			check(t, retain(t, login, "remembering", first, second), dbdrivers.ErrPasswordRules, "3638", first, second)
			check(t, setOwn(t, login, second), dbdrivers.ErrPasswordRules, "3638", first, second)
			s.wantOpen(t, login, []string{first, second}, third)
		}
		check(t, setOwn(t, withPassword(login, second), second), nil, "")
		s.wantOpen(t, login, []string{second}, first, third)
	})
}

// TestAdminComparesWhatOpenedTheAccount with what its rows have now.
func TestAdminComparesWhatOpenedTheAccount(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, row := range map[string]struct {
			current string
			clauses []string
			class   error
			open    []string
		}{
			"current is its password":               {first, nil, nil, []string{second}},
			"current is the older of two":           {first, []string{"IDENTIFIED BY 'third-password-3C' RETAIN CURRENT PASSWORD"}, nil, []string{second}},
			"current is the newer of two":           {third, []string{"IDENTIFIED BY 'third-password-3C' RETAIN CURRENT PASSWORD"}, nil, []string{second}},
			"it is set already":                     {first, []string{"IDENTIFIED BY 'second-password-2B'"}, nil, []string{second}},
			"it is set beside another one":          {first, []string{"IDENTIFIED BY 'third-password-3C'", "IDENTIFIED BY 'second-password-2B' RETAIN CURRENT PASSWORD"}, nil, []string{second}},
			"somebody has set another one":          {first, []string{"IDENTIFIED BY 'third-password-3C'"}, dbdrivers.ErrBusy, []string{third}},
			"somebody has set two others":           {"long-gone-0", []string{"IDENTIFIED BY 'third-password-3C' RETAIN CURRENT PASSWORD"}, dbdrivers.ErrBusy, []string{first, third}},
			"the new one is the older of two":       {"long-gone-0", []string{"IDENTIFIED BY 'second-password-2B'", "IDENTIFIED BY 'third-password-3C' RETAIN CURRENT PASSWORD"}, dbdrivers.ErrBusy, []string{second, third}},
			"nobody knows what opened it, but this": {"", []string{"IDENTIFIED BY 'third-password-3C'"}, nil, []string{second}},
		} {
			t.Run(name, func(t *testing.T) {
				login := s.userAt(t, "compared", "%", first, "IDENTIFIED BY ?", first)
				for _, clause := range row.clauses {
					s.exec(t, "ALTER USER compared "+clause)
				}
				req := dbdrivers.SetPasswordRequest{As: s.Admin, Account: "compared", Current: dbdrivers.NewPassword(row.current), Password: dbdrivers.NewPassword(second)}
				check(t, set(t, req), row.class, "somebody has just", first, second, third)
				shut := slices.DeleteFunc([]string{first, second, third}, func(password string) bool { return slices.Contains(row.open, password) })
				s.wantOpen(t, login, row.open, shut...)
			})
		}
		t.Run("one of its rows has a password of its own", func(t *testing.T) {
			login := s.userAt(t, "compared", "%", first, "IDENTIFIED BY ?", first)
			s.userAt(t, "compared", "192.0.2.1", third, "IDENTIFIED BY ?", third)
			req := dbdrivers.SetPasswordRequest{As: s.Admin, Account: "compared", Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(second)}
			check(t, set(t, req), nil, "")
			s.wantOpen(t, login, []string{second}, first, third)
		})
	})
}

// TestOnePairsTurnComesLate: what opened the one account just before is not its
// password any more, and so the other one's is not changed.
func TestOnePairsTurnComesLate(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "late_pair")
		p.open()
		turns := map[string]func(current, password string) error{
			p.canonical: func(current, password string) error {
				return set(t, dbdrivers.SetPasswordRequest{As: p.Admin, Account: p.canonical, Twin: p.twin, Current: dbdrivers.NewPassword(current), Password: dbdrivers.NewPassword(password)})
			},
			p.twin: func(current, password string) error {
				req := p.request()
				req.Current, req.Password = dbdrivers.NewPassword(current), dbdrivers.NewPassword(password)
				_, err := openTwin(t, req)
				return err
			},
		}
		has := map[string]string{p.canonical: siblingPassword, p.twin: twinPassword}
		other := map[string]string{p.canonical: p.twin, p.twin: p.canonical}
		for account, turn := range turns {
			check(t, turn("long-gone-0", second), dbdrivers.ErrBusy, "somebody has just", second, has[account])
			// Its own password, or the new one, proves nothing of the other.
			check(t, turn(has[account], second), dbdrivers.ErrBusy, "somebody has just", second, has[account])
			s.wantOpen(t, p.login(account, ""), []string{has[account]}, second)
			for _, clause := range []string{"", "IDENTIFIED BY 'third-password-3C' RETAIN CURRENT PASSWORD"} {
				if clause != "" {
					s.exec(t, "ALTER USER ? "+clause, other[account])
				}
				check(t, turn(has[other[account]], has[account]), nil, "")
			}
			s.exec(t, "ALTER USER ? IDENTIFIED BY ?", other[account], has[other[account]])
		}
	})
}

// TestCutOffBetweenTheNewPasswordAndTheOlder: an admin's change leaves no older
// password that the next call would not look for, and ends none too early that
// is current.
func TestCutOffBetweenTheNewPasswordAndTheOlder(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Plaintext: true})
	for name, row := range map[string]struct {
		current string
		// until: it opens as long as the new one does not.
		until string
		// ends: what has to be shut once the new one opens.
		ends []string
	}{
		"the newer of two is current": {current: second, until: second, ends: []string{first}},
		"the older of two is current": {current: first, until: first},
		"neither is known":            {until: second, ends: []string{first}},
	} {
		t.Run(name, func(t *testing.T) {
			for nth := 0; ; nth++ {
				name := fmt.Sprintf("cut_short_%d", nth)
				login := s.userAt(t, name, "%", first, "IDENTIFIED BY ?", first)
				s.exec(t, "ALTER USER ? IDENTIFIED BY ? RETAIN CURRENT PASSWORD", name, second)
				as, cut := s.gated(t, s.Admin, nth, true)
				err := set(t, dbdrivers.SetPasswordRequest{As: as, Account: name, Current: dbdrivers.NewPassword(row.current), Password: dbdrivers.NewPassword(third)})
				if !s.opens(t, login, third) {
					if !s.opens(t, login, row.until) {
						t.Errorf("cut off at message %d: neither the new password nor %q opens", nth, row.until)
					}
				} else {
					s.wantOpen(t, login, []string{third}, row.ends...)
				}
				if !cut() {
					check(t, err, nil, "")
					break
				}
			}
		})
	}
}

// TestRequireCurrent is an account that must name its newer password for each
// change.
func TestRequireCurrent(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.dual(t, "must_name", "PASSWORD REQUIRE CURRENT")
		for range 3 {
			check(t, retain(t, login, "must_name", first, second), nil, "")
			s.wantOpen(t, login, []string{first, second}, third)
		}
		check(t, retain(t, login, "must_name", first, third), dbdrivers.ErrUnsupported, "PASSWORD REQUIRE CURRENT", first, third)
		s.wantOpen(t, login, []string{first, second}, third)
		check(t, retain(t, s.Admin, "must_name", first, third), nil, "")
		s.wantOpen(t, login, []string{first, third}, second)
	})
}

// TestMissingRightToRetain is found before anything is changed.
func TestMissingRightToRetain(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.userAt(t, "no right", "%", first, "IDENTIFIED BY ?", first)
		check(t, retain(t, login, "no right", first, second), dbdrivers.ErrPrivilege,
			"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO `no right`@`%`", first, second)
		s.wantOpen(t, login, []string{first}, second)
		s.allowRetain(t, "no right")
		check(t, retain(t, login, "no right", first, second), nil, "")
		s.wantOpen(t, login, []string{first, second}, third)
	})
}

// TestAdminRetainsOnAllHostRows brings rows in different states to one, or
// changes none.
func TestAdminRetainsOnAllHostRows(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		// Where a statement begins on the account, and what it leads to.
		states := map[string][]string{
			"has current alone":        {"IDENTIFIED BY 'first-password-1A'"},
			"has both already":         {"IDENTIFIED BY 'first-password-1A'", "IDENTIFIED BY 'second-password-2B' RETAIN CURRENT PASSWORD"},
			"has both the other way":   {"IDENTIFIED BY 'second-password-2B'", "IDENTIFIED BY 'first-password-1A' RETAIN CURRENT PASSWORD"},
			"has the new one alone":    {"IDENTIFIED BY 'second-password-2B'"},
			"has new and a third":      {"IDENTIFIED BY 'third-password-3C'", "IDENTIFIED BY 'second-password-2B' RETAIN CURRENT PASSWORD"},
			"has current and a third":  {"IDENTIFIED BY 'third-password-3C'", "IDENTIFIED BY 'first-password-1A' RETAIN CURRENT PASSWORD"},
			"has a third, and current": {"IDENTIFIED BY 'first-password-1A'", "IDENTIFIED BY 'third-password-3C' RETAIN CURRENT PASSWORD"},
		}
		for name, clauses := range states {
			t.Run(name, func(t *testing.T) {
				login := s.userAt(t, "many", "%", first, clauses[0])
				s.userAt(t, "many", "192.0.2.1", first, "IDENTIFIED WITH sha256_password BY ?", first)
				for _, clause := range clauses[1:] {
					s.exec(t, "ALTER USER many@'%' "+clause)
				}
				for range 2 {
					check(t, retain(t, s.Admin, "many", first, second), nil, "")
					s.wantOpen(t, login, []string{first, second}, third)
				}
				// The other row is seen from here once its rival has gone.
				s.exec(t, "RENAME USER many@'%' TO many@'192.0.2.2', many@'192.0.2.1' TO many@'%'")
				s.wantOpen(t, login, []string{first, second}, third)
				s.exec(t, "RENAME USER many@'%' TO many@'192.0.2.1', many@'192.0.2.2' TO many@'%'")
			})
		}
		t.Run("one has neither", func(t *testing.T) {
			login := s.userAt(t, "many", "%", first, "IDENTIFIED BY ?", first)
			s.userAt(t, "many", "192.0.2.1", third, "IDENTIFIED BY ?", third)
			check(t, retain(t, s.Admin, "many", first, second), dbdrivers.ErrUnsupported, "`many`@`192.0.2.1`", first, second)
			s.wantOpen(t, login, []string{first}, second, third)
		})
	})
}

// TestSingleAfterDual ends what the other strategy has left, or says so.
func TestSingleAfterDual(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		change := func(t *testing.T, as dbdrivers.Login, password string) (notes string) {
			t.Helper()
			check(t, mysql.New().SetPassword(inTime(t), dbdrivers.SetPasswordRequest{
				As: as, Account: "changed", Password: dbdrivers.NewPassword(password), Note: func(text string) { notes += text },
			}), nil, "")
			for _, secret := range []string{first, second, third} {
				if strings.Contains(notes, secret) {
					t.Errorf("a note shows a password: %s", notes)
				}
			}
			return notes
		}
		t.Run("by itself, with the right", func(t *testing.T) {
			login := s.dual(t, "changed", "")
			check(t, retain(t, login, "changed", first, second), nil, "")
			if notes := change(t, withPassword(login, second), third); notes != "" {
				t.Errorf("note %q; want none", notes)
			}
			s.wantOpen(t, login, []string{third}, first, second)
		})
		t.Run("by itself, without the right", func(t *testing.T) {
			login := s.userAt(t, "changed", "%", first, "IDENTIFIED BY ?", first)
			check(t, retain(t, s.Admin, "changed", first, second), nil, "")
			if notes := change(t, withPassword(login, second), third); !strings.Contains(notes, "ALTER USER `changed`@`%` DISCARD OLD PASSWORD") {
				t.Errorf("note %q; want one that says how to discard the password", notes)
			}
			s.wantOpen(t, login, []string{first, third}, second)
		})
		t.Run("by an admin", func(t *testing.T) {
			login := s.dual(t, "changed", "")
			check(t, retain(t, login, "changed", first, second), nil, "")
			if notes := change(t, s.Admin, third); notes != "" {
				t.Errorf("note %q; want none", notes)
			}
			s.wantOpen(t, login, []string{third}, first, second)
		})
		t.Run("by itself, as the older of the two", func(t *testing.T) {
			login := s.dual(t, "changed", "")
			check(t, retain(t, login, "changed", first, second), nil, "")
			check(t, setOwn(t, login, third), dbdrivers.ErrBusy, "older of two", first, third)
			s.wantOpen(t, login, []string{first, second}, third)
			// A call that comes late finds its work done.
			check(t, setOwn(t, login, second), nil, "")
			s.wantOpen(t, login, []string{second}, first, third)
		})
	})
}

// TestAdminsRetainForNoAdmin holds the fences of a plain change.
func TestAdminsRetainForNoAdmin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		check(t, retain(t, s.Admin, "root", first, second), dbdrivers.ErrUnsupported, "reserved", first, second)
		s.userAt(t, "mighty", "%", first, "IDENTIFIED BY ?", first)
		s.exec(t, "GRANT rds_superuser_role TO mighty")
		check(t, retain(t, s.Admin, "mighty", first, second), dbdrivers.ErrUnsupported, "an admin itself", first, second)
	})
}

func TestRequestsThatCannotRetain(t *testing.T) {
	t.Parallel()
	login := dbdrivers.Login{Host: "nowhere.invalid", Port: 3306, Username: "app", Password: dbdrivers.NewPassword(first)}
	for name, req := range map[string]dbdrivers.RetainPasswordRequest{
		"the same password":         {As: login, Account: "app", Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(first)},
		"no current password":       {As: login, Account: "app", Password: dbdrivers.NewPassword(second)},
		"another's own password":    {As: login, Account: "app", Current: dbdrivers.NewPassword(third), Password: dbdrivers.NewPassword(second)},
		"a hash":                    {As: login, Account: "app", Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(second), Hash: "sha1"},
		"an account that cannot be": {As: login, Account: "", Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, mysql.New().RetainPassword(context.Background(), req), dbdrivers.ErrUnsupported, "", first, second, third)
		})
	}
}
