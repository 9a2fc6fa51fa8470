package rotator

import (
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Step is one of the four calls that make a rotation.
type Step string

// The steps, in the order in which Secrets Manager calls them.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
const (
	CreateSecret Step = "createSecret"
	SetSecret    Step = "setSecret"
	TestSecret   Step = "testSecret"
	FinishSecret Step = "finishSecret"
)

// Event is what Secrets Manager sends to a rotation function. Unlike
// events.SecretsManagerSecretRotationEvent of aws-lambda-go its RotationToken
// does not print.
type Event struct {
	Step Step `json:"Step"`
	// SecretID is the secret's full ARN.
	SecretID string `json:"SecretId"`
	// ClientRequestToken is the pending version's id.
	ClientRequestToken string `json:"ClientRequestToken"`
	// RotationToken proves to Secrets Manager that PutSecretValue is called by
	// the rotation it began. It is not always sent.
	RotationToken RotationToken `json:"RotationToken"`
}

// RotationToken is a capability, and is kept as a password is: it does not
// print.
type RotationToken struct{ dbdrivers.Password }

// NewRotationToken wraps text.
func NewRotationToken(text string) RotationToken {
	return RotationToken{dbdrivers.NewPassword(text)}
}

// UnmarshalText takes the text from an event.
func (t *RotationToken) UnmarshalText(text []byte) error {
	*t = NewRotationToken(string(text))
	return nil
}

// faults lists what is wrong with the event, all of it.
func (e Event) faults() []string {
	var faults []string
	switch e.Step {
	case CreateSecret, SetSecret, TestSecret, FinishSecret:
	default:
		faults = append(faults, fmt.Sprintf("Step is %q, not one of createSecret, setSecret, testSecret, finishSecret", e.Step))
	}
	if e.SecretID == "" {
		faults = append(faults, "SecretId is missing")
	}
	if e.ClientRequestToken == "" {
		faults = append(faults, "ClientRequestToken is missing")
	}
	return faults
}
