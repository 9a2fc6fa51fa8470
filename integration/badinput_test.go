package integration_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

// TestBadInput gives the deployed function what people and accidents give it.
// Each ends with an error that says what is wrong and what to do, AWSCURRENT
// as it was, and a labelled credential that opens the database.
func TestBadInput(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		server dbservers.PostgresOptions
		edit   func(s *stage, document map[string]any)
		text   string // instead of a document
		step   string // where it shows
		class  string // as the function logs it
		says   []string
	}{
		{name: "a secret that is not JSON", text: "just-a-password-planted", step: "createSecret", class: "invalid-secret", says: []string{"not a JSON object"}},
		{name: "a secret that lacks fields", edit: without("engine", "host", "username"), step: "createSecret", class: "invalid-secret",
			says: []string{"3 faults", `\"engine\" is missing`, `\"host\" is missing`, `\"username\" is missing`}},
		{name: "an unknown engine", edit: with("engine", "oracle"), step: "createSecret", class: "invalid-secret", says: []string{`\"engine\"`, "aurora-mysql, aurora-postgresql, docdb, documentdb, mariadb, mongo, mysql, postgres, redshift"}},
		{name: "a port of abc", edit: with("port", "abc"), step: "createSecret", class: "invalid-secret", says: []string{`\"port\" is \"abc\"`}},
		{name: "several faults at once", edit: func(s *stage, document map[string]any) {
			document["port"] = "abc"
			document["ssl"] = "maybe"
			document["dbrotation"] = map[string]any{"hash": "sha1", "strategy": "none"}
			delete(document, "password")
		}, step: "createSecret", class: "invalid-secret", says: []string{"5 faults", "port", "ssl", "hash", "strategy", "password"}},
		{name: "a host that does not exist", edit: with("host", "nowhere.invalid"), step: "setSecret", class: "unreachable", says: []string{"nowhere.invalid"}},
		{name: "a host where nothing listens", edit: func(s *stage, document map[string]any) { document["port"] = closedPort }, step: "setSecret", class: "unreachable", says: []string{"refused"}},
		{name: "a host that never answers", edit: func(s *stage, document map[string]any) { document["port"] = silentPort(s.t) }, step: "setSecret", class: "unreachable", says: []string{"127.0.0.1"}},
		{name: "a server without TLS", server: dbservers.PostgresOptions{Version: "15", NoTLS: true}, step: "setSecret", class: "tls", says: []string{"TLS", `\"ssl\": false`}},
		{name: "an unknown authority", edit: func(s *stage, document map[string]any) { behindAnotherAuthority(s, document) }, step: "setSecret", class: "tls", says: []string{"SSL_ROOTS"}},
		{name: "a certificate of another name", edit: func(s *stage, document map[string]any) { behindAnotherName(s, document) }, step: "setSecret", class: "tls", says: []string{"sslServerName"}},
		{name: "a wrong current password", edit: with("password", "planted-wrong-password"), step: "setSecret", class: "nothing-opens", says: []string{"AWSCURRENT", "AWSPENDING", "PutSecretValue"}},
		{name: "a database that does not exist", edit: with("dbname", "nosuchdb"), step: "setSecret", class: "barred", says: []string{"nosuchdb"}},
		{name: "an account that does not exist", edit: with("username", "nobody_here"), step: "setSecret", class: "nothing-opens", says: []string{"nobody_here"}},
		{name: "an alternating secret, and no leave to create the twin", edit: func(s *stage, document map[string]any) {
			s.adminSecret(document)
			delete(document, "dbrotation")
		}, step: "setSecret", class: "unsupported", says: []string{"CREATE_TWINS", "_clone"}},
		{name: "an alternating secret without an admin", edit: with("dbrotation", map[string]any{"strategy": "alternating"}), step: "createSecret", class: "invalid-secret", says: []string{`\"masterarn\" is missing`}},
		{name: "an admin's secret that does not exist", edit: func(s *stage, document map[string]any) {
			document["masterarn"] = "arn:aws:secretsmanager:" + region + ":" + localaws.Account + ":secret:nosuch-AbCdEf"
			document["dbrotation"] = map[string]any{"strategy": "single"}
		}, step: "setSecret", class: "secrets-manager", says: []string{"masterarn", "nosuch-AbCdEf"}},
		{name: "an admin without ADMIN OPTION on the account", server: dbservers.PostgresOptions{Version: "18", Plaintext: true}, edit: func(s *stage, document map[string]any) {
			s.adminSecret(document)
			s.ownedBySomeoneElse(document)
		}, step: "setSecret", class: "privilege", says: []string{"ADMIN OPTION", "GRANT"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.server.Version == "" {
				row.server = dbservers.PostgresOptions{Version: "18", Plaintext: true}
			}
			s := newStage(t, stageOptions{server: sharedPostgres(t, row.server), timeout: 5 * time.Second, tries: 1})
			username, first := s.account()
			document := s.document(username, first)
			var arn string
			if row.text != "" {
				s.planted.add(row.text)
				arn = s.secretText(row.text)
			} else {
				if row.edit != nil {
					row.edit(s, document)
				}
				if text, ok := document["password"].(string); ok {
					s.planted.add(text)
				}
				arn = s.secret(document)
			}
			current := s.value(arn, "AWSCURRENT")
			mark := 0
			_, mark = s.serverLog(mark)

			err := s.rotate(arn)
			var failed *localaws.RotationError
			if !errors.As(err, &failed) {
				t.Fatalf("the rotation ended with %v, want a failure", err)
			}
			s.password(arn, "AWSPENDING")
			log := s.aws.FunctionLog(function)
			if failed.Step != row.step {
				t.Errorf("it failed in %s, want %s: %v", failed.Step, row.step, err)
			}
			for _, part := range append(row.says, `"class":"`+row.class+`"`, arn) {
				if !strings.Contains(log, part) {
					t.Errorf("the function's log does not say %s:\n%s", part, log)
				}
			}
			if s.value(arn, "AWSCURRENT") != current {
				t.Error("AWSCURRENT changed")
			}
			if !s.accepts(username, first) {
				t.Error("the account's password changed")
			}
			serverLog, _ := s.serverLog(mark)
			s.noPasswordIn("the server's log", serverLog)
		})
	}
}

