package localaws_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

func TestRotationSucceeds(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	var seen []step
	w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
		seen = append(seen, e)
		return nil
	})
	w.must(w.rotate("app", "second"))
	w.must(w.wait("app"))

	w.wantLabels(id, map[string][]string{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}})
	w.wantSteps("1 createSecret", "1 setSecret", "1 testSecret", "1 finishSecret")
	w.wantEvents("RotationStarted", "RotationSucceeded")
	for _, e := range seen {
		if e.SecretId != id || e.ClientRequestToken != token("second") || len(e.RotationToken) < 36 || e.RotationToken != seen[0].RotationToken {
			t.Errorf("step %s: secret %s, token %s, a RotationToken of %d characters", e.Step, e.SecretId, e.ClientRequestToken, len(e.RotationToken))
		}
	}
	d := w.describe(id)
	if d.LastRotatedDate == nil || !aws.ToBool(d.RotationEnabled) || aws.ToString(d.RotationLambdaARN) != localaws.FunctionARN(region, "rotation") {
		t.Errorf("rotated %v, enabled %v, by %v", d.LastRotatedDate, d.RotationEnabled, d.RotationLambdaARN)
	}
	for _, c := range w.Calls() {
		if c.Function == "rotation" && (c.Step == "" || c.InvocationID == "") {
			t.Errorf("the call %s of the function has no step", c.Operation)
		}
	}
	if log := w.FunctionLog("rotation"); strings.Count(log, "START RequestId: ") != 4 || strings.Count(log, "REPORT RequestId: ") != 4 {
		t.Errorf("the log does not tell four invocations:\n%s", log)
	}
}

func TestFirstValueIsMadeByRotation(t *testing.T) {
	t.Parallel()
	w := start(t)
	_, err := w.sm.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("app")})
	w.must(err)
	w.function(nil)
	w.must(w.rotate("app", "first"))
	w.must(w.wait("app"))
	w.wantLabels("app", map[string][]string{"first": {"AWSCURRENT"}})
}

func TestFailingStepIsTriedAgainFromTheStart(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	failures := 2
	tokens := make(map[string]bool)
	w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
		tokens[e.ClientRequestToken] = true
		if e.Step == "testSecret" && failures > 0 {
			failures--
			return errors.New("the database is away")
		}
		return nil
	})
	w.must(w.rotate(id, "second"))
	w.must(w.wait(id))
	w.wantSteps(
		"1 createSecret", "1 setSecret", "1 testSecret",
		"2 createSecret", "2 setSecret", "2 testSecret",
		"3 createSecret", "3 setSecret", "3 testSecret", "3 finishSecret")
	w.wantEvents("RotationStarted", "RotationSucceeded")
	if len(tokens) != 1 {
		t.Errorf("the attempts had %d tokens", len(tokens))
	}
}

func TestRotationThatKeepsFailing(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *localaws.Config) { c.Attempts = 3 })
	id := w.create("app", "1")
	broken := true
	w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
		if broken && e.Step == "setSecret" {
			return errors.New("no route to the database")
		}
		return nil
	})
	w.must(w.rotate(id, "second"))
	err := w.wait(id)
	var failed *localaws.RotationError
	if !errors.As(err, &failed) || failed.Attempts != 3 || failed.Step != "setSecret" || failed.Cause.Error() != "no route to the database" {
		t.Fatalf("the rotation ended with %#v", err)
	}
	w.wantEvents("RotationStarted", "RotationFailed")
	e := w.Events()[1]
	if want := "Error when executing lambda " + localaws.FunctionARN(region, "rotation") + " during setSecret step"; e.ErrorMessage != want {
		t.Errorf("RotationFailed says %q, want %q", e.ErrorMessage, want)
	}
	if got, err := w.get(id, "", ""); err != nil || got != "1" {
		t.Errorf("the current value is %q, %v", got, err)
	}
	w.wantLabels(id, map[string][]string{"first": {"AWSCURRENT"}, "second": {"AWSPENDING"}})

	// Another rotation is refused, a changed schedule as well; the same one is
	// taken up.
	w.wantError(w.rotate(id, "third"), "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted.")
	broken = false
	w.must(w.rotate(id, "second"))
	w.must(w.wait(id))
	w.wantLabels(id, map[string][]string{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}})
	before := len(w.Invocations())
	w.must(w.rotate(id, "second")) // the request once more, after all was done
	w.must(w.wait(id))
	if after := len(w.Invocations()); after != before {
		t.Errorf("repeating a finished rotation made %d invocations", after-before)
	}
}

