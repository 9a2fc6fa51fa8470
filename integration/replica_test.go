package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/engines"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
	"github.com/dbrotation/dbrotation/integration/rdsapi"
	"github.com/dbrotation/dbrotation/rotator"
	"github.com/dbrotation/dbrotation/rotator/awsstore"
	"github.com/dbrotation/dbrotation/rotator/awstopology"
)

// The names by which Amazon RDS would know the two servers.
const (
	writerHost  = "main.c0homehash00.eu-west-1.rds.amazonaws.com"
	replicaHost = "replica.c0homehash00.eu-west-1.rds.amazonaws.com"
	inProcess   = "in-process"
)

// resolved is a driver that finds the servers behind names that no DNS here
// knows. All else is the real driver's.
type resolved struct {
	dbdrivers.Driver
	addresses map[string]string
}

func (r resolved) resolve(login dbdrivers.Login) dbdrivers.Login {
	if address := r.addresses[login.Host]; address != "" {
		login.Host = address
	}
	return login
}

func (r resolved) Verify(ctx context.Context, req dbdrivers.VerifyRequest) error {
	req.Login = r.resolve(req.Login)
	return r.Driver.Verify(ctx, req)
}

func (r resolved) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	req.As = r.resolve(req.As)
	return r.Driver.SetPassword(ctx, req)
}

func (r resolved) RetainPassword(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
	req.As = r.resolve(req.As)
	retainer, ok := r.Driver.(dbdrivers.PasswordRetainer)
	if !ok {
		return errors.ErrUnsupported
	}
	return retainer.RetainPassword(ctx, req)
}

func (r resolved) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	req.Admin = r.resolve(req.Admin)
	opener, ok := r.Driver.(dbdrivers.TwinOpener)
	if !ok {
		return dbdrivers.TwinReport{}, errors.ErrUnsupported
	}
	return opener.OpenTwin(ctx, req)
}

func (r resolved) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	req.Login = r.resolve(req.Login)
	opener, ok := r.Driver.(dbdrivers.TwinOpener)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return opener.VerifyTwin(ctx, req)
}

// writtenLog is a log of several goroutines.
type writtenLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *writtenLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *writtenLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// withReplica adds a function of this process to a stage. It is put together as
// the deployed one, but that it finds the two servers by their names: an
// executable would ask DNS for them.
func (s *stage) withReplica(replica *dbservers.Replica, timeout time.Duration) *writtenLog {
	s.t.Helper()
	copied := instanceOf("replica", replicaHost, replica.Port)
	copied.ReplicaOf = "main"
	service := startRDS(s.t, rdsapi.Region{Instances: []rdsapi.Instance{instanceOf("main", writerHost, s.server.Port), copied}})
	driver := resolved{engines.Table()[s.server.Engine], map[string]string{writerHost: s.server.Host, replicaHost: replica.Host}}
	accessKey, secretKey, session := s.aws.FunctionCredentials(inProcess)
	provider := credentials.NewStaticCredentialsProvider(accessKey, secretKey, session)
	log := &writtenLog{}
	rotation, err := rotator.New(rotator.Config{
		Secrets: awsstore.New(secretsmanager.New(secretsmanager.Options{Region: region, BaseEndpoint: aws.String(s.aws.Endpoint()), Credentials: provider})),
		Topology: awstopology.New(aws.Config{Region: region, Credentials: provider},
			func(o *rds.Options) { o.BaseEndpoint = aws.String(service.URL()) }),
		Drivers: map[string]dbdrivers.Driver{s.server.Engine: driver}, Roots: s.server.Roots, CreateTwins: true,
		Log: slog.New(slog.NewJSONHandler(log, nil)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.aws.AddFunction(localaws.Function{Name: inProcess, Timeout: timeout, Handler: func(ctx context.Context, raw []byte) error {
		var event rotator.Event
		if err := json.Unmarshal(raw, &event); err != nil {
			return err
		}
		_, err := rotation.Handle(ctx, event)
		return err
	}}); err != nil {
		s.t.Fatal(err)
	}
	return log
}

// rotateAtReplica rotates by the function of this process, and runs meanwhile
// while it does.
func (s *stage) rotateAtReplica(arn string, meanwhile func(ctx context.Context)) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if _, err := s.client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, inProcess)),
	}); err != nil {
		s.t.Fatal(err)
	}
	meanwhile(ctx)
	return s.aws.WaitForRotation(ctx, region, arn)
}

