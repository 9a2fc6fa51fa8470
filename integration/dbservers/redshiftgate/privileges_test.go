package redshiftgate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEachPrivilegeIsGrantedSeenAndRevoked says each privilege in the driver's
// words, and reads it by the driver's query.
func TestEachPrivilegeIsGrantedSeenAndRevoked(t *testing.T) {
	t.Parallel()
	admin := newWorld(t)
	s, ext, share, model := newName("s"), newName("ext"), newName("share"), newName("m")
	admin.exec(
		"CREATE SCHEMA "+s, "CREATE TABLE "+s+".t (a int, b int)", "CREATE VIEW "+s+".v AS SELECT a FROM "+s+".t",
		"CREATE FUNCTION "+s+".f(int, varchar) RETURNS int STABLE AS $$ SELECT $1 $$ LANGUAGE sql",
		"CREATE PROCEDURE "+s+".p(int) AS $$ BEGIN NULL; END $$ LANGUAGE plpgsql",
		"CREATE EXTERNAL SCHEMA "+ext+" FROM DATA CATALOG DATABASE 'spectrum' IAM_ROLE 'arn:aws:iam::1:role/r'",
		"CREATE DATASHARE "+share, "CREATE MODEL "+s+"."+model+" FROM (SELECT a FROM "+s+".t) TARGET a")
	ofUser := " WHERE identity_type = 'user' AND identity_name IN ($1, $2)"
	relations := "SELECT namespace_name, relation_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_relation_privileges" + ofUser
	columns := "SELECT namespace_name, relation_name, column_name, privilege_type, identity_name FROM pg_catalog.svv_column_privileges" + ofUser
	schemas := "SELECT namespace_name, privilege_type, privilege_scope, identity_name, admin_option FROM pg_catalog.svv_schema_privileges" + ofUser
	databases := "SELECT database_name, privilege_type, privilege_scope, identity_name, admin_option FROM pg_catalog.svv_database_privileges" + ofUser
	functions := "SELECT namespace_name, function_name, argument_types, privilege_type, identity_name, admin_option FROM pg_catalog.svv_function_privileges" + ofUser
	languages := "SELECT language_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_language_privileges" + ofUser
	shares := "SELECT datashare_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_datashare_privileges" + ofUser
	models := "SELECT namespace_name, model_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_ml_model_privileges" + ofUser
	iam := "SELECT iam_arn, command_type, identity_name FROM pg_catalog.svv_iam_privileges" + ofUser
	for _, row := range []struct {
		// middle stands between GRANT and TO, end behind the user.
		middle, end, query, want string
		noOption                 bool
	}{
		{middle: `SELECT ON TABLE "S"."T"`, query: relations, want: "S t SELECT U"},
		{middle: `INSERT ON TABLE "S"."t"`, query: relations, want: "S t INSERT U"},
		{middle: `UPDATE ON TABLE "S"."t"`, query: relations, want: "S t UPDATE U"},
		{middle: `DELETE ON TABLE "S"."t"`, query: relations, want: "S t DELETE U"},
		{middle: `DROP ON TABLE "S"."t"`, query: relations, want: "S t DROP U"},
		{middle: `REFERENCES ON TABLE "S"."t"`, query: relations, want: "S t REFERENCES U"},
		{middle: `ALTER ON TABLE "S"."t"`, query: relations, want: "S t ALTER U"},
		{middle: `TRUNCATE ON TABLE "S"."t"`, query: relations, want: "S t TRUNCATE U"},
		{middle: `SELECT ON TABLE "S"."v"`, query: relations, want: "S v SELECT U"},
		{middle: `SELECT ("B") ON TABLE "S"."t"`, query: columns, want: "S t b SELECT U", noOption: true},
		{middle: `UPDATE ("b") ON TABLE "S"."t"`, query: columns, want: "S t b UPDATE U", noOption: true},
		{middle: `CREATE ON SCHEMA "S"`, query: schemas, want: "S CREATE SCHEMA U"},
		{middle: `USAGE ON SCHEMA "S"`, query: schemas, want: "S USAGE SCHEMA U"},
		{middle: `ALTER ON SCHEMA "S"`, query: schemas, want: "S ALTER SCHEMA U"},
		{middle: `DROP ON SCHEMA "S"`, query: schemas, want: "S DROP SCHEMA U"},
		{middle: `USAGE ON SCHEMA "EXT"`, query: schemas, want: "EXT USAGE SCHEMA U"},
		{middle: `SELECT FOR TABLES IN SCHEMA "S"`, query: schemas, want: "S SELECT TABLES U"},
		{middle: `EXECUTE FOR FUNCTIONS IN SCHEMA "S"`, query: schemas, want: "S EXECUTE FUNCTIONS U"},
		{middle: `CREATE ON DATABASE "appdb"`, query: databases, want: "appdb CREATE DATABASE U"},
		{middle: `TEMP ON DATABASE "appdb"`, query: databases, want: "appdb TEMP DATABASE U"},
		{middle: `USAGE ON DATABASE "appdb"`, query: databases, want: "appdb USAGE DATABASE U"},
		{middle: `USAGE FOR SCHEMAS IN DATABASE "appdb"`, query: databases, want: "appdb USAGE SCHEMAS U"},
		{middle: `USAGE FOR LANGUAGES IN DATABASE "appdb"`, query: databases, want: "appdb USAGE LANGUAGES U"},
		{middle: `EXECUTE ON FUNCTION "S"."f"(integer, character varying)`, query: functions, want: "S f integer, character varying EXECUTE U"},
		{middle: `EXECUTE ON PROCEDURE "S"."p"(integer)`, query: functions, want: "S p integer EXECUTE U"},
		{middle: `USAGE ON LANGUAGE "plpythonu"`, query: languages, want: "plpythonu USAGE U"},
		{middle: `SHARE ON DATASHARE "D"`, query: shares, want: "D SHARE U"},
		{middle: `ALTER ON DATASHARE "D"`, query: shares, want: "D ALTER U"},
		{middle: `EXECUTE ON MODEL "S"."M"`, query: models, want: "S M EXECUTE U"},
		{middle: `ASSUMEROLE ON 'arn:aws:iam::1:role/r'`, end: " FOR COPY", query: iam, want: "arn:aws:iam::1:role/r COPY U", noOption: true},
		{middle: `ASSUMEROLE ON DEFAULT`, end: " FOR EXTERNAL FUNCTION", query: iam, want: "default-aws-iam-role EXFUNC U", noOption: true},
		{middle: `ASSUMEROLE ON ALL`, end: " FOR CREATE MODEL", query: iam, want: "ALL CREATE MODEL U", noOption: true},
		{middle: `ASSUMEROLE ON ALL`, end: " FOR ALL", query: iam, want: "ALL ALL U", noOption: true},
	} {
		// No parallel rows: what changes the rights on one object at the same
		// moment meets.
		t.Run(row.middle+row.end, func(t *testing.T) {
			w := newWorld(t)
			user := w.user("Abcdefg1")
			driver := w.as(server.Admin.Username, server.Admin.Password.Reveal(), true)
			middle := strings.NewReplacer(`"S"`, `"`+s+`"`, `"EXT"`, `"`+ext+`"`, `"D"`, `"`+share+`"`, `"M"`, `"`+model+`"`).Replace(row.middle)
			made := map[string]string{"S": s, "EXT": ext, "M": model, "U": user, "D": share}
			words := strings.Split(row.want, " ")
			for i, word := range words {
				if name, ok := made[word]; ok {
					words[i] = name
				}
			}
			want := strings.Join(words, " ")
			option := func(yes string) string {
				if row.noOption {
					return ""
				}
				return " " + yes
			}
			seen := func(moment string, wants ...string) {
				t.Helper()
				if diff := cmp.Diff(append([]string{}, wants...), driver.rows(row.query, user, "nobody")); diff != "" {
					t.Errorf("%s (-want +got):\n%s", moment, diff)
				}
			}
			driver.exec("GRANT " + middle + ` TO "` + user + `"` + row.end)
			seen("granted", want+option("false"))
			if !row.noOption {
				driver.exec("GRANT " + middle + ` TO "` + user + `" WITH GRANT OPTION`)
				seen("granted with the option", want+" true")
				driver.exec("REVOKE GRANT OPTION FOR " + middle + ` FROM "` + user + `"`)
				seen("without the option", want+" false")
			}
			driver.exec("BEGIN", "REVOKE "+middle+` FROM "`+user+`"`+row.end)
			seen("revoked, not committed")
			driver.exec("ROLLBACK")
			seen("the revocation rolled back", want+option("false"))
			driver.exec("REVOKE " + middle + ` FROM "` + user + `"` + row.end)
			seen("revoked")
		})
	}
}
