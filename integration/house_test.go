package integration_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/uuid"

	"github.com/dbrotation/dbrotation/integration/bootstrap"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/mongogate"
	"github.com/dbrotation/dbrotation/integration/dbservers/mysqlgate"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

const (
	region   = "eu-west-1"
	function = "rotation"
)

// executable is the function as it is deployed, built once for the run.
var executable string

// servers are the database servers of the run, started when first asked for.
var servers dbservers.Pool

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dbrotation-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if executable, err = bootstrap.Build(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := servers.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// sharedPostgres returns the run's server with these options.
func sharedPostgres(t *testing.T, options dbservers.PostgresOptions) *dbservers.Server {
	t.Helper()
	server, err := servers.Postgres(options)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// sharedMySQL returns the run's server with these options.
func sharedMySQL(t *testing.T, options dbservers.MySQLOptions) *dbservers.Server {
	t.Helper()
	server, err := servers.MySQL(options)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// sharedMariaDB returns the run's server with these options.
func sharedMariaDB(t *testing.T, options dbservers.MariaDBOptions) *dbservers.Server {
	t.Helper()
	server, err := servers.MariaDB(options)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// sharedRedshift returns the run's stand-in for Redshift with these options.
func sharedRedshift(t *testing.T, options dbservers.RedshiftOptions) *dbservers.Server {
	t.Helper()
	server, err := servers.Redshift(options)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// sharedDocumentDB returns the run's stand-in for DocumentDB with these options.
func sharedDocumentDB(t *testing.T, options dbservers.DocumentDBOptions) *dbservers.Server {
	t.Helper()
	server, err := servers.DocumentDB(options)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// stage is one embedded AWS with the real function, in front of one server.
type stage struct {
	t      *testing.T
	aws    *localaws.Server
	client *secretsmanager.Client
	server *dbservers.Server
	// host and port are where the secrets say the server is.
	host string
	port int
	// planted are the passwords that no log may show.
	planted *plantedPasswords
}

type plantedPasswords struct {
	mu    sync.Mutex
	texts map[string]bool
}

func (p *plantedPasswords) add(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text != "" {
		p.texts[text] = true
	}
}

type stageOptions struct {
	server  *dbservers.Server
	gate    gate              // where the secrets point, if not at the server itself
	env     map[string]string // of the function
	timeout time.Duration     // of the function
	tries   int               // attempts per rotation, default 3
}

// gate stands in front of a server.
type gate interface {
	Addr() (host string, port int)
}

func newStage(t *testing.T, options stageOptions) *stage {
	t.Helper()
	dir := t.TempDir()
	s := &stage{t: t, server: options.server, host: options.server.Host, port: options.server.Port, planted: &plantedPasswords{texts: map[string]bool{}}}
	if options.gate != nil {
		s.host, s.port = options.gate.Addr()
	}
	if options.tries == 0 {
		options.tries = 3
	}
	data := filepath.Join(dir, "secrets.db")
	server, err := localaws.Start(localaws.Config{
		Listen: "127.0.0.1:0", DataFile: data, Attempts: options.tries,
		Backoff: func(int) time.Duration { return 5 * time.Millisecond },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.aws = server
	t.Cleanup(func() {
		s.noPasswordIn("the function's log", server.FunctionLog(function))
		if err := server.Close(); err != nil {
			t.Errorf("closing the embedded AWS: %v", err)
		}
		raw, err := os.ReadFile(data)
		if err != nil {
			t.Error(err)
		}
		s.noPasswordIn("the embedded AWS's data file", string(raw))
	})
	roots := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(roots, options.server.RootsPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SSL_ROOTS": roots}
	for key, value := range options.env {
		env[key] = value
	}
	if err := server.AddFunction(localaws.Function{Name: function, Path: executable, Env: env, Timeout: options.timeout}); err != nil {
		t.Fatal(err)
	}
	s.client = secretsmanager.New(secretsmanager.Options{
		Region: region, BaseEndpoint: aws.String(server.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(localaws.AccessKey, localaws.SecretKey, ""),
	})
	return s
}

var accounts atomic.Int64

// account makes a user on the server that no other test has.
func (s *stage) account() (username, password string) {
	s.t.Helper()
	username = fmt.Sprintf("app_%d_%d", os.Getpid(), accounts.Add(1))
	// A lower-case letter, an upper-case one and a digit, as Redshift wants them.
	password = "planted-1-" + rand.Text()
	s.planted.add(password)
	if err := s.server.CreateUser(s.t.Context(), username, password); err != nil {
		s.t.Fatal(err)
	}
	return username, password
}

// document is an application's secret for a user, as AWS documents it.
func (s *stage) document(username, password string) map[string]any {
	return map[string]any{
		"engine": s.server.Engine, "host": s.host, "port": s.port, "dbname": s.server.Database,
		"username": username, "password": password,
	}
}

// secret stores a document and returns the secret's ARN.
func (s *stage) secret(document map[string]any) (arn string) {
	s.t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.secretText(string(text))
}

func (s *stage) secretText(text string) (arn string) {
	s.t.Helper()
	out, err := s.client.CreateSecret(s.t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String(fmt.Sprintf("secret-%d", accounts.Add(1))), SecretString: &text,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.ARN
}

// adminSecret stores the secret of the server's admin, who is shaped as RDS's
// master user, and makes a document name it.
func (s *stage) adminSecret(document map[string]any) {
	s.t.Helper()
	admin := s.server.Admin
	s.planted.add(admin.Password.Reveal())
	theirs := map[string]any{
		"engine": s.server.Engine, "host": s.host, "port": s.port,
		"username": admin.Username, "password": admin.Password.Reveal(),
	}
	switch s.server.Engine {
	case "postgres":
		theirs["dbname"] = "postgres"
	case "redshift":
		theirs["dbname"] = s.server.Database
	}
	document["masterarn"] = s.secret(theirs)
	document["dbrotation"] = map[string]any{"strategy": "single"}
}

// rotate rotates, retries included, and returns how it ended.
func (s *stage) rotate(arn string) error {
	s.t.Helper()
	return s.rotateBy(function, arn)
}

// rotateBy rotates by the function of that name, retries included.
func (s *stage) rotateBy(name, arn string) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if _, err := s.client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, name)),
	}); err != nil {
		s.t.Fatal(err)
	}
	err := s.aws.WaitForRotation(ctx, region, arn)
	if ctx.Err() != nil {
		s.t.Fatalf("the rotation did not end: %v\n%s", ctx.Err(), s.aws.FunctionLog(function))
	}
	return err
}

// password returns the password under a label, and "" where there is none.
func (s *stage) password(arn, label string) string {
	s.t.Helper()
	_, password := s.credential(arn, label)
	return password
}

func (s *stage) credential(arn, label string) (username, password string) {
	s.t.Helper()
	out, err := s.client.GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionStage: &label})
	if err != nil {
		return "", ""
	}
	var document struct{ Username, Password string }
	if err := json.Unmarshal([]byte(aws.ToString(out.SecretString)), &document); err != nil {
		return "", ""
	}
	s.planted.add(document.Password)
	return document.Username, document.Password
}

// opens reports whether the credential under label opens the database, asked
// at the server itself.
func (s *stage) opens(arn, label string) bool {
	s.t.Helper()
	username, password := s.credential(arn, label)
	return username != "" && s.accepts(username, password)
}

func (s *stage) accepts(username, password string) bool {
	s.t.Helper()
	open, err := s.server.Opens(context.Background(), username, password)
	if err != nil {
		s.t.Errorf("signing in to the server as %s: %v", username, err)
	}
	return open
}

func (s *stage) noPasswordIn(what, text string) {
	s.t.Helper()
	s.planted.mu.Lock()
	defer s.planted.mu.Unlock()
	if len(s.planted.texts) == 0 {
		s.t.Errorf("no password was planted: nothing was looked for in %s", what)
	}
	for password := range s.planted.texts {
		for _, form := range []string{password, strings.ReplaceAll(password, "'", "''")} {
			if strings.Contains(text, form) {
				s.t.Errorf("%s shows a password", what)
			}
		}
	}
}

// serverLog returns what the server has logged since a mark, and a new mark.
func (s *stage) serverLog(mark int) (text string, newMark int) {
	s.t.Helper()
	text, err := s.server.Log(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return text[mark:], len(text)
}

// newGate opens a gate in front of a PostgreSQL server, with a certificate of
// the server's own authority.
func newGate(t *testing.T, server *dbservers.Server) *wiregate.Gate {
	t.Helper()
	return openGate(t, server, gateCertificate(t, server))
}

// openGate opens a gate in front of a PostgreSQL server that shows a
// certificate.
func openGate(t *testing.T, server *dbservers.Server, certificate tls.Certificate) *wiregate.Gate {
	t.Helper()
	gate, err := wiregate.Start(wiregate.Config{
		Server: fmt.Sprintf("%s:%d", server.Host, server.Port),
		TLS:    &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, gate)
	return gate
}

// newMySQLGate is newGate for a MySQL or MariaDB server.
func newMySQLGate(t *testing.T, server *dbservers.Server) *mysqlgate.Gate {
	t.Helper()
	gate, err := mysqlgate.Start(mysqlgate.Config{
		Server: fmt.Sprintf("%s:%d", server.Host, server.Port),
		TLS:    &tls.Config{Certificates: []tls.Certificate{gateCertificate(t, server)}, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, gate)
	return gate
}

// newMongoGate is newGate for a stand-in for DocumentDB.
func newMongoGate(t *testing.T, server *dbservers.Server) *mongogate.Gate {
	t.Helper()
	gate, err := mongogate.Start(mongogate.Config{
		Server: fmt.Sprintf("%s:%d", server.Host, server.Port),
		TLS:    &tls.Config{Certificates: []tls.Certificate{gateCertificate(t, server)}, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, gate)
	return gate
}

// gateCertificate is one of the server's own authority.
func gateCertificate(t *testing.T, server *dbservers.Server) tls.Certificate {
	t.Helper()
	certificate, key, err := server.CA.Issue("127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func closeAfter(t *testing.T, gate io.Closer) {
	t.Cleanup(func() {
		if err := gate.Close(); err != nil {
			t.Errorf("closing the gate: %v", err)
		}
	})
}

// invoke calls the function for one step, as Secrets Manager would.
func (s *stage) invoke(step, arn, token string) error {
	s.t.Helper()
	event, err := json.Marshal(map[string]string{"Step": step, "SecretId": arn, "ClientRequestToken": token})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.aws.Invoke(s.t.Context(), region, function, event)
}

// pend stores a document under AWSPENDING, as anyone with PutSecretValue could,
// and returns its version id.
func (s *stage) pend(arn string, document map[string]any) (token string) {
	s.t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		s.t.Fatal(err)
	}
	token = uuid.NewString()
	if _, err := s.client.PutSecretValue(s.t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: &arn, ClientRequestToken: &token, SecretString: aws.String(string(text)), VersionStages: []string{"AWSPENDING"},
	}); err != nil {
		s.t.Fatal(err)
	}
	return token
}

// singleSecret makes an account and its secret, by which it changes its own
// password.
func (s *stage) singleSecret() (arn string) {
	s.t.Helper()
	return s.secret(s.document(s.account()))
}

// singleSecretByAdmin is singleSecret with an admin who makes the change.
func (s *stage) singleSecretByAdmin() (arn string) {
	s.t.Helper()
	document := s.document(s.account())
	s.adminSecret(document)
	return s.secret(document)
}

// alternatingSecret makes an account and a secret by which it and its twin take
// turns, in the shape that AWS's own function knows.
func (s *stage) alternatingSecret() (arn string) {
	s.t.Helper()
	document := s.document(s.account())
	s.adminSecret(document)
	delete(document, "dbrotation")
	return s.secret(document)
}

// callsOfTheFunction counts what the function asked of Secrets Manager since a
// mark.
func (s *stage) callsOfTheFunction(mark int) (calls int) {
	for _, call := range s.aws.Calls()[mark:] {
		if call.Function == function {
			calls++
		}
	}
	return calls
}
