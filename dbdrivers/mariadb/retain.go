package mariadb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// RetainPassword sets an account's password and keeps the one before it, by an
// admin who has CREATE USER and may read mysql.*. An account cannot do it for
// itself.
//
// The account may then be entered by either of two mysql_native_password
// methods. They are written as they are to be, so that saying it again changes
// nothing, and the next call drops the older. It takes accounts that have
// mysql_native_password alone, once or twice: clients follow the server from one
// method to a second of this plugin, and with others many of them do not.
//
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/create-user#authentication-options
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
	}
	return c.signedIn(ctx, req.Hash, func(me identity) error {
		if c.bySelf() {
			return c.unsupported(errors.New("MariaDB lets no account keep its own former password; let an admin set it (\"masterarn\"), or choose another strategy"))
		}
		return c.retain(ctx, me)
	})
}

// retain changes all host rows of the account that are not yet as they are to
// be, in one statement.
func (c *change) retain(ctx context.Context, me identity) error {
	rows, err := c.target(ctx, me)
	if err != nil {
		return err
	}
	wanted := methods{{pluginNative, nativeHash(c.password.Reveal())}, {pluginNative, nativeHash(c.current.Reveal())}}
	var change []row
	proven := false
	for _, r := range rows {
		if err := c.retainable(r); err != nil {
			return c.unsupported(fmt.Errorf("%s %w", r.account(), err))
		}
		proven = proven || r.methods.have(c.current)
		if !slices.Equal(r.methods, wanted) {
			r.methods = wanted
			change = append(change, r)
		}
	}
	if !proven {
		return dbdrivers.Classify(dbdrivers.ErrBusy, c.doing, errNoLongerCurrent)
	}
	return c.write(ctx, me, "ALTER USER ", change, "")
}

var errNoLongerCurrent = errors.New("the account has the new password and the current one no more; somebody has just changed it, and the next attempt finds out how")

// retainable says why a row cannot have two passwords, or not these.
func (c *change) retainable(r row) error {
	for _, m := range r.methods {
		if m.plugin != pluginNative {
			return fmt.Errorf("signs in by %s, and two passwords at once take mysql_native_password alone, because many clients "+
				"do not find the second one otherwise; choose the strategy alternating, or change the account's plugin", m.plugin)
		}
	}
	if len(r.methods) > 2 {
		return fmt.Errorf("has %d passwords, of which one would end unseen; set one of them alone first", len(r.methods))
	}
	// Where another row has the current one still, it comes back beside the new.
	if r.methods.have(c.current) || r.methods.have(c.password) {
		return nil
	}
	return errors.New("has another password than the secret's current one, which could not be kept; set it to that first")
}
