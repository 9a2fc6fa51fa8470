package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/engines"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
	"github.com/dbrotation/dbrotation/rotator"
)

// prover is one rotation of one secret, and what is asked about it.
type prover struct {
	options
	*report
	consent func(ctx context.Context) error

	client *secretsmanager.Client
	roots  *x509.CertPool
	driver dbdrivers.Driver
	// here is true where this machine reaches the database.
	here bool
	// sent is true once RotateSecret was called.
	sent bool
}

// prove does all, and returns nil only where everything that was checked holds.
func (p *prover) prove(ctx context.Context) error {
	err := p.stages(ctx)
	switch {
	case ctx.Err() == nil:
		return err
	case p.sent:
		return fmt.Errorf("interrupted; the rotation goes on without this command, and its labels tell how it ended (aws secretsmanager describe-secret --secret-id %s)", p.secret)
	}
	return errors.New("interrupted; nothing was changed")
}

func (p *prover) stages(ctx context.Context) error {
	before, former, err := p.look(ctx)
	if err != nil {
		return fmt.Errorf("%w. Nothing was changed", err)
	}
	if err := p.consent(ctx); err != nil {
		return err
	}
	token := uuid.NewString()
	began := time.Now()
	after, err := p.rotate(ctx, before, token)
	if err != nil {
		return err
	}
	took := time.Since(began)

	p.section("The secret after")
	p.row(labelCurrent, "version "+after.version(labelCurrent))
	p.row(labelPrevious, "version "+after.version(labelPrevious))
	p.row("time taken", took.Round(100*time.Millisecond).String()+", as seen from here")
	faults, err := p.check(ctx, before, after, former, token)
	if err != nil {
		return err
	}
	if faults > 0 {
		return fmt.Errorf("the rotation ended, and what is marked NO does not hold. %s", after.whereTheLogIs())
	}
	p.line(fmt.Sprintf("\nproven: %s %s", p.engine, p.strategy))
	return nil
}

// look reads everything that the rotation is decided by, tells it, and finds what
// stands against it. It changes nothing.
func (p *prover) look(ctx context.Context) (description, *document, error) {
	refused := func(err error) (description, *document, error) { return description{}, nil, err }
	var err error
	if p.options.roots != "" {
		if p.roots, err = tlsconf.RootsWith(p.options.roots); err != nil {
			return refused(fmt.Errorf("-roots cannot be used: %w", err))
		}
	}
	if p.client, err = connect(ctx, p.secret); err != nil {
		return refused(err)
	}
	before, err := p.describe(ctx)
	if err != nil {
		return refused(err)
	}
	if err := before.refusal(); err != nil {
		return refused(err)
	}
	former, err := p.read(ctx, before.version(labelCurrent))
	if err != nil {
		return refused(err)
	}
	if p.driver, err = former.driver(); err != nil {
		return refused(err)
	}
	if is, want := p.driver.Traits().Engine, engines.Table()[p.engine].Traits().Engine; is != want {
		return refused(fmt.Errorf("the secret is of the engine %q, and ENGINE is %q: give the one that the secret has", former.Engine, p.engine))
	}
	if p.strategy == "" {
		if p.strategy, err = former.strategy(); err != nil {
			return refused(err)
		}
	}
	login, err := former.login(p.driver.Traits(), p.roots)
	if err != nil {
		return refused(err)
	}

	p.line("One rotation of " + aws.ToString(before.ARN))
	p.row("function", aws.ToString(before.RotationLambdaARN))
	p.row("database", fmt.Sprintf("%s, at %s", former.Engine, login.Address()))
	p.row("strategy", string(p.strategy))
	p.row("account", former.Username)
	p.row(labelCurrent, "version "+before.version(labelCurrent))
	if id := before.version(labelPrevious); id != "" {
		p.row(labelPrevious, "version "+id)
	}
	told, err := p.reach(ctx, login)
	if err != nil {
		return refused(err)
	}
	p.row("from here", told)
	p.line("\nThis calls RotateSecret once. " + promise(p.strategy, former, p.here))
	return before, former, nil
}

// promise says what a strategy is about to do.
func promise(strategy rotator.Strategy, former *document, here bool) string {
	var told string
	switch next := former.next(strategy); strategy {
	case rotator.Alternating:
		told = fmt.Sprintf("The password of %q is changed, and applications are handed that account; %q keeps its password.", next, former.Username)
	case rotator.DualPassword:
		told = fmt.Sprintf("%q is given a new password, and the present one opens beside it until the next rotation.", next)
	default:
		told = fmt.Sprintf("The password of %q is changed: sign-ins with the present one fail from then on.", next)
		if here {
			told += " One failed sign-in from here proves that."
		}
	}
	return told
}

