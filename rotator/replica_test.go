package rotator_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/rotator"
)

const replicaHost = "reader.example.com"

// lagging is a driver whose replicaHost has the primary's accounts of some time
// ago. What has changed since arrives there after a number of sign-ins.
type lagging struct {
	*drivertest.Fake
	replica *drivertest.FakeServer

	mu    sync.Mutex
	after int // sign-ins until the replica is the primary's equal
}

// atReplica counts a sign-in at the replica, and says where it is answered.
func (l *lagging) atReplica(login dbdrivers.Login) dbdrivers.Login {
	l.mu.Lock()
	defer l.mu.Unlock()
	if login.Host != replicaHost {
		return login
	}
	if l.after--; l.after < 0 {
		login.Host = host
	}
	return login
}

func (l *lagging) Verify(ctx context.Context, req dbdrivers.VerifyRequest) error {
	req.Login = l.atReplica(req.Login)
	return l.Fake.Verify(ctx, req)
}

func (l *lagging) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	req.Login = l.atReplica(req.Login)
	return l.Fake.VerifyTwin(ctx, req)
}

// withReplica returns a driver whose replica has these accounts
// until that many sign-ins.
func withReplica(primary *drivertest.FakeServer, after int, accounts map[string]string) *lagging {
	l := &lagging{replica: drivertest.NewFakeServer(replicaHost), after: after}
	for user, password := range accounts {
		l.replica.CreateAccount(user, password)
	}
	l.Fake = drivertest.NewFake(primary, l.replica)
	return l
}

func (l *lagging) countRefusals() {
	traits := l.Traits()
	traits.CountsRefusals = true
	l.SetTraits(traits)
}

const never = 1 << 30

// TestAHostThatLagsBehindTheWriterIsWaitedFor: what the admin set at the writer
// has not arrived at the secret's host when testSecret comes.
func TestAHostThatLagsBehindTheWriterIsWaitedFor(t *testing.T) {
	t.Parallel()
	replica := rotator.Relation{Kind: rotator.RelationReplica}
	before := map[string]string{"app": currentPassword}
	for _, row := range []struct {
		name     string
		relation rotator.Relation
		after    int
		replica  map[string]string // its accounts while it lags
		twins    bool              // current is app's, pending app_clone's
		previous string            // AWSPREVIOUS is app_clone with this password
		counts   bool
		refused  int           // in all
		class    rotator.Class // "" = it opens
		says     []string
	}{
		{name: "the change is there", relation: replica, replica: before},
		{name: "it arrives in a while", relation: replica, after: 4, replica: before, refused: 2},
		{name: "it arrives in a while at a cluster's reader", relation: rotator.Relation{Kind: rotator.RelationMember}, after: 4, replica: before, refused: 2},
		{name: "it arrives as soon as it was refused", relation: replica, after: 1, replica: before, refused: 2},
		{name: "the account was not there before", relation: replica, after: 4, refused: 4},
		{name: "the twin is new", relation: replica, twins: true, after: 4, replica: before, refused: 4},
		{name: "the twin had another password", relation: replica, twins: true, previous: previousPassword, after: 4, replica: map[string]string{"app": currentPassword, "app_clone": previousPassword}, refused: 2},
		{name: "refusals are counted: it shows that it has arrived, for the next delivery", relation: replica, counts: true, after: 4, replica: before, refused: 2, class: rotator.ClassRefused, says: []string{"arrived", "two refusals"}},
		{name: "the host is the writer", relation: rotator.Relation{Kind: rotator.RelationMember, Writer: true}, after: 4, replica: before, refused: 1, class: rotator.ClassRefused, says: []string{"Rotate again"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			driver := withReplica(w.db, row.after, row.replica)
			if row.counts {
				driver.countRefusals()
			}
			w.config.Drivers = map[string]dbdrivers.Driver{"fake": driver}
			var asked []string
			w.config.Topology = services{relation: row.relation, asked: &asked}
			token := w.testable(row.twins, row.previous)
			calls := len(w.aws.Calls())

			err := w.deliver(rotator.TestSecret, token)
			_, atPrimary := w.db.SignIns()
			_, atReplica := driver.replica.SignIns()
			if atPrimary+atReplica != row.refused {
				t.Errorf("%d sign-ins were refused, want %d", atPrimary+atReplica, row.refused)
			}
			if row.after == 0 && (len(asked) != 0 || len(w.aws.Calls())-calls != 1) {
				t.Errorf("the usual path costs %d calls, and asked %q", len(w.aws.Calls())-calls, asked)
			}
			if row.class == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantClass(t, err, row.class, row.says...)
			if row.counts {
				if err := w.deliver(rotator.TestSecret, token); err != nil {
					t.Errorf("the next delivery: %v", err)
				}
			}
		})
	}
}

