package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
)

// TestSignIn is what a sign-in with the right password can meet.
func TestSignIn(t *testing.T) {
	tests := []struct {
		name    string
		user    string // "signin" where empty
		arrange []string
		undo    []string
		login   func(*dbdrivers.Login)
		want    error
		says    string
	}{
		{name: "all is well"},
		{
			name: "the role may not sign in", arrange: []string{"ALTER ROLE signin NOLOGIN"},
			want: dbdrivers.ErrBarred, says: "give it LOGIN",
		},
		{
			name: "the role's connections are used up", arrange: []string{"ALTER ROLE signin CONNECTION LIMIT 0"},
			want: dbdrivers.ErrBarred, says: "CONNECTION LIMIT",
		},
		{
			name: "the password has expired, which the server tells nobody", arrange: []string{"ALTER ROLE signin VALID UNTIL '2001-01-01'"},
			want: dbdrivers.ErrRefused, says: "VALID UNTIL is past",
		},
		{
			name: "the password was taken away", arrange: []string{"ALTER ROLE signin PASSWORD NULL"},
			want: dbdrivers.ErrRefused, says: "has no password",
		},
		{
			name:    "the role may not use the database",
			arrange: []string{"CREATE DATABASE locked", "REVOKE CONNECT ON DATABASE locked FROM PUBLIC"}, undo: []string{"DROP DATABASE locked"},
			login: func(l *dbdrivers.Login) { l.Database = "locked" },
			want:  dbdrivers.ErrBarred, says: "grant it CONNECT",
		},
		{
			name: "the database does not exist", login: func(l *dbdrivers.Login) { l.Database = "no such database" },
			want: dbdrivers.ErrBarred, says: `"dbname"`,
		},
		{
			name:    "the database takes no connections",
			arrange: []string{"CREATE DATABASE shut ALLOW_CONNECTIONS false"}, undo: []string{"DROP DATABASE shut"},
			login: func(l *dbdrivers.Login) { l.Database = "shut" },
			want:  dbdrivers.ErrBarred, says: "ALLOW_CONNECTIONS",
		},
		{
			name: "a database name would be cut off", login: func(l *dbdrivers.Login) { l.Database = strings.Repeat("d", 64) },
			want: dbdrivers.ErrUnsupported, says: "cut it off",
		},
		{
			name: "no database is named", login: func(l *dbdrivers.Login) { l.Database = "" },
		},
		{
			name: "the server asks for no password", user: "trusted",
			want: dbdrivers.ErrUnsupported, says: "without a password",
		},
		{
			name: "a host rule rejects the account", user: "rejected",
			want: dbdrivers.ErrUnreachable, says: "pg_hba.conf",
		},
		{
			name: "no rule lets the account in without TLS", login: func(l *dbdrivers.Login) { l.TLS.Plaintext = true },
			want: dbdrivers.ErrTLS, says: `remove "ssl": false`,
		},
		{
			name: "the server asks for the password itself, under TLS", user: "cleartext",
		},
		{
			name: "the server asks for the password itself, without TLS", user: "plaintext_cleartext",
			login: func(l *dbdrivers.Login) { l.TLS.Plaintext = true },
			want:  dbdrivers.ErrUnsupported, says: "without TLS",
		},
		{
			name: "another service checks the password, as for a member of rds_iam", user: "checked_elsewhere",
			want: dbdrivers.ErrUnsupported, says: "rds_iam",
		},
		{
			name: "the secret asks for no TLS and a rule allows it", user: "plaintext_scram",
			login: func(l *dbdrivers.Login) { l.TLS.Plaintext = true },
		},
		{
			name: "an MD5 password", user: "plaintext_md5", arrange: []string{
				"SET password_encryption = 'md5'; ALTER ROLE plaintext_md5 PASSWORD 'right-password'",
			},
		},
		{
			name:    "it acts as another role, as it is set to",
			arrange: []string{"CREATE ROLE sibling", "GRANT sibling TO signin", "ALTER ROLE signin SET role = 'sibling'"}, undo: []string{"DROP ROLE sibling"},
		},
		{
			name:    "it may no longer act as the role it is set to",
			arrange: []string{"CREATE ROLE sibling", "ALTER ROLE signin SET role = 'sibling'"}, undo: []string{"DROP ROLE sibling"},
			want: dbdrivers.ErrPrivilege, says: `act as "sibling"`,
		},
		{
			name:    "the role it is set to act as is gone",
			arrange: []string{"CREATE ROLE sibling", "ALTER ROLE signin SET role = 'sibling'", "DROP ROLE sibling"},
			want:    dbdrivers.ErrPrivilege, says: `act as "sibling"`,
		},
		{
			name:    "its own database setting goes before its general one",
			arrange: []string{"CREATE ROLE sibling", "ALTER ROLE signin SET role = 'sibling'", "ALTER ROLE signin IN DATABASE appdb SET role = 'none'"}, undo: []string{"DROP ROLE sibling"},
		},
		{
			name:    "time-outs of a millisecond",
			arrange: []string{"ALTER ROLE signin SET statement_timeout = 1", "ALTER ROLE signin SET lock_timeout = 1"},
		},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				if test.user == "" {
					test.user = "signin"
				}
				const password = "right-password"
				login := s.user(t, test.user, password)
				t.Cleanup(func() { s.clean(t, test.undo...) })
				s.exec(t, test.arrange...)
				if test.login != nil {
					test.login(&login)
				}
				check(t, verify(t, login), test.want, test.says, password)
			})
		}
	})
}

// check asserts a class, and that the error says what to do and no password.
func check(t *testing.T, err, want error, says string, secrets ...string) {
	t.Helper()
	drivertest.WantSafe(t, err, secrets...)
	if got := dbdrivers.ClassOf(err); !errors.Is(got, want) {
		t.Fatalf("error %v; want class %v", err, want)
	}
	if err == nil {
		return
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("error %q does not say %q", err, says)
	}
}

func TestWrongPasswordOfABarredAccountIsRefused(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "barred", "right-password")
		s.exec(t, "ALTER ROLE barred NOLOGIN")
		check(t, verify(t, login), dbdrivers.ErrBarred, "", "right-password")
		check(t, verify(t, withPassword(login, "wrong")), dbdrivers.ErrRefused, "")
	})
}
