package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// turns is how often the two accounts take turns in the demo.
const turns = 3

// alternating shows two accounts that take turns, while an application signs
// in all the time with what it last read.
func (d *demo) alternating(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	if err := d.server.Exec(ctx, "CREATE SCHEMA shop AUTHORIZATION "+username); err != nil {
		return err
	}
	admin, err := d.store(ctx, "demo/admin", map[string]any{
		"engine": "postgres", "host": d.server.Host, "port": d.server.Port,
		"username": d.server.Admin.Username, "password": d.server.Admin.Password.Reveal(),
	})
	if err != nil {
		return err
	}
	document := d.document()
	document["masterarn"] = admin
	if err := d.createSecret(ctx, document); err != nil {
		return err
	}
	d.row("admin's secret", admin)

	app := d.startApplication(ctx)
	defer func() { _, _ = app.stop() }()
	var passwords []string
	for turn := range turns {
		// A credential is good until the rotation after the next one: the
		// application reads between two of them.
		if err := app.reads(ctx); err != nil {
			return err
		}
		if err := d.rotate(ctx, fmt.Sprintf("Turn %d", turn+1)); err != nil {
			return err
		}
		username, password, err := d.credential(ctx, "AWSCURRENT")
		if err != nil {
			return err
		}
		passwords = append(passwords, password)
		if err := d.shareTables(ctx, turn, username, password); err != nil {
			return err
		}
	}
	if err := d.labels(ctx, "The secret after"); err != nil {
		return err
	}

	d.section("Is it true?")
	serverLog, err := d.server.Log(ctx)
	if err != nil {
		return err
	}
	signedIn, failure := app.stop()
	if failure != nil {
		return fmt.Errorf("the application's sign-in: %w", failure)
	}
	if signedIn == 0 {
		return errors.New("the application never signed in")
	}
	d.proof(fmt.Sprintf("the application signed in %d times with what it last read; failed logins: 0", signedIn))
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
	return d.proveLogs(serverLog, append(passwords, d.first, d.server.Admin.Password.Reveal()))
}

// shareTables makes a table as whoever's turn it is, and uses those that the
// other made before.
func (d *demo) shareTables(ctx context.Context, turn int, username, password string) error {
	conn, err := dbservers.Connect(ctx, d.server.Login(username, password))
	if err != nil {
		return fmt.Errorf("signing in as %s: %w", username, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for earlier := range turn {
		if _, err := conn.Exec(ctx, fmt.Sprintf("INSERT INTO shop.turn_%d VALUES ($1)", earlier+1), turn); err != nil {
			return fmt.Errorf("writing into the table of turn %d as %s: %w", earlier+1, username, err)
		}
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf("CREATE TABLE shop.turn_%d (turn int)", turn+1)); err != nil {
		return fmt.Errorf("creating a table as %s: %w", username, err)
	}
	d.proof(fmt.Sprintf("%s creates a table, and writes into %d that were there", username, turn))
	return nil
}

// application signs in, in a loop, with what it last read of the secret.
type application struct {
	cancel   context.CancelFunc
	done     sync.WaitGroup
	ended    chan struct{}
	signedIn atomic.Int64
	failure  error
}

func (d *demo) startApplication(ctx context.Context) *application {
	ctx, cancel := context.WithCancel(ctx)
	app := &application{cancel: cancel, ended: make(chan struct{})}
	app.done.Go(func() {
		defer close(app.ended)
		for ctx.Err() == nil && app.failure == nil {
			username, password, err := d.credential(ctx, "AWSCURRENT")
			if err == nil {
				err = d.signIn(ctx, username, password)
			}
			if ctx.Err() != nil {
				return // it was told to stop
			}
			if app.failure = err; err == nil {
				app.signedIn.Add(1)
			}
		}
	})
	return app
}

func (d *demo) signIn(ctx context.Context, username, password string) error {
	conn, err := dbservers.Connect(ctx, d.server.Login(username, password))
	if err != nil {
		return err
	}
	return conn.Close(context.WithoutCancel(ctx))
}

// reads waits until the application has read the secret and signed in anew.
func (a *application) reads(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for before := a.signedIn.Load(); a.signedIn.Load() < before+2; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.ended:
			return nil // stop tells why
		case <-limit:
			return errors.New("the application does not sign in")
		case <-tick.C:
		}
	}
	return nil
}

// stop ends the application and tells how it went. It may be called again.
func (a *application) stop() (signedIn int64, failure error) {
	a.cancel()
	a.done.Wait()
	return a.signedIn.Load(), a.failure
}
