package localaws

import (
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/schedule"
	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

// secretValue is the value in a request: one of the two.
type secretValue struct {
	SecretString *string
	SecretBinary []byte
}

func (s *secretValue) check(v *validation) {
	if s.SecretString != nil {
		v.measure("secretString", len(*s.SecretString), 1, maxValueBytes)
	}
	if s.SecretBinary != nil {
		v.measure("secretBinary", len(s.SecretBinary), 1, maxValueBytes)
	}
}

func (s *secretValue) present() bool { return s.SecretString != nil || s.SecretBinary != nil }

func (s *secretValue) both() bool { return s.SecretString != nil && s.SecretBinary != nil }

func (s *secretValue) value() secretstore.Value {
	if s.SecretString != nil {
		return secretstore.Value{Bytes: []byte(*s.SecretString)}
	}
	return secretstore.Value{Bytes: s.SecretBinary, Binary: true}
}

var (
	errTooManyLabels = refuse(codeLimit, "The request failed because it would exceed one of the Secrets Manager quotas: a version has at most 20 staging labels.")
	errBothValues    = refuse(codeInvalidParameter, "You can't specify both a binary secret value and a string secret value in the same secret.")
	errNoValue       = refuse(codeInvalidRequest, "You must provide either SecretString or SecretBinary.")
	errDeleted       = refuse(codeInvalidRequest, "You can't perform this operation on the secret because it was marked for deletion.")
)

func tokenInUse(token, secretARN string) *apiError {
	return refuse(codeExists, fmt.Sprintf("You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, secretARN))
}

func noVersion(id string) *apiError {
	return refuse(codeNotFound, "Secrets Manager can't find the specified secret value for VersionId: "+id)
}

func noLabel(label string) *apiError {
	return refuse(codeNotFound, "Secrets Manager can't find the specified secret value for staging label: "+label)
}

// live refuses a secret that is marked for deletion.
func live(s *secretstore.Secret) error {
	if !s.Deleted.IsZero() {
		return errDeleted
	}
	return nil
}

type putSecretValueInput struct {
	SecretId, ClientRequestToken, RotationToken *string
	secretValue
	VersionStages []string
}

type putSecretValueOutput struct {
	ARN, Name, VersionId string
	VersionStages        []string
}

// putSecretValue is PutSecretValue:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html.
func (rq *request) putSecretValue(in *putSecretValueInput) (any, error) {
	var v validation
	in.check(&v)
	checkLabels(&v, "versionStages", in.VersionStages)
	v.length("rotationToken", in.RotationToken, 36, 256)
	v.pattern("rotationToken", in.RotationToken, rotationTokenPattern)
	if err := checkToken(&v, in.ClientRequestToken, codeInvalidRequest); err != nil {
		return nil, err
	}
	if err := checkSecretID(&v, in.SecretId); err != nil {
		return nil, err
	}
	switch {
	case in.both():
		return nil, errBothValues
	case !in.present():
		return nil, errNoValue
	}
	labels := in.VersionStages
	if labels == nil {
		labels = []string{secretstore.Current}
	}
	var rotationToken string
	if in.RotationToken != nil {
		rotationToken = *in.RotationToken
	}
	var version *secretstore.Version
	secret, err := rq.server.store.Update(rq.region, *in.SecretId, func(c *secretstore.Change) error {
		if err := live(c.Secret); err != nil {
			return err
		}
		before := c.Versions[*in.ClientRequestToken]
		repeated := before != nil && before.Sealed != nil
		var err error
		version, err = rq.putVersion(c, *in.ClientRequestToken, in.value(), labels, rotationToken)
		if repeated {
			c.Discard()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return putSecretValueOutput{
		ARN: secret.ARN, Name: secret.Name, VersionId: version.ID, VersionStages: sorted(version.Labels),
	}, nil
}

// putVersion gives the version that token names its value and labels. A version
// that has this value already stays as it is; one with another value is an
// error; the placeholder of a rotation is filled.
func (rq *request) putVersion(c *secretstore.Change, token string, value secretstore.Value, labels []string, rotationToken string) (*secretstore.Version, error) {
	store := rq.server.store
	version := c.Versions[token]
	if version != nil && version.Sealed != nil {
		same, err := store.Same(c.Secret, version, value)
		if err != nil {
			return nil, err
		}
		if !same {
			return nil, tokenInUse(token, c.ARN)
		}
		return version, nil
	}
	if version == nil {
		first := len(c.Versions) == 0
		var err error
		if version, err = c.AddVersion(token, c.Now, rq.server.cfg.VersionQuota); err != nil {
			return nil, err
		}
		if first && !slices.Contains(labels, secretstore.Current) {
			labels = append([]string{secretstore.Current}, labels...)
		}
	}
	if err := store.Seal(c.Secret, version, value); err != nil {
		return nil, err
	}
	version.ByRotation = c.Rotating(token) && rq.ofRotation(c.Secret, rotationToken)
	added := 0
	for _, label := range labels {
		if !version.Has(label) {
			added++
		}
	}
	if len(version.Labels)+added > maxLabels {
		return nil, errTooManyLabels
	}
	if slices.Contains(labels, secretstore.Current) {
		rq.currentPut(c, token)
	}
	c.Apply(labels, version)
	return version, nil
}

// currentPut notes a value put under AWSCURRENT by hand: it abandons a rotation
// under way, and counts as one for a schedule in days.
func (rq *request) currentPut(c *secretstore.Change, token string) {
	if c.InFlight != nil && !c.Rotating(token) {
		rq.server.endRotation(c, errAbandoned)
	}
	if r := c.Rotation; r != nil && r.Enabled {
		if s, err := schedule.Parse(r.Rules); err == nil && s != nil && s.ByDays() {
			r.Next = s.Next(c.Now)
		}
	}
}

// ofRotation reports whether a value is put by the rotation under way: by its
// function's role, or with its RotationToken.
func (rq *request) ofRotation(s *secretstore.Secret, rotationToken string) bool {
	if rq.caller.function != "" && FunctionARN(rq.region, rq.caller.function) == s.Rotation.LambdaARN {
		return true
	}
	expected := rq.server.rotations.token(s.ARN)
	return expected != "" && subtle.ConstantTimeCompare([]byte(expected), []byte(rotationToken)) == 1
}
