package rotator_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/rotator"
)

// alternating makes the application's secret one whose two accounts take turns.
func (w *world) alternating(edits ...func(map[string]any)) {
	w.t.Helper()
	w.config.CreateTwins = true
	edits = append([]func(map[string]any){w.adminSecret(), drop("dbrotation")}, edits...)
	w.secret(edits...)
}

// signsIn fails the test unless the credential under label, username and
// password, opens the database.
func (w *world) signsIn(label string) {
	w.t.Helper()
	document := w.document(label)
	username, _ := document["username"].(string)
	password, _ := document["password"].(string)
	if !w.db.Opens(username, password) {
		w.t.Errorf("%s (%s) does not open the database", label, username)
	}
}

func TestTwoAccountsTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.alternating()
	usernames := []string{"app"}
	for range 6 {
		before, _ := w.document("AWSCURRENT")["password"].(string)
		if err := w.rotate(); err != nil {
			t.Fatal(err)
		}
		username, _ := w.document("AWSCURRENT")["username"].(string)
		usernames = append(usernames, username)
		w.signsIn("AWSCURRENT")
		w.signsIn("AWSPREVIOUS")
		if w.password("AWSPREVIOUS") != before {
			t.Error("AWSPREVIOUS does not hold the credential that was current")
		}
	}
	if diff := cmp.Diff([]string{"app", "app_clone", "app", "app_clone", "app", "app_clone", "app"}, usernames); diff != "" {
		t.Error(diff)
	}
	if ok, refused := w.db.SignIns(); ok != 6*3 || refused != 0 {
		t.Errorf("%d sign-ins and %d refused, want 18 and none", ok, refused)
	}
}

func TestATurnCostsNineCallsAndThreeSignIns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.alternating()
	if err := w.rotate(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"createSecret": 3, "setSecret": 3, "testSecret": 1, "finishSecret": 2}, w.calls()); diff != "" {
		t.Error(diff)
	}
	if ok, refused := w.db.SignIns(); ok != 3 || refused != 0 {
		t.Errorf("%d sign-ins and %d refused, want 3 and none", ok, refused)
	}
}

func TestWhatKeepsTwoAccountsFromTakingTurns(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		edits []func(map[string]any)
		says  string
	}{
		{"no admin", []func(map[string]any){drop("masterarn"), set("dbrotation", map[string]any{"strategy": "alternating"})}, `"masterarn" is missing`},
		{"no room for the twin's name", []func(map[string]any){set("username", strings.Repeat("x", 60))}, "leaves no room for its twin"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.alternating(row.edits...)
			if cause := rotationCause(t, w.rotate()); !strings.Contains(cause, row.says) || !strings.Contains(cause, "createSecret") {
				t.Errorf("cause: %s", cause)
			}
			if ok, refused := w.db.SignIns(); ok+refused != 0 {
				t.Error("the database was asked")
			}
		})
	}
}

func TestATwinIsCreatedOnlyWhereTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.alternating()
	w.config.CreateTwins = false
	if cause := rotationCause(t, w.rotate()); !strings.Contains(cause, "CREATE_TWINS") {
		t.Errorf("cause: %s", cause)
	}
	if w.db.Opens("app_clone", w.password("AWSPENDING")) {
		t.Error("the twin was created")
	}
	w.signsIn("AWSCURRENT")
}

