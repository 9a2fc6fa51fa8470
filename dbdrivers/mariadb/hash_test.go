package mariadb_test

import (
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
)

// TestHashesAreTheServersOwn lets the server hash the same passwords.
func TestHashesAreTheServersOwn(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for _, password := range []string{"secret", "x", `it's "quoted" \ and more`, "é€😀密码", "\n\r\t\x1a", "  blanks  ", string(make([]byte, 300))} {
			s.exec(t, "CREATE USER hashed IDENTIFIED VIA mysql_native_password USING PASSWORD(?) OR ed25519 USING PASSWORD(?)", password, password)
			for path, hash := range map[string]string{
				"$.authentication_string":            mariadb.NativeHash(password),
				"$.auth_or[1].authentication_string": mariadb.Ed25519Key(password),
			} {
				var kept string
				s.ask(t, &kept, "SELECT JSON_VALUE(Priv, ?) FROM mysql.global_priv WHERE User = 'hashed'", path)
				if kept != hash {
					t.Errorf("of %q the server keeps %s at %s; computed is %s", password, kept, path, hash)
				}
			}
			s.exec(t, "DROP USER hashed")
		}
	})
}
