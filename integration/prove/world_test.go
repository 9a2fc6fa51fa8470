package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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
	// within bounds one run of the command.
	within = 5 * time.Minute
)

var (
	program    string // the command, built once
	executable string // the function as it is deployed, built once
	servers    dbservers.Pool
	accounts   atomic.Int64
)

func TestMain(m *testing.M) {
	os.Exit(buildAndTest(m))
}

func buildAndTest(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "dbrotation-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "prove.exe")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the command: %v\n%s", err, out)
		return 1
	}
	if executable, err = bootstrap.Build(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	if err := servers.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// world is an owner's account with the real function, in front of a server that
// is reached through a door.
type world struct {
	t      *testing.T
	server *dbservers.Server
	door   *door
	aws    *localaws.Server
	client *secretsmanager.Client
	roots  string

	mu      sync.Mutex
	planted []string // passwords that nothing may print
}

func newWorld(t *testing.T, server *dbservers.Server) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, server: server, door: openDoor(t, server), roots: filepath.Join(dir, "roots.pem")}
	w.plant(server.Admin.Password.Reveal())
	var err error
	if w.aws, err = localaws.Start(localaws.Config{Listen: "127.0.0.1:0", Attempts: 3, Backoff: func(int) time.Duration { return 5 * time.Millisecond }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.aws.Close(); err != nil {
			t.Errorf("closing the embedded AWS: %v", err)
		}
	})
	if err := os.WriteFile(w.roots, server.RootsPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	w.add(localaws.Function{Name: function, Path: executable, Env: map[string]string{"SSL_ROOTS": w.roots, "CREATE_TWINS": "true"}})
	w.client = secretsmanager.New(secretsmanager.Options{
		Region: region, BaseEndpoint: aws.String(w.aws.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(localaws.AccessKey, localaws.SecretKey, ""),
	})
	return w
}

func postgres(t *testing.T) *dbservers.Server {
	t.Helper()
	return started(func() (*dbservers.Server, error) { return servers.Postgres(dbservers.PostgresOptions{}) })(t)
}

// started is a server of the pool, which a test cannot do without.
func started(start func() (*dbservers.Server, error)) func(*testing.T) *dbservers.Server {
	return func(t *testing.T) *dbservers.Server {
		t.Helper()
		server, err := start()
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
}

func (w *world) add(f localaws.Function) {
	w.t.Helper()
	if err := w.aws.AddFunction(f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) plant(password string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.planted = append(w.planted, password)
}

// document is the secret of a new account.
func (w *world) document() map[string]any {
	w.t.Helper()
	username, password := fmt.Sprintf("app_%d_%d", os.Getpid(), accounts.Add(1)), "planted-"+rand.Text()
	w.plant(password)
	if err := w.server.CreateUser(w.t.Context(), username, password); err != nil {
		w.t.Fatal(err)
	}
	host, port := w.door.address()
	return map[string]any{"engine": w.server.Engine, "host": host, "port": port, "dbname": w.server.Database, "username": username, "password": password}
}

// withAdmin makes a document name the secret of the server's admin.
func (w *world) withAdmin(document map[string]any) map[string]any {
	w.t.Helper()
	host, port := w.door.address()
	document["masterarn"] = w.store(map[string]any{
		"engine": w.server.Engine, "host": host, "port": port, "dbname": w.server.Admin.Database, "username": w.server.Admin.Username, "password": w.server.Admin.Password.Reveal(),
	})
	return document
}

func (w *world) store(document any) (arn string) {
	w.t.Helper()
	text, isText := document.(string)
	if !isText {
		encoded, err := json.Marshal(document)
		if err != nil {
			w.t.Fatal(err)
		}
		text = string(encoded)
	}
	out, err := w.client.CreateSecret(w.t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(fmt.Sprintf("secret-%d", accounts.Add(1))), SecretString: &text})
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.ARN
}

// secret stores a document and switches rotation on by a function, which is not
// called for more than a test.
func (w *world) secret(document any, function string) (arn string) {
	w.t.Helper()
	arn = w.store(document)
	if _, err := w.client.RotateSecret(w.t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, function)), RotateImmediately: aws.Bool(false),
	}); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	_ = w.aws.WaitForRotation(ctx, region, arn) // some are meant not to open
	return arn
}

