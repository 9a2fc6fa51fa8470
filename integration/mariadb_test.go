package integration_test

import (
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestMariaDBRotates is TestMySQLRotates for MariaDB.
func TestMariaDBRotates(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedMariaDBVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := startMariaDB(t, dbservers.MariaDBOptions{Version: version})
			for _, row := range mariadbRows {
				t.Run(row.name, func(t *testing.T) { rotateTenTimes(t, server, row) })
			}
		})
	}
}

// An account of MariaDB cannot keep its own former password: only an admin can.
var mariadbRows = []rotationRow{
	{name: "single by itself", secret: (*stage).singleSecret, calls: 8, logins: 2, statement: "SET PASSWORD"},
	{name: "single by an admin", secret: (*stage).singleSecretByAdmin, calls: 9, logins: 3},
	{name: "dual-password by an admin", secret: (*stage).dualPasswordSecretByAdmin, calls: 9, logins: 3, overlaps: true},
	{name: "alternating", secret: (*stage).alternatingSecret, calls: 9, logins: 3, overlaps: true, takeTurns: true},
}

// startMariaDB starts a server for one test alone.
func startMariaDB(t *testing.T, options dbservers.MariaDBOptions) *dbservers.Server {
	t.Helper()
	server, err := dbservers.StartMariaDB(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}
