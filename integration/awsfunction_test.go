package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

// awsFunction does what AWS's rotation functions for PostgreSQL do, the one
// for a single user and the one for alternating users, as far as Secrets
// Manager and the database see it: the same calls, statements and documents.
// It is written after their published behaviour and shares no code with them.
//
// https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas
type awsFunction struct {
	stage       *stage
	client      *secretsmanager.Client
	alternating bool
}

// stepHandler serves one event of a rotation.
type stepHandler func(ctx context.Context, event []byte) error

type stepEvent struct{ Step, SecretId, ClientRequestToken string } //nolint:revive // the event's own name

// awsFunction returns AWS's function with the role of a function of the stage.
func (s *stage) awsFunction(role string, alternating bool) *awsFunction {
	key, secret, session := s.aws.FunctionCredentials(role)
	return &awsFunction{stage: s, alternating: alternating, client: secretsmanager.New(secretsmanager.Options{
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
	if d.Engine != "postgres" && d.Engine != "aurora-postgresql" {
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
	password, err := f.client.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{ExcludeCharacters: aws.String(`:/@"'\`), PasswordLength: aws.Int64(32)})
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
		return conn.Close(ctx)
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
		return f.alter(ctx, conn, fmt.Sprintf("ALTER USER %s WITH PASSWORD '%s'", quotedName(pending.Username), pending.Password))
	}
	if err := conn.Close(ctx); err != nil {
		return err
	}
	master, err := f.get(ctx, current.MasterARN, "AWSCURRENT", "")
	if err != nil {
		return err
	}
	if conn = f.connect(ctx, master); conn == nil {
		return errors.New("unable to log into the database with the master secret")
	}
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)", pending.Username).Scan(&exists); err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	if exists {
		return f.alter(ctx, conn, fmt.Sprintf("ALTER USER %s WITH PASSWORD '%s'", quotedName(pending.Username), pending.Password))
	}
	return f.alter(ctx, conn,
		fmt.Sprintf("CREATE ROLE %s WITH LOGIN PASSWORD '%s'", quotedName(pending.Username), pending.Password),
		fmt.Sprintf("GRANT %s TO %s", quotedName(current.Username), quotedName(pending.Username)))
}

// alter runs statements in one transaction and leaves.
func (f *awsFunction) alter(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	_, err := conn.Exec(ctx, "BEGIN")
	for _, statement := range append(statements, "COMMIT") {
		if err == nil {
			_, err = conn.Exec(ctx, statement)
		}
	}
	return errors.Join(err, conn.Close(ctx))
}

// connect returns nil for whatever reason there is no connection.
func (f *awsFunction) connect(ctx context.Context, d awsDocument) *pgx.Conn {
	login := f.stage.server.Login(d.Username, d.Password)
	if d.DBName != "" {
		login.Database = d.DBName
	}
	conn, err := dbservers.Connect(ctx, login)
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
	_, err = conn.Exec(ctx, "SELECT NOW()")
	return errors.Join(err, conn.Close(ctx))
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

func quotedName(name string) string { return pgx.Identifier{name}.Sanitize() }

// pythonDumps returns a document as Python's json.dumps(json.loads(text))
// writes it, with some top-level strings replaced: a blank after commas and
// colons, everything beyond ASCII escaped, floats in their shortest form.
//
// https://docs.python.org/3/library/json.html
func pythonDumps(text string, replace map[string]string) (string, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var out strings.Builder
	if err := pythonValue(&out, decoder, replace); err != nil {
		return "", err
	}
	return out.String(), nil
}

func pythonValue(out *strings.Builder, decoder *json.Decoder, replace map[string]string) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case json.Delim:
		return pythonContainer(out, decoder, token, replace)
	case string:
		out.WriteString(pythonString(token))
	case json.Number:
		number, err := pythonNumber(token.String())
		if err != nil {
			return err
		}
		out.WriteString(number)
	case bool:
		out.WriteString(strconv.FormatBool(token))
	case nil:
		out.WriteString("null")
	}
	return nil
}

func pythonContainer(out *strings.Builder, decoder *json.Decoder, open json.Delim, replace map[string]string) error {
	out.WriteString(open.String())
	for first := true; decoder.More(); first = false {
		if !first {
			out.WriteString(", ")
		}
		if open == '[' {
			if err := pythonValue(out, decoder, nil); err != nil {
				return err
			}
			continue
		}
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		key, isKey := token.(string)
		if !isKey {
			return errors.New("no key")
		}
		out.WriteString(pythonString(key) + ": ")
		var value strings.Builder
		if err := pythonValue(&value, decoder, nil); err != nil {
			return err
		}
		if replaced, found := replace[key]; found {
			out.WriteString(pythonString(replaced))
		} else {
			out.WriteString(value.String())
		}
	}
	closing, err := decoder.Token()
	if err != nil {
		return err
	}
	fmt.Fprint(out, closing)
	return nil
}

func pythonString(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range text {
		if escaped, found := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`}[r]; found {
			out.WriteString(escaped)
			continue
		}
		switch {
		case r < ' ' || '~' < r && r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// pythonNumber keeps integers, and gives floats the form of Python's repr.
func pythonNumber(text string) (string, error) {
	if !strings.ContainsAny(text, ".eE") {
		return text, nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", err
	}
	scientific := strconv.FormatFloat(number, 'e', -1, 64)
	_, exponent, _ := strings.Cut(scientific, "e")
	if power, err := strconv.Atoi(exponent); err != nil || power < -4 || power >= 16 {
		return scientific, err
	}
	plain := strconv.FormatFloat(number, 'f', -1, 64)
	if !strings.Contains(plain, ".") {
		plain += ".0"
	}
	return plain, nil
}

// TestDocumentsAsPythonWritesThem holds what Python 3 printed for
// json.dumps(json.loads(...)).
func TestDocumentsAsPythonWritesThem(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{"separators, and keys in their order", `{"b":1,"a":[1,2,{"c":null}],"d":{}}`, `{"b": 1, "a": [1, 2, {"c": null}], "d": {}}`},
		{"everything beyond ASCII is escaped", `{"a":"é用😀\u007f<>&"}`, `{"a": "\u00e9\u7528\ud83d\ude00\u007f<>&"}`},
		{"control characters", `{"a":"\n\t\r\f\b\u0001\"\\\/"}`, `{"a": "\n\t\r\f\b\u0001\"\\/"}`},
		{"numbers", `[5432.0,5432,1.50,1e3,1e16,1e-5,0.0001,-0.0,123456789012345678901234567890]`, `[5432.0, 5432, 1.5, 1000.0, 1e+16, 1e-05, 0.0001, -0.0, 123456789012345678901234567890]`},
		{"a name and a password are replaced at the top alone", `{"username":"x","n":{"username":"y"}}`, `{"username": "replaced", "n": {"username": "y"}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := pythonDumps(row.text, map[string]string{"username": "replaced"})
			if err != nil || got != row.want {
				t.Errorf("%s (%v), want %s", got, err, row.want)
			}
		})
	}
}
