package mariadb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
)

// OpenTwin makes the twin hold what its sibling is granted, row by row of
// mysql.global_priv: for each host of the canonical account the twin has a row
// of its own, with the same privileges on everything, databases, tables, columns
// and routines, the same grant options, roles, default role and proxies, the
// same plugins for its password, and the same REQUIRE, limits and expiry. SHOW
// GRANTS of both is compared until nothing is left; only then is the password
// set and the account unlocked.
//
// Nothing is changed ([dbdrivers.ErrBusy]) where no row of the canonical account
// has req.Current, nor where the call waited for another one that has set another
// password. It is refused ([dbdrivers.ErrUnsupported]) where either of the two may
// write the server's tables of accounts, by a privilege on everything too.
//
// A statement on accounts takes effect by itself, whatever comes after, and one
// on several host rows does one after the other. So a new row is made under a
// name that nobody has, locked and with a password that nobody knows, marked,
// and only then gets its name; and no row is opened before all are equal. A twin
// that is open stays open. What it has too little is given before what it has
// too much is taken away. It ends with one password; a second one (of
// dual-password) and unix_socket go.
//
// A twin's row is marked by a role that it is granted, "dbrotation(twin of app,
// equal, ...)", which holds nothing. Where somebody has granted it something the
// twin is refused.
//
// The canonical account is granted one thing only: the rights on a routine that
// the server gave the twin as its creator (automatic_sp_privileges), so that a
// routine made by either can be used by both. The report names them in Added.
// Views, triggers, events and routines keep working with their creator's rights
// (DEFINER), whichever of the two is open; so a twin is never dropped.
//
// The first time a row is taken over, rights are added and none is revoked; only
// its default role becomes its sibling's, because there can be no other. A row for a host from which the sibling may not sign in is kept then as well, and
// gets the password. Where it was equal once, as its sibling had such a row too,
// it is an error ([dbdrivers.ErrTwinOwns]). So is always one that is locked where
// its sibling has none, since it keeps the twin out of that host.
//
// What the server refuses to copy because its table is gone is granted along
// with CREATE, which is taken away at once. A privilege on a column that is gone,
// and a default role that is not granted any more, cannot be had in any way, nor
// used: they are left out, and req.Note is told. So it is where a twin that was
// locked opens again, and where a way in of the sibling or the twin is left out.
func (Driver) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	c := change{
		doing: fmt.Sprintf("opening %q, the twin of %q, at %s", req.Twin, req.Canonical, req.Admin.Address()),
		as:    req.Admin, account: req.Twin, current: req.Admin.Password, password: req.Password, note: req.Note,
		other: req.Canonical, opened: req.Current,
	}
	t := &twin{change: &c, req: req}
	if err := t.checkTwins(); err != nil {
		return dbdrivers.TwinReport{}, c.unsupported(err)
	}
	err := c.signedIn(ctx, req.Hash, func(me identity) error {
		t.me = me
		return t.run(ctx)
	})
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
		return errors.New("accounts of MariaDB own nothing, and so have no owner role; take \"ownerRole\" out of the secret")
	}
	return nil
}

