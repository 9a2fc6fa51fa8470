package mysql_test

import (
	"context"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
)

// TestADeadSessionHoldsNoLock is a function that was frozen or killed, and whose
// server hears nothing of it.
func TestADeadSessionHoldsNoLock(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		connect := func(within time.Duration) *mywire.Session {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			session, err := mywire.Connect(ctx, s.Admin, mysql.Dialect)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(session.Close)
			return session
		}
		lock := func(session *mywire.Session, within time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			return session.Lock(ctx, "locking", "frozen")
		}
		if err := lock(connect(3*time.Second), 3*time.Second); err != nil {
			t.Fatal(err)
		}
		if err := lock(connect(30*time.Second), 30*time.Second); err != nil {
			t.Errorf("after the first one's deadline: %v", err)
		}
	})
}
