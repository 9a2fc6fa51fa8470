package main

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

func TestARotationIsProven(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		server  func(t *testing.T) *dbservers.Server
		secret  func(w *world) map[string]any
		args    []string
		last    string
		says    []string
		former  bool // the former credential opens afterwards
		turns   int
		changes bool // another account
	}{
		{
			name: "one account, by itself", server: postgres, secret: (*world).document, turns: 2, last: "proven: postgres single",
			says: []string{"AWSCURRENT signs in", "fail from then on", "ok   the new credential signs in from here", "ok   the former credential is refused", "ok   it differs in the credential alone"},
		},
		{
			name: "two accounts take turns", server: postgres, secret: func(w *world) map[string]any { return w.withAdmin(w.document()) },
			turns: 2, changes: true, former: true, last: "proven: postgres alternating",
			says: []string{"applications are handed that account", "ok   the new credential signs in from here", "ok   the former credential still signs in"},
		},
		{
			name: "without a sign-in from here", server: postgres, secret: (*world).document, turns: 1, args: []string{"-from-here=false"}, last: "proven: postgres single",
			says: []string{"from here          not asked", "none from here; testSecret signed in"},
		},
		{
			name: "one account with two passwords", turns: 2, former: true, last: "proven: mysql dual-password",
			server: started(func() (*dbservers.Server, error) { return servers.MySQL(dbservers.MySQLOptions{}) }),
			secret: func(w *world) map[string]any {
				document := w.document()
				document["dbrotation"] = map[string]any{"strategy": "dual-password"}
				username, _ := document["username"].(string)
				if err := w.server.Exec(w.t.Context(), "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO "+username); err != nil {
					w.t.Fatal(err)
				}
				return document
			},
			says: []string{"opens beside it until the next rotation", "ok   the former credential still signs in"},
		},
		{
			name: "two accounts of Redshift's stand-in", turns: 2, changes: true, former: true, last: "proven: redshift alternating",
			server: started(func() (*dbservers.Server, error) { return servers.Redshift(dbservers.RedshiftOptions{}) }),
			secret: func(w *world) map[string]any { return w.withAdmin(w.document()) },
			says:   []string{"ok   the new credential signs in from here", "ok   the former credential still signs in"},
		},
		{
			name: "two users of DocumentDB's stand-in", turns: 2, changes: true, former: true, last: "proven: documentdb alternating",
			server: started(func() (*dbservers.Server, error) { return servers.DocumentDB(dbservers.DocumentDBOptions{}) }),
			secret: func(w *world) map[string]any { return w.withAdmin(w.document()) },
			says:   []string{"ok   the new credential signs in from here", "ok   the former credential still signs in"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, row.server(t))
			arn := w.secret(row.secret(w), function)
			for turn := range row.turns {
				username, password := w.credential(arn, labelCurrent)
				status, out, errs := w.prove(arn, append(row.args, "-yes")...)
				if status != 0 || errs != "" || !strings.HasSuffix(out, "\n"+row.last+"\n") {
					t.Fatalf("turn %d: status %d:\n%s%s\n%s", turn, status, out, errs, w.aws.FunctionLog(function))
				}
				for _, part := range append(row.says, arn, "version "+w.version(arn, labelCurrent), "version "+w.version(arn, labelPrevious), "replicas           none") {
					if !strings.Contains(out, part) {
						t.Errorf("turn %d: it does not say %q:\n%s", turn, part, out)
					}
				}
				next, newPassword := w.credential(arn, labelCurrent)
				if newPassword == password || (next != username) != row.changes || !w.opens(next, newPassword) {
					t.Errorf("turn %d: it was no rotation from %q to %q", turn, username, next)
				}
				if w.opens(username, password) != row.former {
					t.Errorf("turn %d: the former credential opens: %t, want %t", turn, !row.former, row.former)
				}
			}
		})
	}
}

