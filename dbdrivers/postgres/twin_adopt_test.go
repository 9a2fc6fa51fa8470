package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

const clonePassword = "clone-password"

// estate is a pair whose twin, made as AWS's function makes it, owns one of
// each kind of object in a schema of the pair's own.
type estate struct {
	pair
	schema, owner string
}

// estate makes the pair; with an owner role both act as it.
func (s *server) estate(t *testing.T, canonical, owner string) estate {
	t.Helper()
	roles := []string{}
	if owner != "" {
		roles = append(roles, owner)
	}
	e := estate{s.pair(t, canonical, roles...), canonical + "_estate", canonical}
	if owner != "" {
		e.owner = owner
		s.asAdmin(t, "CREATE ROLE "+owner+"; GRANT "+owner+" TO "+canonical+"; ALTER ROLE "+canonical+" SET role = '"+owner+"'")
	}
	s.granting(t, "GRANT CREATE ON DATABASE appdb TO "+e.owner)
	s.exec(t, "CREATE SCHEMA "+e.schema, "GRANT ALL ON SCHEMA "+e.schema+" TO "+e.owner)
	t.Cleanup(func() {
		s.clean(t, "DROP SCHEMA "+e.schema+" CASCADE", "DROP SCHEMA IF EXISTS "+e.schema+"_own CASCADE")
	})
	e.clone()
	if owner != "" {
		s.asAdmin(t, "GRANT "+owner+" TO "+e.name+"; REVOKE "+canonical+" FROM "+e.name)
	}
	return e
}

// granting grants or revokes on what tests share.
func (s *server) granting(t *testing.T, statements ...string) {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	s.exec(t, statements...)
}

// build has the twin make what it is to own, and returns it as the server
// describes it.
func (e estate) build(password string) (objects []string) {
	e.t.Helper()
	var large string
	conn := e.connect(e.Login(e.name, password))
	defer func() { _ = conn.Close(context.WithoutCancel(e.t.Context())) }()
	statements := []string{
		"SET ROLE NONE", "SET search_path = " + e.schema,
		"CREATE TABLE parent (n int PRIMARY KEY)", "CREATE TABLE child (n int REFERENCES parent)", "CREATE SEQUENCE numbers",
		"CREATE TABLE parts (n int) PARTITION BY RANGE (n)", "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (100)",
		"CREATE VIEW seen AS SELECT * FROM parent", "CREATE MATERIALIZED VIEW stored AS SELECT * FROM parent",
		"CREATE TYPE mood AS ENUM ('sad')", "CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7'",
		"CREATE SCHEMA " + e.schema + "_own",
	}
	for _, sql := range statements {
		if _, err := conn.Exec(e.t.Context(), sql); err != nil {
			e.t.Fatalf("%s: %v", sql, err)
		}
	}
	if err := conn.QueryRow(e.t.Context(), "SELECT lo_create(0)::text").Scan(&large); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { e.clean(e.t, "SELECT lo_unlink("+large+")") })
	in := func(name string) string { return e.schema + "." + name }
	objects = []string{
		"function " + in("seven()"), "large object " + large, "materialized view " + in("stored"), "schema " + e.schema + "_own",
		"sequence " + in("numbers"), "table " + in("child"), "table " + in("parent"), "table " + in("part"), "table " + in("parts"),
		"type " + in("mood"), "view " + in("seen"),
	}
	slices.Sort(objects)
	return objects
}

// use does with all of it what only its owner, or who has an owner's
// privileges, may.
func (e estate) use(account, password string, n int) {
	e.t.Helper()
	e.mustAs(account, password,
		"SET search_path = "+e.schema,
		fmt.Sprintf("INSERT INTO parent VALUES (%d)", n), fmt.Sprintf("INSERT INTO child VALUES (%d)", n), fmt.Sprintf("INSERT INTO parts VALUES (%d)", n),
		"SELECT nextval('numbers'), seven(), 'sad'::mood FROM seen", "REFRESH MATERIALIZED VIEW stored",
		fmt.Sprintf("ALTER TYPE mood ADD VALUE 'mood %d'", n), fmt.Sprintf("ALTER TABLE parent ADD COLUMN c%d int", n),
		fmt.Sprintf("CREATE TABLE %s_own.t%d (n int)", e.schema, n),
		"SELECT lo_put(oid, 0, 'x') FROM pg_largeobject_metadata WHERE lomowner IN ('"+e.name+"'::regrole, '"+e.owner+"'::regrole)")
}

