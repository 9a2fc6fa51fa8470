package rotator_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/rotator"
)

// pairOf is a pair as the function's TWINS lists it.
func pairOf(canonical, twin string) rotator.TwinPair {
	return rotator.TwinPair{Canonical: canonical, Twin: twin}
}

// ours sets a member of our own key.
func ours(key string, value any) func(map[string]any) {
	return func(document map[string]any) {
		settings, _ := document["dbrotation"].(map[string]any)
		settings = maps.Clone(settings)
		if settings == nil {
			settings = map[string]any{}
		}
		settings[key] = value
		document["dbrotation"] = settings
	}
}

func twins(names ...any) func(map[string]any) { return ours("twins", append([]any{}, names...)) }

// named makes two accounts of the operator's, and a secret that names them as
// its twins; username is current.
func (w *world) named(canonical, twin, username string, edits ...func(map[string]any)) {
	w.t.Helper()
	w.config.Twins = append(w.config.Twins, pairOf(canonical, twin))
	w.db.CreateAccount(canonical, firstPassword)
	w.db.CreateAccount(twin, firstPassword)
	edits = append([]func(map[string]any){w.adminSecret(), drop("dbrotation"), twins(canonical, twin), set("username", username)}, edits...)
	w.secret(edits...)
}

// wantNothingSent fails the test if any server was asked, or a secret written.
func (w *world) wantNothingSent(servers ...*drivertest.FakeServer) {
	w.t.Helper()
	for _, server := range append(servers, w.db) {
		if ok, refused := server.SignIns(); ok+refused != 0 {
			w.t.Errorf("%s was asked to let somebody in %d times", server.Host(), ok+refused)
		}
	}
	for _, call := range w.aws.Calls() {
		if call.Function != "" && !slices.Contains([]string{"DescribeSecret", "GetSecretValue"}, call.Operation) {
			w.t.Errorf("the function called %s", call.Operation)
		}
	}
}

func TestTwoAccountsOfTheOperatorsTakeTurns(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name                      string
		canonical, twin, username string
	}{
		{"the canonical one is current", "app_a", "app_b", "app_a"},
		{"the twin is current", "app_a", "app_b", "app_b"},
		{"the canonical one ends as AWS's twins do", "app_clone", "app_blue", "app_clone"},
		{"a secret whose canonical account is called as AWS calls the twin", "app_clone", "app", "app"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.named(row.canonical, row.twin, row.username)
			w.db.Grant(row.canonical, "read")
			w.db.Grant(row.twin, "write")
			turns := map[string]string{row.canonical: row.twin, row.twin: row.canonical}
			username := row.username
			for turn := range 10 {
				before := w.password("AWSCURRENT")
				if err := w.rotate(); err != nil {
					t.Fatalf("turn %d: %v", turn+1, err)
				}
				username = turns[username]
				if got := w.document("AWSCURRENT")["username"]; got != username {
					t.Fatalf("turn %d: %v is current, want %q", turn+1, got, username)
				}
				w.signsIn("AWSCURRENT")
				w.signsIn("AWSPREVIOUS")
				if w.password("AWSPREVIOUS") != before {
					t.Error("AWSPREVIOUS does not hold the credential that was current")
				}
			}
			if ok, refused := w.db.SignIns(); ok != 10*3 || refused != 0 {
				t.Errorf("%d sign-ins and %d refused, want 30 and none", ok, refused)
			}
			if !w.db.Has(row.twin, "read") || w.db.Has(row.canonical, "write") {
				t.Error("rights did not go from the canonical account to its twin, and that way alone")
			}
			for _, account := range []string{row.canonical + "_clone", strings.TrimSuffix(row.canonical, "_clone")} {
				if w.db.Exists(account) && turns[account] == "" && account != "app" {
					t.Errorf("the account %q was made", account)
				}
			}
		})
	}
}

