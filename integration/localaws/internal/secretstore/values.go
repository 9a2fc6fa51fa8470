package secretstore

import (
	"crypto/subtle"
	"errors"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/envelope"
)

// Value is the value of a version.
type Value struct {
	Bytes  []byte
	Binary bool // a SecretBinary, else a SecretString
}

// ErrNoValue says that the version is a placeholder.
var ErrNoValue = errors.New("the version has no value")

// Seal gives a version of a secret its value.
func (s *Store) Seal(secret *Secret, v *Version, value Value) error {
	sealed, err := s.keyring.Seal(secret.Region, bound(secret, v), value.Bytes)
	if err != nil {
		return err
	}
	v.Sealed, v.Binary = sealed, value.Binary
	return nil
}

// Open returns the value of a version, or [ErrNoValue].
func (s *Store) Open(secret *Secret, v *Version) (Value, error) {
	if v.Sealed == nil {
		return Value{}, ErrNoValue
	}
	text, err := s.keyring.Open(secret.Region, bound(secret, v), v.Sealed)
	if err != nil {
		return Value{}, err
	}
	return Value{Bytes: text, Binary: v.Binary}, nil
}

// Same reports whether a version has this value.
func (s *Store) Same(secret *Secret, v *Version, value Value) (bool, error) {
	held, err := s.Open(secret, v)
	if errors.Is(err, ErrNoValue) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return held.Binary == value.Binary && subtle.ConstantTimeCompare(held.Bytes, value.Bytes) == 1, nil
}

func bound(secret *Secret, v *Version) envelope.Context {
	return envelope.Context{SecretARN: secret.ARN, SecretVersionID: v.ID}
}
