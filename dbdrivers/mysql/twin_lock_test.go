package mysql_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
)

// TestChangesOfAPairTakeTurns: while one change by an admin is under way, no
// other begins, whichever of the two accounts it is of.
func TestChangesOfAPairTakeTurns(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "in_turn")
		p.open()
		next := dbdrivers.NewPassword("next-password")
		calls := map[string]func(context.Context) error{
			"opening the twin": func(ctx context.Context) error {
				req := p.request()
				req.Password = next
				_, err := mysql.New().OpenTwin(ctx, req)
				return err
			},
			"the sibling's turn": func(ctx context.Context) error {
				return mysql.New().SetPassword(ctx, dbdrivers.SetPasswordRequest{As: p.Admin, Account: p.canonical, Twin: p.twin, Password: next})
			},
			"setting the twin's password alone": func(ctx context.Context) error {
				return mysql.New().SetPassword(ctx, dbdrivers.SetPasswordRequest{As: p.Admin, Account: p.twin, Password: next})
			},
			"retaining the twin's password": func(ctx context.Context) error {
				return mysql.New().RetainPassword(ctx, dbdrivers.RetainPasswordRequest{As: p.Admin, Account: p.twin, Current: dbdrivers.NewPassword(twinPassword), Password: next})
			},
		}
		for name, call := range calls {
			// What every change of the twin holds.
			held := s.holding(t, p.twin)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			err := call(ctx)
			cancel()
			held.Close()
			check(t, err, dbdrivers.ErrBusy, "another rotation", twinPassword, next.Reveal())
			p.wantTwin(twinPassword, true)
			if err := verify(t, p.login(p.canonical, siblingPassword)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		// And who holds the sibling alone keeps the twin from being opened.
		held := s.holding(t, p.canonical)
		defer held.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		check(t, calls["opening the twin"](ctx), dbdrivers.ErrBusy, "another rotation", twinPassword)
	})
}

// TestLocksOfAPairAreInOneOrder: a call that waits for the one account does not
// hold the other, or two calls could wait for each other.
func TestLocksOfAPairAreInOneOrder(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		held := s.holding(t, "ordered a")
		var group sync.WaitGroup
		defer group.Wait()
		defer held.Close()
		ctx, cancel := context.WithCancel(inTime(t))
		defer cancel()
		group.Go(func() {
			_, _ = mysql.New().OpenTwin(ctx, dbdrivers.OpenTwinRequest{
				Admin: s.Admin, Canonical: "ordered b", Twin: "ordered a", Password: dbdrivers.NewPassword(twinPassword),
			})
		})
		for waiting := 0; waiting == 0; {
			s.ask(t, &waiting, "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock' AND info LIKE 'SELECT GET_LOCK%'")
		}
		session, err := mywire.Connect(ctx, s.Admin, mysql.Dialect)
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		soon, late := context.WithTimeout(ctx, 3*time.Second)
		defer late()
		if err := session.Lock(soon, "holding", "ordered b"); err != nil {
			t.Error(err)
		}
	})
}

// holding is a session that has the lock of an account.
func (s *server) holding(t *testing.T, account string) *mywire.Session {
	t.Helper()
	session, err := mywire.Connect(inTime(t), s.Admin, mysql.Dialect)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Lock(inTime(t), "holding", account); err != nil {
		t.Fatal(err)
	}
	return session
}

// TestBothTurnsAtOnce opens the twin, and gives its sibling a password, over and
// over at the same moment. Both are done, nobody waits for the other for ever, and
// the two are equal.
func TestBothTurnsAtOnce(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "both_turns")
		p.with("GRANT SELECT, CREATE ROUTINE ON twin_shop.* TO %app")
		p.open()
		var group sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			group.Go(func() {
				if i%2 == 0 {
					_, errs[i] = openTwin(t, p.request())
					return
				}
				errs[i] = set(t, dbdrivers.SetPasswordRequest{As: p.Admin, Account: p.canonical, Twin: p.twin, Password: dbdrivers.NewPassword(siblingPassword)})
			})
		}
		group.Wait()
		for _, err := range errs {
			if err != nil && !errors.Is(err, dbdrivers.ErrBusy) {
				t.Error(err)
			}
		}
		p.wantEqual()
		if err := verify(t, p.login(p.canonical, siblingPassword)); err != nil {
			t.Error(err)
		}
	})
}
