package mysql_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestQuotingUnderEverySQLMode sets passwords that break a quoting by hand, on
// servers whose mode changes what a quote or a backslash means.
func TestQuotingUnderEverySQLMode(t *testing.T) {
	t.Parallel()
	passwords := []string{
		`it's "quoted" \ and ` + "`ticked`", `ends in \`, `\'; DROP USER root; -- `, `"" '' \\ \" \n \0 \Z`, "?? $1 %s", "\n\r\t\x1a\b", "é€😀密码", "-- ?", "/* ? */ #",
	}
	for _, mode := range []string{"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,TRADITIONAL"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := start(t, dbservers.MySQLOptions{Settings: map[string]string{
				"sql_mode": mode, "character_set_server": "latin1", "init_connect": "SET NAMES latin1",
			}})
			login := s.userAt(t, `säg "it's" 用户 \`, "%", first, "IDENTIFIED BY ?", first)
			s.exec(t, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO ?@'%'", login.Username)
			s.exec(t, "SET GLOBAL transaction_read_only = ON, GLOBAL max_execution_time = 1")
			t.Cleanup(func() {
				if err := s.Exec(context.WithoutCancel(t.Context()), "SET GLOBAL transaction_read_only = OFF, GLOBAL max_execution_time = 0"); err != nil {
					t.Error(err)
				}
			})
			wantSettled(t, login)
			current := first
			for _, password := range passwords {
				check(t, setOwn(t, withPassword(login, current), password), nil, "")
				check(t, verify(t, withPassword(login, password)), nil, "")
				s.wantOpen(t, login, []string{password}, current)
				current = password + "2"
				check(t, retain(t, withPassword(login, password), login.Username, password, current), nil, "")
				s.wantOpen(t, login, []string{password, current}, first)
				check(t, retain(t, s.Admin, login.Username, current, password+"3"), nil, "")
				s.wantOpen(t, login, []string{current, password + "3"}, password)
				check(t, set(t, dbdrivers.SetPasswordRequest{As: s.Admin, Account: login.Username, Password: dbdrivers.NewPassword(password + "4")}), nil, "")
				current = password + "4"
				s.wantOpen(t, login, []string{current}, password+"3")
			}
		})
	}
}

// wantSettled asserts that a session does not depend on what the server is set
// to.
func wantSettled(t *testing.T, login dbdrivers.Login) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	session, err := mywire.Connect(ctx, login, mysql.Dialect)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	answer, err := session.Ask(ctx, "SELECT @@SESSION.sql_mode, @@SESSION.character_set_client, @@SESSION.transaction_read_only, "+
		"@@SESSION.lock_wait_timeout < 10, @@SESSION.innodb_lock_wait_timeout < 10, @@SESSION.max_execution_time BETWEEN 5000 AND 9999")
	if err != nil {
		t.Fatal(err)
	}
	want := []mywire.Value{{Text: ""}, {Text: "utf8mb4"}, {Text: "0"}, {Text: "1"}, {Text: "1"}, {Text: "1"}}
	if diff := cmp.Diff([][]mywire.Value{want}, answer.Rows); diff != "" {
		t.Errorf("the session's settings (-want +got):\n%s", diff)
	}
}
