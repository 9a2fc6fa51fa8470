package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/bootstrap"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

const (
	region   = "eu-west-1"
	function = "rotation"
	username = "app"
)

// present makes the function, a server and the embedded AWS, and shows what run
// does with them.
func present(ctx context.Context, n *narrator, engine engine, run func(*demo, context.Context) error) (err error) {
	dir, err := os.MkdirTemp("", "dbrotation-demo-")
	if err != nil {
		return err
	}
	defer cleanUp(&err, func() error { return os.RemoveAll(dir) })

	began := time.Now()
	n.wait("building the function")
	executable, err := bootstrap.Build(ctx, dir)
	if err != nil {
		return err
	}
	size, err := os.Stat(executable)
	if err != nil {
		return err
	}
	n.row("function", fmt.Sprintf("bootstrap, %.1f MB, built in %s", float64(size.Size())/1e6, time.Since(began).Round(100*time.Millisecond)))

	began = time.Now()
	n.wait("starting " + engine.name + " (the first time on a machine its image is fetched or made, which takes a minute or two)")
	server, err := startWhole(ctx, startWithin, engine.start)
	if err != nil {
		return err
	}
	defer cleanUp(&err, server.Close)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	n.row(engine.name+" "+server.Version, fmt.Sprintf("%s, in %s", server.Source, time.Since(began).Round(100*time.Millisecond)))

	cloud, err := localaws.Start(localaws.Config{Listen: "127.0.0.1:0", DataFile: filepath.Join(dir, "secrets.db"), Attempts: 1})
	if err != nil {
		return err
	}
	defer cleanUp(&err, cloud.Close)
	roots := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(roots, server.RootsPEM, 0o600); err != nil {
		return err
	}
	if err := cloud.AddFunction(localaws.Function{Name: function, Path: executable, Env: map[string]string{"SSL_ROOTS": roots, "CREATE_TWINS": "true"}}); err != nil {
		return err
	}
	n.row("embedded AWS", cloud.Endpoint()+", Secrets Manager and a Lambda host")

	d := &demo{
		narrator: n, engine: engine, server: server, cloud: cloud,
		client: secretsmanager.New(secretsmanager.Options{
			Region: region, BaseEndpoint: aws.String(cloud.Endpoint()),
			Credentials: credentials.NewStaticCredentialsProvider(localaws.AccessKey, localaws.SecretKey, ""),
		}),
		// A lower-case letter, an upper-case one and a digit, as Redshift wants them.
		first: "first-1-" + rand.Text(),
	}
	cloud.OnInvocation(func(invocation localaws.Invocation) { d.stepped(ctx, invocation) })
	return run(d, ctx)
}

// startWithin is how long the start of a server may go on once the demo is told
// to end. It takes seconds, unless an image is fetched or made first.
const startWithin = 20 * time.Second

// startWhole starts a server, and lets a start that has begun come to its end: a
// Docker engine may make the container whose request was broken off all the same,
// and then nobody knows of it who could remove it.
func startWhole(ctx context.Context, within time.Duration, start func(context.Context) (*dbservers.Server, error)) (*dbservers.Server, error) {
	starting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(within, cancel) })
	defer stop()
	return start(starting)
}

// demo is a server, a secret for one of its users, and a rotation of it.
type demo struct {
	*narrator
	engine engine
	server *dbservers.Server
	cloud  *localaws.Server
	client *secretsmanager.Client
	first  string // the password before the rotation
	arn    string
	logged int // how much of the server's log was read
	sum    tally
	failed error // of what runs while Secrets Manager rotates
}

// tally is what steps have cost.
type tally struct {
	calls, logins, failures int
	took                    time.Duration
}

func (t *tally) add(u tally) {
	t.calls, t.logins, t.failures, t.took = t.calls+u.calls, t.logins+u.logins, t.failures+u.failures, t.took+u.took
}