// read reads a version, and keeps its password out of what is printed.
func (p *prover) read(ctx context.Context, id string) (*document, error) {
	out, err := p.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &p.secret, VersionId: &id})
	if err != nil {
		return nil, meaning("secretsmanager:GetSecretValue", p.secret, err)
	}
	d, err := newDocument(aws.ToString(out.SecretString))
	if err != nil {
		return nil, err
	}
	p.hide(d.password)
	return d, nil
}

const (
	// The pauses between two questions for the labels grow from the first to
	// the second.
	firstPause, longestPause = 500 * time.Millisecond, 10 * time.Second
)

// rotate calls RotateSecret and waits until AWSCURRENT is on the new version. last
// is what the secret was described as before.
func (p *prover) rotate(ctx context.Context, last description, token string) (description, error) {
	p.section("RotateSecret")
	p.sent = true
	if _, err := p.client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &p.secret, ClientRequestToken: &token}); err != nil {
		err = meaning("secretsmanager:RotateSecret", p.secret, err)
		if errors.Is(err, errDenied) {
			return description{}, fmt.Errorf("%w; lambda:InvokeFunction on the function is needed too. No rotation was begun", err)
		}
		return description{}, fmt.Errorf("%w; the secret's labels tell whether a rotation was begun", err)
	}
	p.row("new version", token)
	stop := time.Now().Add(p.timeout)
	seen := false
	for pause := firstPause; ; pause = min(pause*3/2, longestPause) {
		now, err := p.describe(ctx)
		switch {
		case err == nil:
			last = now
			labels := now.VersionIdsToStages[token]
			if slices.Contains(labels, labelCurrent) {
				return now, nil
			}
			if seen && len(labels) == 0 {
				return description{}, fmt.Errorf("the rotation was given up: version %s has no label any more; there are %s. %s", token, last.labels(), last.whereTheLogIs())
			}
			seen = seen || len(labels) > 0
		case ctx.Err() != nil, errors.Is(err, errDenied):
			return description{}, err
		case !time.Now().Before(stop):
			return description{}, fmt.Errorf("the labels cannot be read: %w", err)
		}
		if !time.Now().Before(stop) {
			return description{}, fmt.Errorf("the rotation has not ended in %s: there are %s. %s. "+
				"Secrets Manager may deliver it again; AWSPENDING may hold the database's password: docs/operating.md says what to do under \"When a rotation fails\"",
				p.timeout, last.labels(), last.whereTheLogIs())
		}
		if !sleep(ctx, min(pause, time.Until(stop))) {
			return description{}, ctx.Err()
		}
	}
}

// check asks whether what the strategy promises holds, and counts what does not.
func (p *prover) check(ctx context.Context, before, after description, former *document, token string) (faults int, err error) {
	p.section("Is it true?")
	hold := func(ok bool, yes, no string) {
		if ok {
			p.proof(yes)
			return
		}
		p.fault(no)
		faults++
	}
	was := before.version(labelCurrent)
	hold(after.version(labelCurrent) == token && after.version(labelPrevious) == was,
		"AWSCURRENT moved to the new version, and AWSPREVIOUS to the one before", "the labels are not where they should be: "+after.labels())
	current, err := p.read(ctx, token)
	if err != nil {
		return 0, fmt.Errorf("the rotation ended, and its version cannot be read: %w", err)
	}
	next := former.next(p.strategy)
	hold(current.Username == next, fmt.Sprintf("it holds the account %q, as %s promises", next, p.strategy),
		fmt.Sprintf("it holds the account %q, and %s promises %q; where the function's STRATEGY overrides the secret, say -strategy", current.Username, p.strategy, next))
	hold(!current.password.Equal(former.password), "its password is a new one", "its password is the former one")
	differing := former.differences(current)
	hold(len(differing) == 0, "it differs in the credential alone", "it differs in more than the credential: "+strings.Join(differing, ", "))
	if err := p.checkSignIns(ctx, former, current, hold); err != nil {
		return 0, err
	}
	return faults, p.checkReplicas(ctx, after, hold)
}

// checkReplicas tells the status of the secret's replicas, and waits for those
// that are on their way.
func (p *prover) checkReplicas(ctx context.Context, now description, hold func(ok bool, yes, no string)) error {
	told, failed, underWay := now.replicas()
	stop := time.Now().Add(min(p.timeout, time.Minute))
	for underWay && time.Now().Before(stop) {
		if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
		var err error
		if now, err = p.describe(ctx); err != nil {
			return fmt.Errorf("the rotation ended, and the status of the replicas cannot be read: %w", err)
		}
		told, failed, underWay = now.replicas()
	}
	if len(told) == 0 {
		p.row("replicas", "none")
		return nil
	}
	hold(!failed && !underWay, "the secret's replicas have it: "+strings.Join(told, ", "), "not all replicas of the secret have it: "+strings.Join(told, ", "))
	return nil
}

// sleep pauses. It reports false where ctx ended.
func sleep(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}
