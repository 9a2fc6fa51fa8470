package rotator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/integration/localaws"
	"github.com/dbrotation/dbrotation/rotator"
	"github.com/dbrotation/dbrotation/rotator/awsstore"
)

const (
	region   = "eu-west-1"
	host     = "db.example.com"
	function = "rotation"
	// planted are the passwords of the stories; no log and no error may show one.
	firstPassword = "planted-First-1"
	adminPassword = "planted-Admin-1"
)

// world is the embedded Secrets Manager, a database in memory, and a rotation
// function of this process that is made anew for every step: nothing is
// remembered between two steps but labels and the database.
type world struct {
	t      *testing.T
	aws    *localaws.Server
	client *secretsmanager.Client // the administrator's
	db     *drivertest.FakeServer
	driver *drivertest.Fake
	config rotator.Config // what the function is configured with
	arn    string
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: drivertest.NewFakeServer(host), log: &lockedBuffer{}}
	w.driver = drivertest.NewFake(w.db)
	server, err := localaws.Start(localaws.Config{
		Listen: "127.0.0.1:0", Attempts: 3,
		Backoff: func(int) time.Duration { return time.Millisecond },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.aws = server
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing the embedded AWS: %v", err)
		}
		w.nothingPlantedIn("the function's log", w.log.String())
	})
	w.client = client(server, localaws.AccessKey, localaws.SecretKey, "")
	w.config = rotator.Config{
		Drivers: map[string]dbdrivers.Driver{"fake": w.driver},
		Log:     slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	if err := server.AddFunction(localaws.Function{Name: function, Timeout: 30 * time.Second, Handler: w.invoke}); err != nil {
		t.Fatal(err)
	}
	w.db.CreateAccount("app", firstPassword)
	w.db.SetAdmin("admin", adminPassword)
	return w
}

func client(server *localaws.Server, accessKey, secretKey, session string) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region: region, BaseEndpoint: aws.String(server.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, session),
		// The SDK's own pauses between attempts only make the tests slow.
		Retryer: aws.NopRetryer{},
	})
}

// rotator makes a rotator as a fresh sandbox would.
func (w *world) rotator() *rotator.Rotator {
	w.t.Helper()
	config := w.config
	if config.Secrets == nil {
		config.Secrets = awsstore.New(client(w.aws, localaws.AccessKey, localaws.SecretKey, ""))
	}
	r, err := rotator.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// invoke is the function: what Secrets Manager's event does to a new rotator.
func (w *world) invoke(ctx context.Context, raw []byte) error {
	var event rotator.Event
	if err := json.Unmarshal(raw, &event); err != nil {
		return err
	}
	config := w.config
	accessKey, secretKey, session := w.aws.FunctionCredentials(function)
	config.Secrets = awsstore.New(client(w.aws, accessKey, secretKey, session))
	r, err := rotator.New(config)
	if err != nil {
		return err
	}
	_, err = r.Handle(ctx, event)
	return err
}

// secret stores the application's secret, with edits to the usual document.
func (w *world) secret(edits ...func(map[string]any)) {
	w.t.Helper()
	document := map[string]any{"engine": "fake", "host": host, "username": "app", "password": firstPassword, "port": 5999}
	for _, edit := range edits {
		edit(document)
	}
	w.arn = w.store("app", encode(w.t, document))
}

func set(key string, value any) func(map[string]any) {
	return func(document map[string]any) { document[key] = value }
}

func drop(key string) func(map[string]any) {
	return func(document map[string]any) { delete(document, key) }
}

func encode(t *testing.T, document map[string]any) string {
	t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (w *world) store(name, text string) string {
	w.t.Helper()
	out, err := w.client.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &text})
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.ARN
}

// adminSecret stores the admin's secret and makes the application's name it.
func (w *world) adminSecret(edits ...func(map[string]any)) func(map[string]any) {
	w.t.Helper()
	document := map[string]any{"engine": "fake", "host": host, "username": "admin", "password": adminPassword, "port": "5999"}
	for _, edit := range edits {
		edit(document)
	}
	arn := w.store("admin", encode(w.t, document))
	return func(document map[string]any) {
		document["masterarn"] = arn
		if _, ok := document["dbrotation"]; !ok {
			document["dbrotation"] = map[string]any{"strategy": "single"}
		}
	}
}

// rotate rotates through Secrets Manager, retries included, and returns how
// it ended.
func (w *world) rotate() error {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := w.client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &w.arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, function)),
	}); err != nil {
		w.t.Fatal(err)
	}
	err := w.aws.WaitForRotation(ctx, region, w.arn)
	if ctx.Err() != nil {
		w.t.Fatal(ctx.Err())
	}
	return err
}

// enable turns rotation on without changing anything, so that single steps
// can be delivered by hand.
func (w *world) enable() {
	w.t.Helper()
	if err := w.rotate(); err != nil {
		w.t.Fatal(err)
	}
}

// pend stores a version under AWSPENDING, as createSecret would, and returns
// its id.
func (w *world) pend(text string) (token string) {
	w.t.Helper()
	token = uuid.NewString()
	if _, err := w.client.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{
		SecretId: &w.arn, ClientRequestToken: &token, SecretString: &text, VersionStages: []string{"AWSPENDING"},
	}); err != nil {
		w.t.Fatal(err)
	}
	return token
}

