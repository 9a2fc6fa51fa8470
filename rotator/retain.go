package rotator

import (
	"context"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// passwordRetainer is the one place where a driver's power to keep two passwords
// of one account is asked.
func passwordRetainer(driver dbdrivers.Driver) (dbdrivers.PasswordRetainer, bool) {
	retainer, ok := driver.(dbdrivers.PasswordRetainer)
	return retainer, ok
}

// give sets the pending password. Where the strategy is dual-password and opens
// is what was proven to open the account, opens goes on opening it. An operator's
// reset has no such proof, and nothing to keep.
func (c *change) give(ctx context.Context, req dbdrivers.SetPasswordRequest, opens dbdrivers.Password) error {
	if c.strategyName != DualPassword || opens.IsEmpty() {
		return c.setPassword(ctx, req)
	}
	retainer, ok := passwordRetainer(c.driver)
	if !ok {
		return fail(ClassUnsupported, "", "the driver of %s keeps no former password", c.engine)
	}
	return c.database(ctx, func(ctx context.Context) error {
		return retainer.RetainPassword(ctx, dbdrivers.RetainPasswordRequest{
			As: req.As, Account: req.Account, Current: opens, Password: req.Password, Hash: req.Hash,
			Note: c.note(ctx, req.Account),
		})
	})
}

// note logs what a driver tells of an account and is no error.
func (a *attempt) note(ctx context.Context, account string) func(text string) {
	return func(text string) {
		a.log.InfoContext(ctx, "a note on the account's password", "username", account, "note", a.scrubber()(text))
	}
}
