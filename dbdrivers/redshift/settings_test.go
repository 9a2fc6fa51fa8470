package redshift

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

func TestSettingsAreReadFromAnArray(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		text pgwire.Value
		want map[string]string // nil where it is malformed
	}{
		{"none", pgwire.Value{Null: true}, map[string]string{}},
		{"an empty array", pgwire.Value{Text: "{}"}, map[string]string{}},
		{"plain", pgwire.Value{Text: "{a=1,b=}"}, map[string]string{"a": "1", "b": ""}},
		{"quoted", pgwire.Value{Text: `{"search_path=\"$user\", public",x=y}`}, map[string]string{"search_path": `"$user", public`, "x": "y"}},
		{"backslashes and braces", pgwire.Value{Text: `{"app.note=back\\slash } , {"}`}, map[string]string{"app.note": `back\slash } , {`}},
		{"an equals sign in the value", pgwire.Value{Text: `{a=b=c}`}, map[string]string{"a": "b=c"}},
		{"no array", pgwire.Value{Text: "a=1"}, nil},
		{"a quote that does not end", pgwire.Value{Text: `{"a=1}`}, nil},
		{"text after a quote", pgwire.Value{Text: `{"a=1"x}`}, nil},
		{"no value", pgwire.Value{Text: `{a}`}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := settingsOf(test.text)
			if test.want == nil {
				if !errors.Is(err, errAnswer) {
					t.Errorf("%v, error %v; want that it is not understood", got, err)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestSearchPathIsAListOfNames(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		`public`:                     {"public"},
		`"$user", public`:            {"$user", "public"},
		`$user,public`:               {"$user", "public"},
		`"a, b" , "say ""it""", "C"`: {"a, b", `say "it"`, "C"},
		`""`:                         {""},
	} {
		if got := elements(list); !slices.Equal(got, want) {
			t.Errorf("%s is read as %q; want %q", list, got, want)
		}
	}
}