// testable leaves the secret as setSecret does: pending is set at the primary.
func (w *world) testable(twins bool, previous string) (token string) {
	w.t.Helper()
	edits := []func(map[string]any){w.adminSecret(), set("host", replicaHost)}
	account := "app"
	if twins {
		account = "app_clone"
		edits = append(edits, drop("dbrotation"))
	}
	w.secret(edits...)
	document := w.document("AWSCURRENT")
	if previous != "" {
		document["username"], document["password"] = account, previous
		w.putCurrent(document)
	}
	document["username"], document["password"] = "app", currentPassword
	w.putCurrent(document)
	w.db.CreateAccount("app", currentPassword)
	document["username"], document["password"] = account, pendingPassword
	w.db.CreateAccount(account, pendingPassword)
	return w.pend(encode(w.t, document))
}

// TestARefusalThatIsFinal: nothing is known to lag.
func TestARefusalThatIsFinal(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		edit func(w *world, driver *lagging, s *services)
		app  []func(map[string]any)
		says string
	}{
		{name: "the host is the admin's own", app: []func(map[string]any){set("host", host)}, says: "wrong password"},
		{name: "there is no admin", app: []func(map[string]any){drop("masterarn"), drop("dbrotation")}, says: "wrong password"},
		{name: "the operator listed the host", edit: func(w *world, _ *lagging, _ *services) { w.config.AdminHosts = []string{replicaHost} }, says: "wrong password"},
		{name: "no service can be asked", edit: func(w *world, _ *lagging, _ *services) { w.config.Topology = nil }, says: "wrong password"},
		{name: "the service does not answer", edit: func(_ *world, _ *lagging, s *services) { s.err = rotator.ErrServiceSilent }, says: "no answer from the database service"},
		{name: "the service knows no relation", edit: func(_ *world, _ *lagging, s *services) { s.relation = rotator.Relation{} }, says: "is not the admin's"},
		{name: "the admin's secret is gone", app: []func(map[string]any){set("masterarn", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:gone-AbCdEf")}, says: "secret:gone-AbCdEf"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			driver := withReplica(w.db, 1, map[string]string{"app": currentPassword})
			w.config.Drivers = map[string]dbdrivers.Driver{"fake": driver}
			var asked []string
			s := services{relation: rotator.Relation{Kind: rotator.RelationReplica}, asked: &asked}
			w.config.Topology = &s
			if row.edit != nil {
				row.edit(w, driver, &s)
			}
			edits := []func(map[string]any){w.adminSecret(), set("host", replicaHost)}
			token := w.threeVersions(append(edits, row.app...)...)
			w.db.CreateAccount("app", currentPassword)
			wantClass(t, w.deliver(rotator.TestSecret, token), rotator.ClassRefused, "Rotate again", row.says)
			_, atPrimary := w.db.SignIns()
			if _, atReplica := driver.replica.SignIns(); atPrimary+atReplica != 1 {
				t.Errorf("%d sign-ins were refused, want one", atPrimary+atReplica)
			}
		})
	}
}

// TestACopyOfCurrentIsNotWaitedFor: with RotateImmediately=false nothing is on
// its way.
func TestACopyOfCurrentIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{"single", "alternating"} {
		w := newWorld(t)
		driver := withReplica(w.db, never, nil)
		w.config.Drivers = map[string]dbdrivers.Driver{"fake": driver}
		var asked []string
		w.config.Topology = services{relation: rotator.Relation{Kind: rotator.RelationReplica}, asked: &asked}
		w.secret(w.adminSecret(), set(ownKey, map[string]any{"strategy": strategy}), set("host", replicaHost))
		wantClass(t, w.deliver(rotator.TestSecret, w.pend(w.text("AWSCURRENT"))), rotator.ClassRefused)
		if _, refused := driver.replica.SignIns(); refused != 1 {
			t.Errorf("%s: %d sign-ins were refused, want one", strategy, refused)
		}
	}
}

