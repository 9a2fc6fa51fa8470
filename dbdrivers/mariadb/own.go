package mariadb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

var errChangedMeanwhile = errors.New("another session has just set a new password, and nothing was changed; the next attempt finds out which")

// errNotFirst is told where the password that signed in is one that SET PASSWORD
// does not reach.
var errNotFirst = errors.New("the password that signed in is not the account's first one, and nothing was changed: either another session has just " +
	"set a new one, which the next attempt finds out, or it is the older of two; then rotate once by an admin (\"masterarn\")")

// setOwn is an account's change of its own password. SET PASSWORD reaches the
// first of an account's passwords and no other, whichever one signed in. So it is
// said only where that one signed in: another rotation has set it otherwise.
//
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/set-password
func (c *change) setOwn(ctx context.Context, me identity) error {
	list, err := c.own(ctx, me)
	if err != nil {
		return err
	}
	if err := list.check(); err != nil {
		return c.unsupported(fmt.Errorf("%s %w", me.quoted(), err))
	}
	// It was so at the sign-in, before other changes were kept out.
	if !list.have(c.current) {
		return dbdrivers.Classify(dbdrivers.ErrBusy, c.doing, errChangedMeanwhile)
	}
	passwords := slices.DeleteFunc(slices.Clone(list), func(m method) bool { return !m.hasPassword() })
	first := list.first()
	for _, m := range passwords[1:] {
		if m.plugin != first.plugin {
			return c.unsupported(fmt.Errorf("%s has passwords for %s and for %s, of which it can change the first only; let an admin set them (\"masterarn\")",
				me.quoted(), first.plugin, m.plugin))
		}
	}
	if !list.tellsRefusal() {
		return c.unsupported(fmt.Errorf("%s signs in by %s, and of so many methods the client hears of no wrong password: a change whose answer was lost "+
			"would never be found out; let an admin set the password (\"masterarn\"), or give the account one method", me.quoted(), list.plugins()))
	}
	if !first.is(c.current) && !first.is(c.password) {
		return dbdrivers.Classify(dbdrivers.ErrBusy, c.doing, errNotFirst)
	}
	// Were the call cut off after the change, nobody would come to tell it.
	if slices.ContainsFunc(passwords[1:], func(m method) bool { return !m.is(c.password) }) {
		c.tell("a second, former password of " + me.quoted() + " still opens, because the account can change the first of its passwords only; " +
			"rotate it once by an admin (\"masterarn\"), which ends the second one")
	}
	if !first.is(c.password) {
		hash := hashers[first.plugin](c.password.Reveal())
		c.session.Keep(hash)
		if err := c.session.Run(ctx, "SET PASSWORD = ?", hash); err != nil {
			return c.failed(err, me)
		}
	}
	return nil
}

// own reads by which methods the account itself may sign in.
func (c *change) own(ctx context.Context, me identity) (methods, error) {
	answer, err := c.session.Ask(ctx, "SHOW CREATE USER")
	if err != nil {
		return nil, c.session.Classify(c.doing, err, mywire.Unchanged, nil)
	}
	if len(answer.Rows) == 0 || len(answer.Rows[0]) != 1 {
		return nil, c.unsupported(errNotUnderstood)
	}
	list, err := ownMethods(answer.Rows[0][0].Text, me.quoted())
	if err != nil {
		return nil, c.unsupported(err)
	}
	list.keepSecret(c.session)
	return list, nil
}