// labels are the version ids of a secret, and what they carry.
func (w *world) labels(arn string) map[string][]string {
	w.t.Helper()
	out, err := w.client.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.VersionIdsToStages
}

// credential is what a label's version holds; empty where there is none.
func (w *world) credential(arn, label string) (username, password string) {
	w.t.Helper()
	out, err := w.client.GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionStage: &label})
	if err != nil {
		return "", ""
	}
	var document struct{ Username, Password string }
	if json.Unmarshal([]byte(*out.SecretString), &document) != nil {
		return "", ""
	}
	w.plant(document.Password)
	return document.Username, document.Password
}

func (w *world) opens(username, password string) bool {
	w.t.Helper()
	open, err := w.server.Opens(context.Background(), username, password)
	if err != nil {
		w.t.Error(err)
	}
	return open
}

// A proving is the command while it runs.
type proving struct {
	w         *world
	cmd       *exec.Cmd
	out, errs watched
}

// begin starts the command as an owner's script does, without a terminal.
func (w *world) begin(environment []string, args ...string) *proving {
	w.t.Helper()
	return w.beginAt(nil, environment, args...)
}

// beginAt starts the command with in as its input.
func (w *world) beginAt(in *os.File, environment []string, args ...string) *proving {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	w.t.Cleanup(cancel)
	p := &proving{w: w, cmd: exec.CommandContext(ctx, program, args...)}
	p.cmd.Env = append([]string{
		"HOME=" + w.t.TempDir(), "AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=" + localaws.AccessKey, "AWS_SECRET_ACCESS_KEY=" + localaws.SecretKey,
		"AWS_ENDPOINT_URL_SECRETS_MANAGER=" + w.aws.Endpoint(), "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
	}, environment...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	if in != nil { // a nil *os.File is an input too
		p.cmd.Stdin = in
	}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// until waits until text was printed.
func (p *proving) until(text string) {
	p.w.t.Helper()
	for !strings.Contains(p.out.String(), text) {
		if strings.Contains(p.errs.String(), "prove:") {
			p.w.t.Fatalf("it has ended before %q:\n%s%s", text, p.out.String(), p.errs.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ends waits for the end, and holds that nothing that was printed is secret.
func (p *proving) ends(secrets ...string) (status int, out, errs string) {
	p.w.t.Helper()
	_ = p.cmd.Wait() // its outcome is the status
	out, errs = p.out.String(), p.errs.String()
	for _, arn := range secrets {
		for _, label := range []string{labelCurrent, labelPending, labelPrevious} {
			p.w.credential(arn, label)
		}
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for _, password := range p.w.planted {
		if strings.Contains(out+errs, password) {
			p.w.t.Errorf("a password is printed:\n%s%s", out, errs)
		}
	}
	return p.cmd.ProcessState.ExitCode(), out, errs
}

// prove runs the command to its end, and asks it to wait no longer than any
// rotation here takes.
func (w *world) prove(arn string, args ...string) (status int, out, errs string) {
	w.t.Helper()
	return w.begin(nil, append([]string{"-engine", w.server.Engine, "-secret", arn, "-roots", w.roots, "-timeout", "2m"}, args...)...).ends(arn)
}

// watched is a buffer that may be read while it is written to.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *watched) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *watched) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// door stands in front of a server. What comes while it is shut is turned away.
type door struct {
	listener net.Listener
	to       string
	shut     atomic.Bool
}

func openDoor(t *testing.T, server *dbservers.Server) *door {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{listener: listener, to: fmt.Sprintf("%s:%d", server.Host, server.Port)}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go d.pass(conn)
		}
	}()
	return d
}

func (d *door) address() (host string, port int) {
	at, _ := d.listener.Addr().(*net.TCPAddr)
	return "127.0.0.1", at.Port
}

func (d *door) pass(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if d.shut.Load() {
		return
	}
	server, err := net.Dial("tcp", d.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() { _, _ = io.Copy(server, conn); _ = server.Close() }()
	_, _ = io.Copy(conn, server)
}
