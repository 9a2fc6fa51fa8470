package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// TestTenTurns changes what the account is granted before each turn. Each turn
// makes the twin equal, and once more says nothing of grants to the server.
func TestTenTurns(t *testing.T) {
	turns := [][]string{
		{"GRANT SELECT, PROCESS ON *.* TO %app", "GRANT ALL ON `app_%`.* TO %app WITH GRANT OPTION", "GRANT twin_read TO %app", "SET DEFAULT ROLE twin_read TO %app"},
		{"REVOKE SELECT ON mysql.* FROM %app", "GRANT SELECT (id, note), UPDATE (id) ON twin_shop.orders TO %app", "GRANT XA_RECOVER_ADMIN ON *.* TO %app"},
		{"GRANT UPDATE ON twin_shop.orders TO %app", "REVOKE UPDATE (id) ON twin_shop.orders FROM %app", "GRANT twin_admin TO %app WITH ADMIN OPTION", "SET DEFAULT ROLE ALL TO %app"},
		{"REVOKE SELECT ON twin_shop.* FROM %app", "GRANT XA_RECOVER_ADMIN ON *.* TO %app WITH GRANT OPTION", "REVOKE GRANT OPTION ON `app_%`.* FROM %app"},
		{"REVOKE SELECT ON *.* FROM %app", "GRANT EXECUTE ON PROCEDURE twin_shop.p1 TO %app WITH GRANT OPTION", "REVOKE twin_read FROM %app"},
		{"REVOKE XA_RECOVER_ADMIN ON *.* FROM %app", "GRANT XA_RECOVER_ADMIN, APPLICATION_PASSWORD_ADMIN ON *.* TO %app", "REVOKE ALL ON `app_%`.* FROM %app", "GRANT EVENT ON `app_%`.* TO %app"},
		{"GRANT SELECT, RELOAD ON *.* TO %app WITH GRANT OPTION", "REVOKE SELECT ON mysql.* FROM %app", "REVOKE SELECT ON `app_%`.* FROM %app", "REVOKE twin_admin FROM %app", "GRANT twin_admin, twin_write TO %app"},
		{"REVOKE GRANT OPTION ON *.* FROM %app", "GRANT SELECT ON mysql.* TO %app", "SET DEFAULT ROLE twin_write TO %app", "ALTER USER %app WITH MAX_USER_CONNECTIONS 30 PASSWORD HISTORY 3"},
		{"REVOKE ALL PRIVILEGES, GRANT OPTION FROM %app"},
		{"GRANT INSERT (note) ON twin_shop.orders TO %app", "GRANT ALL ON twin_shop.* TO %app WITH GRANT OPTION", "ALTER USER %app WITH MAX_USER_CONNECTIONS 0 PASSWORD HISTORY DEFAULT"},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "ten_turns")
		for i, statements := range turns {
			p.with(statements...)
			before := fmt.Sprint(p.holds(p.canonical))
			report := p.open()
			if len(report.Added)+len(report.Removed) == 0 {
				t.Errorf("turn %d: nothing is reported of the change", i)
			}
			said := len(p.saidOfGrants())
			p.open()
			if again := p.saidOfGrants(); len(again) > said {
				t.Errorf("turn %d, once more: the server was told %q", i, again[said:])
			} else if said == 0 {
				t.Error("the log tells of no grant at all; it proves nothing")
			}
			// The canonical account's own turn changes its password alone.
			if err := set(t, dbdrivers.SetPasswordRequest{As: p.Admin, Account: p.canonical, Twin: p.twin, Password: dbdrivers.NewPassword(siblingPassword)}); err != nil {
				t.Fatal(err)
			}
			if after := fmt.Sprint(p.holds(p.canonical)); after != before {
				t.Errorf("turn %d: the canonical account was changed from %s to %s", i, before, after)
			}
			p.wantEqual()
		}
	})
}

// saidOfGrants are the statements in the server's log that change what the twin
// is granted, without the test's own.
func (p pair) saidOfGrants() (statements []string) {
	p.t.Helper()
	log, err := p.Log(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(log) {
		_, sql, found := strings.Cut(line, " Query\t")
		if !found || !strings.Contains(sql, backquoted(p.twin)+"@") {
			continue
		}
		for _, verb := range []string{"GRANT ", "REVOKE ", "SET DEFAULT ROLE "} {
			if strings.HasPrefix(sql, verb) {
				statements = append(statements, strings.TrimSpace(sql))
			}
		}
	}
	return statements
}
