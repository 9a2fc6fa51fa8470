package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// pair is a canonical account and its twin on a real server.
type pair struct {
	*server
	t               *testing.T
	canonical, name string
}

const (
	siblingPassword = "sibling-password"
	twinPassword    = "twin-password"
)

// pair makes the canonical account and leaves the twin to the driver. Roles
// that a test makes besides go with the database objects of both.
func (s *server) pair(t *testing.T, canonical string, others ...string) pair {
	t.Helper()
	p := pair{server: s, t: t, canonical: canonical, name: canonical + "_clone"}
	t.Cleanup(func() { p.drop(others...) })
	s.user(t, canonical, siblingPassword)
	t.Cleanup(func() { p.drop(p.name) })
	return p
}

// drop removes roles that may not exist, and what they own.
func (p pair) drop(roles ...string) {
	making.Lock()
	defer making.Unlock()
	for _, role := range roles {
		p.clean(p.t, "CREATE OR REPLACE PROCEDURE pg_temp.drop_role(role text) LANGUAGE plpgsql AS $$ BEGIN\n"+
			"IF to_regrole(quote_ident(role)) IS NOT NULL THEN EXECUTE format('DROP OWNED BY %I CASCADE', role); EXECUTE format('DROP ROLE %I', role); END IF; END $$; "+
			"CALL pg_temp.drop_role('"+strings.ReplaceAll(role, "'", "''")+"')")
	}
}

func (p pair) request() dbdrivers.OpenTwinRequest {
	return dbdrivers.OpenTwinRequest{
		Admin: p.Admin, Canonical: p.canonical, Twin: p.name,
		Password: dbdrivers.NewPassword(twinPassword), MayCreate: true,
	}
}

func openTwin(t *testing.T, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	return postgres.New().OpenTwin(inTime(t), req)
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

// wantEqual signs in as both, in two databases, and compares all that a
// session shows of itself: whom it acts as and every setting.
func (p pair) wantEqual() {
	p.t.Helper()
	for _, database := range []string{"appdb", "postgres"} {
		if diff := cmp.Diff(p.session(p.canonical, siblingPassword, database), p.session(p.name, twinPassword, database)); diff != "" {
			p.t.Errorf("in %s the twin's session is not its sibling's (-sibling +twin):\n%s", database, diff)
		}
	}
	var attributes [2]string
	for i, role := range []string{p.canonical, p.name} {
		p.ask(p.t, &attributes[i], "SELECT concat_ws(' ', rolcanlogin, rolconnlimit, coalesce(rolvaliduntil, 'infinity')) FROM pg_roles WHERE rolname = $1", role)
	}
	if attributes[0] != attributes[1] {
		p.t.Errorf("the sibling's attributes are %q, the twin's %q", attributes[0], attributes[1])
	}
}

// One search_path, as a session may have set it and as ALTER ROLE stores it.
const (
	writtenByHand   = `Foo , "Bar",$user`
	writtenByServer = `foo, "Bar", "$user"`
)

// session is what a new session shows of itself.
func (p pair) session(user, password, database string) map[string]string {
	p.t.Helper()
	login := p.Login(user, password)
	login.Database = database
	conn := p.connect(login)
	defer func() { _ = conn.Close(context.WithoutCancel(p.t.Context())) }()
	rows, err := conn.Query(p.t.Context(), "SELECT name, setting FROM pg_settings UNION ALL SELECT 'acting as', current_user UNION ALL SELECT 'tenant', current_setting('myapp.tenant', true)")
	if err != nil {
		p.t.Fatal(err)
	}
	shown := make(map[string]string)
	var name string
	var setting *string
	if _, err := pgx.ForEachRow(rows, []any{&name, &setting}, func() error {
		if setting != nil {
			shown[name] = *setting
			if *setting == writtenByHand {
				shown[name] = writtenByServer
			}
		}
		return nil
	}); err != nil {
		p.t.Fatal(err)
	}
	return shown
}

func (p pair) connect(login dbdrivers.Login) *pgx.Conn {
	p.t.Helper()
	conn, err := dbservers.Connect(p.t.Context(), login)
	if err != nil {
		p.t.Fatal(err)
	}
	return conn
}

// as runs statements in a session of one of the two.
func (p pair) as(user, password string, statements ...string) error {
	p.t.Helper()
	conn := p.connect(p.Login(user, password))
	defer func() { _ = conn.Close(context.WithoutCancel(p.t.Context())) }()
	for _, sql := range statements {
		if _, err := conn.Exec(p.t.Context(), sql); err != nil {
			return err
		}
	}
	return nil
}

func (p pair) mustAs(user, password string, statements ...string) {
	p.t.Helper()
	if err := p.as(user, password, statements...); err != nil {
		p.t.Fatalf("%s: %v", user, err)
	}
}

func (p pair) exists(role string) bool {
	p.t.Helper()
	var exists bool
	p.ask(p.t, &exists, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role)
	return exists
}

// dump is all that the server knows of a role, to see that nothing changed.
func (p pair) dump(role string) string {
	p.t.Helper()
	var dump string
	p.ask(p.t, &dump, `SELECT concat_ws(' / ', r::text, shobj_description(r.oid, 'pg_authid'),
	 (SELECT array_agg(s.setconfig::text || s.setdatabase ORDER BY 1)::text FROM pg_db_role_setting s WHERE s.setrole = r.oid),
	 (SELECT array_agg(to_jsonb(m)::text ORDER BY 1)::text FROM pg_auth_members m WHERE m.member = r.oid OR m.roleid = r.oid),
	 (SELECT array_agg(d::text ORDER BY 1)::text FROM pg_shdepend d WHERE d.refobjid = r.oid AND d.classid <> 'pg_auth_members'::regclass))
	 FROM pg_authid r WHERE r.rolname = $1`, role)
	return dump
}