// single shows an account that changes its own password, or has it changed by an
// admin where the engine lets it do no such thing.
func (d *demo) single(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	document := d.document()
	if d.engine.byAdmin {
		admin, err := d.createAdminSecret(ctx)
		if err != nil {
			return err
		}
		document["masterarn"], document["dbrotation"] = admin, map[string]any{"strategy": "single"}
	}
	if err := d.createSecret(ctx, document); err != nil {
		return err
	}
	if err := d.labels(ctx, "The secret before"); err != nil {
		return err
	}
	if err := d.rotate(ctx, "RotateSecret, and what Secrets Manager does"); err != nil {
		return err
	}
	if err := d.labels(ctx, "The secret after"); err != nil {
		return err
	}
	return d.prove(ctx)
}

// prepare makes a user, a table that the user may read, and the user's secret.
func (d *demo) prepare(ctx context.Context) error {
	if err := d.server.CreateUser(ctx, username, d.first); err != nil {
		return err
	}
	login := d.server.Admin
	login.Database = d.server.Database
	admin, err := d.engine.connect(ctx, login)
	if err != nil {
		return err
	}
	defer admin.leave(ctx)
	for _, statement := range d.engine.orders {
		if err := admin.exec(ctx, statement); err != nil {
			return fmt.Errorf("creating the table: %w", err)
		}
	}
	d.row("table and user", fmt.Sprintf("orders with 3 rows, which the user %q may read", username))
	return nil
}

// document is the user's secret, as AWS documents it.
func (d *demo) document() map[string]any {
	return map[string]any{
		"engine": d.server.Engine, "host": d.server.Host, "port": d.server.Port, "dbname": d.server.Database,
		"username": username, "password": d.first,
	}
}

func (d *demo) createSecret(ctx context.Context, document map[string]any) (err error) {
	d.arn, err = d.store(ctx, "demo/app", document)
	if err == nil {
		d.row("secret", d.arn)
	}
	return err
}

func (d *demo) store(ctx context.Context, name string, document map[string]any) (arn string, err error) {
	text, err := json.Marshal(document)
	if err != nil {
		return "", err
	}
	secret, err := d.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(string(text))})
	if err != nil {
		return "", fmt.Errorf("creating the secret: %w", err)
	}
	return aws.ToString(secret.ARN), nil
}

// labels prints which version carries which label.
func (d *demo) labels(ctx context.Context, title string) error {
	secret, err := d.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &d.arn})
	if err != nil {
		return fmt.Errorf("describing the secret: %w", err)
	}
	d.section(title)
	byLabel := map[string]string{}
	for version, labels := range secret.VersionIdsToStages {
		for _, label := range labels {
			byLabel[label] = version
		}
	}
	for _, label := range []string{"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"} {
		if version, ok := byLabel[label]; ok {
			d.row(label, "version "+version)
		}
	}
	return nil
}

// rotate calls RotateSecret; stepped prints the four steps as they end.
func (d *demo) rotate(ctx context.Context, title string) error {
	if _, _, err := d.signIns(ctx); err != nil { // what came before is not the rotation's
		return err
	}
	d.section(title)
	d.sum = tally{}
	d.wait("createSecret")
	if _, err := d.client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &d.arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, function)),
	}); err != nil {
		return fmt.Errorf("calling RotateSecret: %w", err)
	}
	if err := d.cloud.WaitForRotation(ctx, region, d.arn); err != nil {
		return fmt.Errorf("%w; the function's log:\n%s", err, d.cloud.FunctionLog(function))
	}
	if d.failed != nil {
		return d.failed
	}
	d.row("in all", d.sum.String())
	return nil
}

// stepped prints a step that has ended, and what it cost.
func (d *demo) stepped(ctx context.Context, invocation localaws.Invocation) {
	cost := tally{took: invocation.Duration}
	for _, call := range d.cloud.Calls() {
		if call.InvocationID == invocation.InvocationID {
			cost.calls++
		}
	}
	var err error
	cost.logins, cost.failures, err = d.signIns(ctx)
	d.failed = errors.Join(d.failed, err)
	d.sum.add(cost)
	d.row(invocation.Step, cost.String())
	if invocation.Step != "finishSecret" {
		d.wait("the next step")
	}
}

// String is one line of the demo's table.
func (t tally) String() string {
	return fmt.Sprintf("%6.1f ms   %d %-5s of Secrets Manager   %d %-7s %d failed",
		float64(t.took.Microseconds())/1000, t.calls, noun(t.calls, "call"), t.logins, noun(t.logins, "login")+",", t.failures)
}

