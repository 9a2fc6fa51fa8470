package envelope

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// RandomRootKey returns a root key that is kept nowhere.
func RandomRootKey() []byte { return newKey() }

// ReadRootKey reads a root key from its file. It refuses a file that others
// than its owner can read or write, and one of another length. The error
// matches [fs.ErrNotExist] where there is no file.
func ReadRootKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the root key: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the root key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading the root key: %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("reading the root key: %s has mode %04o, so others can use it; run: chmod 600 %s", path, mode, path)
	}
	key, err := io.ReadAll(io.LimitReader(f, KeySize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the root key: %w", err)
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("reading the root key: %s does not hold exactly %d bytes", path, KeySize)
	}
	return key, nil
}

// CreateRootKey makes a root key and its file, mode 0600. It never replaces a
// file: the error then matches [fs.ErrExist].
func CreateRootKey(path string) ([]byte, error) {
	key := newKey()
	if err := createWhole(path, key); err != nil {
		return nil, fmt.Errorf("creating the root key: %w", err)
	}
	return key, nil
}

// createWhole makes a file that, after a crash, is there whole or not at all: a
// half-written root key would lock its owner out.
func createWhole(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".rootkey-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if rmErr := os.Remove(f.Name()); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, fails where the path is taken.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
