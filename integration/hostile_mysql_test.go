package integration_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

// mysqlServer is a kind of server of MySQL's family.
type mysqlServer struct {
	engine, version string
	start           func(t *testing.T) *dbservers.Server
	// modes change how a statement is quoted, or what is read.
	modes []string
	// longest is the longest name of an account, in characters.
	longest    int
	strategies []mysqlStrategy
}

// mysqlStrategy is a way to rotate an account's secret.
type mysqlStrategy struct {
	strategyOfSecret
	// overlaps is true where the credential before the rotation goes on opening
	// the database.
	overlaps bool
}

var (
	byItself    = mysqlStrategy{strategyOfSecret: strategyOfSecret{name: "single by itself", secret: func(*stage, map[string]any) {}}}
	byAnAdmin   = mysqlStrategy{strategyOfSecret: strategyOfSecret{name: "single by an admin", secret: func(s *stage, document map[string]any) { s.adminSecret(document) }}}
	dualByAdmin = mysqlStrategy{overlaps: true, strategyOfSecret: strategyOfSecret{name: "dual-password by an admin", secret: func(s *stage, document map[string]any) {
		s.byStrategy("dual-password", document)
	}}}
	dualByItself = mysqlStrategy{overlaps: true, strategyOfSecret: strategyOfSecret{name: "dual-password by itself", secret: func(s *stage, document map[string]any) {
		s.exec("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO " + backquoted(fmt.Sprint(document["username"])) + "@`%`")
		document["dbrotation"] = map[string]any{"strategy": "dual-password"}
	}}}
	takingTurns = mysqlStrategy{overlaps: true, strategyOfSecret: strategyOfSecret{name: "alternating", alternating: true, secret: func(s *stage, document map[string]any) {
		s.byStrategy("alternating", document)
	}}}
)

func mysqlServers() (servers []mysqlServer) {
	modes := []string{"", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "PAD_CHAR_TO_FULL_LENGTH"}
	for _, version := range dbservers.TestedMySQLVersions() {
		servers = append(servers, mysqlServer{
			engine: "mysql", version: version, modes: modes, longest: 32,
			strategies: []mysqlStrategy{byItself, byAnAdmin, dualByItself, dualByAdmin, takingTurns},
			start: func(t *testing.T) *dbservers.Server {
				t.Helper()
				return startMySQL(t, dbservers.MySQLOptions{Version: version})
			},
		})
	}
	for _, version := range dbservers.TestedMariaDBVersions() {
		servers = append(servers, mysqlServer{
			engine: "mariadb", version: version, modes: append(slices.Clone(modes), "ORACLE", "EMPTY_STRING_IS_NULL"), longest: 80,
			strategies: []mysqlStrategy{byItself, byAnAdmin, dualByAdmin, takingTurns},
			start: func(t *testing.T) *dbservers.Server {
				t.Helper()
				return startMariaDB(t, dbservers.MariaDBOptions{Version: version})
			},
		})
	}
	return servers
}

// allQuotes has every character that some mode of MySQL's family reads as a
// quote, an escape or the end of a statement.
const allQuotes = "a'b\"c`d\\e%§\n;$_ \\'"

// TestHostileTextsInMySQL is [TestHostileTexts] for MySQL's family: the same
// texts as username, database, table, column and current password. From one text
// to the next the server's sql_mode is another, and how a single account rotates;
// the worst text meets all of both.
func TestHostileTextsInMySQL(t *testing.T) {
	t.Parallel()
	for _, kind := range mysqlServers() {
		t.Run(kind.engine+" "+kind.version, func(t *testing.T) {
			t.Parallel()
			h := newHostileMySQLHouse(t, kind)
			for i, text := range hostileTexts {
				h.makeDatabase(text.text)
				for _, strategy := range []mysqlStrategy{takingTurns, kind.oneAccount(i)} {
					t.Run(text.name+" "+strategy.name, func(t *testing.T) {
						defer h.of(t)()
						h.rotates(strategy, text.text, kind.modes[i%len(kind.modes)])
					})
				}
			}
			h.makeDatabase(allQuotes)
			for _, mode := range kind.modes {
				for _, strategy := range kind.strategies {
					t.Run("all quotes "+strategy.name+" in the mode "+mode, func(t *testing.T) {
						defer h.of(t)()
						h.rotates(strategy, allQuotes, mode)
					})
				}
			}
			h.everyCharacterWasUsed()
			h.noPasswordInTheLogs("")
		})
	}
}

