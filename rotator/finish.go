package rotator

import (
	"context"
	"fmt"
	"slices"
)

// finish makes the pending version current. Two calls: describe, move
// AWSCURRENT.
//
// A move whose answer was lost may have been done, so after any error the
// labels are read again: AWSCURRENT on the token is success.
func (a *attempt) finish(ctx context.Context) error {
	token := a.event.ClientRequestToken
	var description Description
	var labels []string
	err := poll(ctx, greatestLag, func() (found bool, err error) {
		description, err = a.describe(ctx)
		labels = description.Labels[token]
		return err != nil || labels != nil, err
	})
	if err != nil {
		return err
	}
	a.overlaps(description)
	done, err := a.checkPendingLabel(labels)
	if err != nil {
		return err
	}
	if !done {
		moved := a.store(ctx, "moving AWSCURRENT", func(ctx context.Context) error {
			return a.config.Secrets.MoveLabel(ctx, MoveLabelRequest{
				SecretID: a.event.SecretID, Label: labelCurrent, From: description.holder(labelCurrent), To: token,
			})
		})
		if moved != nil && !a.isCurrent(ctx) {
			return moved
		}
		a.outcome = "current"
	}
	return a.replicas(ctx, description.Replicas)
}

// isCurrent reports whether the token's version carries AWSCURRENT.
func (a *attempt) isCurrent(ctx context.Context) bool {
	description, err := a.describe(ctx)
	return err == nil && slices.Contains(description.Labels[a.event.ClientRequestToken], labelCurrent)
}

// replicas reports the secret's replicas in other Regions, and waits for them
// where the function is configured to.
func (a *attempt) replicas(ctx context.Context, replicas []Replica) error {
	if a.config.WaitForReplicas > 0 && len(replicas) > 0 {
		err := poll(ctx, a.config.WaitForReplicas, func() (bool, error) {
			description, err := a.describe(ctx)
			if err == nil {
				replicas = description.Replicas
			}
			return err == nil && !slices.ContainsFunc(replicas, func(r Replica) bool { return r.Status == "InProgress" }), err
		})
		if err != nil {
			return fmt.Errorf("waiting for the secret's replicas: %w", err)
		}
	}
	for _, replica := range replicas {
		if replica.Status != "InSync" {
			a.log.WarnContext(ctx, "a replica of the secret does not hold the new version yet",
				"region", replica.Region, "status", replica.Status, "message", replica.Message)
		}
	}
	return nil
}
