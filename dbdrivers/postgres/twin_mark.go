package postgres

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// mark is what a twin's comment says of it. Only who may alter the role may
// comment on it, and so the comment proves that the role is the twin.
//
// https://www.postgresql.org/docs/current/sql-comment.html
type mark int

const (
	// unmarked: nothing is said.
	unmarked mark = iota
	// others: it is said to be another account's twin.
	others
	// taken: the role was proven to be the twin when it was taken over, and
	// has not been equal to its sibling yet.
	taken
	// equal: it was proven equal at least once.
	equal
)

// text is the mark of a twin of canonical. The quotes of the name are part of
// it: a name that ends as another does is not taken for it.
func (m mark) text(canonical string) string {
	switch m {
	case taken:
		return "twin of " + identifier(canonical) + ", taken over by dbrotation"
	case equal:
		return "twin of " + identifier(canonical) + ", kept equal by dbrotation"
	}
	return ""
}

// anyMark ends a comment that marks a twin of whichever account.
var anyMark = regexp.MustCompile(`(?:^|\n)twin of "(?:[^"]|"")+", (?:taken over|kept equal) by dbrotation$`)

// markOf splits a comment into what people have written and the mark of a
// twin of canonical, which is its last line.
func markOf(comment, canonical string) (before string, _ mark) {
	for _, m := range []mark{taken, equal} {
		if comment == m.text(canonical) {
			return "", m
		}
		if before, found := strings.CutSuffix(comment, "\n"+m.text(canonical)); found {
			return before, m
		}
	}
	if anyMark.MatchString(comment) {
		return comment, others
	}
	return comment, unmarked
}

// proves reports whether an account may be taken for the twin: by its mark, or
// where it has none by the caller's proof. One that is marked as another
// account's twin is not this one's, whatever the caller has been told.
func (m mark) proves(proven bool) bool {
	return m == taken || m == equal || m == unmarked && proven
}

// marking is the statement that brings the mark up to date, or nothing.
func (t *twin) marking(f twinFacts, p plan) (string, error) {
	wanted := equal
	if len(p.kept) > 0 {
		wanted = taken
	}
	if f.mark == wanted {
		return "", nil
	}
	text := wanted.text(t.req.Canonical)
	if f.comment != "" {
		text = f.comment + "\n" + text
	}
	sql, err := commenting(t.session, t.req.Twin, text)
	return sql + "; ", err
}

func commenting(session *pgwire.Session, role, text string) (string, error) {
	literal, err := session.Quote(text)
	if err != nil {
		return "", err
	}
	return "COMMENT ON ROLE " + identifier(role) + " IS " + literal, nil
}

// unproven is the error of a role that is not proven to be the twin, and says
// how the operator proves it. It may own what a twin may not, and so the mark
// to give is that of one that is taken over. After both accounts were renamed
// the mark still names the former account.
func (m mark) unproven(session *pgwire.Session, twin, canonical string) error {
	comment, err := commenting(session, twin, taken.text(canonical))
	if err != nil {
		return err
	}
	if m == others {
		return fmt.Errorf("%w: %q is marked as another account's; if it is %q's from now on, say so to the server: %s",
			dbdrivers.ErrTwinUnproven, twin, canonical, comment)
	}
	return fmt.Errorf("%w: %q; where it is, say so to the server: %s", dbdrivers.ErrTwinUnproven, twin, comment)
}
