package mariadb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
)

// pairs are the host rows of two accounts. The server lets a login in by the
// row of the most specific host alone, so each has to have its counterpart.
//
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/create-user#account-names
type pairs struct {
	// open are the rows of the canonical account that let somebody in, closed
	// those that are locked.
	open, closed []pair
	// extra are open rows of the twin where its sibling has none, or a locked
	// one.
	extra []extraRow
	// shut are locked rows of the twin where its sibling has none: they keep the
	// twin out from where its sibling signs in by a row of more hosts.
	shut []row
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
}

type extraRow struct {
	row
	mark mark
	// closed: the sibling has a row for this host, which is locked.
	closed bool
}

func (p pair) missing() bool { return p.twin.user == "" }

// missing are the pairs whose row of the twin is to be made.
func (p pairs) missing() []pair {
	return slices.DeleteFunc(slices.Concat(p.open, p.closed), func(p pair) bool { return !p.missing() })
}

// toMark are the twin's rows that have no mark yet.
func (p pairs) toMark(name string) (accounts []mygrants.Account) {
	add := func(host string, m mark) {
		if m == unmarked {
			accounts = append(accounts, mygrants.Account{User: name, Host: host})
		}
	}
	for _, pair := range slices.Concat(p.open, p.closed) {
		if !pair.missing() {
			add(pair.sibling.host, pair.mark)
		}
	}
	for _, r := range p.extra {
		add(r.host, r.mark)
	}
	return accounts
}

// opening are the twin's rows that get its password, with the plugins that they
// are to have.
func (p pairs) opening(name string, password dbdrivers.Password) []row {
	var rows []row
	for _, pair := range p.open {
		rows = append(rows, row{user: name, host: pair.sibling.host, methods: pair.sibling.methods.ofTwin(password), locked: pair.missing() || pair.twin.locked})
	}
	for _, r := range p.extra {
		r.methods = r.methods.ofTwin(password)
		rows = append(rows, r.row)
	}
	return rows
}

// pairs reads the rows of both, and refuses what an admin's login leaves alone.
func (t *twin) pairs(ctx context.Context) (pairs, error) {
	siblings, twins, err := t.bothRows(ctx)
	if err != nil {
		return pairs{}, err
	}
	marks, err := marksOf(ctx, t.session, twins)
	if err != nil {
		return pairs{}, t.unread(err, t.me)
	}
	if err := t.allowed(ctx, siblings, twins, marks); err != nil {
		return pairs{}, err
	}
	if err := t.holdNothing(ctx, slices.Concat(slices.Collect(maps.Values(marks))...)...); err != nil {
		return pairs{}, err
	}
	if err := t.notOvertaken(twins); err != nil {
		return pairs{}, err
	}
	if err := t.stillOpens(siblings); err != nil {
		return pairs{}, err
	}
	p := pairUp(siblings, twins, marks, t.req.Canonical)
	if len(p.open) == 0 {
		return p, t.unsupported(fmt.Errorf("%q is locked, and a twin would get around that; unlock it, or stop the rotation", t.req.Canonical))
	}
	if missing := p.missing(); len(missing) > 0 && !t.req.MayCreate {
		var accounts []string
		for _, pair := range missing {
			accounts = append(accounts, t.at(pair.sibling.host).String())
		}
		remedy, err := t.markRemedy(ctx, equal, accounts...)
		if err != nil {
			return p, err
		}
		// Rows without a password get one before they are unlocked.
		return p, t.unsupported(fmt.Errorf("%w: %q; to create it, as the admin run: CREATE USER %s ACCOUNT LOCK; %s",
			dbdrivers.ErrTwinMissing, t.req.Twin, strings.Join(accounts, ", "), remedy))
	}
	return p, t.keepExtra(p)
}

func (t *twin) bothRows(ctx context.Context) (siblings, twins []row, err error) {
	if siblings, err = rowsOf(ctx, t.session, t.req.Canonical); err != nil {
		return nil, nil, t.unread(err, t.me)
	}
	if twins, err = rowsOf(ctx, t.session, t.req.Twin); err != nil {
		return nil, nil, t.unread(err, t.me)
	}
	return siblings, twins, nil
}

