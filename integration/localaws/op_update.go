package localaws

import (
	"errors"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

type updateSecretInput struct {
	SecretId, ClientRequestToken, Description, KmsKeyId, Type *string
	secretValue
}

type updateSecretOutput struct {
	ARN, Name string
	VersionId string `json:",omitempty"`
}

// updateSecret is UpdateSecret:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecret.html.
func (rq *request) updateSecret(in *updateSecretInput) (any, error) {
	var v validation
	in.check(&v)
	v.length("description", in.Description, 0, maxDescription)
	if err := checkToken(&v, in.ClientRequestToken, codeInvalidRequest); err != nil {
		return nil, err
	}
	if err := checkSecretID(&v, in.SecretId); err != nil {
		return nil, err
	}
	if err := errors.Join(checkKey(in.KmsKeyId), checkType(in.Type)); err != nil {
		return nil, err
	}
	if in.both() {
		return nil, errBothValues
	}
	secret, err := rq.server.store.Update(rq.region, *in.SecretId, func(c *secretstore.Change) error {
		if err := live(c.Secret); err != nil {
			return err
		}
		if in.Description != nil {
			c.Description = *in.Description
		}
		if !in.present() {
			return nil
		}
		_, err := rq.putVersion(c, *in.ClientRequestToken, in.value(), []string{secretstore.Current}, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	out := updateSecretOutput{ARN: secret.ARN, Name: secret.Name}
	if in.present() {
		out.VersionId = *in.ClientRequestToken
	}
	return out, nil
}
