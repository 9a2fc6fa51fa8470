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

// acting makes an estate whose canonical account acts as another role, without
// that being the pair's owner role; its twin is a clone of AWS's function.
func (s *server) acting(t *testing.T, canonical, role, in string) estate {
	t.Helper()
	e := s.estate(t, canonical, role)
	s.asAdmin(t, "GRANT "+canonical+" TO "+e.name+"; REVOKE "+role+" FROM "+e.name)
	if in != "" {
		s.asAdmin(t, "ALTER ROLE "+canonical+" RESET role; ALTER ROLE "+canonical+in+" SET role = '"+role+"'")
	}
	return e
}

// asSibling is the request that names no owner role.
func (e estate) asSibling() dbdrivers.OpenTwinRequest {
	req := e.request()
	req.OwnerRole = ""
	return req
}

// at runs statements in a database, as a cleanup may.
func (e estate) at(login dbdrivers.Login, database string, statements ...string) {
	e.t.Helper()
	ctx := context.WithoutCancel(e.t.Context())
	conn, err := dbservers.Connect(ctx, atDatabase(login, database))
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			e.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// TestHeirIsTheRoleThatSessionsActAs: the canonical account acts as another
// role, and what belonged to the account itself would be out of reach of both.
func TestHeirIsTheRoleThatSessionsActAs(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for _, in := range []string{"", " IN DATABASE appdb"} {
			t.Run("set"+in, func(t *testing.T) {
				e := s.acting(t, "actor", "actors_role", in)
				objects := e.build(clonePassword)
				kept := e.ownedBy(e.owner)
				report, err := openTwin(t, e.asSibling())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(objects, report.Adopted); diff != "" || len(report.Kept) > 0 {
					t.Errorf("kept %q, adopted (-want +got):\n%s", report.Kept, diff)
				}
				if got := e.ownedBy(e.owner) - kept; got != len(objects) || e.ownedBy(e.canonical) > 0 {
					t.Errorf("the role that both act as came to own %d objects, the account itself owns %d", got, e.ownedBy(e.canonical))
				}
				e.wantEqual()
				e.use(e.name, twinPassword, 1)
				e.use(e.canonical, siblingPassword, 2)
				// Whom the sibling acts as is no difference of the twin's.
				e.wantDifferences()
			})
		}
	})
}

// TestHeirsOfSeveralDatabases: what the error says to run names each
// database's own, and run there, it leaves nothing.
func TestHeirsOfSeveralDatabases(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.acting(t, "roamer", "roamers_role", " IN DATABASE appdb")
		if _, err := openTwin(t, e.asSibling()); err != nil {
			t.Fatal(err)
		}
		for _, database := range []string{"appdb", "postgres"} {
			e.at(s.Superuser, database, "CREATE SCHEMA roamed AUTHORIZATION roamer_clone")
			t.Cleanup(func() { e.at(s.Superuser, database, "DROP SCHEMA IF EXISTS roamed") })
		}
		req := e.asSibling()
		req.Adopt = false
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "schema roamed", twinPassword)
		for database, heir := range map[string]string{"appdb": "roamers_role", "postgres": "roamer"} {
			_, after, found := strings.Cut(err.Error(), `in database "`+database+`", as a superuser`)
			_, remedy, _ := strings.Cut(after, "run: ")
			remedy, _, _ = strings.Cut(remedy, "; in database")
			if want := `REASSIGN OWNED BY "roamer_clone" TO "` + heir + `"; DROP OWNED BY "roamer_clone"`; !found || remedy != want {
				t.Fatalf("in database %s the error says to run %q; want %q: %v", database, remedy, want, err)
			}
			e.at(s.Superuser, database, strings.Split(remedy, "; ")...)
		}
		if _, err := openTwin(t, req); err != nil {
			t.Error(err)
		}
	})
}

// TestHeirOutOfReach is a role that the canonical account takes and does not
// inherit from: a twin that goes on as itself would lose what it owned.
func TestHeirOutOfReach(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.acting(t, "taker", "takers_role", "")
		objects := e.build(clonePassword)
		apart, together := "ALTER ROLE taker NOINHERIT", "ALTER ROLE taker INHERIT"
		if s.options.Version >= "16" {
			apart, together = "GRANT takers_role TO taker WITH INHERIT FALSE, SET TRUE", "GRANT takers_role TO taker WITH INHERIT TRUE"
		}
		s.asAdmin(t, apart)
		before := e.dump(e.name) + e.memberships()
		req := e.asSibling()
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrPrivilege, "without inheriting its privileges", twinPassword)
		if after := e.dump(e.name) + e.memberships(); before != after || e.ownedBy(e.name) != len(objects) {
			t.Errorf("the twin was changed from %s to %s", before, after)
		}
		s.asAdmin(t, together)
		if report, err := openTwin(t, req); err != nil || len(report.Adopted) != len(objects) {
			t.Errorf("once it inherits: error %v, report %+v", err, report)
		}
	})
}

