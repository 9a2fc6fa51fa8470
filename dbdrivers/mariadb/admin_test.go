package mariadb_test

import (
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// TestAdminChange leaves an account with one password, and all else of it.
func TestAdminChange(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		const usual = "mysql_native_password USING PASSWORD('first-password-1A')"
		for name, c := range map[string]struct{ clause, after string }{
			"by the usual plugin":   {"IDENTIFIED BY 'first-password-1A'", "BY PASSWORD '<2>'"},
			"by ed25519":            {"IDENTIFIED VIA ed25519 USING PASSWORD('first-password-1A')", "VIA ed25519 USING '<2>'"},
			"with two passwords":    {"IDENTIFIED VIA mysql_native_password USING PASSWORD('third-password-3C') OR " + usual, "BY PASSWORD '<2>'"},
			"with two of ed25519":   {"IDENTIFIED VIA ed25519 USING PASSWORD('first-password-1A') OR ed25519 USING PASSWORD('third-password-3C')", "VIA ed25519 USING '<2>'"},
			"with one of each":      {"IDENTIFIED VIA ed25519 USING PASSWORD('first-password-1A') OR " + usual, "VIA mysql_native_password USING '<2>' OR ed25519 USING '<2>'"},
			"with all three":        {"IDENTIFIED VIA unix_socket OR ed25519 USING PASSWORD('first-password-1A') OR " + usual, "VIA mysql_native_password USING '<2>' OR unix_socket OR ed25519 USING '<2>'"},
			"with a socket":         {"IDENTIFIED VIA unix_socket USING 'o''b\\\\' OR " + usual, "VIA unix_socket USING 'o'b\\' OR mysql_native_password USING '<2>'"},
			"with two and a socket": {"IDENTIFIED VIA " + usual + " OR " + usual + " OR unix_socket", "VIA mysql_native_password USING '<2>' OR unix_socket"},
			"that never had one":    {"", "BY PASSWORD '<2>'"},
			"with limits":           {"IDENTIFIED VIA " + usual + " REQUIRE SSL WITH MAX_USER_CONNECTIONS 3 PASSWORD EXPIRE NEVER", "BY PASSWORD '<2>' REQUIRE SSL WITH MAX_USER_CONNECTIONS 3 PASSWORD EXPIRE NEVER"},
			"that has expired":      {"IDENTIFIED VIA " + usual + " PASSWORD EXPIRE", "BY PASSWORD '<2>'"},
		} {
			t.Run(name, func(t *testing.T) {
				if c.clause == "" {
					c.clause = "IDENTIFIED BY ''"
				}
				login := s.user(t, "changed", c.clause)
				for range 2 {
					check(t, s.setByAdmin(t, "changed", second), nil, "")
				}
				if got := s.created(t, "changed"); got != c.after {
					t.Errorf("the account is IDENTIFIED %s; want %s", got, c.after)
				}
				check(t, verify(t, withPassword(login, second)), nil, "")
				check(t, verify(t, withPassword(login, first)), dbdrivers.ErrRefused, "", first)
			})
		}
	})
}

// TestAdminChangesAllHostRows makes one password of many, each kept as its row
// keeps it.
func TestAdminChangesAllHostRows(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "hosted_rows", "IDENTIFIED BY 'first-password-1A'")
		s.userAt(t, "hosted_rows", "192.0.2.0/255.255.255.0", third, "IDENTIFIED VIA ed25519 USING PASSWORD(?)", third)
		s.userAt(t, "hosted_rows", "o'dd`ho\\st", first, "IDENTIFIED BY ? ACCOUNT LOCK", first)
		check(t, s.setByAdmin(t, "hosted_rows", second), nil, "")
		s.wantOpen(t, login, []string{second}, first)
		for account, want := range map[string]string{
			"hosted_rows@'192.0.2.0/255.255.255.0'": "VIA ed25519 USING '<2>'",
			"hosted_rows@'o''dd`ho\\\\st'":          "BY PASSWORD '<2>' ACCOUNT LOCK",
		} {
			if got := s.created(t, account); got != want {
				t.Errorf("%s is IDENTIFIED %s; want %s", account, got, want)
			}
		}
	})
}

// TestOneBadRowChangesNone refuses before anything is changed: the server would
// change the other rows.
func TestOneBadRowChangesNone(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, c := range map[string]struct{ clause, tells string }{
			"a socket alone":         {"IDENTIFIED VIA unix_socket", "unix_socket alone"},
			"another plugin":         {"IDENTIFIED VIA mysql_old_password USING '5d2e19393cc5ef67'", "mysql_old_password"},
			"another plugin as well": {"IDENTIFIED VIA ed25519 USING PASSWORD('first-password-1A') OR mysql_old_password USING '5d2e19393cc5ef67'", "mysql_old_password"},
			"an invalid password":    {"IDENTIFIED VIA mysql_native_password USING 'invalid' OR unix_socket", "no valid password"},
			"a lock and no password": {"ACCOUNT LOCK", "never had a password"},
		} {
			t.Run(name, func(t *testing.T) {
				login := s.user(t, "mixed", "IDENTIFIED BY 'first-password-1A'")
				s.userAt(t, "mixed", "192.0.2.1", "", c.clause)
				before := s.created(t, "mixed@'192.0.2.1'")
				check(t, s.setByAdmin(t, "mixed", second), dbdrivers.ErrUnsupported, c.tells, first, second)
				check(t, s.retain(t, "mixed", first, second), dbdrivers.ErrUnsupported, c.tells, first, second)
				s.wantOpen(t, login, []string{first}, second)
				if after := s.created(t, "mixed@'192.0.2.1'"); after != before {
					t.Errorf("the row is IDENTIFIED %s; it was %s", after, before)
				}
			})
		}
	})
}

