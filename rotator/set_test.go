package rotator_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/integration/localaws"
	"github.com/dbrotation/dbrotation/rotator"
)

const (
	currentPassword  = "planted-Current-2"
	pendingPassword  = "planted-Pending-3"
	previousPassword = "planted-Previous-1"
	strangePassword  = "planted-Strange-9"
)

// threeVersions gives the secret a previous, a current and a pending version
// that differ in the password alone, and returns the pending one's id.
func (w *world) threeVersions(edits ...func(map[string]any)) (token string) {
	w.t.Helper()
	with := func(password string) string {
		document := map[string]any{"engine": "fake", "host": host, "username": "app", "port": 5999}
		for _, edit := range edits {
			edit(document)
		}
		document["password"] = password
		return encode(w.t, document)
	}
	w.arn = w.store("app", with(previousPassword))
	if _, err := w.client.PutSecretValue(w.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &w.arn, SecretString: aws.String(with(currentPassword))}); err != nil {
		w.t.Fatal(err)
	}
	return w.pend(with(pendingPassword))
}

func TestSetFindsOutWhichPasswordTheAccountHas(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		has      string // the account's password when setSecret comes
		byAdmin  bool
		counts   bool // the engine counts refusals
		mayReset bool
		class    rotator.Class // "" = it succeeds
		says     []string
		signedIn int
		refused  int
	}{
		{name: "current opens", has: currentPassword, signedIn: 1},
		{name: "an earlier delivery set it", has: pendingPassword, signedIn: 1, refused: 1},
		{name: "an abandoned rotation left previous", has: previousPassword, signedIn: 1, refused: 2},
		{name: "nothing opens", has: strangePassword, refused: 3, class: rotator.ClassNothingOpens, says: []string{"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS", `"app"`}},
		{name: "nothing opens where refusals are counted", has: strangePassword, counts: true, refused: 2, class: rotator.ClassNothingOpens, says: []string{"not tried: two refusals"}},
		{name: "previous is not tried where refusals are counted", has: previousPassword, counts: true, refused: 2, class: rotator.ClassNothingOpens},
		{name: "by the admin: current opens", has: currentPassword, byAdmin: true, signedIn: 2},
		{name: "by the admin: an earlier delivery set it", has: pendingPassword, byAdmin: true, signedIn: 1, refused: 1},
		{name: "by the admin: previous opens", has: previousPassword, byAdmin: true, signedIn: 2, refused: 2},
		{name: "by the admin: nothing opens", has: strangePassword, byAdmin: true, refused: 3, class: rotator.ClassNothingOpens, says: []string{"ADMIN_MAY_RESET"}},
		{name: "by the admin: nothing opens, and the operator allows a reset", has: strangePassword, byAdmin: true, mayReset: true, signedIn: 1, refused: 3},
		{name: "a reset needs an admin", has: strangePassword, mayReset: true, refused: 3, class: rotator.ClassNothingOpens},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.config.AdminMayReset = row.mayReset
			if row.counts {
				w.countRefusals()
			}
			var edits []func(map[string]any)
			if row.byAdmin {
				edits = append(edits, w.adminSecret())
			}
			token := w.threeVersions(edits...)
			w.db.CreateAccount("app", row.has)

			err := w.deliver(rotator.SetSecret, token)
			ok, refused := w.db.SignIns()
			if ok != row.signedIn || refused != row.refused {
				t.Errorf("%d sign-ins and %d refused, want %d and %d", ok, refused, row.signedIn, row.refused)
			}
			if row.class != "" {
				wantClass(t, err, row.class, row.says...)
				if !w.db.Opens("app", row.has) {
					t.Error("the account's password changed")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			w.opens("AWSPENDING")
		})
	}
}

