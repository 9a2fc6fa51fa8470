package localaws

import (
	"fmt"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

type updateSecretVersionStageInput struct {
	SecretId, VersionStage, RemoveFromVersionId, MoveToVersionId *string
}

type secretOutput struct{ ARN, Name string }

// updateSecretVersionStage is UpdateSecretVersionStage:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html.
// It is how a rotation makes the pending version current; AWSPENDING stays on
// it.
func (rq *request) updateSecretVersionStage(in *updateSecretVersionStageInput) (any, error) {
	var v validation
	v.required("versionStage", in.VersionStage)
	v.length("versionStage", in.VersionStage, 1, maxLabel)
	v.length("removeFromVersionId", in.RemoveFromVersionId, minToken, maxToken)
	v.length("moveToVersionId", in.MoveToVersionId, minToken, maxToken)
	if err := checkSecretID(&v, in.SecretId); err != nil {
		return nil, err
	}
	if in.RemoveFromVersionId == nil && in.MoveToVersionId == nil {
		return nil, refuse(codeInvalidParameter, "You must provide RemoveFromVersionId, MoveToVersionId or both.")
	}
	secret, err := rq.server.store.Update(rq.region, *in.SecretId, func(c *secretstore.Change) error {
		if err := live(c.Secret); err != nil {
			return err
		}
		return moveLabel(c, *in.VersionStage, in.RemoveFromVersionId, in.MoveToVersionId)
	})
	if err != nil {
		return nil, err
	}
	return secretOutput{ARN: secret.ARN, Name: secret.Name}, nil
}

func moveLabel(c *secretstore.Change, label string, from, to *string) error {
	var target *secretstore.Version
	if to != nil {
		if target = c.Versions[*to]; target == nil {
			return noVersion(*to)
		}
	}
	holder := c.Holder(label)
	if from != nil {
		if c.Versions[*from] == nil {
			return noVersion(*from)
		}
		if holder == nil {
			return refuse(codeInvalidParameter, fmt.Sprintf("Staging label %s is not attached to version %s.", label, *from))
		}
	}
	if holder != nil && holder != target && from == nil || holder != nil && from != nil && holder.ID != *from {
		return refuse(codeInvalidParameter, fmt.Sprintf("The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", label, holder.ID))
	}
	if target == nil {
		if label == secretstore.Current {
			return refuse(codeInvalidParameter, "You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.")
		}
		c.Detach(label)
		return nil
	}
	if label == secretstore.Current && target.Sealed == nil {
		return refuse(codeInvalidRequest, "You can't move staging label AWSCURRENT to a version that has no secret value.")
	}
	if !target.Has(label) && len(target.Labels) >= maxLabels {
		return errTooManyLabels
	}
	c.Attach(label, target)
	return nil
}

type listSecretVersionIDsInput struct {
	SecretId, NextToken *string
	IncludeDeprecated   bool
	MaxResults          *int64
}

type listSecretVersionIDsOutput struct {
	ARN, Name string
	Versions  []versionEntry
	NextToken string `json:",omitempty"`
}

type versionEntry struct {
	VersionId        string
	VersionStages    []string `json:",omitempty"`
	CreatedDate      epoch
	LastAccessedDate epoch `json:",omitzero"`
	KmsKeyIds        []string
}

// listSecretVersionIDs is ListSecretVersionIds:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html.
func (rq *request) listSecretVersionIDs(in *listSecretVersionIDsInput) (any, error) {
	var v validation
	v.upTo("maxResults", in.MaxResults, maxPage)
	if err := checkSecretID(&v, in.SecretId); err != nil {
		return nil, err
	}
	secret, err := rq.read(*in.SecretId)
	if err != nil {
		return nil, err
	}
	if err := live(secret); err != nil {
		return nil, err
	}
	var entries []keyed[versionEntry]
	for _, version := range secret.Versions {
		if len(version.Labels) == 0 && !in.IncludeDeprecated {
			continue
		}
		entries = append(entries, keyed[versionEntry]{
			key: sortableTime(version.Created) + version.ID,
			entry: versionEntry{
				VersionId: version.ID, VersionStages: sorted(version.Labels),
				CreatedDate: epoch{version.Created}, LastAccessedDate: epoch{version.Accessed},
				KmsKeyIds: []string{"DefaultEncryptionKey"},
			},
		})
	}
	page, next, err := paginate(entries, false, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return listSecretVersionIDsOutput{ARN: secret.ARN, Name: secret.Name, Versions: page, NextToken: next}, nil
}
