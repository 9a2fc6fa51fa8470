package rotator_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/localaws"
	"github.com/dbrotation/dbrotation/rotator"
	"github.com/dbrotation/dbrotation/rotator/awsstore"
)

// overtaken is a store in which something happens between two calls of one
// delivery: just before it reads AWSCURRENT for the first time.
type overtaken struct {
	rotator.SecretStore
	once    sync.Once
	happens func()
}

func (o *overtaken) Get(ctx context.Context, secretID string, version rotator.VersionRef) (rotator.Version, error) {
	if version.Label == "AWSCURRENT" {
		o.once.Do(o.happens)
	}
	return o.SecretStore.Get(ctx, secretID, version)
}

func TestAnotherDeliveryFinishesTheRotationMeanwhile(t *testing.T) {
	t.Parallel()
	for _, step := range []rotator.Step{rotator.CreateSecret, rotator.SetSecret} {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.secret()
			w.enable()
			token := w.pend(strings.Replace(w.text("AWSCURRENT"), w.password("AWSCURRENT"), pendingPassword, 1))
			rest := []rotator.Step{rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret}
			finish := func() {
				w.config.Secrets = nil
				for _, step := range rest {
					if err := w.deliver(step, token); err != nil {
						t.Error(err)
					}
				}
			}
			w.config.Secrets = &overtaken{SecretStore: awsstore.New(client(w.aws, localaws.AccessKey, localaws.SecretKey, "")), happens: finish}
			if err := w.deliver(step, token); err != nil {
				t.Errorf("the slower delivery: %v", err)
			}
			if !strings.Contains(w.labels(token), "AWSCURRENT") || w.password("AWSCURRENT") != pendingPassword {
				t.Error("the rotation did not end")
			}
			w.opens("AWSCURRENT")
		})
	}
}

func TestTheSecretIsEditedInMidRotation(t *testing.T) {
	t.Parallel()
	t.Run("Secrets Manager takes AWSPENDING off a version whose password the database has", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions()
		w.db.CreateAccount("app", currentPassword)
		if err := w.deliver(rotator.SetSecret, token); err != nil {
			t.Fatal(err)
		}
		document := w.document("AWSCURRENT")
		document["team"] = "billing"
		w.putCurrent(document)
		wantClass(t, w.deliver(rotator.TestSecret, token), rotator.ClassLabel, token, "this version may: move AWSCURRENT to it")
		w.move("AWSCURRENT", token)
		w.opens("AWSCURRENT")
	})
	t.Run("AWSCURRENT moves to a version with another key", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.threeVersions()
		before := current(t, w)
		w.db.CreateAccount("app", currentPassword)
		if err := w.deliver(rotator.SetSecret, token); err != nil {
			t.Fatal(err)
		}
		w.move("AWSCURRENT", w.edited(set("team", "billing")))
		// To take the label off now would lock the application out.
		wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassMismatch, `"team"`, "undo the edit", "only if current's password still opens the database")
		w.move("AWSCURRENT", before)
		for _, step := range []rotator.Step{rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret} {
			if err := w.deliver(step, token); err != nil {
				t.Errorf("%s after the edit was undone: %v", step, err)
			}
		}
		w.opens("AWSCURRENT")
	})
	for _, row := range []struct{ name, has string }{
		{"the password, changed by hand in the database too", strangePassword},
		{"the password, by mistake, in the secret alone", currentPassword},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			token := w.threeVersions()
			w.db.CreateAccount("app", row.has)
			w.move("AWSCURRENT", w.edited(set("password", strangePassword)))
			if err := w.deliver(rotator.SetSecret, token); err != nil {
				t.Fatal(err)
			}
			w.opens("AWSPENDING")
		})
	}
}

