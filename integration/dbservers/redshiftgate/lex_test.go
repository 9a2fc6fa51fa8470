package redshiftgate

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][]string{
		`SELECT a.b, 'it''s' FROM "Q""x"`: {"SELECT", "a", ".", "b", ",", "it's", "FROM", `Q"x`},
		`'\\' '\'' '\n\101\7'`:            {`\`, `'`, "\nA\a"},
		"a--b'\nc":                        {"a", "c"},
		"a/* ' /* */ */b":                 {"a", "b"},
		"$1 $$ ' $$ $a$ $$ $a$":           {"1", " ' ", " $$ "},
		"a::int <> 1.5;x$1":               {"a", "::", "int", "<>", "1.5", ";", "x$1"},
		"ä_ö":                             {"ä_ö"},
		"":                                nil,
	} {
		all, err := tokens(sql)
		var got []string
		for _, token := range all {
			value := token.value
			if token.kind == symbol {
				value = token.text
			}
			got = append(got, value)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", sql, err, diff)
		}
	}
}

func TestWhatHasNoEndIsRefusedWithoutAWordOfIt(t *testing.T) {
	t.Parallel()
	for sql, code := range map[string]string{
		`'secret`: "42601", `'secret\'`: "42601", `"secret`: "42601", `""`: "42601", "/* secret": "42601", "/*/": "42601", "$$ secret": "42601", "$secret": "42601",
		"e'secret'": "42601", "N'secret'": "42601", "u&'secret'": "42601", "a ? secret": "42601", "a\x00secret": "22021", "\xffsecret": "22021", `'\377secret'`: "22021",
		`'\0secret'`: "22021", "secret" + strings.Repeat("x", 60): "42622", `"` + strings.Repeat("secret", 30) + `"`: "42622",
	} {
		_, err := tokens(sql)
		var r *refused
		if !errors.As(err, &r) || r.code != code {
			t.Errorf("%q: %v, want SQLSTATE %s", sql, err, code)
			continue
		}
		if strings.Contains(r.message, "secret") {
			t.Errorf("%q: the error holds it: %s", sql, r.message)
		}
	}
}

func TestAShapeHasNoLiteralAndNoQuotedName(t *testing.T) {
	t.Parallel()
	all, err := tokens(`ALTER USER "secret" PASSWORD 'secret' $$secret$$ 1`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := shape(all), `ALTER USER "..." PASSWORD '...' '...' 1`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzTokens looks for a text that the tokenizer cannot get through, and for one
// that means something else once it is said in PostgreSQL's words: there a
// literal is read by other rules.
func FuzzTokens(f *testing.F) {
	for _, seed := range []string{
		`SELECT 'a\\' || '''; --'`, `"a""b".c`, "$1 $$x$$ /* */", "ALTER USER \"u\" PASSWORD 'md5'", `'\'`, "--\r\n'", "/*/**/", "e'x'", `'\1234'`, "u&'",
		"GRANT SELECT (a) ON TABLE \"s\".\"t\" TO \"u\" WITH GRANT OPTION", "SELECT 1;;SELECT '\\'';",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		all, err := tokens(sql)
		if err != nil {
			var r *refused
			if !errors.As(err, &r) || len(r.code) != 5 {
				t.Fatalf("%q: an error without a SQLSTATE: %v", sql, err)
			}
			return
		}
		for _, token := range all {
			if token.text == "" || !strings.Contains(sql, token.text) || !utf8.ValidString(token.value) {
				t.Fatalf("%q: the token %q", sql, token.text)
			}
			if token.kind != literal {
				continue
			}
			if read := readByPostgreSQL(t, quoteText(token.value)); read != token.value {
				t.Fatalf("%q: the literal %q is %q to PostgreSQL", sql, token.value, read)
			}
		}
		for _, statement := range statements(all) {
			for _, operator := range []bool{false, true} {
				parts, err := translate(statement, operator, false)
				if err == nil && len(parts) == 0 {
					t.Fatalf("%q: nothing is said", sql)
				}
			}
		}
	})
}

// readByPostgreSQL is what an E'...' stands for that has no escapes but \\ and two quotes.
func readByPostgreSQL(t *testing.T, text string) string {
	t.Helper()
	inner, ok := strings.CutPrefix(text, "E'")
	if !ok || !strings.HasSuffix(inner, "'") {
		t.Fatalf("%q is no literal", text)
	}
	inner = strings.TrimSuffix(inner, "'")
	var out strings.Builder
	for i := 0; i < len(inner); i++ {
		if c := inner[i]; c == '\\' || c == '\'' {
			if i+1 == len(inner) || inner[i+1] != c {
				t.Fatalf("%q has a %c that ends or escapes", text, c)
			}
			i++
		}
		out.WriteByte(inner[i])
	}
	return out.String()
}

// TestEachFormHasItsPage holds the tables to what they say of themselves.
func TestEachFormHasItsPage(t *testing.T) {
	t.Parallel()
	for name, table := range map[string][]form{"driver": forms, "operator": operatorForms} {
		for _, f := range table {
			page := strings.TrimPrefix(f.page, manual)
			if page == f.page || !strings.HasSuffix(page, ".html") || strings.ContainsAny(page, " /") {
				t.Errorf("%s: %s has the page %q", name, f.pattern.source, f.page)
			}
		}
	}
	for _, v := range views {
		if !strings.HasSuffix(v.page, ".html") {
			t.Errorf("the view %s has the page %q", v.name, v.page)
		}
	}
}
