package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// setOwn is an account's change of its own password. REPLACE makes it a
// compare-and-swap with the account's newer password. What it ends after that
// must still be the older one, so it keeps other rotations out.
//
// https://dev.mysql.com/doc/refman/9.7/en/alter-user.html
func (c *change) setOwn(ctx context.Context, me identity) error {
	if err := c.session.Lock(ctx, c.doing, c.account); err != nil {
		return err
	}
	if err := c.onlyRow(ctx, me); err != nil {
		return err
	}
	c.tellPlaintext()
	if !me.version.atLeast(versionReplace) {
		if err := c.session.Run(ctx, "ALTER USER USER() IDENTIFIED BY ?", c.password.Reveal()); err != nil {
			return c.failed(err, me)
		}
		return nil
	}
	err := c.session.Run(ctx, "ALTER USER USER() IDENTIFIED BY ? REPLACE ?", c.password.Reveal(), c.current.Reveal())
	switch {
	case mywire.Number(err) == errPasswordInHistory && c.current.Equal(c.password):
		// It has just signed in, so there is nothing to set.
	case mywire.Number(err) == errIncorrectCurrent:
		set, failed := c.isSet(ctx)
		if failed != nil {
			return c.failed(failed, me)
		}
		if !set {
			return c.failed(err, me)
		}
	case err != nil:
		return c.failed(err, me)
	}
	if me.version.atLeast(versionDual) {
		c.discardOwn(ctx, me)
	}
	return nil
}

// onlyRow refuses an own change of an account that has other host rows, which
// would keep the former password. It sees them where the login may read mysql.*;
// any other account is shown its own row alone, and no error.
//
// https://dev.mysql.com/doc/refman/9.7/en/information-schema-user-attributes-table.html
func (c *change) onlyRow(ctx context.Context, me identity) error {
	if !me.version.atLeast(versionAttributes) {
		return nil
	}
	answer, err := c.session.Ask(ctx, "SELECT user, host FROM information_schema.user_attributes WHERE user = ? ORDER BY host", c.account)
	if err != nil {
		return c.session.Classify(c.doing, err, mywire.Unchanged, nil)
	}
	var others []string
	for _, row := range answer.Rows {
		if row[0].Text == me.user && row[1].Text != me.host {
			others = append(others, mywire.Account(row[0].Text, row[1].Text))
		}
	}
	if len(others) > 0 {
		return c.unsupported(fmt.Errorf("the account signed in as %s, and by itself it changes that row alone, while %s would keep the former password; "+
			"let an admin change them all (\"masterarn\"), or drop the others", me.quoted(), strings.Join(others, ", ")))
	}
	return nil
}

// tellPlaintext says what "ssl": false means for an own change.
func (c *change) tellPlaintext() {
	if c.as.TLS.Plaintext {
		c.tell(`the new password crosses the network as readable text, because the secret has "ssl": false and an account's own change cannot send a hash`)
	}
}

// discardOwn ends an older password that two of them have left. The account
// cannot see whether it has one.
func (c *change) discardOwn(ctx context.Context, me identity) {
	err := c.session.Run(ctx, "ALTER USER USER() DISCARD OLD PASSWORD")
	switch {
	case err == nil:
	case mywire.Number(err) == errLacksPrivilege:
		c.tell("whether the account has a second, older password, as the strategy dual-password leaves it, the account cannot see; " +
			"one that it has still opens; to end it, as an admin run: ALTER USER " + me.quoted() + " DISCARD OLD PASSWORD")
	default:
		c.tell(fmt.Sprintf("a second, older password, where the account has one, still opens; it could not be discarded: %v", err))
	}
}

// isSet reports whether the account's newer password is the new one already. The
// account cannot read its hash, so the statement asks: it replaces the new
// password by itself, and nothing else.
func (c *change) isSet(ctx context.Context) (bool, error) {
	err := c.session.Run(ctx, "ALTER USER USER() IDENTIFIED BY ? REPLACE ?", c.password.Reveal(), c.password.Reveal())
	if mywire.Number(err) == errIncorrectCurrent {
		return false, nil
	}
	return err == nil, err
}
