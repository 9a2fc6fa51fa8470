package redshiftgate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWhatPostgreSQLAloneKnowsIsRefused has each line of what Redshift lacks,
// for an operator's session and so for the driver's too.
func TestWhatPostgreSQLAloneKnowsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user("Abcdefg1")
	w.exec("CREATE TABLE IF NOT EXISTS public.some (a int)")
	for _, row := range []struct{ sql, code string }{
		{"SELECT format('%I', 'a')", "42883"}, {"SELECT quote_nullable(NULL)", "42883"},
		{"SELECT current_setting('no.such', true)", "42883"}, {"SELECT pg_sleep(1)", "42883"}, {"SELECT clock_timestamp()", "42883"},
		{"SELECT has_function_privilege('f()', 'EXECUTE')", "42883"}, {"SELECT has_column_privilege('t', 'c', 'SELECT')", "42883"},
		{"SELECT pg_has_role('r', 'MEMBER')", "42883"}, {"SELECT * FROM aclexplode(NULL)", "42883"},
		{"SELECT array_agg(a) FROM public.some", "42883"}, {"SELECT string_agg(a, ',') FROM public.some", "42883"},
		{"SELECT generate_series(1, 2)", "42883"}, {"SELECT unnest(a) FROM public.some", "42883"}, {"SELECT pg_advisory_lock(1)", "42883"},
		{"SELECT * FROM pg_roles", "42P01"}, {"SELECT * FROM pg_authid", "42P01"}, {"SELECT * FROM pg_auth_members", "42P01"},
		{"SELECT * FROM pg_db_role_setting", "42P01"}, {"SELECT * FROM pg_hba_file_rules", "42P01"}, {"SELECT * FROM redshift_standin.users", "42P01"},
		{"CREATE USER IF NOT EXISTS u PASSWORD 'Abcdefg1'", "42601"}, {"CREATE ROLE r LOGIN PASSWORD 'Abcdefg1'", "42601"},
		{"ALTER ROLE r PASSWORD 'Abcdefg1'", "42601"}, {"ALTER ROLE " + user + " NOLOGIN", "42601"},
		{"GRANT " + user + " TO " + user, "42601"}, {"GRANT SELECT ON public.some TO " + user + " GRANTED BY " + user, "42601"},
		{"GRANT CONNECT ON DATABASE appdb TO " + user, "42601"}, {"GRANT r TO " + user + " WITH INHERIT FALSE", "42601"},
		{"SET ROLE r", "42601"}, {"RESET ROLE", "42704"},
		{"ALTER DEFAULT PRIVILEGES FOR ROLE r GRANT SELECT ON TABLES TO " + user, "42601"},
		{"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO " + user, "42601"},
		{"ALTER USER " + user + " CONNECTION LIMIT -1", "42601"}, {"DO $$ BEGIN NULL; END $$", "42601"},
		{"INSERT INTO public.some VALUES (1) ON CONFLICT DO NOTHING", "42601"}, {"INSERT INTO public.some VALUES (1) RETURNING a", "42601"},
		{"SAVEPOINT s", "42601"}, {"ROLLBACK TO s", "42601"}, {"REASSIGN OWNED BY a TO b", "42601"}, {"DROP OWNED BY a", "42601"},
		{"SELECT 1 IS DISTINCT FROM 2", "42601"}, {"SELECT * FROM (VALUES (1)) v", "42601"}, {"SELECT ROW (1, 2)", "42601"}, {"SELECT ARRAY[1]", "42601"},
		{"SELECT 1 FROM public.some s, LATERAL (SELECT s.a) x", "42601"}, {"SELECT E'a'", "42601"}, {"SELECT U&'a'", "42601"},
		{"SHOW standard_conforming_strings", "42704"}, {"SET standard_conforming_strings TO on", "42704"}, {"SET password_encryption TO 'md5'", "42704"},
		{"SET lock_timeout TO 1", "42704"}, {"SET idle_in_transaction_session_timeout TO 1", "42704"},
		{"SELECT has_table_privilege('a', 'SELECT') FROM svv_user_info", "0A000"}, {"SELECT current_schema() FROM svl_user_info", "0A000"},
		{"COPY public.some TO STDOUT", "42601"}, {"LISTEN a", "42601"}, {"SELECT 1; SAVEPOINT s", "42601"},
		{"GRANT SELECT ON public.some TO GROUP g WITH GRANT OPTION", "42601"}, {"GRANT CREATE ON TABLE public.some TO " + user, "0LP01"},
	} {
		w.refuses(row.sql, row.code)
	}
	// The session goes on.
	w.exec("SELECT 1")
}

