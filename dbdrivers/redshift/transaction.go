package redshift

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// defaultStatementTimeout is where the context has no deadline.
const defaultStatementTimeout = 30 * time.Second

// timeout is the setting that makes the server give up before the caller does,
// or a change could take effect after the caller has gone. It is in
// milliseconds; an account's own may be too short.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_statement_timeout.html
func timeout(ctx context.Context) string {
	left := defaultStatementTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
		left -= max(left/5, 50*time.Millisecond)
	}
	return "SET statement_timeout TO " + strconv.FormatInt(max(left.Milliseconds(), 1), 10)
}

// run sends statements, each in a message of its own.
func run(ctx context.Context, session *pgwire.Session, statements ...string) error {
	for _, sql := range statements {
		if _, err := session.Run(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// commit ends a transaction for good.
func commit(ctx context.Context, session *pgwire.Session, doing string) error {
	tag, err := session.Run(ctx, "COMMIT")
	if err != nil {
		return failed(doing, err, pgwire.Unknown, nil)
	}
	if tag != "COMMIT" {
		return dbdrivers.Classify(dbdrivers.ErrUnreachable, doing, fmt.Errorf("the server answered %q to COMMIT", tag))
	}
	return nil
}

// collisions bounds how often a transaction is tried anew because another one
// was in the way. Of those that meet one succeeds each time.
const collisions = 12

// repeated tries once again where it met another transaction.
func repeated(ctx context.Context, session *pgwire.Session, inTransaction bool, once func() error) error {
	var err error
	for try := range collisions {
		if err = once(); err == nil || !collided(err) || session.Ended() {
			return err
		}
		if inTransaction {
			if _, undone := session.Run(ctx, "ROLLBACK"); undone != nil {
				return err
			}
		}
		wait := time.Duration(1+rand.IntN(10*(try+1))) * time.Millisecond //nolint:gosec // it scatters retries and guards nothing
		if !pause(ctx, wait) {
			return err
		}
	}
	return err
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
