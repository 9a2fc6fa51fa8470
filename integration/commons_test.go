package integration_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// The table in docs/postgres-twins.md is what this test saw. It fails where
// the two differ; to write the page anew run
//
//	DBROTATION_WRITE_TABLE=1 go test ./integration -run TestWhatATwinHasInCommonWithItsSibling
//
// and read the difference before it is committed.
const (
	writeTable = "DBROTATION_WRITE_TABLE"
	twinsPage  = "../docs/postgres-twins.md"
	tableBegin = "<!-- The table is written by integration/commons_test.go. -->"
	tableEnd   = "<!-- end -->"
)

// commonCase is a sibling and its twin, made by one of the two functions.
type commonCase struct {
	*stage
	maker, arn, app, twin string
}

// property is one row of the table.
type property struct {
	name string
	// arrange is executed before the twin is made, later after it; {app},
	// {twin}, {s} (a schema that both may use) and {admin} stand for names, {by}
	// for the admin as the grantor. "@rotate" is no statement.
	arrange, later []string
	// turns is how many rotations follow later, before it is looked at.
	turns int
	// has tries whether an account has the property. The sibling has it.
	has func(c *commonCase, username string) bool
	// outcome is for rows that are no yes or no; err is how the last rotation
	// ended.
	outcome func(c *commonCase, err error) string
}

