package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

// awsFunction does what AWS's rotation functions for PostgreSQL, MySQL and
// MariaDB do, the one for a single user and the one for alternating users, as
// far as Secrets Manager and the database see it: the same calls, statements and
// documents. It is written after their published behaviour and shares no code
// with them.
//
// https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas
type awsFunction struct {
	stage       *stage
	client      *secretsmanager.Client
	engine      awsEngine
	alternating bool
}

// awsEngine is in what AWS's functions for one engine differ from the others.
type awsEngine interface {
	// serves reports whether they take what a secret names as its engine.
	serves(engine string) bool
	// excluded are the characters that no password has.
	excluded() string
	// changeOwn is setSecret for a single user, in a session of the user's.
	changeOwn(ctx context.Context, own session, pending awsDocument) error
	// changeOther is setSecret for alternating users, in a session of an
	// admin's.
	changeOther(ctx context.Context, admin session, current, pending awsDocument) error
}

// awsEngine is that of the stage's server.
func (s *stage) awsEngine() awsEngine {
	switch s.server.Engine {
	case "mysql":
		return awsMySQL{}
	case "mariadb":
		return awsMariaDB{}
	}
	return awsPostgres{}
}

// stepHandler serves one event of a rotation.
type stepHandler func(ctx context.Context, event []byte) error

type stepEvent struct{ Step, SecretId, ClientRequestToken string } //nolint:revive // the event's own name

// awsFunction returns AWS's function with the role of a function of the stage.
func (s *stage) awsFunction(role string, alternating bool) *awsFunction {
	key, secret, session := s.aws.FunctionCredentials(role)
	return &awsFunction{stage: s, engine: s.awsEngine(), alternating: alternating, client: secretsmanager.New(secretsmanager.Options{
		Region: region, BaseEndpoint: aws.String(s.aws.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, session),
	})}
}

// ours serves an event by the deployed executable.
func (s *stage) ours(ctx context.Context, event []byte) error {
	return s.aws.Invoke(ctx, region, function, event)
}

// addHandler registers a function of this process.
func (s *stage) addHandler(name string, handler stepHandler) {
	s.t.Helper()
	if err := s.aws.AddFunction(localaws.Function{Name: name, Handler: handler}); err != nil {
		s.t.Fatal(err)
	}
}

// addAWSFunction registers AWS's function under a name.
func (s *stage) addAWSFunction(name string, alternating bool) {
	s.t.Helper()
	s.addHandler(name, s.awsFunction(name, alternating).handle)
}

// addRelay registers a function that has each step served by another one.
func (s *stage) addRelay(name string, serve func(step string) stepHandler) {
	s.t.Helper()
	s.addHandler(name, func(ctx context.Context, event []byte) error {
		var e stepEvent
		if err := json.Unmarshal(event, &e); err != nil {
			return err
		}
		return serve(e.Step)(ctx, event)
	})
}

// mustRotateBy rotates by the function of that name, and demands that
// AWSCURRENT opens the database afterwards.
func (s *stage) mustRotateBy(name, arn string) {
	s.t.Helper()
	if err := s.rotateBy(name, arn); err != nil {
		s.t.Fatalf("by %s: %v\n%s", name, err, s.aws.FunctionLog(function))
	}
	if !s.opens(arn, "AWSCURRENT") {
		s.t.Fatalf("after a rotation by %s, AWSCURRENT does not open the database", name)
	}
}

// deliverSteps has a function serve the rotation that is pending, step by step,
// as Secrets Manager does when it tries again.
func (s *stage) deliverSteps(name, arn string) error {
	s.t.Helper()
	token := s.versionOf(arn, "AWSPENDING")
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		event, err := json.Marshal(stepEvent{step, arn, token})
		if err != nil {
			s.t.Fatal(err)
		}
		if err := s.aws.Invoke(s.t.Context(), region, name, event); err != nil {
			return err
		}
	}
	return nil
}

func (f *awsFunction) handle(ctx context.Context, event []byte) error {
	var e stepEvent
	if err := json.Unmarshal(event, &e); err != nil {
		return err
	}
	description, err := f.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &e.SecretId})
	if err != nil {
		return err
	}
	labels, found := description.VersionIdsToStages[e.ClientRequestToken]
	switch {
	case !aws.ToBool(description.RotationEnabled):
		return errors.New("rotation is not enabled")
	case !found:
		return errors.New("the secret has no such version")
	case slices.Contains(labels, "AWSCURRENT"):
		return nil
	case !slices.Contains(labels, "AWSPENDING"):
		return errors.New("the version is not pending")
	}
	switch e.Step {
	case "createSecret":
		return f.create(ctx, e)
	case "setSecret":
		return f.set(ctx, e)
	case "testSecret":
		return f.test(ctx, e)
	case "finishSecret":
		return f.finish(ctx, e)
	}
	return fmt.Errorf("no step %q", e.Step)
}

