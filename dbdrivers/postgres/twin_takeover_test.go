package postgres_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

// clone makes the twin as AWS's function does, by its statements.
//
// https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas
func (p pair) clone() {
	p.t.Helper()
	p.asAdmin(p.t, "CREATE ROLE "+quoted(p.name)+" WITH LOGIN PASSWORD 'clone-password'; GRANT "+quoted(p.canonical)+" TO "+quoted(p.name))
}

// TestTakingOver is a database after two rotations of AWS's function: both
// accounts have made tables, each its own.
func TestTakingOver(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "adopted", "adopted_group")
		s.exec(t, "CREATE SCHEMA adoption", "GRANT ALL ON SCHEMA adoption TO adopted")
		t.Cleanup(func() { s.clean(t, "DROP SCHEMA adoption CASCADE") })
		s.asAdmin(t, "CREATE ROLE adopted_group")
		p.mustAs(p.canonical, siblingPassword, "CREATE TABLE adoption.by_sibling (n int)")
		p.clone()
		p.mustAs(p.name, "clone-password", "CREATE TABLE adoption.by_clone (n int)")
		s.asAdmin(t, "GRANT adopted_group TO adopted_clone")
		s.exec(t, "ALTER ROLE adopted_clone SET work_mem = '3MB'", "ALTER ROLE adopted SET lock_timeout = '7s'", "COMMENT ON ROLE adopted_clone IS 'ask Mary'")

		before := p.dump(p.name)
		_, err := openTwin(t, p.request())
		check(t, err, dbdrivers.ErrUnsupported, "nothing proves", twinPassword)
		if after := p.dump(p.name); !errors.Is(err, dbdrivers.ErrTwinUnproven) || before != after {
			t.Errorf("unproven: error %v; the account was changed from %s to %s", err, before, after)
		}

		req := p.request()
		req.Proven = true
		report, err := openTwin(t, req)
		if err != nil {
			t.Fatal(err)
		}
		if !report.TakenOver || report.Created || len(report.Removed) > 0 {
			t.Errorf("report %+v", report)
		}
		for _, kept := range []string{"table adoption.by_clone", `membership of "adopted_group"`, "setting work_mem"} {
			if !slices.ContainsFunc(report.Kept, func(s string) bool { return strings.HasPrefix(s, kept) }) {
				t.Errorf("kept %q; want %s among them", report.Kept, kept)
			}
		}
		p.mustAs(p.name, twinPassword, "INSERT INTO adoption.by_clone VALUES (1)", "INSERT INTO adoption.by_sibling VALUES (1)", "SET ROLE adopted_group")

		// The same call again, whose answer was lost, still opens; what can be
		// taken away goes, and its own table stays within its reach.
		req.Proven = false
		if report, err = openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		if want := []string{`membership of "adopted_group"`, "setting work_mem"}; report.TakenOver || !slices.Equal(report.Removed, want) {
			t.Errorf("report %+v; want %q removed", report, want)
		}
		p.mustAs(p.name, twinPassword, "INSERT INTO adoption.by_clone VALUES (1)", "INSERT INTO adoption.by_sibling VALUES (1)")

		// Once its tables are handed over it is its sibling.
		s.exec(t, "REASSIGN OWNED BY adopted_clone TO adopted", "DROP OWNED BY adopted_clone")
		if report = p.open(); len(report.Kept) > 0 {
			t.Errorf("kept %q", report.Kept)
		}
		p.mustAs(p.canonical, siblingPassword, "INSERT INTO adoption.by_clone VALUES (1)")
		var comment string
		s.ask(t, &comment, "SELECT shobj_description('adopted_clone'::regrole, 'pg_authid')")
		if want := "ask Mary\ntwin of \"adopted\", kept equal by dbrotation"; comment != want {
			t.Errorf("comment %q; want %q", comment, want)
		}
	})
}

// TestTakingOverWhatOwnsNothing is complete at once.
func TestTakingOverWhatOwnsNothing(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "adopted_bare")
		p.clone()
		req := p.request()
		req.Proven, req.MayCreate = true, false
		report, err := openTwin(t, req)
		if err != nil {
			t.Fatal(err)
		}
		if !report.TakenOver || len(report.Kept) > 0 {
			t.Errorf("report %+v", report)
		}
		p.wantEqual()
	})
}