func with(key string, value any) func(*stage, map[string]any) {
	return func(_ *stage, document map[string]any) { document[key] = value }
}

func without(keys ...string) func(*stage, map[string]any) {
	return func(_ *stage, document map[string]any) {
		for _, key := range keys {
			delete(document, key)
		}
	}
}

// value returns the text under a label.
func (s *stage) value(arn, label string) string {
	s.t.Helper()
	out, err := s.client.GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionStage: &label})
	if err != nil {
		return ""
	}
	return aws.ToString(out.SecretString)
}

// closedPort is one at which nothing listens. A port that was free a moment ago
// could be another test's by now.
const closedPort = 1

// silentPort returns a port that accepts connections and says nothing.
func silentPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return portOf(t, listener)
}

func portOf(t *testing.T, listener net.Listener) int {
	t.Helper()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("%v is no TCP address", listener.Addr())
	}
	return address.Port
}

// behindAnotherAuthority points a document at a gate whose certificate is
// signed by an authority that the function does not know.
func behindAnotherAuthority(s *stage, document map[string]any) {
	s.t.Helper()
	ca, err := dbservers.NewCA()
	if err != nil {
		s.t.Fatal(err)
	}
	s.behindGate(document, ca, "127.0.0.1")
}

// behindAnotherName points a document at a gate whose certificate carries
// another name.
func behindAnotherName(s *stage, document map[string]any) {
	s.behindGate(document, s.server.CA, "db.example.com")
}

func (s *stage) behindGate(document map[string]any, ca *dbservers.CA, name string) {
	s.t.Helper()
	certificate, key, err := ca.Issue(name)
	if err != nil {
		s.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		s.t.Fatal(err)
	}
	gate := openGate(s.t, s.server, pair)
	document["host"], document["port"] = gate.Addr()
}

// ownedBySomeoneElse makes the document's account one that another role
// created, so that the admin has no ADMIN OPTION on it.
func (s *stage) ownedBySomeoneElse(document map[string]any) {
	s.t.Helper()
	if err := s.server.Exec(s.t.Context(), fmt.Sprintf("REVOKE %s FROM %s CASCADE", document["username"], s.server.Admin.Username)); err != nil {
		s.t.Fatal(err)
	}
}