// TestWhatElseHappensDuringTheWaitIsTold: it is no lag.
func TestWhatElseHappensDuringTheWaitIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	driver := withReplica(w.db, never, map[string]string{"app": currentPassword})
	w.config.Drivers = map[string]dbdrivers.Driver{"fake": driver}
	var asked []string
	w.config.Topology = services{relation: rotator.Relation{Kind: rotator.RelationReplica}, asked: &asked}
	token := w.testable(false, "")
	driver.replica.FailNext(nil, drivertest.AtSignIn)
	driver.replica.FailNext(dbdrivers.ErrUnreachable, drivertest.AtSignIn)
	wantClass(t, w.deliver(rotator.TestSecret, token), rotator.ClassUnreachable, "before this rotation")
}

// A twin whose role was taken off is given it back at the writer. Until that
// arrives its former password opens the host, and proves that the change is due.
func TestAFormerCredentialThatEntersWithoutItsRoleIsWaitedWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	driver := withReplica(w.db, 2, map[string]string{"app_clone": previousPassword})
	w.config.Drivers = map[string]dbdrivers.Driver{"fake": driver}
	var asked []string
	w.config.Topology = services{relation: rotator.Relation{Kind: rotator.RelationReplica}, asked: &asked}
	token := w.testable(true, previousPassword)
	driver.replica.FailNext(dbdrivers.ErrRefused, drivertest.AtSignIn)
	driver.replica.FailNext(dbdrivers.ErrPrivilege, drivertest.AtSignIn)
	if err := w.deliver(rotator.TestSecret, token); err != nil {
		t.Fatal(err)
	}
}

// TestTheWaitForALaggingHostEnds, by the clock of synctest.
func TestTheWaitForALaggingHostEnds(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		timeout  time.Duration
		counts   bool
		accounts map[string]string
		least    time.Duration
		greatest time.Duration
		refused  int // 0: as many as there are
	}{
		{name: "its former password opens all the while", timeout: 15 * time.Minute, accounts: map[string]string{"app": currentPassword}, least: 25 * time.Second, greatest: 31 * time.Second, refused: 1},
		{name: "half of a short time-out is waited", timeout: 20 * time.Second, accounts: map[string]string{"app": currentPassword}, least: 7 * time.Second, greatest: 10 * time.Second, refused: 1},
		{name: "nothing opens", timeout: 15 * time.Minute, least: 25 * time.Second, greatest: 31 * time.Second},
		{name: "refusals are counted, and its former password opens all the while", timeout: 15 * time.Minute, counts: true, accounts: map[string]string{"app": currentPassword}, least: 25 * time.Second, greatest: 31 * time.Second, refused: 1},
		{name: "refusals are counted, and its former password is not known", timeout: 15 * time.Minute, counts: true, accounts: map[string]string{"app": strangePassword}, refused: 2, greatest: 31 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				driver := withReplica(drivertest.NewFakeServer(host), never, row.accounts)
				if row.counts {
					driver.countRefusals()
				}
				took, err := testLate(t, driver, row.timeout, currentPassword)
				wantClass(t, err, rotator.ClassRefused, replicaHost)
				if took < row.least || took > row.greatest {
					t.Errorf("it took %s, want between %s and %s", took, row.least, row.greatest)
				}
				if row.least > 0 && !strings.Contains(err.Error(), "caught up") {
					t.Errorf("the error does not say what to do: %v", err)
				}
				if _, refused := driver.replica.SignIns(); row.refused > 0 && refused != row.refused {
					t.Errorf("%d sign-ins were refused, want %d", refused, row.refused)
				}
			})
		})
	}
}

// TestOneLastQuestionWhereRefusalsAreCounted: no version names the account's
// former credential, so pending itself is asked once more, as late as can be.
func TestOneLastQuestionWhereRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	for _, after := range []int{1, never} {
		synctest.Test(t, func(t *testing.T) {
			primary := drivertest.NewFakeServer(host)
			primary.CreateAccount("app", pendingPassword)
			driver := withReplica(primary, after, nil)
			driver.countRefusals()
			// AWSCURRENT names another account: it tells nothing of this one.
			took, err := testLate(t, driver, 15*time.Minute, "")
			if (err == nil) != (after == 1) || took < 29*time.Second || took > 31*time.Second {
				t.Errorf("after %d: %v, after %s", after, err, took)
			}
			if _, refused := driver.replica.SignIns(); refused > 2 {
				t.Errorf("%d sign-ins were refused", refused)
			}
		})
	}
}