// ownedBy counts what a role owns in this database.
func (e estate) ownedBy(role string) (n int) {
	e.t.Helper()
	e.ask(e.t, &n, `SELECT count(*) FROM pg_shdepend WHERE refobjid = $1::regrole AND deptype = 'o' AND dbid = (SELECT oid FROM pg_database WHERE datname = 'appdb')`, role)
	return n
}

func (e estate) request() dbdrivers.OpenTwinRequest {
	req := e.pair.request()
	req.Proven, req.Adopt, req.Database = true, true, "appdb"
	if e.owner != e.canonical {
		req.OwnerRole = e.owner
	}
	return req
}

// adopt opens the twin with the operator's word.
func (e estate) adopt() dbdrivers.TwinReport {
	e.t.Helper()
	report, err := openTwin(e.t, e.request())
	if err != nil {
		e.t.Fatal(err)
	}
	return report
}

func (e estate) comment() (comment string) {
	e.t.Helper()
	e.ask(e.t, &comment, "SELECT coalesce(shobj_description($1::regrole, 'pg_authid'), '')", e.name)
	return comment
}

// memberships are all grants of the twin to the admin.
func (e estate) memberships() (all string) {
	e.t.Helper()
	e.ask(e.t, &all, "SELECT coalesce(array_agg(to_jsonb(m)::text ORDER BY to_jsonb(m)::text)::text, 'none') FROM pg_auth_members m WHERE m.member = 'radmin'::regrole AND m.roleid = $1::regrole", e.name)
	return all
}

// TestAdoption hands over what the twin owns: the first time it is taken over,
// later, and after it was equal.
func TestAdoption(t *testing.T) {
	tests := []struct {
		name   string
		before func(e estate) (password string)
	}{
		{name: "a clone of AWS's function", before: func(estate) string { return clonePassword }},
		{name: "a twin that was taken over", before: func(e estate) string {
			req := e.request()
			req.Adopt = false
			e.exec(e.t, "CREATE TABLE "+e.schema+".early (n int)", "ALTER TABLE "+e.schema+".early OWNER TO "+e.name)
			if report, err := openTwin(e.t, req); err != nil || len(report.Kept) == 0 || len(report.Adopted) > 0 {
				e.t.Fatalf("report %+v, error %v", report, err)
			}
			e.exec(e.t, "DROP TABLE "+e.schema+".early")
			return twinPassword
		}},
		{name: "a twin that was equal", before: func(e estate) string {
			e.adopt()
			return twinPassword
		}},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		var superuser bool
		s.ask(t, &superuser, "SELECT rolsuper FROM pg_roles WHERE rolname = 'radmin'")
		if superuser {
			t.Fatal("the admin is a superuser, to whom everything is allowed")
		}
		for _, test := range tests {
			for _, owner := range []string{"", "heirs"} {
				t.Run(test.name+map[bool]string{true: ", with an owner role"}[owner != ""], func(t *testing.T) {
					e := s.estate(t, "heir", owner)
					objects := e.build(test.before(e))
					memberships, kept := e.memberships(), e.ownedBy(e.owner)
					report := e.adopt()
					if diff := cmp.Diff(objects, report.Adopted); diff != "" {
						t.Errorf("adopted (-want +got):\n%s", diff)
					}
					if len(report.Kept)+len(report.Removed) > 0 {
						t.Errorf("report %+v", report)
					}
					if n := e.ownedBy(e.name); n > 0 {
						t.Errorf("the twin still owns %d objects", n)
					}
					if got, want := e.ownedBy(e.owner)-kept, len(objects); got != want {
						t.Errorf("the shared role came to own %d objects; want %d", got, want)
					}
					if after := e.memberships(); after != memberships {
						t.Errorf("the admin's memberships were %s, now they are %s", memberships, after)
					}
					if !strings.HasSuffix(e.comment(), "kept equal by dbrotation") {
						t.Errorf("the twin is marked %q; want equal", e.comment())
					}
					e.wantEqual()
					e.use(e.name, twinPassword, 1)
					e.use(e.canonical, siblingPassword, 2)
					if report := e.adopt(); len(report.Adopted)+len(report.Added)+len(report.Removed)+len(report.Kept) > 0 {
						t.Errorf("once more it reports %+v", report)
					}
				})
			}
		}
	})
}

