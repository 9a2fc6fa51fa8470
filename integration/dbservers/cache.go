package dbservers

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// dataMade is the number of the way in which recipes make data folders. A
// folder of another number is not copied.
const dataMade = "1"

// cacheFolder returns the folder, below the user's, that outlives a run.
func cacheFolder() (string, error) {
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	cache := filepath.Join(user, "dbrotation")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	return cache, nil
}

// sharedWith returns the folder of what the servers of a program share, which
// is another one after the program was updated.
func sharedWith(program string) (string, error) {
	info, err := os.Stat(program)
	if err != nil {
		return "", err
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendln(nil, dataMade, program, info.Size(), info.ModTime().UnixNano()))
	return filepath.Join(cache, fmt.Sprintf("%s-data-%x", filepath.Base(program), sum[:6])), nil
}

// copyFolder copies a folder of plain files to a new one, which belongs to
// owner.
func copyFolder(from, to string, owner *account) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, below)
		if entry.IsDir() {
			err = os.Mkdir(target, 0o700)
		} else {
			err = copyFile(path, target)
		}
		if err != nil || owner == nil {
			return err
		}
		return os.Chown(target, owner.uid, owner.gid)
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// keepFolder leaves a copy of a folder for others. The copy appears at once
// and whole; where one has appeared meanwhile, that one stays.
func keepFolder(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(to), "copying-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	mine := filepath.Join(work, filepath.Base(to))
	if err := copyFolder(from, mine, nil); err != nil {
		return err
	}
	if err := os.Rename(mine, to); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
