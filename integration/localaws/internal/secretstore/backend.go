package secretstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/envelope"
)

// A backend is where a store keeps what it must not lose.
type backend interface {
	envelope.Vault
	// save replaces before by after. Either may be nil: a secret that is made,
	// or removed.
	save(before, after *Secret) error
	close() error
}

// memory keeps the Regions' keys, wrapped, and nothing else: the secrets are in
// the store.
type memory map[string][]byte

// RegionKey implements envelope.Vault.
func (m memory) RegionKey(region string) ([]byte, error) { return m[region], nil }

// PutRegionKey implements envelope.Vault.
func (m memory) PutRegionKey(region string, wrapped []byte) error {
	m[region] = wrapped
	return nil
}

func (memory) save(_, _ *Secret) error { return nil }
func (memory) close() error            { return nil }

// file is a bbolt file. Each write is one transaction, on disk when it returns.
type file struct{ db *bbolt.DB }

var (
	metaBucket    = []byte("meta")     // proofKey
	keysBucket    = []byte("keys")     // Region -> wrapped key
	secretsBucket = []byte("secrets")  // Region NUL name -> Secret, without values
	valuesBucket  = []byte("versions") // ARN NUL version -> envelope.Sealed

	proofKey = []byte("root key proof")
)

// reading runs f, which reads the whole file. Where the file is damaged bbolt
// panics, and where it was cut short the memory that it was mapped to faults:
// both become an error. The file is then not closed, for bbolt may hold its own
// locks still.
func reading(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading data file %s: it is damaged (%v): put a copy of it in its place, or remove it and its root key to start afresh", path, p)
		}
	}()
	return f()
}

func openFile(path string) (*file, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 250 * time.Millisecond})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("opening data file %s: another process has it open", path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening data file %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, keysBucket, secretsBucket, valuesBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening data file %s: %w", path, err), db.Close())
	}
	return &file{db: db}, nil
}

func (f *file) close() error { return f.db.Close() }

func (f *file) read(bucket, key []byte) (value []byte, err error) {
	err = f.db.View(func(tx *bbolt.Tx) error {
		if v := tx.Bucket(bucket).Get(key); v != nil {
			value = append([]byte{}, v...) // bbolt's slice ends with the transaction
		}
		return nil
	})
	return value, err
}

func (f *file) write(bucket, key, value []byte) error {
	return f.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) })
}

func (f *file) proof() ([]byte, error)      { return f.read(metaBucket, proofKey) }
func (f *file) putProof(proof []byte) error { return f.write(metaBucket, proofKey, proof) }

// RegionKey implements envelope.Vault.
func (f *file) RegionKey(region string) ([]byte, error) {
	return f.read(keysBucket, []byte(region))
}

// PutRegionKey implements envelope.Vault.
func (f *file) PutRegionKey(region string, wrapped []byte) error {
	return f.write(keysBucket, []byte(region), wrapped)
}

func secretKey(s *Secret) []byte { return []byte(s.Region + "\x00" + s.Name) }

func valueKey(s *Secret, version string) []byte { return []byte(s.ARN + "\x00" + version) }

// secrets reads all secrets with their values.
func (f *file) secrets() ([]*Secret, error) {
	var all []*Secret
	err := f.db.View(func(tx *bbolt.Tx) error {
		values := tx.Bucket(valuesBucket)
		return tx.Bucket(secretsBucket).ForEach(func(_, text []byte) error {
			var s Secret
			if err := json.Unmarshal(text, &s); err != nil {
				return fmt.Errorf("decoding a secret: %w", err)
			}
			for id, v := range s.Versions {
				text := values.Get(valueKey(&s, id))
				if text == nil {
					continue // a placeholder
				}
				if err := json.Unmarshal(text, &v.Sealed); err != nil {
					return fmt.Errorf("decoding version %s of %s: %w", id, s.ARN, err)
				}
			}
			all = append(all, &s)
			return nil
		})
	})
	return all, err
}

func (f *file) save(before, after *Secret) error {
	return f.db.Update(func(tx *bbolt.Tx) error {
		secrets, values := tx.Bucket(secretsBucket), tx.Bucket(valuesBucket)
		if before != nil {
			same := after != nil && after.ARN == before.ARN
			for id := range before.Versions {
				if same && after.Versions[id] != nil {
					continue
				}
				if err := values.Delete(valueKey(before, id)); err != nil {
					return err
				}
			}
		}
		if after == nil {
			return secrets.Delete(secretKey(before))
		}
		for id, v := range after.Versions {
			if v.Sealed == nil || before != nil && before.Versions[id] != nil && before.Versions[id].Sealed == v.Sealed {
				continue // nothing to keep, or kept already
			}
			text, err := json.Marshal(v.Sealed)
			if err != nil {
				return err
			}
			if err := values.Put(valueKey(after, id), text); err != nil {
				return err
			}
		}
		text, err := json.Marshal(after)
		if err != nil {
			return err
		}
		return secrets.Put(secretKey(after), text)
	})
}
