package rotator

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// The staging labels that Secrets Manager itself knows.
const (
	labelCurrent  = "AWSCURRENT"
	labelPending  = "AWSPENDING"
	labelPrevious = "AWSPREVIOUS"
)

// SecretStore is what the rotation asks of Secrets Manager. Package awsstore
// implements it over the real client.
//
// An implementation may retry a call that got no answer: each is idempotent.
type SecretStore interface {
	// Describe returns a secret's labels and state, without values.
	Describe(ctx context.Context, secretID string) (Description, error)
	// Get reads one version: by its id, or by a label where VersionID is
	// empty. [ErrNoSuchVersion] where there is none, or where it holds no
	// value yet.
	Get(ctx context.Context, secretID string, version VersionRef) (Version, error)
	// Put stores a value under its version id and attaches AWSPENDING.
	// [ErrVersionExists] where another value was stored under that id.
	Put(ctx context.Context, req PutRequest) error
	// MoveLabel attaches a label to To and takes it off From; either may be
	// empty.
	MoveLabel(ctx context.Context, req MoveLabelRequest) error
}

// What a SecretStore's errors mean to the rotation. They are found by
// errors.Is; errors.As still reaches the client's own error.
var (
	// ErrNoSuchVersion: the secret exists, the version or label does not, or
	// it holds no value.
	ErrNoSuchVersion = errors.New("there is no such version")
	// ErrVersionExists: the version id already holds another value.
	ErrVersionExists = errors.New("the version already holds another value")
	// ErrDenied: the function's role lacks a permission.
	ErrDenied = errors.New("access denied")
	// ErrNoAnswer: Secrets Manager could not be reached, or did not answer.
	ErrNoAnswer = errors.New("no answer from Secrets Manager")
)

// Description is a secret without its values.
type Description struct {
	RotationEnabled bool
	// NextRotation is by when the next scheduled rotation begins; zero where
	// none is scheduled. It may lie in the past after failures.
	NextRotation time.Time
	// Labels are the labels of each labelled version, by version id.
	Labels map[string][]string
	// OwningService is the AWS service that manages the secret, if one does.
	OwningService string
	// Replicas are the secret's replicas in other Regions.
	Replicas []Replica
	// Tags are the secret's, the system's among them.
	Tags map[string]string
}

// Replica is the state of a replica in another Region.
type Replica struct {
	Region, Status, Message string
}

// holder returns the id of the version that carries label, or "".
func (d Description) holder(label string) string {
	for id, labels := range d.Labels {
		if slices.Contains(labels, label) {
			return id
		}
	}
	return ""
}

// VersionRef names a version by id, or by label where VersionID is empty.
type VersionRef struct {
	VersionID, Label string
}

// Version is one version of a secret with its value.
type Version struct {
	ID     string
	Labels []string
	Value  Value
	// Binary is true where the secret holds binary data, which no rotation
	// can read. Value is empty then.
	Binary bool
}

// PutRequest stores a pending version.
type PutRequest struct {
	SecretID      string
	VersionID     string
	RotationToken RotationToken // empty: not sent
	Value         Value
}

// MoveLabelRequest moves or removes a label.
type MoveLabelRequest struct {
	SecretID, Label, From, To string
}

// Value is a secret's document. It holds a password, and so is kept as one: it
// does not print.
type Value struct{ dbdrivers.Password }

// NewValue wraps text.
func NewValue(text string) Value { return Value{dbdrivers.NewPassword(text)} }
