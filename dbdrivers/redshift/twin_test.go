package redshift_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/redshiftgate"
)

// TestTwinIsItsSibling opens a twin of accounts of many kinds and compares what
// the system views show of both; then once more, after the kind has gone.
func TestTwinIsItsSibling(t *testing.T) {
	t.Parallel()
	const table = "CREATE TABLE %s.t (n int, m int)"
	tests := []struct {
		name string
		// arrange and undo have the account as %app, and a schema of the
		// test's own as %s.
		arrange, undo []string
		// added is named by the report.
		added string
	}{
		{name: "a plain account"},
		{name: "a table", arrange: []string{table, "GRANT SELECT ON TABLE %s.t TO %app", "GRANT INSERT ON TABLE %s.t TO %app"}, undo: []string{"REVOKE INSERT ON TABLE %s.t FROM %app"}, added: "INSERT ON TABLE"},
		{name: "a table, with the right to pass it on", arrange: []string{table, "GRANT SELECT ON TABLE %s.t TO %app WITH GRANT OPTION"}, undo: []string{"REVOKE GRANT OPTION FOR SELECT ON TABLE %s.t FROM %app"}, added: "WITH GRANT OPTION"},
		{name: "the right to drop, alter and truncate a table", arrange: []string{table, "GRANT DROP ON TABLE %s.t TO %app", "GRANT ALTER ON TABLE %s.t TO %app", "GRANT TRUNCATE ON TABLE %s.t TO %app"}, undo: []string{"REVOKE DROP ON TABLE %s.t FROM %app"}, added: "DROP ON TABLE"},
		{name: "a view", arrange: []string{table, "CREATE VIEW %s.v AS SELECT n FROM %s.t", "GRANT SELECT ON TABLE %s.v TO %app"}, undo: []string{"REVOKE SELECT ON TABLE %s.v FROM %app"}, added: `"v"`},
		{name: "a column", arrange: []string{table, "GRANT SELECT (n) ON TABLE %s.t TO %app", "GRANT UPDATE (m) ON TABLE %s.t TO %app"}, undo: []string{"REVOKE UPDATE (m) ON TABLE %s.t FROM %app"}, added: `SELECT ("n") ON TABLE`},
		{name: "a column, then the whole table", arrange: []string{table, "GRANT SELECT (n) ON TABLE %s.t TO %app"}, undo: []string{"REVOKE SELECT (n) ON TABLE %s.t FROM %app", "GRANT SELECT ON TABLE %s.t TO %app"}, added: `SELECT ("n")`},
		{name: "a schema without a table", arrange: []string{"GRANT USAGE ON SCHEMA %s TO %app", "GRANT CREATE ON SCHEMA %s TO %app WITH GRANT OPTION"}, undo: []string{"REVOKE CREATE ON SCHEMA %s FROM %app"}, added: "CREATE ON SCHEMA"},
		{name: "an external schema", arrange: []string{"CREATE EXTERNAL SCHEMA %s_ext FROM DATA CATALOG DATABASE 'lake' IAM_ROLE 'arn:aws:iam::1:role/x'", "GRANT USAGE ON SCHEMA %s_ext TO %app"}, undo: []string{"REVOKE USAGE ON SCHEMA %s_ext FROM %app"}, added: "USAGE ON SCHEMA"},
		{name: "whatever tables there will be in a schema", arrange: []string{"GRANT SELECT FOR TABLES IN SCHEMA %s TO %app"}, undo: []string{"REVOKE SELECT FOR TABLES IN SCHEMA %s FROM %app"}, added: "SELECT FOR TABLES IN SCHEMA"},
		{name: "whatever schemas there will be in a database", arrange: []string{`GRANT USAGE FOR SCHEMAS IN DATABASE appdb TO %app`}, undo: []string{"REVOKE USAGE FOR SCHEMAS IN DATABASE appdb FROM %app"}, added: "USAGE FOR SCHEMAS IN DATABASE"},
		{name: "a database", arrange: []string{"GRANT CREATE ON DATABASE appdb TO %app", "GRANT TEMP ON DATABASE appdb TO %app"}, undo: []string{"REVOKE CREATE ON DATABASE appdb FROM %app"}, added: "TEMP ON DATABASE"},
		{name: "a function", arrange: []string{"CREATE FUNCTION %s.f(int, varchar) RETURNS int STABLE AS $$ SELECT 1 $$ LANGUAGE sql", "GRANT EXECUTE ON FUNCTION %s.f(int, varchar) TO %app"}, undo: []string{"REVOKE EXECUTE ON FUNCTION %s.f(int, varchar) FROM %app"}, added: "EXECUTE ON FUNCTION"},
		{name: "a procedure", arrange: []string{"CREATE PROCEDURE %s.p(n int) AS $$ BEGIN END $$ LANGUAGE plpgsql", "GRANT EXECUTE ON PROCEDURE %s.p(int) TO %app"}, undo: []string{"REVOKE EXECUTE ON PROCEDURE %s.p(int) FROM %app"}, added: "EXECUTE ON PROCEDURE"},
		{name: "a language", arrange: []string{"GRANT USAGE ON LANGUAGE plpythonu TO %app"}, undo: []string{"REVOKE USAGE ON LANGUAGE plpythonu FROM %app"}, added: "USAGE ON LANGUAGE"},
		{name: "a datashare", arrange: []string{"CREATE DATASHARE %s_share", "GRANT SHARE ON DATASHARE %s_share TO %app"}, undo: []string{"REVOKE SHARE ON DATASHARE %s_share FROM %app"}, added: "SHARE ON DATASHARE"},
		{name: "a model", arrange: []string{table, "CREATE MODEL %s.m FROM %s.t TARGET n FUNCTION guess IAM_ROLE 'arn:aws:iam::1:role/x'", "GRANT EXECUTE ON MODEL %s.m TO %app"}, undo: []string{"REVOKE EXECUTE ON MODEL %s.m FROM %app"}, added: "EXECUTE ON MODEL"},
		{name: "a role of IAM", arrange: []string{"GRANT ASSUMEROLE ON 'arn:aws:iam::1:role/x' TO %app FOR COPY", "GRANT ASSUMEROLE ON 'arn:aws:iam::1:role/x' TO %app FOR EXTERNAL FUNCTION"}, undo: []string{"REVOKE ASSUMEROLE ON 'arn:aws:iam::1:role/x' FROM %app FOR COPY"}, added: "FOR EXTERNAL FUNCTION"},
		{name: "the default role of IAM", arrange: []string{"GRANT ASSUMEROLE ON DEFAULT TO %app FOR COPY"}, undo: []string{"REVOKE ASSUMEROLE ON DEFAULT FROM %app FOR COPY"}, added: "ASSUMEROLE ON DEFAULT"},
		{name: "what others will make", arrange: []string{"CREATE USER %s_maker PASSWORD DISABLE", "ALTER DEFAULT PRIVILEGES FOR USER %s_maker IN SCHEMA %s GRANT SELECT ON TABLES TO %app"}, undo: []string{"ALTER DEFAULT PRIVILEGES FOR USER %s_maker IN SCHEMA %s REVOKE SELECT ON TABLES FROM %app"}, added: "DEFAULT PRIVILEGES"},
		{name: "what it will make itself", arrange: []string{"CREATE GROUP %s_readers", "ALTER DEFAULT PRIVILEGES FOR USER %app IN SCHEMA %s GRANT SELECT ON TABLES TO GROUP %s_readers"}, undo: []string{"ALTER DEFAULT PRIVILEGES FOR USER %app IN SCHEMA %s REVOKE SELECT ON TABLES FROM GROUP %s_readers"}, added: "DEFAULT PRIVILEGES"},
		{name: "a group that has rights", arrange: []string{table, "CREATE GROUP %s_readers", "GRANT SELECT ON TABLE %s.t TO GROUP %s_readers", "ALTER GROUP %s_readers ADD USER %app"}, undo: []string{"ALTER GROUP %s_readers DROP USER %app"}, added: "GROUP "},
		{name: "a role that has rights", arrange: []string{table, "CREATE ROLE %s_role", "GRANT SELECT ON TABLE %s.t TO ROLE %s_role", "GRANT ROLE %s_role TO %app"}, undo: []string{"REVOKE ROLE %s_role FROM %app"}, added: "ROLE "},
		{name: "a role that it may pass on", arrange: []string{"CREATE ROLE %s_role", "GRANT ROLE %s_role TO %app WITH ADMIN OPTION"}, undo: []string{"REVOKE ADMIN OPTION FOR ROLE %s_role FROM %app"}, added: "WITH ADMIN OPTION"},
		{name: "what everybody may", arrange: []string{table, "GRANT SELECT ON TABLE %s.t TO PUBLIC"}},
		{name: "the right to make databases", arrange: []string{"ALTER USER %app CREATEDB"}, undo: []string{"ALTER USER %app NOCREATEDB"}, added: "CREATEDB"},
		{name: "the logs of all", arrange: []string{"ALTER USER %app SYSLOG ACCESS UNRESTRICTED"}, undo: []string{"ALTER USER %app SYSLOG ACCESS RESTRICTED"}, added: "SYSLOG ACCESS"},
		{name: "a limit of connections", arrange: []string{"ALTER USER %app CONNECTION LIMIT 7"}, undo: []string{"ALTER USER %app CONNECTION LIMIT UNLIMITED"}, added: "CONNECTION LIMIT"},
		{name: "a session's time-out", arrange: []string{"ALTER USER %app SESSION TIMEOUT 600"}, undo: []string{"ALTER USER %app RESET SESSION TIMEOUT"}, added: "SESSION TIMEOUT"},
		{name: "an end", arrange: []string{"ALTER USER %app VALID UNTIL '2071-01-02 03:04:05+06'"}, undo: []string{"ALTER USER %app VALID UNTIL 'infinity'"}, added: "VALID UNTIL"},
		{name: "settings", arrange: []string{"ALTER USER %app SET search_path TO 'Foo Bar', '$user', 'x,y', public", "ALTER USER %app SET statement_timeout TO 1234567"}, undo: []string{"ALTER USER %app RESET search_path", "ALTER USER %app SET statement_timeout TO 7654321"}, added: "setting search_path"},
	}
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := s.pair(t, "Twinned App "+string(rune('A'+i)))
			schema := "twinned_" + strings.ToLower(string(rune('a'+i)))
			if i >= 26 {
				schema = "twinned_z" + strings.ToLower(string(rune('a'+i-26)))
			}
			with := func(statements []string) {
				for _, sql := range statements {
					p.with([]string{strings.ReplaceAll(sql, "%s", schema)})
				}
			}
			with(append([]string{"CREATE SCHEMA %s"}, test.arrange...))
			before := p.shown(p.canonical)
			report := p.open()
			if !report.Created || report.TakenOver || len(report.Kept) > 0 || len(report.Removed) > 0 || test.added != "" && !has(report.Added, test.added) {
				t.Errorf("report of the first time: %+v", report)
			}
			report, err := openTwin(t, p.request())
			if err != nil || report.Created || len(report.Added)+len(report.Removed) > 0 {
				t.Errorf("the second time something was left to do: %+v, %v", report, err)
			}
			if diff := cmp.Diff(before, p.shown(p.canonical)); diff != "" {
				t.Errorf("the canonical account was changed:\n%s", diff)
			}
			with(test.undo)
			report = p.open()
			if len(test.undo) > 0 && len(report.Added)+len(report.Removed) == 0 {
				t.Error("the report does not tell what has gone")
			}
		})
	}
}

