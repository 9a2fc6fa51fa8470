package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// mark is what a host row says of itself as a twin, by a role that it has been
// granted; the package's comment tells why.
//
// https://dev.mysql.com/doc/refman/9.7/en/roles.html
type mark int

const (
	// unmarked: nothing is said.
	unmarked mark = iota
	// others: it is said to be another account's twin.
	others
	// taken: it was proven to be the twin when it was taken over, and has not
	// been opened as one that is equal.
	taken
	// made: it was made as the twin, and has not been opened yet. That it is
	// locked is nobody's wish.
	made
	// equal: it was opened when it was equal to its sibling but for what it had
	// been taken over with.
	equal
)

// states are the marks in the name of a role.
var states = map[mark]string{taken: "taken", made: "made", equal: "equal"}

const (
	markPrefix = "dbrotation."
	// markOwner is how much of a hash names the canonical account. A name has
	// no more than 32 characters, as many as the account's own may have.
	markOwner = 12
)

// markRole is the role that marks a twin of canonical.
func markRole(m mark, canonical string) mygrants.Account {
	sum := sha256.Sum256([]byte(canonical))
	owner := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:markOwner]
	return mygrants.Account{User: markPrefix + states[m] + "." + owner, Host: anyHost}
}

func isMarkRole(role mygrants.Account) bool {
	return role.Host == anyHost && strings.HasPrefix(role.User, markPrefix)
}

// markOf reads a role as the mark of a twin of canonical.
func markOf(role mygrants.Account, canonical string) mark {
	if !isMarkRole(role) {
		return unmarked
	}
	for m := range states {
		if role == markRole(m, canonical) {
			return m
		}
	}
	return others
}

// marks are the roles by which host rows of one name are marked, by host.
type marks map[string][]mygrants.Account

// marksOf reads them from the server's memory: whoever may write
// mysql.role_edges could forge one there. Who may grant a role may grant it to
// itself, which proves nothing either.
//
// https://dev.mysql.com/doc/refman/9.7/en/show-grants.html
// https://dev.mysql.com/doc/refman/9.7/en/privilege-changes.html
func marksOf(ctx context.Context, session *mywire.Session, rows []row) (marks, error) {
	found := make(marks)
	for _, r := range rows {
		held, err := grantsOf(ctx, session, r.named())
		if err != nil {
			return nil, err
		}
		for _, a := range held.Sorted() {
			if isMark(a) {
				found[r.host] = append(found[r.host], a.Account)
			}
		}
	}
	return found, nil
}

// isMark reports whether what is granted marks its holder.
func isMark(a mygrants.Atom) bool {
	return a.Kind == mygrants.Role && !a.Option && isMarkRole(a.Account)
}

// of is the mark of the row of a host: another account's goes before all, and
// one that has been equal is no longer only taken over, or made.
func (m marks) of(host, canonical string) mark {
	best := unmarked
	for _, role := range m[host] {
		found := markOf(role, canonical)
		if found == others {
			return others
		}
		best = max(best, found)
	}
	return best
}

// proves reports whether a row may be taken for the twin's: by its mark, or
// where it has none by the caller's proof. One that is marked as another
// account's twin is not this one's, whatever the caller has been told.
func (m mark) proves(proven bool) bool {
	return m == taken || m == made || m == equal || m == unmarked && proven
}

// own reports whether the row has never been anything else than the twin's, or
// was equal once: it then has what its sibling has, and nothing besides.
func (m mark) own() bool { return m == made || m == equal }

// setMark marks host rows, which exist.
func (t *twin) setMark(ctx context.Context, m mark, accounts ...mygrants.Account) error {
	if len(accounts) == 0 {
		return nil
	}
	role, err := t.makeRole(ctx, m)
	if err != nil {
		return err
	}
	if err := t.session.Run(ctx, "GRANT "+role+" TO "+listed(accounts)); err != nil {
		return t.failed(err)
	}
	return nil
}

// makeRole makes the role that marks a twin, and names it for a statement.
func (t *twin) makeRole(ctx context.Context, m mark) (string, error) {
	role := markRole(m, t.req.Canonical).String()
	if err := t.session.Run(ctx, "CREATE ROLE IF NOT EXISTS "+role); err != nil {
		return "", t.failed(err)
	}
	return role, nil
}

// emptyMarks takes from the roles that mark the twin what somebody may have
// granted to them: the twin could make it its own, and its sibling has it not.
func (t *twin) emptyMarks(ctx context.Context) error {
	answer, err := t.session.Ask(ctx, "SELECT user, host FROM mysql.user WHERE user LIKE ?", markPrefix+"%")
	if err != nil {
		return t.unread(err, t.me)
	}
	for _, row := range answer.Rows {
		role := mygrants.Account{User: row[0].Text, Host: row[1].Text}
		if m := markOf(role, t.req.Canonical); m == unmarked || m == others {
			continue
		}
		held, err := t.rights(ctx, role)
		if err != nil {
			return err
		}
		if len(held) == 0 {
			continue
		}
		out, err := t.sync().Bring(ctx, role, role, make(mygrants.Set), held)
		if err != nil {
			return err
		}
		t.reports(out, " of the role that marks it")
	}
	return nil
}

// markRemedy are the statements by which a person marks rows that exist.
func (t *twin) markRemedy(m mark, accounts ...mygrants.Account) string {
	role := markRole(m, t.req.Canonical).String()
	return "CREATE ROLE IF NOT EXISTS " + role + "; GRANT " + role + " TO " + listed(accounts)
}

// mayTakeTurns refuses an account that an admin's login leaves alone, or that
// could make itself an admin.
func (t *twin) mayTakeTurns(ctx context.Context, name string, rows []row) error {
	c := *t.change
	c.account = name
	if err := fenced(rows); err != nil {
		return c.unsupported(fmt.Errorf("%q: %w", name, err))
	}
	if err := c.unprivileged(ctx, t.me); err != nil {
		return err
	}
	return c.writesNoGrants(ctx, t.me)
}

func listed(accounts []mygrants.Account) string {
	names := make([]string, len(accounts))
	for i, account := range accounts {
		names[i] = account.String()
	}
	return strings.Join(names, ", ")
}

// siblingsTurn is what comes before an admin sets the canonical account's
// password because its twin's opened: the twin must be one, and no admin itself.
// What it made while it was current is its sibling's to use from now on.
func (c *change) siblingsTurn(ctx context.Context, me identity, siblings []row) error {
	t := &twin{change: c, me: me, req: dbdrivers.OpenTwinRequest{Admin: c.as, Canonical: c.account, Twin: c.twin}}
	if err := t.newEnough(); err != nil {
		return err
	}
	twins, err := rowsOf(ctx, c.session, c.twin)
	if err != nil {
		return t.unread(err, me)
	}
	marks, err := marksOf(ctx, c.session, twins)
	if err != nil {
		return t.unread(err, me)
	}
	proven := len(twins) > 0 || c.proven
	for _, r := range twins {
		proven = proven && marks.of(r.host, c.account).proves(c.proven)
	}
	if !proven {
		return c.unsupported(fmt.Errorf("%w: %q", dbdrivers.ErrTwinUnproven, c.twin))
	}
	if err := c.writesNoGrants(ctx, me); err != nil {
		return err
	}
	if len(twins) > 0 {
		if err := t.mayTakeTurns(ctx, c.twin, twins); err != nil {
			return err
		}
	}
	if err := c.otherUnchanged(twins); err != nil {
		return err
	}
	return t.takeOverRoutines(ctx, pairUp(siblings, twins, marks, c.account))
}
