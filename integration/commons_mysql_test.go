package integration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// mysqlTwins is the table in docs/mysql-twins.md.
var mysqlTwins = twinsTable{
	page:       "../docs/mysql-twins.md",
	properties: slices.Concat(mysqlFirst, mysqlFamilyProperties, mysqlProperties),
	prepare:    familyPrepares,
	denied:     "command denied",
	names: map[string]func(*commonCase) string{
		"{password}": (*commonCase).firstPassword,
		"{here}":     (*commonCase).client,
		"{to}":       always("TO"),
		"{cipher}":   (*commonCase).cipher,
		"{no role}":  always("is not granted to"),
	},
}

// TestWhatAMySQLTwinHasInCommonWithItsSibling is
// [TestWhatATwinHasInCommonWithItsSibling] for MySQL. Its server is its own: the
// admin is granted a proxy there, and may write to the tables of mysql, which
// AWS's function needs; see [TestWhereAWSsFunctionForMySQLGetsStuck].
func TestWhatAMySQLTwinHasInCommonWithItsSibling(t *testing.T) {
	t.Parallel()
	server := startMySQL(t, mysqlForAWS)
	if err := server.Exec(t.Context(), "SET GLOBAL partial_revokes = ON"); err != nil {
		t.Fatal(err)
	}
	mysqlTwins.compare(t, []commonServer{{"MySQL " + server.Version, server}})
}

// familyPrepares makes a database with a table, to which nobody has a right yet.
var familyPrepares = []string{"CREATE DATABASE {s}", "CREATE TABLE {s}.t (n int, m int)"}

func always(text string) func(*commonCase) string {
	return func(*commonCase) string { return text }
}

// firstPassword is the sibling's before the first rotation.
func (c *commonCase) firstPassword() string { return c.password(c.arn, "AWSCURRENT") }

// client is from where the tests reach the server, as it sees them.
func (c *commonCase) client() string {
	rows := c.table("SELECT SUBSTRING_INDEX(USER(), '@', -1)")
	return rows[0][0]
}

