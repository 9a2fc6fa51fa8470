package rotator_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/rotator"
)

// dual are the edits of a secret whose account has two passwords.
func (w *world) dual(byAdmin bool) []func(map[string]any) {
	w.t.Helper()
	strategy := ours("strategy", "dual-password")
	if byAdmin {
		return []func(map[string]any){w.adminSecret(), strategy}
	}
	return []func(map[string]any){strategy}
}

// both are who may make the change.
var both = map[string]bool{"by itself": false, "by an admin": true}

// onlyOpen fails the test unless these passwords open the account, and no other
// of the stories does.
func (w *world) onlyOpen(open ...string) {
	w.t.Helper()
	opens := map[string]bool{
		firstPassword: false, currentPassword: false, pendingPassword: false, previousPassword: false, strangePassword: false,
		w.password("AWSCURRENT"): false, w.password("AWSPENDING"): false, w.password("AWSPREVIOUS"): false,
	}
	delete(opens, "")
	for _, password := range open {
		opens[password] = true
	}
	for password, want := range opens {
		if w.db.Opens("app", password) != want {
			w.t.Errorf("%s opens: %t, want %t", password[:min(len(password), 12)], !want, want)
		}
	}
}

func TestTwoPasswordsOpenFromOneRotationToTheNext(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		byAdmin bool
		calls   map[string]int
		signIns int
	}{
		{"by itself", false, map[string]int{"createSecret": 30, "setSecret": 20, "testSecret": 10, "finishSecret": 20}, 20},
		{"by an admin", true, map[string]int{"createSecret": 30, "setSecret": 30, "testSecret": 10, "finishSecret": 20}, 30},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.secret(w.dual(row.byAdmin)...)
			ended := strangePassword
			for range 10 {
				former := w.password("AWSCURRENT")
				if err := w.rotate(); err != nil {
					t.Fatal(err)
				}
				if w.password("AWSPREVIOUS") != former || w.password("AWSCURRENT") == former {
					t.Fatal("the labels do not tell the former password and the new one")
				}
				w.onlyOpen(w.password("AWSCURRENT"), former)
				if w.db.Opens("app", ended) {
					t.Error("a third password opens")
				}
				ended = former
			}
			if diff := cmp.Diff(row.calls, w.calls()); diff != "" {
				t.Errorf("calls of Secrets Manager: %s", diff)
			}
			if ok, refused := w.db.SignIns(); ok != row.signIns || refused != 0 {
				t.Errorf("%d sign-ins and %d refused, want %d and none", ok, refused, row.signIns)
			}
		})
	}
}

