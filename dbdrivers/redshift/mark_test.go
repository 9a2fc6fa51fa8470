package redshift

import (
	"strings"
	"testing"
)

func TestMarkOf(t *testing.T) {
	t.Parallel()
	app := pairing{"app", "101"}
	tests := []struct {
		name   string
		groups []string
		want   mark
	}{
		{"no group", nil, unmarked},
		{"groups of people", []string{"analysts", "dbrotation"}, unmarked},
		{"taken over", []string{"analysts", markGroup(taken, app)}, taken},
		{"equal once", []string{markGroup(taken, app), markGroup(equalled, app)}, equalled},
		{"another's", []string{markGroup(equalled, pairing{"other", "101"})}, others},
		{"another's goes before its own", []string{markGroup(equalled, app), markGroup(taken, pairing{"other", "101"})}, others},
		{"the name in other letters is another's", []string{markGroup(equalled, pairing{"App", "101"})}, others},
		{"the mark of a twin of this name that was dropped", []string{markGroup(equalled, pairing{"app", "100"})}, others},
		{"the number is no part of the name", []string{markGroup(equalled, pairing{"1 app", "10"})}, others},
		{"a state that is not known", []string{"dbrotation.tomorrow.x"}, others},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := markOf(test.groups, app); got != test.want {
				t.Errorf("%q is mark %d; want %d", test.groups, got, test.want)
			}
		})
	}
}

// TestMarkGroupIsAName: names of groups are folded, and bounded.
func TestMarkGroupIsAName(t *testing.T) {
	t.Parallel()
	name := markGroup(equalled, pairing{strings.Repeat("N", maxName), "2147483647"})
	if len(name) > 63 || strings.ToLower(name) != name || strings.ContainsAny(name, `"'\ `) {
		t.Errorf("a group is named %q", name)
	}
}
