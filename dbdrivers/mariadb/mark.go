package mariadb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// mark is what a host row says of itself as a twin, by a role that it has been
// granted; the package's comment tells why.
//
// https://mariadb.com/docs/server/security/user-account-management/roles/roles_overview
type mark int

const (
	// unmarked: nothing is said.
	unmarked mark = iota
	// others: it is said to be another account's twin.
	others
	// taken: it was proven to be the twin when it was taken over, and has not
	// been opened as one that is equal.
	taken
	// equal: it was made as the twin, or was opened when it was equal to its
	// sibling but for what it had been taken over with.
	equal
)

// states are the marks in the name of a role. They are of the same length, and
// so no two marks of any accounts have the same name.
var states = map[mark]string{taken: "taken", equal: "equal"}

const (
	markPrefix = "dbrotation(twin of "
	// markMaker is the length of what names the admin who made the role.
	markMaker = 8
)

// markRoles are the roles that mark a twin of canonical. Nobody but the admin
// who made one may grant it, so each admin has names of its own: the second and
// the third are for an admin who was dropped and made anew, since roles stay.
func markRoles(m mark, canonical string, admin identity) (roles [3]string) {
	for i := range roles {
		maker := admin.quoted()
		if i > 0 {
			maker += " " + strconv.Itoa(i+1)
		}
		sum := sha256.Sum256([]byte(maker))
		roles[i] = markPrefix + canonical + ", " + states[m] + ", " + hex.EncodeToString(sum[:])[:markMaker] + ")"
	}
	return roles
}

func isMarkRole(role string) bool { return strings.HasPrefix(role, markPrefix) }

// markOf reads a role's name as the mark of a twin of canonical.
func markOf(role, canonical string) mark {
	if !isMarkRole(role) {
		return unmarked
	}
	for m, state := range states {
		rest, is := strings.CutPrefix(role, markPrefix+canonical+", "+state+", ")
		if is && len(rest) == markMaker+1 && strings.HasSuffix(rest, ")") {
			return m
		}
	}
	return others
}

// marks are the roles by which host rows of one name are marked, by host.
type marks map[string][]string

// marksOf reads them from the server's memory: whoever may write
// mysql.roles_mapping could forge one there. What an account may grant it has
// made itself, and proves nothing either.
//
// https://mariadb.com/docs/server/reference/sql-statements/administrative-sql-statements/show/show-grants
func marksOf(ctx context.Context, session *mywire.Session, rows []row) (marks, error) {
	found := make(marks)
	for _, r := range rows {
		if r.role {
			continue
		}
		held, err := grantsOf(ctx, session, mygrants.Account{User: r.user, Host: r.host})
		if err != nil {
			return nil, err
		}
		for _, a := range held.Sorted() {
			if isMark(a) {
				found[r.host] = append(found[r.host], a.Account.User)
			}
		}
	}
	return found, nil
}

// isMark reports whether what is granted marks its holder.
func isMark(a mygrants.Atom) bool {
	return a.Kind == mygrants.Role && !a.Option && isMarkRole(a.Account.User)
}

// of is the mark of the row of a host: another account's goes before all, and
// one that has been equal is no longer only taken over.
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
	return m == taken || m == equal || m == unmarked && proven
}

// askNotMine asks which of three roles exist and may not be granted by an
// account.
//
// https://mariadb.com/docs/server/reference/system-tables/the-mysql-database-tables/mysql-roles_mapping-table
const askNotMine = `SELECT g.User FROM mysql.global_priv g WHERE g.Host = '' AND g.User IN (?, ?, ?) AND NOT EXISTS (
 SELECT * FROM mysql.roles_mapping m WHERE m.Role = g.User AND m.User = ? AND m.Host = ? AND m.Admin_option = 'Y')`

// role is the first role of a mark that the admin may make or grant. Where there
// is none it is the last, and not the admin's.
func (t *twin) role(ctx context.Context, m mark) (role string, mine bool, err error) {
	roles := markRoles(m, t.req.Canonical, t.me)
	answer, err := t.session.Ask(ctx, askNotMine, roles[0], roles[1], roles[2], t.me.user, t.me.host)
	if err != nil {
		return "", false, t.unread(err, t.me)
	}
	for _, role = range roles {
		if !slices.ContainsFunc(answer.Rows, func(row []mywire.Value) bool { return row[0].Text == role }) {
			return role, true, nil
		}
	}
	return role, false, nil
}