// hostileMySQLHouse is a server of its own with bystanders on it.
type hostileMySQLHouse struct {
	hostileHouse
	kind mysqlServer
}

func newHostileMySQLHouse(t *testing.T, kind mysqlServer) *hostileMySQLHouse {
	t.Helper()
	server := kind.start(t)
	h := &hostileMySQLHouse{kind: kind, hostileHouse: hostileHouse{generated: map[rune]bool{}, stage: newStage(t, stageOptions{
		server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true", "EXCLUDE_CHARACTERS": ""},
	})}}
	h.planted.add("planted-bystander")
	for _, bystander := range []string{"bystander", "BYSTANDER", "bystander_clone", "uppercase", "x", "injected"} {
		if err := server.CreateUser(t.Context(), bystander, "planted-bystander"); err != nil {
			t.Fatal(err)
		}
	}
	h.exec("CREATE DATABASE bystander", "ALTER USER bystander WITH MAX_USER_CONNECTIONS 7", "GRANT SELECT ON bystander.* TO bystander")
	return h
}

// nameOf is a text as a name of the servers: they keep no characters beyond the
// Basic Multilingual Plane in one, and no blanks at its end.
//
// https://dev.mysql.com/doc/refman/9.7/en/identifiers.html
func nameOf(text string, longest int) string {
	var name []rune
	for _, r := range text {
		if r <= 0xffff && len(name) < longest {
			name = append(name, r)
		}
	}
	return strings.TrimRight(string(name), " ")
}

// oneAccount is the nth strategy, around and around, of those in which no accounts
// take turns.
func (k mysqlServer) oneAccount(nth int) mysqlStrategy {
	of := slices.DeleteFunc(slices.Clone(k.strategies), func(s mysqlStrategy) bool { return s.alternating })
	return of[nth%len(of)]
}

// usernameOf is a text as the name of an account. MySQL takes all blanks away
// around one when it makes it, and then knows nobody who has them.
func (k mysqlServer) usernameOf(text string, longest int) string {
	if name := nameOf(text, longest); k.engine == "mariadb" {
		return name
	}
	return strings.Trim(nameOf(text, longest), " \t\r\n")
}

// databaseOf is a text as the name of a database, a table and a column, with
// nothing blank at its end.
func databaseOf(text string) string {
	return strings.TrimRight(nameOf(strings.ReplaceAll(text, "§", "d"), 40), " \t\r\n")
}

// backquoted is a name as a statement has it.
func backquoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func (h *hostileMySQLHouse) makeDatabase(text string) {
	h.t.Helper()
	name := backquoted(databaseOf(text))
	h.exec("CREATE DATABASE "+name, "CREATE TABLE "+name+"."+name+" ("+name+" int, other int)")
}

// rotates makes an account with a text in all its names and rotates it, either
// of a pair once.
func (h *hostileMySQLHouse) rotates(strategy mysqlStrategy, text, mode string) {
	h.t.Helper()
	t := h.t
	longest := h.kind.longest
	if strategy.alternating {
		longest -= len("_clone")
	}
	username, database := h.kind.usernameOf(strings.ReplaceAll(text, "§", fmt.Sprint(accounts.Add(1))), longest), databaseOf(text)
	password := text + rand.Text() + text
	h.planted.add(password)
	if err := h.server.CreateUser(t.Context(), username, password); err != nil {
		t.Fatal(err)
	}
	table := backquoted(database) + "." + backquoted(database)
	h.exec("GRANT SELECT ("+backquoted(database)+"), INSERT ON "+table+" TO "+backquoted(username)+"@`%`",
		"GRANT SHOW VIEW ON "+backquoted(h.pattern(database))+".* TO "+backquoted(username)+"@`%`")
	document := h.document(username, password)
	document["dbname"], document["note"] = database, text
	strategy.secret(h.stage, document)
	arn := h.secretText(withoutEscapes(t, document))
	others := h.othersThan(username, username+"_clone")
	said := len(h.aws.FunctionLog(function))

	turns := 1
	if strategy.alternating {
		turns = 2
	}
	for turn := range turns {
		if err := h.rotateInMode(arn, mode); err != nil {
			t.Fatalf("turn %d: %v\n%s", turn, err, h.logSince(function, said))
		}
		h.uses(arn, "AWSCURRENT", database)
		if strategy.overlaps {
			h.uses(arn, "AWSPREVIOUS", database)
		} else if username, password := h.credential(arn, "AWSPREVIOUS"); h.accepts(username, password) {
			t.Error("the password before still opens the database")
		}
		h.remember(h.password(arn, "AWSCURRENT"))
	}
	if diff := cmp.Diff(others, h.othersThan(username, username+"_clone")); diff != "" {
		t.Errorf("another account or database was touched:\n%s", diff)
	}
	if !h.accepts("bystander", "planted-bystander") {
		t.Error("the bystander's password changed")
	}
}

