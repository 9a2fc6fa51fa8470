package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// application signs in, in a loop, with what it last read of the secret. It
// reads when it is told to, and not because a sign-in fails: what it holds has
// to open the database all through a rotation.
type application struct {
	demo     *demo
	told     atomic.Bool // to stop
	done     sync.WaitGroup
	holds    atomic.Pointer[credential]
	signedIn atomic.Int64
	failed   atomic.Int64
	// failure is the first of those that failed, read once it has ended.
	failure error
	// from is where in the server's log it began.
	from int
}

// credential is what an application signs in with.
type credential struct{ username, password string }

func (d *demo) startApplication(ctx context.Context) (*application, error) {
	log, err := d.server.Log(ctx)
	if err != nil {
		return nil, err
	}
	app := &application{demo: d, from: len(log)}
	if err := app.read(ctx); err != nil {
		return nil, err
	}
	app.done.Go(func() {
		for !app.told.Load() && ctx.Err() == nil {
			err := d.signIn(ctx, *app.holds.Load())
			switch {
			case ctx.Err() != nil: // the demo was interrupted
			case err == nil:
				app.signedIn.Add(1)
			default:
				app.failed.Add(1)
				if app.failure == nil {
					app.failure = err
				}
				time.Sleep(betweenFailures)
			}
		}
	})
	return app, nil
}

// betweenFailures keeps an application that is shut out from doing nothing else.
const betweenFailures = 50 * time.Millisecond

func (d *demo) signIn(ctx context.Context, c credential) error {
	conn, err := d.engine.connect(ctx, d.server.Login(c.username, c.password))
	if err != nil {
		return err
	}
	conn.leave(ctx)
	return nil
}

func (a *application) read(ctx context.Context) error {
	username, password, err := a.demo.credential(ctx, "AWSCURRENT")
	if err == nil {
		a.holds.Store(&credential{username, password})
	}
	return err
}

// readsAgain lets it read the secret, and waits until it has tried what it read.
func (a *application) readsAgain(ctx context.Context) error {
	if err := a.read(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	// The first of the two may have begun with what it held before.
	for before := a.tries(); a.tries() < before+2; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return errors.New("the application does not sign in")
		case <-tick.C:
		}
	}
	return nil
}

func (a *application) tries() int64 { return a.signedIn.Load() + a.failed.Load() }

// stop ends the application after the sign-in that it is at. It may be called
// again.
func (a *application) stop() {
	a.told.Store(true)
	a.done.Wait()
}
