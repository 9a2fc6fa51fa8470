package redshift

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// mark is what an account's groups say of it as a twin; the package's comment
// tells why.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_GROUP.html
type mark int

const (
	// unmarked: nothing is said.
	unmarked mark = iota
	// others: it is said to be another account's twin.
	others
	// taken: it was proven to be the twin when it was taken over, and has not
	// been equal to its sibling yet.
	taken
	// equalled: it was proven equal at least once.
	equalled
)

// states are the marks in the name of a group.
var states = map[mark]string{taken: "taken", equalled: "equal"}

const (
	markPrefix = "dbrotation."
	// markOwner is how much of a hash names the pair, as names of 127 bytes would
	// not fit. It is in lower case: names of groups are folded.
	markOwner = 24
)

// pairing names the pair that a mark is of: the canonical account, and the twin
// by its number. An account that is made under the name of a twin that was
// dropped, in the group that is left of it, does not come to its mark: who may
// make users may say IN GROUP, and is no superuser.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
type pairing struct{ canonical, twinID string }

// markGroup is the group that marks the twin of a pair.
func markGroup(m mark, p pairing) string {
	// A number has digits alone, so that the blank parts the two.
	sum := sha256.Sum256([]byte(p.twinID + " " + p.canonical))
	return markPrefix + states[m] + "." + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:markOwner]
}

func isMarkGroup(group string) bool { return strings.HasPrefix(group, markPrefix) }

// markOf reads groups as the mark of the twin of a pair: another's goes before
// all.
func markOf(groups []string, p pairing) mark {
	best := unmarked
	for _, group := range groups {
		switch {
		case !isMarkGroup(group):
		case group == markGroup(equalled, p):
			best = max(best, equalled)
		case group == markGroup(taken, p):
			best = max(best, taken)
		default:
			return others
		}
	}
	return best
}

// proves reports whether an account may be taken for the twin: by its mark, or
// where it has none by the caller's proof. One that is marked as another
// account's twin is not this one's, whatever the caller has been told.
func (m mark) proves(proven bool) bool {
	return m == taken || m == equalled || m == unmarked && proven
}

const askMarkGroups = "SELECT groname FROM pg_catalog.pg_group WHERE groname IN ($1, $2)"

// setMark puts the twin in one group, which is made where there is none, and
// takes it out of the other.
func (t *twin) setMark(ctx context.Context, has, wanted, other mark) error {
	p := pairing{t.req.Canonical, t.twinID}
	rows, err := ask(ctx, t.session, askMarkGroups, markGroup(taken, p), markGroup(equalled, p))
	if err != nil {
		return t.unread(err)
	}
	statements := marking(wanted, t.req.Twin, p)
	for _, row := range rows {
		if row[0].Text == markGroup(wanted, p) {
			statements = statements[1:]
		}
	}
	if has == other {
		statements = append(statements, "ALTER GROUP "+identifier(markGroup(other, p))+" DROP USER "+identifier(t.req.Twin))
	}
	for _, sql := range statements {
		if err := t.do(ctx, step{sql: sql, what: "the mark of a twin"}); err != nil {
			return err
		}
	}
	return nil
}

// marking are the statements by which a superuser marks an account that exists.
func marking(m mark, twin string, p pairing) []string {
	group := identifier(markGroup(m, p))
	return []string{"CREATE GROUP " + group, "ALTER GROUP " + group + " ADD USER " + identifier(twin)}
}

// unproven is the error of an account that is not proven to be the twin, and
// says how the operator proves it.
func (m mark) unproven(twin string, p pairing) error {
	remedy := strings.Join(marking(taken, twin, p), "; ")
	if m == others {
		return fmt.Errorf("%w: %q is marked as another account's, or as the twin of this name that was dropped; if it is %q's from now on, as a superuser take it out of the groups named %s... and run: %s",
			dbdrivers.ErrTwinUnproven, twin, p.canonical, markPrefix, remedy)
	}
	return fmt.Errorf("%w: %q; where it is, as a superuser run: %s", dbdrivers.ErrTwinUnproven, twin, remedy)
}
