package rotator_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/rotator"
)

// careless is a driver that tells everything it knows.
type careless struct{ dbdrivers.Driver }

func (careless) Verify(_ context.Context, req dbdrivers.VerifyRequest) error {
	return dbdrivers.Classify(dbdrivers.ErrRefused, "signing in", fmt.Errorf("with %q", req.Login.Password.Reveal()))
}

func (careless) SetPassword(_ context.Context, req dbdrivers.SetPasswordRequest) error {
	return dbdrivers.Classify(dbdrivers.ErrRefused, "signing in",
		fmt.Errorf("with %q to set '%s'", req.As.Password.Reveal(), req.Password.Reveal()))
}

// The story's world searches the error and the function's log.
func TestADriverThatTellsThePasswords(t *testing.T) {
	t.Parallel()
	for _, byAdmin := range []bool{false, true} {
		w := newWorld(t)
		var edits []func(map[string]any)
		if byAdmin {
			edits = append(edits, w.adminSecret())
		}
		token := w.threeVersions(edits...)
		w.config.Drivers = map[string]dbdrivers.Driver{"fake": careless{w.driver}}
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassNothingOpens, "[redacted]")
		wantClass(t, w.deliver(rotator.TestSecret, token), rotator.ClassRefused, "[redacted]")
		if log := w.log.String(); strings.Count(log, `"outcome":"failed"`) != 2 {
			t.Errorf("the log does not say that both steps failed: %s", log)
		}
	}
}

// tellingStore is a SecretStore whose client tells what it was given.
type tellingStore struct{ putSpy }

func (*tellingStore) Put(_ context.Context, req rotator.PutRequest) error {
	return fmt.Errorf("storing %s with %s failed", req.Value.Reveal(), req.RotationToken.Reveal())
}

func TestAStoreThatTellsWhatItStores(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	w.config.Secrets = &tellingStore{putSpy{version: "token", value: w.text("AWSCURRENT")}}
	_, err := w.rotator().Handle(t.Context(), rotator.Event{
		Step: rotator.CreateSecret, SecretID: w.arn, ClientRequestToken: "token", RotationToken: rotator.NewRotationToken("planted-rotation-token"),
	})
	wantClass(t, err, rotator.ClassSecretsManager, `"password":"[redacted]"`, "with [redacted] failed")
	w.nothingPlantedIn("an error", err.Error())
}

// recording is a driver that keeps what it is given.
type recording struct {
	dbdrivers.Driver
	verified dbdrivers.VerifyRequest
	set      dbdrivers.SetPasswordRequest
}

func (r *recording) Verify(_ context.Context, req dbdrivers.VerifyRequest) error {
	r.verified = req
	return nil
}

func (r *recording) SetPassword(_ context.Context, req dbdrivers.SetPasswordRequest) error {
	r.set = req
	return nil
}

func TestADriverIsGivenWhatTheSecretSaysOfTLSAndHashes(t *testing.T) {
	t.Parallel()
	own := map[string]any{"strategy": "single", "sslServerName": "app.example.com", "hash": "md5"}
	for _, byAdmin := range []bool{false, true} {
		w := newWorld(t)
		edits := []func(map[string]any){set("dbrotation", own)}
		name := "app.example.com"
		if byAdmin {
			name = "admin.example.com"
			edits = append(edits, w.adminSecret(set("dbrotation", map[string]any{"sslServerName": name})))
		}
		token := w.threeVersions(edits...)
		driver := &recording{Driver: w.driver}
		w.config.Drivers = map[string]dbdrivers.Driver{"fake": driver}
		w.config.Roots = x509.NewCertPool()
		if err := w.deliver(rotator.SetSecret, token); err != nil {
			t.Fatal(err)
		}
		logins := []dbdrivers.Login{driver.set.As}
		if byAdmin {
			logins = append(logins, driver.verified.Login)
		}
		for _, login := range logins {
			if login.TLS.ServerName != name || login.TLS.Roots != w.config.Roots || login.TLS.Plaintext {
				t.Errorf("%s signs in with the server name %q, want %q; roots, or TLS itself, are not the function's", login.Username, login.TLS.ServerName, name)
			}
		}
		if driver.set.Hash != "md5" || driver.set.Account != "app" {
			t.Errorf("the hash is %q for the account %q", driver.set.Hash, driver.set.Account)
		}
		if err := w.deliver(rotator.TestSecret, token); err != nil {
			t.Fatal(err)
		}
		if login := driver.verified.Login; login.TLS.ServerName != "app.example.com" || login.TLS.Roots != w.config.Roots {
			t.Errorf("testSecret signs in with the server name %q", login.TLS.ServerName)
		}
	}
}