// pattern is a database's name as GRANT takes it: MySQL takes it as it is where
// partial_revokes is ON, and MariaDB always as a pattern.
//
// https://dev.mysql.com/doc/refman/9.7/en/grant.html#grant-quoting
func (h *hostileMySQLHouse) pattern(database string) string {
	if h.server.Engine == "mysql" {
		return database
	}
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(database)
}

// rotateInMode rotates while new sessions begin with a sql_mode.
func (h *hostileMySQLHouse) rotateInMode(arn, mode string) error {
	h.t.Helper()
	before := h.rows("SELECT @@GLOBAL.sql_mode")[0]
	h.exec("SET GLOBAL sql_mode = '" + mode + "'")
	defer h.exec("SET GLOBAL sql_mode = '" + before + "'")
	return h.rotate(arn)
}

// uses proves that a labelled credential opens the very database of the secret,
// and may do there what its account may.
func (h *hostileMySQLHouse) uses(arn, label, database string) {
	h.t.Helper()
	username, password := h.credential(arn, label)
	login := h.server.Login(username, password)
	login.Database = database
	conn, err := dbservers.ConnectMySQL(h.t.Context(), login)
	if err != nil {
		h.t.Errorf("%s does not open the database: %v", label, err)
		return
	}
	defer func() { _ = conn.Close() }()
	var in, who string
	if err := conn.QueryRowContext(h.t.Context(), "SELECT DATABASE(), CURRENT_USER()").Scan(&in, &who); err != nil {
		h.t.Error(err)
	}
	if in != database || who != username+"@%" {
		h.t.Errorf("%s opens the database %q as %q, want %q as %q", label, in, who, database, username)
	}
	name := backquoted(database)
	if _, err := conn.ExecContext(h.t.Context(), "INSERT INTO "+name+" VALUES (1, 2)"); err != nil {
		h.t.Errorf("%s: %v", label, err)
	}
	if _, err := conn.ExecContext(h.t.Context(), "SELECT "+name+" FROM "+name); err != nil {
		h.t.Errorf("%s: %v", label, err)
	}
	if _, err := conn.ExecContext(h.t.Context(), "SELECT other FROM "+name); err == nil {
		h.t.Errorf("%s may read a column that its account may not", label)
	}
}

// othersThan is all that the server knows of accounts and databases, but for an
// account and its twin, and the roles that mark twins.
func (h *hostileMySQLHouse) othersThan(account, twin string) (dump []string) {
	h.t.Helper()
	for _, row := range accountTables(h.t, h.server) {
		if row.user != account && row.user != twin && !strings.Contains(row.text, "dbrotation(twin of ") && !strings.Contains(row.text, "dbrotation.") {
			dump = append(dump, row.text)
		}
	}
	return append(dump, h.rows("SELECT CONCAT('database ', SCHEMA_NAME) FROM information_schema.SCHEMATA ORDER BY 1")...)
}

// accountRow is a row of one of the tables in which a server keeps its accounts.
type accountRow struct{ user, text string }

