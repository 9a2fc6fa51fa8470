package mariadb_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
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
		p.make(canonical, host, siblingPassword)
	}
	return p
}

// make makes an account past the driver.
func (p pair) make(user, host, password string) {
	p.t.Helper()
	if _, err := p.root.ExecContext(p.t.Context(), "CREATE USER ?@? IDENTIFIED BY ?", user, host, password); err != nil {
		p.t.Fatal(err)
	}
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
		for _, host := range p.column(ctx, "SELECT Host FROM mysql.global_priv WHERE User = ?", name) {
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
// account's own. global_priv is read apart.
//
// https://mariadb.com/docs/server/reference/system-tables/the-mysql-database-tables
var tables = []struct {
	name string
	own  []string
}{
	{"db", nil},
	{"tables_priv", []string{"grantor", "timestamp"}},
	{"columns_priv", []string{"timestamp"}},
	{"procs_priv", []string{"grantor", "timestamp"}},
	{"roles_mapping", nil},
	{"proxies_priv", []string{"grantor", "timestamp"}},
}

// holds is all that the server keeps of an account, by table, without what is
// its own. It is read past SHOW GRANTS, which the driver reads.
func (p pair) holds(account string) map[string][]string {
	p.t.Helper()
	kept := make(map[string][]string)
	for _, table := range tables {
		for _, row := range p.table(p.t.Context(), "SELECT * FROM mysql."+table.name+" WHERE User = ?", account) {
			if strings.HasPrefix(row["role"], "dbrotation(") {
				continue
			}
			for _, column := range append(table.own, "user") {
				delete(row, column)
			}
			kept[table.name] = append(kept[table.name], fmt.Sprint(row))
		}
		slices.Sort(kept[table.name])
	}
	for _, row := range p.table(p.t.Context(), "SELECT Host, Priv FROM mysql.global_priv WHERE User = ?", account) {
		kept["user"] = append(kept["user"], row["host"]+" "+p.privOf(row["priv"]))
	}
	slices.Sort(kept["user"])
	return kept
}

// defaults are what the server may write down, or leave away.
var defaults = map[string]string{
	"ssl_type": "0", "ssl_cipher": "", "x509_issuer": "", "x509_subject": "", "max_questions": "0", "max_updates": "0", "max_connections": "0",
	"max_user_connections": "0", "max_statement_time": "0", "password_lifetime": "-1", "default_role": "",
}

// privOf is a row's Priv without the password, the lock and what the server
// counts.
func (p pair) privOf(text string) string {
	p.t.Helper()
	var priv map[string]any
	if err := json.Unmarshal([]byte(text), &priv); err != nil {
		p.t.Fatal(err)
	}
	for _, own := range []string{"authentication_string", "password_last_changed", "account_locked", "version_id"} {
		delete(priv, own)
	}
	if list, is := priv["auth_or"].([]any); is {
		for _, method := range list {
			if method, is := method.(map[string]any); is {
				delete(method, "authentication_string")
			}
		}
	}
	shown := maps.Clone(defaults)
	for name, value := range priv {
		shown[name] = fmt.Sprint(value)
	}
	return fmt.Sprint(shown)
}

func (p pair) request() dbdrivers.OpenTwinRequest {
	return dbdrivers.OpenTwinRequest{
		Admin: p.Admin, Canonical: p.canonical, Twin: p.twin,
		Password: dbdrivers.NewPassword(twinPassword), MayCreate: true,
	}
}

func openTwin(t *testing.T, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	return mariadb.New().OpenTwin(inTime(t), req)
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

// with says statements as the superuser; they have the account as %app, the
// twin as %twin, both for any host, and the admin as %admin.
func (p pair) with(statements ...string) {
	p.t.Helper()
	names := strings.NewReplacer("%app", backquoted(p.canonical)+"@`%`", "%twin", backquoted(p.twin)+"@`%`", "%admin", backquoted(p.Admin.Username)+"@`%`")
	for _, sql := range statements {
		sql = names.Replace(sql)
		if _, err := p.root.ExecContext(p.t.Context(), sql); err != nil {
			p.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// sayAll says statements that an error names, as somebody.
func (s *server) sayAll(t *testing.T, as dbdrivers.Login, statements string) {
	t.Helper()
	conn, err := dbservers.ConnectMySQL(t.Context(), as)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for sql := range strings.SplitSeq(statements, "; ") {
		if _, err := conn.ExecContext(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
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