func TestAFailureThatIsNoRefusalStopsTheLadder(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		class error
		at    drivertest.Moment
		want  rotator.Class
	}{
		{"unreachable", dbdrivers.ErrUnreachable, drivertest.AtSignIn, rotator.ClassUnreachable},
		{"no verified TLS", dbdrivers.ErrTLS, drivertest.AtSignIn, rotator.ClassTLS},
		{"busy", dbdrivers.ErrBusy, drivertest.AtSignIn, rotator.ClassBusy},
		{"barred", dbdrivers.ErrBarred, drivertest.AtSignIn, rotator.ClassBarred},
		{"a replica", dbdrivers.ErrNotWritable, drivertest.BeforeChange, rotator.ClassNotWritable},
		{"a privilege is missing", dbdrivers.ErrPrivilege, drivertest.BeforeChange, rotator.ClassPrivilege},
		{"not supported", dbdrivers.ErrUnsupported, drivertest.BeforeChange, rotator.ClassUnsupported},
		{"the connection broke before the change", dbdrivers.ErrUnreachable, drivertest.BeforeChange, rotator.ClassUnreachable},
		{"an error without a class", errors.New("surprise"), drivertest.BeforeChange, rotator.ClassUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			token := w.threeVersions()
			w.db.CreateAccount("app", currentPassword)
			w.db.FailNext(row.class, row.at)
			err := w.deliver(rotator.SetSecret, token)
			wantClass(t, err, row.want)
			if !errors.Is(err, row.class) {
				t.Errorf("the driver's class is not in the chain of %v", err)
			}
			if _, refused := w.db.SignIns(); refused != 0 {
				t.Errorf("%d sign-ins were refused: another credential was tried", refused)
			}
			if !w.db.Opens("app", currentPassword) || w.labels(token) != "AWSPENDING" {
				t.Error("something changed")
			}
			if err := w.deliver(rotator.SetSecret, token); err != nil {
				t.Fatalf("the next delivery: %v", err)
			}
			w.opens("AWSPENDING")
		})
	}
}

func TestTheAnswerToTheChangeIsLost(t *testing.T) {
	t.Parallel()
	for _, byAdmin := range []bool{false, true} {
		w := newWorld(t)
		var edits []func(map[string]any)
		if byAdmin {
			edits = append(edits, w.adminSecret())
		}
		token := w.threeVersions(edits...)
		w.db.CreateAccount("app", currentPassword)
		w.db.FailNext(dbdrivers.ErrUnreachable, drivertest.AfterChange)
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassUnreachable)
		if !w.db.Opens("app", pendingPassword) {
			t.Fatal("the change was not done")
		}
		if w.labels(token) != "AWSPENDING" {
			t.Fatal("AWSPENDING left the version whose password the database holds")
		}
		if err := w.deliver(rotator.SetSecret, token); err != nil {
			t.Fatal(err)
		}
		w.opens("AWSPENDING")
	}
}

func TestABarredAccountHasThePasswordItHas(t *testing.T) {
	t.Parallel()
	t.Run("pending is set already, and testSecret says what is wrong", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions()
		w.db.CreateAccount("app", pendingPassword)
		w.db.Bar("app")
		if err := w.deliver(rotator.SetSecret, token); err != nil {
			t.Fatal(err)
		}
		wantClass(t, w.deliver(rotator.TestSecret, token), rotator.ClassBarred)
	})
	t.Run("an admin does not change what cannot be proven afterwards", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions(w.adminSecret())
		w.db.CreateAccount("app", currentPassword)
		w.db.Bar("app")
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassBarred, "Nothing was changed", "AWSCURRENT")
		w.db.Unbar("app")
		w.opens("AWSCURRENT")
		if err := w.deliver(rotator.SetSecret, token); err != nil {
			t.Fatal(err)
		}
		w.opens("AWSPENDING")
	})
	t.Run("the other account of a pair is changed though current lost its privileges", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.alternating()
		if err := w.rotate(); err != nil {
			t.Fatal(err)
		}
		w.db.FailNextOf("app_clone", dbdrivers.ErrPrivilege, drivertest.AtSignIn)
		if err := w.rotate(); err != nil {
			t.Fatal(err)
		}
		if username := w.document("AWSCURRENT")["username"]; username != "app" {
			t.Errorf("%v is current, want app", username)
		}
		w.signsIn("AWSCURRENT")
	})
	t.Run("an account without its privileges is not changed by an admin", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions(w.adminSecret())
		w.db.CreateAccount("app", currentPassword)
		w.db.FailNextOf("app", dbdrivers.ErrPrivilege, drivertest.AtSignIn)
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassPrivilege)
		w.opens("AWSCURRENT")
	})
	t.Run("the other account of a pair is changed all the same", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.alternating()
		if err := w.rotate(); err != nil {
			t.Fatal(err)
		}
		w.db.Bar("app_clone")
		if err := w.rotate(); err != nil {
			t.Fatal(err)
		}
		w.signsIn("AWSCURRENT")
	})
}