// replicaStage is a stage whose server has a replica, and a function of this
// process, with its log.
func replicaStage(t *testing.T, primary *dbservers.Server, timeout time.Duration, tries int) (*stage, *dbservers.Replica, *writtenLog) {
	t.Helper()
	replica, err := primary.StartReplica(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := replica.Close(); err != nil {
			t.Error(err)
		}
	})
	s := newStage(t, stageOptions{server: primary, tries: tries})
	return s, replica, s.withReplica(replica, timeout)
}

// secretAtReplica makes an account and its secret, whose host is the replica; the
// admin's is the writer.
func (s *stage) secretAtReplica(replica *dbservers.Replica, strategy string) (username, arn string) {
	s.t.Helper()
	username, first := s.account()
	document := s.document(username, first)
	s.host = writerHost
	s.byStrategy(strategy, document)
	document["host"], document["port"] = replicaHost, replica.Port
	return username, s.secret(document)
}

// signInsAt counts the attempts of a pair at a replica.
func signInsAt(t *testing.T, replica *dbservers.Replica, username string) dbservers.SignIns {
	t.Helper()
	counted, err := replica.SignIns(context.Background(), username, username+"_clone")
	if err != nil {
		t.Fatal(err)
	}
	return counted
}

// deliverAgain delivers testSecret of the version under AWSPENDING.
func (s *stage) deliverAgain(arn string) error {
	s.t.Helper()
	out, err := s.client.GetSecretValue(s.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionStage: aws.String("AWSPENDING")})
	if err != nil {
		s.t.Fatal(err)
	}
	event, err := json.Marshal(map[string]string{"Step": "testSecret", "SecretId": arn, "ClientRequestToken": aws.ToString(out.VersionId)})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.aws.Invoke(s.t.Context(), region, inProcess, event)
}

// replicaRow is a rotation while the replica does not replay.
type replicaRow struct {
	name, strategy string
	// resumes is false where the replica never catches up.
	resumes bool
	timeout time.Duration
	refused int // at the replica
	// refusedByWriter: setSecret, called again, finds out there that current is
	// no longer the password.
	refusedByWriter int
	// again is how often Secrets Manager calls testSecret: an engine that counts
	// refusals is not asked as pending a third time in one step.
	again int
	// opensBoth is true where the credential before the rotation tells nothing
	// of whether the change has arrived.
	opensBoth bool
}

// TestTestSecretWaitsForAReplica: applications sign in at a replica, which does
// not replay what the admin changes at the writer before testSecret has met it.
func TestTestSecretWaitsForAReplica(t *testing.T) {
	t.Parallel()
	postgres := []replicaRow{
		{name: "single", strategy: "single", resumes: true, refused: 2, again: 1},
		{name: "two accounts take turns", strategy: "alternating", resumes: true, refused: 2, again: 1},
		{name: "single, and it never arrives", strategy: "single", timeout: 12 * time.Second, refused: 1, again: 1},
	}
	mysql := []replicaRow{
		{name: "single", strategy: "single", resumes: true, refused: 2, again: 2, refusedByWriter: 1},
		{name: "two passwords", strategy: "dual-password", resumes: true, timeout: 16 * time.Second, refused: 1, again: 1, opensBoth: true},
		{name: "two accounts take turns", strategy: "alternating", resumes: true, refused: 2, again: 2},
		{name: "single, and it never arrives", strategy: "single", timeout: 12 * time.Second, refused: 1, again: 1},
	}
	for _, engine := range []struct {
		name  string
		start func(t *testing.T) *dbservers.Server
		rows  []replicaRow
	}{
		{"postgres", func(t *testing.T) *dbservers.Server {
			return startPostgres(t, dbservers.PostgresOptions{Version: "18"})
		}, postgres},
		{"mysql", func(t *testing.T) *dbservers.Server { return startMySQL(t, dbservers.MySQLOptions{}) }, mysql},
		{"mariadb", func(t *testing.T) *dbservers.Server { return startMariaDB(t, dbservers.MariaDBOptions{}) }, mysql},
	} {
		for _, row := range engine.rows {
			t.Run(engine.name+" "+row.name, func(t *testing.T) {
				t.Parallel()
				waitForReplica(t, engine.start(t), row)
			})
		}
	}
}