func pairUp(siblings, twins []row, marks marks, canonical string) pairs {
	p := pairs{exists: len(twins) > 0}
	at := make(map[string]row)
	for _, r := range twins {
		at[r.host] = r
	}
	known := make(map[string]bool)
	for _, r := range siblings {
		known[r.host] = true
		pair := pair{sibling: r, twin: at[r.host], mark: marks.of(r.host, canonical)}
		pair.first = !pair.missing() && pair.mark != equal
		if r.locked {
			p.closed = append(p.closed, pair)
			continue
		}
		p.open = append(p.open, pair)
		delete(at, r.host)
	}
	for _, r := range twins {
		if _, extra := at[r.host]; extra && !r.locked {
			p.extra = append(p.extra, extraRow{r, marks.of(r.host, canonical), known[r.host]})
		}
		if r.locked && !known[r.host] {
			p.shut = append(p.shut, r)
		}
	}
	return p
}

// allowed says no before the server would, where the server would say yes: the
// names come from a secret that is less trusted, and a twin has all that its
// sibling has.
func (t *twin) allowed(ctx context.Context, siblings, twins []row, marks marks) error {
	if err := fenced(siblings); err != nil {
		return t.unsupported(fmt.Errorf("%q: %w", t.req.Canonical, err))
	}
	if err := t.powerless(ctx, t.req.Canonical); err != nil {
		return err
	}
	if len(twins) == 0 {
		return nil
	}
	t.report.TakenOver = true
	var entered []row
	for _, r := range twins {
		m := marks.of(r.host, t.req.Canonical)
		if !m.proves(t.req.Proven) {
			return t.unproven(ctx, r, m)
		}
		t.report.TakenOver = t.report.TakenOver && m == unmarked
		// A locked row without a password that bears the mark was made by hand,
		// for this call to give it one.
		if m == unmarked || !r.locked || !r.empty() {
			entered = append(entered, r)
		}
	}
	if len(entered) > 0 {
		if err := fenced(entered); err != nil {
			return t.unsupported(fmt.Errorf("%q: %w", t.req.Twin, err))
		}
	}
	return t.powerless(ctx, t.req.Twin)
}

// unproven refuses an account that only has the twin's name.
func (t *twin) unproven(ctx context.Context, r row, m mark) error {
	if m == others {
		return t.unsupported(fmt.Errorf("%w: %s is marked as another account's by a role that it is granted, \"%s...\"; if it is %q's from now on, revoke that role from it",
			dbdrivers.ErrTwinUnproven, r.account(), markPrefix, t.req.Canonical))
	}
	// It may hold what a twin may not, and then is to be taken over.
	remedy, err := t.markRemedy(ctx, taken, r.account())
	if err != nil {
		return err
	}
	return t.unsupported(fmt.Errorf("%w: %s; where it is, say so to the server: %s", dbdrivers.ErrTwinUnproven, r.account(), remedy))
}

// keepExtra decides on host rows that the twin has and its sibling has not. To
// leave an open one is no equality, and one that is locked stands before another
// by which the twin would sign in.
func (t *twin) keepExtra(p pairs) error {
	var surplus, locks []string
	for _, r := range p.extra {
		switch {
		case r.mark != equal:
			t.report.Kept = append(t.report.Kept, "host row "+r.account())
		case r.closed:
			locks = append(locks, r.account())
		default:
			surplus = append(surplus, r.account())
		}
	}
	if len(locks) > 0 {
		list := strings.Join(locks, ", ")
		return t.unsupported(fmt.Errorf("%w: %s, where the sibling's row is locked; unlock that, or run: ALTER USER %s ACCOUNT LOCK", dbdrivers.ErrTwinOwns, list, list))
	}
	for _, r := range p.shut {
		surplus = append(surplus, r.account())
	}
	if len(surplus) == 0 {
		return nil
	}
	list := strings.Join(surplus, ", ")
	return t.unsupported(fmt.Errorf("%w: from the hosts of %s the server would not take it for what its sibling is; "+
		"give the sibling rows of these hosts, or where nothing has them as its DEFINER run: DROP USER %s", dbdrivers.ErrTwinOwns, list, list))
}