// deliver runs one step by a rotator made for it.
func (w *world) deliver(step rotator.Step, token string) error {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := w.rotator().Handle(ctx, rotator.Event{Step: step, SecretID: w.arn, ClientRequestToken: token})
	if err != nil {
		w.nothingPlantedIn("an error", err.Error())
	}
	return err
}

// deliverAll delivers steps at the same time, and hands each one's error to
// check: some wait for what is not there to appear.
func (w *world) deliverAll(steps []rotator.Step, token string, check func(error)) {
	w.t.Helper()
	errs := make([]error, len(steps))
	var group sync.WaitGroup
	for i, step := range steps {
		group.Go(func() { errs[i] = w.deliver(step, token) })
	}
	group.Wait()
	for _, err := range errs {
		check(err)
	}
}

// putCurrent stores another document under AWSCURRENT, as an operator would.
func (w *world) putCurrent(document map[string]any) {
	w.t.Helper()
	text := encode(w.t, document)
	if _, err := w.client.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{SecretId: &w.arn, SecretString: &text}); err != nil {
		w.t.Fatal(err)
	}
}

// move moves a label to a version.
func (w *world) move(label, to string) {
	w.t.Helper()
	out, err := w.client.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &w.arn})
	if err != nil {
		w.t.Fatal(err)
	}
	input := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &w.arn, VersionStage: &label, MoveToVersionId: &to}
	for id, labels := range out.VersionIdsToStages {
		if slices.Contains(labels, label) {
			input.RemoveFromVersionId = &id
		}
	}
	if _, err := w.client.UpdateSecretVersionStage(context.Background(), input); err != nil {
		w.t.Fatal(err)
	}
}

// document returns the document under a label, or nil.
func (w *world) document(label string) map[string]any {
	w.t.Helper()
	text := w.text(label)
	var document map[string]any
	if json.Unmarshal([]byte(text), &document) != nil {
		return nil // there is none, or a story made it no JSON
	}
	return document
}

func (w *world) text(label string) string {
	w.t.Helper()
	out, err := w.client.GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: &w.arn, VersionStage: &label})
	if err != nil {
		return ""
	}
	return aws.ToString(out.SecretString)
}

func (w *world) password(label string) string {
	password, _ := w.document(label)["password"].(string)
	return password
}

// labels returns the labels of a version, sorted.
func (w *world) labels(token string) string {
	w.t.Helper()
	out, err := w.client.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &w.arn})
	if err != nil {
		w.t.Fatal(err)
	}
	labels := slices.Clone(out.VersionIdsToStages[token])
	slices.Sort(labels)
	return strings.Join(labels, " ")
}

// opens fails the test unless the document under label opens the database.
func (w *world) opens(label string) {
	w.t.Helper()
	if !w.db.Opens("app", w.password(label)) {
		w.t.Errorf("%s does not open the database", label)
	}
}

// unchanged fails the test if the secret or the database is not as it began.
func (w *world) unchanged() {
	w.t.Helper()
	if got := w.password("AWSCURRENT"); got != firstPassword {
		w.t.Errorf("AWSCURRENT holds another password than before")
	}
	if !w.db.Opens("app", firstPassword) {
		w.t.Errorf("the first password does not open the database any more")
	}
}

// unchangedAccounts fails the test if any account's password is not as it began.
func (w *world) unchangedAccounts() {
	w.t.Helper()
	for user, password := range map[string]string{"app": firstPassword, "admin": adminPassword, "other": strangePassword} {
		if !w.db.Opens(user, password) {
			w.t.Errorf("the password of %q changed", user)
		}
	}
}

// elsewhere adds a server under another name, with accounts of the same names
// and passwords.
func (w *world) elsewhere(host string) *drivertest.FakeServer {
	server := drivertest.NewFakeServer(host)
	server.CreateAccount("app", firstPassword)
	server.SetAdmin("admin", adminPassword)
	w.driver = drivertest.NewFake(w.db, server)
	w.config.Drivers = map[string]dbdrivers.Driver{"fake": w.driver}
	return server
}

func (w *world) nothingPlantedIn(what, text string) {
	w.t.Helper()
	for _, secret := range []string{"planted-", "RotationToken\":\"", w.password("AWSCURRENT"), w.password("AWSPREVIOUS"), w.password("AWSPENDING")} {
		if secret != "" && strings.Contains(text, secret) {
			w.t.Errorf("%s shows a secret: %s", what, text)
		}
	}
}

// calls counts what the function asked of Secrets Manager, by step.
func (w *world) calls() map[string]int {
	counts := map[string]int{}
	for _, call := range w.aws.Calls() {
		if call.Function != "" {
			counts[call.Step]++
		}
	}
	return counts
}

// wantClass fails the test unless err is a StepError of the class whose text
// has every part.
func wantClass(t *testing.T, err error, class rotator.Class, parts ...string) {
	t.Helper()
	var step *rotator.StepError
	if !errors.As(err, &step) {
		t.Fatalf("error %v, want a StepError of class %s", err, class)
	}
	if step.Class != class {
		t.Errorf("class %s, want %s: %v", step.Class, class, err)
	}
	for _, part := range append(parts, step.SecretARN, string(step.Step)) {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not say %q: %v", part, err)
		}
	}
}

// rotationCause returns what stopped a rotation.
func rotationCause(t *testing.T, err error) string {
	t.Helper()
	var failed *localaws.RotationError
	if !errors.As(err, &failed) {
		t.Fatalf("error %v, want a failed rotation", err)
	}
	return fmt.Sprint(failed.Cause)
}
