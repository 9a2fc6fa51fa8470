package rotator_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/integration/localaws"
	"github.com/dbrotation/dbrotation/rotator"
	"github.com/dbrotation/dbrotation/rotator/awsstore"
)

// scheduled is a store whose secret is due at a given time.
type scheduled struct {
	putSpy
	next    time.Time
	enabled bool
}

func (s *scheduled) Describe(context.Context, string) (rotator.Description, error) {
	return rotator.Description{RotationEnabled: s.enabled, NextRotation: s.next, Labels: map[string][]string{"token": {"AWSPENDING"}}}, nil
}

func TestFinishSaysUntilWhenTheFormerCredentialOpens(t *testing.T) {
	t.Parallel()
	due := time.Date(2999, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	const dueText = "2999-01-02T02:04:05Z"
	for _, row := range []struct {
		name     string
		strategy rotator.Strategy // of the function
		next     time.Time
		disabled bool
		want     string
	}{
		{"two passwords, on a schedule", rotator.DualPassword, due, false, `"formerOpensUntil":"the next rotation, due by ` + dueText + `","nextRotation":"` + dueText + `"`},
		{"two passwords, without a schedule", rotator.DualPassword, time.Time{}, false, `"formerOpensUntil":"the next rotation"`},
		{"two passwords, and rotations that have failed since they were due", rotator.DualPassword, time.Unix(1, 0), false, `"formerOpensUntil":"the next rotation"`},
		{"two passwords, and rotation was turned off meanwhile", rotator.DualPassword, due, true, `"formerOpensUntil":"the next rotation"`},
		{"two accounts, on a schedule", rotator.Alternating, due, false, `"formerOpensUntil":"the next rotation, due by ` + dueText + `","nextRotation":"` + dueText + `"`},
		{"one password, on a schedule", rotator.Single, due, false, `"nextRotation":"` + dueText + `"`},
		{"the secrets decide, on a schedule", "", due, false, `"formerOpensUntil":"the next rotation, due by ` + dueText + `, where the strategy is alternating or dual-password","nextRotation":"` + dueText + `"`},
		{"the secrets decide", "", time.Time{}, false, `"formerOpensUntil":"the next rotation, where the strategy is alternating or dual-password"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.secret()
			w.config.Secrets, w.config.Strategy = &scheduled{next: row.next, enabled: !row.disabled}, row.strategy
			result, err := w.rotator().Handle(t.Context(), rotator.Event{Step: rotator.FinishSecret, SecretID: w.arn, ClientRequestToken: "token"})
			if err != nil {
				t.Fatal(err)
			}
			response, err := json.Marshal(result)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(`{"step":"finishSecret","outcome":"current",`+row.want+`}`, string(response)); diff != "" {
				t.Errorf("the response: %s", diff)
			}
			if !strings.Contains(w.log.String(), row.want) {
				t.Errorf("the log does not say %s: %s", row.want, w.log)
			}
		})
	}
}

func TestSetSaysWhetherTheFormerCredentialOpens(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		strategy string
		has      string
		outcome  string
		opens    bool
	}{
		{"two passwords", "dual-password", currentPassword, "set", true},
		{"two passwords, set from the one before current", "dual-password", previousPassword, "set", false},
		{"two passwords, set already", "dual-password", pendingPassword, "already set", false},
		{"two passwords, reset", "dual-password", strangePassword, "reset by the admin", false},
		{"one password", "single", currentPassword, "set", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.config.AdminMayReset = true
			token := w.threeVersions(w.adminSecret(), ours("strategy", row.strategy))
			w.db.CreateAccount("app", row.has)
			result, err := w.rotator().Handle(t.Context(), rotator.Event{Step: rotator.SetSecret, SecretID: w.arn, ClientRequestToken: token})
			if err != nil {
				t.Fatal(err)
			}
			want := rotator.Result{Step: rotator.SetSecret, Outcome: row.outcome}
			if row.opens {
				want.FormerOpensUntil = "the next rotation"
			}
			if diff := cmp.Diff(want, result); diff != "" {
				t.Error(diff)
			}
			if w.db.Opens("app", currentPassword) != row.opens {
				t.Errorf("the former credential opens: %t, want %t", !row.opens, row.opens)
			}
		})
	}
	t.Run("two accounts", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.alternating()
		pending := w.document("AWSCURRENT")
		pending["username"], pending["password"] = "app_clone", pendingPassword
		token := w.pend(encode(t, pending))
		result, err := w.rotator().Handle(t.Context(), rotator.Event{Step: rotator.SetSecret, SecretID: w.arn, ClientRequestToken: token})
		if err != nil || result.FormerOpensUntil != "the next rotation" {
			t.Errorf("result %+v, error %v", result, err)
		}
		w.signsIn("AWSCURRENT")
	})
}

func TestAFailedStepHasNoResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.threeVersions(ours("strategy", "dual-password"))
	w.db.CreateAccount("app", currentPassword)
	w.db.FailNext(dbdrivers.ErrUnreachable, drivertest.AfterChange)
	result, err := w.rotator().Handle(t.Context(), rotator.Event{Step: rotator.SetSecret, SecretID: w.arn, ClientRequestToken: token})
	wantClass(t, err, rotator.ClassUnreachable)
	if result != (rotator.Result{}) {
		t.Errorf("result %+v", result)
	}
}

// TestARotationTellsItsResults rotates through Secrets Manager, on a schedule.
func TestARotationTellsItsResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret(ours("strategy", "dual-password"))
	var results []rotator.Result
	if err := w.aws.AddFunction(localaws.Function{Name: "telling", Handler: func(ctx context.Context, raw []byte) error {
		var event rotator.Event
		if err := json.Unmarshal(raw, &event); err != nil {
			return err
		}
		config := w.config
		accessKey, secretKey, session := w.aws.FunctionCredentials("telling")
		config.Secrets = awsstore.New(client(w.aws, accessKey, secretKey, session))
		r, err := rotator.New(config)
		if err != nil {
			return err
		}
		result, err := r.Handle(ctx, event)
		results = append(results, result)
		return err
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &w.arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, "telling")),
		RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.aws.WaitForRotation(t.Context(), region, w.arn); err != nil {
		t.Fatal(err)
	}
	out, err := w.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &w.arn})
	if err != nil {
		t.Fatal(err)
	}
	due := aws.ToTime(out.NextRotationDate).UTC()
	want := []rotator.Result{
		{Step: rotator.CreateSecret, Outcome: "stored"},
		{Step: rotator.SetSecret, Outcome: "set", FormerOpensUntil: "the next rotation"},
		{Step: rotator.TestSecret, Outcome: "opens"},
		{
			Step: rotator.FinishSecret, Outcome: "current", NextRotation: due,
			FormerOpensUntil: "the next rotation, due by " + due.Format(time.RFC3339) + ", where the strategy is alternating or dual-password",
		},
	}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Error(diff)
	}
	w.onlyOpen(w.password("AWSCURRENT"), firstPassword)
}
