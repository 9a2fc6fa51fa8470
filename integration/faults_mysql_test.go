package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// familyStrategies are the ways in which a secret of MySQL or MariaDB rotates.
// An account of MariaDB cannot keep its own former password.
func familyStrategies(engine string) map[string]func(*stage) (arn string) {
	strategies := map[string]func(*stage) string{
		"single by itself":          (*stage).singleSecret,
		"single by an admin":        (*stage).singleSecretByAdmin,
		"dual-password by an admin": (*stage).dualPasswordSecretByAdmin,
		"alternating":               (*stage).alternatingSecret,
	}
	if engine == "mysql" {
		strategies["dual-password by itself"] = (*stage).dualPasswordSecret
	}
	return strategies
}

// TestOneRefusedSignInWouldLockTheAccount: the account, or the server, lets
// nobody in after a single wrong password. AWS's function tries one in each
// rotation, and thereby locks the application out.
//
// https://dev.mysql.com/doc/refman/9.7/en/password-management.html#failed-login-tracking
// https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables#max_password_errors
func TestOneRefusedSignInWouldLockTheAccount(t *testing.T) {
	t.Parallel()
	for engine, start := range map[string]func(t *testing.T) *dbservers.Server{
		"mysql": func(t *testing.T) *dbservers.Server { return sharedMySQL(t, mysqlForAWS) },
		"mariadb": func(t *testing.T) *dbservers.Server {
			return startMariaDB(t, dbservers.MariaDBOptions{Plaintext: true, Settings: map[string]string{"max_password_errors": "1"}})
		},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			for name, secret := range familyStrategies(engine) {
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				arn := secret(s)
				s.lockAfterOneRefusal(arn)
				for range 3 {
					s.mustRotateBy(function, arn)
				}
				if strings.HasPrefix(name, "alternating") && !s.opens(arn, "AWSPREVIOUS") {
					t.Errorf("%s: AWSPREVIOUS does not open the database", name)
				}
			}
			s := newStage(t, stageOptions{server: server, tries: 1})
			s.addAWSFunction(awsSingle, false)
			arn := s.singleSecret()
			s.lockAfterOneRefusal(arn)
			if err := s.rotateBy(awsSingle, arn); err == nil {
				t.Error("AWS's function rotated: one refusal locks nobody out, and nothing was shown")
			}
			if err := s.run(arn, "AWSCURRENT", "DO 1"); err == nil {
				t.Error("AWS's function has not locked the application out, and nothing was shown")
			}
		})
	}
}

// lockAfterOneRefusal is for the account under AWSCURRENT. On MariaDB the server
// is set so.
func (s *stage) lockAfterOneRefusal(arn string) {
	s.t.Helper()
	if s.server.Engine == "mysql" {
		app, _ := s.credential(arn, "AWSCURRENT")
		s.exec("ALTER USER " + app + " FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME UNBOUNDED")
	}
}

// TestNoPasswordInThePerformanceSchema: it keeps the text of statements, and
// many may read it.
//
// https://dev.mysql.com/doc/refman/9.7/en/performance-schema-statement-tables.html
func TestNoPasswordInThePerformanceSchema(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"performance_schema": "ON", "performance_schema_events_statements_history_long_size": "10000"}
	for engine, start := range map[string]func(t *testing.T) *dbservers.Server{
		"mysql": func(t *testing.T) *dbservers.Server {
			return startMySQL(t, dbservers.MySQLOptions{Plaintext: true, Settings: settings})
		},
		"mariadb": func(t *testing.T) *dbservers.Server {
			return startMariaDB(t, dbservers.MariaDBOptions{Plaintext: true, Settings: settings})
		},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			if err := server.Exec(t.Context(), "UPDATE performance_schema.setup_consumers SET enabled = 'YES'"); err != nil {
				t.Fatal(err)
			}
			for name, secret := range familyStrategies(engine) {
				s := newStage(t, stageOptions{server: server, env: map[string]string{"CREATE_TWINS": "true"}})
				arn := secret(s)
				for _, table := range statementTables {
					s.exec("TRUNCATE performance_schema." + table)
				}
				for range 2 {
					s.mustRotateBy(function, arn)
				}
				kept := s.keptStatements()
				change := "ALTER USER"
				if engine == "mariadb" && name == "single by itself" {
					change = "SET PASSWORD"
				}
				if !strings.Contains(kept, change) {
					t.Errorf("%s: no change is kept, so nothing can be searched:\n%s", name, kept)
				}
				s.noPasswordIn(name+": performance_schema", kept)
			}
			// A password in another statement would be found.
			const planted = "planted-in-a-statement"
			s := newStage(t, stageOptions{server: server})
			s.planted.add(planted)
			s.exec("SELECT '" + planted + "'")
			if !strings.Contains(s.keptStatements(), planted) {
				t.Error("performance_schema does not keep what is looked for")
			}
		})
	}
}

var statementTables = []string{"events_statements_history", "events_statements_history_long", "events_statements_summary_by_digest"}

// keptStatements returns every statement that performance_schema keeps.
func (s *stage) keptStatements() string {
	s.t.Helper()
	var kept strings.Builder
	for _, table := range statementTables {
		for _, row := range s.table("SELECT * FROM performance_schema." + table) {
			fmt.Fprintln(&kept, row)
		}
	}
	return kept.String()
}