// notGrantable says how an admin comes to grant a role that an account of its
// name had made: the right to do so went with that account, and so the role is
// made anew, for all that bear it.
func (t *twin) notGrantable(ctx context.Context, role string) error {
	answer, err := t.session.Ask(ctx, "SELECT User, Host FROM mysql.roles_mapping WHERE Role = ? AND Admin_option = 'N'", role)
	if err != nil {
		return t.unread(err, t.me)
	}
	quoted := mywire.Identifier(role)
	remedy := "DROP ROLE " + quoted
	if len(answer.Rows) > 0 {
		bearers := make([]string, len(answer.Rows))
		for i, row := range answer.Rows {
			bearers[i] = mywire.Account(row[0].Text, row[1].Text)
		}
		remedy += "; CREATE ROLE " + quoted + "; GRANT " + quoted + " TO " + strings.Join(bearers, ", ")
	}
	return dbdrivers.Classify(dbdrivers.ErrPrivilege, t.doing, fmt.Errorf("the roles that mark the twin exist, and the admin may not grant them, "+
		"because another account of its name made them; as the admin run: %s", remedy))
}

// holdNothing refuses marks that hold anything: whoever may grant something on
// can grant it to a role, and who bears that has it, past all comparison.
//
// https://mariadb.com/docs/server/reference/sql-statements/administrative-sql-statements/show/show-grants
func (t *twin) holdNothing(ctx context.Context, roles ...string) error {
	slices.Sort(roles)
	for _, role := range slices.Compact(roles) {
		quoted := mywire.Identifier(role)
		answer, err := t.session.Ask(ctx, "SHOW GRANTS FOR "+quoted)
		if err != nil {
			return t.unread(err, t.me)
		}
		for _, row := range answer.Rows {
			if row[0].Text != "GRANT USAGE ON *.* TO "+quoted {
				return t.unsupported(fmt.Errorf("the role %s marks the twin, and is to hold nothing, but somebody has granted it something that its sibling may not have; "+
					"as an administrator run: REVOKE ALL PRIVILEGES, GRANT OPTION FROM %s", quoted, quoted))
			}
		}
	}
	return nil
}

// setMark marks host rows, which exist.
func (t *twin) setMark(ctx context.Context, m mark, accounts ...mygrants.Account) error {
	if len(accounts) == 0 {
		return nil
	}
	name, mine, err := t.role(ctx, m)
	switch {
	case err != nil:
		return err
	case !mine:
		return t.notGrantable(ctx, name)
	}
	role := mywire.Identifier(name)
	if err := t.session.Run(ctx, "CREATE ROLE IF NOT EXISTS "+role); err != nil {
		return t.failed(err, t.me)
	}
	if err := t.holdNothing(ctx, name); err != nil {
		return err
	}
	names := make([]string, len(accounts))
	for i, account := range accounts {
		names[i] = account.String()
	}
	if err := t.session.Run(ctx, "GRANT "+role+" TO "+strings.Join(names, ", ")); err != nil {
		return t.failed(err, t.me)
	}
	return nil
}

// markRemedy are the statements by which the admin marks rows by hand.
func (t *twin) markRemedy(ctx context.Context, m mark, accounts ...string) (string, error) {
	name, _, err := t.role(ctx, m)
	role := mywire.Identifier(name)
	return "CREATE ROLE IF NOT EXISTS " + role + "; GRANT " + role + " TO " + strings.Join(accounts, ", "), err
}

// powerless refuses an account that is an admin itself, or could make itself one.
func (t *twin) powerless(ctx context.Context, name string) error {
	c := *t.change
	c.account = name
	if err := c.unprivileged(ctx, t.me); err != nil {
		return err
	}
	return c.writesNoGrants(ctx, t.me)
}

// siblingsTurn is what comes before an admin sets the canonical account's
// password because its twin's opened: the twin must be one, no admin itself, and
// still open by that password. What it made while it was current is its
// sibling's to use from now on.
func (c *change) siblingsTurn(ctx context.Context, me identity, proven bool) error {
	t := &twin{change: c, me: me, req: dbdrivers.OpenTwinRequest{Admin: c.as, Canonical: c.account, Twin: c.other}}
	siblings, twins, err := t.bothRows(ctx)
	if err != nil {
		return err
	}
	marks, err := marksOf(ctx, c.session, twins)
	if err != nil {
		return c.unread(err, me)
	}
	is := len(twins) > 0 || proven
	for _, r := range twins {
		is = is && !r.role && marks.of(r.host, c.account).proves(proven)
	}
	if !is {
		return c.unsupported(fmt.Errorf("%w: %q", dbdrivers.ErrTwinUnproven, c.other))
	}
	for _, r := range twins {
		if err := r.methods.check(); err != nil {
			return c.unsupported(fmt.Errorf("%s %w", r.account(), err))
		}
	}
	if err := c.writesNoGrants(ctx, me); err != nil {
		return err
	}
	if err := t.powerless(ctx, c.other); err != nil {
		return err
	}
	if err := c.stillOpens(twins); err != nil {
		return err
	}
	return t.takeOverRoutines(ctx, pairUp(siblings, twins, marks, c.account))
}
