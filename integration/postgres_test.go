package integration_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

// TestPostgresRotates is the whole way: RotateSecret through the real SDK, the
// deployed executable through the Lambda Runtime API, a real server.
func TestPostgresRotates(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedPostgresVersions() {
		for _, row := range []struct {
			name          string
			byAdmin       bool
			calls, logins int
		}{
			{"by itself", false, 8, 2},
			{"by an admin", true, 9, 3},
		} {
			t.Run(version+" "+row.name, func(t *testing.T) {
				t.Parallel()
				// A server of its own: its log is counted.
				server := startPostgres(t, dbservers.PostgresOptions{Version: version})
				s := newStage(t, stageOptions{server: server})
				s.isNoSuperuser()
				username, first := s.account()
				document := s.document(username, first)
				document["team"] = map[string]any{"name": "billing"}
				if row.byAdmin {
					s.adminSecret(document)
				}
				arn := s.secret(document)

				_, mark := s.serverLog(0)
				before := len(s.aws.Calls())
				if err := s.rotate(arn); err != nil {
					t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
				}
				log, _ := s.serverLog(mark)
				if calls := s.callsOfTheFunction(before); calls != row.calls {
					t.Errorf("%d calls of Secrets Manager, want %d", calls, row.calls)
				}
				if good, failed := signIns(log); good != row.logins || failed != 0 {
					t.Errorf("the server counts %d sign-ins and %d failed ones, want %d and none:\n%s", good, failed, row.logins, log)
				}
				if !s.opens(arn, "AWSCURRENT") {
					t.Error("AWSCURRENT does not open the database")
				}
				if s.accepts(username, first) {
					t.Error("the old password still opens the database")
				}
				if s.password(arn, "AWSPREVIOUS") != first {
					t.Error("AWSPREVIOUS does not hold the old password")
				}
				if !strings.Contains(log, "ALTER ROLE") {
					t.Errorf("the server's log does not hold the statements, so nothing can be searched in it:\n%s", log)
				}
				s.noPasswordIn("the server's log", log)
				sameBesidesPassword(t, s, arn, document)
			})
		}
	}
}

// startPostgres starts a server for one test alone.
func startPostgres(t *testing.T, options dbservers.PostgresOptions) *dbservers.Server {
	t.Helper()
	server, err := dbservers.StartPostgres(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// isNoSuperuser proves that the tests' admin is shaped as RDS's master user.
func (s *stage) isNoSuperuser() {
	s.t.Helper()
	conn, err := dbservers.Connect(s.t.Context(), s.server.Admin)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(s.t.Context()) }()
	var super, createRole bool
	if err := conn.QueryRow(s.t.Context(), "SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = session_user").Scan(&super, &createRole); err != nil {
		s.t.Fatal(err)
	}
	if super || !createRole {
		s.t.Errorf("the admin is superuser: %v, may create roles: %v; RDS's master user may, and is not", super, createRole)
	}
}

var (
	authorized = regexp.MustCompile(`connection authorized: user=`)
	authFailed = regexp.MustCompile(`FATAL:`)
)

// signIns counts the sign-ins in a server's log.
func signIns(log string) (good, failed int) {
	return len(authorized.FindAllString(log, -1)), len(authFailed.FindAllString(log, -1))
}

// sameBesidesPassword proves that the rotation changed the password alone.
func sameBesidesPassword(t *testing.T, s *stage, arn string, before map[string]any) {
	t.Helper()
	out, err := s.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := before["password"].(string)
	want := strings.Replace(string(encoded), old, s.password(arn, "AWSCURRENT"), 1)
	if diff := cmp.Diff(want, aws.ToString(out.SecretString)); diff != "" {
		t.Error("the document changed in more than its password")
	}
}

// TestPostgresRotatesAsTheServerIsSet goes through what a server's or an
// account's settings can do to a rotation.
func TestPostgresRotatesAsTheServerIsSet(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		version  string
		settings map[string]string
		sql      []string // as superuser, %s is the account
		hash     string   // of the secret
		verifier string   // what the server holds afterwards begins with it
	}{
		{name: "scram with more iterations", version: "18", settings: map[string]string{"scram_iterations": "20000"}, verifier: "SCRAM-SHA-256$20000:"},
		{name: "md5 stays md5 for old clients", version: "15", settings: map[string]string{"password_encryption": "md5"}, verifier: "md5"},
		{name: "the secret keeps an md5 account md5", version: "15", settings: map[string]string{"password_encryption": "md5"}, sql: []string{"ALTER ROLE %s SET password_encryption = 'scram-sha-256'"}, hash: "md5", verifier: "md5"},
		{name: "the secret moves an md5 server's account to scram", version: "15", settings: map[string]string{"password_encryption": "md5"}, hash: "scram-sha-256", verifier: "SCRAM-SHA-256$4096:"},
		{name: "a read-only role", version: "18", sql: []string{"ALTER ROLE %s SET default_transaction_read_only = on"}, verifier: "SCRAM-SHA-256$"},
		{name: "a role whose statements time out", version: "18", sql: []string{"ALTER ROLE %s SET statement_timeout = 1", "ALTER ROLE %s SET lock_timeout = 1"}, verifier: "SCRAM-SHA-256$"},
		{name: "a role that acts as another", version: "18", sql: []string{"CREATE ROLE owner_%[1]s NOLOGIN", "GRANT owner_%[1]s TO %[1]s", "ALTER ROLE %s SET role = 'owner_%[1]s'"}, verifier: "SCRAM-SHA-256$"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := sharedPostgres(t, dbservers.PostgresOptions{Version: row.version, Settings: row.settings, Plaintext: row.settings == nil})
			s := newStage(t, stageOptions{server: server})
			username, first := s.account()
			for _, statement := range row.sql {
				statement = strings.ReplaceAll(strings.ReplaceAll(statement, "%[1]s", username), "%s", username)
				if err := server.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			document := s.document(username, first)
			if row.hash != "" {
				document["dbrotation"] = map[string]any{"hash": row.hash}
			}
			arn := s.secret(document)
			if err := s.rotate(arn); err != nil {
				t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
			}
			if !s.opens(arn, "AWSCURRENT") || s.accepts(username, first) {
				t.Error("AWSCURRENT does not open the database, or the old password does")
			}
			if got := storedVerifier(t, server, username); !strings.HasPrefix(got, row.verifier) {
				t.Errorf("the server holds %.20s..., want %s...", got, row.verifier)
			}
		})
	}
}

