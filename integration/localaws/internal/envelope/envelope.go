// Package envelope seals values as Secrets Manager and KMS do: a root key wraps
// one key per Region, which wraps a data key per version, which seals the
// value. See
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html.
//
// Every seal is AES-256-GCM with a random nonce in front. A data key and the
// value under it are bound to the secret's ARN and the version's id: they do
// not open in another place.
package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// KeySize is the size of every key, in bytes.
const KeySize = 32

// ErrWrongKey says that the root key is not the one that the data was sealed
// with, or that the data was altered.
var ErrWrongKey = errors.New("the root key does not fit, or the data was altered")

// Context is what a value is bound to. Its JSON form is the encryption context
// that Secrets Manager gives to KMS.
type Context struct {
	SecretARN       string
	SecretVersionID string `json:"SecretVersionId"`
}

// aad is the additional authenticated data: two JSON strings cannot be mistaken
// for another two.
func (c Context) aad() []byte {
	text, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("encoding two strings: %v", err)) // impossible
	}
	return text
}

// Sealed is a value at rest.
type Sealed struct {
	DataKey []byte // wrapped by the Region's key
	Value   []byte // sealed by the data key
}

// A Vault is where the wrapped keys of the Regions are kept. It is called by
// one goroutine at a time.
type Vault interface {
	// RegionKey returns the wrapped key of a Region, or nil if there is none.
	RegionKey(region string) ([]byte, error)
	// PutRegionKey keeps the wrapped key of a Region for good.
	PutRegionKey(region string, wrapped []byte) error
}

// Keyring seals and opens. It may be used from several goroutines.
type Keyring struct {
	root  cipher.AEAD
	vault Vault

	mu      sync.Mutex
	regions map[string]cipher.AEAD
}

// NewKeyring returns a keyring under a root key of [KeySize] bytes.
func NewKeyring(root []byte, vault Vault) (*Keyring, error) {
	aead, err := newAEAD(root)
	if err != nil {
		return nil, fmt.Errorf("taking the root key: %w", err)
	}
	return &Keyring{root: aead, vault: vault, regions: make(map[string]cipher.AEAD)}, nil
}

const proofText = "dbrotation localaws root key"

// Proof returns a text sealed by the root key, for [Keyring.Check] to open in a
// later process.
func (k *Keyring) Proof() []byte { return k.root.Seal(nil, nil, nil, []byte(proofText)) }

// Check returns [ErrWrongKey] unless proof was made under the same root key.
func (k *Keyring) Check(proof []byte) error {
	if _, err := k.root.Open(nil, nil, proof, []byte(proofText)); err != nil {
		return ErrWrongKey
	}
	return nil
}

// Seal seals a value under a new data key.
func (k *Keyring) Seal(region string, bound Context, value []byte) (*Sealed, error) {
	regional, err := k.region(region)
	if err != nil {
		return nil, fmt.Errorf("sealing a value: %w", err)
	}
	dataKey := newKey()
	defer clear(dataKey)
	aead, err := newAEAD(dataKey)
	if err != nil {
		return nil, fmt.Errorf("sealing a value: %w", err)
	}
	aad := bound.aad()
	return &Sealed{
		DataKey: regional.Seal(nil, nil, dataKey, aad),
		Value:   aead.Seal(nil, nil, value, aad),
	}, nil
}

// Open returns the value, or [ErrWrongKey].
func (k *Keyring) Open(region string, bound Context, sealed *Sealed) ([]byte, error) {
	regional, err := k.region(region)
	if err != nil {
		return nil, fmt.Errorf("opening a value: %w", err)
	}
	aad := bound.aad()
	dataKey, err := regional.Open(nil, nil, sealed.DataKey, aad)
	if err != nil {
		return nil, fmt.Errorf("opening a value: unwrapping its data key: %w", ErrWrongKey)
	}
	defer clear(dataKey)
	aead, err := newAEAD(dataKey)
	if err != nil {
		return nil, fmt.Errorf("opening a value: %w", err)
	}
	value, err := aead.Open(nil, nil, sealed.Value, aad)
	if err != nil {
		return nil, fmt.Errorf("opening a value: %w", ErrWrongKey)
	}
	return value, nil
}

// region returns a Region's key ("aws/secretsmanager"), made when first needed.
func (k *Keyring) region(name string) (cipher.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if aead := k.regions[name]; aead != nil {
		return aead, nil
	}
	aad := []byte("aws/secretsmanager " + name)
	wrapped, err := k.vault.RegionKey(name)
	if err != nil {
		return nil, fmt.Errorf("reading the key of %s: %w", name, err)
	}
	var key []byte
	if wrapped == nil {
		key = newKey()
		if err := k.vault.PutRegionKey(name, k.root.Seal(nil, nil, key, aad)); err != nil {
			return nil, fmt.Errorf("keeping the key of %s: %w", name, err)
		}
	} else if key, err = k.root.Open(nil, nil, wrapped, aad); err != nil {
		return nil, fmt.Errorf("unwrapping the key of %s: %w", name, ErrWrongKey)
	}
	defer clear(key)
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	k.regions[name] = aead
	return aead, nil
}

func newKey() []byte {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return key
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("a key has %d bytes, this one has %d", KeySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