// TestAPendingVersionThatWasTamperedWith puts a pending version in place
// before the function does, as anyone with PutSecretValue could.
func TestAPendingVersionThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		edit func(s *stage, document map[string]any)
		says string
	}{
		{"another username", with("username", "postgres"), `\"username\"`},
		{"TLS turned off", with("ssl", false), `\"ssl\"`},
		{"another host", with("host", "evil.example.com"), `\"host\"`},
		{"an admin", func(s *stage, document map[string]any) { s.adminSecret(document) }, `\"masterarn\"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
			s := newStage(t, stageOptions{server: server, tries: 1})
			username, first := s.account()
			document := s.document(username, first)
			arn := s.secret(document)
			row.edit(s, document)
			document["password"] = "planted-by-someone-else"
			s.planted.add("planted-by-someone-else")
			token := s.pend(arn, document)
			_, mark := s.serverLog(0)
			err := s.invoke("setSecret", arn, token)
			log := s.aws.FunctionLog(function)
			if err == nil || !strings.Contains(log, `"class":"mismatch"`) || !strings.Contains(log, row.says) {
				t.Errorf("error %v; the function's log does not name %s:\n%s", err, row.says, log)
			}
			if serverLog, _ := s.serverLog(mark); strings.Contains(serverLog, username) {
				t.Errorf("the database was asked:\n%s", serverLog)
			}
			if !s.accepts(username, first) || s.password(arn, "AWSCURRENT") != first {
				t.Error("something changed")
			}
		})
	}
}

// TestTheFunctionCrashesOrTimesOutInEachStep lets no attempt of a step end.
func TestTheFunctionCrashesOrTimesOutInEachStep(t *testing.T) {
	t.Parallel()
	// The calls of a rotation in order, and the step each belongs to.
	steps := []struct {
		step  string
		calls []int
	}{
		{"createSecret", []int{0, 1, 2}},
		{"setSecret", []int{3, 4}},
		{"testSecret", []int{5}},
		{"finishSecret", []int{6, 7}},
	}
	for _, kind := range []struct {
		name  string
		fault localaws.Fault
		says  string
	}{
		{"crashes", localaws.Fault{Kind: localaws.KillBefore}, "Runtime exited"},
		{"times out", localaws.Fault{Kind: localaws.Delay, Delay: 20 * time.Second}, "Secrets Manager"},
	} {
		for _, row := range steps {
			for _, call := range row.calls {
				t.Run(fmt.Sprintf("%s in %s at call %d", kind.name, row.step, call), func(t *testing.T) {
					t.Parallel()
					server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
					s := newStage(t, stageOptions{server: server, tries: 1, timeout: 3 * time.Second})
					username, first := s.account()
					arn := s.secret(s.document(username, first))
					fault := kind.fault
					fault.Function, fault.Skip, fault.Times = function, call, -1
					s.aws.Inject(fault)
					err := s.rotate(arn)
					s.aws.ClearFaults()
					var failed *localaws.RotationError
					if !errors.As(err, &failed) || failed.Step != row.step {
						t.Fatalf("the rotation ended with %v, want a failure in %s", err, row.step)
					}
					if text := err.Error() + s.aws.FunctionLog(function); !strings.Contains(text, kind.says) {
						t.Errorf("nothing says %q: %s", kind.says, text)
					}
					// A move that is answered too late was done all the same.
					if kind.fault.Kind != localaws.Delay || call != 7 {
						if s.password(arn, "AWSCURRENT") != first {
							t.Error("AWSCURRENT changed")
						}
					}
					if !s.opens(arn, "AWSCURRENT") && !s.opens(arn, "AWSPENDING") {
						t.Error("no labelled credential opens the database")
					}
					if call < 3 && !s.accepts(username, first) {
						t.Error("the database changed before setSecret")
					}
				})
			}
		}
	}
}

// TestTheDatabaseIsAwayInTheMiddle takes the server away after createSecret
// and brings it back for the retry.
func TestTheDatabaseIsAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	server := startPostgres(t, dbservers.PostgresOptions{Version: "18"})
	s := newStage(t, stageOptions{server: server, tries: 4, timeout: 10 * time.Second})
	arn := s.secret(s.document(s.account()))
	stopped, started := false, false
	s.aws.OnInvocation(func(invocation localaws.Invocation) {
		switch {
		case invocation.Step == "createSecret" && !stopped:
			stopped = true
			if err := server.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		case invocation.Step == "setSecret" && !started:
			started = true
			if err := server.Start(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	if err := s.rotate(arn); err != nil {
		t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
	}
	if !started || !strings.Contains(s.aws.FunctionLog(function), `"class":"unreachable"`) {
		t.Error("the function never found the server away")
	}
	if !s.opens(arn, "AWSCURRENT") {
		t.Error("AWSCURRENT does not open the database")
	}
}
