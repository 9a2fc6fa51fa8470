package mygrants

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var app = Account{"app", "%"}

// The rows that real servers were seen to answer for app@%.
var (
	rowsOfMySQL = []string{
		"GRANT USAGE ON *.* TO `app`@`%`",
		"GRANT USAGE ON *.* TO `app`@`%` WITH GRANT OPTION",
		"GRANT SELECT, PROCESS ON *.* TO `app`@`%`",
		"GRANT APPLICATION_PASSWORD_ADMIN,ROLE_ADMIN ON *.* TO `app`@`%`",
		"GRANT XA_RECOVER_ADMIN ON *.* TO `app`@`%` WITH GRANT OPTION",
		"GRANT ALL PRIVILEGES ON `app_%`.* TO `app`@`%` WITH GRANT OPTION",
		"GRANT INSERT, UPDATE ON `sh\\_op`.* TO `app`@`%`",
		"REVOKE SELECT ON `mysql`.* FROM `app`@`%`",
		"GRANT SELECT (`id`, `na``me`), INSERT (`note`), UPDATE ON `shop`.`orders` TO `app`@`%`",
		"GRANT SELECT (`c1, (x)`), DELETE ON `we``ird TO x`.`t ON \"q' TO ``app``@``%``` TO `app`@`%` WITH GRANT OPTION",
		"GRANT EXECUTE ON PROCEDURE `shop`.`p1` TO `app`@`%`",
		"GRANT EXECUTE, ALTER ROUTINE ON FUNCTION `shop`.`f1` TO `app`@`%` WITH GRANT OPTION",
		"GRANT EXECUTE ON LIBRARY `shop`.`l1` TO `app`@`%`",
		"GRANT PROXY ON `r_write`@`%` TO `app`@`%`",
		"GRANT PROXY ON ``@`` TO `app`@`%` WITH GRANT OPTION",
		"GRANT `r_read`@`%` TO `app`@`%`",
		"GRANT `odd'``role`@`%`,`r_write`@`%` TO `app`@`%` WITH ADMIN OPTION",
	}
	rowsOfMariaDB = []string{
		"GRANT `r_read` TO `app`@`%`",
		"GRANT `r_write` TO `app`@`%` WITH ADMIN OPTION",
		"GRANT USAGE ON *.* TO `app`@`%`",
		"GRANT SELECT, PROCESS ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*667F407DE7C6AD07358FA38DAED7828A72014B4E'",
		"GRANT SELECT, BINLOG MONITOR ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*667F407DE7C6AD07358FA38DAED7828A72014B4E' REQUIRE SSL WITH GRANT OPTION MAX_QUERIES_PER_HOUR 5 MAX_USER_CONNECTIONS -1 MAX_STATEMENT_TIME 2.500000",
		"GRANT ALL PRIVILEGES ON *.* TO `app`@`%` IDENTIFIED VIA ed25519 USING 'UA4Fsecret' OR mysql_native_password USING '*667Fsecret' OR unix_socket REQUIRE ISSUER '/C=US' SUBJECT '/CN=a''b' CIPHER 'ECDHE' WITH MAX_QUERIES_PER_HOUR 5",
		"GRANT SELECT (`na``me`, `id`), INSERT (`note`), UPDATE ON `shop`.`orders` TO `app`@`%`",
		"GRANT DELETE HISTORY ON `shop`.* TO `app`@`%`",
		"GRANT EXECUTE ON PACKAGE BODY `shop`.`p` TO `app`@`%`",
		"GRANT PROXY ON ``@`%` TO `app`@`%`",
		"SET DEFAULT ROLE `r_read` FOR `app`@`%`",
	}
)

