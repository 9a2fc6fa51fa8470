package postgres_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// TestWhatAnAdminDoesNotChange is the fence around an admin's login: the
// account's name comes from a secret that is less trusted.
func TestWhatAnAdminDoesNotChange(t *testing.T) {
	tests := []struct {
		name    string
		account string
		arrange []string
		says    string
	}{
		{name: "a superuser", account: "postgres", says: "superuser"},
		{name: "a role of the server", account: "pg_monitor", says: "reserved"},
		{name: "the account of RDS itself", account: "rdsadmin", says: "reserved"},
		{name: "a role of RDS", account: "rds_superuser", says: "reserved"},
		{name: "an account that does not exist", account: "fenced_nobody", says: "does not exist"},
		{name: "a member of rds_superuser", account: "fenced", arrange: []string{"GRANT rds_superuser TO fenced"}, says: "member of rds_superuser"},
		{name: "a member of the admin", account: "fenced", arrange: []string{"GRANT radmin TO fenced"}, says: "an admin itself"},
		{name: "a name that would be cut off", account: strings.Repeat("f", 64), says: "cut it off"},
		{name: "no name", account: "", says: "no name"},
		{name: "a name with a zero byte", account: "fenced\x00", says: "no name"},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				if test.name == "a member of the admin" {
					// From 16 on the admin is a member of what it creates, so
					// this account must be another's.
					s.exec(t, "CREATE ROLE fenced LOGIN PASSWORD 'old-password'")
					t.Cleanup(func() { s.clean(t, "DROP ROLE fenced") })
				} else if test.arrange != nil {
					s.user(t, "fenced", "old-password")
				}
				s.exec(t, test.arrange...)
				err := set(t, dbdrivers.SetPasswordRequest{As: s.Admin, Account: test.account, Password: dbdrivers.NewPassword("new-password")})
				check(t, err, dbdrivers.ErrUnsupported, test.says, "new-password", s.Admin.Password.Reveal())
				if test.arrange != nil && !s.opens(t, "fenced", "old-password") {
					t.Error("the password was changed")
				}
			})
		}
	})
}

// TestMissingPrivileges runs the statement that the error names, and then the
// change works.
func TestMissingPrivileges(t *testing.T) {
	const admin, account = `the "admin"`, "Privileged App"
	byAdmin := func(s *server) dbdrivers.SetPasswordRequest {
		return dbdrivers.SetPasswordRequest{As: s.Login(admin, "admin-password"), Account: account, Password: dbdrivers.NewPassword("new-password")}
	}
	bySelf := func(s *server) dbdrivers.SetPasswordRequest {
		return dbdrivers.SetPasswordRequest{As: s.Login(account, "old-password"), Account: account, Password: dbdrivers.NewPassword("new-password")}
	}
	grantAll := "ALTER ROLE " + quoted(admin) + " CREATEROLE; GRANT " + quoted(account) + " TO " + quoted(admin) + " WITH ADMIN OPTION"
	tests := []struct {
		name         string
		since, until string
		arrange      []string
		request      func(*server) dbdrivers.SetPasswordRequest
	}{
		{
			name: "the admin has no CREATEROLE", request: byAdmin,
			arrange: []string{"GRANT " + quoted(account) + " TO " + quoted(admin) + " WITH ADMIN OPTION"},
		},
		{
			name: "the admin did not create the account", since: "16", request: byAdmin,
			arrange: []string{"ALTER ROLE " + quoted(admin) + " CREATEROLE"},
		},
		{
			name: "RDS restricts passwords and the account changes its own", request: bySelf,
			arrange: []string{"CREATE ROLE rds_password", "ALTER ROLE " + quoted(account) + ` SET "rds.restrict_password_commands" = 'on'`},
		},
		{
			name: "RDS restricts passwords and the admin is no member", request: byAdmin,
			arrange: []string{"CREATE ROLE rds_password", grantAll, "ALTER ROLE " + quoted(admin) + ` SET "rds.restrict_password_commands" = 'on'`},
		},
	}
	remedy := regexp.MustCompile(`(?:run: )((?:ALTER ROLE|GRANT) .*)$`)
	eachVersion(t, func(t *testing.T, s *server) {
		for _, test := range tests {
			if test.since > s.options.Version || test.until != "" && test.until < s.options.Version {
				continue
			}
			t.Run(test.name, func(t *testing.T) {
				t.Cleanup(func() {
					s.clean(t, "DROP ROLE IF EXISTS rds_password", "DROP ROLE "+quoted(account), "DROP ROLE "+quoted(admin))
				})
				s.exec(t, "CREATE ROLE "+quoted(admin)+" LOGIN PASSWORD 'admin-password'", "CREATE ROLE "+quoted(account)+" LOGIN PASSWORD 'old-password'")
				s.exec(t, test.arrange...)
				err := set(t, test.request(s))
				check(t, err, dbdrivers.ErrPrivilege, "", "old-password", "new-password", "admin-password")
				if !s.opens(t, account, "old-password") {
					t.Error("the password was changed")
				}
				found := remedy.FindStringSubmatch(err.Error())
				if found == nil {
					t.Fatalf("error %q names no statement", err)
				}
				s.exec(t, found[1])
				if err := set(t, test.request(s)); err != nil {
					t.Fatalf("after %s: %v", found[1], err)
				}
				if !s.opens(t, account, "new-password") {
					t.Error("the password was not changed")
				}
			})
		}
	})
}

func TestReplicationAccount(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "replicator", "old-password")
		superuser := s.Superuser
		s.exec(t, "ALTER ROLE replicator REPLICATION")
		err := set(t, dbdrivers.SetPasswordRequest{As: s.Admin, Account: "replicator", Password: dbdrivers.NewPassword("new-password")})
		if s.options.Version < "16" {
			check(t, err, dbdrivers.ErrPrivilege, "only a superuser", "new-password")
			check(t, setOwn(t, login, "new-password"), dbdrivers.ErrPrivilege, "only a superuser", "new-password")
			err = set(t, dbdrivers.SetPasswordRequest{As: superuser, Account: "replicator", Password: dbdrivers.NewPassword("new-password")})
		}
		if err != nil {
			t.Fatal(err)
		}
		if !s.opens(t, "replicator", "new-password") {
			t.Error("the password was not changed")
		}
	})
}

// TestAdminThatActsAsAnother is an admin whose CREATEROLE is that of the role
// it acts as, as an admin's own twin has it.
func TestAdminThatActsAsAnother(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.user(t, "of_admins", "old-password")
		t.Cleanup(func() { s.clean(t, "DROP ROLE admin_twin") })
		s.exec(t, "CREATE ROLE admin_twin LOGIN PASSWORD 'twin-password'", "GRANT radmin TO admin_twin", "ALTER ROLE admin_twin SET role = 'radmin'")
		err := set(t, dbdrivers.SetPasswordRequest{
			As: s.Login("admin_twin", "twin-password"), Account: "of_admins", Password: dbdrivers.NewPassword("new-password"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if !s.opens(t, "of_admins", "new-password") {
			t.Error("the password was not changed")
		}
		// From the twin's place the canonical admin is still the admin.
		err = set(t, dbdrivers.SetPasswordRequest{
			As: s.Login("admin_twin", "twin-password"), Account: "radmin", Password: dbdrivers.NewPassword("new-password"),
		})
		check(t, err, dbdrivers.ErrUnsupported, "an admin itself")
	})
}
