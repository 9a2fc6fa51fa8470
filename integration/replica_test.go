package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
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
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
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
	postgres.Driver
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

func (r resolved) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	req.Admin = r.resolve(req.Admin)
	return r.Driver.OpenTwin(ctx, req)
}

func (r resolved) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	req.Login = r.resolve(req.Login)
	return r.Driver.VerifyTwin(ctx, req)
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
	driver := resolved{postgres.New(), map[string]string{writerHost: s.server.Host, replicaHost: replica.Host}}
	accessKey, secretKey, session := s.aws.FunctionCredentials(inProcess)
	provider := credentials.NewStaticCredentialsProvider(accessKey, secretKey, session)
	log := &writtenLog{}
	rotation, err := rotator.New(rotator.Config{
		Secrets: awsstore.New(secretsmanager.New(secretsmanager.Options{Region: region, BaseEndpoint: aws.String(s.aws.Endpoint()), Credentials: provider})),
		Topology: awstopology.New(aws.Config{Region: region, Credentials: provider},
			func(o *rds.Options) { o.BaseEndpoint = aws.String(service.URL()) }),
		Drivers: map[string]dbdrivers.Driver{"postgres": driver}, Roots: s.server.Roots, CreateTwins: true,
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
		return rotation.Handle(ctx, event)
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
func replicaStage(t *testing.T, timeout time.Duration) (*stage, *dbservers.Replica, *writtenLog) {
	t.Helper()
	primary := startPostgres(t, dbservers.PostgresOptions{Version: "18"})
	replica, err := primary.StartReplica(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := replica.Close(); err != nil {
			t.Error(err)
		}
	})
	s := newStage(t, stageOptions{server: primary, tries: 1})
	return s, replica, s.withReplica(replica, timeout)
}

// secretAtReplica makes an account and its secret, whose host is the replica; the
// admin's is the writer.
func (s *stage) secretAtReplica(replica *dbservers.Replica, twins bool) (username, arn string) {
	s.t.Helper()
	username, first := s.account()
	document := s.document(username, first)
	s.host = writerHost
	s.adminSecret(document)
	document["host"], document["port"] = replicaHost, replica.Port
	if twins {
		delete(document, "dbrotation")
	}
	return username, s.secret(document)
}

func logOf(t *testing.T, replica *dbservers.Replica) string {
	t.Helper()
	text, err := replica.Log(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return text
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

// TestTestSecretWaitsForAReplica: applications sign in at a replica, which does
// not replay what the admin changes at the writer before testSecret has met it.
func TestTestSecretWaitsForAReplica(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		twins bool
		// resumes is false where the replica never catches up.
		resumes bool
		timeout time.Duration
		refused int // at the replica
	}{
		{name: "single", resumes: true, refused: 2},
		{name: "two accounts take turns", twins: true, resumes: true, refused: 2},
		{name: "single, and it never arrives", timeout: 12 * time.Second, refused: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, replica, told := replicaStage(t, row.timeout)
			username, arn := s.secretAtReplica(replica, row.twins)
			if row.twins { // both exist, and AWSPREVIOUS names the one whose turn it is
				for range 2 {
					if err := s.rotateAtReplica(arn, func(context.Context) {}); err != nil {
						t.Fatalf("%v\n%s", err, told)
					}
				}
			}
			if err := replica.WaitForReplay(t.Context()); err != nil {
				t.Fatal(err)
			}

			if err := replica.PauseReplay(t.Context()); err != nil {
				t.Fatal(err)
			}
			mark := len(logOf(t, replica))
			_, writersMark := s.serverLog(0)
			err := s.rotateAtReplica(arn, func(ctx context.Context) {
				if !row.resumes {
					return
				}
				// pending was refused, and the account's former credential opened.
				for signedIn := 0; signedIn < 2 && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
					signedIn = strings.Count(logOf(t, replica)[mark:], "connection authorized: user="+username)
				}
				if err := replica.ResumeReplay(ctx); err != nil {
					t.Error(err)
				}
			})
			if log, _ := s.serverLog(writersMark); authFailed.MatchString(log) {
				t.Errorf("the writer refused something:\n%s", log)
			}
			log := logOf(t, replica)[mark:]
			if refused := strings.Count(log, "password authentication failed"); refused != row.refused {
				t.Errorf("the replica refused %d sign-ins, want %d:\n%s", refused, row.refused, log)
			}
			s.noPasswordIn("the function's log", told.String())
			if !row.resumes {
				if err == nil {
					t.Fatal("the rotation went through")
				}
				for _, part := range []string{replicaHost, "is not the writer", "caught up", `"class":"refused"`} {
					if !strings.Contains(told.String(), part) {
						t.Errorf("the function's log does not say %s:\n%s", part, told)
					}
				}
				if err := replica.ResumeReplay(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := replica.WaitForReplay(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := s.deliverAgain(arn); err != nil {
					t.Errorf("the next delivery: %v\n%s", err, told)
				}
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
		})
	}
}