func storedVerifier(t *testing.T, server *dbservers.Server, username string) (verifier string) {
	t.Helper()
	conn, err := server.ConnectSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), "SELECT rolpassword FROM pg_authid WHERE rolname = $1", username).Scan(&verifier); err != nil {
		t.Fatal(err)
	}
	return verifier
}

// TestTenPostgresRotationsInARow counts over many rotations what the budget
// says of one.
func TestTenPostgresRotationsInARow(t *testing.T) {
	t.Parallel()
	server := startPostgres(t, dbservers.PostgresOptions{Version: "18"})
	s := newStage(t, stageOptions{server: server})
	arn := s.secret(s.document(s.account()))
	_, mark := s.serverLog(0)
	for range 10 {
		if err := s.rotate(arn); err != nil {
			t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
		}
	}
	log, _ := s.serverLog(mark)
	if good, failed := signIns(log); good != 20 || failed != 0 {
		t.Errorf("the server counts %d sign-ins and %d failed ones, want 20 and none", good, failed)
	}
	if !s.opens(arn, "AWSCURRENT") {
		t.Error("AWSCURRENT does not open the database")
	}
	s.noPasswordIn("the server's log", log)
}

// TestNoPasswordOnAnErrorsStatementLine makes the change itself fail: servers
// log the statement of every error, even where they log no others.
func TestNoPasswordOnAnErrorsStatementLine(t *testing.T) {
	t.Parallel()
	server := startPostgres(t, dbservers.PostgresOptions{Version: "18", Settings: map[string]string{"log_statement": "none"}})
	s := newStage(t, stageOptions{server: server, tries: 1, timeout: 6 * time.Second})
	username, first := s.account()
	arn := s.secret(s.document(username, first))
	// Another session holds the account's row, so that the change waits until
	// its own time-out ends it.
	conn, err := server.ConnectSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), fmt.Sprintf("BEGIN; ALTER ROLE %s CONNECTION LIMIT 7", username)); err != nil {
		t.Fatal(err)
	}
	if err := s.rotate(arn); err == nil {
		t.Fatal("the rotation went through")
	}
	if log := s.aws.FunctionLog(function); !strings.Contains(log, `"class":"busy"`) {
		t.Errorf("the function does not say that the server is busy:\n%s", log)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	s.password(arn, "AWSPENDING")
	log, _ := s.serverLog(0)
	if !regexp.MustCompile(`STATEMENT: .*ALTER ROLE`).MatchString(log) {
		t.Errorf("the server logged no failed change, so nothing can be searched in it:\n%s", log)
	}
	s.noPasswordIn("the server's log", log)
	if !s.accepts(username, first) {
		t.Error("the account's password changed")
	}
}

// TestRotateWithoutChangingAnything is what a new schedule does first.
func TestRotateWithoutChangingAnything(t *testing.T) {
	t.Parallel()
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
	s := newStage(t, stageOptions{server: server})
	username, first := s.account()
	arn := s.secret(s.document(username, first))
	if _, err := s.client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, function)), RotateImmediately: aws.Bool(false),
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.aws.WaitForRotation(t.Context(), region, arn); err != nil {
		t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
	}
	if !s.accepts(username, first) || s.password(arn, "AWSCURRENT") != first {
		t.Error("something changed")
	}
}