func TestAnAccountOfTheTwinsNameIsNotTouchedWithoutProof(t *testing.T) {
	t.Parallel()
	t.Run("it is somebody else's", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.alternating()
		w.db.CreateAccount("app_clone", strangePassword)
		if cause := rotationCause(t, w.rotate()); !strings.Contains(cause, `"app_clone"`) || !strings.Contains(cause, "nothing proves") {
			t.Errorf("cause: %s", cause)
		}
		if !w.db.Opens("app_clone", strangePassword) {
			t.Error("the other account's password changed")
		}
		w.signsIn("AWSCURRENT")
	})
	t.Run("the secret's own account only has a twin's name", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.db.CreateAccount("app_clone", strangePassword)
		w.alternating(set("username", "app_clone"), set("password", strangePassword))
		if cause := rotationCause(t, w.rotate()); !strings.Contains(cause, `"app_clone"`) || !strings.Contains(cause, "nothing proves") {
			t.Errorf("cause: %s", cause)
		}
		if !w.db.Opens("app", firstPassword) {
			t.Error("the password of somebody else's account changed")
		}
	})
	t.Run("AWSPREVIOUS would prove it, and cannot be asked", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.alternating()
		w.db.CreateAccount("app_clone", previousPassword)
		clone, app := w.document("AWSCURRENT"), w.document("AWSCURRENT")
		clone["username"], clone["password"] = "app_clone", previousPassword
		w.putCurrent(clone)
		w.putCurrent(app)
		pending := w.document("AWSCURRENT")
		pending["username"], pending["password"] = "app_clone", pendingPassword
		token := w.pend(encode(t, pending))
		w.db.FailNext(nil, drivertest.AtSignIn) // current's sign-in passes, and
		w.db.FailNext(nil, drivertest.AtSignIn) // the admin's
		w.db.FailNext(dbdrivers.ErrUnreachable, drivertest.AtSignIn)
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassUnreachable, "AWSPREVIOUS")
		if !w.db.Opens("app_clone", previousPassword) {
			t.Error("the twin's password changed without proof")
		}
		if err := w.deliver(rotator.SetSecret, token); err != nil {
			t.Fatalf("the next delivery: %v", err)
		}
		w.signsIn("AWSPENDING")
	})
	for _, row := range []struct{ name, password string }{
		{"AWSPREVIOUS proves it, as AWS's function leaves it", previousPassword},
		{"AWSPREVIOUS proves it, by the password that its sibling has too", firstPassword},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.alternating()
			w.db.CreateAccount("app_clone", row.password)
			clone := w.document("AWSCURRENT")
			clone["username"], clone["password"] = "app_clone", row.password
			app := w.document("AWSCURRENT")
			w.putCurrent(clone)
			w.putCurrent(app)
			if err := w.rotate(); err != nil {
				t.Fatal(err)
			}
			w.signsIn("AWSCURRENT")
			if username := w.document("AWSCURRENT")["username"]; username != "app_clone" {
				t.Errorf("%v is current", username)
			}
		})
	}
	t.Run("AWSPREVIOUS opens the account that is to be set, and current is a guess", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.db.CreateAccount("app_clone", strangePassword)
		w.alternating()
		guess := w.document("AWSCURRENT")
		guess["username"], guess["password"] = "app_clone", currentPassword
		w.putCurrent(guess)
		if err := w.rotate(); err != nil {
			t.Fatal(err)
		}
		w.signsIn("AWSCURRENT")
		if username := w.document("AWSCURRENT")["username"]; username != "app" || !w.db.Opens("app_clone", strangePassword) {
			t.Errorf("%v is current; or the other account's password changed", username)
		}
	})
}

func TestAnAlternatingPendingVersionIsHeldToItsAccount(t *testing.T) {
	t.Parallel()
	for _, username := range []string{"app", "admin", "app_clone_clone", "other"} {
		w := newWorld(t)
		w.db.CreateAccount("other", strangePassword)
		w.alternating()
		pending := w.document("AWSCURRENT")
		pending["username"], pending["password"] = username, pendingPassword
		token := w.pend(encode(t, pending))
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassMismatch, `"username"`, `"app_clone"`)
		if ok, refused := w.db.SignIns(); ok+refused != 0 {
			t.Error("the database was asked")
		}
	}
}

func TestTheAnswerToTheTwinsOpeningIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.alternating()
	w.db.FailNext(dbdrivers.ErrUnreachable, drivertest.AfterChange)
	if err := w.rotate(); err != nil {
		t.Fatal(err)
	}
	w.signsIn("AWSCURRENT")
	if _, refused := w.db.SignIns(); refused != 0 {
		t.Errorf("%d sign-ins were refused", refused)
	}
}

func TestAnAdminThatTheServerRefusesIsNotTheAccountsRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.alternating()
	w.db.SetAdmin("admin", strangePassword)
	pending := w.document("AWSCURRENT")
	pending["username"], pending["password"] = "app_clone", pendingPassword
	token := w.pend(encode(t, pending))
	wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassRefused, "secret:admin")
	if _, refused := w.db.SignIns(); refused != 1 {
		t.Errorf("%d sign-ins were refused, want the admin's one", refused)
	}
}