func TestTheDriversSessionSaysNoMoreThanItsTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	driver := w.as(server.Admin.Username, server.Admin.Password.Reveal(), true)
	for _, sql := range []string{
		"SELECT 1", "SELECT usename FROM pg_user", "CREATE SCHEMA s", "DROP USER u", "SET search_path TO 'a'", "CREATE ROLE r", "BEGIN TRANSACTION",
		"CREATE USER u PASSWORD 'Abcdefg1'", "INSERT INTO t VALUES (1)",
	} {
		if told := driver.refuses(sql, "42601"); strings.Contains(told, "Abcdefg1") {
			t.Errorf("the error holds a literal: %s", told)
		}
	}
	if got := driver.rows("select CURRENT_USER -- whoever it is"); !cmp.Equal(got, []string{server.Admin.Username}) {
		t.Errorf("the current user is %q", got)
	}
}

func TestOneStatementWithAParameterIsNoDDL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user("Abcdefg1")
	_, err := w.conn.Exec(w.ctx, "ALTER USER "+user+" PASSWORD $1", "Abcdefg2")
	if sqlstate(err) != "42601" || !strings.Contains(err.Error(), "no statement with a parameter") {
		t.Errorf("DDL with a parameter: %v", err)
	}
	if got := w.rows("SELECT 'a' WHERE 1 = $1", 1); !cmp.Equal(got, []string{"a"}) {
		t.Errorf("a query with a parameter: %q", got)
	}
}

func TestNamesAreFoldedButForUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	schema, user := newName("s"), newName("u")
	w.exec(`CREATE SCHEMA "`+strings.ToUpper(schema)+`"`, `CREATE TABLE "`+strings.ToUpper(schema)+`"."TaBle" ("CoL" int)`,
		`CREATE USER "`+strings.ToUpper(user)+`" PASSWORD DISABLE`)
	if got := w.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = $1", schema); !cmp.Equal(got, []string{"table"}) {
		t.Errorf("a quoted name is %q, want it in lower case", got)
	}
	w.exec(`SELECT "cOl" FROM ` + schema + `."TABLE"`)
	if got := w.rows("SELECT usename FROM pg_user WHERE lower(usename) = $1", user); !cmp.Equal(got, []string{strings.ToUpper(user)}) {
		t.Errorf("a quoted user is %q, want it as it was written", got)
	}
	driver := w.as(server.Admin.Username, server.Admin.Password.Reveal(), true)
	driver.exec("SET enable_case_sensitive_identifier TO true")
	driver.refuses(`GRANT SELECT ON TABLE "`+strings.ToUpper(schema)+`"."table" TO "`+strings.ToUpper(user)+`"`, "3F000")
	driver.exec("SET enable_case_sensitive_identifier TO false")
	driver.exec(`GRANT SELECT ON TABLE "` + strings.ToUpper(schema) + `"."table" TO "` + strings.ToUpper(user) + `"`)
}

func TestABackslashEscapes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for literal, want := range map[string]string{
		`'a\\b'`: `a\b`, `'a\'b'`: `a'b`, `'a\' || 'b'`: "", `'\\\'; --'`: `\'; --`, `'\101\x'`: "Ax", `'it''s'`: "it's",
	} {
		if want == "" {
			w.refuses("SELECT "+literal, "42601")
			continue
		}
		if got := w.rows("SELECT " + literal); !cmp.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", literal, got, want)
		}
	}
}

func TestALongNameIsRefusedAndNotCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for length, word := range map[int]string{64: "for this stand-in", 127: "for this stand-in", 128: "Redshift takes 127"} {
		name := strings.Repeat("n", length)
		if told := w.refuses("CREATE USER "+name+" PASSWORD DISABLE", "42622"); !strings.Contains(told, word) {
			t.Errorf("a name of %d bytes: %s", length, told)
		}
		if _, err := w.tryConnect(name, "x", nil); sqlstate(err) != "42622" {
			t.Errorf("signing in with a name of %d bytes: %v", length, err)
		}
	}
	w.exec("CREATE USER " + strings.Repeat("m", 63) + " PASSWORD DISABLE")
}