func TestNamedTwinsGoOnFromAWSPREVIOUS(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		meddle func(*world)
	}{
		{"somebody changed the current account's password in the database", func(w *world) { w.db.CreateAccount("app_a", strangePassword) }},
		{"somebody stored another password for the current account", func(w *world) {
			wrong := w.document("AWSCURRENT")
			wrong["password"] = strangePassword
			w.putCurrent(wrong)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.named("app_a", "app_b", "app_a")
			for range 2 {
				if err := w.rotate(); err != nil {
					t.Fatal(err)
				}
			}
			row.meddle(w)
			if err := w.rotate(); err != nil {
				t.Fatal(err)
			}
			if got := w.document("AWSCURRENT")["username"]; got != "app_b" {
				t.Errorf("%v is current, want app_b", got)
			}
			w.signsIn("AWSCURRENT")
		})
	}
}

func TestWhatIsWrongWithTheTwinsAndTheOwnerRoleOfASecret(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		edits  []func(map[string]any)
		listed []rotator.TwinPair
		roles  []string
		says   []string
		never  string
	}{
		{name: "one", edits: []func(map[string]any){twins("app")}, says: []string{"1 fault", "has 1 twin;", "exactly two"}},
		{name: "three", edits: []func(map[string]any){twins("app", "b", "c")}, says: []string{"1 fault", "has 3 twins;", "exactly two"}},
		{name: "none of two", edits: []func(map[string]any){twins()}, says: []string{"1 fault", "has 0 twins", "exactly two"}},
		{name: "no list", edits: []func(map[string]any){ours("twins", "app,b")}, says: []string{`a "twins" that is not a list of strings`}},
		{name: "numbers", edits: []func(map[string]any){twins(1, 2)}, says: []string{`a "twins" that is not a list of strings`}},
		{name: "one without a name", edits: []func(map[string]any){twins("app", "")}, says: []string{"1 fault", "a twin without a name"}},
		{name: "one twice", edits: []func(map[string]any){twins("app", "app")}, says: []string{"1 fault", `one account, "app", as both twins`}},
		{name: "too long, in bytes", edits: []func(map[string]any){twins("app", strings.Repeat("ä", 32))}, listed: []rotator.TwinPair{pairOf("app", strings.Repeat("ä", 32))},
			says: []string{"1 fault", "which has 64 bytes; fake keeps 63"}},
		{name: "a zero byte", edits: []func(map[string]any){twins("app", "b\x00")}, listed: []rotator.TwinPair{pairOf("app", "b\x00")}, says: []string{"1 fault", "zero byte"}},
		{name: "another account's", edits: []func(map[string]any){twins("a", "b")}, listed: []rotator.TwinPair{pairOf("a", "b")}, says: []string{"1 fault", `"username" is neither of the twins "a" and "b"`}},
		{name: "not listed", edits: []func(map[string]any){twins("app", "app_b")}, listed: []rotator.TwinPair{pairOf("a", "b")},
			says: []string{"1 fault", `"dbrotation" has the twins "app" and "app_b"`, "TWINS does not list", `add "app:app_b"`}},
		{name: "AWS's names, which count as they are, yet not listed", edits: []func(map[string]any){twins("app", "app_clone")}, says: []string{"1 fault", `add "app:app_clone"`}},
		{name: "names that would list others", edits: []func(map[string]any){twins("app", "x,a:admin")}, says: []string{"1 fault", "cannot be listed"}, never: `add "`},
		{name: "in the other order", edits: []func(map[string]any){twins("app_b", "app")}, listed: []rotator.TwinPair{pairOf("app", "app_b")},
			says: []string{"1 fault", "in the wrong order", `lists "app:app_b"`}, never: `add "`},
		{name: "an owner role that is one of the accounts", edits: []func(map[string]any){ours("ownerRole", "app_clone")}, roles: []string{"app_clone"}, says: []string{"1 fault", "is one of the two accounts"}},
		{name: "an owner role that is too long", edits: []func(map[string]any){ours("ownerRole", strings.Repeat("x", 64))}, roles: []string{strings.Repeat("x", 64)}, says: []string{"1 fault", "which has 64 bytes"}},
		{name: "an owner role that is not listed", edits: []func(map[string]any){ours("ownerRole", "owner")}, roles: []string{"other"}, says: []string{"1 fault", `the ownerRole "owner"`, "OWNER_ROLES does not list", "add it"}},
		{name: "an owner role that would list others", edits: []func(map[string]any){ours("ownerRole", "x,admin")}, roles: []string{"other"}, says: []string{"1 fault", "cannot be listed"}, never: "add it"},
		{name: "all at once",
			edits: []func(map[string]any){drop("masterarn"), ours("strategy", "alternating"), twins("a", strings.Repeat("x", 64)), ours("ownerRole", "a"), set("port", "abc")},
			says:  []string{"7 faults", `"masterarn" is missing`, "64 bytes", `"username" is neither`, "TWINS does not list", "one of the two accounts", "OWNER_ROLES does not list", `"port" is "abc"`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.knowsOwnerRoles(true)
			w.config.Twins, w.config.OwnerRoles = row.listed, row.roles
			w.alternating(row.edits...)
			cause := rotationCause(t, w.rotate())
			for _, part := range append(row.says, "createSecret", w.arn) {
				if !strings.Contains(cause, part) {
					t.Errorf("cause does not say %q: %s", part, cause)
				}
			}
			if row.never != "" && strings.Contains(cause, row.never) {
				t.Errorf("cause says %q: %s", row.never, cause)
			}
			w.wantNothingSent()
		})
	}
	t.Run("an engine without owner roles", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.knowsOwnerRoles(false)
		w.config.OwnerRoles = []string{"owner"}
		w.alternating(ours("ownerRole", "owner"))
		if cause := rotationCause(t, w.rotate()); !strings.Contains(cause, "has an ownerRole, which fake does not know") {
			t.Errorf("cause: %s", cause)
		}
		w.wantNothingSent()
	})
}