func waitForReplica(t *testing.T, primary *dbservers.Server, row replicaRow) {
	t.Helper()
	s, replica, told := replicaStage(t, primary, row.timeout, row.again)
	username, arn := s.secretAtReplica(replica, row.strategy)
	if row.strategy == "alternating" { // both exist, and AWSPREVIOUS names the one whose turn it is
		for range 2 {
			if err := s.rotateAtReplica(arn, func(context.Context) {}); err != nil {
				t.Fatalf("%v\n%s", err, told)
			}
			if err := replica.WaitForReplay(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := replica.WaitForReplay(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := replica.PauseReplay(t.Context()); err != nil {
		t.Fatal(err)
	}
	mark := signInsAt(t, replica, username)
	everybody := []string{username, username + "_clone", primary.Admin.Username}
	before := s.signIns(everybody...).Refused
	delivered := len(s.aws.Invocations())
	err := s.rotateAtReplica(arn, func(ctx context.Context) {
		if row.resumes {
			resumeWhenMet(ctx, t, replica, row, username, mark)
		}
	})
	if refused := s.signIns(everybody...).Refused - before; refused != row.refusedByWriter {
		t.Errorf("the writer refused %d sign-ins, want %d", refused, row.refusedByWriter)
	}
	if refused := signInsAt(t, replica, username).Refused - mark.Refused; refused != row.refused {
		t.Errorf("the replica refused %d sign-ins, want %d", refused, row.refused)
	}
	tests := 0
	for _, invocation := range s.aws.Invocations()[delivered:] {
		if invocation.Step == "testSecret" {
			tests++
		}
	}
	if tests != row.again {
		t.Errorf("testSecret was called %d times, want %d", tests, row.again)
	}
	s.noPasswordIn("the function's log", told.String())
	if !row.resumes {
		s.neverArrived(arn, replica, told, err)
		return
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, told)
	}
	if err := replica.WaitForReplay(t.Context()); err != nil {
		t.Fatal(err)
	}
	user, password := s.credential(arn, "AWSCURRENT")
	if open, err := replica.Opens(t.Context(), user, password); !open || err != nil || !s.opens(arn, "AWSCURRENT") {
		t.Errorf("AWSCURRENT does not open both servers: %v", err)
	}
}

// resumeWhenMet lets the replica go on once pending was refused there, and the
// account's former credential, which tells that the change has not arrived,
// opened.
func resumeWhenMet(ctx context.Context, t *testing.T, replica *dbservers.Replica, row replicaRow, username string, mark dbservers.SignIns) {
	t.Helper()
	for ctx.Err() == nil {
		now := signInsAt(t, replica, username)
		if now.Refused > mark.Refused && (row.opensBoth || now.Accepted >= mark.Accepted+2) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := replica.ResumeReplay(ctx); err != nil {
		t.Error(err)
	}
}

// neverArrived proves what is said of a replica that did not catch up in time,
// and that the next delivery goes through when it has.
func (s *stage) neverArrived(arn string, replica *dbservers.Replica, told *writtenLog, err error) {
	s.t.Helper()
	if err == nil {
		s.t.Fatal("the rotation went through")
	}
	for _, part := range []string{replicaHost, "is not the writer", "caught up", `"class":"refused"`} {
		if !strings.Contains(told.String(), part) {
			s.t.Errorf("the function's log does not say %s:\n%s", part, told)
		}
	}
	if err := replica.ResumeReplay(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if err := replica.WaitForReplay(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if err := s.deliverAgain(arn); err != nil {
		s.t.Errorf("the next delivery: %v\n%s", err, told)
	}
}