// TestTwinThatDrifted is a twin that somebody has changed since: what it was
// given does not last, and does not come to its sibling.
func TestTwinThatDrifted(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	s.say(t, "CREATE TABLE work.drift (n int)", "CREATE GROUP drifting", "CREATE ROLE drifting_role")
	p := s.pair(t, "drifter")
	p.with([]string{"GRANT SELECT ON TABLE work.drift TO %app"})
	p.open()
	for sql, removed := range map[string]string{
		"GRANT INSERT ON TABLE work.drift TO %twin":                                "INSERT ON TABLE",
		"GRANT SELECT ON TABLE work.drift TO %twin WITH GRANT OPTION":              "GRANT OPTION FOR SELECT",
		"GRANT UPDATE (n) ON TABLE work.drift TO %twin":                            `UPDATE ("n")`,
		"ALTER GROUP drifting ADD USER %twin":                                      `GROUP "drifting"`,
		"GRANT ROLE drifting_role TO %twin":                                        `ROLE "drifting_role"`,
		"GRANT ASSUMEROLE ON ALL TO %twin FOR ALL":                                 "ASSUMEROLE ON ALL",
		"ALTER USER %twin CREATEDB":                                                "CREATEDB",
		"ALTER USER %twin SYSLOG ACCESS UNRESTRICTED":                              "SYSLOG ACCESS",
		"ALTER USER %twin SET statement_timeout TO 5":                              "setting statement_timeout",
		"ALTER DEFAULT PRIVILEGES FOR USER %twin GRANT SELECT ON TABLES TO PUBLIC": "DEFAULT PRIVILEGES",
	} {
		before := p.shown(p.canonical)
		p.with([]string{sql})
		if report := p.open(); !has(report.Removed, removed) || len(report.Added) > 0 {
			t.Errorf("after %s it reports %+v", sql, report)
		}
		if diff := cmp.Diff(before, p.shown(p.canonical)); diff != "" {
			t.Errorf("after %s the canonical account was changed:\n%s", sql, diff)
		}
	}
	p.with([]string{"REVOKE SELECT ON TABLE work.drift FROM %twin"})
	if report := p.open(); !has(report.Added, "SELECT ON TABLE") {
		t.Errorf("what it had lost was not given back: %+v", report)
	}
}