// TestAdoptionLosesNothing is a twin that goes on as itself, because it holds
// what cannot be handed over, and still reaches all that it owned.
func TestAdoptionLosesNothing(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "loser", "")
		objects := e.build(clonePassword)
		e.exec(t, "CREATE TABLE "+e.schema+".foreign_table (n int)", "GRANT SELECT ON "+e.schema+".foreign_table TO "+e.name,
			"CREATE POLICY named ON "+e.schema+".foreign_table TO "+e.name,
			"ALTER DEFAULT PRIVILEGES FOR ROLE "+e.name+" IN SCHEMA "+e.schema+" GRANT SELECT ON TABLES TO PUBLIC")
		report := e.adopt()
		if diff := cmp.Diff(objects, report.Adopted); diff != "" {
			t.Errorf("adopted (-want +got):\n%s", diff)
		}
		for _, kept := range []string{
			"table loser_estate.foreign_table in database \"appdb\" (privilege)", "policy named on table loser_estate.foreign_table in database \"appdb\" (policy)",
			"default privileges on new relations belonging to role loser_clone in schema loser_estate in database \"appdb\" (owner)",
			"setting role: it acts as itself as long as it has something of its own",
		} {
			if !slices.Contains(report.Kept, kept) {
				t.Errorf("kept %q; want %s among them", report.Kept, kept)
			}
		}
		var acting string
		conn := e.connect(e.Login(e.name, twinPassword))
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		if err := conn.QueryRow(t.Context(), "SELECT current_user").Scan(&acting); err != nil || acting != e.name {
			t.Errorf("the twin acts as %q, %v; want itself", acting, err)
		}
		e.use(e.name, twinPassword, 1)
		e.use(e.canonical, siblingPassword, 2)
		e.mustAs(e.name, twinPassword, "SELECT FROM "+e.schema+".foreign_table")
		if !strings.HasSuffix(e.comment(), "taken over by dbrotation") {
			t.Errorf("the twin is marked %q; want taken", e.comment())
		}
	})
}

// TestAdoptionOfAnEqualTwinWithAGrant stays the error that it is, and hands
// nothing over.
func TestAdoptionOfAnEqualTwinWithAGrant(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "strict", "")
		e.adopt()
		objects := e.build(twinPassword)
		e.exec(t, "CREATE TABLE "+e.schema+".foreign_table (n int)", "GRANT SELECT ON "+e.schema+".foreign_table TO "+e.name)
		before := e.dump(e.name) + e.memberships()
		req := e.request()
		req.Password = dbdrivers.NewPassword("another-password")
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "table strict_estate.foreign_table", "another-password")
		if after := e.dump(e.name) + e.memberships(); before != after || e.ownedBy(e.name) != len(objects) {
			t.Errorf("the twin was changed from %s to %s", before, after)
		}
		e.exec(t, "REVOKE SELECT ON "+e.schema+".foreign_table FROM "+e.name)
		e.adopt()
		e.wantEqual()
	})
}