func (w *world) version(arn, label string) string {
	for id, labels := range w.labels(arn) {
		if slices.Contains(labels, label) {
			return id
		}
	}
	return ""
}

// TestADatabaseThatIsNotReachedFromHere: the function alone reaches it.
func TestADatabaseThatIsNotReachedFromHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, postgres(t))
	arn := w.secret(w.document(), function)
	w.door.shut.Store(true)
	w.aws.OnInvocation(func(invocation localaws.Invocation) {
		switch invocation.Step {
		case "createSecret":
			w.door.shut.Store(false)
		case "testSecret":
			w.door.shut.Store(true)
		}
	})
	status, out, errs := w.prove(arn, "-yes")
	if status != 0 || !strings.Contains(out, "from here          not reachable") || !strings.Contains(out, notReachable) || !strings.HasSuffix(out, "\nproven: postgres single\n") {
		t.Errorf("status %d:\n%s%s\n%s", status, out, errs, w.aws.FunctionLog(function))
	}
	if strings.Contains(out, "signs in from here") || strings.Contains(out, "refused") {
		t.Errorf("it tells of sign-ins that nobody made:\n%s", out)
	}
}

// TestWhatIsAskedForAndIsNotSoChangesNothing: each is refused before anything is
// rotated.
func TestWhatIsAskedForAndIsNotSoChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, postgres(t))
	denied := func(operation string) func() {
		return func() { w.aws.Inject(localaws.Fault{Operation: operation, Code: "AccessDeniedException"}) }
	}
	good := w.secret(w.document(), function)
	unconfigured := w.store(w.document())
	off := w.secret(w.document(), function)
	if _, err := w.client.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &off}); err != nil {
		t.Fatal(err)
	}
	wrong := w.document()
	wrong["password"] = "planted-and-wrong"
	w.plant("planted-and-wrong")
	unopened := w.store(wrong)
	w.enable(unopened)
	stuck := w.secret(w.document(), function)
	text, err := json.Marshal(w.document())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &stuck, SecretString: aws.String(string(text)), VersionStages: []string{labelPending}}); err != nil {
		t.Fatal(err)
	}
	notJSON := w.store("planted-words")
	w.plant("planted-words")
	w.enable(notJSON)
	gone := w.secret(w.document(), function)
	if _, err := w.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &gone, RecoveryWindowInDays: aws.Int64(7)}); err != nil {
		t.Fatal(err)
	}
	// One after the other: a fault is anybody's.
	for _, row := range []struct {
		name        string
		secret      string
		edit        func()
		environment []string
		args        []string
		says        []string
	}{
		{name: "another engine", secret: good, args: []string{"-engine", "mysql"}, says: []string{`of the engine "postgres"`, `ENGINE is "mysql"`}},
		{name: "an engine that there is not", secret: good, args: []string{"-engine", "oracle"}, says: []string{`no engine "oracle"`, "postgres"}},
		{name: "no secret", args: []string{"-secret", ""}, says: []string{"SECRET_ID is missing"}},
		{name: "a strategy that there is not", secret: good, args: []string{"-strategy", "twice"}, says: []string{`"twice" is not a strategy`}},
		{name: "a word too many", secret: good, args: []string{"app"}, says: []string{`"app" is a word too many`}},
		{name: "no time", secret: good, args: []string{"-timeout", "0s"}, says: []string{"-timeout"}},
		{name: "roots that are not there", secret: good, args: []string{"-roots", "/nonexistent.pem"}, says: []string{"-roots cannot be used"}},
		{name: "no such secret", secret: "nobody", says: []string{`no secret "nobody"`, "AWS_PROFILE"}},
		{name: "a secret in another Region", secret: strings.Replace(good, region, "us-east-2", 1), says: []string{"no secret"}},
		{name: "no Region", secret: "app", environment: []string{"AWS_REGION="}, says: []string{"no Region is configured", "AWS_REGION"}},
		{name: "no rotation configured", secret: unconfigured, says: []string{"no rotation is configured", "Switching rotation on"}},
		{name: "rotation switched off", secret: off, says: []string{"rotation is switched off"}},
		{name: "a secret that is being deleted", secret: gone, says: []string{"marked for deletion", "RestoreSecret"}},
		{name: "a rotation that did not end", secret: stuck, says: []string{"AWSPENDING is on version", "When a rotation fails"}},
		{name: "a secret that is no document", secret: notJSON, says: []string{"not a JSON object"}},
		{name: "a password that does not open", secret: unopened, says: []string{"AWSCURRENT does not open the database", "Nothing opens"}},
		{name: "an authority that is not known", secret: good, args: []string{"-roots", ""}, says: []string{"-roots"}},
		{name: "nobody to ask", secret: good, args: []string{"-yes=false"}, says: []string{"say -yes"}},
		{name: "it may not describe", secret: good, edit: denied("DescribeSecret"), says: []string{"access denied to secretsmanager:DescribeSecret"}},
		{name: "it may not read", secret: good, edit: denied("GetSecretValue"), says: []string{"access denied to secretsmanager:GetSecretValue", "kms:Decrypt"}},
		{name: "it may not rotate", secret: good, edit: denied("RotateSecret"), says: []string{"access denied to secretsmanager:RotateSecret", "lambda:InvokeFunction", "No rotation was begun"}},
		{name: "AWS is not reached", secret: good, environment: []string{"AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:1"}, says: []string{"secretsmanager:DescribeSecret", "Nothing was changed"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var before map[string][]string
			if exists := strings.HasPrefix(row.secret, "arn:") && strings.Contains(row.secret, region); exists {
				before = w.labels(row.secret)
			}
			if row.edit != nil {
				row.edit()
			}
			args := append([]string{"-engine", "postgres", "-secret", row.secret, "-roots", w.roots, "-yes"}, row.args...)
			status, out, errs := w.begin(row.environment, args...).ends()
			w.aws.ClearFaults()
			if status != 1 || strings.Contains(out, "proven") {
				t.Errorf("status %d:\n%s%s", status, out, errs)
			}
			for _, part := range row.says {
				if !strings.Contains(errs, part) {
					t.Errorf("it does not say %q:\n%s%s", part, out, errs)
				}
			}
			if before != nil {
				if diff := cmp.Diff(before, w.labels(row.secret)); diff != "" {
					t.Errorf("the secret changed:\n%s", diff)
				}
			}
		})
	}
}

