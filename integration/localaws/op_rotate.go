package localaws

import (
	"github.com/dbrotation/dbrotation/integration/localaws/internal/schedule"
	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

type rotateSecretInput struct {
	SecretId, ClientRequestToken, RotationLambdaARN *string
	RotationRules                                   *rotationRules
	RotateImmediately                               *bool
	ExternalSecretRotationMetadata                  []struct{}
	ExternalSecretRotationRoleArn                   *string
}

type rotateSecretOutput struct {
	ARN, Name string
	VersionId string `json:",omitempty"`
}

var (
	errNoLambda   = refuse(codeInvalidRequest, "No Lambda rotation function ARN is associated with this secret.")
	errCantInvoke = refuse(codeAccessDenied, "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.")
	errIncomplete = refuse(codeInvalidRequest, "A previous rotation isn't complete. That rotation will be reattempted.")
)

// rotateSecret is RotateSecret:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html.
// It answers as soon as the rotation is noted down.
func (rq *request) rotateSecret(in *rotateSecretInput) (any, error) {
	var v validation
	v.length("rotationLambdaARN", in.RotationLambdaARN, 0, 2048)
	in.RotationRules.check(&v)
	if err := checkToken(&v, in.ClientRequestToken, codeInvalidParameter); err != nil {
		return nil, err
	}
	if err := checkSecretID(&v, in.SecretId); err != nil {
		return nil, err
	}
	if in.ExternalSecretRotationMetadata != nil {
		return nil, unsupported("ExternalSecretRotationMetadata", "managed external secrets")
	}
	if in.ExternalSecretRotationRoleArn != nil {
		return nil, unsupported("ExternalSecretRotationRoleArn", "managed external secrets")
	}
	secret, err := rq.server.store.Update(rq.region, *in.SecretId, func(c *secretstore.Change) error {
		return rq.beginRotation(c, in)
	})
	if err != nil {
		return nil, err
	}
	return rotateSecretOutput{ARN: secret.ARN, Name: secret.Name, VersionId: *in.ClientRequestToken}, nil
}

// beginRotation checks a RotateSecret in AWS's order, keeps its configuration
// and begins the rotation. When a check fails, nothing is kept.
func (rq *request) beginRotation(c *secretstore.Change, in *rotateSecretInput) error {
	s, token := rq.server, *in.ClientRequestToken
	if err := live(c.Secret); err != nil {
		return err
	}
	rotation := secretstore.Rotation{}
	if c.Rotation != nil {
		rotation = *c.Rotation
	}
	if in.RotationRules != nil {
		rotation.Rules = in.RotationRules.rules()
	}
	windows, err := schedule.Parse(rotation.Rules)
	if err != nil {
		return refuse(codeInvalidParameter, "The rotation rules are not valid: "+err.Error()+".")
	}
	if in.RotationLambdaARN != nil && *in.RotationLambdaARN != "" {
		rotation.LambdaARN = *in.RotationLambdaARN
	}
	if rotation.LambdaARN == "" {
		return errNoLambda
	}
	fn := s.functions.withARN(rq.region, rotation.LambdaARN)
	if fn == nil {
		return errCantInvoke
	}
	if c.Rotating(token) { // the same request again: taken up if it had been given up
		c.Discard()
		secret := c.Secret
		c.After(func() { s.startRotation(secret, fn) })
		return nil
	}
	if rotation.Token == token { // the same request again, after all was done
		c.Discard()
		return nil
	}
	if p := c.Holder(secretstore.Pending); p != nil && !p.Has(secretstore.Current) {
		return errIncomplete
	}
	if c.Versions[token] != nil {
		return refuse(codeInvalidRequest, "You can't use this ClientRequestToken because it is the id of a version of the secret already.")
	}
	version, err := c.AddVersion(token, c.Now, s.cfg.VersionQuota)
	if err != nil {
		return err
	}
	testOnly := in.RotateImmediately != nil && !*in.RotateImmediately
	if testOnly {
		if err := rq.copyCurrent(c, version); err != nil {
			return err
		}
	}
	c.Attach(secretstore.Pending, version)
	c.InFlight = &secretstore.InFlight{Token: token, TestOnly: testOnly}
	rotation.Enabled = true
	if windows != nil {
		rotation.Next = windows.Next(c.Now)
	}
	c.Rotation = &rotation
	secret := c.Secret
	c.After(func() {
		s.record(startedEvent(testOnly), secret.Region, secret.ARN, "")
		s.startRotation(secret, fn)
	})
	return nil
}

// copyCurrent gives the version for a test the current value. A secret without
// one is tested as it is, and fails.
func (rq *request) copyCurrent(c *secretstore.Change, to *secretstore.Version) error {
	current := c.Holder(secretstore.Current)
	if current == nil {
		return nil
	}
	value, err := rq.server.store.Open(c.Secret, current)
	if err != nil {
		return err
	}
	return rq.server.store.Seal(c.Secret, to, value)
}

// check demands what the API's model says of the rules; package schedule does
// the rest.
func (r *rotationRules) check(v *validation) {
	if r == nil {
		return
	}
	v.upTo("rotationRules.automaticallyAfterDays", r.AutomaticallyAfterDays, 1000)
	v.length("rotationRules.duration", r.Duration, 2, 3)
	v.pattern("rotationRules.duration", r.Duration, durationChars)
	v.length("rotationRules.scheduleExpression", r.ScheduleExpression, 1, 256)
	v.pattern("rotationRules.scheduleExpression", r.ScheduleExpression, expressionChars)
}

type cancelRotateSecretInput struct{ SecretId *string }

// cancelRotateSecret is CancelRotateSecret:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CancelRotateSecret.html.
// It ends a rotation after the step that runs now, and leaves AWSPENDING where
// it is: the next RotateSecret is refused until someone has taken it away.
func (rq *request) cancelRotateSecret(in *cancelRotateSecretInput) (any, error) {
	if err := checkSecretID(new(validation), in.SecretId); err != nil {
		return nil, err
	}
	out := rotateSecretOutput{}
	_, err := rq.server.store.Update(rq.region, *in.SecretId, func(c *secretstore.Change) error {
		if err := live(c.Secret); err != nil {
			return err
		}
		if c.Rotation == nil {
			return refuse(codeInvalidRequest, "You can't cancel rotation for a secret that was never configured for rotation.")
		}
		out.ARN, out.Name = c.ARN, c.Name
		if c.InFlight != nil {
			out.VersionId = c.InFlight.Token
			rq.server.endRotation(c, errCancelled)
		}
		c.Rotation.Enabled = false
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
