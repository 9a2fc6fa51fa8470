package mysql_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

const (
	first  = "first-password-1A"
	second = "second-password-2B"
	third  = "third-password-3C"
)

func TestOwnChange(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, clause := range map[string]string{
			"of an account for some hosts":       "IDENTIFIED BY 'first-password-1A'",
			"that demands the current password":  "IDENTIFIED BY 'first-password-1A' PASSWORD REQUIRE CURRENT",
			"that demands TLS":                   "IDENTIFIED BY 'first-password-1A' REQUIRE SSL",
			"that bars others after a refusal":   "IDENTIFIED BY 'first-password-1A' FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME UNBOUNDED",
			"with few connections at a time":     "IDENTIFIED BY 'first-password-1A' WITH MAX_USER_CONNECTIONS 5",
			"that keeps a history":               "IDENTIFIED BY 'first-password-1A' PASSWORD HISTORY 3",
			"that keeps its hash by SHA-256":     "IDENTIFIED WITH sha256_password BY 'first-password-1A'",
			"that has to change it from now and": "IDENTIFIED BY 'first-password-1A' PASSWORD EXPIRE INTERVAL 90 DAY",
		} {
			t.Run(name, func(t *testing.T) {
				var plugin, after string
				login := s.userAt(t, "own", "%", first, clause)
				s.ask(t, &plugin, "SELECT plugin FROM mysql.user WHERE user = 'own'")
				for range 2 {
					check(t, setOwn(t, login, second), nil, "")
					login = withPassword(login, second)
				}
				check(t, verify(t, login), nil, "")
				if !strings.Contains(clause, "FAILED_LOGIN_ATTEMPTS") {
					s.wantOpen(t, login, []string{second}, first)
				}
				if s.ask(t, &after, "SELECT plugin FROM mysql.user WHERE user = 'own'"); after != plugin {
					t.Errorf("the plugin is %s; it was %s", after, plugin)
				}
			})
		}
	})
}

// TestOwnChangeIsOfItsHostRow leaves what the login did not open.
func TestOwnChangeIsOfItsHostRow(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.userAt(t, "hosted", "%", first, "IDENTIFIED BY ?", first)
		s.userAt(t, "hosted", "192.0.2.%", third, "IDENTIFIED BY ?", third)
		elsewhere := "SELECT authentication_string FROM mysql.user WHERE user = 'hosted' AND host <> '%'"
		var before, after string
		s.ask(t, &before, elsewhere)
		check(t, setOwn(t, login, second), nil, "")
		s.wantOpen(t, login, []string{second}, first, third)
		if s.ask(t, &after, elsewhere); after != before {
			t.Error("the password of another host's row has changed")
		}
	})
}

// TestOwnChangeThatSeesOtherRows is of a login that may read the accounts: it is
// refused, and leaves the rows to an admin.
func TestOwnChangeThatSeesOtherRows(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, grant := range map[string]string{
			"by SELECT on everything": "GRANT SELECT, APPLICATION_PASSWORD_ADMIN ON *.* TO `o'ther rows`@`%`",
			"by SELECT on mysql":      "GRANT SELECT ON mysql.* TO `o'ther rows`@`%`",
			"by CREATE USER":          "GRANT CREATE USER ON *.* TO `o'ther rows`@`%`",
		} {
			t.Run(name, func(t *testing.T) {
				login := s.userAt(t, "o'ther rows", "%", first, "IDENTIFIED BY ?", first)
				s.userAt(t, "o'ther row", "192.0.2.%", first, "IDENTIFIED BY ?", first)
				s.exec(t, grant)
				check(t, setOwn(t, login, second), nil, "")
				check(t, setOwn(t, withPassword(login, second), first), nil, "")
				s.userAt(t, "o'ther rows", "192.0.2.%", first, "IDENTIFIED BY ?", first)
				check(t, setOwn(t, login, second), dbdrivers.ErrUnsupported, "`o'ther rows`@`192.0.2.%` would keep the former password", first, second)
				check(t, retain(t, login, login.Username, first, second), dbdrivers.ErrUnsupported, `let an admin change them all ("masterarn")`, first, second)
				s.wantOpen(t, login, []string{first}, second)
			})
		}
	})
}