// awsDocument is what AWS's functions read of a secret.
type awsDocument struct {
	Engine, Host, Username, Password, DBName, MasterARN string

	text string
}

func (f *awsFunction) get(ctx context.Context, id, label, version string) (awsDocument, error) {
	input := &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: &label}
	if version != "" {
		input.VersionId = &version
	}
	out, err := f.client.GetSecretValue(ctx, input)
	if err != nil {
		return awsDocument{}, err
	}
	d := awsDocument{text: aws.ToString(out.SecretString)}
	if err := json.Unmarshal([]byte(d.text), &d); err != nil {
		return d, err
	}
	f.stage.planted.add(d.Password)
	if !f.engine.serves(d.Engine) {
		return d, fmt.Errorf("no engine of this function: %q", d.Engine)
	}
	return d, nil
}

// awsOther is the name of the other account.
func awsOther(username string) string {
	if canonical, found := strings.CutSuffix(username, "_clone"); found {
		return canonical
	}
	return username + "_clone"
}

func (f *awsFunction) next(username string) string {
	if f.alternating {
		return awsOther(username)
	}
	return username
}

func (f *awsFunction) create(ctx context.Context, e stepEvent) error {
	current, err := f.get(ctx, e.SecretId, "AWSCURRENT", "")
	if err != nil {
		return err
	}
	_, err = f.get(ctx, e.SecretId, "AWSPENDING", e.ClientRequestToken)
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		return err
	}
	password, err := f.client.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{ExcludeCharacters: aws.String(f.engine.excluded()), PasswordLength: aws.Int64(32)})
	if err != nil {
		return err
	}
	text, err := pythonDumps(current.text, map[string]string{"username": f.next(current.Username), "password": *password.RandomPassword})
	if err != nil {
		return err
	}
	_, err = f.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken, SecretString: &text, VersionStages: []string{"AWSPENDING"},
	})
	return err
}

func (f *awsFunction) set(ctx context.Context, e stepEvent) error {
	var previous *awsDocument
	if !f.alternating {
		if d, err := f.get(ctx, e.SecretId, "AWSPREVIOUS", ""); err == nil {
			previous = &d
		}
	}
	current, err := f.get(ctx, e.SecretId, "AWSCURRENT", "")
	if err != nil {
		return err
	}
	pending, err := f.get(ctx, e.SecretId, "AWSPENDING", e.ClientRequestToken)
	if err != nil {
		return err
	}
	if conn := f.connect(ctx, pending); conn != nil {
		conn.close()
		return nil
	}
	if pending.Username != f.next(current.Username) || pending.Host != current.Host {
		return errors.New("the pending version is not of the current one's account or host")
	}
	conn := f.connect(ctx, current)
	if conn == nil && previous != nil {
		conn = f.connect(ctx, *previous)
	}
	if conn == nil {
		return errors.New("unable to log into the database with any secret")
	}
	if !f.alternating {
		defer conn.close()
		return f.engine.changeOwn(ctx, conn, pending)
	}
	conn.close()
	master, err := f.get(ctx, current.MasterARN, "AWSCURRENT", "")
	if err != nil {
		return err
	}
	admin := f.connect(ctx, master)
	if admin == nil {
		return errors.New("unable to log into the database with the master secret")
	}
	defer admin.close()
	return f.engine.changeOther(ctx, admin, current, pending)
}

// connect returns nil for whatever reason there is no connection.
func (f *awsFunction) connect(ctx context.Context, d awsDocument) session {
	login := f.stage.server.Login(d.Username, d.Password)
	if d.DBName != "" {
		login.Database = d.DBName
	}
	conn, err := f.stage.enter(ctx, login)
	if err != nil {
		return nil
	}
	return conn
}

func (f *awsFunction) test(ctx context.Context, e stepEvent) error {
	pending, err := f.get(ctx, e.SecretId, "AWSPENDING", e.ClientRequestToken)
	if err != nil {
		return err
	}
	conn := f.connect(ctx, pending)
	if conn == nil {
		return errors.New("unable to log into the database with the pending secret")
	}
	defer conn.close()
	_, err = conn.rows(ctx, "SELECT NOW()")
	return err
}

func (f *awsFunction) finish(ctx context.Context, e stepEvent) error {
	description, err := f.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &e.SecretId})
	if err != nil {
		return err
	}
	for version, labels := range description.VersionIdsToStages {
		if !slices.Contains(labels, "AWSCURRENT") || version == e.ClientRequestToken {
			continue
		}
		_, err := f.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &e.SecretId, VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &e.ClientRequestToken, RemoveFromVersionId: &version,
		})
		return err
	}
	return nil
}
