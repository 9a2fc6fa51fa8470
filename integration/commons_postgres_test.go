package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// postgresTwins is the table in docs/postgres-twins.md.
var postgresTwins = twinsTable{
	page:       "../docs/postgres-twins.md",
	properties: postgresProperties,
	prepare:    []string{"CREATE SCHEMA {s}", "GRANT ALL ON SCHEMA {s} TO {app}"},
	denied:     "permission denied",
	names: map[string]func(*commonCase) string{"{by}": func(c *commonCase) string {
		if strings.HasPrefix(c.server.Version, "15") {
			return ""
		}
		return "GRANTED BY " + c.server.Admin.Username
	}},
}

// TestWhatATwinHasInCommonWithItsSibling makes a twin by this function and one
// by AWS's, on the newest server and on an old one, and compares what each has
// with the table of the documentation.
func TestWhatATwinHasInCommonWithItsSibling(t *testing.T) {
	t.Parallel()
	all := dbservers.PostgresVersions()
	var servers []commonServer
	for _, version := range []string{all[len(all)-1], all[0]} {
		servers = append(servers, commonServer{"PostgreSQL " + version, sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})})
	}
	postgresTwins.compare(t, servers)
}

var postgresProperties = []property{
	{name: "tables that the sibling owns: read, written, altered",
		arrange: []string{"CREATE TABLE {s}.t (n int)", "ALTER TABLE {s}.t OWNER TO {app}"},
		has:     does("SELECT * FROM {s}.t", "INSERT INTO {s}.t VALUES (1)", "ALTER TABLE {s}.t ADD {me} int")},
	{name: "tables that it makes: read, written, altered by the other one", has: func(c *commonCase, username string) bool {
		return c.runAs(username, "CREATE TABLE {s}.{me} (n int)") == nil &&
			c.runAs(c.other(username), "SELECT * FROM {s}."+username, "INSERT INTO {s}."+username+" VALUES (1)", "ALTER TABLE {s}."+username+" ADD m int") == nil
	}},
	{name: "default privileges of the sibling, on tables that it makes",
		arrange: []string{"SET ROLE {admin}; CREATE ROLE {app}_reader", "GRANT USAGE ON SCHEMA {s} TO {app}_reader", "ALTER DEFAULT PRIVILEGES FOR ROLE {app} GRANT SELECT ON TABLES TO {app}_reader"},
		has: func(c *commonCase, username string) bool {
			return c.runAs(username, "CREATE TABLE {s}.{me} (n int)") == nil && c.server.Exec(c.t.Context(), "SET ROLE "+c.app+"_reader; SELECT * FROM "+c.schema()+"."+username) == nil
		}},
	{name: "DROP ROLE, and what it made stays", outcome: func(c *commonCase, err error) string {
		if err != nil || c.runAs(c.twin, "CREATE TABLE {s}.made (n int)") != nil {
			return "cannot be tried"
		}
		dropped := c.server.Exec(c.t.Context(), c.in("REVOKE ALL ON SCHEMA {s} FROM {twin}; SET ROLE {admin}; DROP ROLE {twin}", "")) == nil
		return yesOrNo(dropped && c.runAs(c.app, "INSERT INTO {s}.made VALUES (1)") == nil)
	}},
	{name: "privileges granted to the sibling", arrange: []string{"CREATE TABLE {s}.t (n int)", "GRANT SELECT ON {s}.t TO {app}"}, has: does("SELECT * FROM {s}.t")},
	{name: "privileges granted to the sibling later, at once", arrange: []string{"CREATE TABLE {s}.t (n int)"}, later: []string{"GRANT SELECT ON {s}.t TO {app}"}, has: does("SELECT * FROM {s}.t")},
	{name: "privileges that the sibling has lost, lost at once", arrange: []string{"CREATE TABLE {s}.t (n int)", "GRANT SELECT ON {s}.t TO {app}"}, later: []string{"REVOKE SELECT ON {s}.t FROM {app}"}, has: doesNot("SELECT * FROM {s}.t")},
	{name: "privileges WITH GRANT OPTION, passed on", arrange: []string{"CREATE TABLE {s}.t (n int)", "GRANT SELECT ON {s}.t TO {app} WITH GRANT OPTION"}, has: func(c *commonCase, username string) bool {
		return c.runAs(username, "GRANT SELECT ON {s}.t TO pg_monitor") == nil && c.answer(username, "SELECT has_table_privilege('pg_monitor', '{s}.t', 'SELECT')::text") == "true"
	}},
	{name: "CONNECT granted to the sibling, where PUBLIC has it no more", arrange: []string{"CREATE DATABASE {app}_d", "REVOKE CONNECT ON DATABASE {app}_d FROM PUBLIC", "GRANT CONNECT ON DATABASE {app}_d TO {app}"}, has: func(c *commonCase, username string) bool {
		return c.enters(username, c.app+"_d")
	}},
	{name: "what the sibling's groups may", arrange: group("GRANT {app}_g TO {app}"), has: does("SELECT * FROM {s}.g")},
	{name: "what a group may that the sibling has left, lost at once", arrange: group("GRANT {app}_g TO {app}"), later: []string{"SET ROLE {admin}; REVOKE {app}_g FROM {app}"}, has: doesNot("SELECT * FROM {s}.g")},
	{name: "SET ROLE to a group of the sibling", arrange: group("GRANT {app}_g TO {app}"), has: func(c *commonCase, username string) bool {
		return c.runAs(username, "SET ROLE {app}_g", "SELECT * FROM {s}.g") == nil
	}},
	{name: "a NOINHERIT sibling: its groups after SET ROLE, and not before", arrange: append([]string{"ALTER ROLE {app} NOINHERIT"}, group("GRANT {app}_g TO {app}")...), has: func(c *commonCase, username string) bool {
		return c.runAs(username, "SELECT * FROM {s}.g") != nil && c.runAs(username, "SET ROLE {app}_g", "SELECT * FROM {s}.g") == nil
	}},
	{name: "a sibling that acts as another role: that role owns what it makes", arrange: append(group("GRANT {app}_g TO {app}"), "ALTER ROLE {app} SET role = '{app}_g'", "GRANT ALL ON SCHEMA {s} TO {app}_g"), has: ownedByGroup},
	{name: "the same in one database", arrange: append(group("GRANT {app}_g TO {app}"), "ALTER ROLE {app} IN DATABASE appdb SET role = '{app}_g'", "GRANT ALL ON SCHEMA {s} TO {app}_g"), has: ownedByGroup},
	{name: "CREATEDB", arrange: []string{"ALTER ROLE {app} CREATEDB"}, has: does("CREATE DATABASE {me}_made")},
	{name: "CREATEROLE", arrange: []string{"ALTER ROLE {app} CREATEROLE"}, has: does("CREATE ROLE {me}_made")},
	{name: "BYPASSRLS", arrange: policy("false", "ALTER ROLE {app} BYPASSRLS"), has: seesTheRow},
	{name: "REPLICATION", arrange: []string{"ALTER ROLE {app} REPLICATION"}, has: does("SELECT pg_create_physical_replication_slot('{me}', false, true)")},
	{name: "row policies by current_user", arrange: policy("current_user = '{app}'"), has: seesTheRow},
	{name: "row policies by session_user", arrange: policy("session_user = '{app}'"), has: seesTheRow},
	{name: "search_path", arrange: []string{"ALTER ROLE {app} SET search_path = {s}, \"$user\", \"with, comma\""}, has: replies("SHOW search_path", `{s}, "$user", "with, comma"`)},
	{name: "an empty search_path", arrange: []string{"ALTER ROLE {app} SET search_path = ''"}, has: replies("SHOW search_path", `""`)},
	{name: "statement_timeout", arrange: []string{"ALTER ROLE {app} SET statement_timeout = '7s'"}, has: replies("SHOW statement_timeout", "7s")},
	{name: "settings of one database", arrange: []string{"ALTER ROLE {app} IN DATABASE appdb SET work_mem = '3MB'"}, has: replies("SHOW work_mem", "3MB")},
	{name: "a setting changed later, from its next turn on", arrange: []string{"ALTER ROLE {app} SET work_mem = '3MB'"}, later: []string{"ALTER ROLE {app} SET work_mem = '5MB'"}, turns: 2, has: replies("SHOW work_mem", "5MB")},
	{name: "CONNECTION LIMIT", arrange: []string{"ALTER ROLE {app} CONNECTION LIMIT 1"}, has: entersOnceAtATime("too many connections")},
	{name: "VALID UNTIL", arrange: []string{"ALTER ROLE {app} VALID UNTIL '2071-05-05 00:00:00+00'"}, has: func(c *commonCase, username string) bool {
		return c.answer(username, "SELECT (rolvaliduntil = '2071-05-05 00:00:00+00')::text FROM pg_roles WHERE rolname = session_user") == "true"
	}},
	{name: "sessions: ended by the other one", has: endsPostgres},
	{name: "what was granted to the twin alone, after its next turn", arrange: []string{"CREATE TABLE {s}.t (n int)"}, later: []string{"GRANT SELECT ON {s}.t TO {twin}"}, turns: 2, outcome: func(c *commonCase, err error) string {
		switch {
		case err != nil && strings.Contains(c.aws.FunctionLog(c.maker), c.schema()+".t"):
			return "the rotation fails and names it"
		case err != nil:
			return "the rotation fails"
		case c.runAs(c.twin, "SELECT * FROM {s}.t") == nil:
			return "it stays"
		}
		return "it is gone"
	}},
	{name: "its membership is revoked while its sibling is current: mended at its next turn", arrange: []string{"CREATE TABLE {s}.t (n int)", "GRANT SELECT ON {s}.t TO {app}"}, later: []string{"@rotate", "REVOKE {app} FROM {twin} {by}"}, turns: 1, outcome: mended("SELECT * FROM {s}.t")},
	{name: "its membership is revoked while it is current: mended at its next turn", arrange: []string{"CREATE TABLE {s}.t (n int)", "GRANT SELECT ON {s}.t TO {app}"}, later: []string{"REVOKE {app} FROM {twin} {by}"}, turns: 2, outcome: mended("SELECT * FROM {s}.t")},
	{name: "its LOGIN is taken while its sibling is current: mended at its next turn", later: []string{"@rotate", "ALTER ROLE {twin} NOLOGIN"}, turns: 1, outcome: mended("SELECT 1")},
	{name: "a twin whose making fails in the middle: it does not open", arrange: []string{"ALTER ROLE {app} SUPERUSER"}, outcome: func(c *commonCase, err error) string {
		rows := c.table("SELECT FROM pg_roles WHERE rolname = $1", c.twin)
		return yesOrNo(err != nil && len(rows) == 0)
	}},
}