var namedStatements = regexp.MustCompile(`(?:run: )((?:ALTER ROLE|GRANT|REVOKE) .*?)(?:: ERROR: .*)?$`)

// TestTwinWithoutAdminOption runs what the error names, and then it works.
func TestTwinWithoutAdminOption(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.PostgresOptions{Version: newest, HBA: hostRules})
	const canonical = "Foreign App"
	p := pair{server: s, t: t, canonical: canonical, name: canonical + "_clone"}
	t.Cleanup(func() { p.drop(p.name, canonical) })
	s.exec(t, "CREATE ROLE "+quoted(canonical)+" LOGIN PASSWORD '"+siblingPassword+"'")
	_, err := openTwin(t, p.request())
	check(t, err, dbdrivers.ErrPrivilege, "ADMIN OPTION", twinPassword)
	if p.exists(p.name) {
		t.Error("a twin was left")
	}
	p.runNamed(err)
	p.open()

	s.exec(t, "DROP ROLE "+quoted(p.name), "REVOKE "+quoted(canonical)+" FROM radmin", "CREATE ROLE "+quoted(p.name))
	req := p.request()
	req.Proven = true
	_, err = openTwin(t, req)
	check(t, err, dbdrivers.ErrPrivilege, quoted(p.name), twinPassword)
	check(t, err, dbdrivers.ErrPrivilege, "GRANT "+quoted(canonical)+" TO", twinPassword)
	p.runNamed(err)
	if _, err = openTwin(t, req); err != nil {
		t.Fatal(err)
	}
	p.wantEqual()
}

// runNamed runs what an error says to.
func (p pair) runNamed(err error) {
	p.t.Helper()
	found := namedStatements.FindStringSubmatch(err.Error())
	if found == nil {
		p.t.Fatalf("error %q names no statement", err)
	}
	p.exec(p.t, found[1])
}

// TestSettingsTheAdminMayNotSet are those of superusers, and custom ones, whose
// values may be secrets.
func TestSettingsTheAdminMayNotSet(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "privileged_settings")
		t.Cleanup(func() { s.clean(t, "DROP OWNED BY radmin_settings; DROP ROLE radmin_settings") })
		s.exec(t, "CREATE ROLE radmin_settings LOGIN CREATEROLE PASSWORD 'admin-password'", "GRANT privileged_settings TO radmin_settings WITH ADMIN OPTION")
		s.exec(t, "ALTER ROLE privileged_settings SET log_statement = 'ddl'", "ALTER ROLE privileged_settings SET myapp.tenant = 'a secret value'",
			"ALTER ROLE privileged_settings SET work_mem = '3MB'")
		req := p.request()
		req.Admin = p.Login("radmin_settings", "admin-password")
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrPrivilege, "setting log_statement, setting myapp.tenant;", twinPassword, "a secret value")
		if p.exists(p.name) {
			t.Error("a twin was left")
		}
		p.runNamed(err)
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		p.wantEqual()
	})
}

// TestTwinCutOff cuts every message of a call in turn: there is no twin, or
// all of it, and the call said again completes.
func TestTwinCutOff(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		// The gate reads what it cuts, and so asks for no TLS.
		s = start(t, dbservers.PostgresOptions{Version: s.options.Version, HBA: hostRules, Plaintext: true})
		for _, kind := range []wiregate.FaultKind{wiregate.CutBefore, wiregate.CutAfter} {
			for nth := 0; ; nth++ {
				p := s.pair(t, fmt.Sprintf("cut_%d_%d", nth, kind))
				s.exec(t, "ALTER ROLE "+quoted(p.canonical)+" SET work_mem = '3MB'")
				gate, admin := gated(t, s, p.Admin)
				fired := gate.Inject(wiregate.Fault{Kind: kind, Nth: nth})
				req := p.request()
				req.Admin = admin
				_, err := openTwin(t, req)
				if !fired() {
					if err != nil {
						t.Fatal(err)
					}
					if nth < 4 {
						t.Errorf("a call that creates took %d messages; want 4 or more", nth)
					}
					break
				}
				check(t, err, dbdrivers.ErrUnreachable, "no answer", twinPassword)
				p.await()
				if p.exists(p.name) {
					p.wantEqual()
				}
				p.open()
			}
		}
	})
}

