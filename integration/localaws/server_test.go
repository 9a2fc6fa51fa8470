package localaws_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

// slowLog holds every line back until release closes, or a moment has passed.
type slowLog struct {
	slog.Handler
	release <-chan struct{}
	late    *atomic.Bool // a line came after release
}

func (l slowLog) Handle(context.Context, slog.Record) error {
	select {
	case <-l.release:
		l.late.Store(true)
	case <-time.After(50 * time.Millisecond):
	}
	return nil
}

func TestNothingOfARequestIsLeftAfterClose(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	var late atomic.Bool
	w := start(t, func(c *localaws.Config) {
		c.Log = slog.New(slowLog{Handler: slog.Default().Handler(), release: closed, late: &late})
	})
	delayed := w.Inject(localaws.Fault{Kind: localaws.Delay, Delay: time.Hour})
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = w.get("app", "", "") // answered or cut off, as it comes
	}()
	for deadline := time.Now().Add(patience); delayed.Fired() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the call did not arrive")
		}
	}
	w.must(w.Close())
	calls := len(w.Calls())
	close(closed)
	<-answered
	if calls != 1 || late.Load() {
		t.Errorf("Close returned after %d of 1 calls; a line was logged after it: %v", calls, late.Load())
	}
}