func noun(n int, one string) string {
	if n == 1 {
		return one
	}
	return one + "s"
}

// signIns counts the function's sign-ins that the server's own log holds since it was
// last read.
func (d *demo) signIns(ctx context.Context) (good, failed int, err error) {
	log, err := d.server.Log(ctx)
	if err != nil {
		return 0, 0, err
	}
	news := log[d.logged:]
	d.logged = len(log)
	return len(d.engine.signedIn.FindAllString(news, -1)), len(d.engine.refused.FindAllString(news, -1)), nil
}

// prove asks the server, the secret and the logs.
func (d *demo) prove(ctx context.Context) error {
	d.section("Is it true?")
	current, err := d.password(ctx, "AWSCURRENT")
	if err != nil {
		return err
	}
	previous, err := d.password(ctx, "AWSPREVIOUS")
	if err != nil {
		return err
	}
	if current == d.first || previous != d.first {
		return errors.New("the versions do not hold the passwords they should")
	}
	// Read before the proofs sign in: what they log is not the rotation's.
	passwords := []string{d.first, current, d.server.Admin.Password.Reveal()}
	logs, err := d.server.Logs(ctx)
	if err != nil {
		return err
	}

	open, err := d.server.Opens(ctx, username, d.first)
	if err != nil {
		return fmt.Errorf("signing in with the old password: %w", err)
	}
	if open {
		return errors.New("the old password still opens the database")
	}
	d.proof("the old password is refused")
	if _, err := d.countOrders(ctx, username, current); err != nil {
		return fmt.Errorf("reading the table with the new password: %w", err)
	}
	d.proof("the new password opens the database, over verified TLS, and reads 3 rows")

	return d.proveLogs(logs, passwords)
}

// countOrders signs in, and counts the rows of the table.
func (d *demo) countOrders(ctx context.Context, username, password string) (rows int, err error) {
	conn, err := d.engine.connect(ctx, d.server.Login(username, password))
	if err != nil {
		return 0, fmt.Errorf("signing in: %w", err)
	}
	defer conn.leave(ctx)
	rows, err = conn.number(ctx, d.engine.count)
	if err == nil && rows != 3 {
		err = fmt.Errorf("%d rows instead of 3", rows)
	}
	return rows, err
}

// stepFinished is in the function's log for each step.
var stepFinished = regexp.MustCompile("step finished")

// anyText is in a log that is not empty.
var anyText = regexp.MustCompile(".")

// proveLogs searches the logs for passwords: all of the server's, by their
// names, and the function's.
func (d *demo) proveLogs(logs map[string]string, passwords []string) error {
	for _, name := range slices.Sorted(maps.Keys(logs)) {
		what, mustHold := "the server's "+name+", which has every change", d.engine.changes
		if name == d.engine.silent {
			what, mustHold = "the server's "+name, anyText
		}
		if err := d.proveLog(what, logs[name], mustHold, passwords); err != nil {
			return err
		}
	}
	return d.proveLog("the function's log", d.cloud.FunctionLog(function), stepFinished, passwords)
}

func (d *demo) proveLog(name, text string, mustHold *regexp.Regexp, passwords []string) error {
	if !mustHold.MatchString(text) {
		return fmt.Errorf("%s holds no %q: there is nothing to search", name, mustHold)
	}
	if slices.ContainsFunc(passwords, func(p string) bool { return strings.Contains(text, p) }) {
		return fmt.Errorf("%s holds a password", name)
	}
	d.proof(fmt.Sprintf("no password in %s (%.1f kB)", name, float64(len(text))/1000))
	return nil
}

func (d *demo) password(ctx context.Context, label string) (string, error) {
	_, password, err := d.credential(ctx, label)
	return password, err
}

func (d *demo) credential(ctx context.Context, label string) (username, password string, err error) {
	value, err := d.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &d.arn, VersionStage: &label})
	if err != nil {
		return "", "", fmt.Errorf("reading the %s version: %w", label, err)
	}
	var document struct{ Username, Password string }
	if err := json.Unmarshal([]byte(aws.ToString(value.SecretString)), &document); err != nil {
		return "", "", errors.New("the secret is not the document it was")
	}
	return document.Username, document.Password, nil
}
