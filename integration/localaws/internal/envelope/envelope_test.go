package envelope_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/envelope"
)

type vault map[string][]byte

func (v vault) RegionKey(region string) ([]byte, error) { return v[region], nil }

func (v vault) PutRegionKey(region string, wrapped []byte) error {
	v[region] = wrapped
	return nil
}

func keyring(t *testing.T, root []byte, v vault) *envelope.Keyring {
	t.Helper()
	k, err := envelope.NewKeyring(root, v)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var place = envelope.Context{SecretARN: "arn", SecretVersionID: "v1"}

func TestWhatIsSealedOpensInItsPlaceAlone(t *testing.T) {
	t.Parallel()
	root, kept := envelope.RandomRootKey(), vault{}
	value := []byte("a value")
	sealed, err := keyring(t, root, kept).Seal("eu", place, value)
	if err != nil {
		t.Fatal(err)
	}
	other := keyring(t, root, kept) // a later process
	if _, err := other.Seal("us", place, value); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Open("eu", place, sealed); err != nil || !bytes.Equal(got, value) {
		t.Fatalf("opened %q, %v", got, err)
	}
	flipped := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)-1] ^= 1
		return b
	}
	for story, open := range map[string]func() ([]byte, error){
		"another Region": func() ([]byte, error) { return other.Open("us", place, sealed) },
		"another secret": func() ([]byte, error) {
			return other.Open("eu", envelope.Context{SecretARN: "arn2", SecretVersionID: "v1"}, sealed)
		},
		"another version": func() ([]byte, error) {
			return other.Open("eu", envelope.Context{SecretARN: "arn", SecretVersionID: "v2"}, sealed)
		},
		"another root key": func() ([]byte, error) {
			return keyring(t, envelope.RandomRootKey(), kept).Open("eu", place, sealed)
		},
		"an altered value": func() ([]byte, error) {
			return other.Open("eu", place, &envelope.Sealed{DataKey: sealed.DataKey, Value: flipped(sealed.Value)})
		},
		"an altered data key": func() ([]byte, error) {
			return other.Open("eu", place, &envelope.Sealed{DataKey: flipped(sealed.DataKey), Value: sealed.Value})
		},
	} {
		if got, err := open(); !errors.Is(err, envelope.ErrWrongKey) {
			t.Errorf("%s: opened %q, %v", story, got, err)
		}
	}
}

func TestEachValueHasItsOwnDataKey(t *testing.T) {
	t.Parallel()
	k := keyring(t, envelope.RandomRootKey(), vault{})
	a, errA := k.Seal("eu", place, []byte("same"))
	b, errB := k.Seal("eu", place, []byte("same"))
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.DataKey, b.DataKey) || bytes.Equal(a.Value, b.Value) {
		t.Error("the same value sealed twice looks the same")
	}
	if _, err := k.Open("eu", place, &envelope.Sealed{DataKey: a.DataKey, Value: b.Value}); !errors.Is(err, envelope.ErrWrongKey) {
		t.Errorf("one's data key opens the other: %v", err)
	}
}

func TestProof(t *testing.T) {
	t.Parallel()
	root := envelope.RandomRootKey()
	proof := keyring(t, root, vault{}).Proof()
	if err := keyring(t, root, vault{}).Check(proof); err != nil {
		t.Errorf("the same key: %v", err)
	}
	if err := keyring(t, envelope.RandomRootKey(), vault{}).Check(proof); !errors.Is(err, envelope.ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
}

func TestRootKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if _, err := envelope.ReadRootKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading what is not there: %v", err)
	}
	made, err := envelope.CreateRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if read, err := envelope.ReadRootKey(path); err != nil || !bytes.Equal(read, made) {
		t.Errorf("the key does not come back: %v", err)
	}
	if _, err := envelope.CreateRootKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating it again: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.ReadRootKey(path); err == nil {
		t.Error("a key that others can read was taken")
	}
	if _, err := envelope.ReadRootKey(dir); err == nil {
		t.Error("a directory was taken")
	}
}
