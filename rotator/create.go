package rotator

import (
	"context"
	"errors"
)

// create makes the pending version: the current document with a new password,
// stored under the rotation's token. The database is not asked.
//
// Three calls: describe, read current, put. Where an earlier delivery stored
// a pending version already, that one stands.
func (a *attempt) create(ctx context.Context) error {
	token := a.event.ClientRequestToken
	var description Description
	var labels []string
	err := poll(ctx, greatestLag, func() (found bool, err error) {
		description, err = a.describe(ctx)
		if err != nil {
			return true, err
		}
		labels, found = description.Labels[token]
		return found, nil
	})
	if err != nil {
		return err
	}
	if !description.RotationEnabled {
		return fail(ClassLabel, "Turn rotation on with RotateSecret.", "rotation is not enabled for this secret")
	}
	if description.OwningService != "" {
		return fail(ClassForbidden, "Leave its rotation to that service.", "the secret is managed by the service %q", description.OwningService)
	}
	if labels == nil {
		return fail(ClassLabel, "Secrets Manager alone is meant to call this function, with the token of a rotation it began.",
			"the secret has no version %s", token)
	}
	if done, err := a.checkPendingLabel(labels); done || err != nil {
		return err
	}

	version, err := a.get(ctx, a.event.SecretID, VersionRef{Label: labelCurrent})
	if errors.Is(err, ErrNoSuchVersion) {
		return fail(ClassInvalidSecret, "Store the account's present credential with PutSecretValue, take AWSPENDING off the version "+token+" and rotate again.",
			"the secret has no value under %s yet: %w", labelCurrent, err)
	}
	if err != nil {
		return err
	}
	if a.isDone(version) {
		return nil
	}
	current, err := a.current(version)
	if err != nil {
		return err
	}

	recipe, _ := a.recipe(current) // its faults are among the document's
	password, err := recipe.generate()
	if err != nil {
		return err
	}
	a.remember(password.Reveal())
	value, err := current.withCredential(a.nextUsername(current), password)
	if err != nil {
		return err
	}
	err = a.store(ctx, "storing the pending version", func(ctx context.Context) error {
		return a.config.Secrets.Put(ctx, PutRequest{
			SecretID: a.event.SecretID, VersionID: token, RotationToken: a.event.RotationToken, Value: value,
		})
	})
	if errors.Is(err, ErrVersionExists) {
		stored, err := a.pendingVersion(ctx)
		if err != nil {
			return err
		}
		if _, err := a.pending(stored, current); err != nil {
			return err
		}
		a.outcome = "already stored"
		return nil
	}
	if err != nil {
		return err
	}
	a.outcome = "stored"
	return nil
}
