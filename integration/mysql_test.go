package integration_test

import (
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestMySQLRotates is the whole way, ten times in a row: RotateSecret through
// the real SDK, the deployed executable through the Lambda Runtime API, a real
// server.
func TestMySQLRotates(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedMySQLVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			// A server of its own, and one row after the other: the sign-ins
			// of its admin are counted.
			server := startMySQL(t, dbservers.MySQLOptions{Version: version})
			for _, row := range mysqlRows {
				t.Run(row.name, func(t *testing.T) { rotateTenTimes(t, server, row) })
			}
		})
	}
}

// rotationRow is a strategy, and what a rotation by it may cost.
type rotationRow struct {
	name          string
	secret        func(*stage) (arn string)
	calls, logins int
	// overlaps is true where the credential before the rotation goes on
	// opening the database until the next one.
	overlaps bool
	// takeTurns is true where the secret's two accounts take turns.
	takeTurns bool
	// statement is how a change begins, if not with ALTER USER.
	statement string
}

var mysqlRows = []rotationRow{
	{name: "single by itself", secret: (*stage).singleSecret, calls: 8, logins: 2},
	{name: "single by an admin", secret: (*stage).singleSecretByAdmin, calls: 9, logins: 3},
	{name: "dual-password by itself", secret: (*stage).dualPasswordSecret, calls: 8, logins: 2, overlaps: true},
	{name: "dual-password by an admin", secret: (*stage).dualPasswordSecretByAdmin, calls: 9, logins: 3, overlaps: true},
	{name: "alternating", secret: (*stage).alternatingSecret, calls: 9, logins: 3, overlaps: true, takeTurns: true},
}

// rotateTenTimes counts on each rotation what it cost, by the server's own log.
func rotateTenTimes(t *testing.T, server *dbservers.Server, row rotationRow) {
	s := newStage(t, stageOptions{server: server, env: map[string]string{"CREATE_TWINS": "true"}})
	arn := row.secret(s)
	app, _ := s.credential(arn, "AWSCURRENT")
	accounts := []string{app, app + "_clone", server.Admin.Username}
	for turn := range 10 {
		replacedUsername, replacedPassword := s.credential(arn, "AWSPREVIOUS")
		username, password := s.credential(arn, "AWSCURRENT")
		before, signedIn := len(s.aws.Calls()), s.signIns(accounts...)
		if err := s.rotate(arn); err != nil {
			t.Fatalf("rotation %d: %v\n%s", turn, err, s.aws.FunctionLog(function))
		}
		after := s.signIns(accounts...)
		if good, refused := after.Accepted-signedIn.Accepted, after.Refused-signedIn.Refused; good != row.logins || refused != 0 {
			t.Errorf("rotation %d: the server counts %d sign-ins and %d refused ones, want %d and none", turn, good, refused, row.logins)
		}
		if calls := s.callsOfTheFunction(before); calls != row.calls {
			t.Errorf("rotation %d: %d calls of Secrets Manager, want %d", turn, calls, row.calls)
		}

		if !s.opens(arn, "AWSCURRENT") {
			t.Errorf("rotation %d: AWSCURRENT does not open the database", turn)
		}
		if s.password(arn, "AWSCURRENT") == password {
			t.Errorf("rotation %d: the password did not change", turn)
		}
		if gotUsername, gotPassword := s.credential(arn, "AWSPREVIOUS"); gotUsername != username || gotPassword != password {
			t.Errorf("rotation %d: AWSPREVIOUS does not hold what was AWSCURRENT", turn)
		}
		if open := s.opens(arn, "AWSPREVIOUS"); open != row.overlaps {
			t.Errorf("rotation %d: AWSPREVIOUS opens the database: %t, want %t", turn, open, row.overlaps)
		}
		if replacedUsername != "" && s.accepts(replacedUsername, replacedPassword) {
			t.Errorf("rotation %d: the credential before the last two still opens the database", turn)
		}
		want := app
		if row.takeTurns && turn%2 == 0 {
			want += "_clone"
		}
		if got, _ := s.credential(arn, "AWSCURRENT"); got != want {
			t.Errorf("rotation %d is %s's, want %s's", turn, got, want)
		}
	}
	s.noPasswordInTheLogs(row.statement)
}

// startMySQL starts a server for one test alone.
func startMySQL(t *testing.T, options dbservers.MySQLOptions) *dbservers.Server {
	t.Helper()
	server, err := dbservers.StartMySQL(t.Context(), options)
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

// dualPasswordSecret makes an account that may keep two passwords, and its
// secret.
func (s *stage) dualPasswordSecret() (arn string) {
	s.t.Helper()
	username, password := s.account()
	s.exec("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO `" + username + "`@`%`")
	document := s.document(username, password)
	document["dbrotation"] = map[string]any{"strategy": "dual-password"}
	return s.secret(document)
}

// dualPasswordSecretByAdmin is dualPasswordSecret with an admin who makes the
// change; the account needs no right for it.
func (s *stage) dualPasswordSecretByAdmin() (arn string) {
	s.t.Helper()
	document := s.document(s.account())
	s.adminSecret(document)
	document["dbrotation"] = map[string]any{"strategy": "dual-password"}
	return s.secret(document)
}

// signIns counts the attempts to sign in as some users, by the server's own log.
func (s *stage) signIns(users ...string) dbservers.SignIns {
	s.t.Helper()
	counted, err := s.server.SignIns(s.t.Context(), users...)
	if err != nil {
		s.t.Fatal(err)
	}
	return counted
}

// noPasswordInTheLogs searches all that the server writes of statements, of
// which each log has to hold one: ALTER USER, if no other is named.
func (s *stage) noPasswordInTheLogs(statement string) {
	s.t.Helper()
	if statement == "" {
		statement = "ALTER USER"
	}
	logs, err := s.server.Logs(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	changes := 0
	for name, text := range logs {
		s.noPasswordIn("the server's "+name, text)
		if strings.Contains(text, statement) {
			changes++
		}
	}
	// Of MySQL and MariaDB the general log, the slow query log and the binary log.
	wanted := map[string]int{"mysql": 3, "mariadb": 3}[s.server.Engine]
	if changes < max(wanted, 1) {
		s.t.Errorf("%d of %d logs of the server hold the statements, so nothing can be searched in the others", changes, len(logs))
	}
}
