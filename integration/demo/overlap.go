package main

import (
	"context"
	"errors"
	"fmt"
)

// turns is how often the demo rotates where each credential goes on opening
// the database until the rotation after the next one.
const turns = 3

// whileAnApplicationSignsIn rotates in a row while an application signs in with
// what it last read. after, if there is one, is called after each rotation.
func (d *demo) whileAnApplicationSignsIn(ctx context.Context, title string, after func(ctx context.Context, turn int, username, password string) error) error {
	app, err := d.startApplication(ctx)
	if err != nil {
		return err
	}
	defer app.stop()
	credentials := []credential{{username, d.first}}
	for turn := range turns {
		// A credential is good until the rotation after the next one: the
		// application reads once between two of them.
		if err := app.readsAgain(ctx); err != nil {
			return err
		}
		if err := d.rotate(ctx, fmt.Sprintf("%s %d", title, turn+1)); err != nil {
			return err
		}
		username, password, err := d.credential(ctx, "AWSCURRENT")
		if err != nil {
			return err
		}
		credentials = append(credentials, credential{username, password})
		if after == nil {
			continue
		}
		if err := after(ctx, turn, username, password); err != nil {
			return err
		}
	}
	if err := d.labels(ctx, "The secret after"); err != nil {
		return err
	}

	d.section("Is it true?")
	app.stop()
	if err := d.proveNobodyWasKeptOut(ctx, app); err != nil {
		return err
	}
	// Read before the proofs sign in: what they log is not the rotation's.
	logs, err := d.server.Logs(ctx)
	if err != nil {
		return err
	}
	if err := d.proveOverlap(ctx, credentials); err != nil {
		return err
	}
	passwords := []string{d.server.Admin.Password.Reveal()}
	for _, c := range credentials {
		passwords = append(passwords, c.password)
	}
	return d.proveLogs(logs, passwords)
}

// proveNobodyWasKeptOut counts the application's logins, as it saw them and as the
// server's log tells of them.
func (d *demo) proveNobodyWasKeptOut(ctx context.Context, app *application) error {
	log, err := d.server.Log(ctx)
	if err != nil {
		return err
	}
	signedIn, failed := app.signedIn.Load(), app.failed.Load()
	refused := len(d.engine.refused.FindAllString(log[app.from:], -1))
	switch {
	case failed > 0:
		return fmt.Errorf("the application signed in %d times; failed logins: %d, the first: %w", signedIn, failed, app.failure)
	case refused > 0:
		return fmt.Errorf("the server's log has %d failed logins, of which the application knows nothing", refused)
	case signedIn == 0:
		return errors.New("the application never signed in")
	}
	d.proof(fmt.Sprintf("the application signed in %d times with what it had last read; failed logins: %d (in the server's log: %d)", signedIn, failed, refused))
	return nil
}

// proveOverlap asks the server which of the credentials, the oldest first, open
// the database: the last two, which the labels name.
func (d *demo) proveOverlap(ctx context.Context, credentials []credential) error {
	for _, label := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		username, password, err := d.credential(ctx, label)
		if err != nil {
			return err
		}
		if open, err := d.server.Opens(ctx, username, password); err != nil {
			return err
		} else if !open {
			return fmt.Errorf("%s does not open the database", label)
		}
		d.proof(fmt.Sprintf("%s opens the database, as %q", label, username))
	}
	for _, old := range credentials[:len(credentials)-2] {
		if open, err := d.server.Opens(ctx, old.username, old.password); err != nil {
			return err
		} else if open {
			return errors.New("a credential from before the last two still opens the database")
		}
	}
	d.proof("what was current before those two is refused")
	return nil
}
