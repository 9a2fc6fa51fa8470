package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

func TestElements(t *testing.T) {
	tests := map[string]struct {
		value  string
		folded bool
		want   []string
	}{
		"names":                     {`a, b`, true, []string{"a", "b"}},
		"names without spaces":      {`a,b ,c`, true, []string{"a", "b", "c"}},
		"quoted names":              {`"$user", "x,y", "dou""ble", " pad "`, true, []string{"$user", "x,y", `dou"ble`, " pad "}},
		"an unquoted name is lower": {`Foo, "Bar", ÄB`, true, []string{"foo", "Bar", "Äb"}},
		"a path is as it is":        {`$libdir/Plugins/A, b`, false, []string{"$libdir/Plugins/A", "b"}},
		"one empty name":            {`""`, true, []string{""}},
		"nothing":                   {``, true, []string{""}},
		"a quote that never ends":   {`"a`, true, []string{"a"}},
	}
	for name, test := range tests {
		if diff := cmp.Diff(test.want, elements(test.value, test.folded)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestSameList(t *testing.T) {
	text := func(s string) pgwire.Value { return pgwire.Value{Text: s} }
	tests := []struct {
		name, setting string
		want, have    pgwire.Value
		same          bool
	}{
		{"written in two ways", "search_path", text(`Foo,$user`), text(`foo, "$user"`), true},
		{"another case", "search_path", text(`"Foo"`), text(`foo`), false},
		{"another order", "search_path", text(`a, b`), text(`b, a`), false},
		{"one that is missing", "search_path", text(`""`), pgwire.Value{Null: true}, false},
		{"no list", "datestyle", text(`ISO,DMY`), text(`ISO, DMY`), false},
	}
	for _, test := range tests {
		d := difference{kind: ofSetting, subject: test.setting, want: test.want, have: test.have}
		if got := sameList(d); got != test.same {
			t.Errorf("%s: the same is %t; want %t", test.name, got, test.same)
		}
	}
}

// FuzzElements: what is written as the server writes it is read as it was.
func FuzzElements(f *testing.F) {
	f.Add("a", `b"`)
	f.Add("", ",")
	f.Fuzz(func(t *testing.T, a, b string) {
		want := []string{a, b}
		written := ""
		for i, name := range want {
			if i > 0 {
				written += ", "
			}
			written += `"` + doubled(name) + `"`
		}
		if diff := cmp.Diff(want, elements(written, true)); diff != "" {
			t.Errorf("%s: %s", written, diff)
		}
	})
}

func doubled(name string) string {
	var out []byte
	for i := range len(name) {
		if name[i] == '"' {
			out = append(out, '"')
		}
		out = append(out, name[i])
	}
	return string(out)
}