func TestAPasswordThatTheServersRulesRefuse(t *testing.T) {
	t.Parallel()
	refuseAll := func(string) error { return errors.New("at least two umlauts") }

	t.Run("the label goes, so that the next rotation makes another", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.secret()
		w.db.Rules(refuseAll)
		if w.rotate() == nil {
			t.Error("the rotation went through")
		}
		if w.text("AWSPENDING") != "" {
			t.Error("AWSPENDING is still there")
		}
		w.unchanged()
		if !strings.Contains(w.log.String(), "at least two umlauts") {
			t.Error("the log does not name the rule")
		}
		w.db.Rules(nil)
		if err := w.rotate(); err != nil {
			t.Fatalf("the next rotation: %v", err)
		}
		w.opens("AWSCURRENT")
	})
	t.Run("the error names the rule and what to do", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions()
		w.db.CreateAccount("app", currentPassword)
		w.db.Rules(refuseAll)
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassPasswordRules, "two umlauts", "PASSWORD_LENGTH")
		if w.labels(token) != "" {
			t.Errorf("labels %q", w.labels(token))
		}
	})
	t.Run("the label stays where current cannot be asked", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions()
		w.db.CreateAccount("app", currentPassword)
		w.db.FailNext(dbdrivers.ErrPasswordRules, drivertest.BeforeChange)
		w.db.FailNext(nil, drivertest.AtSignIn) // the first sign-in passes
		w.db.FailNext(dbdrivers.ErrUnreachable, drivertest.AtSignIn)
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassPasswordRules, "the label stays")
		if w.labels(token) != "AWSPENDING" {
			t.Errorf("labels %q", w.labels(token))
		}
	})
	t.Run("the label stays where current does not open", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions(w.adminSecret())
		w.db.CreateAccount("app", previousPassword)
		w.db.Rules(refuseAll)
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassPasswordRules, "the label stays", "PutSecretValue")
		if w.labels(token) != "AWSPENDING" {
			t.Errorf("labels %q", w.labels(token))
		}
		if _, refused := w.db.SignIns(); refused != 2 {
			t.Errorf("%d refused sign-ins, want current's and pending's: what was refused was offered again", refused)
		}
	})
	t.Run("another delivery has just set it", func(t *testing.T) {
		t.Parallel()
		for _, edits := range [][]func(map[string]any){nil, {set("dbrotation", map[string]any{"strategy": "single"})}} {
			w := newWorld(t)
			if edits != nil {
				edits = append(edits, w.adminSecret())
			}
			token := w.threeVersions(edits...)
			w.db.CreateAccount("app", currentPassword)
			w.db.FailNext(dbdrivers.ErrPasswordRules, drivertest.AfterChange)
			if err := w.deliver(rotator.SetSecret, token); err != nil {
				t.Errorf("it is set, and yet: %v", err)
			}
			if w.labels(token) != "AWSPENDING" {
				t.Errorf("labels %q: the database holds its password", w.labels(token))
			}
			w.onlyOpen(pendingPassword)
		}
	})
	t.Run("the label stays where the pending password opens after all", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions()
		w.db.CreateAccount("app", currentPassword)
		w.config.Drivers = map[string]dbdrivers.Driver{"fake": eitherOpens{w.driver}}
		w.db.Rules(refuseAll)
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassPasswordRules, "the label stays", "was not refused")
		if w.labels(token) != "AWSPENDING" {
			t.Errorf("labels %q", w.labels(token))
		}
	})
	t.Run("an operator's reset is refused where refusals are counted", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.config.AdminMayReset = true
		w.countRefusals()
		token := w.threeVersions(w.adminSecret())
		w.db.CreateAccount("app", strangePassword)
		w.db.LockAfter(3)
		w.db.Rules(refuseAll)
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassPasswordRules, "the label stays")
		if _, refused := w.db.SignInsOf("app"); refused != 2 || !w.db.Opens("app", strangePassword) {
			t.Errorf("%d refused sign-ins, or the account is locked", refused)
		}
	})
	t.Run("the label cannot be taken off yet", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions()
		w.db.CreateAccount("app", currentPassword)
		w.db.Rules(refuseAll)
		w.aws.Inject(localaws.Fault{Kind: localaws.FailBefore, Operation: "UpdateSecretVersionStage", Code: "AccessDeniedException", Times: -1})
		err := w.deliver(rotator.SetSecret, token)
		w.aws.ClearFaults()
		wantClass(t, err, rotator.ClassPasswordRules, "two umlauts", "secretsmanager:UpdateSecretVersionStage", "role")
		if w.labels(token) != "AWSPENDING" {
			t.Errorf("labels %q", w.labels(token))
		}
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassPasswordRules)
		if w.labels(token) != "" {
			t.Errorf("labels %q after the next delivery", w.labels(token))
		}
	})
}

