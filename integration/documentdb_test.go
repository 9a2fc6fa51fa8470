package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestDocumentDBRotates is TestMySQLRotates for the stand-in for DocumentDB.
func TestDocumentDBRotates(t *testing.T) {
	t.Parallel()
	server := startDocumentDB(t, dbservers.DocumentDBOptions{})
	for _, row := range documentdbRows {
		t.Run(row.name, func(t *testing.T) { rotateTenTimes(t, server, row) })
	}
}

var documentdbRows = []rotationRow{
	{name: "single by itself", secret: (*stage).managerSecret, calls: 8, logins: 2, statement: "updateUser"},
	{name: "single by an admin", secret: (*stage).singleSecretByAdmin, calls: 9, logins: 3, statement: "updateUser"},
	{name: "alternating", secret: (*stage).documentdbSecretWithRoles, calls: 9, logins: 3, overlaps: true, takeTurns: true, statement: "updateUser"},
}

// startDocumentDB starts a stand-in for one test alone.
func startDocumentDB(t *testing.T, options dbservers.DocumentDBOptions) *dbservers.Server {
	t.Helper()
	server, err := dbservers.StartDocumentDB(t.Context(), options)
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

// grantRoles gives a user roles of the server's database, or of admin.
func (s *stage) grantRoles(username string, roles ...string) {
	s.t.Helper()
	var pairs []any
	for _, role := range roles {
		database := s.server.Database
		if strings.HasSuffix(role, "AnyDatabase") {
			database = "admin"
		}
		pairs = append(pairs, map[string]any{"role": role, "db": database})
	}
	// The command's name goes first.
	text, err := json.Marshal(pairs)
	if err != nil {
		s.t.Fatal(err)
	}
	s.exec(fmt.Sprintf(`{"grantRolesToUser": %q, "roles": %s}`, username, text))
}

// managerSecret is singleSecret for a user that may change its own password, as
// on DocumentDB only those may who manage users.
func (s *stage) managerSecret() (arn string) {
	s.t.Helper()
	username, password := s.account()
	s.grantRoles(username, "userAdminAnyDatabase")
	return s.secret(s.document(username, password))
}

// documentdbSecretWithRoles is alternatingSecret for a user of several roles,
// with custom data.
func (s *stage) documentdbSecretWithRoles() (arn string) {
	s.t.Helper()
	arn = s.alternatingSecret()
	app, _ := s.credential(arn, "AWSCURRENT")
	s.grantRoles(app, "dbAdmin", "readAnyDatabase")
	s.exec(fmt.Sprintf(`{"updateUser": %q, "customData": {"team": "billing"}}`, app))
	return arn
}

// documentdbTwinLacks says, where the twin opens by a labelled password, what it
// lacks of its sibling.
func (s *stage) documentdbTwinLacks(arn string) string {
	s.t.Helper()
	current, _ := s.credential(arn, "AWSCURRENT")
	app := strings.TrimSuffix(current, "_clone")
	opens := slices.ContainsFunc([]string{"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"}, func(label string) bool {
		username, password := s.credential(arn, label)
		return username == app+"_clone" && s.accepts(username, password)
	})
	if !opens {
		return ""
	}
	want, have := s.rolesOf(app), s.rolesOf(app+"_clone")
	if len(want) < 3 {
		s.t.Errorf("%s has the roles %q: nothing is compared", app, want)
	}
	if slices.Equal(want, have) {
		return ""
	}
	return fmt.Sprintf("it has %q, its sibling %q", have, want)
}

// rolesOf are a user's roles and its team, as the server shows them.
func (s *stage) rolesOf(username string) (roles []string) {
	s.t.Helper()
	conn, err := s.server.ConnectMongoSuperuser(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answer, err := conn.Run(context.Background(), "admin", bson.D{{Key: "usersInfo", Value: username}})
	if err != nil {
		s.t.Fatal(err)
	}
	var shown struct {
		Users []struct {
			Roles []struct {
				Role, DB string
			}
			CustomData struct{ Team string } `bson:"customData"`
		}
	}
	if err := bson.Unmarshal(answer, &shown); err != nil {
		s.t.Fatal(err)
	}
	for _, user := range shown.Users {
		roles = append(roles, "team "+user.CustomData.Team)
		for _, role := range user.Roles {
			roles = append(roles, role.Role+" of "+role.DB)
		}
	}
	slices.Sort(roles)
	return roles
}

// dropUsers drops a user and its twin, if it has one.
func (s *stage) dropUsers(username string) {
	s.t.Helper()
	for _, name := range []string{username, username + "_clone"} {
		if len(s.rolesOf(name)) > 0 {
			s.exec(fmt.Sprintf(`{"dropUser": %q}`, name))
		}
	}
}
