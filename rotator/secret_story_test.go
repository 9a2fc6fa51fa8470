package rotator_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/rotator"
)

func TestASecretWithFaultsIsRefusedInCreate(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		edits []func(map[string]any)
		text  string // instead of a document
		plain bool   // the engine has a driver without optional powers
		admin bool   // only an admin keeps an account's former password
		says  []string
	}{
		{name: "not JSON", text: "planted-just-a-password", says: []string{"not a JSON object"}},
		{name: "several faults are named at once",
			edits: []func(map[string]any){drop("engine"), drop("host"), drop("username"), set("port", "abc"), set("ssl", "perhaps")},
			says:  []string{"5 faults", `"engine" is missing`, `"host" is missing`, `"username" is missing`, `"port" is "abc"`, `"ssl" is "perhaps"`}},
		{name: "an unknown engine", edits: []func(map[string]any){set("engine", "dbase"), set("port", "abc")}, says: []string{"2 faults", "knows fake", `"port"`}},
		{name: "a username that is too long", edits: []func(map[string]any){set("username", strings.Repeat("x", 64))}, says: []string{`"username" has 64 bytes`}},
		{name: "a password policy that cannot be satisfied", edits: []func(map[string]any){set("dbrotation", map[string]any{"passwordLength": 3})}, says: []string{"the password length is 3"}},
		{name: "an unknown strategy", edits: []func(map[string]any){set("dbrotation", map[string]any{"strategy": "twice"})}, says: []string{`"twice" is not a strategy`, "single"}},
		{name: "two passwords for an engine whose accounts have one", plain: true, edits: []func(map[string]any){set("dbrotation", map[string]any{"strategy": "dual-password"})}, says: []string{"no such feature"}},
		{name: "two passwords without the admin who alone can keep one", admin: true, edits: []func(map[string]any){set("dbrotation", map[string]any{"strategy": "dual-password"})}, says: []string{`"masterarn" is missing`, "only an admin"}},
		{name: "twins for two passwords", edits: []func(map[string]any){set("dbrotation", map[string]any{"strategy": "dual-password", "twins": []string{"a", "b"}, "ownerRole": "o"})}, says: []string{"2 faults", "twins", "ownerRole"}},
		{name: "an admin, no strategy, and an engine without twins", plain: true, edits: []func(map[string]any){set("masterarn", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:admin-AbCdEf")}, says: []string{`"strategy": "single"`}},
		{name: "an alternating strategy for an engine without twins", plain: true, edits: []func(map[string]any){set("dbrotation", map[string]any{"strategy": "alternating"})}, says: []string{`"dbrotation" asks for the strategy alternating, which this version cannot do`}},
		{name: "twins for one account", edits: []func(map[string]any){set("dbrotation", map[string]any{"strategy": "single", "twins": []string{"a", "b"}, "ownerRole": "o"})}, says: []string{"2 faults", "twins", "ownerRole"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if row.plain {
				w.config.Drivers = map[string]dbdrivers.Driver{"fake": struct{ dbdrivers.Driver }{w.driver}}
			}
			if row.admin {
				traits := w.driver.Traits()
				traits.RetainsByAdminOnly = true
				w.driver.SetTraits(traits)
			}
			if row.text != "" {
				w.arn = w.store("app", row.text)
			} else {
				w.secret(row.edits...)
			}
			before := w.text("AWSCURRENT")
			cause := rotationCause(t, w.rotate())
			for _, part := range append(row.says, w.arn, "createSecret") {
				if !strings.Contains(cause, part) {
					t.Errorf("cause does not say %q: %s", part, cause)
				}
			}
			w.nothingPlantedIn("the cause", cause)
			if w.text("AWSCURRENT") != before || w.text("AWSPENDING") != "" {
				t.Error("the secret changed")
			}
			if ok, refused := w.db.SignIns(); ok+refused != 0 {
				t.Error("the database was asked")
			}
		})
	}
}

func TestAnAdminsSecretInAnotherRegion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	abroad := *w
	abroad.client = secretsmanager.New(w.client.Options(), func(options *secretsmanager.Options) { options.Region = "us-east-2" })
	w.secret(abroad.adminSecret())
	if err := w.rotate(); err != nil {
		t.Fatal(err)
	}
	w.opens("AWSCURRENT")
	if admin, _ := w.document("AWSCURRENT")["masterarn"].(string); !strings.Contains(admin, ":us-east-2:") {
		t.Errorf("the admin's secret is %s", admin)
	}
}

func TestASecretMayNotBeItsOwnAdmin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	document := w.document("AWSCURRENT")
	document["masterarn"], document["dbrotation"] = w.arn, map[string]any{"strategy": "single"}
	w.putCurrent(document)
	if cause := rotationCause(t, w.rotate()); !strings.Contains(cause, `"masterarn" names the secret itself`) {
		t.Errorf("cause: %s", cause)
	}
	w.unchanged()
}

func TestTestNamesThePendingVersionsFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	document := w.document("AWSCURRENT")
	document["port"] = "abc"
	wantClass(t, w.deliver(rotator.TestSecret, w.pend(encode(t, document))), rotator.ClassInvalidSecret, "the AWSPENDING version", `"port" is "abc"`)
}

func TestABinarySecretIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	out, err := w.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("binary"), SecretBinary: []byte("planted-binary")})
	if err != nil {
		t.Fatal(err)
	}
	w.arn = *out.ARN
	if cause := rotationCause(t, w.rotate()); !strings.Contains(cause, "binary") {
		t.Errorf("cause: %s", cause)
	}
}

func TestTheFunctionsStrategyOverridesTheSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Strategy = rotator.Single
	w.secret(w.adminSecret(), set("dbrotation", map[string]any{"strategy": "alternating"}))
	if err := w.rotate(); err != nil {
		t.Fatal(err)
	}
	w.opens("AWSCURRENT")
}

// The application's secret is less trusted than its admin's: none of these
// may make the admin's password go anywhere else, or touch another account.
func TestASecretThatReachesForMoreThanItsAccount(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		admin []func(map[string]any) // edits to the admin's secret
		app   []func(map[string]any)
		hosts []string
		class rotator.Class // "" = it is allowed
		says  []string
	}{
		{name: "it names another host", app: []func(map[string]any){set("host", "evil.example.com")}, class: rotator.ClassForbidden, says: []string{`"evil.example.com"`, "ADMIN_HOSTS"}},
		{name: "it names another port", app: []func(map[string]any){set("port", 6000)}, class: rotator.ClassForbidden, says: []string{"6000", "5999"}},
		{name: "it names the admin as its account", app: []func(map[string]any){set("username", "admin"), set("password", adminPassword)}, class: rotator.ClassForbidden, says: []string{"the admin itself"}},
		{name: "it names the account of someone else, without that one's password", app: []func(map[string]any){set("username", "other")}, class: rotator.ClassNothingOpens, says: []string{`"other"`}},
		{name: "it turns TLS off for itself; the admin's stays on", app: []func(map[string]any){set("ssl", false)}},
		{name: "the same host in other letters", app: []func(map[string]any){set("host", "DB.Example.COM.")}},
		{name: "an alias that the operator listed", app: []func(map[string]any){set("host", "alias.example.com")}, hosts: []string{"alias.example.com"}},
		{name: "the admin's secret lacks fields", admin: []func(map[string]any){drop("host"), drop("engine")}, class: rotator.ClassInvalidSecret, says: []string{"secret:admin", "2 faults"}},
		{name: "a service manages the admin's secret, and none can be asked", admin: []func(map[string]any){drop("host"), drop("engine"), drop("port")}, class: rotator.ClassUnsupported, says: []string{"secret:admin"}},
		{name: "the admin's secret has faults, all named", admin: []func(map[string]any){drop("host"), set("port", "abc"), set("engine", "dbase")}, class: rotator.ClassInvalidSecret, says: []string{"secret:admin", "3 faults", `"host"`, `"port"`, `"engine"`}},
		{name: "the admin's server is of another engine", admin: []func(map[string]any){set("engine", "other")}, class: rotator.ClassInvalidSecret, says: []string{"secret:admin", `"engine" is other`}},
		{name: "the admin's password is wrong", admin: []func(map[string]any){set("password", strangePassword)}, class: rotator.ClassRefused, says: []string{"secret:admin"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			elsewhere := w.elsewhere("evil.example.com")
			other := drivertest.NewFake(w.db)
			other.SetTraits(dbdrivers.Traits{Engine: "other", DefaultPort: 5999})
			w.config.Drivers["other"] = other
			w.config.AdminHosts = row.hosts
			w.db.CreateAccount("other", strangePassword)
			app := append([]func(map[string]any){w.adminSecret(row.admin...)}, row.app...)
			w.secret(app...)
			pending := w.document("AWSCURRENT")
			pending["password"] = pendingPassword
			token := w.pend(encode(t, pending))

			err := w.deliver(rotator.SetSecret, token)
			if row.class == "" {
				if err != nil {
					t.Fatal(err)
				}
				w.opens("AWSPENDING")
			} else {
				wantClass(t, err, row.class, row.says...)
				w.unchangedAccounts()
			}
			if ok, refused := elsewhere.SignIns(); ok+refused != 0 {
				t.Error("someone signed in where the application's secret pointed")
			}
		})
	}
}
