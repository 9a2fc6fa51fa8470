package rotator_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/localaws"
	"github.com/dbrotation/dbrotation/rotator"
)

func TestARotationChangesSecretAndDatabase(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		byAdmin bool
		calls   map[string]int
		signIns int
	}{
		{"by itself", false, map[string]int{"createSecret": 3, "setSecret": 2, "testSecret": 1, "finishSecret": 2}, 2},
		{"by an admin", true, map[string]int{"createSecret": 3, "setSecret": 3, "testSecret": 1, "finishSecret": 2}, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if row.byAdmin {
				w.secret(w.adminSecret())
			} else {
				w.secret()
			}
			if err := w.rotate(); err != nil {
				t.Fatal(err)
			}
			w.opens("AWSCURRENT")
			if w.db.Opens("app", firstPassword) {
				t.Error("the old password still opens the database")
			}
			if got := w.password("AWSPREVIOUS"); got != firstPassword {
				t.Error("AWSPREVIOUS does not hold the old password")
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

func TestTenRotationsInARow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	seen := map[string]bool{}
	for range 10 {
		if err := w.rotate(); err != nil {
			t.Fatal(err)
		}
		w.opens("AWSCURRENT")
		if seen[w.password("AWSCURRENT")] {
			t.Fatal("a password was used twice")
		}
		seen[w.password("AWSCURRENT")] = true
	}
	if ok, refused := w.db.SignIns(); ok != 20 || refused != 0 {
		t.Errorf("%d sign-ins and %d refused, want 20 and none", ok, refused)
	}
}

func TestWhatTheSecretHoldsBesidesSurvives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := "{\n  \"team\" : \"billing\\u002fops\", \"ratio\": 1.50, \"password\":\"" + firstPassword + "\",\"engine\":\"fake\"," +
		"\"host\":\"" + host + "\",\"username\":\"app\",\"port\":\"5999\",\"big\":123456789012345678901234567890,\"nested\":{\"b\":[1,null,{\"password\":\"no\"}]} }\n"
	w.arn = w.store("app", before)
	if err := w.rotate(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Replace(w.text("AWSCURRENT"), w.password("AWSCURRENT"), firstPassword, 1); got != before {
		t.Errorf("got  %s\nwant %s", got, before)
	}
}

func TestEveryStepMayBeDeliveredTwiceAndTwiceAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	if err := w.aws.AddFunction(localaws.Function{Name: "twice", Handler: func(ctx context.Context, event []byte) error {
		var group sync.WaitGroup
		errs := make([]error, 3)
		for i := range errs {
			group.Go(func() { errs[i] = w.invoke(ctx, event) })
		}
		group.Wait()
		for _, err := range append(errs, w.invoke(ctx, event)) {
			if err != nil {
				return err
			}
		}
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := w.client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
			SecretId: &w.arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, "twice")),
		}); err != nil {
			t.Fatal(err)
		}
		if err := w.aws.WaitForRotation(t.Context(), region, w.arn); err != nil {
			t.Fatal(err)
		}
		w.opens("AWSCURRENT")
	}
}

func TestALateDeliveryChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	w.enable()
	token := current(t, w)
	before := w.text("AWSCURRENT")
	ok, _ := w.db.SignIns()
	for _, step := range []rotator.Step{rotator.CreateSecret, rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret} {
		if err := w.deliver(step, token); err != nil {
			t.Errorf("%s on the version that is current already: %v", step, err)
		}
	}
	if w.text("AWSCURRENT") != before {
		t.Error("the secret changed")
	}
	if after, _ := w.db.SignIns(); after != ok {
		t.Error("the database was asked")
	}
}

// slowLabels is a store whose labels show only at the third look.
type slowLabels struct {
	putSpy
	looks int
}

func (s *slowLabels) Describe(ctx context.Context, secretID string) (rotator.Description, error) {
	s.looks++
	if s.looks < 3 {
		return rotator.Description{RotationEnabled: true}, nil
	}
	return s.putSpy.Describe(ctx, secretID)
}

func TestLabelsThatLagAreLookedForAgain(t *testing.T) {
	t.Parallel()
	for _, step := range []rotator.Step{rotator.CreateSecret, rotator.FinishSecret} {
		w := newWorld(t)
		w.secret()
		store := &slowLabels{putSpy: putSpy{version: "token", value: w.text("AWSCURRENT")}}
		w.config.Secrets = store
		if err := w.deliver(step, "token"); err != nil || store.looks != 3 {
			t.Errorf("%s looked %d times and ended with %v", step, store.looks, err)
		}
	}
}