// testLate delivers testSecret of a secret whose host is a replica, and says how
// long it took. Without a current password AWSCURRENT is not valid.
func testLate(t *testing.T, driver dbdrivers.Driver, timeout time.Duration, current string) (time.Duration, error) {
	t.Helper()
	const adminARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:admin-AbCdEf"
	app := `{"engine":"fake","host":"` + replicaHost + `","username":"app","password":%q,"masterarn":"` + adminARN + `","dbrotation":{"strategy":"single"}}`
	var asked []string
	r, err := rotator.New(rotator.Config{
		Drivers:  map[string]dbdrivers.Driver{"fake": driver},
		Topology: services{relation: rotator.Relation{Kind: rotator.RelationReplica}, asked: &asked},
		Secrets: &heldVersions{values: map[string]string{
			"token":                 fmt.Sprintf(app, pendingPassword),
			"AWSCURRENT":            fmt.Sprintf(app, current),
			adminARN + "AWSCURRENT": `{"engine":"fake","host":"` + host + `","username":"admin","password":"` + adminPassword + `"}`,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ctx, cancel := context.WithDeadline(t.Context(), began.Add(timeout))
	defer cancel()
	_, err = r.Handle(ctx, rotator.Event{Step: rotator.TestSecret, SecretID: "arn", ClientRequestToken: "token"})
	return time.Since(began), err
}

// heldVersions holds versions by id, or by label; those of other secrets than
// the application's by ARN and label.
type heldVersions struct {
	putSpy
	values map[string]string
}

func (s *heldVersions) Get(_ context.Context, secretID string, ref rotator.VersionRef) (rotator.Version, error) {
	key := ref.VersionID + ref.Label
	if secretID != "arn" {
		key = secretID + key
	}
	value, ok := s.values[key]
	if !ok {
		return rotator.Version{}, rotator.ErrNoSuchVersion
	}
	version := rotator.Version{ID: key, Value: rotator.NewValue(value), Labels: []string{ref.Label}}
	if ref.VersionID != "" {
		version.Labels = []string{"AWSPENDING"}
	}
	return version, nil
}

// TestTestSecretComparesTheTwoAccounts: what differs is told, and fails nothing.
func TestTestSecretComparesTheTwoAccounts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		account string
		edit    func(db *drivertest.FakeServer)
		differs bool
	}{
		{name: "they are equal", account: "app_clone"},
		{name: "the sibling was granted something since", account: "app_clone", edit: func(db *drivertest.FakeServer) { db.Grant("app", "read") }, differs: true},
		{name: "the other one was, and the canonical account is pending", account: "app", edit: func(db *drivertest.FakeServer) { db.Grant("app_clone", "read") }, differs: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.alternating()
			w.db.CreateAccount("app_clone", strangePassword)
			w.db.CreateAccount(row.account, pendingPassword)
			if row.edit != nil {
				row.edit(w.db)
			}
			pending := w.document("AWSCURRENT")
			pending["username"], pending["password"] = row.account, pendingPassword
			if err := w.deliver(rotator.TestSecret, w.pend(encode(t, pending))); err != nil {
				t.Fatal(err)
			}
			if ok, refused := w.db.SignIns(); ok != 1 || refused != 0 {
				t.Errorf("%d sign-ins and %d refused, want one and none", ok, refused)
			}
			log := strings.Split(w.log.String(), "\n")
			told := slices.ContainsFunc(log, func(record string) bool {
				return strings.Contains(record, `"level":"WARN"`) && strings.Contains(record, "right read") && strings.Contains(record, `"_aws"`)
			})
			if told != row.differs {
				t.Errorf("the log tells of a difference: %v, want %v:\n%s", told, row.differs, w.log.String())
			}
		})
	}
	t.Run("there is no other one yet", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.alternating()
		w.db.Grant("app", "read")
		if err := w.deliver(rotator.TestSecret, w.pend(w.text("AWSCURRENT"))); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(w.log.String(), "WARN") {
			t.Errorf("the log warns:\n%s", w.log.String())
		}
	})
}
