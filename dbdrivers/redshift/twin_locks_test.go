package redshift_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestPoliciesOfAnAccount: what a policy keeps from one of the two by name, the
// other would see. One of a role is both's.
func TestPoliciesOfAnAccount(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	s.say(t, "CREATE TABLE work.policed (n int)", "CREATE ROLE policed_role")
	for _, test := range []struct {
		name, says string
		arrange    []string
	}{
		{name: "masking", arrange: []string{"ATTACH MASKING POLICY veil ON work.policed (n) TO %app"}, says: `masking policy "veil" on "work"."policed"`},
		{name: "rows", arrange: []string{"ATTACH RLS POLICY few ON TABLE work.policed TO %app"}, says: `RLS policy "few" on "work"."policed"`},
		{name: "of a role", arrange: []string{"GRANT ROLE policed_role TO %app", "ATTACH MASKING POLICY veil ON work.policed (n) TO ROLE policed_role", "ATTACH RLS POLICY few ON TABLE work.policed TO ROLE policed_role"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := s.pair(t, "policed "+test.name)
			p.with(test.arrange)
			if test.says == "" {
				p.open()
				return
			}
			_, err := openTwin(t, p.request())
			check(t, err, dbdrivers.ErrUnsupported, test.says, twinPassword)
			if err != nil && !strings.Contains(err.Error(), "attach it to a role") {
				t.Errorf("error %v; want a remedy", err)
			}
			if s.opens(t, p.name, twinPassword) {
				t.Error("the twin opens")
			}
		})
	}
}

// TestPoliciesUnseen is an admin who may not read the policies of rows.
func TestPoliciesUnseen(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "unseen")
	admin := s.create(t, "unseeing", siblingPassword)
	s.say(t, "ALTER USER unseeing CREATEUSER")
	if err := s.Exec(t.Context(), "INSERT INTO redshift_standin.things VALUES ('no security admin', '', 'unseeing')"); err != nil {
		t.Fatal(err)
	}
	req := p.request()
	req.Admin = admin
	var noted []string
	req.Note = func(text string) { noted = append(noted, text) }
	if _, err := openTwin(t, req); err != nil {
		t.Fatal(err)
	}
	if !has(noted, "svv_rls_attached_policy") {
		t.Errorf("it noted %q; want that the view could not be read", noted)
	}
}

// TestTwinThatWasDisabled opens again, and says so.
func TestTwinThatWasDisabled(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "relocked")
	p.open()
	req := p.request()
	var noted []string
	req.Note = func(text string) { noted = append(noted, text) }
	for _, disabled := range []bool{false, true} {
		if disabled {
			p.with([]string{"ALTER USER %twin PASSWORD DISABLE"})
		}
		noted = nil
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		if has(noted, `"relocked_clone" was disabled`) != disabled {
			t.Errorf("disabled: %t; it noted %q", disabled, noted)
		}
	}
}

// TestForgedMark is a twin that was dropped, and an account of its name that
// somebody without the power of a superuser has made in the group that is left.
func TestForgedMark(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "forged")
	p.open()
	var group string
	s.ask(t, &group, "SELECT groname FROM pg_group g, pg_user u WHERE u.usesysid = ANY(g.grolist) AND u.usename = $1 AND groname LIKE 'dbrotation.%'", p.name)
	p.with([]string{"DROP USER %twin", "CREATE USER %twin PASSWORD '" + siblingPassword + "' IN GROUP " + quoted(group)})
	_, err := openTwin(t, p.request())
	check(t, err, dbdrivers.ErrUnsupported, "dropped", twinPassword)
	if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
		t.Errorf("error %v; want that nothing proves the twin", err)
	}
	err = set(t, dbdrivers.SetPasswordRequest{
		As: p.Admin, Account: p.canonical, Twin: p.name, Proven: true,
		Current: dbdrivers.NewPassword(siblingPassword), Password: dbdrivers.NewPassword(newPassword),
	})
	if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
		t.Errorf("setting its sibling's password: error %v; want that nothing proves the twin", err)
	}
}

// TestTwinsNameIsAGroups is a name that CREATE USER cannot have.
func TestTwinsNameIsAGroups(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "clashing")
	s.say(t, "CREATE GROUP clashing_clone")
	_, err := openTwin(t, p.request())
	check(t, err, dbdrivers.ErrUnsupported, "a role or a group has the twin's name", twinPassword)
}

// TestGrantOfAnother is a privilege that an admin's REVOKE does not take.
func TestGrantOfAnother(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "given")
	p.open()
	giver := s.create(t, "giver", siblingPassword)
	s.say(t, "CREATE TABLE work.given (n int)", "GRANT SELECT ON TABLE work.given TO giver WITH GRANT OPTION")
	if err := s.as(t, giver, "GRANT SELECT ON TABLE work.given TO given_clone"); err != nil {
		t.Fatal(err)
	}
	_, err := openTwin(t, p.request())
	check(t, err, dbdrivers.ErrUnsupported, `REVOKE SELECT ON TABLE "work"."given" FROM "given_clone"`, twinPassword)
}