func TestSetKeepsThePasswordThatItHasProven(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name        string
		has, former string // the account's passwords when setSecret comes
		byAdmin     bool
		counts      bool // the engine counts refusals
		mayReset    bool
		class       rotator.Class // "" = it succeeds
		says        []string
		opens       []string // afterwards, and nothing else
		signedIn    int
		refused     int
	}{
		{name: "current opens", has: currentPassword, opens: []string{pendingPassword, currentPassword}, signedIn: 1},
		{name: "current opens beside the one before", has: currentPassword, former: previousPassword, opens: []string{pendingPassword, currentPassword}, signedIn: 1},
		{name: "an earlier delivery set it", has: pendingPassword, former: currentPassword, opens: []string{pendingPassword, currentPassword}, signedIn: 1},
		{name: "pending is the only password already", has: pendingPassword, opens: []string{pendingPassword}, signedIn: 1, refused: 1},
		{name: "pending is set already beside another", has: pendingPassword, former: previousPassword, opens: []string{pendingPassword, previousPassword}, signedIn: 1, refused: 1},
		{name: "current is the older one since a rotation was given up", has: strangePassword, former: currentPassword, opens: []string{pendingPassword, currentPassword}, signedIn: 1},
		{name: "an abandoned rotation left previous", has: previousPassword, opens: []string{pendingPassword, previousPassword}, signedIn: 1, refused: 2},
		{name: "nothing opens", has: strangePassword, refused: 3, opens: []string{strangePassword}, class: rotator.ClassNothingOpens, says: []string{"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"}},
		{name: "nothing opens where refusals are counted", has: strangePassword, counts: true, refused: 2, opens: []string{strangePassword}, class: rotator.ClassNothingOpens, says: []string{"not tried: two refusals"}},
		{name: "by the admin: current opens", has: currentPassword, byAdmin: true, opens: []string{pendingPassword, currentPassword}, signedIn: 2},
		{name: "by the admin: an earlier delivery set it", has: pendingPassword, former: currentPassword, byAdmin: true, opens: []string{pendingPassword, currentPassword}, signedIn: 2},
		{name: "by the admin: pending is the only password already", has: pendingPassword, byAdmin: true, opens: []string{pendingPassword}, signedIn: 1, refused: 1},
		{name: "by the admin: current is the older one", has: strangePassword, former: currentPassword, byAdmin: true, opens: []string{pendingPassword, currentPassword}, signedIn: 2},
		{name: "by the admin: previous opens", has: previousPassword, byAdmin: true, opens: []string{pendingPassword, previousPassword}, signedIn: 2, refused: 2},
		{name: "by the admin: nothing opens", has: strangePassword, byAdmin: true, refused: 3, opens: []string{strangePassword}, class: rotator.ClassNothingOpens, says: []string{"ADMIN_MAY_RESET"}},
		{name: "by the admin: nothing opens, and the operator allows a reset", has: strangePassword, byAdmin: true, mayReset: true, opens: []string{pendingPassword}, signedIn: 1, refused: 3},
		{name: "a reset ends both passwords that nobody knows", has: strangePassword, former: firstPassword, byAdmin: true, mayReset: true, opens: []string{pendingPassword}, signedIn: 1, refused: 3},
		{name: "a reset needs an admin", has: strangePassword, mayReset: true, refused: 3, opens: []string{strangePassword}, class: rotator.ClassNothingOpens},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.config.AdminMayReset = row.mayReset
			if row.counts {
				w.countRefusals()
			}
			token := w.threeVersions(w.dual(row.byAdmin)...)
			w.db.CreateAccount("app", row.has)
			if row.former != "" {
				w.db.SetFormer("app", row.former)
			}
			err := w.deliver(rotator.SetSecret, token)
			ok, refused := w.db.SignIns()
			if ok != row.signedIn || refused != row.refused {
				t.Errorf("%d sign-ins and %d refused, want %d and %d", ok, refused, row.signedIn, row.refused)
			}
			w.onlyOpen(row.opens...)
			if row.class != "" {
				wantClass(t, err, row.class, row.says...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range []rotator.Step{rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret} {
				if err := w.deliver(step, token); err != nil {
					t.Errorf("%s afterwards: %v", step, err)
				}
			}
			w.onlyOpen(row.opens...)
		})
	}
}

func TestAFailureToRetainChangesNothing(t *testing.T) {
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
		for who, byAdmin := range both {
			t.Run(row.name+", "+who, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				token := w.threeVersions(w.dual(byAdmin)...)
				w.db.CreateAccount("app", currentPassword)
				w.db.SetFormer("app", previousPassword)
				maker := "app"
				if byAdmin {
					maker = "admin"
				}
				w.db.FailNextOf(maker, row.class, row.at)
				err := w.deliver(rotator.SetSecret, token)
				wantClass(t, err, row.want)
				if !errors.Is(err, row.class) {
					t.Errorf("the driver's class is not in the chain of %v", err)
				}
				if _, refused := w.db.SignIns(); refused != 0 {
					t.Errorf("%d sign-ins were refused: another credential was tried", refused)
				}
				if w.labels(token) != "AWSPENDING" {
					t.Errorf("labels %q", w.labels(token))
				}
				w.onlyOpen(currentPassword, previousPassword)
				if err := w.deliver(rotator.SetSecret, token); err != nil {
					t.Fatalf("the next delivery: %v", err)
				}
				w.onlyOpen(pendingPassword, currentPassword)
			})
		}
	}
}

