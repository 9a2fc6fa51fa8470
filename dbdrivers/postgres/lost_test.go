package postgres_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

// gated returns a login that reaches a server through a gate of its own.
func gated(t *testing.T, s *server, login dbdrivers.Login) (*wiregate.Gate, dbdrivers.Login) {
	t.Helper()
	certPEM, keyPEM, err := s.CA.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	gate, err := wiregate.Start(wiregate.Config{
		Server: net.JoinHostPort(s.Host, fmt.Sprint(s.Port)),
		TLS:    &tls.Config{Certificates: []tls.Certificate{certificate}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gate.Close(); err != nil {
			t.Error(err)
		}
	})
	login.Host, login.Port = gate.Addr()
	return gate, login
}

// TestAnswerLost cuts or stalls each message of a change in turn. What was not
// answered is never taken for refused or for done.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.PostgresOptions{Version: newest, Plaintext: true})
	calls := []struct {
		name string
		says string
		// opens is the password that opens when the server did the call.
		opens string
	}{
		{"the sign-in", "to the sign-in", "old-password"},
		{"the opening of the transaction", "nothing was changed", "old-password"},
		{"the change", "whether it took effect is not known", "new-password"},
	}
	kinds := []wiregate.FaultKind{wiregate.CutBefore, wiregate.CutAfter, wiregate.Stall}
	for nth, call := range calls {
		for _, kind := range kinds {
			name := fmt.Sprintf("lost_%d_%d", nth, kind)
			t.Run(fmt.Sprintf("%s, %s", call.name, kind), func(t *testing.T) {
				t.Parallel()
				login := s.user(t, name, "old-password")
				gate, through := gated(t, s, login)
				fired := gate.Inject(wiregate.Fault{Kind: kind, Nth: nth})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := postgres.New().SetPassword(ctx, dbdrivers.SetPasswordRequest{
					As: through, Account: name, Password: dbdrivers.NewPassword("new-password"),
				})
				if !fired() {
					t.Fatal("there was no such call")
				}
				check(t, err, dbdrivers.ErrUnreachable, call.says, "old-password", "new-password")
				opens := "old-password"
				if kind == wiregate.CutAfter {
					opens = call.opens
				}
				if !s.opens(t, name, opens) {
					t.Errorf("%q does not open", opens)
				}
			})
		}
	}
}

// TestRoundTrips holds what a call costs.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.PostgresOptions{Version: newest, Plaintext: true})
	login := s.user(t, "frugal", "old-password")
	gate, through := gated(t, s, login)
	_, admin := gated(t, s, s.Admin)
	admin.Host, admin.Port = through.Host, through.Port

	tests := []struct {
		name string
		call func() error
		want int
	}{
		{"Verify", func() error { return verify(t, through) }, 2},
		{"SetPassword by itself", func() error { return setOwn(t, through, "old-password") }, 3},
		{"SetPassword by an admin", func() error {
			return set(t, dbdrivers.SetPasswordRequest{As: admin, Account: "frugal", Password: dbdrivers.NewPassword("old-password")})
		}, 3},
		{"a wrong password", func() error {
			err := verify(t, withPassword(through, "wrong-password"))
			check(t, err, dbdrivers.ErrRefused, "", "wrong-password")
			return nil
		}, 1},
	}
	for _, test := range tests {
		gate.Reset()
		if err := test.call(); err != nil {
			drivertest.WantSafe(t, err, "old-password")
			t.Errorf("%s: %v", test.name, err)
		}
		if calls := gate.Calls(); len(calls) != test.want {
			t.Errorf("%s took %d calls, the sign-in among them; want %d: %+v", test.name, len(calls), test.want, calls)
		}
	}
}