// TestAdminChangesAllHostRows makes one password of many, each kept as its row
// keeps it.
func TestAdminChangesAllHostRows(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.userAt(t, "rows", "%", first, "IDENTIFIED BY ?", first)
		s.userAt(t, "rows", "192.0.2.0/255.255.255.0", first, "IDENTIFIED WITH sha256_password BY ?", first)
		s.userAt(t, "rows", "o'dd`ho\\st", first, "IDENTIFIED BY ? ACCOUNT LOCK", first)
		check(t, s.setByAdmin(t, "rows", second), nil, "")
		s.wantOpen(t, login, []string{second}, first)
		var plugins string
		s.ask(t, &plugins, "SELECT group_concat(plugin, account_locked ORDER BY host) FROM mysql.user WHERE user = 'rows'")
		if want := "caching_sha2_passwordN,sha256_passwordN,caching_sha2_passwordY"; plugins != want {
			t.Errorf("plugins and locks %s; want %s", plugins, want)
		}
		// Another host's password is proven by moving its row here.
		s.exec(t, "DROP USER 'rows'@'%'")
		s.exec(t, "RENAME USER 'rows'@'192.0.2.0/255.255.255.0' TO 'rows'@'%'")
		s.wantOpen(t, login, []string{second}, first)
		s.exec(t, "CREATE USER 'rows'@'192.0.2.0/255.255.255.0'")
	})
}

// TestOneBadRowChangesNone refuses before anything is changed.
func TestOneBadRowChangesNone(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.installSocketPlugin(t)
		login := s.userAt(t, "mixed", "%", first, "IDENTIFIED BY ?", first)
		s.userAt(t, "mixed", "localhost", "", "IDENTIFIED WITH auth_socket")
		check(t, s.setByAdmin(t, "mixed", second), dbdrivers.ErrUnsupported, "auth_socket", first, second)
		check(t, retain(t, s.Admin, "mixed", first, second), dbdrivers.ErrUnsupported, "auth_socket", first, second)
		s.wantOpen(t, login, []string{first}, second)

		// No plugin for a second factor comes with this server: its table says
		// so, as it would.
		s.exec(t, "DROP USER mixed@localhost")
		s.exec(t, "CREATE USER mixed@localhost IDENTIFIED BY ?", first)
		s.exec(t, `UPDATE mysql.user SET user_attributes = '{"multi_factor_authentication": [{"plugin": "authentication_fido"}]}' WHERE user = 'mixed' AND host = 'localhost'`)
		check(t, s.setByAdmin(t, "mixed", second), dbdrivers.ErrUnsupported, "second factor", first, second)
		s.wantOpen(t, login, []string{first}, second)
	})
}

// TestPasswordsOfOtherServices are accounts whose password the server does not
// keep. Their plugins come with RDS, or with another edition, and so the table
// says of them what it would.
func TestPasswordsOfOtherServices(t *testing.T) {
	// A server of its own, since it reads its tables anew: MySQL keeps a routine's
	// name beyond ASCII in mysql.procs_priv in another character set, and then shows
	// other tests' grants by that name.
	eachVersionSet(t, map[string]string{"report_host": "elsewhere"}, func(t *testing.T, s *server) {
		for name, plugin := range map[string]string{
			"by IAM": "AWSAuthenticationPlugin", "by LDAP": "authentication_ldap_simple", "by LDAP and SASL": "authentication_ldap_sasl", "by PAM": "authentication_pam",
			"by Kerberos": "authentication_kerberos", "by a socket": "auth_socket", "by a key": "authentication_webauthn", "not at all": "mysql_no_login", "by what is not known": "a_plugin",
		} {
			t.Run(name, func(t *testing.T) {
				p := s.pair(t, "elsewhere")
				s.exec(t, "UPDATE mysql.user SET plugin = ? WHERE user = 'elsewhere'", plugin)
				check(t, s.setByAdmin(t, "elsewhere", second), dbdrivers.ErrUnsupported, "signs in by "+plugin, second)
				check(t, retain(t, s.Admin, "elsewhere", siblingPassword, second), dbdrivers.ErrUnsupported, "signs in by "+plugin, second)
				_, err := openTwin(t, p.request())
				check(t, err, dbdrivers.ErrUnsupported, "signs in by "+plugin, twinPassword)
				if len(p.holds(p.twin)["user"]) > 0 {
					t.Error("a twin was made")
				}
				// The server may have read the table meanwhile.
				s.exec(t, "UPDATE mysql.user SET plugin = 'caching_sha2_password' WHERE user = 'elsewhere'")
				s.exec(t, "FLUSH PRIVILEGES")
				s.wantOpen(t, p.login("elsewhere", siblingPassword), []string{siblingPassword}, second)

				p.open()
				s.exec(t, "UPDATE mysql.user SET plugin = ? WHERE user = 'elsewhere_clone'", plugin)
				req := p.request()
				req.Password = dbdrivers.NewPassword(second)
				_, err = openTwin(t, req)
				check(t, err, dbdrivers.ErrUnsupported, `"elsewhere_clone": `, second, twinPassword)
				s.exec(t, "UPDATE mysql.user SET plugin = 'caching_sha2_password' WHERE user = 'elsewhere_clone'")
				s.exec(t, "FLUSH PRIVILEGES")
				p.wantTwin(twinPassword, true)
			})
		}
	})
}

