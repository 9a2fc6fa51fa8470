package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

var _ dbdrivers.TwinOpener = Driver{}

// versionTwins has what OpenTwin needs: roles, RANDOM PASSWORD, and
// FAILED_LOGIN_ATTEMPTS.
var versionTwins = version{8, 0, 19}

// OpenTwin makes the twin hold what its sibling is granted, row by row of
// mysql.user: for each host of the canonical account the twin has a row of its
// own, with the same privileges on everything, databases, tables, columns and
// routines, the same grant options, partial revokes, dynamic privileges, roles
// and default roles, the same plugin, and the same REQUIRE, limits and options
// of the password. SHOW GRANTS of both is compared until nothing is left; only
// then is the password set and the account unlocked, of all rows in one
// statement.
//
// A statement on accounts takes effect by itself, whatever comes after. So a new
// twin is made locked, with its mark and a password that nobody knows, and stays
// so until it is equal. A twin that is open stays open. What it has too little is
// given before what it has too much is taken away. A former second password
// (dual-password) is discarded.
//
// Nothing is changed where either of the two may write the server's tables of
// accounts, by a privilege on everything that no partial revoke keeps from them
// too ([dbdrivers.ErrUnsupported]), nor where the call waited for another one that
// has set another password ([dbdrivers.ErrBusy]).
//
// A twin's row is marked by a role that it is granted, which holds nothing; the
// package's comment has more of it. To grant a role takes ROLE_ADMIN.
//
// The canonical account is granted one thing only: the rights on a routine, or
// a library, that the server gave the twin as its creator
// (automatic_sp_privileges), so that what either makes can be used by both. The report names them in Added.
// Views, triggers, events and routines keep working with their creator's rights
// (DEFINER), whichever of the two is open; so a twin is never dropped.
//
// The first time a row is taken over, rights are added and none is revoked. An
// open row for a host from which the sibling may not sign in is kept then as
// well, and gets the password. Where it was equal once, as its sibling had such
// a row too, it is an error ([dbdrivers.ErrTwinOwns]). So is, the first time too,
// a locked row for a host where the sibling has none: it shuts the twin out
// from where the sibling comes in by a row that is less specific. A row that is
// locked as its sibling's is counts for nothing.
//
// What the server refuses to copy because its table is gone is granted along
// with CREATE, which is taken away at once; where the admin may not do that, it
// is left out, and req.Note is told. A privilege on a column that is gone,
// and a default role that is not granted any more, cannot be had in any way, nor
// used: they are left out, and req.Note is told. So it is where a twin that
// somebody else has locked opens again, and where a second password is discarded.
func (Driver) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	c := change{
		doing: fmt.Sprintf("opening %q, the twin of %q, at %s", req.Twin, req.Canonical, req.Admin.Address()),
		as:    req.Admin, account: req.Twin, opened: req.Current, password: req.Password, note: req.Note,
	}
	t := &twin{change: &c, req: req}
	if err := t.checkTwins(); err != nil {
		return t.report, c.unsupported(err)
	}
	err := c.signedIn(ctx, req.Hash, func(me identity) error { return t.run(ctx, me) })
	if err != nil {
		return dbdrivers.TwinReport{}, err
	}
	return t.report, nil
}

// twin is one call of OpenTwin.
type twin struct {
	*change
	req    dbdrivers.OpenTwinRequest
	me     identity
	report dbdrivers.TwinReport
}

