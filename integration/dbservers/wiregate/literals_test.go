package wiregate

import (
	"strings"
	"testing"
)

func TestLiteralsAreMasked(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		sql, want   string
		backslashes bool
	}{
		"a password":                      {sql: `ALTER ROLE app PASSWORD 'hunter2'`, want: `ALTER ROLE app PASSWORD '...'`},
		"nothing to mask":                 {sql: `SELECT current_user, $1, a.b+1`, want: `SELECT current_user, $1, a.b+1`},
		"two literals":                    {sql: `SELECT 'a', 'b'`, want: `SELECT '...', '...'`},
		"a quote in it":                   {sql: `SELECT 'it''s' AS x`, want: `SELECT '...' AS x`},
		"an empty one":                    {sql: `SELECT '' AS x`, want: `SELECT '...' AS x`},
		"a backslash at its end":          {sql: `SELECT 'a\' AS x`, want: `SELECT '...' AS x`},
		"a backslash that escapes":        {sql: `SELECT 'a\' AS x' AS y`, want: `SELECT '...' AS y`, backslashes: true},
		"an escape string":                {sql: `SELECT E'a\'b', e'\\' AS x`, want: `SELECT E'...', e'...' AS x`},
		"a word that ends in e":           {sql: `SELECT date'2024-01-01\'`, want: `SELECT date'...'`},
		"a Unicode string":                {sql: `SELECT U&'d\0061t'`, want: `SELECT U&'...'`},
		"a quoted name":                   {sql: `ALTER ROLE "o'brien ""x" PASSWORD 'p'`, want: `ALTER ROLE "o'brien ""x" PASSWORD '...'`},
		"dollar quotes":                   {sql: `DO $$ it's $1 $$; SELECT 1`, want: `DO '...'; SELECT 1`},
		"dollar quotes with a tag":        {sql: `DO $a$ $$ ' $b$ $a$ LANGUAGE plpgsql`, want: `DO '...' LANGUAGE plpgsql`},
		"a dollar sign in a name":         {sql: `SELECT a$b$, 'x' FROM c$b$`, want: `SELECT a$b$, '...' FROM c$b$`},
		"a lonely dollar sign":            {sql: `SELECT $ 'x'`, want: `SELECT $ '...'`},
		"a comment":                       {sql: "SELECT 1 -- it's hunter2\n, 'x'", want: "SELECT 1  \n, '...'"},
		"a comment to the end":            {sql: "SELECT 1 -- hunter2", want: "SELECT 1  "},
		"comments in comments":            {sql: `SELECT /* a ' /* b */ ' */ 'x'`, want: `SELECT   '...'`},
		"an operator, not a comment":      {sql: `SELECT 1-1, 2*3/4, 'x'`, want: `SELECT 1-1, 2*3/4, '...'`},
		"a literal without an end":        {sql: `SELECT 'hunter2`, want: `SELECT '...'`},
		"dollar quotes without an end":    {sql: `DO $x$ hunter2 $y$`, want: `DO '...'`},
		"a comment without an end":        {sql: `SELECT 1 /* hunter2 /* */`, want: `SELECT 1  `},
		"a quoted name without an end":    {sql: `SELECT "name`, want: `SELECT "name`},
		"letters of other languages":      {sql: `SELECT ünïcödé, 'geheim' AS größe`, want: `SELECT ünïcödé, '...' AS größe`},
		"bytes that are no UTF-8":         {sql: "SELECT \xff'x'", want: "SELECT \xff'...'"},
		"an escape at the end of it all":  {sql: `SELECT E'\`, want: `SELECT E'...'`},
		"a literal continued on the next": {sql: "SELECT 'a'\n'b'", want: "SELECT '...'\n'...'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := maskLiterals(row.sql, row.backslashes); got != row.want {
				t.Errorf("%s\ngot  %s\nwant %s", row.sql, got, row.want)
			}
		})
	}
}

// Whatever a literal holds, and however it is quoted, nothing of it is left and
// nothing after it is taken for a part of it.
func FuzzLiteralsAreMasked(f *testing.F) {
	f.Add("it's hunter2")
	f.Add(`C:\`)
	f.Add("/* -- $$ \" \n")
	f.Fuzz(func(t *testing.T, text string) {
		doubled := strings.ReplaceAll(text, "'", "''")
		escaped := strings.ReplaceAll(doubled, `\`, `\\`)
		const want = "SELECT '...' AS \"x\""
		for name, got := range map[string]string{
			"standard":         maskLiterals("SELECT '"+doubled+"' AS \"x\"", false),
			"with backslashes": maskLiterals("SELECT '"+escaped+"' AS \"x\"", true),
			"escape string":    strings.Replace(maskLiterals("SELECT E'"+escaped+"' AS \"x\"", false), "E'", "'", 1),
		} {
			if got != want {
				t.Errorf("%s: got %q", name, got)
			}
		}
		if strings.Contains(text, "$") {
			return
		}
		if got := maskLiterals("SELECT $t$"+text+"$t$ AS \"x\"", false); got != want {
			t.Errorf("dollar quotes: got %q", got)
		}
	})
}