// TestAdminsLeaveAlone are accounts that an application's secret could name to
// come by more power than its own.
func TestAdminsLeaveAlone(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, grant := range map[string]string{
			"with SUPER":                             "GRANT SUPER ON *.* TO powerful",
			"with SYSTEM_USER":                       "GRANT SYSTEM_USER ON *.* TO powerful",
			"with CREATE USER":                       "GRANT CREATE USER ON *.* TO powerful",
			"with every role for the asking":         "GRANT ROLE_ADMIN ON *.* TO powerful",
			"with any definer for a routine":         "GRANT SET_ANY_DEFINER ON *.* TO powerful",
			"with the admins' role":                  "GRANT rds_superuser_role TO powerful",
			"with a role that has theirs":            "GRANT middle_role TO powerful",
			"with a role of which it is not default": "GRANT super_role TO powerful",
		} {
			t.Run(name, func(t *testing.T) {
				s.exec(t, "CREATE ROLE IF NOT EXISTS middle_role, super_role")
				s.exec(t, "GRANT rds_superuser_role TO middle_role")
				s.exec(t, "GRANT SYSTEM_USER ON *.* TO super_role")
				login := s.userAt(t, "powerful", "%", first, "IDENTIFIED BY ?", first)
				s.exec(t, grant)
				check(t, s.setByAdmin(t, "powerful", second), dbdrivers.ErrUnsupported, "an admin itself", first, second)
				s.wantOpen(t, login, []string{first}, second)
			})
		}
		for _, name := range []string{"root", "rdsadmin", "mysql.sys", "mysql.session", "mysql.infoschema", "rds_superuser_role", "AWS_LAMBDA_ACCESS"} {
			check(t, s.setByAdmin(t, name, second), dbdrivers.ErrUnsupported, "reserved", second)
		}
		for _, name := range []string{"", "with\x00zero", strings.Repeat("n", 33), "\xff"} {
			check(t, s.setByAdmin(t, name, second), dbdrivers.ErrUnsupported, "", second)
		}
		s.exec(t, "CREATE ROLE a_role")
		check(t, s.setByAdmin(t, "a_role", second), dbdrivers.ErrUnsupported, "a role", second)
		check(t, s.setByAdmin(t, "nobody_at_all", second), dbdrivers.ErrUnsupported, "does not exist", second)
		// To a statement it is the account without the blank.
		login := s.userAt(t, "blank", "%", first, "IDENTIFIED BY ?", first)
		check(t, s.setByAdmin(t, "blank ", second), dbdrivers.ErrUnsupported, "ends in a blank", second)
		check(t, s.setByAdmin(t, "root ", second), dbdrivers.ErrUnsupported, "ends in a blank", second)
		s.wantOpen(t, login, []string{first}, second)
	})
}

