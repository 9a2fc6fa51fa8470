package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
)

// pairs are the host rows of two accounts. The server lets a login in by the
// row of the most specific host alone, so each has to have its counterpart.
//
// https://dev.mysql.com/doc/refman/9.7/en/connection-access.html
type pairs struct {
	// open are the rows of the canonical account that let somebody in, closed
	// those that are locked.
	open, closed []pair
	// extra are rows of the twin where its sibling has none, and open ones where
	// its sibling's is locked.
	extra []extraRow
	// exists: there is a row of the twin's name.
	exists bool
}

// pair is a row of the canonical account and the twin's for the same host.
type pair struct {
	sibling row
	// twin is the zero value where there is none yet.
	twin row
	// mark is that of the twin's row.
	mark mark
	// first: the twin's row has not been equal, and is taken over.
	first bool
	// shut: somebody has locked the twin's row.
	shut bool
}

type extraRow struct {
	row
	mark mark
	// besideLocked: the sibling has such a row, which is locked.
	besideLocked bool
}

func (p pair) missing() bool { return p.twin.user == "" }

// missing are the pairs whose row of the twin is to be made.
func (p pairs) missing() []pair {
	return slices.DeleteFunc(slices.Concat(p.open, p.closed), func(p pair) bool { return !p.missing() })
}

// fresh are the twin's rows that have just been made, or whose making was cut
// off.
func (p pairs) fresh(name string) []mygrants.Account {
	return p.accounts(name, slices.Concat(p.open, p.closed), func(pair pair) bool {
		return pair.missing() || pair.mark == made && !pair.sibling.locked && pair.twin.locked
	})
}

// unmarked are the twin's rows that have no mark yet.
func (p pairs) unmarked(name string) []mygrants.Account {
	accounts := p.accounts(name, slices.Concat(p.open, p.closed), func(pair pair) bool { return !pair.missing() && pair.mark == unmarked })
	for _, r := range p.extra {
		if r.mark == unmarked {
			accounts = append(accounts, r.named())
		}
	}
	return accounts
}

// becomeEqual are the twin's open rows that have not been marked as equal.
func (p pairs) becomeEqual(name string) []mygrants.Account {
	return p.accounts(name, p.open, func(pair pair) bool { return pair.missing() || pair.mark != equal })
}

func (p pairs) accounts(name string, of []pair, holds func(pair) bool) (accounts []mygrants.Account) {
	for _, pair := range of {
		if holds(pair) {
			accounts = append(accounts, mygrants.Account{User: name, Host: pair.sibling.host})
		}
	}
	return accounts
}

// areShut reports whether a row that is to be opened is locked.
func (p pairs) areShut() bool {
	return slices.ContainsFunc(p.open, func(p pair) bool { return p.missing() || p.twin.locked })
}

// opening are the twin's rows that get its password, with the plugins that they
// are to have.
func (p pairs) opening(name string) []row {
	var rows []row
	for _, pair := range p.open {
		r := row{user: name, host: pair.sibling.host, plugin: pair.sibling.plugin}
		if pair.twin.plugin == r.plugin {
			// Another plugin ends the older password by itself.
			r.older = pair.twin.older
		}
		rows = append(rows, r)
	}
	for _, r := range p.extra {
		rows = append(rows, r.row)
	}
	return rows
}

// pairs reads the rows of both, and refuses what an admin's login leaves alone.
func (t *twin) pairs(ctx context.Context) (pairs, error) {
	var p pairs
	siblings, twins, err := t.bothRows(ctx)
	if err != nil {
		return p, t.unread(err, t.me)
	}
	marks, err := marksOf(ctx, t.session, twins)
	if err != nil {
		return p, t.unread(err, t.me)
	}
	if err := t.allowed(ctx, siblings, twins, marks); err != nil {
		return p, err
	}
	if err := t.notOvertaken(twins); err != nil {
		return p, err
	}
	if err := t.otherUnchanged(siblings); err != nil {
		return p, err
	}
	p = pairUp(siblings, twins, marks, t.req.Canonical)
	if len(p.open) == 0 {
		return p, t.unsupported(fmt.Errorf("%q is locked, and a twin would get around that; unlock it, or stop the rotation", t.req.Canonical))
	}
	if missing := p.missing(); len(missing) > 0 && !t.req.MayCreate {
		var remedy []string
		for _, pair := range missing {
			remedy = append(remedy, t.at(pair.sibling.host).String()+" IDENTIFIED WITH "+pair.sibling.plugin+" BY RANDOM PASSWORD")
		}
		role := markRole(made, t.req.Canonical).String()
		return p, t.unsupported(fmt.Errorf("%w: %q; to create it, as the admin run: CREATE ROLE IF NOT EXISTS %s; CREATE USER %s DEFAULT ROLE %s ACCOUNT LOCK",
			dbdrivers.ErrTwinMissing, t.req.Twin, role, strings.Join(remedy, ", "), role))
	}
	return p, t.keepExtra(p)
}