// cipher is what the tests and the function agree on with the server.
func (c *commonCase) cipher() string {
	rows := c.table("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
	return rows[0][1]
}

// keeps is true where the server keeps a value of an account: for what signing
// in does not show.
func keeps(question, want string) func(*commonCase, string) bool {
	return func(c *commonCase, username string) bool {
		rows := c.table(c.in(question, username))
		return len(rows) == 1 && rows[0][0] == c.in(want, username)
	}
}

// inUser reads a column of an account's row in mysql.user.
func inUser(column, want string) func(*commonCase, string) bool {
	return keeps("SELECT "+column+" FROM mysql.user WHERE user = '{me}' AND host = '%'", want)
}

// mysqlFirst is what comes before all else on MySQL.
var mysqlFirst = []property{
	{name: "three rotations, by the function as it is published", outcome: func(c *commonCase, err error) string {
		maker := c.maker
		if maker == awsAlternating {
			// The one that the other rows have took the first turn of its
			// own secret.
			maker = awsPublished
			c.maker, c.arn = maker, c.alternatingSecret()
			err = c.rotateBy(maker, c.arn)
		}
		for turn := 1; ; turn++ {
			switch {
			case err != nil && c.deliverAllAgain() != nil:
				return fmt.Sprintf("no: the rotation of turn %d fails, and its retry", turn)
			case turn == 3:
				return yesOrNo(err == nil)
			}
			err = c.rotateBy(maker, c.arn)
		}
	}},
}

// readsTheTable is the right that most rows are about.
var readsTheTable = does("SELECT * FROM {s}.t")

// mysqlFamilyProperties are the rows that MySQL and MariaDB have in common.
var mysqlFamilyProperties = []property{
	{name: "privileges on everything", arrange: []string{"GRANT PROCESS ON *.* TO {app}"}, has: does("SHOW ENGINE INNODB STATUS")},
	{name: "privileges on a database", arrange: []string{"GRANT SELECT ON {s}.* TO {app}"}, has: readsTheTable},
	{name: "privileges on databases by a pattern", arrange: []string{"GRANT SELECT ON `{s}\\_%`.* TO {app}"},
		has: keeps("SELECT COUNT(*) FROM mysql.db WHERE user = '{me}' AND db = '{s}\\\\_%' AND select_priv = 'Y'", "1")},
	{name: "privileges on a table", arrange: []string{"GRANT SELECT ON {s}.t TO {app}"}, has: readsTheTable},
	{name: "privileges on a column", arrange: []string{"GRANT SELECT (n) ON {s}.t TO {app}"}, has: func(c *commonCase, username string) bool {
		return c.runAs(username, "SELECT n FROM {s}.t") == nil && c.runAs(username, "SELECT m FROM {s}.t") != nil
	}},
	{name: "privileges on a procedure", arrange: []string{"CREATE PROCEDURE {s}.p () SELECT 1", "GRANT EXECUTE ON PROCEDURE {s}.p TO {app}"}, has: does("CALL {s}.p()")},
	{name: "privileges on a function", arrange: []string{"CREATE FUNCTION {s}.f () RETURNS int DETERMINISTIC RETURN 1", "GRANT EXECUTE ON FUNCTION {s}.f TO {app}"}, has: does("SELECT {s}.f()")},
	{name: "privileges on a database whose name has TO in it", arrange: []string{"CREATE DATABASE `{s} TO x`", "CREATE TABLE `{s} TO x`.t (n int)", "GRANT SELECT ON `{s} TO x`.* TO {app}"}, has: does("SELECT * FROM `{s} TO x`.t")},
	{name: "privileges on a table that was dropped, once it is made anew",
		arrange: []string{"CREATE TABLE {s}.gone (n int)", "GRANT SELECT ON {s}.gone TO {app}", "DROP TABLE {s}.gone"},
		has: func(c *commonCase, username string) bool {
			c.exec(c.in("CREATE TABLE IF NOT EXISTS {s}.gone (n int)", ""))
			return c.runAs(username, "SELECT * FROM {s}.gone") == nil
		}},
	{name: "privileges WITH GRANT OPTION, passed on", arrange: []string{"GRANT SELECT ON {s}.t TO {app} WITH GRANT OPTION"}, has: does("GRANT SELECT ON {s}.t TO {f}")},
	{name: "the same of a privilege on everything", arrange: []string{"GRANT PROCESS ON *.* TO {app} WITH GRANT OPTION"}, has: does("GRANT PROCESS ON *.* TO {f}")},
	{name: "roles, after SET ROLE", arrange: role("GRANT {app}_r TO {app}"), has: does("SET ROLE {app}_r", "SELECT * FROM {s}.t")},
	{name: "roles WITH ADMIN OPTION, passed on", arrange: role("GRANT {app}_r TO {app} WITH ADMIN OPTION"), has: does("GRANT {app}_r TO {f}")},
	{name: "default roles, from the sign-in on", arrange: role("GRANT {app}_r TO {app}", "SET DEFAULT ROLE {app}_r {to} {app}"), has: readsTheTable},
	{name: "PROXY, which the admin has with its option", arrange: []string{"GRANT PROXY ON {f} TO {admin} WITH GRANT OPTION", "GRANT PROXY ON {f} TO {app}"},
		has: keeps("SELECT COUNT(*) FROM mysql.proxies_priv WHERE user = '{me}' AND proxied_user = '{f}'", "1")},
	{name: "REQUIRE SSL", arrange: []string{"ALTER USER {app} REQUIRE SSL"}, has: func(c *commonCase, username string) bool {
		return c.enters(username, c.server.Database) && !c.entersInPlaintext(username)
	}},
	{name: "MAX_USER_CONNECTIONS", arrange: []string{"ALTER USER {app} WITH MAX_USER_CONNECTIONS 1"}, has: entersOnceAtATime("max_user_connections")},
	{name: "MAX_QUERIES_PER_HOUR", arrange: []string{"ALTER USER {app} WITH MAX_QUERIES_PER_HOUR 12345"}, has: inUser("max_questions", "12345")},
	{name: "a limit changed later, from its next turn on", arrange: []string{"ALTER USER {app} WITH MAX_UPDATES_PER_HOUR 12345"}, later: []string{"ALTER USER {app} WITH MAX_UPDATES_PER_HOUR 54321"}, turns: 2, has: inUser("max_updates", "54321")},
	{name: "a row for some hosts, beside the one for any host",
		arrange: []string{"CREATE USER {app}@'192.0.2.%' IDENTIFIED BY '{password}'", "GRANT SELECT ON {s}.t TO {app}@'192.0.2.%'"},
		has:     keeps("SELECT COUNT(*) FROM mysql.tables_priv WHERE user = '{me}' AND host = '192.0.2.%'", "1")},
	{name: "an account of one host, without a row for any host", arrange: []string{"RENAME USER {app} TO {app}@'{here}'", "GRANT SELECT ON {s}.t TO {app}@'{here}'"}, has: readsTheTable},
	{name: "privileges granted later, from its next turn on", later: []string{"GRANT SELECT ON {s}.t TO {app}"}, turns: 2, has: readsTheTable},
	{name: "privileges that the sibling has lost, lost at its next turn", arrange: []string{"GRANT SELECT ON {s}.t TO {app}"}, later: []string{"REVOKE SELECT ON {s}.t FROM {app}"}, turns: 2, outcome: lostByBoth(doesNot("SELECT * FROM {s}.t"))},
	{name: "a role that the sibling has lost, lost at its next turn", arrange: role("GRANT {app}_r TO {app}"), later: []string{"REVOKE {app}_r FROM {app}"}, turns: 2, outcome: lostByBoth(func(c *commonCase, username string) bool {
		err := c.runAs(username, "SET ROLE {app}_r")
		return err != nil && strings.Contains(err.Error(), c.in("{no role}", ""))
	})},
	{name: "what was granted to the twin alone, after its next turn", later: []string{"GRANT SELECT ON {s}.t TO {twin}"}, turns: 2, outcome: func(c *commonCase, err error) string {
		if err != nil {
			return "the rotation fails"
		}
		app, twin := readsTheTable(c, c.app), readsTheTable(c, c.twin)
		switch {
		case app && twin:
			return "the sibling has it too"
		case twin:
			return "it stays"
		case c.maker == function && !strings.Contains(c.aws.FunctionLog(function), c.schema()+"`.`t"):
			return "it is gone without a word"
		}
		return "it is gone, and the log names it"
	}},
	{name: "tables that either makes: read and written by the other one", arrange: []string{"GRANT CREATE, SELECT, INSERT ON {s}.* TO {app}"}, has: func(c *commonCase, username string) bool {
		return c.runAs(username, "CREATE TABLE {s}.{me} (n int)") == nil &&
			c.runAs(c.other(username), "SELECT * FROM {s}."+username, "INSERT INTO {s}."+username+" VALUES (1)") == nil
	}},
	{name: "routines that it makes: called by its sibling from the next turn on", arrange: []string{"GRANT CREATE ROUTINE ON {s}.* TO {app}"}, outcome: routinesOf((*commonCase).twinName, 1)},
	{name: "routines that its sibling makes: called by it from the next turn on", arrange: []string{"GRANT CREATE ROUTINE ON {s}.* TO {app}"}, outcome: routinesOf((*commonCase).appName, 2)},
	{name: "sessions: ended by the other one", outcome: func(c *commonCase, _ error) string {
		victim, err := c.session(c.twin, c.server.Database)
		if err != nil {
			return "cannot be tried"
		}
		defer victim.close()
		id := answerOf(victim.rows(c.t.Context(), "SELECT CONNECTION_ID()"))
		return yesOrNo(c.runAs(c.app, "KILL "+id) == nil)
	}},
	{name: "a right is revoked from it while its sibling is current: mended at its next turn", arrange: []string{"GRANT SELECT ON {s}.t TO {app}"}, later: []string{"@rotate", "REVOKE SELECT ON {s}.t FROM {twin}"}, turns: 1, outcome: mended("SELECT * FROM {s}.t")},
	{name: "a right is revoked from it while it is current: mended at its next turn", arrange: []string{"GRANT SELECT ON {s}.t TO {app}"}, later: []string{"REVOKE SELECT ON {s}.t FROM {twin}"}, turns: 2, outcome: mended("SELECT * FROM {s}.t")},
	{name: "it is locked while its sibling is current: mended at its next turn", later: []string{"@rotate", "ALTER USER {twin} ACCOUNT LOCK"}, turns: 1, outcome: mended("SELECT 1")},
}

// mysqlProperties are the rows that MySQL alone has.
var mysqlProperties = []property{
	certified("X509", "SUBJECT '/CN=app'", "ISSUER '/CN=authority'", "CIPHER '{cipher}'"),
	halfMade("SET ROLE {app}_r", role("GRANT {app}_r TO {app}", "GRANT PROXY ON {f} TO {app}")...),
	{name: "partial revokes", arrange: []string{"GRANT SELECT ON *.* TO {app}", "REVOKE SELECT ON {s}.* FROM {app}", "CREATE DATABASE {s}_x", "CREATE TABLE {s}_x.t (n int)"}, has: func(c *commonCase, username string) bool {
		return c.runAs(username, "SELECT * FROM {s}_x.t") == nil && doesNot("SELECT * FROM {s}.t")(c, username)
	}},
	{name: "dynamic privileges", arrange: []string{"GRANT XA_RECOVER_ADMIN ON *.* TO {app}"}, has: does("XA RECOVER")},
	{name: "dynamic privileges WITH GRANT OPTION, passed on", arrange: []string{"GRANT XA_RECOVER_ADMIN ON *.* TO {app} WITH GRANT OPTION"}, has: does("GRANT XA_RECOVER_ADMIN ON *.* TO {f}")},
	{name: "a plugin that is not the server's default", arrange: []string{"ALTER USER {app} IDENTIFIED WITH sha256_password BY '{password}'"}, has: inUser("plugin", "sha256_password")},
	{name: "PASSWORD HISTORY", arrange: []string{"ALTER USER {app} PASSWORD HISTORY 5"}, has: inUser("Password_reuse_history", "5")},
	{name: "PASSWORD REUSE INTERVAL", arrange: []string{"ALTER USER {app} PASSWORD REUSE INTERVAL 30 DAY"}, has: inUser("Password_reuse_time", "30")},
	{name: "PASSWORD REQUIRE CURRENT", arrange: []string{"ALTER USER {app} PASSWORD REQUIRE CURRENT"}, has: inUser("Password_require_current", "Y")},
	{name: "PASSWORD EXPIRE INTERVAL", arrange: []string{"ALTER USER {app} PASSWORD EXPIRE INTERVAL 90 DAY"}, has: inUser("password_lifetime", "90")},
	{name: "FAILED_LOGIN_ATTEMPTS and PASSWORD_LOCK_TIME", arrange: []string{"ALTER USER {app} FAILED_LOGIN_ATTEMPTS 4 PASSWORD_LOCK_TIME UNBOUNDED"},
		has: inUser("CONCAT(User_attributes->'$.Password_locking.failed_login_attempts', ' ', User_attributes->'$.Password_locking.password_lock_time_days')", "4 -1")},
	{name: "the same with a single attempt: the two take turns", arrange: []string{"ALTER USER {app} FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME UNBOUNDED"}, turns: 2, outcome: mended("SELECT 1")},
	{name: "COMMENT and ATTRIBUTE", arrange: []string{`ALTER USER {app} ATTRIBUTE '{"team": "shop"}'`}, has: inUser("User_attributes->>'$.metadata.team'", "shop")},
}

// role makes a role of the sibling's that may read the table.
func role(grants ...string) []string {
	return append([]string{"CREATE ROLE {app}_r", "GRANT {app}_r TO {admin} WITH ADMIN OPTION", "GRANT SELECT ON {s}.t TO {app}_r"}, grants...)
}

// certified is an account that shows a certificate at its sign-in, as each of
// these clauses demands.
func certified(requires ...string) property {
	var kinds []string
	for _, require := range requires {
		kind, _, _ := strings.Cut(require, " ")
		kinds = append(kinds, kind)
	}
	return property{
		name:    "a REQUIRE that demands a certificate, which no secret has (" + strings.Join(kinds, ", ") + ")",
		arrange: []string{"ALTER USER {app} REQUIRE " + requires[0]},
		outcome: func(c *commonCase, err error) string {
			for _, require := range requires {
				c.exec(c.in("ALTER USER {app} REQUIRE "+require, ""))
				if err == nil || c.deliverAllAgain() == nil {
					return "it rotates"
				}
			}
			return "refused"
		},
	}
}

// halfMade is a twin whose making fails in the middle, because the admin cannot
// pass on one of the rights; what is to follow it is seen by a statement.
func halfMade(follows string, arrange ...string) property {
	return property{name: "a twin whose making fails in the middle: it does not open, nor when the rotation is delivered again", arrange: arrange, outcome: func(c *commonCase, err error) string {
		switch again := c.deliverAllAgain(); {
		case err == nil:
			return "cannot be tried"
		case again != nil:
			return yesOrNo(!c.accepts(c.twin, c.password(c.arn, "AWSPENDING")))
		case c.runAs(c.app, follows) == nil && c.runAs(c.twin, follows) != nil:
			return "no: it becomes current, without the rights that were to follow"
		}
		return "no: it becomes current"
	}}
}

// lostByBoth is for a right that the sibling has lost.
func lostByBoth(lost func(*commonCase, string) bool) func(*commonCase, error) string {
	return func(c *commonCase, err error) string {
		if err != nil {
			return "the rotation fails"
		}
		app, twin := lost(c, c.app), lost(c, c.twin)
		switch {
		case app && twin:
			return "yes"
		case twin:
			return "no: the sibling has it again"
		case app:
			return "no"
		}
		return "no, and the sibling has it again"
	}
}

func (c *commonCase) appName() string  { return c.app }
func (c *commonCase) twinName() string { return c.twin }

// routinesOf has one of the two make a routine, and tells whether the other one
// may call it some turns later.
func routinesOf(maker func(*commonCase) string, turns int) func(*commonCase, error) string {
	return func(c *commonCase, err error) string {
		name := maker(c)
		if err == nil {
			err = c.runAs(name, "CREATE PROCEDURE {s}.{me} () SELECT 1")
		}
		for range turns {
			if err == nil {
				err = c.rotateBy(c.maker, c.arn)
			}
		}
		if err != nil {
			return "the rotation fails"
		}
		return yesOrNo(c.runAs(c.other(name), "CALL {s}."+name+"()") == nil)
	}
}

// entersInPlaintext reports whether the server lets an account in without TLS.
func (c *commonCase) entersInPlaintext(username string) bool {
	login := c.server.Login(username, c.labelled(username))
	login.TLS.Plaintext = true
	conn, err := c.enter(c.t.Context(), login)
	if err != nil {
		return false
	}
	conn.close()
	return true
}
