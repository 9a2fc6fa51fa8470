package mysql

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// RetainPassword sets an account's password and keeps the one before it, which
// takes MySQL 8.0.14 or later. By itself an account needs
// APPLICATION_PASSWORD_ADMIN, an admin CREATE USER and the right to read
// mysql.*.
//
// The server keeps two passwords, and drops the older one with each that it
// retains: said twice, RETAIN CURRENT PASSWORD would close the account to
// whoever still has the one before. So it is sent only together with a proof
// that req.Current is the newer of the two: REPLACE, or for an admin the hash.
//
// Where an account's own req.Current has come to be the older of two, it signs
// in a second time to prove that it still opens, and alone then makes two
// sign-ins: what REPLACE cannot compare may have been changed since the first.
//
// An admin's call that waited for another rotation of the account changes nothing
// where that has set a password which is not req.Password ([dbdrivers.ErrBusy]).
// An account cannot see its own hashes. So by itself a call of a rotation that
// was given up, which is delivered once more and so late that the next one is
// done, and whose req.Current is the older of that one's two passwords, still
// replaces the newer.
//
// https://dev.mysql.com/doc/refman/9.7/en/password-management.html#dual-passwords
func (Driver) RetainPassword(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
	c := change{
		doing: fmt.Sprintf("setting a second password of %q at %s", req.Account, req.As.Address()),
		as:    req.As, account: req.Account, current: req.Current, password: req.Password, note: req.Note,
	}
	switch {
	case req.Current.IsEmpty():
		return c.unsupported(errors.New("an empty password cannot be retained"))
	case req.Current.Equal(req.Password):
		return c.unsupported(errors.New("the new password is the current one; two different ones are needed"))
	case c.bySelf() && !req.Current.Equal(req.As.Password):
		return c.unsupported(errors.New("an account retains the password that it signs in with"))
	}
	return c.signedIn(ctx, req.Hash, func(me identity) error {
		if !me.version.atLeast(versionDual) {
			return c.unsupported(fmt.Errorf("two passwords take MySQL %v or later; this is %v", versionDual, me.version))
		}
		if c.bySelf() {
			return c.retainOwn(ctx, me)
		}
		return c.retainByAdmin(ctx, me)
	})
}

// retainOwn is an account's own change. It keeps other rotations out, because not
// all of it is one statement.
func (c *change) retainOwn(ctx context.Context, me identity) error {
	if err := c.session.Lock(ctx, c.doing, c.account); err != nil {
		return err
	}
	if err := c.onlyRow(ctx, me); err != nil {
		return err
	}
	c.tellPlaintext()
	err := c.session.Run(ctx, "ALTER USER USER() IDENTIFIED BY ? REPLACE ? RETAIN CURRENT PASSWORD", c.password.Reveal(), c.current.Reveal())
	if mywire.Number(err) != errIncorrectCurrent {
		if err != nil {
			return c.failed(err, me)
		}
		return nil
	}
	// The password that signed in is the older of two, or was ended since. Either
	// the newer is the new one already, or an earlier rotation was given up; then
	// a change that retains nothing leaves the older one as it is.
	set, err := c.isSet(ctx)
	if err != nil {
		return c.failed(err, me)
	}
	if set {
		return nil
	}
	if err := c.stillOpens(ctx); err != nil {
		return err
	}
	if err := c.session.Run(ctx, "ALTER USER USER() IDENTIFIED BY ?", c.password.Reveal()); err != nil {
		return c.failed(err, me)
	}
	return nil
}

// stillOpens signs in again, while other rotations are kept out. Who is barred
// has the password: with MAX_USER_CONNECTIONS 1 this session itself is in the
// way.
func (c *change) stillOpens(ctx context.Context) error {
	again, err := mywire.Connect(ctx, c.as, dialect)
	switch {
	case errors.Is(err, dbdrivers.ErrRefused):
		return c.late(nil)
	case errors.Is(err, dbdrivers.ErrBarred):
		return nil
	case err != nil:
		return err
	}
	again.Close()
	return nil
}

// retainByAdmin changes all host rows of the account in one statement. What it
// reads must still be so when it writes, so it keeps other rotations out.
func (c *change) retainByAdmin(ctx context.Context, me identity) error {
	if err := c.lockPair(ctx, me, c.account); err != nil {
		return err
	}
	rows, err := c.target(ctx, me)
	if err != nil {
		return err
	}
	if err := c.notOvertaken(rows); err != nil {
		return err
	}
	hashes, err := c.hasher(ctx, rows)
	if err != nil {
		return err
	}
	kept, err := c.retentions(rows)
	if err != nil {
		return err
	}
	var s statement
	for _, r := range kept {
		if err := c.retainRow(&s, hashes, r); err != nil {
			return c.unsupported(err)
		}
	}
	if err := s.run(ctx, c.session); err != nil {
		return c.failed(err, me)
	}
	return nil
}

// retention is what a host row keeps of the two passwords that are to open it.
type retention struct {
	row
	// isCurrent and isNew tell of its newer password, wasCurrent of its older.
	isCurrent, isNew, wasCurrent bool
}

// neither reports that the row has been given a password that is not known here.
func (r retention) neither() bool { return !r.isCurrent && !r.wasCurrent && !r.isNew }

func (c *change) retention(r row) (retention, error) {
	kept := retention{row: r}
	for _, asked := range []struct {
		hash     string
		password dbdrivers.Password
		is       *bool
	}{{r.kept, c.current, &kept.isCurrent}, {r.older, c.current, &kept.wasCurrent}, {r.kept, c.password, &kept.isNew}} {
		is, err := r.keeps(asked.hash, asked.password)
		if err != nil {
			return kept, err
		}
		*asked.is = is
	}
	return kept, nil
}

// keeps reports whether one of the row's hashes, which may be empty, is of a
// password that is known.
func (r row) keeps(hash string, password dbdrivers.Password) (bool, error) {
	if hash == "" || password.IsEmpty() {
		return false, nil
	}
	return isHashOf(r.plugin, hash, password.Reveal())
}

// retentions reads what the rows keep. Where none has the current password,
// somebody has changed the account since it was proven.
func (c *change) retentions(rows []row) ([]retention, error) {
	var all []retention
	proven := false
	for _, r := range rows {
		kept, err := c.retention(r)
		if err != nil {
			return nil, c.unsupported(err)
		}
		if kept.neither() {
			return nil, c.unsupported(fmt.Errorf("%s has another password than the secret's current one, which could not be kept; set it to that first", r.account()))
		}
		proven = proven || kept.isCurrent || kept.wasCurrent
		all = append(all, kept)
	}
	if !proven {
		return nil, c.late(rows)
	}
	return all, nil
}

// retainRow adds what makes both passwords open one row, and no third.
func (c *change) retainRow(s *statement, hashes *hasher, r retention) error {
	password, retain := c.password, true
	switch {
	case r.isCurrent:
	case r.wasCurrent:
		// The newer is the new one already, or that of a rotation that was
		// given up, which goes.
		retain = false
	default:
		// Another row has the current one still, and here it comes back beside
		// the new.
		password = c.current
	}
	hash, err := hashes.of(r.plugin, password)
	if err != nil {
		return err
	}
	s.set(r.row, hash, retain)
	return nil
}
