package main

import (
	"testing"
	"time"
	"unicode/utf8"
)

// A line that breaks cannot be written over: every tick would add another.
func TestTheMovingSignFitsIntoTheTerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{20, 60, 80, 300} {
		n := &narrator{columns: func() int { return columns }}
		line := n.progress(7, "waiting for something that takes a long time, as the many words say that stand here", 61*time.Minute)
		if got := utf8.RuneCountInString(line); got >= columns {
			t.Errorf("of %d columns it takes %d: %q", columns, got, line)
		}
	}
}

func TestTheCountsStandInColumns(t *testing.T) {
	t.Parallel()
	one := tally{took: time.Second, calls: 1, logins: 1}.String()
	none := tally{took: 9 * time.Millisecond, calls: 3}.String()
	if len(one) != len(none) {
		t.Errorf("the rows differ in length:\n%s\n%s", one, none)
	}
}