func TestStuckRotationIsFreed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		story string
		free  func(w *world, id string) error
		want  []string // of events, after the failed rotation's
	}{
		{"by taking AWSPENDING off", func(w *world, id string) error { return w.move(id, "AWSPENDING", "second", "") }, nil},
		{"by a new current value", func(w *world, id string) error { return w.put(id, "manual", "m") }, []string{"RotationAbandoned"}},
	} {
		t.Run(c.story, func(t *testing.T) {
			t.Parallel()
			w := start(t, func(c *localaws.Config) { c.Attempts = 1 })
			id := w.create("app", "1")
			w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
				if e.ClientRequestToken == token("second") {
					return errors.New("out of luck")
				}
				return nil
			})
			w.must(w.rotate(id, "second"))
			if err := w.wait(id); err == nil {
				t.Fatal("the rotation succeeded")
			}
			w.must(c.free(w, id))
			w.must(w.rotate(id, "third"))
			w.must(w.wait(id))
			w.wantEvents(append(append([]string{"RotationStarted", "RotationFailed"}, c.want...), "RotationStarted", "RotationSucceeded")...)
		})
	}
}

func TestPlaceholderHasNoValue(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	var byID, byLabel error
	w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
		if e.Step == "createSecret" {
			w.wantLabels(id, map[string][]string{"first": {"AWSCURRENT"}, "second": {"AWSPENDING"}})
			_, byID = w.get(id, "second", "")
			_, byLabel = w.get(id, "", "AWSPENDING")
		}
		return nil
	})
	w.must(w.rotate(id, "second"))
	w.must(w.wait(id))
	w.wantError(byID, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: "+token("second"))
	w.wantError(byLabel, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSPENDING")
}

func TestFunctionThatDoesNothingFails(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *localaws.Config) { c.Attempts = 2 })
	id := w.create("app", "1")
	w.must(w.AddFunction(localaws.Function{Name: "rotation", Handler: func(context.Context, []byte) error { return nil }}))
	w.must(w.rotate(id, "second"))
	if err := w.wait(id); err == nil {
		t.Fatal("the rotation succeeded")
	}
	w.wantLabels(id, map[string][]string{"first": {"AWSCURRENT"}, "second": {"AWSPENDING"}})
	w.wantError(w.rotate(id, "third"), "InvalidRequestException", "A previous rotation isn't complete.")
}

func TestFunctionThatDoesNotPromoteFails(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *localaws.Config) { c.Attempts = 1 })
	id := w.create("app", "1")
	sound := w.handler(nil)
	w.must(w.AddFunction(localaws.Function{Name: "rotation", Handler: func(ctx context.Context, event []byte) error {
		var e step
		if err := json.Unmarshal(event, &e); err != nil || e.Step == "finishSecret" {
			return err
		}
		return sound(ctx, event)
	}}))
	w.must(w.rotate(id, "second"))
	if err := w.wait(id); err == nil || !strings.Contains(err.Error(), "AWSCURRENT is not on version") {
		t.Fatalf("the rotation ended with %v", err)
	}
	w.wantEvents("RotationStarted", "RotationFailed")
}