func TestCreateFindsAVersionThatItDidNotMake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	w.enable()
	document := w.document("AWSCURRENT")
	document["password"], document["ssl"] = pendingPassword, false
	token := w.pend(encode(t, document))
	wantClass(t, w.deliver(rotator.CreateSecret, token), rotator.ClassMismatch, `"ssl"`)
	w.opens("AWSCURRENT")
}

func TestADeliveryOfTheRotationBeforeChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	w.enable()
	token := current(t, w)
	if err := w.rotate(); err != nil {
		t.Fatal(err)
	}
	before := w.text("AWSCURRENT")
	signIns, _ := w.db.SignIns()
	steps := []rotator.Step{rotator.CreateSecret, rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret}
	w.deliverAll(steps, token, func(err error) { wantClass(t, err, rotator.ClassLabel, token) })
	if w.text("AWSCURRENT") != before || w.labels(token) != "AWSPREVIOUS" {
		t.Error("the secret changed")
	}
	if ok, refused := w.db.SignIns(); ok != signIns || refused != 0 {
		t.Error("the database was asked")
	}
}

// current returns the id of the version under AWSCURRENT.
func current(t *testing.T, w *world) string {
	t.Helper()
	out, err := w.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &w.arn})
	if err != nil {
		t.Fatal(err)
	}
	return *out.VersionId
}

func TestTestAloneOnACopyOfCurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	if _, err := w.client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &w.arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, function)), RotateImmediately: aws.Bool(false),
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.aws.WaitForRotation(t.Context(), region, w.arn); err != nil {
		t.Fatal(err)
	}
	w.unchanged()
	if diff := cmp.Diff(map[string]int{"testSecret": 1}, w.calls()); diff != "" {
		t.Error(diff)
	}
	if ok, refused := w.db.SignIns(); ok != 1 || refused != 0 {
		t.Errorf("%d sign-ins and %d refused, want 1 and none", ok, refused)
	}
}

func TestLabelsDecideWhatAStepMayDo(t *testing.T) {
	t.Parallel()
	steps := []rotator.Step{rotator.CreateSecret, rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret}

	t.Run("AWSPENDING was taken off the version", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.secret()
		w.enable()
		before := w.text("AWSCURRENT")
		token := w.pend(strings.Replace(before, w.password("AWSCURRENT"), "planted-Other-1", 1))
		if _, err := w.client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &w.arn, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &token,
		}); err != nil {
			t.Fatal(err)
		}
		w.deliverAll(steps, token, func(err error) { wantClass(t, err, rotator.ClassLabel, token) })
		if w.text("AWSCURRENT") != before {
			t.Error("the secret changed")
		}
		w.opens("AWSCURRENT")
	})

	t.Run("the token is of no version", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.secret()
		w.enable()
		w.deliverAll(steps, uuid.NewString(), func(err error) { wantClass(t, err, rotator.ClassLabel) })
		w.opens("AWSCURRENT")
	})

	t.Run("rotation was cancelled", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.secret()
		w.enable()
		token := w.pend(strings.Replace(w.text("AWSCURRENT"), w.password("AWSCURRENT"), "planted-Other-1", 1))
		if _, err := w.client.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &w.arn}); err != nil {
			t.Fatal(err)
		}
		wantClass(t, w.deliver(rotator.CreateSecret, token), rotator.ClassLabel, "rotation is not enabled")
	})

	t.Run("the event is no rotation's", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		_, err := w.rotator().Handle(t.Context(), rotator.Event{Step: "create_secret"})
		if err == nil {
			t.Fatal("no error")
		}
		for _, part := range []string{`"create_secret"`, "SecretId is missing", "ClientRequestToken is missing"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error does not say %q: %v", part, err)
			}
		}
	})

	t.Run("the secret has no value yet", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		out, err := w.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("empty")})
		if err != nil {
			t.Fatal(err)
		}
		w.arn = *out.ARN
		if cause := rotationCause(t, w.rotate()); !strings.Contains(cause, "no value under AWSCURRENT") || !strings.Contains(cause, "PutSecretValue") {
			t.Errorf("cause: %s", cause)
		}
	})
}

