package localaws_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

const (
	region   = "eu-central-1"
	patience = 20 * time.Second // the bound of every wait
)

// TestMain lets the test binary also be what the tests start: a function, or a
// server that is killed.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("AWS_LAMBDA_RUNTIME_API") != "":
		lambda.Start(func(ctx context.Context, event step) error {
			fmt.Println("step", event.Step)
			sm := newClient(os.Getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER"), os.Getenv("AWS_REGION"),
				os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN"))
			return rotate(ctx, sm, event)
		})
	case os.Getenv(serverData) != "":
		os.Exit(serveUntilKilled(os.Getenv(serverData)))
	default:
		os.Exit(m.Run())
	}
}

// step is the event of a rotation.
type step struct{ Step, SecretId, ClientRequestToken, RotationToken string }

// rotate is a sound rotation function for a secret that is all there is to
// rotate.
func rotate(ctx context.Context, sm *secretsmanager.Client, e step) error {
	switch e.Step {
	case "createSecret":
		_, err := sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken,
			SecretString: aws.String("rotated-" + e.ClientRequestToken), VersionStages: []string{"AWSPENDING"},
			RotationToken: &e.RotationToken,
		})
		return err
	case "finishSecret":
		d, err := sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &e.SecretId})
		if err != nil {
			return err
		}
		var current *string
		for id, labels := range d.VersionIdsToStages {
			for _, l := range labels {
				if l == "AWSCURRENT" {
					current = aws.String(id)
				}
			}
		}
		if current != nil && *current == e.ClientRequestToken {
			return nil
		}
		_, err = sm.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &e.SecretId, VersionStage: aws.String("AWSCURRENT"),
			MoveToVersionId: &e.ClientRequestToken, RemoveFromVersionId: current,
		})
		return err
	default:
		_, err := sm.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
			SecretId: &e.SecretId, VersionId: &e.ClientRequestToken, VersionStage: aws.String("AWSPENDING"),
		})
		return err
	}
}

func newClient(endpoint, region, key, secret, session string) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &endpoint, Region: region, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, session),
	})
}

// world is a server, its administrator and the test.
type world struct {
	*localaws.Server
	*testing.T
	sm *secretsmanager.Client
}

func start(t *testing.T, with ...func(*localaws.Config)) *world {
	t.Helper()
	cfg := localaws.Config{Listen: "127.0.0.1:0", Backoff: func(int) time.Duration { return time.Millisecond }}
	for _, f := range with {
		f(&cfg)
	}
	server, err := localaws.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{Server: server, T: t, sm: newClient(server.Endpoint(), region, localaws.AccessKey, localaws.SecretKey, "")}
}

// token returns a token with a telling start.
func token(name string) string {
	return (name + "-" + strings.Repeat("0", 36))[:36]
}

func (w *world) create(name, value string) string {
	w.Helper()
	out, err := w.sm.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{
		Name: &name, SecretString: &value, ClientRequestToken: aws.String(token("first")),
	})
	w.must(err)
	return *out.ARN
}

func (w *world) put(id, name, value string, labels ...string) error {
	_, err := w.sm.PutSecretValue(w.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: &id, ClientRequestToken: aws.String(token(name)), SecretString: &value, VersionStages: labels,
	})
	return err
}

// move moves a label; an empty name stands for an absent member.
func (w *world) move(id, label, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: &label}
	if from != "" {
		in.RemoveFromVersionId = aws.String(token(from))
	}
	if to != "" {
		in.MoveToVersionId = aws.String(token(to))
	}
	_, err := w.sm.UpdateSecretVersionStage(w.Context(), in)
	return err
}

func (w *world) get(id, version, label string) (string, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &id}
	if version != "" {
		in.VersionId = aws.String(token(version))
	}
	if label != "" {
		in.VersionStage = &label
	}
	out, err := w.sm.GetSecretValue(w.Context(), in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.SecretString), nil
}

func (w *world) rotate(id, name string, with ...func(*secretsmanager.RotateSecretInput)) error {
	in := &secretsmanager.RotateSecretInput{
		SecretId: &id, ClientRequestToken: aws.String(token(name)),
		RotationLambdaARN: aws.String(localaws.FunctionARN(region, "rotation")),
	}
	for _, f := range with {
		f(in)
	}
	_, err := w.sm.RotateSecret(w.Context(), in)
	return err
}

func (w *world) describe(id string) *secretsmanager.DescribeSecretOutput {
	w.Helper()
	out, err := w.sm.DescribeSecret(w.Context(), &secretsmanager.DescribeSecretInput{SecretId: &id})
	w.must(err)
	return out
}

func (w *world) wait(id string) error {
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	return w.WaitForRotation(ctx, region, id)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// wantLabels compares all labels, with each version by the start of its token.
func (w *world) wantLabels(id string, want map[string][]string) {
	w.Helper()
	got := make(map[string][]string)
	for version, labels := range w.describe(id).VersionIdsToStages {
		name, _, _ := strings.Cut(version, "-0")
		got[name] = labels
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("labels (-want +got):\n%s", diff)
	}
}

func (w *world) wantError(err error, code, message string) {
	w.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) {
		w.Errorf("error is %v, want %s", err, code)
		return
	}
	if e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), message) {
		w.Errorf("error is %s %q,\nwant %s %q", e.ErrorCode(), e.ErrorMessage(), code, message)
	}
}

// function adds the sound function under the name "rotation". before, if not
// nil, is called first in each step; its error ends the step.
func (w *world) function(before func(ctx context.Context, sm *secretsmanager.Client, e step) error) {
	w.Helper()
	w.must(w.AddFunction(localaws.Function{Name: "rotation", Timeout: patience, Handler: w.handler(before)}))
}

func (w *world) handler(before func(ctx context.Context, sm *secretsmanager.Client, e step) error) func(context.Context, []byte) error {
	key, secret, session := w.FunctionCredentials("rotation")
	sm := newClient(w.Endpoint(), region, key, secret, session)
	return func(ctx context.Context, event []byte) error {
		var e step
		if err := json.Unmarshal(event, &e); err != nil {
			return err
		}
		if before != nil {
			if err := before(ctx, sm, e); err != nil {
				return err
			}
		}
		return rotate(ctx, sm, e)
	}
}

func (w *world) eventNames() []string {
	var names []string
	for _, e := range w.Events() {
		names = append(names, e.EventName)
	}
	return names
}

func (w *world) wantEvents(want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.eventNames()); diff != "" {
		w.Errorf("events (-want +got):\n%s", diff)
	}
}

func (w *world) steps() []string {
	var steps []string
	for _, i := range w.Invocations() {
		steps = append(steps, fmt.Sprintf("%d %s", i.Attempt, i.Step))
	}
	return steps
}

func (w *world) wantSteps(want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.steps()); diff != "" {
		w.Errorf("invocations (-want +got):\n%s", diff)
	}
}

// wantAttributed demands so many invocations, and that each call of a function
// is attributed to one for the secret that it is about.
func (w *world) wantAttributed(invocations int) {
	w.Helper()
	about := make(map[string]string) // invocation -> secret
	for _, i := range w.Invocations() {
		about[i.InvocationID] = i.SecretARN
	}
	if n := len(about); n != invocations {
		w.Errorf("%d invocations, want %d", n, invocations)
	}
	for _, c := range w.Calls() {
		if c.Function != "" && about[c.InvocationID] != c.SecretID {
			w.Errorf("%s of %s is attributed to an invocation for %q", c.Operation, c.SecretID, about[c.InvocationID])
		}
	}
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
