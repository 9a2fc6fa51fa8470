package redshift_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// cloned is an account as AWS's own rotation function leaves it: it has its
// sibling's rights of the day it was made, and those of groups as its own.
func (p pair) cloned() {
	p.t.Helper()
	p.create(p.t, p.name, twinPassword)
	p.say(p.t, "CREATE TABLE work."+p.canonical+"_a (n int)", "CREATE TABLE work."+p.canonical+"_b (n int)", "CREATE GROUP "+p.canonical+"_group")
	p.with([]string{
		"GRANT SELECT ON TABLE work." + p.canonical + "_a TO %app",
		"ALTER GROUP " + p.canonical + "_group ADD USER %app",
		"GRANT SELECT ON TABLE work." + p.canonical + "_b TO GROUP " + p.canonical + "_group",
		"GRANT SELECT ON TABLE work." + p.canonical + "_b TO %twin",
		"ALTER USER %twin CREATEDB", "ALTER USER %twin SET statement_timeout TO 7654321",
	})
}

// TestTakenOver is the first time that a twin of another maker is opened: rights
// are added and none is revoked. The second time they are.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "takenover")
	p.cloned()
	req := p.request()
	req.MayCreate = false
	_, err := openTwin(t, req)
	check(t, err, dbdrivers.ErrUnsupported, `ALTER GROUP "dbrotation.taken.`, twinPassword)
	if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
		t.Errorf("error %v; want that nothing proves the twin", err)
	}

	req.Proven = true
	report, err := openTwin(t, req)
	if err != nil {
		t.Fatal(err)
	}
	if !report.TakenOver || len(report.Removed) > 0 || !has(report.Added, `"takenover_a"`) || !has(report.Added, `GROUP "takenover_group"`) {
		t.Errorf("the first time it reports %+v", report)
	}
	for _, kept := range []string{`"takenover_b"`, "CREATEDB", "statement_timeout"} {
		if !has(report.Kept, kept) {
			t.Errorf("it kept %q; want %s among it", report.Kept, kept)
		}
	}

	req.Proven = false
	report, err = openTwin(t, req)
	if err != nil {
		t.Fatal(err)
	}
	if report.TakenOver || len(report.Kept) > 0 || len(report.Removed) != 3 {
		t.Errorf("the second time it reports %+v", report)
	}
	p.wantEqual()
}

// TestTakenOverByHand is the remedy that the error names.
func TestTakenOverByHand(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "byhand")
	p.cloned()
	_, err := openTwin(t, p.request())
	if err == nil {
		t.Fatal("an account that nothing proves was opened")
	}
	_, remedy, found := strings.Cut(err.Error(), "as a superuser run: ")
	if !found {
		t.Fatalf("error %v; want statements", err)
	}
	s.say(t, strings.Split(remedy, "; ")...)
	report, err := openTwin(t, p.request())
	if err != nil || report.TakenOver || len(report.Removed) == 0 {
		t.Errorf("it reports %+v, %v; want a twin that is known", report, err)
	}
	p.wantEqual()
}

// TestOwnedByTheTwin hands over what is in the database, of each kind.
func TestOwnedByTheTwin(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "handing")
	p.open()
	twin := p.Login(p.name, twinPassword)
	s.say(t, "GRANT CREATE ON DATABASE appdb TO PUBLIC")
	if err := s.as(t, twin,
		"CREATE SCHEMA handed", "CREATE TABLE handed.t (n int)", "CREATE VIEW handed.v AS SELECT n FROM handed.t",
		"CREATE FUNCTION handed.f(int) RETURNS int STABLE AS $$ SELECT 1 $$ LANGUAGE sql",
		"CREATE PROCEDURE handed.p(n int) AS $$ BEGIN END $$ LANGUAGE plpgsql",
	); err != nil {
		t.Fatal(err)
	}
	_, err := openTwin(t, p.request())
	check(t, err, dbdrivers.ErrUnsupported, `ALTER TABLE "handed"."t" OWNER TO "handing"`, twinPassword)
	if !errors.Is(err, dbdrivers.ErrTwinOwns) {
		t.Errorf("error %v; want that the twin owns something", err)
	}
	req := p.request()
	req.Adopt = true
	report, err := openTwin(t, req)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range []string{`SCHEMA "handed"`, `TABLE "handed"."t"`, `TABLE "handed"."v"`, `FUNCTION "handed"."f"(integer)`, `PROCEDURE "handed"."p"(integer)`} {
		if !has(report.Adopted, object) {
			t.Errorf("it handed over %q; want %s among it", report.Adopted, object)
		}
	}
	if err := s.as(t, twin, "INSERT INTO handed.t VALUES (1)", "SELECT n FROM handed.v", "CREATE TABLE handed.later (n int)"); err != nil {
		t.Errorf("the twin afterwards: %v", err)
	}
	if err := s.as(t, p.Login(p.canonical, siblingPassword), "DROP TABLE handed.t CASCADE"); err != nil {
		t.Errorf("its sibling afterwards: %v", err)
	}
}