// eitherOpens is a server that lets everyone in who only signs in: another
// delivery's change is on its way.
type eitherOpens struct{ dbdrivers.Driver }

func (eitherOpens) Verify(context.Context, dbdrivers.VerifyRequest) error { return nil }

// countRefusals makes the engine one that counts refused sign-ins.
func (w *world) countRefusals() {
	traits := w.driver.Traits()
	traits.CountsRefusals = true
	w.driver.SetTraits(traits)
}

func TestAPreviousVersionThatIsNotTheAccounts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		edit func(map[string]any)
		says string
	}{
		{"it names another account", set("username", "other"), "another account or server"},
		{"it names another host", set("host", "evil.example.com"), "another account or server"},
		{"it names another port", set("port", 6000), "another account or server"},
		{"it is no document", drop("username"), "not a valid document"},
		{"it holds current's password", set("password", currentPassword), "a password that was refused"},
		{"it holds pending's password", set("password", pendingPassword), "a password that was refused"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			evil := w.elsewhere("evil.example.com")
			token := w.threeVersions()
			w.move("AWSPREVIOUS", w.edited(func(document map[string]any) {
				document["password"] = previousPassword
				row.edit(document)
			}))
			w.db.CreateAccount("app", previousPassword)
			wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassNothingOpens, "AWSPREVIOUS: not tried: ", row.says)
			if _, refused := w.db.SignIns(); refused != 2 || !w.db.Opens("app", previousPassword) {
				t.Errorf("%d refused sign-ins, want 2, or the password changed", refused)
			}
			if ok, refused := evil.SignIns(); ok+refused != 0 {
				t.Error("someone signed in where previous pointed")
			}
		})
	}
}