// TestTwinUsesWhatItsSiblingOwns: nothing but names makes two accounts share.
func TestTwinUsesWhatItsSiblingOwns(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "owner")
	sibling, twin := p.Login(p.canonical, siblingPassword), p.Login(p.name, twinPassword)
	if err := s.as(t, sibling, "CREATE TABLE work.owned (n int)",
		// A materialized view, which the server keeps in a table of its own, and a
		// table of the account's that is merely named as such.
		"CREATE VIEW work.seen AS SELECT n FROM work.owned", "CREATE TABLE work.mv_tbl__seen__0 (n int)", "CREATE TABLE work.mv_tbl__owned__0 (n int)",
	); err != nil {
		t.Fatal(err)
	}
	p.with([]string{
		"CREATE EXTERNAL SCHEMA owned_lake FROM DATA CATALOG DATABASE 'lake' IAM_ROLE 'arn:aws:iam::1:role/x'",
		"ALTER SCHEMA owned_lake OWNER TO %app",
	})
	if _, err := openTwin(t, p.request()); err != nil {
		t.Fatal(err)
	}
	if err := s.as(t, twin, "INSERT INTO work.owned VALUES (1)", "SELECT n FROM work.owned", "SELECT n FROM work.seen", "SELECT n FROM work.mv_tbl__owned__0"); err != nil {
		t.Errorf("the twin: %v", err)
	}
	if err := s.as(t, twin, "SELECT n FROM work.mv_tbl__seen__0"); !denied(err) {
		t.Errorf("what keeps a materialized view, read by the twin: error %v; want that it may not", err)
	}
	report, err := openTwin(t, p.request())
	if err != nil || len(report.Added)+len(report.Removed) > 0 {
		t.Errorf("the second time something was left to do: %+v, %v", report, err)
	}
}

