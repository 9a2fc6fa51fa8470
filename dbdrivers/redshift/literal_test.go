package redshift

import (
	"strings"
	"testing"
)

func TestLiteral(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                `'plain'`,
		"":                     `''`,
		"it's":                 `'it''s'`,
		`back\slash`:           `'back\\slash'`,
		`\'; DROP USER x; --`:  `'\\''; DROP USER x; --'`,
		`'\'`:                  `'''\\'''`,
		"$1 $$x$$ \n%s":        "'$1 $$x$$ \n%s'",
		"密码":                   "'密码'",
		`\\`:                   `'\\\\'`,
		"'" + `\` + "'" + `\'`: `'''\\''\\'''`,
	} {
		if got, err := literal(text); err != nil || got != want {
			t.Errorf("%q is quoted as %s, %v; want %s", text, got, err, want)
		}
	}
	for name, text := range map[string]string{"a zero byte": "a\x00b", "no UTF-8": "a\xc3'"} {
		if got, err := literal(text); err == nil {
			t.Errorf("%s is quoted as %q; want an error", name, got)
		}
	}
}

// FuzzLiteral reads a literal back as Redshift would: it must end where it
// ends, and be the text.
func FuzzLiteral(f *testing.F) {
	for _, text := range []string{"", "'", `\`, `\'`, `'\`, `''\\''`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted, err := literal(text)
		if err != nil {
			return
		}
		var b strings.Builder
		i := 1
		for ; i < len(quoted)-1; i++ {
			if c := quoted[i]; c == '\\' || c == '\'' {
				i++
				if quoted[i] != c {
					t.Fatalf("%q ends early, or escapes what is no quote", quoted)
				}
			}
			b.WriteByte(quoted[i])
		}
		if i != len(quoted)-1 || quoted[i] != '\'' || b.String() != text {
			t.Fatalf("%q is read back as %q", text, b.String())
		}
	})
}

func TestIdentifier(t *testing.T) {
	t.Parallel()
	for want, names := range map[string][]string{
		`"plain"`:              {"plain"},
		`"two"."names"`:        {"two", "names"},
		`"say ""it"""`:         {`say "it"`},
		`"a.b"."back\'$slash"`: {"a.b", `back\'$slash`},
	} {
		if got := identifier(names...); got != want {
			t.Errorf("%q is quoted as %s; want %s", names, got, want)
		}
	}
}