func TestTheClientsOwnErrorIsReached(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		byAdmin bool
		passes  int // sign-ins before the refusals
		refused int
		class   rotator.Class
	}{
		{"nothing opens", false, 0, 3, rotator.ClassNothingOpens},
		{"the admin is refused", true, 1, 1, rotator.ClassRefused},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var edits []func(map[string]any)
			if row.byAdmin {
				edits = append(edits, w.adminSecret())
			}
			token := w.threeVersions(edits...)
			w.db.CreateAccount("app", currentPassword)
			for range row.passes {
				w.db.FailNext(nil, drivertest.AtSignIn)
			}
			for range row.refused {
				w.db.FailNext(fmt.Errorf("%w: %w", dbdrivers.ErrRefused, &clientError{code: 1045}), drivertest.AtSignIn)
			}
			err := w.deliver(rotator.SetSecret, token)
			wantClass(t, err, row.class)
			var client *clientError
			if !errors.As(err, &client) || client.code != 1045 {
				t.Errorf("the client's error is not in the chain of %v", err)
			}
		})
	}
}

// clientError is a client library's own error.
type clientError struct{ code int }

func (*clientError) Error() string { return "access denied" }

func TestAPendingVersionThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		edit  func(map[string]any)
		class rotator.Class
		says  string
	}{
		{"another username", set("username", "postgres"), rotator.ClassMismatch, `"username"`},
		{"another host", set("host", "evil.example.com"), rotator.ClassMismatch, `"host"`},
		{"another port", set("port", 6000), rotator.ClassMismatch, `"port"`},
		{"another database", set("dbname", "other"), rotator.ClassMismatch, `"dbname"`},
		{"TLS turned off", set("ssl", false), rotator.ClassMismatch, `"ssl"`},
		{"an admin of its own", set("masterarn", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:evil-AbCdEf"), rotator.ClassMismatch, `"masterarn"`},
		{"another engine", set("engine", "mysql"), rotator.ClassMismatch, `"engine"`},
		{"settings of its own", set("dbrotation", map[string]any{"sslServerName": "evil.example.com"}), rotator.ClassMismatch, `"dbrotation"`},
		{"a key more", set("authSource", "evil"), rotator.ClassMismatch, `"authSource"`},
		{"the current password again", set("password", currentPassword), rotator.ClassMismatch, "current password"},
		{"no password", drop("password"), rotator.ClassInvalidSecret, `"password" is missing`},
		{"a port of abc", set("port", "abc"), rotator.ClassInvalidSecret, `"port"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.threeVersions()
			w.db.CreateAccount("app", currentPassword)
			document := w.document("AWSPENDING")
			row.edit(document)
			token := w.pend(encode(t, document))
			wantClass(t, w.deliver(rotator.SetSecret, token), row.class, row.says)
			if ok, refused := w.db.SignIns(); ok+refused != 0 {
				t.Error("the database was asked")
			}
			if !w.db.Opens("app", currentPassword) || w.password("AWSCURRENT") != currentPassword {
				t.Error("something changed")
			}
		})
	}
}

func TestALateChangeIsNotWaitedForAtTheCostOfTheAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	traits := w.driver.Traits()
	traits.SettlesLate, traits.CountsRefusals = true, true
	w.driver.SetTraits(traits)
	token := w.threeVersions()
	w.db.CreateAccount("app", currentPassword)
	w.db.LockAfter(4)
	w.db.SettleAfter(2)
	wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassRefused, "waiting for the new password to show")
	if _, refused := w.db.SignIns(); refused != 2 {
		t.Errorf("%d refused sign-ins, want 2", refused)
	}
	if err := w.deliver(rotator.SetSecret, token); err != nil {
		t.Fatal(err)
	}
	w.opens("AWSPENDING")
}

func TestAnEngineThatSettlesLateIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	traits := w.driver.Traits()
	traits.SettlesLate = true
	w.driver.SetTraits(traits)
	w.secret()
	w.db.SettleAfter(2)
	if err := w.rotate(); err != nil {
		t.Fatal(err)
	}
	w.opens("AWSCURRENT")
	if invocations := w.aws.Invocations(); len(invocations) != 4 {
		t.Errorf("%d invocations, want 4: setSecret returned before the change showed", len(invocations))
	}
}