func TestRowsThatServersAnswer(t *testing.T) {
	table := Object{Database: "shop", Name: "orders"}
	odd := Object{Database: "we`ird TO x", Name: "t ON \"q' TO `app`@`%`"}
	role := func(name string, option bool) Atom {
		return Atom{Kind: Role, Account: Account{name, "%"}, Option: option}
	}
	privilege := func(o Object, names ...string) []Atom {
		var atoms []Atom
		for _, name := range names {
			atoms = append(atoms, Atom{Kind: Privilege, Name: name, Object: o})
		}
		return atoms
	}
	columns := []Atom{
		{Kind: Privilege, Name: "SELECT", Column: "id", Object: table},
		{Kind: Privilege, Name: "SELECT", Column: "na`me", Object: table},
		{Kind: Privilege, Name: "INSERT", Column: "note", Object: table},
		{Kind: Privilege, Name: "UPDATE", Object: table},
	}
	want := map[Dialect][][]Atom{
		MySQL: {
			nil,
			{{Kind: GrantOption}},
			privilege(Object{}, "SELECT", "PROCESS"),
			{{Kind: Dynamic, Name: "APPLICATION_PASSWORD_ADMIN"}, {Kind: Dynamic, Name: "ROLE_ADMIN"}},
			{{Kind: Dynamic, Name: "XA_RECOVER_ADMIN", Option: true}},
			append(privilege(Object{Database: "app_%"}, "ALL PRIVILEGES"), Atom{Kind: GrantOption, Object: Object{Database: "app_%"}}),
			privilege(Object{Database: `sh\_op`}, "INSERT", "UPDATE"),
			{{Kind: PartialRevoke, Name: "SELECT", Object: Object{Database: "mysql"}}},
			columns,
			{{Kind: Privilege, Name: "SELECT", Column: "c1, (x)", Object: odd}, {Kind: Privilege, Name: "DELETE", Object: odd}, {Kind: GrantOption, Object: odd}},
			privilege(Object{Kind: Procedure, Database: "shop", Name: "p1"}, "EXECUTE"),
			append(privilege(Object{Kind: Function, Database: "shop", Name: "f1"}, "EXECUTE", "ALTER ROUTINE"), Atom{Kind: GrantOption, Object: Object{Kind: Function, Database: "shop", Name: "f1"}}),
			privilege(Object{Kind: Library, Database: "shop", Name: "l1"}, "EXECUTE"),
			{{Kind: Proxy, Account: Account{"r_write", "%"}}},
			{{Kind: Proxy, Option: true}},
			{role("r_read", false)},
			{role("odd'`role", true), role("r_write", true)},
		},
		MariaDB: {
			{{Kind: Role, Account: Account{User: "r_read"}}},
			{{Kind: Role, Account: Account{User: "r_write"}, Option: true}},
			nil,
			privilege(Object{}, "SELECT", "PROCESS"),
			append(privilege(Object{}, "SELECT", "BINLOG MONITOR"), Atom{Kind: GrantOption}),
			privilege(Object{}, "ALL PRIVILEGES"),
			columns,
			privilege(Object{Database: "shop"}, "DELETE HISTORY"),
			privilege(Object{Kind: PackageBody, Database: "shop", Name: "p"}, "EXECUTE"),
			{{Kind: Proxy, Account: Account{Host: "%"}}},
			{{Kind: DefaultRole, Account: Account{User: "r_read"}}},
		},
	}
	for dialect, rows := range map[Dialect][]string{MySQL: rowsOfMySQL, MariaDB: rowsOfMariaDB} {
		for i, row := range rows {
			got, err := Parse(dialect, app, []string{row})
			if err != nil {
				t.Errorf("%s: %v", row, err)
				continue
			}
			if diff := cmp.Diff(SetOf(want[dialect][i]...), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", row, diff)
			}
			wantNoHash(t, row, got, nil)
		}
		if _, err := Parse(dialect, app, rows); err != nil {
			t.Error(err)
		}
	}
}

// wantNoHash asserts that nothing of an authentication is left anywhere.
func wantNoHash(t *testing.T, row string, set Set, err error) {
	t.Helper()
	var texts []string
	if err != nil {
		texts = append(texts, err.Error())
	}
	for _, a := range set.Sorted() {
		texts = append(texts, a.String())
	}
	for _, s := range Diff(MariaDB, app, set, nil) {
		texts = append(texts, s.SQL)
	}
	for _, text := range texts {
		for _, secret := range []string{"667F", "UA4F", "secret"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q of %q holds a hash", text, row)
			}
		}
	}
}