func TestPendingValueOfAnother(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		story string
		given bool // the RotationToken
	}{{"without the RotationToken it ends the rotation", false}, {"with the RotationToken it is the rotation's own", true}} {
		t.Run(c.story, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			id := w.create("app", "1")
			w.function(func(ctx context.Context, _ *secretsmanager.Client, e step) error {
				if e.Step != "createSecret" {
					return nil
				}
				in := &secretsmanager.PutSecretValueInput{ // as the administrator, before the function does
					SecretId: &id, ClientRequestToken: &e.ClientRequestToken, VersionStages: []string{"AWSPENDING"},
					SecretString: aws.String("rotated-" + e.ClientRequestToken),
				}
				if c.given {
					in.RotationToken = &e.RotationToken
				}
				_, err := w.sm.PutSecretValue(ctx, in)
				return err
			})
			w.must(w.rotate(id, "second"))
			err := w.wait(id)
			if c.given {
				w.must(err)
				return
			}
			want := "Pending secret version " + token("second") + " for Secret " + id + " was not created by Lambda " +
				localaws.FunctionARN(region, "rotation") + ". Remove the AWSPENDING staging label and restart rotation"
			events := w.Events()
			if last := events[len(events)-1]; err == nil || last.EventName != "RotationFailed" || last.ErrorMessage != want {
				t.Errorf("ended with %v and the event %s %q", err, last.EventName, last.ErrorMessage)
			}
			w.wantSteps("1 createSecret")
		})
	}
}

func TestRotationIsStopped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		story  string
		during func(w *world, id string) error
		want   map[string][]string
		events []string
	}{
		{"cancelled", func(w *world, id string) error {
			out, err := w.sm.CancelRotateSecret(w.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &id})
			if err == nil && aws.ToString(out.VersionId) != token("second") {
				w.Errorf("CancelRotateSecret names version %v", out.VersionId)
			}
			return err
		}, map[string][]string{"first": {"AWSCURRENT"}, "second": {"AWSPENDING"}}, []string{"RotationStarted"}},
		{"abandoned by a value put by hand", func(w *world, id string) error { return w.put(id, "manual", "m") },
			map[string][]string{"manual": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}}, []string{"RotationStarted", "RotationAbandoned"}},
	} {
		t.Run(c.story, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			id := w.create("app", "1")
			w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
				if e.Step == "setSecret" {
					return c.during(w, id)
				}
				return nil
			})
			w.must(w.rotate(id, "second"))
			var ended *localaws.RotationError
			if err := w.wait(id); !errors.As(err, &ended) {
				t.Fatalf("the rotation ended with %v", err)
			}
			w.wantSteps("1 createSecret", "1 setSecret")
			w.wantLabels(id, c.want)
			w.wantEvents(c.events...)
		})
	}
}

func TestCancelledRotationKeepsItsConfiguration(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	w.function(nil)
	_, err := w.sm.CancelRotateSecret(w.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &id})
	w.wantError(err, "InvalidRequestException", "")
	w.must(w.rotate(id, "second", days(30)))
	w.must(w.wait(id))
	_, err = w.sm.CancelRotateSecret(w.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &id})
	w.must(err)
	d := w.describe(id)
	if d.RotationEnabled == nil || *d.RotationEnabled || d.RotationLambdaARN == nil || d.RotationRules == nil || d.NextRotationDate != nil {
		t.Errorf("enabled %v, by %v, rules %v, next %v", d.RotationEnabled, d.RotationLambdaARN, d.RotationRules, d.NextRotationDate)
	}
}

func TestLabelTakenOffByTheFunctionEndsTheRotation(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	w.function(func(ctx context.Context, sm *secretsmanager.Client, e step) error {
		if e.Step != "setSecret" {
			return nil
		}
		_, err := sm.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &id, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &e.ClientRequestToken})
		return errors.Join(errors.New("the server's rules refuse this password"), err)
	})
	w.must(w.rotate(id, "second"))
	if err := w.wait(id); err == nil || !strings.Contains(err.Error(), "the server's rules refuse") {
		t.Fatalf("the rotation ended with %v", err)
	}
	w.wantSteps("1 createSecret", "1 setSecret")
	w.wantEvents("RotationStarted", "RotationFailed")
}

