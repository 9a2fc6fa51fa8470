package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// verifyPair asks as one of the two, in a database.
func (p pair) verifyPair(account, password, database, ownerRole string) ([]string, error) {
	p.t.Helper()
	login := p.Login(account, password)
	login.Database = database
	return postgres.New().VerifyTwin(inTime(p.t), dbdrivers.VerifyTwinRequest{
		Login: login, Canonical: p.canonical, Twin: p.name, OwnerRole: ownerRole,
	})
}

// wantDifferences asserts what is listed to either of the two.
func (p pair) wantDifferences(want ...string) {
	p.t.Helper()
	for account, password := range map[string]string{p.canonical: siblingPassword, p.name: twinPassword} {
		found, err := p.verifyPair(account, password, "appdb", "")
		if err != nil {
			p.t.Errorf("as %s: %v", account, err)
		}
		if diff := cmp.Diff(want, found); diff != "" {
			p.t.Errorf("as %s the differences are (-want +got):\n%s", account, diff)
		}
	}
}

// TestDriftIsNamed: each kind of difference, and no value of a setting.
func TestDriftIsNamed(t *testing.T) {
	const value = "not-to-be-shown"
	tests := []struct {
		name, sql, undo string
		want            []string
		// before16: the twin's INHERIT was that of all its memberships.
		before16 []string
	}{
		{name: "a membership", sql: "GRANT differing_group TO %twin", undo: "REVOKE differing_group FROM %twin", want: []string{`membership of "differing_group"`}},
		{name: "the right to pass its sibling on", sql: "GRANT %app TO %twin WITH ADMIN OPTION", undo: "REVOKE ADMIN OPTION FOR %app FROM %twin", want: []string{`ADMIN OPTION on %app`}},
		{name: "a setting", sql: "ALTER ROLE %twin SET application_name = '" + value + "'", undo: "ALTER ROLE %twin RESET application_name", want: []string{"setting application_name"}},
		{name: "a setting of the sibling", sql: "ALTER ROLE %app SET application_name = '" + value + "'", undo: "ALTER ROLE %app RESET application_name", want: []string{"setting application_name"}},
		{name: "a setting of a database", sql: "ALTER ROLE %twin IN DATABASE postgres SET work_mem = '3MB'", undo: "ALTER ROLE %twin IN DATABASE postgres RESET work_mem", want: []string{`setting work_mem in database "postgres"`}},
		{name: "attributes", sql: "ALTER ROLE %twin CREATEROLE CREATEDB", undo: "ALTER ROLE %twin NOCREATEROLE NOCREATEDB", want: []string{"attribute CREATEDB", "attribute CREATEROLE"}},
		{name: "limits", sql: "ALTER ROLE %app CONNECTION LIMIT 9 VALID UNTIL '2071-01-01'", undo: "ALTER ROLE %app CONNECTION LIMIT -1 VALID UNTIL 'infinity'", want: []string{"attribute CONNECTION LIMIT", "attribute VALID UNTIL"}},
		{name: "a twin that no longer inherits", sql: "ALTER ROLE %twin NOINHERIT", undo: "ALTER ROLE %twin INHERIT", want: []string{"attribute INHERIT"}, before16: []string{"membership of %app"}},
		{name: "a role that was reset", sql: "ALTER ROLE %twin RESET role", undo: "ALTER ROLE %twin SET role = %app", want: []string{"setting role"}},
		{name: "an object", sql: "CREATE SCHEMA drifting AUTHORIZATION %twin", undo: "DROP SCHEMA drifting", want: []string{`schema drifting in database "appdb" (owner)`}},
		{name: "a privilege", sql: "CREATE SCHEMA drifting; GRANT USAGE ON SCHEMA drifting TO %twin", undo: "DROP SCHEMA drifting", want: []string{`schema drifting in database "appdb" (privilege)`}},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, canonical := range []string{"drifting_app", `x"; DROP ROLE postgres; -- o'reilly\`} {
			p := s.pair(t, canonical, "differing_group")
			p.t = t
			if !p.exists("differing_group") {
				s.exec(t, "CREATE ROLE differing_group")
			}
			p.open()
			p.wantDifferences()
			with := strings.NewReplacer("%twin", quoted(p.name), "%app", quoted(p.canonical)).Replace
			for _, test := range tests {
				s.exec(t, with(test.sql))
				want := slices.Clone(test.want)
				if s.options.Version < "16" {
					want = append(want, test.before16...)
				}
				for i := range want {
					want[i] = with(want[i])
				}
				p.wantDifferences(want...)
				s.exec(t, with(test.undo))
			}
			p.wantDifferences()
		}
	})
}

// TestVerifyingHalfAPair lists nothing: there is nothing to compare.
func TestVerifyingHalfAPair(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "half")
		s.exec(t, "ALTER ROLE half SET work_mem = '3MB'")
		for _, ownerRole := range []string{"", "pg_monitor", "nobody there"} {
			if found, err := p.verifyPair("half", siblingPassword, "appdb", ownerRole); err != nil || len(found) > 0 {
				t.Errorf("no twin, owner role %q: error %v, differences %q", ownerRole, err, found)
			}
		}
		p.open()
		s.exec(t, "CREATE SCHEMA halved AUTHORIZATION half_clone")
		t.Cleanup(func() { s.clean(t, "DROP SCHEMA IF EXISTS halved") })
		orphan := p
		orphan.canonical = "half_gone"
		for _, ownerRole := range []string{"", "half"} {
			if found, err := orphan.verifyPair(p.name, twinPassword, "appdb", ownerRole); err != nil || len(found) > 0 {
				t.Errorf("no sibling, owner role %q: error %v, differences %q", ownerRole, err, found)
			}
		}
		// One that is closed is there, and differs.
		s.exec(t, "DROP SCHEMA halved", "ALTER ROLE half_clone NOLOGIN")
		if found, err := p.verifyPair("half", siblingPassword, "appdb", ""); err != nil || !slices.Equal(found, []string{"attribute LOGIN"}) {
			t.Errorf("a closed twin: error %v, differences %q", err, found)
		}
	})
}

// TestVerifyingAPairOfAnOwnerRole compares with the role that both act as.
func TestVerifyingAPairOfAnOwnerRole(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "tenant", "landlord")
		s.asAdmin(t, "CREATE ROLE landlord; GRANT landlord TO tenant; ALTER ROLE tenant SET role = 'landlord'")
		req := p.request()
		req.OwnerRole = "landlord"
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		if found, err := p.verifyPair(p.name, twinPassword, "appdb", "landlord"); err != nil || len(found) > 0 {
			t.Errorf("error %v, differences %q", err, found)
		}
		s.exec(t, "ALTER ROLE tenant RESET role")
		want := []string{"the role that its sibling acts as", "setting role"}
		if found, err := p.verifyPair(p.name, twinPassword, "appdb", "landlord"); err != nil || !slices.Equal(found, want) {
			t.Errorf("the sibling no longer acts as the owner role: error %v, differences %q; want %q", err, found, want)
		}
	})
}

// TestVerifyingATwinThatKeepsItsOwn lists what it keeps.
func TestVerifyingATwinThatKeepsItsOwn(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "keeper", "")
		objects := e.build(clonePassword)
		req := e.request()
		req.Adopt = false
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, object := range objects {
			want = append(want, object+` in database "appdb" (owner)`)
		}
		e.wantDifferences(append(want, "setting role")...)
	})
}

// TestVerifyingIsVerify: what Verify finds fault with, VerifyTwin does.
func TestVerifyingIsVerify(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "verified")
		p.open()
		_, err := p.verifyPair(p.name, "wrong-password", "appdb", "")
		check(t, err, dbdrivers.ErrRefused, "", "wrong-password")
		s.exec(t, "REVOKE verified FROM verified_clone GRANTED BY radmin")
		_, err = p.verifyPair(p.name, twinPassword, "appdb", "")
		check(t, err, dbdrivers.ErrPrivilege, "may not take that role", twinPassword)
		s.exec(t, "ALTER ROLE verified_clone NOLOGIN")
		_, err = p.verifyPair(p.name, twinPassword, "appdb", "")
		check(t, err, dbdrivers.ErrBarred, "", twinPassword)
	})
}

// TestVerifyingOnAHardenedServer, where the catalogues may not be read, still
// verifies, and lists nothing.
func TestVerifyingOnAHardenedServer(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "hardened")
		p.open()
		s.exec(t, "ALTER ROLE hardened_clone SET work_mem = '3MB'")
		p.wantDifferences("setting work_mem")
		for _, catalogue := range []string{"pg_roles", "pg_auth_members", "pg_shdepend"} {
			database := "hardened_" + catalogue
			s.exec(t, "CREATE DATABASE "+database)
			t.Cleanup(func() { s.clean(t, "DROP DATABASE "+database) })
			superuser := s.Superuser
			superuser.Database = database
			conn, err := dbservers.Connect(t.Context(), superuser)
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Exec(t.Context(), "REVOKE SELECT ON pg_catalog."+catalogue+" FROM PUBLIC")
			_ = conn.Close(context.WithoutCancel(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			for account, password := range map[string]string{p.canonical: siblingPassword, p.name: twinPassword} {
				if err := verify(t, atDatabase(p.Login(account, password), database)); err != nil {
					t.Fatalf("Verify: %v", err)
				}
				if found, err := p.verifyPair(account, password, database, ""); err != nil || len(found) > 0 {
					t.Errorf("%s may not be read, as %s: error %v, differences %q", catalogue, account, err, found)
				}
				_, err := p.verifyPair(account, "wrong-password", database, "")
				check(t, err, dbdrivers.ErrRefused, "", "wrong-password")
			}
		}
	})
}

func atDatabase(login dbdrivers.Login, database string) dbdrivers.Login {
	login.Database = database
	return login
}

// TestVerifyingTwinsRoundTrips: the comparison costs none.
func TestVerifyingTwinsRoundTrips(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.PostgresOptions{Version: newest, Plaintext: true})
	p := s.pair(t, "frugal_pair")
	p.open()
	gate, login := gated(t, s, p.Login(p.name, twinPassword))
	if _, err := postgres.New().VerifyTwin(inTime(t), dbdrivers.VerifyTwinRequest{Login: login, Canonical: p.canonical, Twin: p.name}); err != nil {
		t.Fatal(err)
	}
	if calls := gate.Calls(); len(calls) != 2 {
		t.Errorf("%d calls, the sign-in among them; want 2: %+v", len(calls), calls)
	}
}

// TestComparisonThatDoesNotEnd is given up in time for the sign-in to be proven
// without it.
func TestComparisonThatDoesNotEnd(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "endless")
		p.open()
		s.exec(t, "CREATE DATABASE endless_catalogue")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE endless_catalogue") })
		superuser, err := dbservers.Connect(t.Context(), atDatabase(s.Superuser, "endless_catalogue"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = superuser.Close(context.WithoutCancel(t.Context())) }()
		_, err = superuser.Exec(t.Context(), `SET allow_system_table_mods = on; DO $$ BEGIN
		 EXECUTE 'CREATE OR REPLACE VIEW pg_catalog.pg_roles AS ' || rtrim(pg_get_viewdef('pg_catalog.pg_roles'::regclass), ';') || ' WHERE (SELECT pg_sleep(600)) IS NOT NULL'; END $$`)
		if err != nil {
			t.Fatal(err)
		}
		_ = superuser.Close(t.Context())
		for account, password := range map[string]string{p.canonical: siblingPassword, p.name: twinPassword} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			found, err := postgres.New().VerifyTwin(ctx, dbdrivers.VerifyTwinRequest{
				Login: atDatabase(p.Login(account, password), "endless_catalogue"), Canonical: p.canonical, Twin: p.name,
			})
			if err != nil || len(found) > 0 {
				t.Errorf("as %s: error %v, differences %q", account, err, found)
			}
		}
	})
}