// TestAdminsOwnMemberships are those that an admin had before: they are as they
// were, whatever their options.
func TestAdminsOwnMemberships(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		grants := []string{""}
		if s.options.Version >= "16" {
			grants = []string{" WITH INHERIT FALSE, SET TRUE", " WITH INHERIT TRUE, SET FALSE", " WITH INHERIT TRUE, SET TRUE", " WITH INHERIT FALSE, SET FALSE"}
		}
		for _, options := range grants {
			t.Run("granted"+options, func(t *testing.T) {
				e := s.estate(t, "joined", "")
				e.build(clonePassword)
				e.asAdmin(t, "GRANT joined_clone TO radmin"+options)
				before := e.memberships()
				e.adopt()
				if after := e.memberships(); before != after {
					t.Errorf("the admin's memberships were %s, now they are %s", before, after)
				}
				e.use(e.canonical, siblingPassword, 1)
			})
		}
	})
}

// TestAdoptionOfWhatIsInUse meets a table that another transaction reads.
func TestAdoptionOfWhatIsInUse(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "occupied", "")
		objects := e.build(clonePassword)
		reader, err := s.ConnectSuperuser(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = reader.Close(context.WithoutCancel(t.Context())) }()
		if _, err := reader.Exec(t.Context(), "BEGIN; SELECT FROM occupied_estate.parent"); err != nil {
			t.Fatal(err)
		}
		before := e.dump(e.name) + e.memberships()
		unchanged := func(what string) {
			t.Helper()
			if after := e.dump(e.name) + e.memberships(); before != after || e.ownedBy(e.name) != len(objects) {
				t.Errorf("%s: the twin was changed from %s to %s", what, before, after)
			}
		}
		_, err = openTwin(t, e.request())
		check(t, err, dbdrivers.ErrBusy, "in use by another transaction", twinPassword)
		unchanged("in use")

		failed := make(chan error, 1)
		go func() {
			_, err := postgres.New().OpenTwin(context.WithoutCancel(t.Context()), e.request())
			failed <- err
		}()
		for ended := false; !ended; time.Sleep(time.Millisecond) {
			select {
			case err := <-failed:
				t.Fatalf("the call was over before it was killed: %v", err)
			default:
			}
			s.ask(t, &ended, "SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%REASSIGN OWNED BY \"occupied_clone\"%' AND pid <> pg_backend_pid()")
		}
		check(t, <-failed, dbdrivers.ErrBusy, "ended the session", twinPassword)
		unchanged("killed")

		if _, err := reader.Exec(t.Context(), "COMMIT"); err != nil {
			t.Fatal(err)
		}
		e.adopt()
		e.wantEqual()
	})
}

// TestAdoptionCutOff cuts every message of a call in turn: nothing is handed
// over, or everything is.
func TestAdoptionCutOff(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		// The gate reads what it cuts, and so asks for no TLS.
		s = start(t, dbservers.PostgresOptions{Version: s.options.Version, HBA: hostRules, Plaintext: true})
		for _, kind := range []wiregate.FaultKind{wiregate.CutBefore, wiregate.CutAfter} {
			for nth := 0; ; nth++ {
				e := s.estate(t, fmt.Sprintf("heir_%d_%d", nth, kind), "")
				objects := e.build(clonePassword)
				before, memberships := e.dump(e.name), e.memberships()
				gate, admin := gated(t, s, e.Admin)
				fired := gate.Inject(wiregate.Fault{Kind: kind, Nth: nth})
				req := e.request()
				req.Admin = admin
				_, err := openTwin(t, req)
				if !fired() {
					if err != nil {
						t.Fatal(err)
					}
					if nth < 7 {
						t.Errorf("a call that hands over took %d messages; want 7 or more", nth)
					}
					break
				}
				check(t, err, dbdrivers.ErrUnreachable, "no answer", twinPassword)
				e.await()
				switch owned := e.ownedBy(e.name); {
				case owned == 0:
					e.wantEqual()
				case owned != len(objects) || e.dump(e.name) != before:
					t.Errorf("cut off at message %d it left a twin that owns %d objects", nth, owned)
				}
				if after := e.memberships(); after != memberships {
					t.Errorf("cut off at message %d the admin's memberships are %s; before %s", nth, after, memberships)
				}
				e.adopt()
				e.wantEqual()
			}
		}
	})
}