func (w *world) knowsOwnerRoles(knows bool) {
	traits := w.driver.Traits()
	traits.OwnerRole = knows
	w.driver.SetTraits(traits)
}

func TestTheFunctionsEnvironmentIsProofOfATwin(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		listed []rotator.TwinPair
		proven bool
	}{
		{"listed", []rotator.TwinPair{pairOf("app", "app_clone")}, true},
		{"listed among others of the same account", []rotator.TwinPair{pairOf("app", "app_b"), pairOf("app", "app_clone")}, true},
		{"not listed", nil, false},
		{"another pair is listed", []rotator.TwinPair{pairOf("app", "app_b")}, false},
		{"listed in the other order", []rotator.TwinPair{pairOf("app_clone", "app")}, false},
	} {
		for _, turn := range []struct {
			name, current, next string
		}{
			{"the twin's turn", "app", "app_clone"},
			{"the canonical account's turn", "app_clone", "app"},
		} {
			t.Run(row.name+", "+turn.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.db.CreateAccount(turn.current, firstPassword)
				w.db.CreateAccount(turn.next, strangePassword)
				w.config.Twins = row.listed
				w.alternating(set("username", turn.current))
				err := w.rotate()
				if !row.proven {
					cause := rotationCause(t, err)
					for _, part := range []string{"nothing proves", `"app_clone"`, "AWSPREVIOUS", `TWINS (if they are a pair, add "app:app_clone" to it)`} {
						if !strings.Contains(cause, part) {
							t.Errorf("cause does not say %q: %s", part, cause)
						}
					}
					if !w.db.Opens(turn.next, strangePassword) || w.db.TwinOf("app_clone") != "" {
						t.Error("the unproven account was touched")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if username := w.document("AWSCURRENT")["username"]; username != turn.next {
					t.Errorf("%v is current, want %q", username, turn.next)
				}
				w.signsIn("AWSCURRENT")
				w.signsIn("AWSPREVIOUS")
				if ok, refused := w.db.SignIns(); ok != 3 || refused != 0 {
					t.Errorf("%d sign-ins and %d refused, want 3 and none: the proof costs nothing", ok, refused)
				}
			})
		}
	}
}

// remembering is the fake driver, and what it was asked to open. It answers
// what a driver might that found things to hand over.
type remembering struct {
	*drivertest.Fake
	adopted, kept []string

	mu    sync.Mutex
	asked []dbdrivers.OpenTwinRequest
}

func (r *remembering) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	r.mu.Lock()
	r.asked = append(r.asked, req)
	r.mu.Unlock()
	report, err := r.Fake.OpenTwin(ctx, req)
	if err == nil {
		report.Adopted, report.Kept = r.adopted, r.kept
	}
	return report, err
}