// await returns when the server has noticed that the call has gone.
func (p pair) await() {
	p.t.Helper()
	// The lock is the transaction's; this waits for its end.
	p.exec(p.t, "SELECT pg_advisory_xact_lock(hashtextextended('dbrotation: twins of "+p.canonical+"', 0))")
}

func TestTwinsAtTheSameMoment(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "crowded")
		admins := []dbdrivers.Login{p.Admin, p.Admin}
		// Another database, where the lock is another.
		admins[1].Database = "postgres"
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				req := p.request()
				req.Admin = admins[i%2]
				if _, err := postgres.New().OpenTwin(t.Context(), req); err != nil {
					drivertest.WantSafe(t, err, twinPassword)
					t.Error(err)
				}
			})
		}
		wg.Wait()
		p.wantEqual()
	})
}

func TestLogHoldsNoPasswordOfATwin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		const planted = "planted-twin-pa55word"
		p := s.pair(t, "logged_app")
		req := p.request()
		req.Password = dbdrivers.NewPassword(planted)
		for range 2 {
			if _, err := openTwin(t, req); err != nil {
				t.Fatal(err)
			}
		}
		s.exec(t, "CREATE SCHEMA logged AUTHORIZATION "+quoted(p.name))
		if _, err := openTwin(t, req); err == nil {
			t.Error("no error of a twin that owns something")
		}
		log := s.log(t)
		if !strings.Contains(log, `ALTER ROLE "logged_app_clone" LOGIN PASSWORD 'SCRAM-SHA-256$`) {
			t.Error("the log does not tell of the twin; it proves nothing")
		}
		if strings.Contains(log, planted) {
			t.Error("the log holds the password")
		}
	})
}

// TestTwinRoundTrips holds what a call costs.
func TestTwinRoundTrips(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.PostgresOptions{Version: newest, Plaintext: true})
	p := s.pair(t, "frugal_app")
	gate, admin := gated(t, s, p.Admin)
	req := p.request()
	req.Admin = admin
	for _, want := range []int{5, 3} {
		gate.Reset()
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		if calls := gate.Calls(); len(calls) != want {
			t.Errorf("%d calls, the sign-in among them; want %d", len(calls), want)
		}
	}
}

// TestTwinsHash: the form of the verifier is the twin's own, by its own name.
func TestTwinsHash(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "hashed_app")
		for hash, prefix := range map[string]string{"": "SCRAM-SHA-256$", "scram-sha-256": "SCRAM-SHA-256$", "md5": "md5"} {
			req := p.request()
			req.Hash = hash
			if _, err := openTwin(t, req); err != nil {
				t.Fatal(err)
			}
			if kept := s.kept(t, p.name); !strings.HasPrefix(kept, prefix) {
				t.Errorf("hash %q: the server keeps another form", hash)
			}
		}
		req := p.request()
		req.Hash = "md5"
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		if got, want := s.kept(t, p.name), postgres.MD5Verifier(p.name, twinPassword); got != want {
			t.Errorf("the server keeps %q; want %q", got, want)
		}
	})
}

// TestTwinByAnAdminOfLessPower runs what the error names, and then it works.
func TestTwinByAnAdminOfLessPower(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "unpowered_app")
		t.Cleanup(func() { s.clean(t, "DROP OWNED BY weak_admin; DROP ROLE weak_admin") })
		s.exec(t, "CREATE ROLE weak_admin LOGIN PASSWORD 'admin-password'", "GRANT unpowered_app TO weak_admin WITH ADMIN OPTION")
		req := p.request()
		req.Admin = p.Login("weak_admin", "admin-password")
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrPrivilege, "CREATEROLE", twinPassword, "admin-password")
		p.runNamed(err)
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		p.wantEqual()
	})
}
