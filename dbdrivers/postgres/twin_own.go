package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// isOwn reports whether the difference is an object that the twin owns, or a
// privilege or policy that names it.
func (d difference) isOwn() bool { return d.kind == ofOwned || d.kind == ofOwn }

func ofItsOwn(found []difference) []difference {
	return slices.DeleteFunc(slices.Clone(found), func(d difference) bool { return !d.isOwn() })
}

func ofKind(found []difference, of kind) []difference {
	return slices.DeleteFunc(slices.Clone(found), func(d difference) bool { return d.kind != of })
}

// told bounds how many things of the twin's own an error or a report names.
const told = 20

// named names what the twin has of its own, by name, and ends with how many
// more there are.
func named(own []difference, name func(difference) string) []string {
	type group struct {
		kind     kind
		database string
	}
	totals := make(map[group]int)
	var names []string
	for _, d := range own {
		total, err := strconv.Atoi(d.have.Text)
		if err != nil {
			total = 0
		}
		totals[group{d.kind, d.database}] = total
		if len(names) < told {
			names = append(names, name(d))
		}
	}
	more := -len(names)
	for _, total := range totals {
		more += total
	}
	if more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return names
}

// databasesOf are the other databases in which the twin has something of its
// own, and whether it has in the session's: what all databases share counts as
// being here.
func (t *twin) databasesOf(own []difference) (elsewhere []string, here bool) {
	for _, d := range own {
		switch {
		case d.database == "", d.database == t.req.Admin.Database:
			here = true
		case !slices.Contains(elsewhere, d.database):
			elsewhere = append(elsewhere, d.database)
		}
	}
	return elsewhere, here
}

// keeping tells in a report what a twin that was taken over has of its own, and
// how to hand over what is in other databases, which no call from here reaches.
func (t *twin) keeping(own []difference, to heirs) []string {
	kept := named(own, difference.name)
	if elsewhere, _ := t.databasesOf(own); len(elsewhere) > 0 {
		kept = append(kept, t.handOver(elsewhere, to))
	}
	return kept
}

// owns refuses a twin that was equal once and has come to something of its own.
func (t *twin) owns(own []difference, to heirs) error {
	databases, here := t.databasesOf(own)
	if here {
		databases = append(databases, t.req.Admin.Database)
	}
	return fmt.Errorf("%w: %s; %s", dbdrivers.ErrTwinOwns,
		strings.Join(named(own, difference.name), ", "), t.handOver(databases, to))
}

// handOver is the remedy for what the twin has of its own in databases.
func (t *twin) handOver(databases []string, to heirs) string {
	more := len(databases) - told
	databases = databases[:min(len(databases), told)]
	var remedies []string
	for len(databases) > 0 {
		role := to.in(databases[0])
		var same, others []string
		for _, database := range databases {
			if to.in(database) == role {
				same = append(same, identifier(database))
			} else {
				others = append(others, database)
			}
		}
		databases = others
		if more > 0 && len(databases) == 0 {
			same = append(same, fmt.Sprintf("and %d more", more))
		}
		remedies = append(remedies, "in database "+strings.Join(same, ", ")+", as a superuser or as the twin after SET ROLE NONE, run: "+
			t.reassign(role)+"; DROP OWNED BY "+identifier(t.req.Twin))
	}
	return strings.Join(remedies, "; ")
}

// heirs are the roles that sessions of both accounts act as, by database, and
// by the empty name in all others. What the twin owns is handed to them: the
// canonical account may act as another role, and would not reach its own.
type heirs map[string]string

func (t *twin) heirs(found []difference) heirs {
	h := heirs{"": t.shared}
	for _, d := range ofKind(found, ofActing) {
		h[d.database] = d.subject
	}
	return h
}

func (h heirs) in(database string) string {
	if role, found := h[database]; found {
		return role
	}
	return h[""]
}

// reassign hands over what the twin owns in the session's database.
//
// https://www.postgresql.org/docs/current/sql-reassign-owned.html
func (t *twin) reassign(heir string) string {
	return "REASSIGN OWNED BY " + identifier(t.req.Twin) + " TO " + identifier(heir)
}