func TestWhatTheOperatorAllowsReachesTheDriver(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		adopt     bool
		ownerRole string
		database  any
		want      string // the database
	}{
		{name: "nothing", want: "fake"},
		{name: "adoption", adopt: true, want: "fake"},
		{name: "an owner role, in the secret's own database", ownerRole: "owner", database: "orders", want: "orders"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.knowsOwnerRoles(true)
			w.db.CreateAccount("owner", strangePassword)
			driver := &remembering{Fake: w.driver}
			w.config.Drivers = map[string]dbdrivers.Driver{"fake": driver}
			w.config.Adopt, w.config.OwnerRoles = row.adopt, []string{"owner"}
			w.named("app_a", "app_b", "app_a", ours("ownerRole", row.ownerRole), set("dbname", row.database))
			if err := w.rotate(); err != nil {
				t.Fatal(err)
			}
			if len(driver.asked) != 1 {
				t.Fatalf("the twin was opened %d times, want once", len(driver.asked))
			}
			asked := driver.asked[0]
			got := []any{asked.Canonical, asked.Twin, asked.OwnerRole, asked.Database, asked.Adopt, asked.Proven, asked.MayCreate}
			if diff := cmp.Diff([]any{"app_a", "app_b", row.ownerRole, row.want, row.adopt, true, false}, got); diff != "" {
				t.Error(diff)
			}
			if !w.db.Opens("owner", strangePassword) {
				t.Error("the owner role's password changed")
			}
		})
	}
}

func TestTheLogNamesWhatATwinOwned(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		adopt         bool
		ownsNothing   bool // the engine's accounts own nothing
		adopted, kept []string
		says, never   []string
	}{
		{name: "it was kept, and nothing can be handed over", ownsNothing: true, kept: []string{"SELECT on shop"},
			says: []string{`"kept":["SELECT on shop"]`, "its next turn revokes"}, never: []string{"ADOPT"}},
		{name: "it was handed over", adopt: true, adopted: []string{"table orders"}, says: []string{`"adopted":["table orders"]`}, never: []string{"ADOPT"}},
		{name: "it was kept, and could be handed over", kept: []string{"table orders"}, says: []string{`"kept":["table orders"]`, "set the function's ADOPT to reassign"}},
		{name: "it was kept although told to be handed over", adopt: true, kept: []string{"right here"}, says: []string{`"kept":["right here"]`}, never: []string{"ADOPT"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.config.Adopt = row.adopt
			w.knowsOwnerRoles(!row.ownsNothing)
			w.config.Drivers = map[string]dbdrivers.Driver{"fake": &remembering{Fake: w.driver, adopted: row.adopted, kept: row.kept}}
			w.named("app_a", "app_b", "app_a")
			w.db.MarkTwin("app_b", "app_a") // nothing but this is to be told of its turn
			if err := w.rotate(); err != nil {
				t.Fatal(err)
			}
			for _, part := range row.says {
				if !strings.Contains(w.log.String(), part) {
					t.Errorf("the log does not say %q", part)
				}
			}
			for _, part := range row.never {
				if strings.Contains(w.log.String(), part) {
					t.Errorf("the log says %q", part)
				}
			}
		})
	}
}