// TestAdoptionOfEveryKind hands over what few applications own. A user mapping
// stays, which belongs to no role but its own.
func TestAdoptionOfEveryKind(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "collector", "")
		t.Cleanup(func() { s.clean(t, "DROP PUBLICATION IF EXISTS collected", "DROP DATABASE IF EXISTS collected") })
		s.exec(t, "CREATE FOREIGN DATA WRAPPER collecting", "GRANT USAGE ON FOREIGN DATA WRAPPER collecting TO collector", "CREATE DATABASE collected OWNER collector_clone")
		t.Cleanup(func() {
			s.clean(t, "DROP EXTENSION IF EXISTS citext CASCADE", "DROP FOREIGN DATA WRAPPER collecting CASCADE")
		})
		e.mustAs(e.name, clonePassword, "SET search_path = collector_estate", "CREATE TABLE things (n int)", "CREATE PUBLICATION collected FOR TABLE things", "CREATE EXTENSION citext",
			"CREATE SERVER elsewhere FOREIGN DATA WRAPPER collecting", "CREATE FOREIGN TABLE distant (n int) SERVER elsewhere", `CREATE COLLATION plain FROM "C"`, "CREATE TEXT SEARCH CONFIGURATION words (COPY = simple)",
			"CREATE DOMAIN few AS int", "CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int)", "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
			"CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY, c int)", "CREATE STATISTICS odds ON id, c FROM counted", "CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1'")
		owned, had := e.ownedBy(e.name), e.ownedBy(e.canonical)
		report := e.adopt()
		for _, want := range []string{
			"database collected", "extension citext", "publication collected", "server elsewhere", "foreign table collector_estate.distant", "collation collector_estate.plain",
			"text search configuration collector_estate.words", "type collector_estate.few", "operator collector_estate.===(integer,integer)", "sequence collector_estate.counted_id_seq",
			"statistics object collector_estate.odds", "function collector_estate.nothing()", "function collector_estate.total(integer)",
		} {
			if !slices.Contains(report.Adopted, want) {
				t.Errorf("adopted %q; want %s among them", report.Adopted, want)
			}
		}
		if left, came := e.ownedBy(e.name), e.ownedBy(e.canonical)-had; left > 0 || came != owned || owned == 0 || len(report.Kept) > 0 {
			t.Errorf("of %d objects the twin still owns %d, and its sibling came to own %d; kept %q", owned, left, came, report.Kept)
		}
		e.wantEqual()

		s.exec(t, "CREATE USER MAPPING FOR collector_clone SERVER elsewhere")
		_, err := openTwin(t, e.request())
		check(t, err, dbdrivers.ErrUnsupported, "user mapping for collector_clone", twinPassword)
	})
}

// TestAdoptionOfTemporaryTables leaves the session that made them their use.
func TestAdoptionOfTemporaryTables(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "temporary", "")
		conn := e.connect(e.Login(e.name, clonePassword))
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		run := func(statements ...string) {
			t.Helper()
			for _, sql := range statements {
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
		}
		run("CREATE TEMP TABLE mine (n int PRIMARY KEY, t text)", "CREATE TEMP VIEW seen AS SELECT * FROM mine")
		if report := e.adopt(); len(report.Adopted) != 2 || len(report.Kept) > 0 {
			t.Errorf("report %+v", report)
		}
		e.wantEqual()
		run("INSERT INTO mine VALUES (1, 'a')", "SELECT FROM seen", "ALTER TABLE mine ADD COLUMN x int", "TRUNCATE mine", "CREATE TEMP TABLE other (n int)", "DROP TABLE mine CASCADE", "DISCARD TEMP")
	})
}

// TestAdoptionOfWhatIsDroppedMeanwhile takes the call up again without it.
func TestAdoptionOfWhatIsDroppedMeanwhile(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "dropper", "")
		objects := e.build(clonePassword)
		conn := e.connect(e.Login(e.name, clonePassword))
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		if _, err := conn.Exec(t.Context(), "BEGIN; DROP TABLE dropper_estate.child"); err != nil {
			t.Fatal(err)
		}
		type outcome struct {
			report dbdrivers.TwinReport
			err    error
		}
		ended := make(chan outcome, 1)
		go func() {
			report, err := postgres.New().OpenTwin(context.WithoutCancel(t.Context()), e.request())
			ended <- outcome{report, err}
		}()
		for waits := false; !waits; time.Sleep(time.Millisecond) {
			select {
			case o := <-ended:
				t.Fatalf("the call was over before the table was dropped: %v", o.err)
			default:
			}
			s.ask(t, &waits, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%REASSIGN OWNED BY \"dropper_clone\"%' AND pid <> pg_backend_pid()")
		}
		if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
			t.Fatal(err)
		}
		o := <-ended
		if o.err != nil {
			t.Fatal(o.err)
		}
		objects = slices.DeleteFunc(objects, func(s string) bool { return s == "table dropper_estate.child" })
		if diff := cmp.Diff(objects, o.report.Adopted); diff != "" {
			t.Errorf("adopted (-want +got):\n%s", diff)
		}
		e.wantEqual()
	})
}
