package integration_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestTwoPostgresAccountsTakeTurns is the alternating strategy by the deployed
// executable: both credentials open between two rotations, what either makes
// is the other's too, and nothing fails on the way.
func TestTwoPostgresAccountsTakeTurns(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedPostgresVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := startPostgres(t, dbservers.PostgresOptions{Version: version})
			s := newStage(t, stageOptions{server: server, env: map[string]string{"CREATE_TWINS": "true"}})
			s.isNoSuperuser()
			arn := s.alternatingSecret()
			app, _ := s.credential(arn, "AWSCURRENT")
			s.exec("CREATE SCHEMA shop AUTHORIZATION " + app)

			const turns = 10
			for turn := range turns {
				_, mark := s.serverLog(0)
				before := len(s.aws.Calls())
				if err := s.rotate(arn); err != nil {
					t.Fatalf("turn %d: %v\n%s", turn, err, s.aws.FunctionLog(function))
				}
				log, _ := s.serverLog(mark)
				if good, failed := signIns(log); good != 3 || failed != 0 {
					t.Errorf("turn %d: the server counts %d sign-ins and %d failed ones, want 3 and none", turn, good, failed)
				}
				if calls := s.callsOfTheFunction(before); calls != 9 {
					t.Errorf("turn %d: %d calls of Secrets Manager, want 9", turn, calls)
				}
				if !s.opens(arn, "AWSCURRENT") || !s.opens(arn, "AWSPREVIOUS") {
					t.Fatalf("turn %d: a credential does not open the database", turn)
				}
				username, _ := s.credential(arn, "AWSCURRENT")
				if want := map[bool]string{true: app + "_clone", false: app}[turn%2 == 0]; username != want {
					t.Errorf("turn %d is %s's, want %s's", turn, username, want)
				}
				s.noPasswordIn("the server's log", log)

				// A table of each turn, and every earlier one read, written
				// and altered.
				conn := s.as(arn, "AWSCURRENT")
				for earlier := range turn {
					for _, statement := range []string{
						fmt.Sprintf("SELECT * FROM shop.t%d", earlier),
						fmt.Sprintf("INSERT INTO shop.t%d VALUES (1)", earlier),
						fmt.Sprintf("ALTER TABLE shop.t%d ADD c%d int", earlier, turn),
					} {
						if _, err := conn.Exec(t.Context(), statement); err != nil {
							t.Errorf("turn %d: %s: %v", turn, statement, err)
						}
					}
				}
				if _, err := conn.Exec(t.Context(), fmt.Sprintf("CREATE TABLE shop.t%d (id int)", turn)); err != nil {
					t.Errorf("turn %d: %v", turn, err)
				}
			}
		})
	}
}

func (s *stage) exec(statements ...string) {
	s.t.Helper()
	for _, statement := range statements {
		if err := s.server.Exec(s.t.Context(), statement); err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// as signs in with the credential under a label.
func (s *stage) as(arn, label string) *pgx.Conn {
	s.t.Helper()
	conn, err := dbservers.Connect(s.t.Context(), s.server.Login(s.credential(arn, label)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// TestWhatTheSiblingIsGrantedReachesTheTwin grants and revokes between turns.
func TestWhatTheSiblingIsGrantedReachesTheTwin(t *testing.T) {
	t.Parallel()
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
	s := newStage(t, stageOptions{server: server, env: map[string]string{"CREATE_TWINS": "true"}})
	arn := s.alternatingSecret()
	app, _ := s.credential(arn, "AWSCURRENT")
	s.exec("CREATE TABLE granted_"+app+" (id int)", "ALTER ROLE "+app+" SET statement_timeout = '7s'")
	if err := s.rotate(arn); err != nil {
		t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
	}
	for _, row := range []struct {
		name, statement string
		readable        bool
		timeout         string
	}{
		{"nothing granted", "SELECT", false, "7s"},
		{"granted", "GRANT SELECT ON granted_" + app + " TO " + app, true, "7s"},
		{"revoked", "REVOKE SELECT ON granted_" + app + " FROM " + app, false, "7s"},
		{"a setting changed", "ALTER ROLE " + app + " SET statement_timeout = '9s'", false, "9s"},
	} {
		s.exec(row.statement)
		// Two turns, so that the twin is current again and was synced.
		for range 2 {
			if err := s.rotate(arn); err != nil {
				t.Fatalf("%s: %v\n%s", row.name, err, s.aws.FunctionLog(function))
			}
		}
		if username, _ := s.credential(arn, "AWSCURRENT"); username != app+"_clone" {
			t.Fatalf("%s is current, want the twin", username)
		}
		conn := s.as(arn, "AWSCURRENT")
		if _, err := conn.Exec(t.Context(), "SELECT * FROM granted_"+app); (err == nil) != row.readable {
			t.Errorf("%s: reading as the twin: %v", row.name, err)
		}
		var timeout string
		if err := conn.QueryRow(t.Context(), "SHOW statement_timeout").Scan(&timeout); err != nil || timeout != row.timeout {
			t.Errorf("%s: the twin's statement_timeout is %s (%v), want %s", row.name, timeout, err, row.timeout)
		}
	}
}

// TestAccountsThatOnlyHaveNamesOfAPair are two people's: app and app_clone. Who
// holds the secret of one must not be given the other, whichever it is.
func TestAccountsThatOnlyHaveNamesOfAPair(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedPostgresVersions() {
		for _, row := range []struct{ name, mine, theirs string }{
			{"mine is the one that would be canonical", "", "_clone"},
			{"mine is the one that would be the twin", "_clone", ""},
		} {
			t.Run(version+" "+row.name, func(t *testing.T) {
				t.Parallel()
				server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				base := fmt.Sprintf("pair_%d_%d", os.Getpid(), accounts.Add(1))
				mine, theirs := base+row.mine, base+row.theirs
				const myPassword, theirPassword = "planted-mine-1", "planted-theirs-1"
				for username, password := range map[string]string{mine: myPassword, theirs: theirPassword} {
					s.planted.add(password)
					if err := server.CreateUser(t.Context(), username, password); err != nil {
						t.Fatal(err)
					}
				}
				document := s.document(mine, myPassword)
				s.adminSecret(document)
				delete(document, "dbrotation")
				arn := s.secret(document)
				if err := s.rotate(arn); err == nil {
					t.Error("the rotation went through")
				}
				log := s.aws.FunctionLog(function)
				for _, part := range []string{`"class":"forbidden"`, base, "AWSPREVIOUS"} {
					if !strings.Contains(log, part) {
						t.Errorf("the function's log does not say %s:\n%s", part, log)
					}
				}
				if !s.accepts(theirs, theirPassword) || !s.accepts(mine, myPassword) {
					t.Error("a password changed")
				}
			})
		}
	}
}
