package mongogate_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/mongogate"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

// faults are the kinds, and what each leaves behind.
var faults = map[wiregate.FaultKind]struct{ done, cut bool }{
	wiregate.CutBefore:  {done: false, cut: true},
	wiregate.CutAfter:   {done: true, cut: true},
	wiregate.HoldBefore: {done: false, cut: false},
	wiregate.HoldAfter:  {done: true, cut: false},
	wiregate.Stall:      {done: false, cut: false},
}

// impatient is a client's context: it ends a while after the fault has struck,
// in which an answer, or a cut, would have come.
func (w *world) impatient(fired func() bool) context.Context {
	ctx, giveUp := context.WithCancel(w.ctx)
	w.t.Cleanup(giveUp)
	go func() {
		for !fired() && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		select {
		case <-time.After(patience):
			giveUp()
		case <-ctx.Done():
		}
	}()
	return ctx
}

// checkLost fails the test unless err is how a client meets a fault that cuts
// the connection, or one that lets it wait.
func checkLost(t *testing.T, err error, cut bool) {
	t.Helper()
	switch {
	case err == nil:
		t.Error("the client had an answer")
	case code(err) != 0:
		t.Errorf("the client had an answer: %v", err)
	case cut == errors.Is(err, context.Canceled):
		t.Errorf("the client got %v, want the connection cut: %t", err, cut)
	}
}

func TestASignInFails(t *testing.T) {
	t.Parallel()
	for kind, want := range faults {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustSignIn() // call 0 passes
			var acts atomic.Int32
			fired := w.Inject(wiregate.Fault{Kind: kind, Nth: 1, Act: func() { acts.Add(1) }})
			if fired() {
				t.Error("fired before the call")
			}
			_, err := w.signInWith(w.impatient(fired), w.password)
			checkLost(t, err, want.cut)
			if !fired() || acts.Load() != 1 {
				t.Errorf("fired: %t, Act was called %d times", fired(), acts.Load())
			}
			wanted := 1
			if want.done {
				wanted = 2
			}
			if n := w.admitted(); n != wanted {
				t.Errorf("the server let the user in %d times, want %d", n, wanted)
			}
			w.mustSignIn() // call 2 passes
			signIn := mongogate.Call{Kind: mongogate.SignIn}
			w.wantCalls(signIn, signIn, signIn)
		})
	}
}

func TestARefusalIsWithheldToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Inject(wiregate.Fault{Kind: wiregate.CutAfter})
	_, err := w.signInWith(w.ctx, "wrong-password")
	checkLost(t, err, true)
	w.wantCalls(mongogate.Call{Kind: mongogate.SignIn, Err: "18"})
}

func TestAStatementFails(t *testing.T) {
	t.Parallel()
	for kind, want := range faults {
		for name, nth := range map[string]int{"the first one": 1, "the second one": 2} {
			t.Run(kind.String()+", "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				fired := w.Inject(wiregate.Fault{Kind: kind, Nth: nth})
				conn := w.mustSignIn()
				for range nth - 1 {
					if _, err := conn.Run(w.ctx, "admin", bson.D{{Key: "ping", Value: 1}}); err != nil {
						t.Fatalf("a statement before: %v", err)
					}
				}
				checkLost(t, w.mark(w.impatient(fired), conn), want.cut)
				if !fired() {
					t.Error("the fault did not strike")
				}
				if done := w.traced(); done != want.done {
					t.Errorf("the statement was done: %t, want %t", done, want.done)
				}
				if calls := w.Calls(); len(calls) != nth+1 {
					t.Errorf("the calls are %+v, want %d", calls, nth+1)
				}
				// The next connection is none of the fault's business.
				if err := w.mark(w.ctx, w.mustSignIn()); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		}
	}
}

// The server has done it, and only then does Act run: whoever is killed by it
// is killed at that point.
func TestActRunsAtTheMomentOfTheFault(t *testing.T) {
	t.Parallel()
	for kind, want := range faults {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			client, kill := context.WithCancel(w.ctx)
			defer kill()
			done := make(chan bool, 1)
			w.Inject(wiregate.Fault{Kind: kind, Nth: 1, Act: func() {
				done <- w.traced()
				kill()
			}})
			// Where the gate cuts too, the client may notice either first.
			if err := w.mark(client, w.mustSignIn()); !want.cut {
				checkLost(t, err, false)
			} else if err == nil || code(err) != 0 {
				t.Errorf("the client had an answer: %v", err)
			}
			if got := <-done; got != want.done {
				t.Errorf("when Act ran, the statement was done: %t, want %t", got, want.done)
			}
		})
	}
}

func TestWhichCallsFail(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		faults []wiregate.Fault
		want   string // of five sign-ins, "x" for each that failed
	}{
		"none":             {nil, "....."},
		"the first":        {[]wiregate.Fault{{}}, "x...."},
		"the third":        {[]wiregate.Fault{{Nth: 2}}, "..x.."},
		"two":              {[]wiregate.Fault{{Nth: 1, Times: 2}}, ".xx.."},
		"all from a point": {[]wiregate.Fault{{Nth: 3, Times: -1}}, "...xx"},
		"two faults":       {[]wiregate.Fault{{Nth: 4}, {Nth: 1}}, ".x..x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, f := range row.faults {
				w.Inject(f)
			}
			var got []byte
			for range 5 {
				mark := byte('.')
				if _, err := w.signIn(); err != nil {
					mark = 'x'
				}
				got = append(got, mark)
			}
			if diff := cmp.Diff(row.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestResetForgetsCallsAndFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustSignIn()
	fired := w.Inject(wiregate.Fault{Nth: 1, Times: -1})
	w.Reset()
	conn := w.mustSignIn()
	if err := w.mark(w.ctx, conn); err != nil || fired() {
		t.Errorf("a fault that was forgotten struck: %v", err)
	}
	w.wantCalls(
		mongogate.Call{Kind: mongogate.SignIn},
		mongogate.Call{Kind: mongogate.Statement, Text: markCall},
	)
	w.Reset()
	w.Inject(wiregate.Fault{Nth: 0})
	if err := w.mark(w.ctx, conn); err == nil {
		t.Error("the first call since Reset did not fail")
	}
	w.wantCalls(mongogate.Call{Kind: mongogate.Statement, Text: markCall})
}

// MongoDB's own driver meets a fault as a lost connection, which it does not
// hide by a second try.
func TestTheDriverMeetsAFault(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		kind  wiregate.FaultKind
		nth   int
		calls int
	}{
		{"at the sign-in, before", wiregate.CutBefore, 0, 1},
		{"at the sign-in, after", wiregate.CutAfter, 0, 1},
		{"at the statement, before", wiregate.CutBefore, 1, 2},
		{"at the statement, after", wiregate.CutAfter, 1, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			fired := w.Inject(wiregate.Fault{Kind: row.kind, Nth: row.nth})
			err := w.driver(w.password).Database("admin").RunCommand(w.ctx, bson.D{{Key: "connectionStatus", Value: 1}}).Err()
			if err == nil || code(err) != 0 || !fired() {
				t.Errorf("got %v, fired %t; want a lost connection", err, fired())
			}
			if calls := w.Calls(); len(calls) != row.calls {
				t.Errorf("the calls are %+v, want %d", calls, row.calls)
			}
		})
	}
}
