package integration_test

import (
	"slices"
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// mariadbTwins is the table in docs/mariadb-twins.md.
var mariadbTwins = twinsTable{
	page:       "../docs/mariadb-twins.md",
	properties: slices.Concat(mysqlFamilyProperties, mariadbProperties),
	prepare:    familyPrepares,
	denied:     "command denied",
	names: map[string]func(*commonCase) string{
		"{password}": (*commonCase).firstPassword,
		"{here}":     (*commonCase).client,
		"{cipher}":   (*commonCase).cipher,
		"{to}":       always("FOR"),
		"{no role}":  always("Invalid role specification"),
	},
}

// TestWhatAMariaDBTwinHasInCommonWithItsSibling is
// [TestWhatATwinHasInCommonWithItsSibling] for MariaDB. Its server is its own:
// the admin is granted a proxy there.
func TestWhatAMariaDBTwinHasInCommonWithItsSibling(t *testing.T) {
	t.Parallel()
	server := startMariaDB(t, dbservers.MariaDBOptions{Plaintext: true, Settings: map[string]string{"plugin_load_add": "auth_ed25519"}})
	mariadbTwins.compare(t, []commonServer{{"MariaDB " + server.Version, server}})
}

// mariadbProperties are the rows that MariaDB alone has.
var mariadbProperties = []property{
	halfMade("SELECT * FROM {s}.t", "GRANT DELETE HISTORY ON {s}.* TO {app}", "GRANT SELECT ON {s}.t TO {app}"),
	certified("X509", "SUBJECT '/CN=app'", "ISSUER '/CN=authority'"),
	{name: "REQUIRE CIPHER", arrange: []string{"ALTER USER {app} REQUIRE CIPHER '{cipher}'"}, has: func(c *commonCase, username string) bool {
		return c.enters(username, c.server.Database) && inUser("ssl_cipher", "{cipher}")(c, username)
	}},
	{name: "a plugin that is not the server's default", arrange: []string{"ALTER USER {app} IDENTIFIED VIA ed25519 USING PASSWORD('{password}')"}, has: inUser("plugin", "ed25519")},
	{name: "MAX_STATEMENT_TIME", arrange: []string{"ALTER USER {app} WITH MAX_STATEMENT_TIME 7.5"}, has: inUser("max_statement_time", "7.500000")},
	{name: "PASSWORD EXPIRE INTERVAL", arrange: []string{"ALTER USER {app} PASSWORD EXPIRE INTERVAL 90 DAY"},
		has: keeps("SELECT JSON_VALUE(Priv, '$.password_lifetime') FROM mysql.global_priv WHERE user = '{me}' AND host = '%'", "90")},
}