// accountTables reads all that a server keeps of its accounts.
func accountTables(t *testing.T, server *dbservers.Server) (rows []accountRow) {
	t.Helper()
	conn, err := server.ConnectMySQLSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	tables := []string{"user", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv"}
	own := map[string][]string{
		"mysql":   {"global_grants", "role_edges", "default_roles", "password_history"},
		"mariadb": {"global_priv", "roles_mapping"},
	}
	for _, table := range append(tables, own[server.Engine]...) {
		read, err := readTable(t.Context(), conn, table)
		if err != nil {
			t.Fatal(err)
		}
		if table == "user" && len(read) < 3 {
			t.Fatalf("mysql.user has %d rows", len(read))
		}
		rows = append(rows, read...)
	}
	return rows
}

func readTable(ctx context.Context, conn *dbservers.MySQLConn, table string) (rows []accountRow, err error) {
	result, err := conn.QueryContext(ctx, "SELECT * FROM mysql."+table+" ORDER BY 1, 2, 3")
	if err != nil {
		return nil, err
	}
	defer func() { _ = result.Close() }()
	columns, err := result.Columns()
	if err != nil {
		return nil, err
	}
	fields, into := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
	for i := range fields {
		into[i] = &fields[i]
	}
	for result.Next() {
		if err := result.Scan(into...); err != nil {
			return nil, err
		}
		row := accountRow{text: table}
		for i, column := range columns {
			if name := strings.ToLower(column); name == "user" || name == "to_user" {
				row.user = string(fields[i])
			}
			row.text += fmt.Sprintf(" %s=%q", column, fields[i])
		}
		rows = append(rows, row)
	}
	return rows, result.Err()
}

// TestMySQLNamesAtTheLimit: the servers count characters, not bytes, and refuse
// a longer name instead of cutting it off. A twin's name counts.
func TestMySQLNamesAtTheLimit(t *testing.T) {
	t.Parallel()
	for _, kind := range mysqlServers() {
		t.Run(kind.engine+" "+kind.version, func(t *testing.T) {
			t.Parallel()
			server := kind.start(t)
			s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
			for _, strategy := range kind.strategies {
				longest := kind.longest
				if strategy.alternating {
					longest -= len("_clone")
				}
				for _, row := range []struct {
					name, filling string
					length        int
				}{
					{"of ASCII at the limit", "n", longest},
					{"of ASCII beyond it", "n", longest + 1},
					{"of two bytes each at the limit", "é", longest},
					{"of three bytes each beyond it", "象", longest + 1},
				} {
					t.Run(strategy.name+" "+row.name, func(t *testing.T) {
						defer func(t *testing.T) { s.t = t }(s.t)
						s.t = t
						username := fmt.Sprintf("l%d_", accounts.Add(1))
						username += strings.Repeat(row.filling, row.length-utf8.RuneCountInString(username))
						s.nameAtTheLimit(strategy, username, row.length > longest)
					})
				}
			}
		})
	}
}

func (s *stage) nameAtTheLimit(strategy mysqlStrategy, username string, refused bool) {
	s.t.Helper()
	password := "planted-" + rand.Text()
	s.planted.add(password)
	// MySQL has no account of a longer name, and MariaDB may have one.
	made := s.server.CreateUser(s.t.Context(), username, password)
	if made != nil && !refused {
		s.t.Fatal(made)
	}
	document := s.document(username, password)
	if made == nil {
		strategy.secret(s, document)
	} else {
		s.byStrategy(map[bool]string{true: "alternating", false: "single"}[strategy.alternating], document)
	}
	arn := s.secret(document)
	before, said := accountTables(s.t, s.server), len(s.aws.FunctionLog(function))
	err := s.rotate(arn)
	if !refused {
		if err != nil {
			s.t.Fatalf("%v\n%s", err, s.logSince(function, said))
		}
		if !s.opens(arn, "AWSCURRENT") || strategy.overlaps && !s.opens(arn, "AWSPREVIOUS") {
			s.t.Error("a credential does not open the database")
		}
		return
	}
	var failed *localaws.RotationError
	if !errors.As(err, &failed) || failed.Step != "createSecret" {
		s.t.Errorf("the rotation ended with %v, want a failure in createSecret", err)
	}
	log := s.logSince(function, said)
	for _, part := range []string{`"class":"invalid-secret"`, "characters", arn} {
		if !strings.Contains(log, part) {
			s.t.Errorf("the function's log does not say %s:\n%s", part, log)
		}
	}
	if diff := cmp.Diff(before, accountTables(s.t, s.server), cmp.AllowUnexported(accountRow{})); diff != "" {
		s.t.Errorf("the server's accounts changed:\n%s", diff)
	}
	if s.password(arn, "AWSCURRENT") != password || s.password(arn, "AWSPENDING") != "" {
		s.t.Error("the secret changed")
	}
}