func TestTheAnswerToRetainingIsLost(t *testing.T) {
	t.Parallel()
	for who, byAdmin := range both {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.countRefusals()
			token := w.threeVersions(w.dual(byAdmin)...)
			w.db.CreateAccount("app", currentPassword)
			w.db.FailNext(dbdrivers.ErrUnreachable, drivertest.AfterChange)
			wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassUnreachable)
			w.onlyOpen(pendingPassword, currentPassword)
			for _, step := range []rotator.Step{rotator.SetSecret, rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret} {
				if err := w.deliver(step, token); err != nil {
					t.Fatalf("%s: %v", step, err)
				}
				w.onlyOpen(pendingPassword, currentPassword)
			}
			if _, refused := w.db.SignIns(); refused != 0 {
				t.Errorf("%d sign-ins were refused; current goes on opening, so none need be", refused)
			}
		})
	}
}

func TestARotationIsGivenUpAfterItHasRetained(t *testing.T) {
	t.Parallel()
	for who, byAdmin := range both {
		t.Run("AWSPENDING is taken off, "+who, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			token := w.threeVersions(w.dual(byAdmin)...)
			w.db.CreateAccount("app", currentPassword)
			if err := w.deliver(rotator.SetSecret, token); err != nil {
				t.Fatal(err)
			}
			if _, err := w.client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &w.arn, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &token,
			}); err != nil {
				t.Fatal(err)
			}
			w.onlyOpen(pendingPassword, currentPassword)
			if err := w.rotate(); err != nil {
				t.Fatal(err)
			}
			w.onlyOpen(w.password("AWSCURRENT"), currentPassword)
		})
		t.Run("AWSCURRENT is moved back, "+who, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.secret(w.dual(byAdmin)...)
			before := current(t, w)
			if err := w.rotate(); err != nil {
				t.Fatal(err)
			}
			abandoned := w.password("AWSCURRENT")
			w.move("AWSCURRENT", before)
			w.onlyOpen(firstPassword, abandoned)
			if err := w.rotate(); err != nil {
				t.Fatal(err)
			}
			w.onlyOpen(w.password("AWSCURRENT"), firstPassword)
			if w.db.Opens("app", abandoned) {
				t.Error("the abandoned password opens beside two others")
			}
		})
	}
}

func TestAnAccountThatMayNotKeepItsPassword(t *testing.T) {
	t.Parallel()
	t.Run("nothing is changed, and the next delivery goes on once it may", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions(w.dual(false)...)
		w.db.CreateAccount("app", currentPassword)
		w.db.MayRetain("app", false)
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassPrivilege, `"app"`)
		w.onlyOpen(currentPassword)
		if w.labels(token) != "AWSPENDING" {
			t.Errorf("labels %q", w.labels(token))
		}
		w.db.MayRetain("app", true)
		if err := w.deliver(rotator.SetSecret, token); err != nil {
			t.Fatal(err)
		}
		w.onlyOpen(pendingPassword, currentPassword)
	})
	t.Run("its admin may", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions(w.dual(true)...)
		w.db.CreateAccount("app", currentPassword)
		w.db.MayRetain("app", false)
		if err := w.deliver(rotator.SetSecret, token); err != nil {
			t.Fatal(err)
		}
		w.onlyOpen(pendingPassword, currentPassword)
	})
	t.Run("nobody may on this server", func(t *testing.T) {
		t.Parallel()
		for _, byAdmin := range both {
			w := newWorld(t)
			w.db.SetDualPasswords(false)
			token := w.threeVersions(w.dual(byAdmin)...)
			w.db.CreateAccount("app", currentPassword)
			wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassUnsupported, "one password")
			w.onlyOpen(currentPassword)
		}
	})
	t.Run("the admin keeps no password of an account that may not enter", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions(w.dual(true)...)
		w.db.CreateAccount("app", currentPassword)
		w.db.Bar("app")
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassBarred, "Nothing was changed", "AWSCURRENT")
		w.db.Unbar("app")
		w.onlyOpen(currentPassword)
	})
}