var commonProperties = []property{
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
	{name: "search_path", arrange: []string{"ALTER ROLE {app} SET search_path = {s}, \"$user\", \"with, comma\""}, has: shows("search_path", `{s}, "$user", "with, comma"`)},
	{name: "an empty search_path", arrange: []string{"ALTER ROLE {app} SET search_path = ''"}, has: shows("search_path", `""`)},
	{name: "statement_timeout", arrange: []string{"ALTER ROLE {app} SET statement_timeout = '7s'"}, has: shows("statement_timeout", "7s")},
	{name: "settings of one database", arrange: []string{"ALTER ROLE {app} IN DATABASE appdb SET work_mem = '3MB'"}, has: shows("work_mem", "3MB")},
	{name: "a setting changed later, from its next turn on", arrange: []string{"ALTER ROLE {app} SET work_mem = '3MB'"}, later: []string{"ALTER ROLE {app} SET work_mem = '5MB'"}, turns: 2, has: shows("work_mem", "5MB")},
	{name: "CONNECTION LIMIT", arrange: []string{"ALTER ROLE {app} CONNECTION LIMIT 1"}, has: entersOnceAtATime},
	{name: "VALID UNTIL", arrange: []string{"ALTER ROLE {app} VALID UNTIL '2071-05-05 00:00:00+00'"}, has: func(c *commonCase, username string) bool {
		return c.answer(username, "SELECT (rolvaliduntil = '2071-05-05 00:00:00+00')::text FROM pg_roles WHERE rolname = session_user") == "true"
	}},
	{name: "sessions: ended by the other one", has: func(c *commonCase, username string) bool { return c.ends(c.other(username), username) }},
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
		var exists bool
		conn, connecting := c.server.ConnectSuperuser(c.t.Context())
		if connecting != nil {
			c.t.Fatal(connecting)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		if err := conn.QueryRow(c.t.Context(), "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", c.twin).Scan(&exists); err != nil {
			c.t.Fatal(err)
		}
		return yesOrNo(err != nil && !exists)
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

func does(statements ...string) func(*commonCase, string) bool {
	return func(c *commonCase, username string) bool { return c.runAs(username, statements...) == nil }
}

// doesNot is true where the right is missing, and nothing else.
func doesNot(statement string) func(*commonCase, string) bool {
	return func(c *commonCase, username string) bool {
		err := c.runAs(username, statement)
		return err != nil && strings.Contains(err.Error(), "permission denied")
	}
}

func seesTheRow(c *commonCase, username string) bool {
	return c.answer(username, "SELECT count(*)::text FROM {s}.t") == "1"
}

func ownedByGroup(c *commonCase, username string) bool {
	return c.runAs(username, "CREATE TABLE {s}.{me} (n int)") == nil &&
		c.answer(username, "SELECT (relowner::regrole::text = '{app}_g')::text FROM pg_class WHERE oid = '{s}.{me}'::regclass") == "true"
}

func shows(setting, value string) func(*commonCase, string) bool {
	return func(c *commonCase, username string) bool {
		return c.answer(username, "SHOW "+setting) == c.in(value, username)
	}
}

// mended says whether the twin, current after its turn, works again.
func mended(statement string) func(*commonCase, error) string {
	return func(c *commonCase, err error) string {
		if err != nil {
			return "no: the rotation fails"
		}
		return yesOrNo(c.runAs(c.twin, statement) == nil)
	}
}

func yesOrNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func (c *commonCase) schema() string { return "of_" + c.app }

func (c *commonCase) other(username string) string {
	if username == c.app {
		return c.twin
	}
	return c.app
}

// in fills the names in.
func (c *commonCase) in(sql, me string) string {
	by := ""
	if !strings.HasPrefix(c.server.Version, "15") {
		by = "GRANTED BY " + c.server.Admin.Username
	}
	return strings.NewReplacer("{app}", c.app, "{twin}", c.twin, "{s}", c.schema(), "{admin}", c.server.Admin.Username, "{me}", me, "{by}", by).Replace(sql)
}

// enter signs in as one of the two.
func (c *commonCase) enter(username, database string) (*pgx.Conn, error) {
	for _, label := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		if name, password := c.credential(c.arn, label); name == username {
			login := c.server.Login(name, password)
			login.Database = database
			return dbservers.Connect(c.t.Context(), login)
		}
	}
	c.t.Fatalf("%s has no label", username)
	return nil, nil
}

func (c *commonCase) runAs(username string, statements ...string) error {
	conn, err := c.enter(username, c.server.Database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, statement := range statements {
		if _, err := conn.Exec(c.t.Context(), c.in(statement, username)); err != nil {
			return err
		}
	}
	return nil
}

func (c *commonCase) answer(username, query string) (answer string) {
	conn, err := c.enter(username, c.server.Database)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(c.t.Context(), c.in(query, username)).Scan(&answer); err != nil {
		return err.Error()
	}
	return answer
}

func (c *commonCase) enters(username, database string) bool {
	conn, err := c.enter(username, database)
	if err != nil {
		return false
	}
	_ = conn.Close(context.Background())
	return true
}

// entersOnceAtATime is true where a second session is one too many.
func entersOnceAtATime(c *commonCase, username string) bool {
	// A session that has just ended may still count.
	var first *pgx.Conn
	if !eventually(func() (ok bool) {
		conn, err := c.enter(username, c.server.Database)
		first = conn
		return err == nil
	}) {
		return false
	}
	defer func() { _ = first.Close(context.Background()) }()
	second, err := c.enter(username, c.server.Database)
	if err == nil {
		_ = second.Close(context.Background())
	}
	return err != nil && strings.Contains(err.Error(), "too many connections")
}

// ends reports whether one account may end a session of another.
func (c *commonCase) ends(username, victim string) bool {
	conn, err := c.enter(victim, c.server.Database)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(context.Background()) }()
	return c.runAs(username, fmt.Sprintf("SELECT pg_terminate_backend(%d)", conn.PgConn().PID())) == nil
}

// tableOfCommons goes through the properties, with one function on one server.
func tableOfCommons(t *testing.T, version, maker string) []string {
	t.Helper()
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
	s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
	s.addAWSFunction(awsAlternating, true)
	var column []string
	for _, p := range commonProperties {
		t.Run(p.name, func(t *testing.T) {
			defer func(t *testing.T) { s.t = t }(s.t)
			s.t = t
			c := &commonCase{stage: s, maker: maker, arn: s.alternatingSecret()}
			c.app, _ = s.credential(c.arn, "AWSCURRENT")
			c.twin = c.app + "_clone"
			column = append(column, c.look(p))
		})
	}
	if len(column) != len(commonProperties) {
		t.Fatal("a row is missing")
	}
	return column
}

// look makes the twin and says what it has of a property.
func (c *commonCase) look(p property) string {
	c.t.Helper()
	c.exec("CREATE SCHEMA "+c.schema(), c.in("GRANT ALL ON SCHEMA {s} TO {app}", ""))
	for _, statement := range p.arrange {
		c.exec(c.in(statement, ""))
	}
	if p.has != nil && len(p.later) == 0 && p.outcome == nil {
		defer func() {
			if !p.has(c, c.app) {
				c.t.Error("the sibling itself has not what its twin is asked for")
			}
		}()
	}
	err := c.rotateBy(c.maker, c.arn)
	for _, statement := range p.later {
		if err != nil {
			break
		}
		if statement == "@rotate" {
			err = c.rotateBy(c.maker, c.arn)
			continue
		}
		c.exec(c.in(statement, ""))
	}
	for range p.turns {
		if err == nil {
			err = c.rotateBy(c.maker, c.arn)
		}
	}
	switch {
	case p.outcome != nil:
		return p.outcome(c, err)
	case err != nil:
		c.t.Logf("the rotation ended with %v", err)
		return "refused"
	}
	if len(p.later) > 0 && !p.has(c, c.app) {
		c.t.Error("the sibling itself has not what its twin is asked for")
	}
	if username, _ := c.credential(c.arn, "AWSCURRENT"); username != c.twin {
		c.t.Errorf("%s is current, want the twin", username)
	}
	return yesOrNo(p.has(c, c.twin))
}

// TestWhatATwinHasInCommonWithItsSibling makes a twin by this function and one
// by AWS's, on the newest server and on an old one, and compares what each has
// with the table of the documentation.
func TestWhatATwinHasInCommonWithItsSibling(t *testing.T) {
	t.Parallel()
	all := dbservers.PostgresVersions()
	oldest, newest := all[0], all[len(all)-1]
	type column struct{ version, maker string }
	columns := map[column][]string{}
	var mu sync.Mutex
	made := t.Run("by", func(t *testing.T) {
		for _, k := range []column{{newest, function}, {newest, awsAlternating}, {oldest, function}, {oldest, awsAlternating}} {
			t.Run(k.version+" "+k.maker, func(t *testing.T) {
				t.Parallel()
				cells := tableOfCommons(t, k.version, k.maker)
				mu.Lock()
				defer mu.Unlock()
				columns[k] = cells
			})
		}
	})
	if !made || len(columns) != 4 {
		t.Fatal("the table was not seen whole")
	}
	var table strings.Builder
	fmt.Fprintf(&table, "| of the sibling | twin by this function | twin by AWS's function |\n|---|---|---|\n")
	for i, p := range commonProperties {
		cell := func(maker string) string {
			text := columns[column{newest, maker}][i]
			if old := columns[column{oldest, maker}][i]; old != text {
				text += fmt.Sprintf("; on PostgreSQL %s: %s", oldest, old)
			}
			return text
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", p.name, cell(function), cell(awsAlternating))
	}
	compareTable(t, table.String())
}

// compareTable holds a table against the page's, or writes it there.
func compareTable(t *testing.T, table string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash(twinsPage))
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), tableBegin+"\n")
	committed, after, foundToo := strings.Cut(rest, tableEnd)
	if !found || !foundToo {
		t.Fatalf("%s has no place for the table", twinsPage)
	}
	diff := cmp.Diff(strings.Split(committed, "\n"), strings.Split(table, "\n"))
	if diff == "" {
		return
	}
	if os.Getenv(writeTable) == "" {
		t.Errorf("%s does not say what was seen (- the page, + the servers); where the change is wanted, run: %s=1 go test ./integration -run %s\n%s",
			twinsPage, writeTable, t.Name(), diff)
		return
	}
	if err := os.WriteFile(filepath.FromSlash(twinsPage), []byte(before+tableBegin+"\n"+table+tableEnd+after), 0o644); err != nil { //nolint:gosec // a page of the documentation
		t.Fatal(err)
	}
	t.Logf("written:\n%s", diff)
}

// eventually asks until the answer is yes, within reason.
func eventually(ask func() bool) bool {
	give := time.Now().Add(10 * time.Second)
	for !ask() {
		if time.Now().After(give) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}
