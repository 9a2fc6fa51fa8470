package integration_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// edit changes the document under AWSCURRENT, as an operator would.
func (s *stage) edit(arn string, change func(document map[string]any)) {
	s.t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(s.text(arn, "AWSCURRENT")), &document); err != nil {
		s.t.Fatal(err)
	}
	change(document)
	text, err := json.Marshal(document)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.client.PutSecretValue(s.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: aws.String(string(text))}); err != nil {
		s.t.Fatal(err)
	}
}

// TestASecretIsRotatedInAnotherWayFromNowOn: the operator edits one secret again
// and again. AWSPREVIOUS is then of another way, and so are the marks and the
// memberships on the server.
func TestASecretIsRotatedInAnotherWayFromNowOn(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedPostgresVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
			name := fmt.Sprintf("switch_%d_%d", os.Getpid(), accounts.Add(1))
			app, twin, owner := name, name+"_b", name+"_owner"
			s := newStage(t, stageOptions{server: server, env: map[string]string{
				"CREATE_TWINS": "true", "TWINS": app + ":" + twin, "OWNER_ROLES": owner,
			}})
			password := "planted-" + rand.Text()
			s.planted.add(password)
			if err := server.CreateUser(t.Context(), app, password); err != nil {
				t.Fatal(err)
			}
			document := s.document(app, password)
			s.adminSecret(document)
			admin := document["masterarn"]
			arn := s.secret(document)
			s.exec("CREATE SCHEMA "+name+" AUTHORIZATION "+app,
				"CREATE ROLE "+owner, "GRANT "+owner+" TO "+s.server.Admin.Username+" WITH ADMIN OPTION")

			settings := func(members map[string]any) func(map[string]any) {
				return func(document map[string]any) {
					document["masterarn"], document["dbrotation"] = admin, members
				}
			}
			tables := 0
			for _, way := range []struct {
				name     string
				edit     func(map[string]any)
				sql      []string
				accounts []string // of which each turn is one's
				turns    int
			}{
				{"one account, by the admin", settings(map[string]any{"strategy": "single"}), nil, []string{app}, 2},
				{"AWS's two accounts", settings(map[string]any{"strategy": "alternating"}), nil, []string{app, app + "_clone"}, 3},
				{"the twin alone, by the admin", settings(map[string]any{"strategy": "single"}), nil, []string{app + "_clone"}, 2},
				{"the twin alone, by itself", func(document map[string]any) { delete(document, "masterarn") }, nil, []string{app + "_clone"}, 2},
				{"AWS's two accounts again", settings(map[string]any{"strategy": "alternating"}), nil, []string{app, app + "_clone"}, 3},
				{"two accounts of the operator's", settings(map[string]any{"strategy": "alternating", "twins": []string{app, twin}}), nil, []string{app, twin}, 4},
				{"an owner role from now on", settings(map[string]any{"strategy": "alternating", "twins": []string{app, twin}, "ownerRole": owner}),
					[]string{"GRANT " + owner + " TO " + app, "ALTER ROLE " + app + " SET role = " + owner, "REASSIGN OWNED BY " + app + " TO " + owner}, []string{app, twin}, 3},
				{"no owner role any more", settings(map[string]any{"strategy": "alternating", "twins": []string{app, twin}}),
					[]string{"REASSIGN OWNED BY " + owner + " TO " + app, "ALTER ROLE " + app + " RESET role", "REVOKE " + owner + " FROM " + app}, []string{app, twin}, 4},
				{"one account at last", settings(map[string]any{"strategy": "single"}), nil, []string{twin}, 2},
			} {
				s.exec(way.sql...)
				s.edit(arn, way.edit)
				for turn := range way.turns {
					before, _ := s.credential(arn, "AWSCURRENT")
					if err := s.rotate(arn); err != nil {
						t.Fatalf("%s, turn %d: %v", way.name, turn, err)
					}
					username, _ := s.credential(arn, "AWSCURRENT")
					if !slices.Contains(way.accounts, username) {
						t.Errorf("%s, turn %d: %s is current", way.name, turn, username)
					}
					if alternates := len(way.accounts) == 2; alternates && (username == before || !s.opens(arn, "AWSPREVIOUS")) || !s.opens(arn, "AWSCURRENT") {
						t.Errorf("%s, turn %d: a credential does not open the database", way.name, turn)
					}
					conn := s.as(arn, "AWSCURRENT")
					for earlier := range tables {
						if _, err := conn.Exec(t.Context(), fmt.Sprintf("ALTER TABLE %s.t%d ADD c%d int", name, earlier, tables)); err != nil {
							t.Errorf("%s, turn %d, as %s, the table of turn %d: %v", way.name, turn, username, earlier, err)
						}
					}
					if _, err := conn.Exec(t.Context(), fmt.Sprintf("CREATE TABLE %s.t%d (id int)", name, tables)); err != nil {
						t.Errorf("%s, turn %d, as %s: %v", way.name, turn, username, err)
					}
					tables++
				}
			}
		})
	}
}
