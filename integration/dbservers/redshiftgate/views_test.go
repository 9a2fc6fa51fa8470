package redshiftgate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dbrotation/dbrotation/integration/dbservers/redshiftgate"
)

// TestTheSystemViewsHaveTheColumnsOfTheManual compares names, order and types:
// numbers are integers, flags are booleans.
func TestTheSystemViewsHaveTheColumnsOfTheManual(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user("Abcdefg1")
	mine := w.as(user, "Abcdefg1", false)
	flags := []string{"admin_option", "createdb", "superuser", "catalog_update", "usecreatedb", "usesuper", "usecatupd", "is_masking_datashare_on", "is_pol_on", "is_rls_on"}
	numbers := []string{"grosysid", "session_timeout", "sessiontimeout", "usesysid", "model_version", "priority", "esowner"}
	others := map[string]uint32{
		"last_ddl_timestamp": pgtype.TimestampOID, "last_ddl_ts": pgtype.TimestampOID, "valuntil": pgtype.TimestamptzOID,
		"useconfig": pgtype.TextArrayOID, "grolist": pgtype.Int4ArrayOID, "usename": 0, "groname": 0,
		"esoid": pgtype.OIDOID, "eskind": pgtype.Int2OID, "schemaname": pgtype.NameOID, "rls_conjunction_type": pgtype.BPCharOID,
	}
	for _, v := range redshiftgate.Views() {
		rows, err := w.conn.Query(w.ctx, "SELECT * FROM pg_catalog."+v.Name)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		var got []string
		for _, f := range rows.FieldDescriptions() {
			got = append(got, f.Name)
			want := uint32(pgtype.TextOID)
			if oid, ok := others[f.Name]; ok {
				want = oid
			}
			switch {
			case slices.Contains(flags, f.Name):
				want = pgtype.BoolOID
			case slices.Contains(numbers, f.Name) || strings.HasSuffix(f.Name, "_id") && f.Name != "external_id" && f.Name != "external_user_id":
				want = pgtype.Int4OID
			}
			if want != 0 && f.DataTypeOID != want && v.Name != "pg_proc_info" {
				t.Errorf("%s.%s is of the type %d, want %d", v.Name, f.Name, f.DataTypeOID, want)
			}
		}
		if diff := cmp.Diff(v.Columns, got); diff != "" {
			t.Errorf("the columns of %s (-want +got):\n%s", v.Name, diff)
		}
		_, err = mine.conn.Exec(w.ctx, "SELECT 1 FROM pg_catalog."+v.Name)
		if denied := sqlstate(err) == "42501"; denied != v.Superusers {
			t.Errorf("%s to a user who is no superuser: %v", v.Name, err)
		}
	}
}

func TestOthersSeeTheirOwnIdentitiesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, other, role, schema := w.user("Abcdefg1"), w.user("Abcdefg1"), newName("r"), newName("s")
	w.exec("CREATE ROLE "+role, "GRANT ROLE "+role+" TO "+user, "CREATE SCHEMA "+schema, "CREATE TABLE "+schema+".t (a int)")
	for _, to := range []string{user, other, "ROLE " + role, "PUBLIC"} {
		w.exec("GRANT SELECT ON "+schema+".t TO "+to, "GRANT DROP ON "+schema+".t TO "+to)
	}
	query := "SELECT privilege_type, identity_type, identity_name FROM svv_relation_privileges WHERE namespace_name = '" + schema + "' ORDER BY 1, 2, 3"
	if got := w.rows(query); len(got) != 8 {
		t.Errorf("a superuser sees %q, want all eight", got)
	}
	want := []string{"DROP role " + role, "DROP user " + user, "SELECT role " + role, "SELECT user " + user}
	if diff := cmp.Diff(want, w.as(user, "Abcdefg1", false).rows(query)); diff != "" {
		t.Errorf("a user sees (-want +got):\n%s", diff)
	}
	if got := w.as(user, "Abcdefg1", false).rows("SELECT user_name FROM svv_user_info"); !cmp.Equal(got, []string{user}) {
		t.Errorf("a user sees the users %q", got)
	}
}

func TestAnOwnersOwnEntriesAreNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, schema := w.user("Abcdefg1"), newName("s")
	w.exec("CREATE SCHEMA "+schema+" AUTHORIZATION "+user, "CREATE TABLE "+schema+".t (a int)", "ALTER TABLE "+schema+".t OWNER TO "+user,
		"GRANT SELECT ON "+schema+".t TO PUBLIC", "GRANT USAGE ON SCHEMA "+schema+" TO PUBLIC")
	for _, view := range []string{"svv_relation_privileges", "svv_schema_privileges"} {
		got := w.rows("SELECT identity_name FROM " + view + " WHERE namespace_name = '" + schema + "'")
		if !cmp.Equal(got, []string{"public"}) {
			t.Errorf("%s has %q, want public alone", view, got)
		}
	}
}

// TestAPolicyIsShownAsItIsAttached: who may not read the policies of rows is
// refused, and sees none of masking.
func TestAPolicyIsShownAsItIsAttached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, role, schema := w.user("Abcdefg1"), newName("r"), newName("s")
	w.exec("CREATE ROLE "+role, "CREATE SCHEMA "+schema, "CREATE TABLE "+schema+".t (a int)")
	for _, to := range []string{user, "ROLE " + role, "PUBLIC"} {
		w.exec("ATTACH MASKING POLICY veil ON "+schema+".t (a) TO "+to, "ATTACH RLS POLICY few ON TABLE "+schema+".t TO "+to)
	}
	w.refuses("ATTACH RLS POLICY few ON TABLE "+schema+".t TO GROUP "+role, "42601")
	masking := "SELECT policy_name, schema_name, table_name, grantee, grantee_type FROM pg_catalog.svv_attached_masking_policy WHERE grantee IN ($1, $2)"
	rls := "SELECT polname, relschema, relname, grantee, granteekind FROM pg_catalog.svv_rls_attached_policy WHERE grantee IN ($1, $2)"
	driver := w.as(server.Admin.Username, server.Admin.Password.Reveal(), true)
	for query, policy := range map[string]string{masking: "veil", rls: "few"} {
		want := []string{policy + " " + schema + " t " + user + " user"}
		if diff := cmp.Diff(want, driver.rows(query, user, "nobody")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
		if got := driver.rows(query, role, "nobody"); len(got) != 1 {
			t.Errorf("%s shows %q of a role", query, got)
		}
	}
	mine := w.as(user, "Abcdefg1", false)
	if got := mine.rows("SELECT policy_name FROM svv_attached_masking_policy"); len(got) > 0 {
		t.Errorf("a user who is no superuser sees %q", got)
	}
	mine.refuses("SELECT polname FROM svv_rls_attached_policy", "42501")
}

func TestAnExternalSchemaIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, external := w.user("Abcdefg1"), newName("lake")
	w.exec("CREATE EXTERNAL SCHEMA "+external+" FROM DATA CATALOG DATABASE 'lake' IAM_ROLE 'arn:aws:iam::1:role/x'", "ALTER SCHEMA "+external+" OWNER TO "+user)
	driver := w.as(server.Admin.Username, server.Admin.Password.Reveal(), true)
	if got := driver.rows("SELECT schemaname FROM pg_catalog.svv_external_schemas"); !slices.Contains(got, external) {
		t.Errorf("the view has %q, without %s", got, external)
	}
}