func TestRowsThatAreNotUnderstood(t *testing.T) {
	tests := []struct {
		name, row, says string
		dialect         Dialect
	}{
		{name: "another account", row: "GRANT SELECT ON *.* TO `app2`@`%`", says: "`app2`@`%`"},
		{name: "another host", row: "GRANT SELECT ON *.* TO `app`@`localhost`", says: "localhost"},
		{name: "a role's row", row: "GRANT SELECT ON *.* TO `app`", says: "@ belongs"},
		{name: "the public", dialect: MariaDB, row: "GRANT SELECT ON `shop`.* TO PUBLIC", says: "a name belongs"},
		{name: "the account only in a name", row: "GRANT SELECT ON `shop`.`t TO ``app``@``%``` TO `root`@`%`", says: "it is about `root`@`%`"},
		{name: "double quotes", row: "GRANT SELECT ON \"shop\".\"secret\" TO \"app\"@\"%\"", says: "a character that stands nowhere"},
		{name: "no quotes", row: "GRANT SELECT ON shop.orders TO app@`%`", says: "unknown kind: shop"},
		{name: "MySQL 5.7", row: "GRANT SELECT ON `shop`.* TO 'app'@'%'", says: "'...' where a name belongs"},
		{name: "words after the account", row: "GRANT SELECT ON *.* TO `app`@`%` AS `x`@`%`", says: "AS where nothing more belongs"},
		{name: "an admin option of a privilege", row: "GRANT SELECT ON *.* TO `app`@`%` WITH ADMIN OPTION", says: "GRANT OPTION belongs"},
		{name: "a limit in MySQL", row: "GRANT SELECT ON *.* TO `app`@`%` WITH MAX_USER_CONNECTIONS 5", says: "GRANT OPTION belongs"},
		{name: "authentication in MySQL", row: "GRANT SELECT ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD 'secret'", says: "IDENTIFIED where nothing more belongs"},
		{name: "an unknown object", row: "GRANT USE ON CATALOG `c`.`d` TO `app`@`%`", says: "CATALOG"},
		{name: "a partial revoke of a table", row: "REVOKE SELECT ON `mysql`.`user` FROM `app`@`%`", says: "no database"},
		{name: "a partial revoke of a column", row: "REVOKE SELECT (`c`) ON `mysql`.* FROM `app`@`%`", says: "partial revoke"},
		{name: "a partial revoke in MariaDB", dialect: MariaDB, row: "REVOKE SELECT ON `mysql`.* FROM `app`@`%`", says: "REVOKE where a grant belongs"},
		{name: "a default role in MySQL", row: "SET DEFAULT ROLE `r` FOR `app`@`%`", says: "SET where a grant belongs"},
		{name: "a mixture of privileges", row: "GRANT SELECT, ROLE_ADMIN ON *.* TO `app`@`%`", says: "dynamic privileges among others"},
		{name: "columns of a database", row: "GRANT SELECT (`c`) ON `shop`.* TO `app`@`%`", says: "SELECT (`c`) on `shop`.*"},
		{name: "no privilege", row: "GRANT ON *.* TO `app`@`%`", says: "a privilege belongs"},
		{name: "no columns", row: "GRANT SELECT () ON `shop`.`t` TO `app`@`%`", says: "a name belongs"},
		{name: "a name without its end", row: "GRANT SELECT ON `shop`.* TO `app", says: "without its end"},
		{name: "a hash without its end", dialect: MariaDB, row: "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD 'secret", says: "without its end"},
		{name: "a hash where none belongs", dialect: MariaDB, row: "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY 'secret'", says: "IDENTIFIED where"},
		{name: "an unknown end after a hash", dialect: MariaDB, row: "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED VIA x USING 'secret' SINCE 2027", says: "SINCE where"},
		{name: "a plugin as a secret", dialect: MariaDB, row: "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED VIA `secret` AS secret", says: "a string"},
		{name: "a role with grant option", row: "GRANT `r`@`%` TO `app`@`%` WITH GRANT OPTION", says: "WITH where nothing more"},
		{name: "nothing", row: "", says: "a grant belongs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set, err := Parse(test.dialect, app, []string{test.row})
			if err == nil {
				t.Fatalf("%s was read as %v", test.row, set.Sorted())
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q; want that it says %q", err, test.says)
			}
			wantNoHash(t, test.row, set, err)
		})
	}
}

