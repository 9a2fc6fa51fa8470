package mariadb_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
)

// TestListsThatTellAWrongPassword compares with the server which lists of methods
// the client library follows to their end.
func TestListsThatTellAWrongPassword(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for _, list := range [][]string{
			{"mysql_native_password"},
			{"ed25519"},
			{"mysql_native_password", "mysql_native_password"},
			{"mysql_native_password", "mysql_native_password", "mysql_native_password"},
			{"mysql_native_password", "ed25519"},
			{"mysql_native_password", "mysql_native_password", "ed25519"},
			{"ed25519", "mysql_native_password"},
			{"ed25519", "ed25519"},
			{"ed25519", "unix_socket"},
			{"unix_socket", "ed25519"},
			{"mysql_native_password", "unix_socket", "ed25519"},
			{"unix_socket", "mysql_native_password", "ed25519"},
			{"mysql_native_password", "ed25519", "unix_socket"},
			{"mysql_native_password", "unix_socket", "mysql_native_password"},
			{"ed25519", "unix_socket", "mysql_native_password"},
		} {
			t.Run(strings.Join(list, " or "), func(t *testing.T) {
				clause := strings.NewReplacer("mysql_native_password", "mysql_native_password USING PASSWORD('first-password-1A')", "ed25519", "ed25519 USING PASSWORD('first-password-1A')").
					Replace("IDENTIFIED VIA " + strings.Join(list, " OR "))
				login := s.user(t, "listed", clause)
				check(t, verify(t, login), nil, "")
				err := verify(t, withPassword(login, second))
				if told, want := errors.Is(err, dbdrivers.ErrRefused), mariadb.TellsRefusal(list...); told != want {
					t.Errorf("error %v; want a refusal: %t", err, want)
				}
			})
		}
	})
}