// TestTwinUsesWhatTheViewsDoNotShow: their pages do not list every privilege that
// can be granted.
func TestTwinUsesWhatTheViewsDoNotShow(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true, Cluster: redshiftgate.Cluster{DocumentedPrivileges: true}})
	p := s.pair(t, "unlisted")
	p.with([]string{"CREATE SCHEMA of_unlisted AUTHORIZATION %app"})
	if err := s.as(t, p.Login(p.canonical, siblingPassword), "CREATE TABLE work.unlisted (n int)"); err != nil {
		t.Fatal(err)
	}
	for turn := range 2 {
		var notes []string
		req := p.request()
		req.Note = func(text string) { notes = append(notes, text) }
		report, err := openTwin(t, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{`ALTER ON TABLE "work"."unlisted"`, `TRUNCATE ON TABLE "work"."unlisted"`, `DROP ON SCHEMA "of_unlisted"`} {
			if told := slices.ContainsFunc(notes, func(note string) bool { return strings.Contains(note, what) }); !told || has(report.Added, what) {
				t.Errorf("turn %d: %s: a note of it: %t; it is reported as added: %t", turn, what, told, has(report.Added, what))
			}
		}
		if shown := has(report.Added, `DROP ON TABLE "work"."unlisted"`); shown != (turn == 0) {
			t.Errorf("turn %d: what the views show is reported as added: %t", turn, shown)
		}
	}
	if err := s.as(t, p.Login(p.name, twinPassword), "INSERT INTO work.unlisted VALUES (1)", "SELECT n FROM work.unlisted"); err != nil {
		t.Errorf("the twin: %v", err)
	}
}