// checkTwins refuses names before anything is asked of the server.
func (t *twin) checkTwins() error {
	for _, name := range []string{t.req.Canonical, t.req.Twin} {
		if name == t.req.Admin.Username {
			return fmt.Errorf("%q is the admin itself, whose login changes other accounts only", name)
		}
		c := change{as: t.req.Admin, account: name}
		if err := c.checkTarget(); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	if t.req.Twin == t.req.Canonical {
		return errors.New("the twin has the name of its sibling; give it one of its own")
	}
	if t.req.OwnerRole != "" {
		return errors.New("accounts of MySQL own nothing, and so have no owner role; take \"ownerRole\" out of the secret")
	}
	return nil
}

func (t *twin) run(ctx context.Context, me identity) error {
	t.me = me
	if err := t.newEnough(); err != nil {
		return err
	}
	if err := t.lockPair(ctx, me, t.req.Canonical, t.req.Twin); err != nil {
		return err
	}
	pairs, err := t.pairs(ctx)
	if err != nil {
		return err
	}
	// So a call that is cut off does not lose the proof: a row that is made next
	// may stand before the one by which the twin proved itself.
	if err := t.setMark(ctx, taken, pairs.unmarked(t.req.Twin)...); err != nil {
		return err
	}
	if err := t.create(ctx, pairs); err != nil {
		return err
	}
	if err := t.emptyMarks(ctx); err != nil {
		return err
	}
	for _, p := range pairs.open {
		if err := t.equalise(ctx, p); err != nil {
			return err
		}
	}
	if err := t.settle(ctx, pairs); err != nil {
		return err
	}
	return t.open(ctx, pairs)
}

func (t *twin) newEnough() error {
	if !t.me.version.atLeast(versionTwins) {
		return t.unsupported(fmt.Errorf("the server is MySQL %s, and twins need %s", t.me.version, versionTwins))
	}
	return nil
}

// create makes the rows that the twin lacks, locked, and with passwords that
// nobody has seen. Their mark is made their default role: so the same statement
// grants it, and no row of the twin's name is ever without one.
//
// https://dev.mysql.com/doc/refman/9.7/en/create-user.html#create-user-role
func (t *twin) create(ctx context.Context, pairs pairs) error {
	var parts []string
	var args []any
	for _, p := range pairs.missing() {
		parts = append(parts, "?@? IDENTIFIED WITH "+p.sibling.plugin+" BY RANDOM PASSWORD")
		args = append(args, t.req.Twin, p.sibling.host)
		if pairs.exists {
			t.report.Added = append(t.report.Added, "host row "+t.at(p.sibling.host).String())
		}
	}
	if len(parts) > 0 {
		role, err := t.makeRole(ctx, made)
		if err != nil {
			return err
		}
		if err := t.session.Run(ctx, "CREATE USER "+strings.Join(parts, ", ")+" DEFAULT ROLE "+role+" ACCOUNT LOCK", args...); err != nil {
			return t.failed(err)
		}
		t.report.Created = !pairs.exists
	}
	fresh := pairs.fresh(t.req.Twin)
	if len(fresh) == 0 {
		return nil
	}
	if err := t.session.Run(ctx, "SET DEFAULT ROLE NONE TO "+listed(fresh)); err != nil {
		return t.failed(err)
	}
	return nil
}

// open gives the twin its password and unlocks it, wholly or not at all. Its rows
// are marked as equal after that: a call that is cut off before has not been the
// first.
func (t *twin) open(ctx context.Context, pairs pairs) error {
	rows := pairs.opening(t.req.Twin)
	if err := t.discardOlder(ctx, rows); err != nil {
		return err
	}
	hashes, err := t.hasher(ctx, rows)
	if err != nil {
		return err
	}
	var s statement
	for _, r := range rows {
		hash, err := hashes.of(r.plugin, t.password)
		if err != nil {
			return t.unsupported(err)
		}
		s.set(r, hash, false)
	}
	sql := "ALTER USER " + strings.Join(s.parts, ", ")
	if pairs.areShut() {
		// Nobody's lock of this very moment is undone.
		sql += " ACCOUNT UNLOCK"
	}
	if err := t.session.Run(ctx, sql, s.args...); err != nil {
		return t.failed(err)
	}
	t.tellOpened(pairs)
	return t.setMark(ctx, equal, pairs.becomeEqual(t.req.Twin)...)
}

// tellOpened tells what an operator may not expect of a twin that opens.
func (t *twin) tellOpened(pairs pairs) {
	for _, p := range pairs.open {
		if p.shut {
			t.tell(p.twin.account() + " was locked, and not by a rotation; it has its new password and opens again, as its sibling does")
		}
		if p.twin.older != "" && p.twin.plugin != p.sibling.plugin {
			t.tellDiscarded(p.twin)
		}
	}
}

func (t *twin) tellDiscarded(r row) {
	t.tell("a second, older password of " + r.account() + " was discarded, and opens no more")
}

// discardOlder ends older passwords, which a plain change would keep.
func (t *twin) discardOlder(ctx context.Context, rows []row) error {
	var s statement
	for _, r := range rows {
		if r.older != "" {
			s.add("?@? DISCARD OLD PASSWORD", r.user, r.host)
		}
	}
	if len(s.parts) == 0 {
		return nil
	}
	if err := s.run(ctx, t.session); err != nil {
		return t.failed(err)
	}
	for _, r := range rows {
		if r.older != "" {
			t.tellDiscarded(r)
		}
	}
	return nil
}

// at is the twin's account for a host.
func (t *twin) at(host string) mygrants.Account {
	return mygrants.Account{User: t.req.Twin, Host: host}
}

// failed says what an error of a statement on accounts or roles means.
func (t *twin) failed(err error) error {
	if mywire.Number(err) != errLacksPrivilege {
		return t.change.failed(err, t.me)
	}
	rules := mywire.Rules{{
		Numbers: []uint16{errLacksPrivilege}, Class: dbdrivers.ErrPrivilege,
		Remedy: "accounts that take turns need an admin with both; as an administrator run: GRANT CREATE USER, ROLE_ADMIN ON *.* TO " + t.me.quoted(),
	}}
	return t.session.Classify(t.doing, err, mywire.Unknown, rules)
}
