package redshift_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/redshift"
)

// pair is a canonical account and its twin.
type pair struct {
	*server
	t               *testing.T
	canonical, name string
}

const (
	siblingPassword = "Sibling-pw1"
	twinPassword    = "Twin-pw1"
)

// pair makes the canonical account and leaves the twin to the driver.
func (s *server) pair(t *testing.T, canonical string) pair {
	t.Helper()
	s.create(t, canonical, siblingPassword)
	return pair{server: s, t: t, canonical: canonical, name: canonical + "_clone"}
}

func (p pair) request() dbdrivers.OpenTwinRequest {
	return dbdrivers.OpenTwinRequest{
		Admin: p.Admin, Canonical: p.canonical, Twin: p.name,
		Password: dbdrivers.NewPassword(twinPassword), MayCreate: true,
	}
}

func openTwin(t *testing.T, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	return redshift.New().OpenTwin(inTime(t), req)
}

// open opens the twin and asserts that it is as its sibling is.
func (p pair) open() dbdrivers.TwinReport {
	p.t.Helper()
	report, err := openTwin(p.t, p.request())
	if err != nil {
		p.t.Fatal(err)
	}
	p.wantEqual()
	return report
}

// with says statements in which %app and %twin are the two accounts.
func (p pair) with(statements []string) {
	p.t.Helper()
	for _, sql := range statements {
		p.say(p.t, strings.NewReplacer("%app", quoted(p.canonical), "%twin", quoted(p.name)).Replace(sql))
	}
}

// wantEqual compares all that the system views show of the two.
func (p pair) wantEqual() {
	p.t.Helper()
	if diff := cmp.Diff(p.shown(p.canonical), p.shown(p.name)); diff != "" {
		p.t.Errorf("the twin is not as its sibling is (-sibling +twin):\n%s", diff)
	}
}

// shown is every row of the system views about an account, without its name.
// It asks the server behind, and knows nothing of the driver.
func (p pair) shown(account string) []string {
	p.t.Helper()
	conn, err := p.ConnectSuperuser(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(p.t.Context())) }()
	var all []string
	for _, view := range []string{
		"svv_relation_privileges", "svv_column_privileges", "svv_schema_privileges", "svv_database_privileges", "svv_function_privileges",
		"svv_language_privileges", "svv_datashare_privileges", "svv_ml_model_privileges", "svv_iam_privileges",
	} {
		all = append(all, rows(p.t, conn, "SELECT '"+view+" ' || (to_jsonb(v) - 'identity_id' - 'identity_name')::text FROM "+view+" v WHERE identity_type = 'user' AND identity_name = $1", account)...)
	}
	for _, sql := range []string{
		"SELECT 'role ' || role_name || ' ' || admin_option FROM svv_user_grants WHERE user_name = $1",
		"SELECT 'group ' || groname FROM pg_group g, pg_user u WHERE u.usesysid = ANY(g.grolist) AND u.usename = $1 AND groname NOT LIKE 'dbrotation.%'",
		"SELECT 'options ' || (to_jsonb(v) - 'user_id' - 'user_name' - 'last_ddl_timestamp')::text FROM svv_user_info v WHERE user_name = $1",
		"SELECT concat_ws(' ', 'settings', useconfig::text, coalesce(valuntil, 'infinity')) FROM pg_user WHERE usename = $1",
		"SELECT 'granted by default ' || (to_jsonb(v) - 'grantee_id' - 'grantee_name')::text FROM svv_default_privileges v WHERE grantee_type = 'user' AND grantee_name = $1",
		"SELECT 'grants by default ' || (to_jsonb(v) - 'owner_id' - 'owner_name')::text FROM svv_default_privileges v WHERE owner_name = $1",
	} {
		all = append(all, rows(p.t, conn, sql, account)...)
	}
	slices.Sort(all)
	return all
}

func rows(t *testing.T, conn *pgx.Conn, sql, account string) []string {
	t.Helper()
	found, err := conn.Query(t.Context(), sql, account)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

// has reports whether one of the texts of a report contains a text.
func has(texts []string, text string) bool {
	return slices.ContainsFunc(texts, func(one string) bool { return strings.Contains(one, text) })
}
