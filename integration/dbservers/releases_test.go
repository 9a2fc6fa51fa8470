package dbservers

import (
	"slices"
	"strings"
	"testing"
)

func TestAVersionThatCannotBeHadIsNotTestedAndIsNamed(t *testing.T) {
	// Nothing that is not installed can be had by a process.
	t.Setenv(waysVariable, string(processWay))
	gone := release{engine: "mysql", major: "1.0", image: "mysql:1.0.1", program: "no-such-program", binaries: "/no/such/folder"}
	kept := release{engine: "mysql", major: "2.0", image: "mysql:2.0.1", suite: "sid"}
	l := releases{gone, kept}
	if got := l.tested(); !slices.Equal(got, []string{"2.0"}) {
		t.Errorf("tested are %q, want 2.0 alone", got)
	}
	if err := obtainable(gone); err == nil || !strings.Contains(err.Error(), "mysql 1.0 is not installed") {
		t.Errorf("why it cannot be had: %v", err)
	}
}

func TestTheTestedVersionsAreTheNewestAndOneOld(t *testing.T) {
	l := releases{{major: "1", suite: "a"}, {major: "2", suite: "b"}, {major: "3", suite: "c"}}
	for all, want := range map[string][]string{"": {"1", "3"}, "1": {"1", "2", "3"}} {
		t.Setenv("DBROTATION_ALL", all)
		if got := l.tested(); !slices.Equal(got, want) {
			t.Errorf("DBROTATION_ALL=%s: tested are %q, want %q", all, got, want)
		}
	}
}

func TestAVersionThatDebianDoesNotCarrySaysSo(t *testing.T) {
	t.Parallel()
	rel := release{engine: "mysql", major: "1.0", image: "mysql:1.0.1", program: "no-such-program", binaries: "/no/such/folder"}
	_, err := openProcess(t.Context(), recipe{release: rel}, peer{})
	if err == nil || !strings.Contains(err.Error(), "mysql 1.0 is not installed") || !strings.Contains(err.Error(), "Debian has no packages of mysql 1.0") {
		t.Errorf("got %v", err)
	}
}