func (t *twin) bothRows(ctx context.Context) (siblings, twins []row, err error) {
	if siblings, err = rowsOf(ctx, t.session, t.req.Canonical); err != nil {
		return nil, nil, err
	}
	twins, err = rowsOf(ctx, t.session, t.req.Twin)
	return siblings, twins, err
}

func pairUp(siblings, twins []row, marks marks, canonical string) pairs {
	p := pairs{exists: len(twins) > 0}
	at := make(map[string]row)
	for _, r := range twins {
		at[r.host] = r
	}
	closed := make(map[string]bool)
	for _, r := range siblings {
		pair := pair{sibling: r, twin: at[r.host], mark: marks.of(r.host, canonical)}
		pair.first = !pair.missing() && !pair.mark.own()
		pair.shut = pair.twin.locked && pair.mark != made
		if r.locked {
			closed[r.host] = true
			p.closed = append(p.closed, pair)
			continue
		}
		p.open = append(p.open, pair)
		delete(at, r.host)
	}
	for _, r := range twins {
		if _, unpaired := at[r.host]; unpaired && (!r.locked || !closed[r.host]) {
			p.extra = append(p.extra, extraRow{row: r, mark: marks.of(r.host, canonical), besideLocked: closed[r.host]})
		}
	}
	return p
}

// allowed says no before the server would, where the server would say yes: the
// names come from a secret that is less trusted, and a twin has all that its
// sibling has.
func (t *twin) allowed(ctx context.Context, siblings, twins []row, marks marks) error {
	if err := t.mayTakeTurns(ctx, t.req.Canonical, siblings); err != nil {
		return err
	}
	if len(twins) == 0 {
		return nil
	}
	t.report.TakenOver = true
	for _, r := range twins {
		m := marks.of(r.host, t.req.Canonical)
		if !m.proves(t.req.Proven) {
			return t.unproven(r, m)
		}
		t.report.TakenOver = t.report.TakenOver && m == unmarked
	}
	return t.mayTakeTurns(ctx, t.req.Twin, twins)
}

// unproven refuses an account that only has the twin's name.
func (t *twin) unproven(r row, m mark) error {
	if m == others {
		return t.unsupported(fmt.Errorf("%w: %s is marked as another account's by a role that it is granted, `%s...`; if it is %q's from now on, revoke that role from it",
			dbdrivers.ErrTwinUnproven, r.account(), markPrefix, t.req.Canonical))
	}
	// It may hold what a twin may not, and then is to be taken over.
	return t.unsupported(fmt.Errorf("%w: %s; where it is, say so to the server: %s", dbdrivers.ErrTwinUnproven, r.account(), t.markRemedy(taken, r.named())))
}

// keepExtra decides on host rows of the twin that its sibling has not. An open
// one lets the twin in from where its sibling may not come, and a locked one
// shuts it out from where its sibling comes in by another row.
func (t *twin) keepExtra(p pairs) error {
	var lock, drop []mygrants.Account
	for _, r := range p.extra {
		switch {
		case !r.locked && !r.mark.own():
			t.report.Kept = append(t.report.Kept, "host row "+r.account())
		case r.besideLocked:
			lock = append(lock, r.named())
		default:
			drop = append(drop, r.named())
		}
	}
	var remedies []string
	if len(lock) > 0 {
		remedies = append(remedies, "where its sibling's rows are locked, run: ALTER USER "+listed(lock)+" ACCOUNT LOCK")
	}
	if len(drop) > 0 {
		remedies = append(remedies, "where its sibling has none, give the sibling such rows, or, if they are no DEFINER of a view, trigger, event or routine, run: DROP USER "+listed(drop))
	}
	if len(remedies) == 0 {
		return nil
	}
	return t.unsupported(fmt.Errorf("%w: it has rows for hosts that its sibling has not; %s", dbdrivers.ErrTwinOwns, strings.Join(remedies, "; ")))
}
