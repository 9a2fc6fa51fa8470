package rotator_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/rotator"
)

const (
	proxyHost = "front.proxy.example.com"
	ownKey    = "dbrotation"
)

// proxied is a driver whose proxyHost is a proxy in front of the world's
// database: it takes the credential under AWSCURRENT alone, and lets whoever
// has it through.
type proxied struct {
	*drivertest.Fake
	w *world
}

// behindAProxy puts a proxy in front of the world's database.
func (w *world) behindAProxy() {
	w.config.Drivers = map[string]dbdrivers.Driver{"fake": proxied{w.driver, w}}
}

func (p proxied) pass(login dbdrivers.Login) (dbdrivers.Login, error) {
	if login.Host != proxyHost {
		return login, nil
	}
	current := p.w.document("AWSCURRENT")
	if login.Username != current["username"] || login.Password.Reveal() != current["password"] {
		return login, dbdrivers.Classify(dbdrivers.ErrRefused, "signing in to the proxy", errors.New("not the proxy's credential"))
	}
	login.Host = host
	return login, nil
}

func (p proxied) Verify(ctx context.Context, req dbdrivers.VerifyRequest) (err error) {
	if req.Login, err = p.pass(req.Login); err != nil {
		return err
	}
	return p.Fake.Verify(ctx, req)
}

func (p proxied) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) (err error) {
	if req.As, err = p.pass(req.As); err != nil {
		return err
	}
	return p.Fake.SetPassword(ctx, req)
}

func (p proxied) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) (differences []string, err error) {
	if req.Login, err = p.pass(req.Login); err != nil {
		return nil, err
	}
	return p.Fake.VerifyTwin(ctx, req)
}

// passes reports whether the proxy lets a login of the current credential
// through to the database.
func (w *world) passes() bool {
	current := w.document("AWSCURRENT")
	username, _ := current["username"].(string)
	password, _ := current["password"].(string)
	return proxied{w.driver, w}.Verify(w.t.Context(), dbdrivers.VerifyRequest{
		Login: dbdrivers.Login{Host: proxyHost, Username: username, Password: dbdrivers.NewPassword(password)},
	}) == nil
}

// front is the proxy, as its service knows it.
func front(users ...string) rotator.Relation {
	return rotator.Relation{
		Kind: rotator.RelationProxy, Proxy: proxyHost, ProxyUsers: users, Writer: true,
		Target: rotator.Endpoint{Host: host, Port: 5999, Engine: "fake"},
	}
}

// TestAProxyThatNobodyLooksBehindLocksTheApplicationOut is what the others are
// against.
func TestAProxyThatNobodyLooksBehindLocksTheApplicationOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.behindAProxy()
	w.secret(set("host", proxyHost))
	if err := w.rotate(); err == nil {
		t.Error("the rotation went through")
	}
	if w.password("AWSCURRENT") != firstPassword || w.db.Opens("app", firstPassword) || w.passes() {
		t.Error("the application is not locked out: the proxy of these tests is none")
	}
}

func TestARotationSignsInBehindAProxy(t *testing.T) {
	t.Parallel()
	readOnly := front()
	readOnly.Writer = false
	atProxy := set("host", proxyHost)
	for _, row := range []struct {
		name    string
		proxy   rotator.Relation
		admin   []func(map[string]any) // nil: by itself
		app     []func(map[string]any)
		hosts   []string
		asked   int // in the whole rotation
		signIns int
		turns   int
	}{
		{name: "by itself", proxy: front(), asked: 2, signIns: 2},
		{name: "by itself, whatever port the proxy has", proxy: front(), app: []func(map[string]any){set("port", 6432)}, asked: 2, signIns: 2},
		{name: "by itself, at an endpoint for reading", proxy: readOnly, asked: 2, signIns: 2},
		{name: "by the admin", proxy: front(), admin: []func(map[string]any){}, asked: 2, signIns: 3},
		{name: "by the admin, whatever port the proxy has", proxy: front(), admin: []func(map[string]any){}, app: []func(map[string]any){set("port", 6432)}, asked: 2, signIns: 3},
		{name: "by the admin, who names the proxy too", proxy: front(), admin: []func(map[string]any){atProxy}, asked: 2, signIns: 3},
		{name: "by the admin, where the operator listed the proxy", proxy: front(), admin: []func(map[string]any){}, hosts: []string{proxyHost}, asked: 2, signIns: 3},
		{name: "two accounts take turns, and the proxy signs in as both", proxy: front("app", "app_clone"), admin: []func(map[string]any){}, app: []func(map[string]any){drop("dbrotation")}, asked: 2, signIns: 3, turns: 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.behindAProxy()
			var asked []string
			w.config.Topology = services{proxies: map[string]rotator.Relation{proxyHost: row.proxy}, asked: &asked}
			w.config.AdminHosts, w.config.CreateTwins = row.hosts, true
			edits := []func(map[string]any){atProxy}
			if row.admin != nil {
				edits = append(edits, w.adminSecret(row.admin...))
			}
			w.secret(append(edits, row.app...)...)
			for range max(row.turns, 1) {
				if err := w.rotate(); err != nil {
					t.Fatal(err)
				}
				w.signsIn("AWSCURRENT")
				if !w.passes() {
					t.Error("the proxy does not take AWSCURRENT")
				}
			}
			turns := max(row.turns, 1)
			if len(asked) != row.asked*turns {
				t.Errorf("the services were asked %q, want %d questions in a rotation", asked, row.asked)
			}
			// passes has signed in once a turn.
			if ok, refused := w.db.SignIns(); ok != (row.signIns+1)*turns || refused != 0 {
				t.Errorf("%d sign-ins and %d refused, want %d and none", ok-turns, refused, row.signIns*turns)
			}
			if diff := cmp.Diff(8+min(1, len(edits)-1), w.callsOfOneRotation()/turns); diff != "" {
				t.Error("calls of Secrets Manager", diff)
			}
		})
	}
}

