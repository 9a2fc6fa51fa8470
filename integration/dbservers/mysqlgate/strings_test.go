package mysqlgate

import "testing"

func TestStringsAndCommentsAreMasked(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, sql, want string
		noBackslash     bool
	}{
		{name: "nothing to mask", sql: "SELECT 1 - 2", want: "SELECT 1 - 2"},
		{name: "a string", sql: "SELECT 'hunter2'", want: "SELECT '...'"},
		{name: "several", sql: "SELECT 'a', 'b'", want: "SELECT '...', '...'"},
		{name: "in double quotes", sql: `SELECT "hunter2"`, want: "SELECT '...'"},
		{name: "a quote in it", sql: "SELECT 'it''s hunter2'", want: "SELECT '...'"},
		{name: "the other quote in it", sql: `SELECT '"', "hunter2"`, want: "SELECT '...', '...'"},
		{name: "an escaped quote in it", sql: `SELECT 'a\' hunter2'`, want: "SELECT '...'"},
		{name: "a backslash that escapes nothing", sql: `SELECT 'a\', 'hunter2'`, want: "SELECT '...', '...'", noBackslash: true},
		{name: "a name", sql: "SELECT `it's` FROM `a``b`", want: "SELECT `it's` FROM `a``b`"},
		{name: "a comment", sql: "SELECT /* hunter2 */ 1", want: "SELECT   1"},
		{name: "a comment to the line's end", sql: "SELECT 1 -- hunter2\n+ 2 # hunter2", want: "SELECT 1  + 2  "},
		{name: "minus minus", sql: "SELECT 1--2", want: "SELECT 1--2"},
		{name: "a string without end", sql: "SELECT 'hunter2", want: "SELECT '...'"},
		{name: "a comment without end", sql: "SELECT /*/ hunter2", want: "SELECT  "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := maskStrings(row.sql, !row.noBackslash); got != row.want {
				t.Errorf("%q; want %q", got, row.want)
			}
		})
	}
}
