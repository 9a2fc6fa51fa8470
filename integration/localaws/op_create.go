package localaws

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

type createSecretInput struct {
	Name, ClientRequestToken, Description, KmsKeyId, Type *string
	secretValue
	Tags              []tag
	AddReplicaRegions []struct{}
}

type createSecretOutput struct {
	ARN, Name string
	VersionId string `json:",omitempty"`
}

// createSecret is CreateSecret:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html.
func (rq *request) createSecret(in *createSecretInput) (any, error) {
	var v validation
	v.required("name", in.Name)
	v.length("name", in.Name, 1, maxName)
	v.length("description", in.Description, 0, maxDescription)
	checkTags(&v, in.Tags)
	in.check(&v)
	if err := checkToken(&v, in.ClientRequestToken, codeInvalidRequest); err != nil {
		return nil, err
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	if !namePattern.MatchString(*in.Name) {
		return nil, refuse(codeValidation, invalidName)
	}
	if err := errors.Join(checkKey(in.KmsKeyId), checkType(in.Type)); err != nil {
		return nil, err
	}
	if in.AddReplicaRegions != nil {
		return nil, unsupported("AddReplicaRegions", "replicas")
	}
	if in.both() {
		return nil, errBothValues
	}
	token := *in.ClientRequestToken
	secret, err := rq.server.store.Create(rq.region, *in.Name, func(c *secretstore.Change) error {
		if in.Description != nil {
			c.Description = *in.Description
		}
		if in.Tags != nil {
			if err := addTags(c.Secret, in.Tags); err != nil {
				return err
			}
		}
		if !in.present() {
			return nil
		}
		_, err := rq.putVersion(c, token, in.value(), []string{secretstore.Current}, "")
		return err
	})
	if errors.Is(err, secretstore.ErrExists) {
		err = rq.createAgain(secret, token, in)
	}
	if err != nil {
		return nil, err
	}
	out := createSecretOutput{ARN: secret.ARN, Name: secret.Name}
	if in.present() {
		out.VersionId = token
	}
	return out, nil
}

// createAgain decides whether a CreateSecret for a secret that exists is the
// first one repeated.
func (rq *request) createAgain(secret *secretstore.Secret, token string, in *createSecretInput) error {
	if !secret.Deleted.IsZero() {
		return refuse(codeInvalidRequest, "You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	v := secret.Versions[token]
	if v == nil || !in.present() {
		return refuse(codeExists, fmt.Sprintf("The operation failed because the secret %s already exists.", secret.Name))
	}
	same, err := rq.server.store.Same(secret, v, in.value())
	if err != nil {
		return err
	}
	if !same {
		return tokenInUse(token, secret.ARN)
	}
	return nil
}

// checkKey refuses any KMS key but the default one, by its names.
func checkKey(id *string) error {
	if id == nil || *id == "" || strings.HasSuffix(*id, "alias/aws/secretsmanager") {
		return nil
	}
	return unsupported("KmsKeyId", "customer managed KMS keys")
}

func checkType(kind *string) error {
	if kind == nil || *kind == "" {
		return nil
	}
	return unsupported("Type", "managed external secrets")
}

// unsupported refuses what this server does not have. To ignore it would let a
// test pass that fails on AWS.
func unsupported(member, what string) *apiError {
	return refuse(codeInvalidParameter, fmt.Sprintf("This server has no %s: leave out %s.", what, member))
}
