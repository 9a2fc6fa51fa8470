package rotator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// greatestReplicaLag bounds the wait for a change to arrive at a host that is
// not the writer. It is within half of the function's time that is left, too.
const greatestReplicaLag = 30 * time.Second

// arrives is called where the secret's host refused pending. An admin sets
// passwords at the writer; a host that is known to be another server, a replica
// or a reader, may take some time to have the change. Such a refusal is tried
// again, within a bound. Any other is final, and refused is returned as it is.
func (a *attempt) arrives(ctx context.Context, d *document, login dbdrivers.Login, itself Relation, refused error) error {
	// A Topology alone could know the host to be another server.
	if d.adminARN == "" || a.config.Topology == nil {
		return refused
	}
	admin, err := a.admin(ctx, d, login, itself)
	if err != nil {
		return fmt.Errorf("%w (whether the host may only lag behind the admin's server was not to be found out: %s)", refused, err.Error())
	}
	lags := admin.relation.Kind == RelationReplica || admin.relation.Kind == RelationMember && !admin.relation.Writer
	if !lags {
		return refused
	}
	former, changes, err := a.former(ctx, d, login)
	if err != nil {
		return fmt.Errorf("%w (which credential the host may still take was not to be found out: %s)", refused, err.Error())
	}
	if !changes {
		return refused
	}

	began := time.Now()
	shown, err := a.await(ctx, former, func() error { return a.signIn(ctx, d, login) }, refused)
	if !errors.Is(err, dbdrivers.ErrRefused) {
		return err
	}
	if shown {
		return fail(ClassRefused, "Secrets Manager calls this step again; or rotate again.",
			"%q is not the writer. The change arrived there late, for it refuses the credential before this rotation by now; pending is not asked again, because two refusals in a row are as many as this engine may safely be given: %w",
			login.Host, err)
	}
	return fail(ClassRefused, fmt.Sprintf("Rotate again when the host has caught up; raise the function's time-out, half of which is waited, but no more than %s; or name the writer as the %q.", greatestReplicaLag, fieldHost),
		"%q is not the writer %q, where the admin sets passwords, and has not caught up with it in %s: %w",
		login.Host, admin.login.Host, time.Since(began).Round(time.Millisecond), err)
}

// former is the login by which the host opens as long as the change has not
// arrived there: the account's credential before this rotation. It is nil where
// no version is known to hold it. changes is false where pending is a copy of
// current, as RotateImmediately=false makes one: nothing is on its way then.
func (a *attempt) former(ctx context.Context, d *document, login dbdrivers.Login) (former *dbdrivers.Login, changes bool, err error) {
	last, err := a.under(ctx, labelCurrent)
	if err != nil || last.names(d) && last.password.Equal(d.password) {
		return nil, false, err
	}
	switch a.strategyName {
	case DualPassword:
		return nil, true, nil // current opens before the change and after it
	case Alternating:
		if last, err = a.under(ctx, labelPrevious); err != nil {
			return nil, false, err
		}
	}
	if !last.names(d) || last.password.Equal(d.password) {
		return nil, true, nil
	}
	login.Password = last.password
	return &login, true, nil
}

// under reads a version by its label. It is nil where there is none that holds a
// valid document.
func (a *attempt) under(ctx context.Context, label string) (*document, error) {
	version, err := a.get(ctx, a.event.SecretID, VersionRef{Label: label})
	if errors.Is(err, ErrNoSuchVersion) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d, faults := a.document(version)
	if len(faults) > 0 {
		return nil, nil
	}
	return d, nil
}

// names reports whether both documents name one account of one server.
func (d *document) names(other *document) bool {
	return d != nil && d.username == other.username && d.host == other.host && d.port == other.port
}

// await asks as pending again until the host does not refuse it, and returns the
// last answer. While former opens there, the change has not arrived, and pending
// is not asked: no sign-in fails for the waiting.
//
// On an engine that counts refusals a step never meets a third one. The second
// is then the one that decides: former's, by which the change is shown to have
// arrived, and the next delivery signs in as pending; where there is no former
// one, pending's at the end of the wait.
func (a *attempt) await(ctx context.Context, former *dbdrivers.Login, pending func() error, refused error) (shown bool, err error) {
	if former == nil && a.traits.CountsRefusals {
		if !pause(ctx, greatestReplicaLag) {
			return false, refused
		}
		return false, pending()
	}
	err = poll(ctx, greatestReplicaLag, func() (bool, error) {
		if former != nil {
			asked := a.verify(ctx, *former)
			switch {
			case isPassword(asked), errors.Is(asked, dbdrivers.ErrPrivilege):
				return false, refused
			case !errors.Is(asked, dbdrivers.ErrRefused):
				return true, fmt.Errorf("finding out by the credential before this rotation whether the change has arrived: %w", asked)
			}
			former = nil
			if a.traits.CountsRefusals {
				shown = true
				return true, refused
			}
		}
		refused = pending()
		return !errors.Is(refused, dbdrivers.ErrRefused), refused
	})
	return shown, err
}

// pause waits for limit, but no longer than half of the time that is left. It
// reports false where ctx ended.
func pause(ctx context.Context, limit time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(limit):
		return true
	}
}