// group makes a group of the sibling's with a table of its own.
func group(grant string) []string {
	return []string{"SET ROLE {admin}; CREATE ROLE {app}_g", "CREATE TABLE {s}.g (n int)", "GRANT ALL ON {s}.g TO {app}_g", "GRANT USAGE ON SCHEMA {s} TO {app}_g", "SET ROLE {admin}; " + grant}
}

// policy makes a table with one row that only the policy shows.
func policy(using string, more ...string) []string {
	return append([]string{
		"CREATE TABLE {s}.t (n int)", "INSERT INTO {s}.t VALUES (1)", "GRANT SELECT ON {s}.t TO {app}",
		"ALTER TABLE {s}.t ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON {s}.t USING (" + using + ")",
	}, more...)
}

func seesTheRow(c *commonCase, username string) bool {
	return c.answer(username, "SELECT count(*)::text FROM {s}.t") == "1"
}

func ownedByGroup(c *commonCase, username string) bool {
	return c.runAs(username, "CREATE TABLE {s}.{me} (n int)") == nil &&
		c.answer(username, "SELECT (relowner::regrole::text = '{app}_g')::text FROM pg_class WHERE oid = '{s}.{me}'::regclass") == "true"
}

// endsPostgres reports whether one account may end a session of another.
func endsPostgres(c *commonCase, username string) bool {
	victim, err := c.session(username, c.server.Database)
	if err != nil {
		return false
	}
	defer victim.close()
	id := answerOf(victim.rows(c.t.Context(), "SELECT pg_backend_pid()"))
	return c.runAs(c.other(username), fmt.Sprintf("SELECT pg_terminate_backend(%s)", id)) == nil
}
