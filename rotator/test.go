package rotator

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// test proves that the pending version opens the database. One call: the
// pending version by the token, and one sign-in, at the secret's host or, where
// that is a proxy's, at the server behind it.
//
// It looks at no other version: with RotateImmediately=false Secrets Manager
// calls this step alone, on a version that holds a copy of current. A host that
// may lag behind the writer is the one exception, after a refusal.
func (a *attempt) test(ctx context.Context) error {
	version, err := a.pendingVersion(ctx)
	if err != nil {
		return err
	}
	if done, err := a.checkPendingLabel(version.Labels); done || err != nil {
		return err
	}
	d, err := a.current(version)
	var document *DocumentError
	if errors.As(err, &document) {
		document.Label = labelPending
	}
	if err != nil {
		return err
	}
	itself, err := a.itself(ctx, d.host)
	if err != nil {
		return err
	}
	login, err := a.behind(a.login(d), itself)
	if err != nil {
		return err
	}
	a.outcome = "opens"
	err = a.signIn(ctx, d, login)
	if errors.Is(err, dbdrivers.ErrRefused) {
		a.outcome = "opens late"
		err = a.arrives(ctx, d, login, itself, err)
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("signing in as pending: %w", err)
	if _, remedy := classOf(err); errors.Is(err, dbdrivers.ErrRefused) && remedy == "" {
		return &failure{class: ClassRefused, err: err, remedy: "Rotate again: setSecret finds out which password the account has."}
	}
	return err
}

// signIn proves that a login of the document opens its database. Of two accounts
// that take turns it sees too whether they are equal. That was proven before the
// twin was opened; what differs by now is told, and fails nothing.
func (a *attempt) signIn(ctx context.Context, d *document, login dbdrivers.Login) error {
	if a.strategyName != Alternating {
		return a.verify(ctx, login)
	}
	differences, err := a.verifyPair(ctx, d, login)
	if err == nil {
		a.reportDifferences(ctx, d, differences)
	}
	return err
}
