package redshiftgate_test

import (
	"crypto/md5" //nolint:gosec // It is Redshift's.
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// attributesOf is the driver's query of what svv_user_info has.
const attributesOf = "SELECT user_name, connection_limit, syslog_access, session_timeout, external_user_id FROM pg_catalog.svv_user_info WHERE user_name IN ($1, $2)"

func TestAUserIsMadeAndChangedInTheDriversWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	driver := w.as(server.Admin.Username, server.Admin.Password.Reveal(), true)
	name := `Quoted"Name \ ` + newName("u")
	user := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	driver.exec("CREATE USER " + user + " PASSWORD DISABLE")
	const users = "SELECT usename, usesysid, usecreatedb, usesuper, valuntil, useconfig FROM pg_catalog.pg_user WHERE usename IN ($1, $2, $3)"
	numbered := w.rows("SELECT usename, usesysid FROM pg_user WHERE usename = $1", name)[0]
	for _, row := range []struct{ change, query, want string }{
		{"CREATEDB", users, numbered + " true false <nil> <nil>"},
		{"NOCREATEDB", users, numbered + " false false <nil> <nil>"},
		{"SYSLOG ACCESS UNRESTRICTED", attributesOf, name + " UNLIMITED UNRESTRICTED 0 <nil>"},
		{"SYSLOG ACCESS RESTRICTED", attributesOf, name + " UNLIMITED RESTRICTED 0 <nil>"},
		{"CONNECTION LIMIT 7", attributesOf, name + " 7 RESTRICTED 0 <nil>"},
		{"CONNECTION LIMIT UNLIMITED", attributesOf, name + " UNLIMITED RESTRICTED 0 <nil>"},
		{"SESSION TIMEOUT 60", attributesOf, name + " UNLIMITED RESTRICTED 60 <nil>"},
		{"RESET SESSION TIMEOUT", attributesOf, name + " UNLIMITED RESTRICTED 0 <nil>"},
		{"SET search_path TO '$user', 'public'", users, numbered + ` false false <nil> [search_path="$user", public]`},
		{"SET query_group TO 'a b'", users, numbered + ` false false <nil> [search_path="$user", public query_group=a b]`},
		{"RESET search_path", users, numbered + ` false false <nil> [query_group=a b]`},
		{"RESET query_group", users, numbered + ` false false <nil> <nil>`},
	} {
		driver.exec("ALTER USER " + user + " " + row.change)
		args := []any{name, "nobody"}
		if row.query == users {
			args = append(args, "no one")
		}
		if diff := cmp.Diff([]string{row.want}, driver.rows(row.query, args...)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", row.change, diff)
		}
	}
	driver.exec("ALTER USER "+user+" VALID UNTIL '2031-02-03 04:05:06+00'", "ALTER USER "+user+" VALID UNTIL 'infinity'")
	for _, timeout := range []string{"59", "1728001"} {
		driver.refuses("ALTER USER "+user+" SESSION TIMEOUT "+timeout, "22023")
	}
	driver.refuses("ALTER USER "+user+" SET lock_timeout TO '1'", "42704")
}

// TestAPasswordIsKeptAsRedshiftKeepsIt signs in with each form of a password,
// and looks at what the superuser is shown.
func TestAPasswordIsKeptAsRedshiftKeepsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user("Abcdefg1")
	shown := func() string {
		return w.rows("SELECT passwd FROM pg_shadow WHERE usename = $1", user)[0]
	}
	md5Of := func(password string) string { return "md5" + md5Hex(password+user) }
	if got := shown(); got != md5Of("Abcdefg1") {
		t.Errorf("clear text is kept as %.6s..., want md5 with the name for its salt", got)
	}
	w.exec("ALTER USER " + user + " PASSWORD '" + md5Of("no rule holds") + "'")
	if w.opens(user, "Abcdefg1") || !w.opens(user, "no rule holds") {
		t.Error("a hash was not taken as it is")
	}

	salt := sha256.Sum256([]byte("salt"))
	sum := sha256.Sum256(append([]byte("Hidden99x"), salt[:]...))
	kept := "sha256|" + hex.EncodeToString(sum[:]) + "|" + hex.EncodeToString(salt[:])
	w.exec("ALTER USER " + user + " PASSWORD '" + kept + "'")
	if got := shown(); got != kept {
		t.Errorf("a digest is kept as %.12s..., want it as it was said", got)
	}
	w.exec("ALTER USER " + user + " PASSWORD 'sha256|Hidden99x'")
	if got := shown(); !strings.HasPrefix(got, "sha256|") || got == kept || len(got) != len(kept) {
		t.Error("clear text behind sha256 was not given a salt of the server's own")
	}
	w.exec("ALTER USER " + user + " PASSWORD 'Abcdefg2'")
	if got := shown(); got != md5Of("Abcdefg2") || !w.opens(user, "Abcdefg2") {
		t.Error("after sha256 clear text is not md5 again")
	}
	w.exec("ALTER USER " + user + " PASSWORD DISABLE")
	if w.opens(user, "Abcdefg2") {
		t.Error("a disabled password opens")
	}
	w.exec("ALTER USER "+user+" PASSWORD 'Abcdefg3'", "ALTER USER "+user+" RENAME TO "+user+"_new")
	if w.opens(user+"_new", "Abcdefg3") {
		t.Error("a password outlived its user's name, which is its salt")
	}
	w.refuses("ALTER USER "+server.Admin.Username+" PASSWORD DISABLE", "0A000")
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text)) //nolint:gosec // It is Redshift's.
	return hex.EncodeToString(sum[:])
}