// TestARollbackUndoesWhatTheGateKeeps has the two in one transaction.
func TestARollbackUndoesWhatTheGateKeeps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user("Abcdefg1")
	change := "ALTER USER " + user + " SYSLOG ACCESS UNRESTRICTED CREATEDB SESSION TIMEOUT 99 PASSWORD 'sha256|Abcdefg2'"
	state := func() []string {
		return w.rows("SELECT createdb, syslog_access, session_timeout FROM svv_user_info WHERE user_name = $1", user)
	}
	w.exec("BEGIN", change)
	if got := state(); !cmp.Equal(got, []string{"true UNRESTRICTED 99"}) {
		t.Errorf("within the transaction: %q", got)
	}
	w.exec("ROLLBACK")
	if got := state(); !cmp.Equal(got, []string{"false RESTRICTED 0"}) {
		t.Errorf("after the rollback: %q", got)
	}
	if !w.opens(user, "Abcdefg1") {
		t.Error("after the rollback the old password does not open")
	}
	w.exec("BEGIN")
	w.refuses("SAVEPOINT s", "42601")
	w.refuses("SELECT 1", "25P02")
	w.exec("ROLLBACK")
	// One message is one transaction.
	_, err := w.conn.Exec(w.ctx, change+"; ALTER USER nobody_at_all CREATEDB")
	if sqlstate(err) != "42704" {
		t.Errorf("the second statement: %v", err)
	}
	if got := state(); !cmp.Equal(got, []string{"false RESTRICTED 0"}) {
		t.Errorf("after a message that failed: %q", got)
	}
}

func TestAnAnswerIsToTheStatementThatWasSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, group := w.user("Abcdefg1"), newName("g")
	for sql, want := range map[string]string{
		"ALTER USER " + user + " SYSLOG ACCESS UNRESTRICTED": "ALTER USER",
		"CREATE GROUP " + group + " WITH USER " + user:       "CREATE GROUP",
		"GRANT DROP ON SCHEMA public TO " + user:             "GRANT",
		"BEGIN":                                              "BEGIN",
	} {
		results, err := w.conn.PgConn().Exec(w.ctx, sql).ReadAll()
		if err != nil || len(results) != 1 || results[0].CommandTag.String() != want || len(results[0].Rows) != 0 {
			t.Errorf("%s: %d answers, %v; want %s alone", sql, len(results), err, want)
		}
	}
	w.exec("ROLLBACK")
	results, err := w.conn.PgConn().Exec(w.ctx, "SELECT 'a;b'; ; ALTER USER "+user+" CREATEDB; SELECT 2").ReadAll()
	if err != nil || len(results) != 3 || string(results[0].Rows[0][0]) != "a;b" || string(results[2].Rows[0][0]) != "2" {
		t.Errorf("three statements in a message: %d answers, %v", len(results), err)
	}
}

// TestTheLogHasWhatTheClientSaid is what tests rely on that look for passwords
// in the log.
func TestTheLogHasWhatTheClientSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user("Abcdefg1")
	w.exec("ALTER USER "+user+" PASSWORD 'Planted1'", "ALTER USER "+user+" PASSWORD 'sha256|Planted2'")
	w.refuses("ALTER ROLE "+user+" PASSWORD 'Planted3' /* */*/", "42601")
	w.rows("SELECT 1 WHERE 'Planted4' <> $1", "a")
	text, err := server.Log(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, planted := range []string{"Planted1", "Planted2", "Planted3", "Planted4"} {
		if !strings.Contains(text, planted) {
			t.Errorf("the log lacks %s", planted)
		}
	}
}

// TestACommentOfTheClientsEndsNone has what would break out of a comment.
func TestACommentOfTheClientsEndsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, literal := range []string{"*/", "/*", "*/*", "/*/", "**//", "*//**/", "/*/*"} {
		if got := w.rows("SELECT '" + literal + "'"); !cmp.Equal(got, []string{literal}) {
			t.Errorf("%s comes back as %q", literal, got)
		}
	}
}
