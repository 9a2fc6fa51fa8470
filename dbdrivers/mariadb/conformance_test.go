package mariadb_test

import (
	"crypto/x509"
	"path/filepath"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

func TestConformance(t *testing.T) {
	for _, version := range dbservers.TestedMariaDBVersions() {
		t.Run("version "+version, func(t *testing.T) {
			drivertest.Run(t, fixture(t, start(t, dbservers.MariaDBOptions{Version: version, Plaintext: true})))
		})
	}
}

func fixture(t *testing.T, s *server) drivertest.Fixture {
	return drivertest.Fixture{
		Driver: mariadb.New(),
		Account: func(t *testing.T, username, password string) dbdrivers.Login {
			if err := s.CreateUser(t.Context(), username, password); err != nil {
				t.Fatal(err)
			}
			return s.Login(username, password)
		},
		Admin: func(*testing.T) dbdrivers.Login { return s.Admin },
		Opens: func(t *testing.T, username, password string) bool {
			return s.opens(t, s.Login(username, password), password)
		},
		SignIns: func(t *testing.T, username string) (ok, refused int) {
			counted, err := s.SignIns(t.Context(), username)
			if err != nil {
				t.Fatal(err)
			}
			return counted.Accepted, counted.Refused
		},
		Bar: func(t *testing.T, username string) { s.exec(t, "ALTER USER ?@'%' ACCOUNT LOCK", username) },
		Sessions: func(t *testing.T, username string) (n int) {
			s.ask(t, &n, "SELECT count(*) FROM information_schema.processlist WHERE user = ?", username)
			return n
		},
		NoTLS: func(t *testing.T) dbdrivers.Login {
			login := start(t, dbservers.MariaDBOptions{NoTLS: true}).Admin
			login.TLS.Plaintext = false
			return login
		},
		UnknownAuthority: func(*testing.T) dbdrivers.Login {
			login := s.Admin
			login.TLS.Roots = x509.NewCertPool()
			return login
		},
		OtherName: func(*testing.T) dbdrivers.Login {
			login := s.Admin
			login.TLS.ServerName = "elsewhere.example"
			return login
		},
		Twins:         s.twins(),
		AdminCompares: true,
		Retain:        &drivertest.RetainFixture{Cut: s.gated},
		Log:           s.logs,
		Environment:   nonsense(filepath.Join(t.TempDir(), "none")),
	}
}

// nonsense sets what MariaDB's own clients read, to what would break a
// connection.
func nonsense(file string) map[string]string {
	return map[string]string{
		"MYSQL_HOST": "elsewhere.invalid", "MYSQL_TCP_PORT": "abc", "MYSQL_UNIX_PORT": file, "MYSQL_PWD": "wrong", "USER": "nobody",
		"MYSQL_HOME": file, "MARIADB_HOME": file, "MARIADB_TLS_DISABLE_PEER_VERIFICATION": "1", "MYSQL_GROUP_SUFFIX": "_x", "MARIADB_GROUP_SUFFIX": "_x",
		"HOME": file,
	}
}
