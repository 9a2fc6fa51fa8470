package mysql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// pair is a canonical account and its twin on a real server.
type pair struct {
	*server
	t               *testing.T
	root            *dbservers.MySQLConn
	canonical, twin string
}

const (
	siblingPassword = "sibling-password"
	twinPassword    = "twin-password"
	clonePassword   = "clone-password"
)

// backquoted is a name as a statement has it.
func backquoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// pair makes the canonical account, for every host or for some, and leaves the
// twin to the driver.
func (s *server) pair(t *testing.T, canonical string, hosts ...string) pair {
	t.Helper()
	p := pair{server: s, t: t, root: s.superuser(t), canonical: canonical, twin: canonical + "_clone"}
	t.Cleanup(func() { p.drop(canonical, p.twin) })
	if len(hosts) == 0 {
		hosts = []string{"%"}
	}
	for _, host := range hosts {
		if _, err := p.root.ExecContext(t.Context(), "CREATE USER ?@? IDENTIFIED BY ?", canonical, host, siblingPassword); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// superuser is a session that ends with the test.
func (s *server) superuser(t *testing.T) *dbservers.MySQLConn {
	t.Helper()
	conn, err := s.ConnectMySQLSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// drop removes all host rows of names that may not exist.
func (p pair) drop(names ...string) {
	ctx := context.WithoutCancel(p.t.Context())
	for _, name := range names {
		for _, host := range p.column(ctx, "SELECT host FROM mysql.user WHERE user = ?", name) {
			if _, err := p.root.ExecContext(ctx, "DROP USER ?@?", name, host); err != nil {
				p.t.Error(err)
			}
		}
	}
}

// column reads one column as the superuser.
func (p pair) column(ctx context.Context, sql string, args ...any) (values []string) {
	p.t.Helper()
	for _, row := range p.table(ctx, sql, args...) {
		for _, value := range row {
			values = append(values, value)
		}
	}
	return values
}

// table reads rows as the superuser, by the names of their columns.
func (p pair) table(ctx context.Context, sql string, args ...any) (found []map[string]string) {
	p.t.Helper()
	rows, err := p.root.QueryContext(ctx, sql, args...)
	if err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		p.t.Fatal(err)
	}
	for rows.Next() {
		values := make([]*string, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			p.t.Fatal(err)
		}
		row := make(map[string]string)
		for i, column := range columns {
			if values[i] != nil {
				row[strings.ToLower(column)] = *values[i]
			}
		}
		found = append(found, row)
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return found
}

// tables are where the server keeps what an account has, with what is each
// account's own.
//
// https://dev.mysql.com/doc/refman/9.7/en/grant-tables.html
var tables = []struct {
	name, user string
	own        []string
}{
	{"user", "user", []string{"authentication_string", "password_last_changed", "password_expired", "user_attributes", "account_locked"}},
	{"db", "user", nil},
	{"tables_priv", "user", []string{"grantor", "timestamp"}},
	{"columns_priv", "user", []string{"timestamp"}},
	{"procs_priv", "user", []string{"grantor", "timestamp"}},
	{"global_grants", "user", nil},
	{"role_edges", "to_user", nil},
	{"default_roles", "user", nil},
	{"proxies_priv", "user", []string{"grantor", "timestamp"}},
}

// holds is all that the server keeps of an account, by table, without what is
// its own. It is read past SHOW GRANTS, which the driver reads.
func (p pair) holds(account string) map[string][]string {
	p.t.Helper()
	kept := make(map[string][]string)
	for _, table := range tables {
		for _, row := range p.table(p.t.Context(), "SELECT * FROM mysql."+table.name+" WHERE "+table.user+" = ?", account) {
			for _, column := range append(table.own, table.user) {
				delete(row, column)
			}
			if routine, is := row["routine_name"]; is {
				// No case counts in it, and SHOW GRANTS writes it in small letters.
				row["routine_name"] = strings.ToLower(routine)
			}
			if strings.HasPrefix(row["from_user"], "dbrotation.") {
				// It marks the twin, and is no default role.
				continue
			}
			kept[table.name] = append(kept[table.name], fmt.Sprint(row))
		}
		slices.Sort(kept[table.name])
	}
	for _, row := range p.table(p.t.Context(), "SELECT host, User_attributes FROM mysql.user WHERE user = ?", account) {
		kept["attributes"] = append(kept["attributes"], row["host"]+" "+restrictions(p.t, row["user_attributes"]))
	}
	slices.Sort(kept["attributes"])
	return kept
}

func (p pair) request() dbdrivers.OpenTwinRequest {
	return dbdrivers.OpenTwinRequest{
		Admin: p.Admin, Canonical: p.canonical, Twin: p.twin,
		Password: dbdrivers.NewPassword(twinPassword), MayCreate: true,
	}
}

func openTwin(t *testing.T, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	return mysql.New().OpenTwin(inTime(t), req)
}

// open opens the twin and asserts that it is as its sibling is.
func (p pair) open() dbdrivers.TwinReport {
	p.t.Helper()
	report, err := openTwin(p.t, p.request())
	if err != nil {
		p.t.Fatal(err)
	}
	p.wantEqual()
	return report
}

func (p pair) wantEqual() {
	p.t.Helper()
	if diff := cmp.Diff(p.holds(p.canonical), p.holds(p.twin)); diff != "" {
		p.t.Errorf("the twin is not as its sibling is (-sibling +twin):\n%s", diff)
	}
	p.wantTwin(twinPassword, true)
}

// login is the twin's, without a database, to which it may have no right.
func (p pair) login(user, password string) dbdrivers.Login {
	login := p.Login(user, password)
	login.Database = ""
	return login
}

// wantTwin asserts whether a password opens the twin.
func (p pair) wantTwin(password string, open bool) {
	p.t.Helper()
	err := verify(p.t, p.login(p.twin, password))
	if (err == nil) != open {
		p.t.Errorf("the twin opens to %q: %v; want %t", password, err, open)
	}
}

// with says statements as the superuser; they have the account as %app and the
// twin as %twin, both for any host.
func (p pair) with(statements ...string) {
	p.t.Helper()
	names := strings.NewReplacer("%app", backquoted(p.canonical)+"@`%`", "%twin", backquoted(p.twin)+"@`%`")
	for _, sql := range statements {
		sql = names.Replace(sql)
		if _, err := p.root.ExecContext(p.t.Context(), sql); err != nil {
			p.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// mark grants an account of any host the role that says that it is a twin.
func (s *server) mark(t *testing.T, account, state, canonical string, option ...string) {
	t.Helper()
	role := backquoted(mysql.MarkRole(state, canonical))
	s.exec(t, "CREATE ROLE IF NOT EXISTS "+role)
	s.exec(t, "GRANT "+role+" TO ?@'%' "+strings.Join(option, ""), account)
}

// unmark takes all marks from an account.
func (p pair) unmark(account string) {
	p.t.Helper()
	for _, role := range p.column(p.t.Context(), "SELECT from_user FROM mysql.role_edges WHERE to_user = ? AND from_user LIKE 'dbrotation.%'", account) {
		p.exec(p.t, "REVOKE "+backquoted(role)+" FROM ?@'%'", account)
	}
}

// marks are the states by which a row of the twin is marked, in the order of
// their names.
func (p pair) marks(host string) (states []string) {
	p.t.Helper()
	for _, role := range p.column(p.t.Context(), "SELECT from_user FROM mysql.role_edges WHERE to_user = ? AND to_host = ? AND from_user LIKE 'dbrotation.%' ORDER BY from_user", p.twin, host) {
		state, _, _ := strings.Cut(strings.TrimPrefix(role, "dbrotation."), ".")
		states = append(states, state)
	}
	return states
}

// remedy says the statements that an error names after some words.
func (s *server) remedy(t *testing.T, err error, after string) {
	t.Helper()
	_, statements, found := strings.Cut(err.Error(), after)
	if !found {
		t.Fatalf("error %v; want one that tells %q", err, after)
	}
	for sql := range strings.SplitSeq(statements, "; ") {
		s.exec(t, sql)
	}
}

// as says statements in a session of one of the two.
func (p pair) as(user, password string, statements ...string) error {
	p.t.Helper()
	conn, err := dbservers.ConnectMySQL(p.t.Context(), p.login(user, password))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, sql := range statements {
		if _, err := conn.ExecContext(p.t.Context(), sql); err != nil {
			return err
		}
	}
	return nil
}

// contains reports whether one of the texts is of what.
func contains(texts []string, what string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, what) })
}

// clean says statements as the superuser after a test.
func (s *server) clean(t *testing.T, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if err := s.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// restrictions are the partial revokes and the limits of failed sign-ins in an
// account's attributes, in a fixed order.
func restrictions(t *testing.T, attributes string) string {
	t.Helper()
	var said struct {
		Locking      any `json:"Password_locking"`
		Restrictions []struct {
			Database   string
			Privileges []string
		}
	}
	if attributes != "" {
		if err := json.Unmarshal([]byte(attributes), &said); err != nil {
			t.Fatal(err)
		}
	}
	var list []string
	for _, r := range said.Restrictions {
		slices.Sort(r.Privileges)
		list = append(list, fmt.Sprint(r))
	}
	slices.Sort(list)
	return fmt.Sprint(said.Locking, list)
}