// callsOfOneRotation counts the function's calls of Secrets Manager.
func (w *world) callsOfOneRotation() (calls int) {
	for _, n := range w.calls() {
		calls += n
	}
	return calls
}

// TestTwoAccountsTakeNoTurnsBehindAProxyThatKnowsOne: nothing is sent at all.
func TestTwoAccountsTakeNoTurnsBehindAProxyThatKnowsOne(t *testing.T) {
	t.Parallel()
	for _, users := range [][]string{nil, {"app"}, {"app_clone", "other"}, {"APP", "APP_CLONE"}} {
		w := newWorld(t)
		w.behindAProxy()
		var asked []string
		w.config.Topology = services{proxies: map[string]rotator.Relation{proxyHost: front(users...)}, asked: &asked}
		w.alternating(set("host", proxyHost))
		pending := w.document("AWSCURRENT")
		pending["username"], pending["password"] = "app_clone", pendingPassword
		wantClass(t, w.deliver(rotator.SetSecret, w.pend(encode(t, pending))), rotator.ClassUnsupported,
			proxyHost, `"app"`, `"app_clone"`, "single", "dual-password", "database's own endpoint")
		if ok, refused := w.db.SignIns(); ok+refused != 0 || w.db.Exists("app_clone") || len(asked) != 1 {
			t.Errorf("%q: %d sign-ins; asked %q", users, ok+refused, asked)
		}
	}
}

// TestWhatIsBehindAProxyIsNotKnown: neither step signs in anywhere.
func TestWhatIsBehindAProxyIsNotKnown(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		err   error
		class rotator.Class
		says  []string
	}{
		{"the service refuses to say", fmt.Errorf("%w to rds:DescribeDBProxies", rotator.ErrDenied), rotator.ClassForbidden, []string{"rds:DescribeDBProxies", "role"}},
		{"the service does not answer", rotator.ErrServiceSilent, rotator.ClassUnreachable, []string{"VPC"}},
		{"the proxy has several targets", errors.New("the proxy has several targets: name the database's own endpoint as the host"), rotator.ClassInvalidSecret, []string{"several targets"}},
	} {
		for _, byAdmin := range []bool{false, true} {
			w := newWorld(t)
			w.behindAProxy()
			var asked []string
			w.config.Topology = services{proxies: map[string]rotator.Relation{proxyHost: front()}, err: row.err, asked: &asked}
			edits := []func(map[string]any){set("host", proxyHost)}
			if byAdmin {
				edits = append(edits, w.adminSecret())
			}
			token := w.threeVersions(edits...)
			for _, step := range []rotator.Step{rotator.SetSecret, rotator.TestSecret} {
				wantClass(t, w.deliver(step, token), row.class, append(row.says, proxyHost)...)
			}
			if ok, refused := w.db.SignIns(); ok+refused != 0 {
				t.Errorf("%s: the database was asked", row.name)
			}
		}
	}
}

