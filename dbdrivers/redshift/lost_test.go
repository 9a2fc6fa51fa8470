package redshift_test

import (
	"fmt"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

// TestAnswerLost cuts each message of a change in turn. What was not answered is
// never taken for refused or for done.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	for _, by := range []struct {
		name  string
		admin bool
		calls int
	}{{"itself", false, 4}, {"an admin", true, 11}} {
		for nth := range by.calls {
			for _, kind := range []wiregate.FaultKind{wiregate.CutBefore, wiregate.CutAfter} {
				t.Run(fmt.Sprintf("by %s, %s of message %d", by.name, kind, nth), func(t *testing.T) {
					name := fmt.Sprintf("lost_%t_%d_%d", by.admin, nth, kind)
					login := s.create(t, name, oldPassword)
					if by.admin {
						login = s.Admin
					}
					gate, through := gated(t, s, login)
					fired := gate.Inject(wiregate.Fault{Kind: kind, Nth: nth})
					err := set(t, dbdrivers.SetPasswordRequest{As: through, Account: name, Password: dbdrivers.NewPassword(newPassword)})
					if !fired() {
						t.Fatal("there was no such message")
					}
					says, opens := "nothing was changed", oldPassword
					switch nth {
					case 0:
						says = "to the sign-in"
					case by.calls - 1:
						says = "not known"
						if kind == wiregate.CutAfter {
							opens = newPassword
						}
					}
					check(t, err, dbdrivers.ErrUnreachable, says, oldPassword, newPassword)
					if !s.opens(t, name, opens) {
						t.Errorf("%q does not open", opens)
					}
				})
			}
		}
	}
}

// TestMessages holds what a call costs.
func TestMessages(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "frugal")
	gate, admin := gated(t, s, s.Admin)
	own := p.Login(p.canonical, siblingPassword)
	own.Host, own.Port = gate.Addr()
	for _, call := range []struct {
		name string
		want int
		do   func() error
	}{
		{"Verify", 2, func() error { return verify(t, own) }},
		{"SetPassword by itself", 4, func() error { return setOwn(t, own, siblingPassword) }},
		{"SetPassword by an admin", 11, func() error {
			return set(t, dbdrivers.SetPasswordRequest{As: admin, Account: p.canonical, Password: dbdrivers.NewPassword(siblingPassword)})
		}},
		{"OpenTwin of a new twin", 36, func() error {
			req := p.request()
			req.Admin = admin
			_, err := openTwin(t, req)
			return err
		}},
		{"OpenTwin of a twin that is equal", 32, func() error {
			req := p.request()
			req.Admin = admin
			_, err := openTwin(t, req)
			return err
		}},
	} {
		gate.Reset()
		if err := call.do(); err != nil {
			t.Fatalf("%s: %v", call.name, err)
		}
		if calls := len(gate.Calls()); calls != call.want {
			t.Errorf("%s takes %d messages; want %d", call.name, calls, call.want)
		}
	}
}