func TestSecretsManagerFails(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault localaws.Fault
	}{
		{"the labels are old when create looks", localaws.Fault{Kind: localaws.StaleRead, Operation: "DescribeSecret"}},
		{"a value just put is not readable yet", localaws.Fault{Kind: localaws.StaleRead, Operation: "GetSecretValue", Skip: 1, Times: 3}},
		{"the labels are old when finish looks", localaws.Fault{Kind: localaws.StaleRead, Operation: "DescribeSecret", Skip: 1, Times: 1}},
		{"the answer to the put is lost", localaws.Fault{Kind: localaws.FailAfter, Operation: "PutSecretValue"}},
		{"the answer to the label's move is lost", localaws.Fault{Kind: localaws.FailAfter, Operation: "UpdateSecretVersionStage"}},
		{"the label's move fails once", localaws.Fault{Kind: localaws.FailBefore, Operation: "UpdateSecretVersionStage"}},
		{"describe fails once", localaws.Fault{Kind: localaws.FailBefore, Operation: "DescribeSecret"}},
		{"throttled while reading", localaws.Fault{Kind: localaws.FailBefore, Operation: "GetSecretValue", Code: "ThrottlingException"}},
		{"the second read of setSecret fails", localaws.Fault{Kind: localaws.FailBefore, Operation: "GetSecretValue", Skip: 2}},
		{"answers are slow", localaws.Fault{Kind: localaws.Delay, Delay: 30 * time.Millisecond, Times: -1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.secret()
			row.fault.Function = function
			injected := w.aws.Inject(row.fault)
			if err := w.rotate(); err != nil {
				t.Fatal(err)
			}
			if injected.Fired() == 0 {
				t.Error("the fault was never met")
			}
			if row.fault.Kind == localaws.StaleRead && row.fault.Operation == "GetSecretValue" && len(w.aws.Invocations()) != 4 {
				t.Errorf("%d invocations, want 4: what lags was not read again", len(w.aws.Invocations()))
			}
			w.opens("AWSCURRENT")
			if w.db.Opens("app", firstPassword) {
				t.Error("the old password still opens the database")
			}
		})
	}
}

func TestTheMoveWasDoneButEveryAnswerWasAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	w.enable()
	token := w.pend(w.text("AWSCURRENT"))
	injected := w.aws.Inject(localaws.Fault{Kind: localaws.FailAfter, Operation: "UpdateSecretVersionStage", Times: -1})
	if err := w.deliver(rotator.FinishSecret, token); err != nil {
		t.Fatal(err)
	}
	if injected.Fired() == 0 || w.password("AWSCURRENT") == "" || !strings.Contains(w.labels(token), "AWSCURRENT") {
		t.Errorf("fired %d, labels %s", injected.Fired(), w.labels(token))
	}
}

func TestAMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	for operation, step := range map[string]rotator.Step{
		"DescribeSecret": rotator.CreateSecret, "GetSecretValue": rotator.SetSecret, "UpdateSecretVersionStage": rotator.FinishSecret,
	} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.secret()
			w.enable()
			token := w.pend(strings.Replace(w.text("AWSCURRENT"), w.password("AWSCURRENT"), "planted-Other-1", 1))
			w.aws.Inject(localaws.Fault{Kind: localaws.FailBefore, Operation: operation, Code: "AccessDeniedException", Times: -1})
			err := w.deliver(step, token)
			w.aws.ClearFaults()
			wantClass(t, err, rotator.ClassSecretsManager, "secretsmanager:"+operation, "role")
		})
	}
}

func TestSecretsManagerIsOutOfReach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	w.enable()
	token := current(t, w)
	r := w.rotator()
	if err := w.aws.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := r.Handle(t.Context(), rotator.Event{Step: rotator.SetSecret, SecretID: w.arn, ClientRequestToken: token})
	wantClass(t, err, rotator.ClassSecretsManager, "interface endpoint", "443")
}

func TestTheRotationTokenIsPassedOn(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", "planted-rotation-token-0123456789-0123456789"} {
		w := newWorld(t)
		w.secret()
		spy := &putSpy{}
		w.config.Secrets = spy
		spy.version = uuid.NewString()
		spy.value = `{"engine":"fake","host":"` + host + `","username":"app","password":"` + firstPassword + `"}`
		_, err := w.rotator().Handle(t.Context(), rotator.Event{
			Step: rotator.CreateSecret, SecretID: w.arn, ClientRequestToken: spy.version, RotationToken: rotator.NewRotationToken(token),
		})
		if err != nil {
			t.Fatal(err)
		}
		if spy.put.RotationToken.Reveal() != token || spy.put.VersionID != spy.version {
			t.Errorf("put with another token")
		}
	}
}

