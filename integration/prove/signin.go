package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/rotator"
)

const (
	// greatestSignIn bounds one sign-in from here, as the function bounds its
	// own.
	greatestSignIn = 45 * time.Second
	// greatestSettling bounds the wait for a change on an engine that shows it
	// late.
	greatestSettling = 30 * time.Second
)

const notReachable = "the database is not reachable from here; testSecret signed in from where the function runs"

// verify signs in from here, by the engine's own driver.
func (p *prover) verify(ctx context.Context, login dbdrivers.Login) error {
	ctx, cancel := context.WithTimeout(ctx, greatestSignIn)
	defer cancel()
	return p.driver.Verify(ctx, dbdrivers.VerifyRequest{Login: login})
}

// reach finds out whether this machine reaches the database, with the current
// credential. Where it does, that credential has to open it: a rotation would
// prove nothing otherwise.
func (p *prover) reach(ctx context.Context, login dbdrivers.Login) (told string, err error) {
	if !p.fromHere {
		return "not asked", nil
	}
	err = p.verify(ctx, login)
	switch {
	case err == nil:
		p.here = true
		return "AWSCURRENT signs in", nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, dbdrivers.ErrUnreachable):
		return "not reachable", nil
	case errors.Is(err, dbdrivers.ErrTLS):
		return "", fmt.Errorf("signing in from here: %w; give the function's SSL_ROOTS as -roots too, or leave this out by -from-here=false", err)
	case errors.Is(err, dbdrivers.ErrRefused):
		return "", fmt.Errorf("AWSCURRENT does not open the database, so there is nothing to begin from: %w; docs/operating.md says what to do under \"Nothing opens\"", err)
	}
	return "", fmt.Errorf("signing in from here: %w; correct that, or leave this out by -from-here=false", err)
}

// checkSignIns asks the database itself about the new credential and the former
// one, where this machine reaches it.
func (p *prover) checkSignIns(ctx context.Context, former, current *document, hold func(ok bool, yes, no string)) error {
	switch {
	case !p.fromHere:
		p.row("sign-ins", "none from here; testSecret signed in from where the function runs")
		return nil
	case !p.here:
		p.row("sign-ins", notReachable)
		return nil
	}
	traits := p.driver.Traits()
	opens := func(d *document, want func(error) bool) error {
		login, err := d.login(traits, p.roots)
		if err != nil {
			return err
		}
		err = p.verify(ctx, login)
		// A third refusal could lock the account where refusals are counted.
		for stop := time.Now().Add(greatestSettling); traits.SettlesLate && !traits.CountsRefusals && !want(err) && time.Now().Before(stop) && sleep(ctx, time.Second); {
			err = p.verify(ctx, login)
		}
		return err
	}
	opened := func(err error) bool { return err == nil }
	refused := func(err error) bool { return errors.Is(err, dbdrivers.ErrRefused) }

	err := opens(current, opened)
	hold(opened(err), fmt.Sprintf("the new credential signs in from here, as %q", current.Username), fmt.Sprintf("the new credential does not sign in from here: %v", err))
	if p.strategy == rotator.Single {
		err = opens(former, refused)
		hold(refused(err), "the former credential is refused", "the former credential is not refused, as single promises: "+outcome(err))
	} else {
		err = opens(former, opened)
		hold(opened(err), fmt.Sprintf("the former credential still signs in, as %q", former.Username),
			fmt.Sprintf("the former credential does not sign in any more, as %s promises: %s", p.strategy, outcome(err)))
	}
	return ctx.Err()
}

// outcome is what a sign-in came to, in words.
func outcome(err error) string {
	if err == nil {
		return "it signs in; where the function's STRATEGY overrides the secret, say -strategy"
	}
	return err.Error()
}
