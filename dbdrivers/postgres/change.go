package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// change is one password's change, in a session of its own.
type change struct {
	session *pgwire.Session
	req     dbdrivers.SetPasswordRequest
	doing   string
}

// collisions bounds how often a change is tried anew because another session
// changed the same account at the same moment. Of those that meet one succeeds
// each time.
const collisions = 12

// run makes the change in two round trips: one that opens the transaction and
// asks what the verifier depends on and whether the change is allowed, and one
// that changes and commits.
func (c *change) run(ctx context.Context) error {
	if c.session.Parameter("in_hot_standby") == "on" {
		return dbdrivers.Classify(dbdrivers.ErrNotWritable, c.doing, errors.New("this is a standby; name the writer in \"host\""))
	}
	var err error
	for try := range collisions {
		if err = c.once(ctx); !collided(err) || c.session.Ended() {
			return err
		}
		if _, undone := c.session.Run(ctx, "ROLLBACK"); undone != nil {
			return err
		}
		wait := time.Duration(1+rand.IntN(5*(try+1))) * time.Millisecond //nolint:gosec // it scatters retries and guards nothing
		if !pause(ctx, wait) {
			return err
		}
	}
	return err
}

// collided reports whether a change met another of the same account. The
// server has no code of its own for it, but words that it does not translate.
func collided(err error) bool {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return false
	}
	return concurrent(server) || server.Code == "40001" || server.Code == "40P01"
}

func concurrent(err *pgconn.PgError) bool {
	return err.Code == "XX000" && strings.Contains(err.Message, "concurrently")
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

func (c *change) once(ctx context.Context) error {
	facts, err := c.ask(ctx)
	if err != nil {
		return err
	}
	if err := c.allowed(facts); err != nil {
		return err
	}
	hash, err := c.hash(facts)
	if err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, c.doing, err)
	}
	iterations, err := iterationsOf(facts.iterations)
	if err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, c.doing, err)
	}
	verifier, err := newVerifier(hash, c.req.Account, c.req.Password.Reveal(), iterations)
	if err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, c.doing, err)
	}
	c.session.Keep(verifier)
	literal, err := c.session.Quote(verifier)
	if err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, c.doing, err)
	}
	tag, err := c.session.Run(ctx, "ALTER ROLE "+c.target()+" PASSWORD "+literal+"; COMMIT")
	if err != nil {
		return c.failed(err, facts)
	}
	if tag != "COMMIT" {
		return dbdrivers.Classify(dbdrivers.ErrUnreachable, c.doing, fmt.Errorf("the server answered %q to COMMIT", tag))
	}
	return nil
}

// hash settles the form of the verifier. An account that has just signed in by
// SCRAM keeps SCRAM, whatever password_encryption says: a host rule may demand
// it, which nothing shows, and then md5 would lock the account out.
func (c *change) hash(f facts) (string, error) {
	if c.req.BySelf() && c.session.BySCRAM() {
		switch c.req.Hash {
		case "":
			return hashSCRAM, nil
		case hashMD5:
			return "", fmt.Errorf("the account signs in by SCRAM, and where a host rule demands that, %q would lock it out; "+
				"take the hash out of the secret, or set an md5 password once by hand and see that it opens", hashMD5)
		}
	}
	return wantedHash(c.req.Hash, f.encryption)
}

// target names the account in the statement. By itself an account is
// SESSION_USER: its name, and the role it may be set to act as, play no part.
func (c *change) target() string {
	if c.req.BySelf() {
		return "SESSION_USER"
	}
	return pgx.Identifier{c.req.Account}.Sanitize()
}

// failed says what an error of the change itself means.
func (c *change) failed(err error, facts facts) error {
	var server *pgconn.PgError
	rules := alterRole
	if errors.As(err, &server) {
		switch {
		case concurrent(server):
			rules = pgwire.Rules{{State: "XX000", Class: dbdrivers.ErrBusy, Remedy: "another session changed the account at the same moment; try again"}}
		case server.Code == "42501":
			rules = pgwire.Rules{{State: "42501", Class: dbdrivers.ErrPrivilege, Remedy: c.missing(facts)}}
		}
	}
	return pgwire.Classify(c.doing, err, pgwire.Unknown, rules)
}
