package mariadb_test

import "testing"

// TestQuotingUnderEverySQLMode has names and passwords that break a quoting by
// hand, on a server whose mode changes what a quote or a backslash means.
func TestQuotingUnderEverySQLMode(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		for _, mode := range []string{"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,TRADITIONAL", "ORACLE", "MSSQL"} {
			t.Run(mode, func(t *testing.T) {
				login := s.userAt(t, "säg \"it's\" `用户` \\", "%", first, "IDENTIFIED BY ?", first)
				s.set(t, "init_connect", "SET NAMES latin1, SESSION sql_quote_show_create = OFF")
				s.set(t, "sql_mode", mode)
				current := first
				for _, password := range []string{`it's "quoted" \ and ` + "`ticked`", "?? $1 %s", "\n\r\t\x1a\b", "é€😀密码"} {
					check(t, setOwn(t, withPassword(login, current), password), nil, "")
					s.wantOpen(t, login, []string{password}, current)
					current = password + "2"
					check(t, s.retain(t, login.Username, password, current), nil, "")
					s.wantOpen(t, login, []string{password, current}, first)
					current = password + "3"
					check(t, s.setByAdmin(t, login.Username, current), nil, "")
					s.wantOpen(t, login, []string{current}, password, password+"2")
				}
			})
		}
	})
}