func (w *world) opens(user, password string) bool {
	w.t.Helper()
	ok, err := server.Opens(w.ctx, user, password)
	if err != nil {
		w.t.Fatal(err)
	}
	return ok
}

func TestAPasswordInClearTextObeysTheRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user("Abcdefg1")
	for _, password := range []string{
		"Abcdef1", strings.Repeat("Aa1-", 16) + "x", "abcdefg1", "ABCDEFG1", "Abcdefgh", `Abcdef1\"`, "Abcdef1/", "Abcdef1@", `Abcdef1\\`, "Abcdef1''", "Abc def1", "Abcdef1é",
	} {
		for _, form := range []string{"", "sha256|"} {
			told := w.refuses("ALTER USER "+user+" PASSWORD '"+form+password+"'", "22023")
			if strings.Contains(told, password) {
				t.Errorf("the error holds the password: %s", told)
			}
		}
	}
	if !w.opens(user, "Abcdefg1") {
		t.Error("a refused password changed the old one")
	}
	w.exec("ALTER USER " + user + " PASSWORD '" + strings.Repeat("Aa1-", 16) + "'")
	w.refuses("ALTER USER "+user+" PASSWORD 'sha256|beef|cafe'", "22023")
	w.refuses("CREATE USER without_any", "42601")
}

func TestWhoMayChangeAUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, other := w.user("Abcdefg1"), w.user("Abcdefg1")
	group := newName("g")
	w.exec("CREATE GROUP " + group)
	self := w.as(user, "Abcdefg1", true)
	self.exec("ALTER USER " + user + ` PASSWORD 'Abcdefg2'`)
	if !w.opens(user, "Abcdefg2") {
		t.Error("a user's own change did nothing")
	}
	self.exec("ALTER USER " + user + ` PASSWORD 'sha256|Abcdefg3'`)
	for sql, code := range map[string]string{
		"ALTER USER " + other + " PASSWORD 'Abcdefg2'":                                 "42501",
		"ALTER USER " + user + " SYSLOG ACCESS UNRESTRICTED":                           "42501",
		"ALTER USER " + user + " CREATEDB":                                             "42501",
		"ALTER GROUP " + group + " ADD USER " + user:                                   "42501",
		"CREATE GROUP " + group + "_2":                                                 "42501",
		"GRANT DROP ON TABLE pg_catalog.pg_class TO " + user:                           "42501",
		"GRANT ASSUMEROLE ON ALL TO " + user + " FOR COPY":                             "42501",
		"SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename IN ('a', 'b')": "42601",
	} {
		self.refuses(sql, code)
	}
	_, err := self.conn.Exec(self.ctx, "SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename IN ($1, $2)", "a", "b")
	if sqlstate(err) != "42501" {
		t.Errorf("pg_shadow to a user who is no superuser: %v, want SQLSTATE 42501", err)
	}
}

func TestGroupsAndRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	driver := w.as(server.Admin.Username, server.Admin.Password.Reveal(), true)
	user, group, role, granted := w.user("Abcdefg1"), newName("Group.of"), newName("r"), newName("r")
	const members = "SELECT u.usename, g.groname FROM pg_catalog.pg_user u, pg_catalog.pg_group g WHERE u.usesysid = ANY(g.grolist) AND u.usename IN ($1, $2)"
	const roles = "SELECT user_name, role_name, admin_option FROM pg_catalog.svv_user_grants WHERE user_name IN ($1, $2)"
	wants := func(moment, query string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(append([]string{}, want...), driver.rows(query, user, "nobody")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", moment, diff)
		}
	}
	driver.exec(`CREATE GROUP "`+group+`"`, `ALTER GROUP "`+group+`" ADD USER "`+user+`"`)
	wants("a member", members, user+" "+strings.ToLower(group))
	w.exec("CREATE ROLE "+role, "CREATE ROLE "+granted, "GRANT ROLE "+granted+" TO ROLE "+role)
	driver.exec(`GRANT ROLE "` + role + `" TO "` + user + `"`)
	wants("granted", roles, user+" "+role+" false")
	driver.exec(`GRANT ROLE "` + role + `" TO "` + user + `" WITH ADMIN OPTION`)
	wants("granted with the option", roles, user+" "+role+" true")
	wants("a role is no group", members, user+" "+strings.ToLower(group))
	driver.exec(`REVOKE ADMIN OPTION FOR ROLE "` + role + `" FROM "` + user + `"`)
	wants("without the option", roles, user+" "+role+" false")
	driver.exec(`REVOKE ROLE "`+role+`" FROM "`+user+`"`, `ALTER GROUP "`+group+`" DROP USER "`+user+`"`)
	wants("revoked", roles)
	wants("no member", members)
	found := false
	for _, line := range driver.rows("SELECT role_name, granted_role_name FROM pg_catalog.svv_role_grants") {
		found = found || line == role+" "+granted
	}
	if !found {
		t.Error("a role that was granted to a role is not shown")
	}
	driver.refuses(`GRANT ROLE "`+strings.ToLower(group)+`" TO "`+user+`"`, "42704")
	driver.refuses(`ALTER GROUP "`+role+`" ADD USER "`+user+`"`, "42704")
}

func TestDefaultPrivileges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	driver := w.as(server.Admin.Username, server.Admin.Password.Reveal(), true)
	user, owner, schema := w.user("Abcdefg1"), w.user("Abcdefg1"), newName("s")
	w.exec("CREATE SCHEMA " + schema)
	const query = "SELECT schema_name, object_type, owner_name, privilege_type, grantee_name, grantee_type, admin_option FROM pg_catalog.svv_default_privileges WHERE grantee_type = 'user' AND grantee_name IN ($1, $2) OR owner_type = 'user' AND owner_name IN ($1, $2)"
	for _, row := range []struct{ in, privilege, objects, seen string }{
		{"", "SELECT", "TABLES", "RELATION"}, {"", "DROP", "TABLES", "RELATION"},
		{"", "EXECUTE", "FUNCTIONS", "FUNCTION"}, {schema, "EXECUTE", "PROCEDURES", "PROCEDURE"},
		{schema, "UPDATE", "TABLES", "RELATION"},
	} {
		intro, place := `ALTER DEFAULT PRIVILEGES FOR USER "`+owner+`"`, "<nil>"
		if row.in != "" {
			intro, place = intro+` IN SCHEMA "`+row.in+`"`, row.in
		}
		driver.exec(intro + " GRANT " + row.privilege + " ON " + row.objects + ` TO "` + user + `" WITH GRANT OPTION`)
		want := place + " " + row.seen + " " + owner + " " + row.privilege + " " + user + " user true"
		if diff := cmp.Diff([]string{want}, driver.rows(query, user, "nobody")); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", row, diff)
		}
		driver.exec(intro + " REVOKE " + row.privilege + " ON " + row.objects + ` FROM "` + user + `"`)
		if got := driver.rows(query, user, owner); len(got) > 0 {
			t.Errorf("%+v, revoked: %q", row, got)
		}
	}
}

func TestAUserWithAPrivilegeIsNotDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, privilege := range []string{"SELECT", "DROP"} {
		user, schema := w.user("Abcdefg1"), newName("s")
		w.exec("CREATE SCHEMA "+schema, "CREATE TABLE "+schema+".t (a int)", "GRANT "+privilege+" ON "+schema+".t TO "+user)
		w.refuses("DROP USER "+user, "55006")
		w.exec("REVOKE "+privilege+" ON "+schema+".t FROM "+user, "DROP USER "+user)
	}
	w.exec("DROP USER IF EXISTS nobody_at_all")
}

func TestATableAndItsColumnDoNotHaveTheSamePrivilege(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, schema := w.user("Abcdefg1"), newName("s")
	w.exec("CREATE SCHEMA "+schema, "CREATE TABLE "+schema+".t (a int)", "GRANT SELECT (a) ON "+schema+".t TO "+user)
	w.refuses("GRANT SELECT ON "+schema+".t TO "+user, "0A000")
	w.exec("GRANT UPDATE ON " + schema + ".t TO " + user)
}

func TestAnExternalSchemaHasUsageAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, schema := w.user("Abcdefg1"), newName("s")
	w.exec("CREATE EXTERNAL SCHEMA " + schema + " FROM DATA CATALOG DATABASE 'd' IAM_ROLE DEFAULT")
	w.refuses("GRANT CREATE ON SCHEMA "+schema+" TO "+user, "0A000")
}