// TestAdoptionWhoseLastStatementFails meets another session that is changing
// the twin when the password is due.
func TestAdoptionWhoseLastStatementFails(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "late", "")
		objects := e.build(clonePassword)
		release := e.obstruct()
		before := e.dump(e.name) + e.memberships()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := postgres.New().OpenTwin(ctx, e.request())
		check(t, err, dbdrivers.ErrBusy, "", twinPassword)
		release()
		if after := e.dump(e.name) + e.memberships(); before != after || e.ownedBy(e.name) != len(objects) {
			t.Errorf("the twin was changed from %s to %s", before, after)
		}
		e.adopt()
		e.wantEqual()
	})
}

// obstruct has another session change the twin and not commit.
func (p pair) obstruct() (release func()) {
	p.t.Helper()
	conn, err := p.ConnectSuperuser(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := conn.Exec(p.t.Context(), "BEGIN; ALTER ROLE "+quoted(p.name)+" CONNECTION LIMIT 7"); err != nil {
		p.t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = conn.Close(context.WithoutCancel(p.t.Context())) })
	p.t.Cleanup(release)
	return release
}

// TestAdoptionWithoutThePrivilege runs what the error names, and then it works.
func TestAdoptionWithoutThePrivilege(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "barred_heir", "")
		// A function's new owner needs CREATE on its schema; a table's does not.
		e.exec(t, "CREATE SCHEMA closed", "GRANT ALL ON SCHEMA closed TO barred_heir_clone")
		t.Cleanup(func() { e.clean(t, "DROP SCHEMA closed CASCADE") })
		e.mustAs(e.name, clonePassword, "CREATE FUNCTION closed.seven() RETURNS int LANGUAGE sql AS 'SELECT 7'")
		before := e.dump(e.name) + e.memberships()
		_, err := openTwin(t, e.request())
		check(t, err, dbdrivers.ErrPrivilege, "may not hand over", twinPassword)
		if after := e.dump(e.name) + e.memberships(); before != after {
			t.Errorf("the twin was changed from %s to %s", before, after)
		}
		_, remedy, _ := strings.Cut(err.Error(), "as a superuser run: ")
		remedy, _, _ = strings.Cut(remedy, ": ERROR")
		e.exec(t, remedy)
		report := e.adopt()
		if want := `schema closed in database "appdb" (privilege)`; !slices.Contains(report.Kept, want) {
			t.Errorf("kept %q; want %q among them", report.Kept, want)
		}
	})
}

// TestOperatorsWordIsNeeded hands nothing over without it, and with it nothing
// of an account that only has the twin's name.
func TestOperatorsWordIsNeeded(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "asked", "")
		objects := e.build(clonePassword)
		req := e.request()
		req.Proven = false
		before := e.dump(e.name)
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "nothing proves", twinPassword)
		if after := e.dump(e.name); before != after {
			t.Errorf("the account was changed from %s to %s", before, after)
		}
		req.Proven, req.Adopt = true, false
		report, err := openTwin(t, req)
		if err != nil || len(report.Adopted) > 0 || e.ownedBy(e.name) != len(objects) {
			t.Errorf("report %+v, error %v", report, err)
		}
	})
}

// TestAdoptionAtTheSameMoment by calls from several databases; those that cannot
// reach the objects have to wait for one that can.
func TestAdoptionAtTheSameMoment(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "crowded_heir", "")
		e.build(clonePassword)
		memberships := e.memberships()
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				req := e.request()
				if i%2 > 0 {
					req.Database = "postgres"
				}
				if _, err := postgres.New().OpenTwin(t.Context(), req); err != nil {
					drivertest.WantSafe(t, err, twinPassword)
					t.Error(err)
				}
			})
		}
		wg.Wait()
		e.wantEqual()
		if after := e.memberships(); after != memberships {
			t.Errorf("the admin's memberships were %s, now they are %s", memberships, after)
		}
	})
}

