package integration_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestTwoPostgresAccountsOfTheOperatorsTakeTurns is the alternating strategy by
// the deployed executable, with two accounts that the operator made.
func TestTwoPostgresAccountsOfTheOperatorsTakeTurns(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		ownerRole bool
		startTwin bool
	}{
		{name: "the canonical account is current"},
		{name: "the twin is current", startTwin: true},
		{name: "both act as an owner role", ownerRole: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
			name := fmt.Sprintf("pair_%d_%d", os.Getpid(), accounts.Add(1))
			canonical, twin, owner := name+"_clone", name+"_b", name+"_owner"
			s := newStage(t, stageOptions{server: server, env: map[string]string{
				"TWINS": canonical + ":" + twin, "OWNER_ROLES": owner, "ADOPT": "reassign",
			}})
			password := "planted-" + rand.Text()
			s.planted.add(password)
			for _, account := range []string{canonical, twin} {
				if err := server.CreateUser(t.Context(), account, password); err != nil {
					t.Fatal(err)
				}
			}
			username := map[bool]string{false: canonical, true: twin}[row.startTwin]
			document := s.document(username, password)
			s.adminSecret(document)
			settings := map[string]any{"twins": []string{canonical, twin}}
			shared := canonical
			if row.ownerRole {
				shared = owner
				settings["ownerRole"] = owner
				s.exec("CREATE ROLE "+owner, "GRANT "+owner+" TO "+s.server.Admin.Username+" WITH ADMIN OPTION",
					"GRANT "+owner+" TO "+canonical, "ALTER ROLE "+canonical+" SET role = "+owner)
			}
			document["dbrotation"] = settings
			arn := s.secret(document)
			s.exec("CREATE SCHEMA "+name+" AUTHORIZATION "+shared,
				"CREATE TABLE "+name+".old (id int)", "ALTER TABLE "+name+".old OWNER TO "+twin,
				// What was granted to the twin itself would keep it from its sibling's role.
				"REVOKE ALL ON DATABASE "+s.server.Database+" FROM "+twin)
			const turns = 10
			for turn := range turns {
				if err := s.rotate(arn); err != nil {
					t.Fatalf("turn %d: %v\n%s", turn, err, s.aws.FunctionLog(function))
				}
				username = map[string]string{canonical: twin, twin: canonical}[username]
				if got, _ := s.credential(arn, "AWSCURRENT"); got != username {
					t.Fatalf("turn %d: %s is current, want %s", turn, got, username)
				}
				if !s.opens(arn, "AWSCURRENT") || !s.opens(arn, "AWSPREVIOUS") {
					t.Fatalf("turn %d: a credential does not open the database", turn)
				}
				conn := s.as(arn, "AWSCURRENT")
				for earlier := range turn {
					if _, err := conn.Exec(t.Context(), fmt.Sprintf("ALTER TABLE %s.t%d ADD c%d int", name, earlier, turn)); err != nil {
						t.Errorf("turn %d: %v", turn, err)
					}
				}
				if _, err := conn.Exec(t.Context(), fmt.Sprintf("CREATE TABLE %s.t%d (id int)", name, turn)); err != nil {
					t.Errorf("turn %d: %v", turn, err)
				}
			}
			s.noPasswordIn("the function's log", s.aws.FunctionLog(function))
		})
	}
}