// The twins and the owner role of a secret are two more ways to reach for what
// is not its own. None of them gets as far as a server.
func TestASecretThatReachesForMoreByItsTwinsOrItsOwnerRole(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		edits []func(map[string]any)
		says  string
	}{
		{"another account as its twin", []func(map[string]any){twins("app", "other")}, "TWINS"},
		{"another account as the canonical one", []func(map[string]any){twins("other", "app")}, "TWINS"},
		{"the admin as its twin", []func(map[string]any){twins("app", "admin")}, "TWINS"},
		{"the admin as the canonical one", []func(map[string]any){twins("admin", "app")}, "TWINS"},
		{"a reserved role as its twin", []func(map[string]any){twins("app", "rds_superuser")}, "TWINS"},
		{"a listed pair that is somebody else's", []func(map[string]any){twins("other_a", "other_b")}, "neither of the twins"},
		{"a listed pair the other way round", []func(map[string]any){set("username", "other_a"), twins("other_b", "other_a")}, "wrong order"},
		{"one account of a listed pair", []func(map[string]any){twins("app", "other_b")}, "TWINS"},
		{"a foreign owner role", []func(map[string]any){ours("ownerRole", "other")}, "OWNER_ROLES"},
		{"the admin as its owner role", []func(map[string]any){ours("ownerRole", "admin")}, "OWNER_ROLES"},
		{"a reserved role as its owner role", []func(map[string]any){ours("ownerRole", "pg_read_all_data")}, "OWNER_ROLES"},
		{"a listed role in other letters", []func(map[string]any){ours("ownerRole", "Owner")}, "OWNER_ROLES"},
		{"a listed pair in other letters", []func(map[string]any){set("username", "OTHER_A"), twins("OTHER_A", "OTHER_B")}, "TWINS"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.knowsOwnerRoles(true)
			for _, account := range []string{"other", "other_a", "other_b", "owner", "rds_superuser", "pg_read_all_data"} {
				w.db.CreateAccount(account, strangePassword)
			}
			w.config.Twins, w.config.OwnerRoles = []rotator.TwinPair{pairOf("other_a", "other_b")}, []string{"owner"}
			w.alternating(row.edits...)
			before := w.text("AWSCURRENT")
			if cause := rotationCause(t, w.rotate()); !strings.Contains(cause, row.says) || !strings.Contains(cause, "createSecret") {
				t.Errorf("cause: %s", cause)
			}
			w.wantNothingSent()
			if w.text("AWSCURRENT") != before || w.text("AWSPENDING") != "" {
				t.Error("the secret changed")
			}
		})
	}
}

func TestAPendingVersionThatNamesOtherTwins(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		username string
		edit     func(map[string]any)
		says     string
	}{
		{"another listed pair", "app_c", twins("app_a", "app_c"), `"username"`},
		{"another listed pair, for the right account", "app_b", twins("app_a", "app_c"), `"dbrotation"`},
		{"a pair that nobody listed", "other", twins("app_a", "other"), `"username"`},
		{"the same pair the other way round", "app_b", twins("app_b", "app_a"), `"dbrotation"`},
		{"none, so that AWS's names would count", "app_a_clone", drop("dbrotation"), `"username"`},
		{"an owner role", "app_b", ours("ownerRole", "owner"), `"dbrotation"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.knowsOwnerRoles(true)
			w.config.Twins, w.config.OwnerRoles = []rotator.TwinPair{pairOf("app_a", "app_c")}, []string{"owner"}
			w.db.CreateAccount("app_c", strangePassword)
			w.db.CreateAccount("other", strangePassword)
			w.named("app_a", "app_b", "app_a")
			pending := w.document("AWSCURRENT")
			pending["username"], pending["password"] = row.username, pendingPassword
			row.edit(pending)
			token := w.pend(encode(t, pending))
			wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassMismatch, row.says, `"app_b"`)
			if ok, refused := w.db.SignIns(); ok+refused != 0 {
				t.Error("the database was asked")
			}
		})
	}
}

// The operator's own slip: the admin stands in TWINS or OWNER_ROLES.
func TestTheAdminIsNotTouchedThoughItIsListed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		pending string
		edits   []func(map[string]any)
	}{
		{"as the twin", "admin", []func(map[string]any){twins("app", "admin")}},
		{"as the canonical account", "admin", []func(map[string]any){twins("admin", "app")}},
		{"as the owner role", "app_clone", []func(map[string]any){ours("ownerRole", "admin")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.knowsOwnerRoles(true)
			if row.name == "as the canonical account" {
				w.config.Twins = []rotator.TwinPair{pairOf("admin", "app")}
			} else {
				w.config.Twins = []rotator.TwinPair{pairOf("app", "admin")}
			}
			w.config.OwnerRoles = []string{"admin"}
			w.alternating(row.edits...)
			pending := w.document("AWSCURRENT")
			pending["username"], pending["password"] = row.pending, pendingPassword
			token := w.pend(encode(t, pending))
			wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassForbidden, `"admin"`, "the admin itself")
			w.wantNothingSent()
			if !w.db.Opens("admin", adminPassword) {
				t.Error("the admin's password changed")
			}
		})
	}
}