func TestWithoutRotatingImmediately(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		story  string
		fails  error
		events []string
	}{
		{"the test passes", nil, []string{"TestRotationStarted", "TestRotationSucceeded"}},
		{"the test fails", errors.New("no way in"), []string{"TestRotationStarted", "TestRotationFailed"}},
	} {
		t.Run(c.story, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			id := w.create("app", "1")
			var tested string
			w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
				tested, _ = w.get(id, "second", "AWSPENDING")
				return c.fails
			})
			w.must(w.rotate(id, "second", days(30), func(in *secretsmanager.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }))
			if err := w.wait(id); (err == nil) != (c.fails == nil) {
				t.Errorf("the test ended with %v", err)
			}
			if tested != "1" {
				t.Errorf("the pending version held %q, want a copy of the current value", tested)
			}
			w.wantSteps("1 testSecret")
			w.wantEvents(c.events...)
			w.wantLabels(id, map[string][]string{"first": {"AWSCURRENT"}})
			if d := w.describe(id); !aws.ToBool(d.RotationEnabled) || d.LastRotatedDate != nil || d.NextRotationDate == nil {
				t.Errorf("enabled %v, rotated %v, next %v", d.RotationEnabled, d.LastRotatedDate, d.NextRotationDate)
			}
			if _, err := w.get(id, "second", ""); err == nil {
				t.Error("the version of the test is still there")
			}
		})
	}
}

func days(n int64) func(*secretsmanager.RotateSecretInput) {
	return func(in *secretsmanager.RotateSecretInput) {
		in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: &n}
	}
}

func TestNextRotationDate(t *testing.T) {
	t.Parallel()
	now := &clock{now: time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)}
	w := start(t, func(c *localaws.Config) { c.Now = now.Now })
	id := w.create("app", "1")
	w.function(nil)
	w.must(w.rotate(id, "second", days(10)))
	w.must(w.wait(id))
	next := func() string { return w.describe(id).NextRotationDate.Format(time.RFC3339) }
	if got := next(); got != "2026-03-11T23:59:59Z" {
		t.Errorf("ten days after 1 March is %s", got)
	}
	now.advance(5 * 24 * time.Hour)
	w.must(w.put(id, "manual", "m"))
	if got := next(); got != "2026-03-16T23:59:59Z" {
		t.Errorf("a value put by hand on 6 March makes it %s", got)
	}
	w.must(w.rotate(id, "third", func(in *secretsmanager.RotateSecretInput) {
		in.RotationRules = &types.RotationRulesType{ScheduleExpression: aws.String("cron(0 8 1 * ? *)"), Duration: aws.String("3h")}
	}))
	w.must(w.wait(id))
	if got := next(); got != "2026-04-01T10:59:59Z" {
		t.Errorf("8 o'clock on the first for three hours makes it %s", got)
	}
	if rules := w.describe(id).RotationRules; aws.ToInt64(rules.AutomaticallyAfterDays) != 27 {
		t.Errorf("AutomaticallyAfterDays is %v", aws.ToInt64(rules.AutomaticallyAfterDays))
	}
}

func TestRotateSecretIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	w.must(w.AddFunction(localaws.Function{Name: "rotation", Handler: func(context.Context, []byte) error { return nil }}))
	for _, c := range []struct {
		story         string
		with          func(*secretsmanager.RotateSecretInput)
		code, message string
	}{
		{"no such secret", func(in *secretsmanager.RotateSecretInput) { in.SecretId = aws.String("none") },
			"ResourceNotFoundException", "Secrets Manager can't find the specified secret."},
		{"no function", func(in *secretsmanager.RotateSecretInput) { in.RotationLambdaARN = nil },
			"InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."},
		{"a function that is not there", func(in *secretsmanager.RotateSecretInput) {
			in.RotationLambdaARN = aws.String(localaws.FunctionARN(region, "other"))
		}, "AccessDeniedException", "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com."},
		{"a function of another Region", func(in *secretsmanager.RotateSecretInput) {
			in.RotationLambdaARN = aws.String(localaws.FunctionARN("us-east-1", "rotation"))
		}, "AccessDeniedException", "Secrets Manager cannot invoke"},
		{"the token of a version", func(in *secretsmanager.RotateSecretInput) { in.ClientRequestToken = aws.String(token("first")) },
			"InvalidRequestException", "ClientRequestToken"},
		{"a short token", func(in *secretsmanager.RotateSecretInput) { in.ClientRequestToken = aws.String("short") },
			"ValidationException", "clientRequestToken"},
		{"1001 days", days(1001), "ValidationException", "automaticallyAfterDays"},
		{"both kinds of schedule", func(in *secretsmanager.RotateSecretInput) {
			in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(1), ScheduleExpression: aws.String("rate(2 days)")}
		}, "InvalidParameterException", "exclude each other"},
		{"a rate of three hours", func(in *secretsmanager.RotateSecretInput) {
			in.RotationRules = &types.RotationRulesType{ScheduleExpression: aws.String("rate(3 hours)")}
		}, "InvalidParameterException", "at least 4"},
		{"a duration that is none", func(in *secretsmanager.RotateSecretInput) {
			in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(1), Duration: aws.String("hh9")}
		}, "InvalidParameterException", "Duration"},
	} {
		t.Run(c.story, func(t *testing.T) {
			w := &world{Server: w.Server, T: t, sm: w.sm}
			w.wantError(w.rotate(id, "second", c.with), c.code, c.message)
			if d := w.describe(id); d.RotationEnabled != nil || d.RotationLambdaARN != nil {
				t.Error("the configuration was kept all the same")
			}
		})
	}
}

func TestEventIsShapedAsCloudTrails(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	w.function(nil)
	w.must(w.rotate(id, "second"))
	w.must(w.wait(id))
	text, err := json.Marshal(w.Events()[0])
	w.must(err)
	var got map[string]any
	w.must(json.Unmarshal(text, &got))
	for _, varying := range []string{"eventTime", "requestID", "eventID"} {
		if got[varying] == "" {
			t.Errorf("%s is empty", varying)
		}
		delete(got, varying)
	}
	want := map[string]any{
		"eventVersion": "1.08", "eventName": "RotationStarted", "awsRegion": region, "recipientAccountId": localaws.Account,
		"userIdentity": map[string]any{"accountId": localaws.Account, "invokedBy": "secretsmanager.amazonaws.com"},
		"eventSource":  "secretsmanager.amazonaws.com", "sourceIPAddress": "secretsmanager.amazonaws.com", "userAgent": "secretsmanager.amazonaws.com",
		"requestParameters": nil, "responseElements": nil, "additionalEventData": map[string]any{"SecretId": id},
		"readOnly": false, "eventType": "AwsServiceEvent", "managementEvent": true, "eventCategory": "Management",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

// TestExecutableRotates runs this test binary as a Lambda function.
func TestExecutableRotates(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	exe, err := os.Executable()
	w.must(err)
	w.must(w.AddFunction(localaws.Function{Name: "rotation", Path: exe, Timeout: patience}))
	killed := w.Inject(localaws.Fault{Kind: localaws.KillAfter, Operation: "PutSecretValue"})
	w.must(w.rotate(id, "second"))
	w.must(w.wait(id))
	if killed.Fired() != 1 {
		t.Errorf("the process was killed %d times", killed.Fired())
	}
	w.wantLabels(id, map[string][]string{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}})
	w.wantSteps("1 createSecret", "2 createSecret", "2 setSecret", "2 testSecret", "2 finishSecret")
	for _, c := range w.Calls() {
		if c.Operation == "PutSecretValue" && (c.Function != "rotation" || c.Step != "createSecret" || c.InvocationID == "") {
			t.Errorf("the put is attributed to %q, %q, %q", c.Function, c.Step, c.InvocationID)
		}
	}
	if log := w.FunctionLog("rotation"); !strings.Contains(log, "step finishSecret\n") || !strings.Contains(log, "START RequestId: ") {
		t.Errorf("the log is\n%s", log)
	}
}

// TestExecutablesAtOnce has several processes of one function call at the same
// time: each call belongs to the invocation of its own process.
func TestExecutablesAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	exe, err := os.Executable()
	w.must(err)
	w.must(w.AddFunction(localaws.Function{Name: "rotation", Path: exe, Timeout: patience}))
	var ids []string
	for i := range 4 {
		ids = append(ids, w.create(fmt.Sprintf("own-%d", i), "1"))
	}
	for _, id := range ids {
		w.must(w.rotate(id, "second"))
	}
	for _, id := range ids {
		w.must(w.wait(id))
	}
	w.wantAttributed(len(ids) * 4)
}