// enable switches rotation on by a function that does nothing.
func (w *world) enable(arn string) {
	w.t.Helper()
	if _, err := w.client.RotateSecret(w.t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, w.idle())), RotateImmediately: aws.Bool(false),
	}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.aws.WaitForRotation(w.t.Context(), region, arn); err != nil {
		w.t.Fatal(err)
	}
}

// idle is a function that does nothing.
func (w *world) idle() string {
	const name = "idle"
	_ = w.aws.AddFunction(localaws.Function{Name: name, Handler: func(context.Context, []byte) error { return nil }}) // there already, the second time
	return name
}

// TestARotationThatFailsIsToldWithItsLabels: the database is gone.
func TestARotationThatFailsIsToldWithItsLabels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, postgres(t))
	arn := w.secret(w.document(), function)
	w.door.shut.Store(true)
	current := w.version(arn, labelCurrent)
	status, out, errs := w.prove(arn, "-yes", "-timeout", "6s")
	if status != 1 || strings.Contains(out, "proven") {
		t.Errorf("status %d:\n%s%s", status, out, errs)
	}
	for _, part := range []string{"has not ended in 6s", "AWSCURRENT on version " + current, "AWSPENDING on version " + w.version(arn, labelPending), "/aws/lambda/rotation", "When a rotation fails"} {
		if !strings.Contains(errs, part) {
			t.Errorf("it does not say %q:\n%s%s", part, out, errs)
		}
	}
	if got := w.version(arn, labelCurrent); got != current {
		t.Errorf("AWSCURRENT is on %s, want %s", got, current)
	}
}

