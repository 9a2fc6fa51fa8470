package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
)

// TestSwitchingModels takes a twin from its sibling's role to an owner role and
// back; each time the two are equal afterwards, and the twin is a member of one.
func TestSwitchingModels(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "switcher", "switched_owner")
		p.open()
		s.asAdmin(t, "CREATE ROLE switched_owner; GRANT switched_owner TO switcher; ALTER ROLE switcher SET role = 'switched_owner'")
		open := func(ownerRole string) {
			t.Helper()
			req := p.request()
			req.OwnerRole = ownerRole
			if _, err := openTwin(t, req); err != nil {
				t.Fatal(err)
			}
			p.wantEqual()
			var member string
			s.ask(t, &member, "SELECT string_agg(roleid::regrole::text, ' ') FROM pg_auth_members WHERE member = 'switcher_clone'::regrole")
			if want := map[string]string{"": "switcher"}[ownerRole] + ownerRole; member != want {
				t.Errorf("with the owner role %q the twin is a member of %q; want %q", ownerRole, member, want)
			}
			for account, password := range map[string]string{p.canonical: siblingPassword, p.name: twinPassword} {
				if found, err := p.verifyPair(account, password, "appdb", ownerRole); err != nil || len(found) > 0 {
					t.Errorf("with the owner role %q, as %s: differences %q, error %v", ownerRole, account, found, err)
				}
			}
		}
		for _, ownerRole := range []string{"switched_owner", "", "switched_owner"} {
			open(ownerRole)
		}
		s.asAdmin(t, "ALTER ROLE switcher RESET role")
		open("")
		before := p.dump(p.name)
		req := p.request()
		req.OwnerRole = "switched_owner"
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, `ALTER ROLE "switcher" SET role = "switched_owner"`, twinPassword)
		if after := p.dump(p.name); before != after {
			t.Errorf("the twin was changed from %s to %s", before, after)
		}
	})
}

// TestOwnerRoleThatTheSiblingMayNotTake is one that it is a member of in name
// only: the twin would have what its sibling has not.
func TestOwnerRoleThatTheSiblingMayNotTake(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		if s.options.Version < "16" {
			t.Skip("before version 16 who is a member may take the role")
		}
		p := s.pair(t, "listed", "listed_power")
		s.asAdmin(t, "CREATE ROLE listed_power; GRANT listed_power TO listed WITH INHERIT FALSE, SET FALSE")
		// This it may do by itself.
		p.mustAs(p.canonical, siblingPassword, "ALTER ROLE listed SET role = 'listed_power'")
		req := p.request()
		req.OwnerRole = "listed_power"
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "may not take the owner role", twinPassword)
		if p.exists(p.name) {
			t.Error("a twin was left")
		}
		_, remedy, _ := strings.Cut(err.Error(), "run: ")
		s.asAdmin(t, remedy)
		if _, err := openTwin(t, req); err != nil {
			t.Error(err)
		}
	})
}

// TestRenamedPair bears the mark of its former name: neither of the two is
// touched, and both errors name the statement after which both are.
func TestRenamedPair(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "once")
		p.open()
		s.asAdmin(t, "ALTER ROLE once RENAME TO at_last; ALTER ROLE once_clone RENAME TO at_last_clone")
		t.Cleanup(func() {
			s.clean(t, "ALTER ROLE at_last RENAME TO once", "ALTER ROLE at_last_clone RENAME TO once_clone")
		})
		p.canonical, p.name = "at_last", "at_last_clone"
		before := p.dump(p.name) + p.dump(p.canonical)

		// The twin's setting names a role that is gone, and it acts as itself.
		_, err := p.verifyPair(p.name, twinPassword, "appdb", "")
		check(t, err, dbdrivers.ErrPrivilege, `make it act as "once"`, twinPassword)
		req := p.request()
		req.Proven = true
		_, opening := openTwin(t, req)
		change := dbdrivers.SetPasswordRequest{As: p.Admin, Account: p.canonical, Password: dbdrivers.NewPassword(siblingPassword), Twin: p.name, Proven: true}
		changing := postgres.New().SetPassword(inTime(t), change)
		var remedies []string
		for _, err := range []error{opening, changing} {
			check(t, err, dbdrivers.ErrUnsupported, "marked as another account's", twinPassword, siblingPassword)
			if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
				t.Errorf("error %v; want ErrTwinUnproven", err)
			}
			_, remedy, _ := strings.Cut(err.Error(), "to the server: ")
			remedies = append(remedies, remedy)
		}
		if after := p.dump(p.name) + p.dump(p.canonical); before != after {
			t.Errorf("the accounts were changed from %s to %s", before, after)
		}

		if len(slices.Compact(remedies)) != 1 {
			t.Errorf("the two errors name %q", remedies)
		}
		s.asAdmin(t, remedies[0])
		change.Proven = false
		if err := postgres.New().SetPassword(inTime(t), change); err != nil {
			t.Error(err)
		}
		p.open()
	})
}