// TestRotationsOfASecretDoNotOverlap begins a rotation while the step of one
// that was abandoned still runs.
func TestRotationsOfASecretDoNotOverlap(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	var running atomic.Int32
	begun, release, overlap := make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
		if running.Add(1) == 2 {
			overlap <- struct{}{}
		}
		defer running.Add(-1)
		if e.ClientRequestToken == token("second") {
			close(begun)
			<-release
			return errors.New("too late")
		}
		return nil
	})
	w.must(w.rotate(id, "second"))
	<-begun
	w.must(w.put(id, "manual", "m"))
	w.must(w.rotate(id, "third"))
	select {
	case <-overlap:
		t.Error("two steps run at once")
	case <-time.After(20 * time.Millisecond): // time enough to go wrong
	}
	close(release)
	w.must(w.wait(id))
	w.wantSteps("1 createSecret", "1 createSecret", "1 setSecret", "1 testSecret", "1 finishSecret")
	w.wantLabels(id, map[string][]string{"third": {"AWSCURRENT"}, "manual": {"AWSPREVIOUS"}})
}

// TestNewRotationDoesNotWaitForThePauseOfTheOld frees a rotation that pauses
// after a failure, and starts another.
func TestNewRotationDoesNotWaitForThePauseOfTheOld(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *localaws.Config) { c.Backoff = func(int) time.Duration { return time.Hour } })
	id := w.create("app", "1")
	w.function(func(_ context.Context, _ *secretsmanager.Client, e step) error {
		if e.ClientRequestToken == token("second") {
			return errors.New("out of luck")
		}
		return nil
	})
	failed := make(chan struct{}, 1)
	w.OnInvocation(func(i localaws.Invocation) {
		if i.Err != "" {
			failed <- struct{}{}
		}
	})
	w.must(w.rotate(id, "second"))
	<-failed
	w.must(w.move(id, "AWSPENDING", "second", ""))
	w.must(w.rotate(id, "third"))
	w.must(w.wait(id))
	w.wantLabels(id, map[string][]string{"third": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}})
}

func TestWaitForRotationThatNeverWas(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	var e *localaws.RotationError
	if err := w.wait(id); !errors.As(err, &e) || e.Attempts != 0 {
		t.Errorf("waiting returned %v", err)
	}
}

func TestDeletionInterruptsARotationUntilTheRestore(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	deleted := false
	w.function(func(context.Context, *secretsmanager.Client, step) error {
		if deleted {
			return nil
		}
		deleted = true
		_, err := w.sm.DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: &id})
		return err
	})
	w.must(w.rotate(id, "second"))
	var ended *localaws.RotationError
	if err := w.wait(id); !errors.As(err, &ended) || !strings.Contains(err.Error(), "marked for deletion") {
		t.Fatalf("the rotation ended with %v", err)
	}
	_, err := w.sm.RestoreSecret(w.Context(), &secretsmanager.RestoreSecretInput{SecretId: &id})
	w.must(err)
	w.must(w.wait(id))
	w.wantLabels(id, map[string][]string{"second": {"AWSCURRENT"}, "first": {"AWSPREVIOUS"}})
	w.wantEvents("RotationStarted", "RotationSucceeded")
}
