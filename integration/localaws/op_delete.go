package localaws

import (
	"errors"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

type deleteSecretInput struct {
	SecretId                   *string
	RecoveryWindowInDays       *int64
	ForceDeleteWithoutRecovery bool
}

type deleteSecretOutput struct {
	ARN, Name    string
	DeletionDate epoch
}

const defaultRecoveryDays = 30

// deleteSecret is DeleteSecret:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html.
func (rq *request) deleteSecret(in *deleteSecretInput) (any, error) {
	if err := checkSecretID(new(validation), in.SecretId); err != nil {
		return nil, err
	}
	days := int64(defaultRecoveryDays)
	if in.RecoveryWindowInDays != nil {
		if in.ForceDeleteWithoutRecovery {
			return nil, refuse(codeInvalidParameter, "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		}
		if days = *in.RecoveryWindowInDays; days < 7 || days > 30 {
			return nil, refuse(codeInvalidParameter, "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
		}
	}
	var date time.Time
	store := rq.server.store
	secret, err := store.Update(rq.region, *in.SecretId, func(c *secretstore.Change) error {
		if in.ForceDeleteWithoutRecovery {
			date = c.Now
			c.Remove()
		} else {
			if err := live(c.Secret); err != nil {
				return err
			}
			date = c.Now.AddDate(0, 0, int(days))
			c.Deleted, c.Purge = c.Now, date
		}
		// The rotation stays in flight: RestoreSecret takes it up.
		arn := c.ARN
		c.After(func() { rq.server.rotations.stop(arn, errRotationDeleted) })
		return nil
	})
	if errors.Is(err, secretstore.ErrNotFound) && in.ForceDeleteWithoutRecovery && namePattern.MatchString(*in.SecretId) {
		// Forced, the deletion of what is not there succeeds, with an ARN that
		// never was.
		return deleteSecretOutput{
			ARN: store.NewARN(rq.region, *in.SecretId), Name: *in.SecretId, DeletionDate: epoch{rq.server.cfg.Now()},
		}, nil
	}
	if err != nil {
		return nil, err
	}
	return deleteSecretOutput{ARN: secret.ARN, Name: secret.Name, DeletionDate: epoch{date}}, nil
}

type restoreSecretInput struct{ SecretId *string }

// restoreSecret is RestoreSecret:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RestoreSecret.html.
// A secret that is not marked for deletion stays as it is. A rotation that the
// deletion interrupted is taken up again.
func (rq *request) restoreSecret(in *restoreSecretInput) (any, error) {
	if err := checkSecretID(new(validation), in.SecretId); err != nil {
		return nil, err
	}
	secret, err := rq.server.store.Update(rq.region, *in.SecretId, func(c *secretstore.Change) error {
		if c.Deleted.IsZero() {
			c.Discard()
			return nil
		}
		c.Deleted, c.Purge = time.Time{}, time.Time{}
		rq.server.resume(c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return secretOutput{ARN: secret.ARN, Name: secret.Name}, nil
}
