package integration_test

import (
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestAValidationHookRefusesThePassword runs on a server with PostgreSQL's own
// hook. Of a password that comes as a verifier it knows one thing: whether it
// is the username.
//
// https://www.postgresql.org/docs/current/passwordcheck.html
func TestAValidationHookRefusesThePassword(t *testing.T) {
	t.Parallel()
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Settings: map[string]string{"shared_preload_libraries": "passwordcheck"}})
	for _, byAdmin := range []bool{false, true} {
		s := newStage(t, stageOptions{server: server})
		username, first := s.account()
		document := s.document(username, first)
		if byAdmin {
			s.adminSecret(document)
		}
		arn := s.secret(document)
		document["password"] = username
		token := s.pend(arn, document)

		if err := s.invoke("setSecret", arn, token); err == nil {
			t.Fatal("setSecret went through")
		}
		log := s.aws.FunctionLog(function)
		for _, part := range []string{`"class":"password-rules"`, "PASSWORD_LENGTH", arn} {
			if !strings.Contains(log, part) {
				t.Errorf("the function's log does not say %s:\n%s", part, log)
			}
		}
		if s.value(arn, "AWSPENDING") != "" {
			t.Error("AWSPENDING stays on a version whose password the server will never take")
		}
		if !s.opens(arn, "AWSCURRENT") {
			t.Error("AWSCURRENT does not open the database")
		}
		if err := s.rotate(arn); err != nil {
			t.Fatalf("the next rotation: %v\n%s", err, s.aws.FunctionLog(function))
		}
		if !s.opens(arn, "AWSCURRENT") || s.accepts(username, first) {
			t.Error("the next rotation made no other password")
		}
	}
}