// TestTheServerBehindAProxyIsVerifiedByItsOwnName: the secret's sslServerName is
// the proxy's.
func TestTheServerBehindAProxyIsVerifiedByItsOwnName(t *testing.T) {
	t.Parallel()
	named := set(ownKey, map[string]any{"strategy": "single", "sslServerName": "proxy-tls.example.com"})
	for _, byAdmin := range []bool{false, true} {
		w := newWorld(t)
		var asked []string
		w.config.Topology = services{proxies: map[string]rotator.Relation{proxyHost: front()}, asked: &asked}
		edits := []func(map[string]any){set("host", proxyHost), named}
		if byAdmin {
			edits = append(edits, w.adminSecret(set("host", proxyHost), named))
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
		if err := w.deliver(rotator.TestSecret, token); err != nil {
			t.Fatal(err)
		}
		for _, login := range append(logins, driver.verified.Login) {
			if login.Host != host || login.Port != 5999 || login.TLS.ServerName != "" || login.TLS.Plaintext || login.TLS.Roots != w.config.Roots {
				t.Errorf("%s signs in at %s, verified as %q", login.Username, login.Address(), login.TLS.ServerName)
			}
		}
	}
}

// TestAnAliasOfAProxy: that DNS leads to a proxy makes a rotation more careful,
// and sends no password anywhere.
func TestAnAliasOfAProxy(t *testing.T) {
	t.Parallel()
	const alias = "db.corp.example"
	named := map[string]any{"strategy": "single", "sslServerName": proxyHost}
	for _, row := range []struct {
		name  string
		app   []func(map[string]any)
		admin []func(map[string]any) // nil: by itself
		hosts []string
		class rotator.Class // "" = it is set and tested behind the proxy
		says  []string
	}{
		{name: "DNS alone says so", class: rotator.ClassInvalidSecret, says: []string{alias, proxyHost, "sslServerName"}},
		{name: "the secret verifies another name", app: []func(map[string]any){set(ownKey, map[string]any{"sslServerName": "other.example.com"})}, class: rotator.ClassInvalidSecret, says: []string{proxyHost}},
		{name: "the secret names the proxy too", app: []func(map[string]any){set(ownKey, named)}},
		{name: "the secret asks for no TLS", app: []func(map[string]any){set("ssl", false)}},
		{name: "the admin names the database", app: []func(map[string]any){set(ownKey, named)}, admin: []func(map[string]any){}, class: rotator.ClassForbidden, says: []string{alias, "ADMIN_HOSTS"}},
		{name: "the admin names the proxy itself", app: []func(map[string]any){set(ownKey, named)}, admin: []func(map[string]any){set("host", proxyHost)}, class: rotator.ClassForbidden, says: []string{alias, "ADMIN_HOSTS"}},
		{name: "the admin names the database, and the operator listed the alias", app: []func(map[string]any){set(ownKey, named)}, admin: []func(map[string]any){}, hosts: []string{alias}},
		{name: "the admin has the same alias", app: []func(map[string]any){set(ownKey, named)}, admin: []func(map[string]any){set("host", alias), set(ownKey, map[string]any{"sslServerName": proxyHost})}},
		{name: "the admin has the same alias, by DNS alone", app: []func(map[string]any){set(ownKey, named)}, admin: []func(map[string]any){set("host", alias)}, class: rotator.ClassInvalidSecret, says: []string{"secret:admin", alias}},
		{name: "the admin has the alias, and the secret the database", app: []func(map[string]any){set("host", host)}, admin: []func(map[string]any){set("host", alias), set(ownKey, map[string]any{"sslServerName": proxyHost})}, class: rotator.ClassForbidden, says: []string{"ADMIN_HOSTS"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.behindAProxy()
			var asked []string
			// Were the service to call any two hosts related, it would not
			// count for an alias.
			w.config.Topology = services{
				proxies:  map[string]rotator.Relation{alias: front(), proxyHost: front()},
				relation: rotator.Relation{Kind: rotator.RelationMember, Writer: true}, asked: &asked,
			}
			w.config.AdminHosts = row.hosts
			var edits []func(map[string]any)
			if row.admin != nil {
				edits = append(edits, w.adminSecret(row.admin...))
			}
			edits = append(edits, set("host", alias))
			token := w.threeVersions(append(edits, row.app...)...)
			w.db.CreateAccount("app", currentPassword)
			err := w.deliver(rotator.SetSecret, token)
			if row.class != "" {
				wantClass(t, err, row.class, row.says...)
				if ok, refused := w.db.SignIns(); ok+refused != 0 {
					t.Error("the database was asked")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := w.deliver(rotator.TestSecret, token); err != nil {
				t.Fatal(err)
			}
			w.opens("AWSPENDING")
		})
	}
}