// TestAdminsLeaveAlone are accounts that an application's secret could name to
// come by more power than its own.
func TestAdminsLeaveAlone(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.exec(t, "CREATE ROLE IF NOT EXISTS middle_role")
		s.exec(t, "CREATE ROLE IF NOT EXISTS super_role")
		s.exec(t, "CREATE ROLE IF NOT EXISTS writing_role")
		s.exec(t, "GRANT SUPER ON *.* TO super_role")
		s.exec(t, "GRANT INSERT ON mysql.roles_mapping TO writing_role")
		s.exec(t, "GRANT super_role TO middle_role")
		for name, grant := range map[string]string{
			"with SUPER":                  "GRANT SUPER ON *.* TO powerful",
			"with CREATE USER":            "GRANT CREATE USER ON *.* TO powerful",
			"with SET USER":               "GRANT SET USER ON *.* TO powerful",
			"with everything":             "GRANT ALL ON *.* TO powerful",
			"with INSERT on mysql":        "GRANT INSERT ON mysql.* TO powerful",
			"with UPDATE on mysql":        "GRANT UPDATE ON mysql.* TO powerful",
			"with DELETE on a table":      "GRANT DELETE ON mysql.global_priv TO powerful",
			"with UPDATE of a column":     "GRANT UPDATE (Priv) ON mysql.global_priv TO powerful",
			"with a role that writes":     "GRANT writing_role TO powerful",
			"with a role that has SUPER":  "GRANT super_role TO powerful",
			"with a role that has a role": "GRANT middle_role TO powerful",
			"with power from elsewhere":   "GRANT SUPER ON *.* TO powerful@'192.0.2.1' IDENTIFIED BY 'first-password-1A'",
		} {
			t.Run(name, func(t *testing.T) {
				login := s.user(t, "powerful", "IDENTIFIED BY 'first-password-1A'")
				s.userAt(t, "powerful", "192.0.2.1", first, "IDENTIFIED BY ?", first)
				s.exec(t, grant)
				check(t, s.setByAdmin(t, "powerful", second), dbdrivers.ErrUnsupported, "an admin itself", first, second)
				check(t, s.retain(t, "powerful", first, second), dbdrivers.ErrUnsupported, "an admin itself", first, second)
				s.wantOpen(t, login, []string{first}, second)
			})
		}
		t.Run("but not with any other power", func(t *testing.T) {
			login := s.user(t, "powerless", "IDENTIFIED BY 'first-password-1A'")
			s.exec(t, "GRANT ALL ON *.* TO powerless WITH GRANT OPTION")
			s.exec(t, "REVOKE SUPER, CREATE USER, SET USER ON *.* FROM powerless")
			s.exec(t, "GRANT SELECT ON mysql.* TO powerless")
			s.exec(t, "GRANT SELECT, REFERENCES (Priv) ON mysql.global_priv TO powerless")
			check(t, s.setByAdmin(t, "powerless", second), nil, "")
			s.wantOpen(t, login, []string{second}, first)
		})
		for _, name := range []string{"root", "rdsadmin", "mariadb.sys", "mysql.sys", "PUBLIC", "rds_superuser_role"} {
			check(t, s.setByAdmin(t, name, second), dbdrivers.ErrUnsupported, "reserved", second)
			check(t, s.retain(t, name, first, second), dbdrivers.ErrUnsupported, "reserved", second)
		}
		for _, name := range []string{"", "with\x00zero", strings.Repeat("n", 81), "\xff"} {
			check(t, s.setByAdmin(t, name, second), dbdrivers.ErrUnsupported, "", second)
		}
		check(t, s.setByAdmin(t, "middle_role", second), dbdrivers.ErrUnsupported, "is a role", second)
		check(t, s.setByAdmin(t, "nobody_at_all", second), dbdrivers.ErrUnsupported, "does not exist", second)
		// To the server's collation it is the account without the blank.
		s.user(t, "blank", "IDENTIFIED BY 'first-password-1A'")
		check(t, s.setByAdmin(t, "blank ", second), dbdrivers.ErrUnsupported, "ends in a blank", second)
		// The server would store "blank?" for it.
		check(t, s.setByAdmin(t, "blank\U0001F600", second), dbdrivers.ErrUnsupported, "cannot store", second)
		check(t, setOwn(t, s.Login("blank\U0001F600", first), second), dbdrivers.ErrUnsupported, "cannot store", second)
		check(t, s.setByAdmin(t, "dbrotation(new row of app_clone)", second), dbdrivers.ErrUnsupported, "marks of twins", second)
		check(t, s.setByAdmin(t, "root ", second), dbdrivers.ErrUnsupported, "ends in a blank", second)
	})
}

func TestMissingPrivilegeIsNamed(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "target", "IDENTIFIED BY 'first-password-1A'")
		weak := s.userAt(t, "weak", "%", third, "IDENTIFIED BY ?", third)
		req := dbdrivers.SetPasswordRequest{As: weak, Account: "target", Password: dbdrivers.NewPassword(second)}
		both := func(class error, tells string) {
			t.Helper()
			check(t, set(t, req), class, tells, second, third)
			check(t, retain(t, weak, "target", first, second), class, tells, second, third)
		}
		both(dbdrivers.ErrPrivilege, "GRANT SELECT ON mysql.* TO `weak`@`%`")
		s.exec(t, "GRANT SELECT ON mysql.* TO weak")
		both(dbdrivers.ErrPrivilege, "GRANT CREATE USER ON *.* TO `weak`@`%`")
		s.wantOpen(t, login, []string{first}, second)
		s.exec(t, "GRANT CREATE USER ON *.* TO weak")
		check(t, set(t, req), nil, "")
		s.wantOpen(t, login, []string{second}, first)
	})
}