// TestTwinOfDefaultPrivilegesOfAllKinds: the view shows more of them than a
// statement can name.
func TestTwinOfDefaultPrivilegesOfAllKinds(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true, Cluster: redshiftgate.Cluster{DocumentedPrivileges: true}})
	p := s.pair(t, "defaults")
	p.with([]string{"ALTER DEFAULT PRIVILEGES FOR USER " + s.Admin.Username + " IN SCHEMA work GRANT ALL ON TABLES TO %app"})
	if report := p.open(); !has(report.Added, "SELECT ON TABLES") || has(report.Added, "TRIGGER") || has(report.Added, "RULE") {
		t.Errorf("it reports %+v", report)
	}
	p.with([]string{"ALTER DEFAULT PRIVILEGES FOR USER " + s.Admin.Username + " IN SCHEMA work REVOKE ALL ON TABLES FROM %app"})
	if report := p.open(); !has(report.Removed, "SELECT ON TABLES") {
		t.Errorf("it reports %+v", report)
	}
}

// TestTwinOfHostileNames has names that break what quotes them by hand.
func TestTwinOfHostileNames(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	hostile := `ho's"ti\le $1 $$ \'; --`
	p := s.pair(t, "Account "+hostile)
	name := strings.ToLower(hostile)
	s.say(t, "CREATE SCHEMA "+quoted(name), "CREATE TABLE "+quoted(name, name)+" ("+quoted(name)+" int)", "CREATE GROUP "+quoted("group "+name), "CREATE ROLE "+quoted("role "+name))
	p.with([]string{
		"GRANT USAGE ON SCHEMA " + quoted(name) + " TO %app", "GRANT SELECT ON TABLE " + quoted(name, name) + " TO %app",
		"GRANT UPDATE (" + quoted(name) + ") ON TABLE " + quoted(name, name) + " TO %app",
		"ALTER GROUP " + quoted("group "+name) + " ADD USER %app", "GRANT ROLE " + quoted("role "+name) + " TO %app",
		`ALTER USER %app SET search_path TO 'ho''s"ti\\le $1', '$user', public`,
	})
	if report := p.open(); len(report.Added) != 6 {
		t.Errorf("it reports %+v", report)
	}
	if err := s.as(t, p.Login(p.name, twinPassword), "SELECT "+quoted(name)+" FROM "+quoted(name, name)); err != nil {
		t.Errorf("the twin: %v", err)
	}
}