// TestARotationThatIsNoneIsFoundOut: the function says that it rotated, and moved
// the labels.
func TestARotationThatIsNoneIsFoundOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, postgres(t))
	asLiar := secretsmanager.New(secretsmanager.Options{
		Region: region, BaseEndpoint: aws.String(w.aws.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(w.aws.FunctionCredentials("liar")),
	})
	w.add(localaws.Function{Name: "liar", Handler: func(ctx context.Context, text []byte) error {
		var event struct{ Step, SecretId, ClientRequestToken string }
		if err := json.Unmarshal(text, &event); err != nil {
			return err
		}
		switch event.Step {
		case "createSecret":
			old, err := asLiar.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &event.SecretId})
			if err != nil {
				return err
			}
			w.plant("planted-but-never-set")
			document := map[string]any{}
			if err := json.Unmarshal([]byte(*old.SecretString), &document); err != nil {
				return err
			}
			document["password"], document["note"] = "planted-but-never-set", "new"
			changed, err := json.Marshal(document)
			if err != nil {
				return err
			}
			_, err = asLiar.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
				SecretId: &event.SecretId, ClientRequestToken: &event.ClientRequestToken, SecretString: aws.String(string(changed)), VersionStages: []string{labelPending},
			})
			return err
		case "finishSecret":
			described, err := asLiar.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &event.SecretId})
			if err != nil {
				return err
			}
			was := description{described}.version(labelCurrent)
			_, err = asLiar.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &event.SecretId, VersionStage: aws.String(labelCurrent), MoveToVersionId: &event.ClientRequestToken, RemoveFromVersionId: &was,
			})
			return err
		}
		return nil
	}})
	for _, row := range []struct {
		name string
		args []string
		says []string
	}{
		{"one account", nil, []string{"NO   the new credential does not sign in from here", "NO   the former credential is not refused, as single promises", `NO   it differs in more than the credential: note`}},
		{"two accounts", []string{"-strategy", "alternating"}, []string{`NO   it holds the account`, `_clone"; where the function's STRATEGY overrides the secret, say -strategy`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			arn := w.secret(w.document(), "liar")
			status, out, errs := w.prove(arn, append(row.args, "-yes")...)
			if status != 1 || strings.Contains(out, "proven") || !strings.Contains(errs, "/aws/lambda/liar") {
				t.Errorf("status %d:\n%s%s", status, out, errs)
			}
			for _, part := range row.says {
				if !strings.Contains(out, part) {
					t.Errorf("it does not say %q:\n%s%s", part, out, errs)
				}
			}
		})
	}
}

// TestTheOwnerInterrupts: the rotation is Secrets Manager's, and goes on.
func TestTheOwnerInterrupts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, postgres(t))
	arn := w.secret(w.document(), function)
	was := w.version(arn, labelCurrent)
	w.aws.Inject(localaws.Fault{Kind: localaws.Delay, Operation: "PutSecretValue", Function: function, Delay: 4 * time.Second})
	p := w.begin(nil, "-engine", "postgres", "-secret", arn, "-roots", w.roots, "-yes")
	p.until("new version")
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	status, out, errs := p.ends(arn)
	if status != 1 || !strings.Contains(errs, "interrupted; the rotation goes on") || strings.Contains(out, "proven") {
		t.Errorf("status %d:\n%s%s", status, out, errs)
	}
	if err := w.aws.WaitForRotation(t.Context(), region, arn); err != nil {
		t.Fatal(err)
	}
	username, password := w.credential(arn, labelCurrent)
	if w.version(arn, labelCurrent) == was || !w.opens(username, password) {
		t.Error("the rotation did not go on to its end")
	}
}