func (t *twin) run(ctx context.Context) error {
	pairs, err := t.pairs(ctx)
	if err != nil {
		return err
	}
	// New rows take the place of others at the sign-in: were the call cut off
	// then, the caller's proof would be gone.
	if err := t.setMark(ctx, taken, pairs.toMark(t.req.Twin)...); err != nil {
		return err
	}
	if err := t.create(ctx, pairs); err != nil {
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

// newName is the name under which rows of the twin are made. It is longer than
// any name that a twin may have or that signs in here.
func (t *twin) newName() string { return "dbrotation(new row of " + t.req.Twin + ")" }

// create makes the rows that the twin lacks, locked, and with passwords that
// nobody has seen. They come to the twin's name when they are marked: a row of
// that name without a mark would be a stranger's to the next call.
//
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/rename-user
func (t *twin) create(ctx context.Context, pairs pairs) error {
	var rows []row
	var accounts []mygrants.Account
	var renamed []string
	for _, p := range pairs.missing() {
		r := row{user: t.newName(), host: p.sibling.host, methods: p.sibling.methods.ofTwin(dbdrivers.NewPassword(rand.Text()))}
		rows = append(rows, r)
		accounts = append(accounts, mygrants.Account{User: r.user, Host: r.host})
		renamed = append(renamed, r.account()+" TO "+t.at(r.host).String())
		if pairs.exists {
			t.report.Added = append(t.report.Added, "host row "+t.at(r.host).String())
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := t.dropUnfinished(ctx); err != nil {
		return err
	}
	if err := t.write(ctx, t.me, "CREATE USER ", rows, " ACCOUNT LOCK"); err != nil {
		return err
	}
	if err := t.setMark(ctx, equal, accounts...); err != nil {
		return err
	}
	if err := t.session.Run(ctx, "RENAME USER "+strings.Join(renamed, ", ")); err != nil {
		return t.failed(err, t.me)
	}
	t.report.Created = !pairs.exists
	return nil
}

// dropUnfinished drops rows that a call which was cut off has not given the
// twin's name.
func (t *twin) dropUnfinished(ctx context.Context) error {
	rows, err := rowsOf(ctx, t.session, t.newName())
	if err != nil {
		return t.unread(err, t.me)
	}
	for _, r := range rows {
		if r.role || !r.locked {
			return t.unsupported(fmt.Errorf("%s is in the way, and was not made here; rename it", r.account()))
		}
		if err := t.session.Run(ctx, "DROP USER "+r.account()); err != nil {
			return t.failed(err, t.me)
		}
	}
	return nil
}

// open gives the twin its password and unlocks what was locked when it was read:
// a row that somebody has locked since stays so. Rows that are taken over are
// marked as equal after it: a call that is cut off in between has not been the
// first.
func (t *twin) open(ctx context.Context, pairs pairs) error {
	rows := pairs.opening(t.req.Twin, t.password)
	isLocked := func(r row) bool { return r.locked }
	if err := t.write(ctx, t.me, "ALTER USER ", slices.DeleteFunc(slices.Clone(rows), isLocked), ""); err != nil {
		return err
	}
	isOpen := func(r row) bool { return !r.locked }
	if err := t.write(ctx, t.me, "ALTER USER ", slices.DeleteFunc(rows, isOpen), " ACCOUNT UNLOCK"); err != nil {
		return err
	}
	t.tellOpened(pairs)
	var first []mygrants.Account
	for _, p := range pairs.open {
		if p.first {
			first = append(first, t.at(p.sibling.host))
		}
	}
	return t.setMark(ctx, equal, first...)
}

// tellOpened tells what an operator may not expect of a twin that opens.
func (t *twin) tellOpened(pairs pairs) {
	for _, p := range pairs.open {
		account := t.at(p.sibling.host)
		if p.sibling.methods.hasSocket() {
			t.tell(fmt.Sprintf("%s may also sign in by unix_socket, and its twin may not, since that looks at the name of a system's user", p.sibling.account()))
		}
		if p.missing() {
			continue
		}
		if p.twin.locked {
			t.tell(fmt.Sprintf("%s was locked, by somebody or by a rotation that was cut off; it has its new password and opens, as its sibling does", account))
		}
		if p.twin.methods.hasSocket() {
			t.tell(fmt.Sprintf("%s could also sign in by unix_socket, and cannot any more: a twin has its sibling's password plugins alone", account))
		}
		if p.twin.methods.hasSecond() {
			t.tell(fmt.Sprintf("a second password of %s was ended, and opens no more", account))
		}
	}
}

// at is the twin's account for a host.
func (t *twin) at(host string) mygrants.Account {
	return mygrants.Account{User: t.req.Twin, Host: host}
}
