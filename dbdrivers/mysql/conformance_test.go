package mysql_test

import (
	"crypto/x509"
	"errors"
	"path/filepath"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

func TestConformance(t *testing.T) {
	for _, version := range dbservers.TestedMySQLVersions() {
		t.Run("version "+version, func(t *testing.T) {
			drivertest.Run(t, fixture(t, start(t, dbservers.MySQLOptions{Version: version, Plaintext: true})))
		})
	}
}

func fixture(t *testing.T, s *server) drivertest.Fixture {
	return drivertest.Fixture{
		Driver: mysql.New(),
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
			login := start(t, dbservers.MySQLOptions{NoTLS: true}).Admin
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
		Retain: &drivertest.RetainFixture{
			Allow: s.allowRetain,
			Cut:   s.gated,
		},
		Twins:         s.twins(),
		AdminCompares: true,
		Log:           s.logs,
		Environment:   nonsense(filepath.Join(t.TempDir(), "none")),
	}
}

// nonsense sets what MySQL's own clients read, to what would break a
// connection.
func nonsense(file string) map[string]string {
	return map[string]string{
		"MYSQL_HOST": "elsewhere.invalid", "MYSQL_TCP_PORT": "abc", "MYSQL_UNIX_PORT": file, "MYSQL_PWD": "wrong", "USER": "nobody",
		"MYSQL_HOME": file, "MYSQL_TEST_LOGIN_FILE": file, "LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN": "1", "LIBMYSQL_PLUGINS": file, "MYSQL_GROUP_SUFFIX": "_x",
		"HOME": file,
	}
}

// mysqlNumber is the number of the server's error in err, or zero.
func mysqlNumber(err error) uint16 {
	var server *driver.MySQLError
	if errors.As(err, &server) {
		return server.Number
	}
	return 0
}

// allowRetain gives an account the right to keep its own former password.
func (s *server) allowRetain(t *testing.T, username string) {
	t.Helper()
	s.exec(t, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO ?@'%'", username)
}
