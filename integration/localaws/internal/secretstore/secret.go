// Package secretstore keeps secrets: their versions, labels and rotation, the
// rules by which labels move, and their persistence. It knows nothing of
// requests, callers and functions.
package secretstore

import (
	"maps"
	"slices"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/envelope"
	"github.com/dbrotation/dbrotation/integration/localaws/internal/schedule"
)

// The labels that the service itself moves.
const (
	Current  = "AWSCURRENT"
	Pending  = "AWSPENDING"
	Previous = "AWSPREVIOUS"
)

// Secret is one secret. What the store hands out is a snapshot and must not be
// changed; inside a [Store.Update] it is a copy, to be changed freely.
type Secret struct {
	Region      string
	ARN         string
	Name        string
	Description string `json:",omitempty"`
	// Tags is nil where the secret was never tagged.
	Tags []Tag

	Created time.Time
	// Changed is when anything but a date of access changed.
	Changed time.Time
	// Accessed is the day of the last read of a value.
	Accessed time.Time `json:",omitzero"`
	// Deleted is when deletion was asked for, Purge when it becomes final.
	Deleted time.Time `json:",omitzero"`
	Purge   time.Time `json:",omitzero"`

	Versions map[string]*Version
	// Rotation is nil until rotation is first configured.
	Rotation *Rotation `json:",omitempty"`
	// InFlight is the rotation that has begun and has neither succeeded nor
	// been given up.
	InFlight *InFlight `json:",omitempty"`
}

// Tag is a key and a value.
type Tag struct{ Key, Value string }

// Version is one version of a secret's value.
type Version struct {
	ID       string
	Created  time.Time
	Accessed time.Time `json:",omitzero"`
	Labels   []string  `json:",omitempty"`
	// Sealed is the value; nil for the placeholder of a rotation.
	Sealed *envelope.Sealed `json:"-"`
	// Binary tells a SecretBinary from a SecretString.
	Binary bool `json:",omitempty"`
	// ByRotation is true where the value came from the rotation under way: by
	// its function's role, or with its RotationToken.
	ByRotation bool `json:",omitempty"`
}

// Has reports whether the version holds a label.
func (v *Version) Has(label string) bool { return slices.Contains(v.Labels, label) }

// Rotation is how a secret rotates.
type Rotation struct {
	Enabled   bool
	LambdaARN string
	Rules     schedule.Rules
	// Rotated is the last success, Token the version that it made.
	Rotated time.Time `json:",omitzero"`
	Token   string    `json:",omitempty"`
	// Next is the latest moment for the next rotation.
	Next time.Time `json:",omitzero"`
}

// InFlight is a rotation under way.
type InFlight struct {
	Token string
	// TestOnly is true for the test that RotateImmediately=false makes.
	TestOnly bool `json:",omitempty"`
}

// clone returns a copy that shares nothing that an update changes in place.
func (s *Secret) clone() *Secret {
	c := *s
	c.Tags = slices.Clone(s.Tags)
	c.Versions = maps.Clone(s.Versions)
	for id, v := range c.Versions {
		w := *v
		w.Labels = slices.Clone(v.Labels)
		c.Versions[id] = &w
	}
	if s.Rotation != nil {
		r := *s.Rotation
		c.Rotation = &r
	}
	if s.InFlight != nil {
		f := *s.InFlight
		c.InFlight = &f
	}
	return &c
}

// Rotating reports whether token is the rotation under way.
func (s *Secret) Rotating(token string) bool {
	return s.InFlight != nil && s.InFlight.Token == token
}