// TestForbiddenPairs are names that a secret must not bring an admin to touch.
func TestForbiddenPairs(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	s.say(t, `CREATE ROLE "sys:superuser"`, "CREATE ROLE forbidden_role", `GRANT ROLE "sys:superuser" TO ROLE forbidden_role`)
	tests := []struct {
		name    string
		arrange []string
		change  func(*dbdrivers.OpenTwinRequest)
		want    error
		says    string
	}{
		{name: "a superuser", arrange: []string{"ALTER USER %app CREATEUSER"}, want: dbdrivers.ErrUnsupported, says: "is a superuser"},
		{name: "who holds the superusers' role", arrange: []string{`GRANT ROLE "sys:superuser" TO %app`}, want: dbdrivers.ErrUnsupported, says: "sys:superuser"},
		{name: "who holds it through another role", arrange: []string{"GRANT ROLE forbidden_role TO %app"}, want: dbdrivers.ErrUnsupported, says: "sys:superuser"},
		{name: "who is kept as sha256", arrange: []string{"ALTER USER %app PASSWORD 'sha256|" + siblingPassword + "'"}, want: dbdrivers.ErrUnsupported, says: `"hash": "md5"`},
		{name: "an identity provider's account", arrange: []string{"ALTER USER %app PASSWORD DISABLE", "ALTER USER %app EXTERNALID 'someone'"}, want: dbdrivers.ErrUnsupported, says: "identity provider"},
		{name: "a twin of another's", arrange: []string{`CREATE GROUP "dbrotation.equal.anothers"`, `ALTER GROUP "dbrotation.equal.anothers" ADD USER %app`}, want: dbdrivers.ErrUnsupported, says: "another account's twin"},
		{name: "the account of the service", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "rdsdb" }, want: dbdrivers.ErrUnsupported, says: "reserved"},
		{name: "an account of IAM", change: func(r *dbdrivers.OpenTwinRequest) { r.Twin = "IAM:alice" }, want: dbdrivers.ErrUnsupported, says: "reserved"},
		{name: "an owner role", change: func(r *dbdrivers.OpenTwinRequest) { r.OwnerRole = "owners" }, want: dbdrivers.ErrUnsupported, says: "ownerRole"},
		{name: "a password against the rules", change: func(r *dbdrivers.OpenTwinRequest) { r.Password = dbdrivers.NewPassword("short") }, want: dbdrivers.ErrPasswordRules, says: "8 to 64"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := s.pair(t, "forbidden_"+string(rune('a'+i)))
			p.with(test.arrange)
			req := p.request()
			if test.change != nil {
				test.change(&req)
			}
			_, err := openTwin(t, req)
			check(t, err, test.want, test.says, req.Password.Reveal())
			var n int
			if s.ask(t, &n, "SELECT count(*) FROM pg_user WHERE usename = $1", p.name); n > 0 {
				t.Error("a twin was made")
			}
		})
	}
	s.create(t, "powerless", siblingPassword)
	p := s.pair(t, "forbidden_power")
	req := p.request()
	req.Admin = s.Login("powerless", siblingPassword)
	_, err := openTwin(t, req)
	check(t, err, dbdrivers.ErrPrivilege, "no superuser", twinPassword)
}

// check asserts a class, and that the error says what to do and no password.
func check(t *testing.T, err, want error, says string, secrets ...string) {
	t.Helper()
	drivertest.WantSafe(t, err, secrets...)
	if got := dbdrivers.ClassOf(err); !errors.Is(got, want) {
		t.Fatalf("error %v; want class %v", err, want)
	}
	if err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("error %q does not say %q", err, says)
	}
}