// TestObjectsOfAnotherDatabase are named as far as they can be, with what to
// run there; run there, nothing is left.
func TestObjectsOfAnotherDatabase(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "abroad", "")
		e.mustAs(e.name, clonePassword, "CREATE TABLE "+e.schema+".here (n int)")
		s.exec(t, `CREATE DATABASE "over there" OWNER abroad_clone`)
		t.Cleanup(func() { s.clean(t, `DROP DATABASE "over there"`) })
		there := e.Login(e.name, clonePassword)
		there.Database = "over there"
		foreign := func(login dbdrivers.Login, statements ...string) {
			t.Helper()
			conn := e.connect(login)
			defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
			for _, sql := range statements {
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
		}
		foreign(there, "CREATE SCHEMA abroad", "SET search_path = abroad", "CREATE TABLE things (n int)", "CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7'",
			"CREATE TYPE mood AS ENUM ('sad')", "SELECT lo_create(0)", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", "CREATE STATISTICS odds ON (n % 2) FROM things")
		report := e.adopt()
		if want := []string{"database over there", "table abroad_estate.here"}; !slices.Equal(report.Adopted, want) {
			t.Errorf("adopted %q; want %q", report.Adopted, want)
		}
		for _, what := range []string{"schema", "relation", "function", "type", "large object", "default privileges", "statistics object"} {
			if !slices.ContainsFunc(report.Kept, func(s string) bool {
				return strings.HasPrefix(s, what+" with oid ") && strings.HasSuffix(s, ` in database "over there" (owner)`)
			}) {
				t.Errorf("kept %q; want a %s among them", report.Kept, what)
			}
		}
		at := slices.IndexFunc(report.Kept, func(s string) bool { return strings.HasPrefix(s, `in database "over there", as a superuser`) })
		if at < 0 {
			t.Fatalf("kept %q; want what to run there", report.Kept)
		}
		_, remedy, _ := strings.Cut(report.Kept[at], "run: ")
		// As the twin, which is one of the two that it may be run as.
		there.Password = dbdrivers.NewPassword(twinPassword)
		foreign(there, append([]string{"SET ROLE NONE"}, strings.Split(remedy, "; ")...)...)
		if report := e.adopt(); len(report.Kept) > 0 {
			t.Errorf("after it was run: kept %q", report.Kept)
		}
		e.wantEqual()
		s.exec(t, `ALTER DATABASE "over there" OWNER TO postgres`)
		superuser := s.Superuser
		superuser.Database = "over there"
		foreign(superuser, "DROP OWNED BY abroad")
	})
}

// TestManyObjects are named in part, with how many more there are.
func TestManyObjects(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		e := s.estate(t, "manifold", "")
		many := "DO $$ BEGIN FOR i IN 1..33 LOOP EXECUTE format('CREATE TABLE manifold_estate.t%s (n int); ALTER TABLE manifold_estate.t%s OWNER TO manifold_clone', i, i); END LOOP; END $$"
		e.exec(t, many)
		req := e.request()
		req.Adopt = false
		report, err := openTwin(t, req)
		if err != nil {
			t.Fatal(err)
		}
		// The last is that it acts as itself.
		if len(report.Kept) != 22 || report.Kept[20] != "and 13 more" {
			t.Errorf("kept %q", report.Kept)
		}
		req.Database = "postgres"
		if report, err = openTwin(t, req); err != nil || len(report.Kept) != 23 || report.Kept[20] != "and 13 more" || !strings.HasPrefix(report.Kept[21], `in database "appdb", as a superuser`) {
			t.Errorf("from another database: error %v, kept %q", err, report.Kept)
		}
		report = e.adopt()
		if len(report.Adopted) != 21 || report.Adopted[20] != "and 13 more" {
			t.Errorf("adopted %q", report.Adopted)
		}
		e.exec(t, strings.ReplaceAll(many, ".t%", ".u%"))
		_, err = openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "and 13 more; in database \"appdb\", as a superuser", twinPassword)
	})
}
