package redshiftgate_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/redshiftgate"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

// TestAGateOfFaultsStandsBeforeThisOne signs in through both, with either kind
// of password.
func TestAGateOfFaultsStandsBeforeThisOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	faults, err := wiregate.Start(wiregate.Config{Server: net.JoinHostPort(server.Host, strconv.Itoa(server.Port))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := faults.Close(); err != nil {
			t.Error(err)
		}
	})
	user := w.user("Abcdefg1")
	login := server.Login(user, "Abcdefg1")
	login.Host, login.Port = faults.Addr()
	login.TLS.Plaintext = true
	conn, err := dbservers.Connect(w.ctx, login)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(w.ctx); err != nil {
		t.Error(err)
	}
	login.Password = dbdrivers.NewPassword("Wrong-pass1")
	if _, err := dbservers.Connect(w.ctx, login); sqlstate(err) != "28000" {
		t.Errorf("a wrong password: %v", err)
	}
	calls := []wiregate.Call{{Kind: wiregate.SignIn, User: user}, {Kind: wiregate.SignIn, User: user, Err: "28000"}}
	if diff := cmp.Diff(calls, faults.Calls()); diff != "" {
		t.Errorf("the calls (-want +got):\n%s", diff)
	}

	w.exec("ALTER USER " + user + " PASSWORD 'sha256|Hidden99x'")
	host, port := faults.Addr()
	for password, want := range map[string]byte{"Hidden99x": 'R', "Hidden99X": 'E'} {
		c := dialAt(t, host, port, map[string]string{"user": user, "database": server.Database, "application_name": redshiftgate.ApplicationName})
		c.proveDigest(password)
		if kind, body := c.receive(); kind != want {
			t.Errorf("a digest through both gates: %q %q, want %q", kind, body, want)
		}
	}
}
