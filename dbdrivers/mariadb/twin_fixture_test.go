package mariadb_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// twins grants tables to read. Accounts of MariaDB own nothing, and an
// application may not read what another account is granted.
func (s *server) twins() *drivertest.TwinFixture {
	return &drivertest.TwinFixture{
		Blind: true,
		Right: func(t *testing.T) string {
			t.Helper()
			database := "right_" + strings.ToLower(rand.Text())
			s.exec(t, "CREATE DATABASE "+database)
			s.exec(t, "CREATE TABLE "+database+".t (n int)")
			return database
		},
		Grant: func(t *testing.T, account, right string) {
			t.Helper()
			s.exec(t, "GRANT SELECT ON "+right+".t TO ?@'%'", account)
		},
		Revoke: func(t *testing.T, account, right string) {
			t.Helper()
			s.exec(t, "REVOKE SELECT ON "+right+".t FROM ?@'%'", account)
		},
		Has: func(t *testing.T, login dbdrivers.Login, right string) bool {
			t.Helper()
			return s.may(t, login, "SELECT n FROM "+right+".t")
		},
		Exists: func(t *testing.T, account string) (exists bool) {
			t.Helper()
			s.ask(t, &exists, "SELECT EXISTS (SELECT * FROM mysql.global_priv WHERE User = ?)", account)
			return exists
		},
		Cut: func(t *testing.T, nth int, answerLost bool) (dbdrivers.Login, func() bool) {
			t.Helper()
			return s.gated(t, s.Admin, nth, answerLost)
		},
	}
}

// may signs in and reports whether the server lets the login run a statement.
func (s *server) may(t *testing.T, login dbdrivers.Login, sql string) bool {
	t.Helper()
	conn, err := dbservers.ConnectMySQL(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.ExecContext(t.Context(), sql)
	switch numberOf(err) {
	case 1044, 1142, 1143, 1227, 1370:
		return false
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return true
}