func TestMissingPrivilegeIsNamed(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.userAt(t, "target", "%", first, "IDENTIFIED BY ?", first)
		weak := s.userAt(t, "weak", "%", third, "IDENTIFIED BY ?", third)
		req := dbdrivers.SetPasswordRequest{As: weak, Account: "target", Password: dbdrivers.NewPassword(second)}
		check(t, set(t, req), dbdrivers.ErrPrivilege, "GRANT SELECT ON mysql.* TO `weak`@`%`", second, third)
		s.exec(t, "GRANT SELECT ON mysql.* TO weak")
		check(t, set(t, req), dbdrivers.ErrPrivilege, "GRANT CREATE USER ON *.* TO `weak`@`%`", second, third)
		s.wantOpen(t, login, []string{first}, second)
		s.exec(t, "GRANT CREATE USER ON *.* TO weak")
		check(t, set(t, req), nil, "")
		s.wantOpen(t, login, []string{second}, first)
	})
}

// TestTwinMustBeProven is an admin's change that the password of an account with
// a twin's name stands for.
func TestTwinMustBeProven(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.userAt(t, "paired", "%", first, "IDENTIFIED BY ?", first)
		req := dbdrivers.SetPasswordRequest{As: s.Admin, Account: "paired", Password: dbdrivers.NewPassword(second), Twin: "paired_clone"}
		check(t, set(t, req), dbdrivers.ErrUnsupported, dbdrivers.ErrTwinUnproven.Error(), second)
		s.userAt(t, "paired_clone", "%", third, "IDENTIFIED BY ?", third)
		check(t, set(t, req), dbdrivers.ErrUnsupported, dbdrivers.ErrTwinUnproven.Error(), second)
		s.wantOpen(t, login, []string{first}, second)
		s.mark(t, "paired_clone", "equal", "paired", "WITH ADMIN OPTION")
		check(t, set(t, req), dbdrivers.ErrUnsupported, dbdrivers.ErrTwinUnproven.Error(), second)
		s.exec(t, "REVOKE "+backquoted(mysql.MarkRole("equal", "paired"))+" FROM paired_clone")
		for _, state := range []string{"equal", "taken", "made"} {
			s.mark(t, "paired_clone", state, "paired")
			check(t, set(t, req), nil, "")
			s.exec(t, "REVOKE "+backquoted(mysql.MarkRole(state, "paired"))+" FROM paired_clone")
		}
		s.wantOpen(t, login, []string{second}, first)

		s.mark(t, "paired_clone", "equal", "other")
		s.mark(t, "paired_clone", "equal", "paired")
		req.Password, req.Proven = dbdrivers.NewPassword(third), true
		check(t, set(t, req), dbdrivers.ErrUnsupported, dbdrivers.ErrTwinUnproven.Error(), third)
		for _, canonical := range []string{"other", "paired"} {
			s.exec(t, "REVOKE "+backquoted(mysql.MarkRole("equal", canonical))+" FROM paired_clone")
		}
		check(t, set(t, req), nil, "")
		s.wantOpen(t, login, []string{third}, second)
	})
}

// TestOwnChangesAtOnce lets one win: the others have changed nothing.
func TestOwnChangesAtOnce(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.userAt(t, "raced", "%", first, "IDENTIFIED BY ?", first)
		passwords := []string{"race-a-1", "race-b-2", "race-c-3", "race-d-4", "race-e-5", "race-f-6"}
		errs := make([]error, len(passwords))
		var group sync.WaitGroup
		for i, password := range passwords {
			group.Go(func() { errs[i] = setOwn(t, login, password) })
		}
		group.Wait()
		won := 0
		for i, password := range passwords {
			open := s.opens(t, login, password)
			if open != (errs[i] == nil) {
				t.Errorf("%s opens: %t, and its change had the error %v", password, open, errs[i])
			}
			switch err := errs[i]; {
			case err == nil:
				won++
			case !errors.Is(err, dbdrivers.ErrRefused) && !errors.Is(err, dbdrivers.ErrBusy):
				t.Errorf("error %v; want a refusal at sign-in, or one that may pass", errs[i])
			}
		}
		if won != 1 {
			t.Errorf("%d changes were made; want one", won)
		}
	})
}

