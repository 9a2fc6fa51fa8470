package mywire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Lock keeps other sessions of a rotation from the account until this session
// ends: two that read and then write would each undo what the other has read.
// It waits until the context's deadline is near, and not longer than for any
// lock. Its errors are classified.
//
// https://dev.mysql.com/doc/refman/9.7/en/locking-functions.html
func (s *Session) Lock(ctx context.Context, doing, account string) error {
	wait := maxLockTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)*4/5)
	}
	// A name has 64 characters at most, and knows no case.
	sum := sha256.Sum256([]byte(account))
	name := "dbrotation " + hex.EncodeToString(sum[:16])
	answer, err := s.Ask(ctx, "SELECT GET_LOCK(?, ?)", name, int(wait/time.Second))
	if err != nil {
		return s.Classify(doing, err, Unchanged, nil)
	}
	if len(answer.Rows) != 1 || answer.Rows[0][0].Text != "1" {
		return dbdrivers.Classify(dbdrivers.ErrBusy, doing, fmt.Errorf("another rotation is changing the account, and the next attempt finds out how; "+
			"where this lasts, SELECT IS_USED_LOCK('%s') tells which session holds the account's lock, for KILL to end", name))
	}
	return nil
}
