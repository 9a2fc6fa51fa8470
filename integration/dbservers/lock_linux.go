package dbservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockEvery is how often a lock that another process holds is asked for.
const lockEvery = 100 * time.Millisecond

// lockCache makes this process the only one of the user's to unpack rel, until
// unlock. The lock ends with the process, however that ends.
func lockCache(ctx context.Context, rel release) (unlock func(), err error) {
	cache, err := cacheFolder()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(cache, rel.engine+"-"+rel.major+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	ask := time.NewTicker(lockEvery)
	defer ask.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", f.Name(), err), f.Close())
		}
		select {
		case <-ask.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting for another process to unpack %s %s: %w", rel.engine, rel.major, ctx.Err()), f.Close())
		}
	}
}
