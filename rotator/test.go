package rotator

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// test proves that the pending version opens the database. One call: the
// pending version by the token, and one sign-in.
//
// It looks at no other version: with RotateImmediately=false Secrets Manager
// calls this step alone, on a version that holds a copy of current.
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
	err = a.verify(ctx, a.login(d))
	switch {
	case err == nil:
		a.outcome = "opens"
		return nil
	case errors.Is(err, dbdrivers.ErrRefused):
		return &failure{class: ClassRefused, err: fmt.Errorf("signing in as pending: %w", err),
			remedy: "Rotate again: setSecret finds out which password the account has."}
	}
	return fmt.Errorf("signing in as pending: %w", err)
}