func TestRulesRefuseTheSecondPassword(t *testing.T) {
	t.Parallel()
	for who, byAdmin := range both {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			token := w.threeVersions(w.dual(byAdmin)...)
			w.db.CreateAccount("app", currentPassword)
			w.db.SetFormer("app", previousPassword)
			w.db.Rules(func(string) error { return errors.New("at least two umlauts") })
			wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassPasswordRules, "two umlauts", "AWSPENDING was taken off")
			if w.labels(token) != "" {
				t.Errorf("labels %q", w.labels(token))
			}
			w.onlyOpen(currentPassword, previousPassword)
		})
		t.Run("after an earlier delivery set it, "+who, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			token := w.threeVersions(w.dual(byAdmin)...)
			w.db.CreateAccount("app", pendingPassword)
			w.db.SetFormer("app", currentPassword)
			w.db.Rules(func(string) error { return errors.New("at least two umlauts") })
			if err := w.deliver(rotator.SetSecret, token); err != nil {
				t.Errorf("both open already, and yet: %v", err)
			}
			if w.labels(token) != "AWSPENDING" {
				t.Errorf("labels %q: the database holds its password", w.labels(token))
			}
			w.onlyOpen(pendingPassword, currentPassword)
		})
	}
}

func TestTwoPasswordsAndSeveralDeliveriesAtOnce(t *testing.T) {
	t.Parallel()
	for who, byAdmin := range both {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			token := w.threeVersions(w.dual(byAdmin)...)
			w.db.CreateAccount("app", currentPassword)
			for _, step := range []rotator.Step{rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret} {
				w.deliverAll([]rotator.Step{step, step, step, step}, token, func(err error) {
					if err != nil {
						t.Errorf("%s: %v", step, err)
					}
				})
				w.onlyOpen(pendingPassword, currentPassword)
			}
			if w.password("AWSCURRENT") != pendingPassword {
				t.Error("the rotation did not end")
			}
		})
	}
}

func TestTheSecretIsEditedWhileTwoPasswordsOpen(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		edit  func(map[string]any)
		class rotator.Class // of setSecret when it is delivered again; "" = it succeeds
	}{
		{"another key", set("team", "billing"), rotator.ClassMismatch},
		{"another strategy", ours("strategy", "single"), rotator.ClassMismatch},
		{"the password, by mistake", set("password", strangePassword), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			token := w.threeVersions(w.dual(false)...)
			before := current(t, w)
			w.db.CreateAccount("app", currentPassword)
			if err := w.deliver(rotator.SetSecret, token); err != nil {
				t.Fatal(err)
			}
			w.move("AWSCURRENT", w.edited(row.edit))
			err := w.deliver(rotator.SetSecret, token)
			w.onlyOpen(pendingPassword, currentPassword)
			if row.class != "" {
				wantClass(t, err, row.class)
			} else if err != nil {
				t.Fatal(err)
			}
			w.move("AWSCURRENT", before)
			for _, step := range []rotator.Step{rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret} {
				if err := w.deliver(step, token); err != nil {
					t.Errorf("%s after the edit was undone: %v", step, err)
				}
			}
			w.onlyOpen(pendingPassword, currentPassword)
		})
	}
}

// TestASecretChangesItsStrategy goes through every change from one strategy to
// another, each taking effect at the next rotation.
func TestASecretChangesItsStrategy(t *testing.T) {
	t.Parallel()
	const single, dual, alternating = "single", "dual-password", "alternating"
	w := newWorld(t)
	w.config.CreateTwins = true
	w.secret(w.adminSecret(), ours("strategy", single))
	for i, strategy := range []string{single, dual, single, alternating, dual, dual, alternating, alternating, single, dual, alternating, single} {
		document := w.document("AWSCURRENT")
		ours("strategy", strategy)(document)
		w.putCurrent(document)
		if err := w.rotate(); err != nil {
			t.Fatalf("rotation %d, %s: %v", i+1, strategy, err)
		}
		w.signsIn("AWSCURRENT")
		former, now := w.document("AWSPREVIOUS"), w.document("AWSCURRENT")
		username, _ := former["username"].(string)
		if opens := w.db.Opens(username, fmt.Sprint(former["password"])); opens != (strategy != single) {
			t.Errorf("rotation %d, %s: the former credential opens: %t", i+1, strategy, opens)
		}
		if same := now["username"] == former["username"]; same != (strategy != alternating) {
			t.Errorf("rotation %d, %s: %v is current after %v", i+1, strategy, now["username"], former["username"])
		}
	}
	if _, refused := w.db.SignIns(); refused != 0 {
		t.Errorf("%d sign-ins were refused", refused)
	}
}

func TestAFormerPasswordThatCannotBeEndedIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.threeVersions() // single, by itself
	w.db.CreateAccount("app", currentPassword)
	w.db.SetFormer("app", previousPassword)
	w.db.MayRetain("app", false)
	if err := w.deliver(rotator.SetSecret, token); err != nil {
		t.Fatal(err)
	}
	w.onlyOpen(pendingPassword, previousPassword)
	for _, part := range []string{`"level":"INFO"`, "a former password still opens", `"username":"app"`} {
		if !strings.Contains(w.log.String(), part) {
			t.Errorf("the log does not say %q: %s", part, w.log)
		}
	}
}

// askedToRetain is the fake driver, and what it was asked to retain. It tells the
// passwords, as no driver should.
type askedToRetain struct {
	*drivertest.Fake
	requests []dbdrivers.RetainPasswordRequest
}

func (a *askedToRetain) RetainPassword(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
	a.requests = append(a.requests, req)
	req.Note("kept " + req.Current.Reveal() + " beside " + req.Password.Reveal())
	return a.Fake.RetainPassword(ctx, req)
}

func TestWhatARetainerIsAsked(t *testing.T) {
	t.Parallel()
	for who, byAdmin := range both {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			driver := &askedToRetain{Fake: w.driver}
			w.config.Drivers = map[string]dbdrivers.Driver{"fake": driver}
			token := w.threeVersions(append(w.dual(byAdmin), ours("hash", "md5"))...)
			w.db.CreateAccount("app", previousPassword)
			if err := w.deliver(rotator.SetSecret, token); err != nil {
				t.Fatal(err)
			}
			if len(driver.requests) == 0 {
				t.Fatal("the driver was not asked to retain anything")
			}
			// By itself the ladder's sign-ins are the driver's own; the last one opened.
			req := driver.requests[len(driver.requests)-1]
			as, password := "app", previousPassword
			if byAdmin {
				as, password = "admin", adminPassword
			}
			got := []string{req.As.Username, req.As.Password.Reveal(), req.Account, req.Current.Reveal(), req.Password.Reveal(), req.Hash}
			if diff := cmp.Diff([]string{as, password, "app", previousPassword, pendingPassword, "md5"}, got); diff != "" {
				t.Error(diff)
			}
			// newWorld searches the log for the passwords.
			if !strings.Contains(w.log.String(), `"note":"kept `) || !strings.Contains(w.log.String(), `"username":"app"`) {
				t.Errorf("the log does not tell what the driver noted: %s", w.log)
			}
		})
	}
}

// A host that is not the writer takes the former password before the change and
// after it: only pending tells whether the change has arrived.
func TestTwoPasswordsAtAHostThatLags(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		after   int
		refused int
	}{
		{"the change is there", 0, 0},
		{"it arrives in a while", 3, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			driver := withReplica(w.db, row.after, map[string]string{"app": currentPassword})
			w.config.Drivers = map[string]dbdrivers.Driver{"fake": driver}
			var asked []string
			w.config.Topology = services{relation: rotator.Relation{Kind: rotator.RelationReplica}, asked: &asked}
			token := w.threeVersions(append(w.dual(true), set("host", replicaHost))...)
			w.db.CreateAccount("app", currentPassword)
			for _, step := range []rotator.Step{rotator.SetSecret, rotator.TestSecret} {
				if err := w.deliver(step, token); err != nil {
					t.Fatalf("%s: %v", step, err)
				}
			}
			w.onlyOpen(pendingPassword, currentPassword)
			if _, refused := driver.replica.SignIns(); refused != row.refused {
				t.Errorf("%d sign-ins were refused at the host that lags, want %d", refused, row.refused)
			}
		})
	}
}