// edited stores a version like current with an edit, under a label of no
// meaning, and returns its id.
func (w *world) edited(edit func(map[string]any)) (id string) {
	w.t.Helper()
	document := w.document("AWSCURRENT")
	edit(document)
	out, err := w.client.PutSecretValue(w.t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: &w.arn, SecretString: aws.String(encode(w.t, document)), VersionStages: []string{"EDITED"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.VersionId
}

// AWS's functions write the whole document anew, as Python does, and leave
// AWSPENDING on the version that they made current.
func TestARotationThatAWSsOwnFunctionBegan(t *testing.T) {
	t.Parallel()
	const document = `{"engine": "fake", "host": "` + host + `", "username": "app", "password": "PASSWORD", "port": 5999, "ratio": 1.5, "name": "\u00e4\u20ac"}`
	with := func(password string) string { return strings.Replace(document, "PASSWORD", password, 1) }
	ours := strings.NewReplacer(": ", ":", ", ", ",\n", "1.5", "1.50", `\u00e4`, "ä").Replace(with(firstPassword))

	for _, row := range []struct {
		name string
		has  string
	}{
		{"it stored the pending version", firstPassword},
		{"it set the password too", pendingPassword},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.arn = w.store("app", ours)
			token := w.pend(with(pendingPassword))
			w.db.CreateAccount("app", row.has)
			for _, step := range []rotator.Step{rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret} {
				if err := w.deliver(step, token); err != nil {
					t.Errorf("%s: %v", step, err)
				}
			}
			if w.password("AWSCURRENT") != pendingPassword {
				t.Error("the rotation did not end")
			}
			w.opens("AWSCURRENT")
		})
	}
	t.Run("it ended, and left AWSPENDING where AWSCURRENT is", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.arn = w.store("app", with(firstPassword))
		id := current(t, w)
		if _, err := w.client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &w.arn, VersionStage: aws.String("AWSPENDING"), MoveToVersionId: &id,
		}); err != nil {
			t.Fatal(err)
		}
		if err := w.rotate(); err != nil {
			t.Fatal(err)
		}
		w.opens("AWSCURRENT")
	})
}

func TestFinishWhereNothingIsCurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	out, err := w.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("empty")})
	if err != nil {
		t.Fatal(err)
	}
	w.arn = *out.ARN
	token := w.pend(`{"password": "` + firstPassword + `"}`)
	if err := w.deliver(rotator.FinishSecret, token); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.labels(token), "AWSCURRENT") {
		t.Errorf("labels %q", w.labels(token))
	}
}

// replicated is a store whose secret has a replica that needs some looks until
// it is in sync.
type replicated struct {
	putSpy
	looks, needs int
	status       string
}

func (r *replicated) Describe(context.Context, string) (rotator.Description, error) {
	r.looks++
	replica := rotator.Replica{Region: "us-east-2", Status: r.status, Message: "copying"}
	if r.looks > r.needs {
		replica.Status = "InSync"
	}
	return rotator.Description{Labels: map[string][]string{"token": {"AWSPENDING"}}, Replicas: []rotator.Replica{replica}}, nil
}

func TestReplicasInOtherRegions(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		store  replicated
		wait   time.Duration
		looks  int
		warned bool
	}{
		{"one is behind, and is reported", replicated{needs: 99, status: "InProgress"}, 0, 1, true},
		{"one is behind, and is waited for", replicated{needs: 3, status: "InProgress"}, 10 * time.Second, 4, false},
		{"one has failed, and no wait would mend it", replicated{needs: 99, status: "Failed"}, 10 * time.Second, 2, true},
		{"all are in sync", replicated{}, 0, 1, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.secret()
			w.config.Secrets, w.config.WaitForReplicas = &row.store, row.wait
			if err := w.deliver(rotator.FinishSecret, "token"); err != nil {
				t.Fatal(err)
			}
			if row.store.looks != row.looks {
				t.Errorf("%d calls of DescribeSecret, want %d", row.store.looks, row.looks)
			}
			if warned := strings.Contains(w.log.String(), "us-east-2"); warned != row.warned {
				t.Errorf("warned %v, want %v: %s", warned, row.warned, w.log)
			}
		})
	}
}

func TestAnEventThatIsNoJSONObjectShowsNoToken(t *testing.T) {
	t.Parallel()
	var event rotator.Event
	err := json.Unmarshal([]byte(`{"Step": "createSecret", "RotationToken": ["planted-token"]}`), &event)
	if err == nil || strings.Contains(err.Error(), "planted") {
		t.Errorf("error %v", err)
	}
}
