package integration_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestRedshiftRotates is TestMySQLRotates for the stand-in for Redshift.
func TestRedshiftRotates(t *testing.T) {
	t.Parallel()
	server := startRedshift(t, dbservers.RedshiftOptions{})
	for _, row := range redshiftRows {
		t.Run(row.name, func(t *testing.T) { rotateTenTimes(t, server, row) })
	}
}

var redshiftRows = []rotationRow{
	{name: "single by itself", secret: (*stage).singleSecret, calls: 8, logins: 2, statement: "ALTER ROLE"},
	{name: "single by an admin", secret: (*stage).singleSecretByAdmin, calls: 9, logins: 3, statement: "ALTER ROLE"},
	{name: "alternating", secret: (*stage).alternatingSecret, calls: 9, logins: 3, overlaps: true, takeTurns: true, statement: "ALTER ROLE"},
}

// startRedshift starts a stand-in for one test alone.
func startRedshift(t *testing.T, options dbservers.RedshiftOptions) *dbservers.Server {
	t.Helper()
	server, err := dbservers.StartRedshift(t.Context(), options)
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

// redshift says statements as the admin, in Redshift's words.
func (s *stage) redshift(statements ...string) {
	s.t.Helper()
	if err := s.server.ExecRedshift(s.t.Context(), statements...); err != nil {
		s.t.Fatal(err)
	}
}

// redshiftSecretWithRights is alternatingSecret with rights of several kinds.
func (s *stage) redshiftSecretWithRights() (arn string) {
	s.t.Helper()
	arn = s.alternatingSecret()
	app, _ := s.credential(arn, "AWSCURRENT")
	s.redshift(
		"CREATE TABLE of_"+app+" (id int, note varchar(40))",
		"GRANT SELECT ON TABLE of_"+app+" TO "+app,
		"CREATE GROUP group_"+app, "ALTER GROUP group_"+app+" ADD USER "+app,
		"CREATE ROLE role_"+app, "GRANT ROLE role_"+app+" TO "+app,
		"ALTER USER "+app+" CONNECTION LIMIT 77",
	)
	return arn
}

// dropRedshiftUsers drops a user and its twin, with what they were given: the
// views that a rotation reads take their time by all that there are.
func (s *stage) dropRedshiftUsers(username string) {
	s.t.Helper()
	names := []string{username, username + "_clone"}
	statements := []string{"DROP TABLE IF EXISTS of_" + username}
	for _, user := range s.column("SELECT usename FROM pg_user WHERE usename = ANY($1)", names) {
		statements = append(statements, "DROP USER "+user)
	}
	for _, group := range s.column("SELECT DISTINCT groname FROM pg_group g, pg_user u WHERE u.usename = ANY($1) AND u.usesysid = ANY(g.grolist)", names) {
		statements = append(statements, "DROP GROUP "+pgx.Identifier{group}.Sanitize())
	}
	for _, role := range s.column("SELECT DISTINCT role_name FROM svv_user_grants WHERE user_name = ANY($1)", names) {
		statements = append(statements, "DROP ROLE "+role+" FORCE")
	}
	s.redshift(statements...)
}

// column asks the server behind the gate as the superuser.
func (s *stage) column(question string, args ...any) []string {
	s.t.Helper()
	conn, err := s.server.ConnectSuperuser(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(context.Background(), question, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	held, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	return held
}

// redshiftTwinLacks says, where the twin opens by a labelled password, what it
// lacks of its sibling.
func (s *stage) redshiftTwinLacks(arn string) string {
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
	held := s.redshiftRights(app, app+"_clone")
	if slices.Equal(held[0], held[1]) {
		return ""
	}
	return fmt.Sprintf("it holds\n%s\nits sibling\n%s", strings.Join(held[1], "\n"), strings.Join(held[0], "\n"))
}

// redshiftRights are what redshiftSecretWithRights gives each of some accounts.
func (s *stage) redshiftRights(usernames ...string) [][]string {
	s.t.Helper()
	held := make([][]string, len(usernames))
	for _, right := range s.column(`SELECT identity_name || ': ' || privilege_type || ' on ' || relation_name FROM svv_relation_privileges WHERE identity_name = ANY($1)
 UNION SELECT u.usename || ': group ' || g.groname FROM pg_group g, pg_user u WHERE u.usesysid = ANY(g.grolist) AND u.usename = ANY($1) AND g.groname NOT LIKE 'dbrotation.%'
 UNION SELECT user_name || ': role ' || role_name FROM svv_user_grants WHERE user_name = ANY($1)
 UNION SELECT rolname || ': limit ' || rolconnlimit FROM pg_roles WHERE rolname = ANY($1) ORDER BY 1`, usernames) {
		who, what, _ := strings.Cut(right, ": ")
		i := slices.Index(usernames, who)
		held[i] = append(held[i], what)
	}
	return held
}