func TestPasswordThatCannotBe(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.userAt(t, "strict", "%", first, "IDENTIFIED BY ?", first)
		for _, password := range []string{"", "zero\x00inside", "not \xff UTF-8", strings.Repeat("x", 257), strings.Repeat("é", 129)} {
			check(t, setOwn(t, login, password), dbdrivers.ErrPasswordRules, "", password)
			check(t, s.setByAdmin(t, "strict", password), dbdrivers.ErrPasswordRules, "", password)
		}
		for _, password := range []string{strings.Repeat("x", 256), strings.Repeat("é", 128)} {
			check(t, s.setByAdmin(t, "strict", password), nil, "")
			check(t, setOwn(t, withPassword(login, password), first), nil, "")
			check(t, setOwn(t, login, password), nil, "")
			check(t, verify(t, withPassword(login, password)), nil, "")
			check(t, setOwn(t, withPassword(login, password), first), nil, "")
		}
	})
}

// TestServersRules are those that a password meets as text.
func TestServersRules(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Settings: map[string]string{"password_history": "2"}})
	s.exec(t, "INSTALL COMPONENT 'file://component_validate_password'")
	login := s.userAt(t, "ruled", "%", first, "IDENTIFIED BY ?", first)
	s.exec(t, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO ruled")
	check(t, setOwn(t, login, "weak"), dbdrivers.ErrPasswordRules, "1819", "weak", first)
	check(t, retain(t, login, "ruled", first, "weak"), dbdrivers.ErrPasswordRules, "1819", first)
	s.wantOpen(t, login, []string{first}, "weak")
	check(t, setOwn(t, login, second), nil, "")
	check(t, setOwn(t, withPassword(login, second), first), dbdrivers.ErrPasswordRules, "3638", first, second)
	// It is set already, which a history does not make an error.
	check(t, setOwn(t, withPassword(login, second), second), nil, "")
	// A hash tells nothing of the password.
	check(t, s.setByAdmin(t, "ruled", "weak"), nil, "")
	s.wantOpen(t, login, []string{"weak"}, second)
}

// TestReplicaTakesNoChange is a server that answers and does not write.
func TestReplicaTakesNoChange(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"read_only", "super_read_only"} {
		s := start(t, dbservers.MySQLOptions{Settings: map[string]string{"report_host": setting}})
		login := s.userAt(t, "reader", "%", first, "IDENTIFIED BY ?", first)
		s.exec(t, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO reader")
		// Its statements a server that is not super_read_only would take.
		free := s.userAt(t, "free", "%", first, "IDENTIFIED BY ?", first)
		s.exec(t, "GRANT SELECT, CREATE USER, CONNECTION_ADMIN ON *.* TO free")
		s.exec(t, "SET GLOBAL "+setting+" = ON")
		check(t, verify(t, login), nil, "")
		check(t, setOwn(t, login, second), dbdrivers.ErrNotWritable, "the writer", first, second)
		check(t, retain(t, login, "reader", first, second), dbdrivers.ErrNotWritable, "the writer", first, second)
		check(t, s.setByAdmin(t, "reader", second), dbdrivers.ErrNotWritable, "the writer", first, second)
		check(t, retain(t, s.Admin, "reader", first, second), dbdrivers.ErrNotWritable, "the writer", first, second)
		check(t, set(t, dbdrivers.SetPasswordRequest{As: free, Account: "reader", Password: dbdrivers.NewPassword(second)}), dbdrivers.ErrNotWritable, "the writer", first, second)
		s.wantOpen(t, login, []string{first}, second)
		s.exec(t, "SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF")
	}
}

// TestLocksEndInTime is a change that waits for another session, which gives up
// before its caller does.
func TestLocksEndInTime(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Settings: map[string]string{"report_host": "locked"}})
	login := s.userAt(t, "waiting", "%", first, "IDENTIFIED BY ?", first)
	conn, err := s.ConnectMySQLSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK"); err != nil {
		t.Fatal(err)
	}
	check(t, within(t, 4, dbdrivers.SetPasswordRequest{As: login, Account: "waiting", Password: dbdrivers.NewPassword(second)}), dbdrivers.ErrBusy, "1205", first, second)
	check(t, within(t, 4, dbdrivers.SetPasswordRequest{As: s.Admin, Account: "waiting", Password: dbdrivers.NewPassword(second)}), dbdrivers.ErrBusy, "1205", first, second)
	if _, err := conn.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	s.wantOpen(t, login, []string{first}, second)
}
