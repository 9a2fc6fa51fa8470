package mywire

import (
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

func TestScrub(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		number        uint16
		message, want string
	}{
		"a secret in a message":         {1105, "it was secret-1, secret-1-longer", "it was [redacted], [redacted]"},
		"no secret":                     {1045, "Access denied for user 'app'@'10.0.0.1'", "Access denied for user 'app'@'10.0.0.1'"},
		"a syntax error quotes a piece": {1064, "near 'REPLACE 'secr' at line 1", "the server does not understand the statement"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := &mysql.MySQLError{Number: c.number, Message: c.message}
			after := scrub(before, []string{"", "secret-1", "secret-1-longer"})
			if after.Message != c.want {
				t.Errorf("%q; want %q", after.Message, c.want)
			}
			if before.Message != c.message || after.Number != c.number {
				t.Error("the error was changed, or another one made of it")
			}
			if strings.Contains(after.Error(), "secr'") {
				t.Error("a piece of a secret is left")
			}
		})
	}
}

func TestSplitAccount(t *testing.T) {
	t.Parallel()
	for account, want := range map[string][2]string{
		"app@%": {"app", "%"}, "me@example.com@10.0.0.1": {"me@example.com", "10.0.0.1"}, "@localhost": {"", "localhost"}, "app": {"app", ""},
	} {
		if user, host := SplitAccount(account); user != want[0] || host != want[1] {
			t.Errorf("%s is %q at %q; want %q", account, user, host, want)
		}
	}
	if got, want := Account("a`b", "%"), "`a``b`@`%`"; got != want {
		t.Errorf("account %s; want %s", got, want)
	}
}