// putSpy keeps what is put.
type putSpy struct {
	version, value string
	put            rotator.PutRequest
}

func (s *putSpy) Describe(context.Context, string) (rotator.Description, error) {
	return rotator.Description{RotationEnabled: true, Labels: map[string][]string{s.version: {"AWSPENDING"}}}, nil
}
func (s *putSpy) Get(context.Context, string, rotator.VersionRef) (rotator.Version, error) {
	return rotator.Version{Value: rotator.NewValue(s.value), Labels: []string{"AWSCURRENT"}}, nil
}
func (s *putSpy) Put(_ context.Context, req rotator.PutRequest) error { s.put = req; return nil }
func (s *putSpy) MoveLabel(context.Context, rotator.MoveLabelRequest) error {
	return nil
}

func TestASecretThatAnotherServiceManagesIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	w.config.Secrets = &managedStore{}
	err := w.deliver(rotator.CreateSecret, "token")
	wantClass(t, err, rotator.ClassForbidden, `"rds"`)
}

// managedStore describes a secret that RDS manages.
type managedStore struct{ putSpy }

func (*managedStore) Describe(context.Context, string) (rotator.Description, error) {
	return rotator.Description{RotationEnabled: true, OwningService: "rds", Labels: map[string][]string{"token": {"AWSPENDING"}}}, nil
}

func TestTooLittleTimeIsLeftForTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	w.enable()
	before := w.password("AWSCURRENT")
	token := w.pend(strings.Replace(w.text("AWSCURRENT"), before, "planted-Other-1", 1))
	signIns, _ := w.db.SignIns()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := w.rotator().Handle(ctx, rotator.Event{Step: rotator.SetSecret, SecretID: w.arn, ClientRequestToken: token})
	wantClass(t, err, rotator.ClassDeadline, "time-out")
	if after, _ := w.db.SignIns(); after != signIns {
		t.Error("a sign-in was begun that could not end in time")
	}
	w.opens("AWSCURRENT")
}

func TestADatabaseThatDoesNotAnswerIsNamedBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret()
	w.config.Drivers = map[string]dbdrivers.Driver{"fake": silent{}}
	token := w.pend(strings.Replace(w.text("AWSCURRENT"), firstPassword, "planted-Other-1", 1))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := w.rotator().Handle(ctx, rotator.Event{Step: rotator.TestSecret, SecretID: w.arn, ClientRequestToken: token})
	if ctx.Err() != nil {
		t.Fatal("the function's deadline passed before the error")
	}
	wantClass(t, err, rotator.ClassUnreachable, host)
}

// silent is a driver whose server never answers.
type silent struct{}

func (silent) Traits() dbdrivers.Traits { return dbdrivers.Traits{Engine: "fake"} }
func (silent) Verify(ctx context.Context, req dbdrivers.VerifyRequest) error {
	<-ctx.Done()
	return dbdrivers.Classify(dbdrivers.ErrUnreachable, "signing in to "+req.Login.Host, ctx.Err())
}
func (silent) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	<-ctx.Done()
	return dbdrivers.Classify(dbdrivers.ErrUnreachable, "signing in to "+req.As.Host, ctx.Err())
}

func TestAConfigurationIsCheckedAtOnce(t *testing.T) {
	t.Parallel()
	length := 3
	_, err := rotator.New(rotator.Config{Strategy: "both", WaitForReplicas: -1, AdminHosts: []string{"*.example.com"}, Password: rotator.PasswordPolicy{Length: &length},
		Twins:      []rotator.TwinPair{pairOf("a", "b"), pairOf("a", "c"), pairOf("b", "a"), pairOf("c", "c"), pairOf("", "d"), pairOf("e", "")},
		OwnerRoles: []string{""}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"SecretStore", "drivers", `"both" is not a strategy`, "replicas", `"*.example.com" is neither`, "length is 3",
		`"b:a" is listed in both orders`, `"c:c" names one account twice`, `":d" lacks a name`, `"e:" lacks a name`, "an owner role has no name"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not say %q: %v", part, err)
		}
	}
}