// TestUnknownPrivilegesPass: each version of a server adds some.
func TestUnknownPrivilegesPass(t *testing.T) {
	got, err := Parse(MySQL, app, []string{"GRANT SELECT, BEND TIME ON *.* TO `app`@`%`", "GRANT TIME_ADMIN ON *.* TO `app`@`%`"})
	if err != nil {
		t.Fatal(err)
	}
	want := SetOf(Atom{Name: "SELECT"}, Atom{Name: "BEND TIME"}, Atom{Kind: Dynamic, Name: "TIME_ADMIN"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzParse: what is understood is about the account that was asked for, can be
// written and read again and is then the same, and is written of nothing but the
// row's own names and privileges. No string of it comes back, which may be a hash.
func FuzzParse(f *testing.F) {
	for _, row := range rowsOfMySQL {
		f.Add(row, false)
	}
	for _, row := range rowsOfMariaDB {
		f.Add(row, true)
	}
	for _, row := range []string{
		"GRANT SELECT, SELECT (`c`) ON `a`.`t` TO `app`@`%` WITH GRANT OPTION", "GRANT ALL PRIVILEGES ON *.* TO `app`@`%` WITH GRANT OPTION",
		"GRANT SELECT ON `a`.`TO ``app``@``%``` TO `app2`@`%`", "GRANT `app`@`%` TO `app`@`%`", "GRANT PROXY ON `app`@`%` TO `app`@`%`",
		"GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED VIA `x` USING '\\' OR y AS 'TO `app`@`%`' REQUIRE SUBJECT 'a' AND ISSUER 'b'",
	} {
		f.Add(row, false)
		f.Add(row, true)
	}
	f.Fuzz(func(t *testing.T, row string, mariadb bool) {
		dialect := MySQL
		if mariadb {
			dialect = MariaDB
		}
		set, err := Parse(dialect, app, []string{row})
		if err != nil {
			return
		}
		for _, another := range []Account{{"app", "localhost"}, {"app2", "%"}, {"APP", "%"}, {User: "app"}} {
			if _, err := Parse(dialect, another, []string{row}); err == nil {
				t.Errorf("%q is of %s, and was read as of %s", row, app, another)
			}
		}
		var again []string
		for _, s := range Diff(dialect, app, set, nil) {
			again = append(again, s.SQL)
			wantOwnWords(t, dialect, row, s)
		}
		for _, s := range Diff(dialect, app, nil, set) {
			wantOwnWords(t, dialect, row, s)
		}
		got, err := Parse(dialect, app, again)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", row, again, err)
		}
		if diff := cmp.Diff(set, got); diff != "" {
			t.Fatalf("%q was written as %q (-first +again):\n%s", row, again, diff)
		}
		if left := Diff(dialect, app, set, got); len(left) > 0 {
			t.Fatalf("%q is equal, and yet leads to %v", row, left)
		}
	})
}

// ownWords are those that statements have besides a row's.
var ownWords = append(strings.Fields("GRANT REVOKE SET DEFAULT ROLE PROXY USAGE NONE ON TO FROM FOR WITH ADMIN OPTION"), strings.Fields(strings.Join(allOfDatabase, " "))...)

// wantOwnWords asserts that a statement is about the account, and is made of a
// row's names and privileges alone.
func wantOwnWords(t *testing.T, dialect Dialect, row string, s Statement) {
	t.Helper()
	ends := []string{" TO " + app.String(), " FROM " + app.String(), " TO " + app.String() + " WITH GRANT OPTION", " TO " + app.String() + " WITH ADMIN OPTION"}
	if dialect == MariaDB {
		ends = append(ends, " FOR "+app.String())
	}
	if !slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(s.SQL, end) }) {
		t.Errorf("%q was made of %q, and is not about the account", s.SQL, row)
	}
	rows, err := tokenize(row)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := tokenize(s.SQL)
	if err != nil {
		t.Fatalf("%q was made of %q: %v", s.SQL, row, err)
	}
	for _, token := range tokens {
		switch {
		case token.kind == text:
			t.Errorf("%q was made of %q, and has a string", s.SQL, row)
		case token.kind == mark, slices.Contains(rows, token), token.kind == word && slices.Contains(ownWords, token.value):
		default:
			t.Errorf("%q was made of %q, where there is no %s", s.SQL, row, token)
		}
	}
	for _, part := range s.Parts {
		wantOwnWords(t, dialect, row, part)
	}
}

// TestStringsAreNotKept: whatever comes after, a hash is gone with the row.
func TestStringsAreNotKept(t *testing.T) {
	for _, row := range rowsOfMariaDB {
		tokens, err := tokenize(row)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			if token.kind == text && token.value != "" {
				t.Errorf("a token of %q keeps %q", row, token.value)
			}
		}
	}
}
