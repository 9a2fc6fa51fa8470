package redshiftgate

import (
	"fmt"
	"slices"
	"strings"
)

// operatorForms are what an application and an operator say beside the driver's
// forms: what tests set up, and look at. The driver's own sessions may not.
var operatorForms = []form{
	formOf("r_BEGIN.html", "< BEGIN | START TRANSACTION > [ < TRANSACTION | WORK > ]", nil),
	formOf("r_COMMIT.html", "< COMMIT | END >", nil),
	formOf("r_ROLLBACK.html", "< ROLLBACK | ABORT >", nil),
	formOf("r_SET.html", "SET SESSION AUTHORIZATION < DEFAULT | {user} >", nil),
	formOf("r_SET.html", "SET [ < SESSION | LOCAL > ] {setting} < TO | = > {value}", saysSet),
	formOf("r_RESET.html", "RESET {setting}", saysSet),
	formOf("r_SHOW.html", "SHOW {setting}", saysSet),

	formOf("r_CREATE_USER.html", "CREATE USER {user} {rest}", saysCreateUser),
	formOf("r_ALTER_USER.html", "ALTER USER {user} RENAME TO {user:new}", saysRenameUser),
	formOf("r_ALTER_USER.html", "ALTER USER {user} SET {setting} < TO | = > {value}", saysSetting),
	formOf("r_ALTER_USER.html", "ALTER USER {user} {rest}", saysAlterUser),
	formOf("r_DROP_USER.html", "DROP USER [ IF EXISTS ] {user} [ , {user} ]*", saysDropUser),
	formOf("r_CREATE_GROUP.html", "CREATE GROUP {name} [ WITH ] USER {user} [ , {user} ]*", saysCreateGroup),
	formOf("r_ALTER_GROUP.html", "ALTER GROUP {name} < ADD | DROP > USER {user} [ , {user} ]*", saysAlterGroup),
	formOf("r_DROP_GROUP.html", "DROP GROUP {name:group}", saysDropGroup),
	formOf("r_CREATE_ROLE.html", "CREATE ROLE {name} [ EXTERNALID {text} ]", saysCreateRole),
	formOf("r_DROP_ROLE.html", "DROP ROLE {name:role} [ < FORCE | RESTRICT > ]", saysDropGroup),
	formOf("r_GRANT.html", "GRANT ROLE {name} TO ROLE {name:member}", saysGrantRole),
	formOf("r_REVOKE.html", "REVOKE ROLE {name} FROM ROLE {name:member}", saysGrantRole),
	formOf("r_GRANT.html", "GRANT < < CREATE | DROP | ALTER > USER | < CREATE | DROP | ALTER > ROLE | ACCESS SYSTEM TABLE | ACCESS CATALOG > TO ROLE {name}", saysSystemPrivilege),
	formOf("r_REVOKE.html", "REVOKE < < CREATE | DROP | ALTER > USER | < CREATE | DROP | ALTER > ROLE | ACCESS SYSTEM TABLE | ACCESS CATALOG > FROM ROLE {name}", saysSystemPrivilege),

	grantForm(relation, "{privileges} ON [ TABLE ] {qname:object}"),
	revokeForm(relation, "{privileges} ON [ TABLE ] {qname:object}"),
	grantForm(allRelations, "{privileges} ON ALL TABLES IN SCHEMA {name:object}"),
	revokeForm(allRelations, "{privileges} ON ALL TABLES IN SCHEMA {name:object}"),
	grantForm(column, "< SELECT | UPDATE > ( {name:column} ) ON [ TABLE ] {qname:object}"),
	revokeForm(column, "< SELECT | UPDATE > ( {name:column} ) ON [ TABLE ] {qname:object}"),
	formOf("r_ALTER_DEFAULT_PRIVILEGES.html", "ALTER DEFAULT PRIVILEGES [ FOR USER {user:owner} ] [ IN SCHEMA {name:schema} ] GRANT {privileges} ON {word:objects} TO {grantee}", saysDefault),
	formOf("r_ALTER_DEFAULT_PRIVILEGES.html", "ALTER DEFAULT PRIVILEGES [ FOR USER {user:owner} ] [ IN SCHEMA {name:schema} ] REVOKE [ GRANT OPTION FOR ] {privileges} ON {word:objects} FROM {grantee}", saysDefault),

	formOf("r_CREATE_SCHEMA.html", "CREATE SCHEMA [ IF NOT EXISTS ] {name} [ AUTHORIZATION {user} ]", nil),
	formOf("r_CREATE_EXTERNAL_SCHEMA.html", "CREATE EXTERNAL SCHEMA [ IF NOT EXISTS ] {name} FROM DATA CATALOG DATABASE {text:database} IAM_ROLE < DEFAULT | {text:arn} > [ {rest} ]", saysExternalSchema),
	formOf("r_DROP_SCHEMA.html", "DROP SCHEMA [ IF EXISTS ] {name} [ < CASCADE | RESTRICT > ]", nil),
	formOf("r_CREATE_TABLE_NEW.html", "CREATE TABLE [ IF NOT EXISTS ] {qname} {rest}", nil),
	formOf("r_ALTER_TABLE.html", "ALTER TABLE {qname} {rest}", nil),
	formOf("r_DROP_TABLE.html", "DROP TABLE [ IF EXISTS ] {qname} [ < CASCADE | RESTRICT > ]", nil),
	formOf("r_TRUNCATE.html", "TRUNCATE [ TABLE ] {qname}", nil),
	formOf("r_CREATE_VIEW.html", "CREATE [ OR REPLACE ] VIEW {qname} AS {rest}", nil),
	formOf("r_DROP_VIEW.html", "DROP VIEW [ IF EXISTS ] {qname} [ < CASCADE | RESTRICT > ]", nil),
	formOf("r_CREATE_FUNCTION.html", "CREATE [ OR REPLACE ] FUNCTION {qname} {types} RETURNS {rest}", nil),
	formOf("r_DROP_FUNCTION.html", "DROP FUNCTION {qname} {types}", nil),
	formOf("r_CREATE_PROCEDURE.html", "CREATE [ OR REPLACE ] PROCEDURE {qname} {types} {rest}", nil),
	formOf("r_DROP_PROCEDURE.html", "DROP PROCEDURE {qname} {types}", nil),
	formOf("r_CALL_procedure.html", "CALL {rest}", nil),
	formOf("r_ATTACH_MASKING_POLICY.html", "ATTACH MASKING POLICY {name:policy} ON {qname:object} ( {name:column} ) TO {grantee}", saysAttach),
	formOf("r_ATTACH_RLS_POLICY.html", "ATTACH RLS POLICY {name:policy} ON [ TABLE ] {qname:object} TO {grantee}", saysAttach),
	formOf("r_CREATE_DATABASE.html", "CREATE DATABASE {name} [ [ WITH ] OWNER [ = ] {user} ]", nil),
	formOf("r_DROP_DATABASE.html", "DROP DATABASE {name}", nil),
	formOf("r_CREATE_DATASHARE.html", "CREATE DATASHARE {name} [ [ SET ] PUBLICACCESSIBLE < = | TO > < TRUE | FALSE > ]", saysThing),
	formOf("r_DROP_DATASHARE.html", "DROP DATASHARE {name}", saysThing),
	formOf("r_CREATE_MODEL.html", "CREATE MODEL {qname} FROM {rest}", saysThing),
	formOf("r_DROP_MODEL.html", "DROP MODEL {qname}", saysThing),

	formOf("r_SELECT_synopsis.html", "< SELECT | WITH > {rest}", nil),
	formOf("r_INSERT_30.html", "INSERT INTO {qname} {rest}", nil),
	formOf("r_UPDATE.html", "UPDATE {qname} {rest}", nil),
	formOf("r_DELETE.html", "DELETE FROM {qname} [ {rest} ]", nil),
}

// saysSet is SET, RESET and SHOW of a setting that Redshift has.
func saysSet(m *match) ([]part, error) {
	if err := knownSetting(m.get("setting").value); err != nil {
		return nil, err
	}
	return []part{{sql: m.sql()}}, nil
}

// saysRenameUser clears the password, whose salt the name is; PostgreSQL does
// the same with the one that it keeps.
func saysRenameUser(m *match) ([]part, error) {
	user, renamed := m.get("user"), m.get("new")
	return tagged([]part{
		exists(grantee{kind: "user", name: user.value}),
		{sql: fmt.Sprintf("SELECT redshift_standin.password(%s, true, '', '', '')", quoteText(user.value))},
		{sql: "ALTER ROLE " + user.sql + " PASSWORD NULL"},
		{sql: "ALTER ROLE " + user.sql + " RENAME TO " + renamed.sql},
	}, "ALTER USER"), nil
}

func saysDropUser(m *match) ([]part, error) {
	var parts []part
	exists := ""
	if m.statement[2].is("if") {
		exists = "IF EXISTS "
	}
	for _, u := range m.all("user") {
		parts = append(parts,
			part{sql: "SELECT redshift_standin.forget(" + quoteText(u.value) + ")"},
			part{sql: "DROP ROLE " + exists + u.sql})
	}
	return tagged(parts, "DROP USER"), nil
}

func saysDropGroup(m *match) ([]part, error) {
	dropped, kind := m.get("group"), "group"
	if dropped.sql == "" {
		dropped, kind = m.get("role"), "role"
	}
	return tagged([]part{
		exists(grantee{kind: kind, name: dropped.value}),
		{sql: "SELECT redshift_standin.forget(" + quoteText(dropped.value) + ")"},
		{sql: "DROP ROLE " + dropped.sql},
	}, "DROP "+strings.ToUpper(kind)), nil
}

func saysCreateRole(m *match) ([]part, error) {
	r := m.get("name")
	return tagged([]part{
		{sql: "CREATE ROLE " + r.sql + " NOLOGIN"},
		{sql: fmt.Sprintf("SELECT redshift_standin.born(%s, 'role')", quoteText(r.value))},
		{sql: fmt.Sprintf("SELECT redshift_standin.options(%s, '', '', %s)", quoteText(r.value), quoteText(m.get("text").value))},
	}, "CREATE ROLE"), nil
}

func saysSystemPrivilege(m *match) ([]part, error) {
	var words []string
	for _, t := range m.statement[1:] {
		if t.is("to") || t.is("from") {
			break
		}
		words = append(words, strings.ToUpper(t.text))
	}
	to := grantee{kind: "role", name: m.get("name").value}
	c := grantChange{revoke: m.statement[0].is("revoke"), to: to}
	return tagged([]part{exists(to), c.ours("system", "", "", strings.Join(words, " "), "", "")}, m.statement[0].text), nil
}

func saysExternalSchema(m *match) ([]part, error) {
	s := m.get("name")
	exists := ""
	if slices.ContainsFunc(m.statement[:5], func(t token) bool { return t.is("exists") }) {
		exists = "IF NOT EXISTS "
	}
	return tagged([]part{
		{sql: "CREATE SCHEMA " + exists + s.sql},
		{sql: fmt.Sprintf("SELECT redshift_standin.thing('external schema', %s, true)", quoteText(s.sql))},
	}, "CREATE SCHEMA"), nil
}

// saysThing makes or drops what the gate alone knows.
func saysThing(m *match) ([]part, error) {
	thing := m.get("name")
	if thing.sql == "" {
		thing = m.get("qname")
	}
	kind := strings.ToLower(m.statement[1].text)
	return tagged([]part{
		{sql: fmt.Sprintf("SELECT redshift_standin.thing(%s, %s, %t)", quoteText(kind), quoteText(thing.sql), m.statement[0].is("create"))},
	}, m.statement[0].text+" "+kind), nil
}

// saysAttach is ATTACH MASKING POLICY and ATTACH RLS POLICY. A policy need not
// have been made, and keeps nothing from anybody.
func saysAttach(m *match) ([]part, error) {
	kind, to := strings.ToLower(m.statement[1].text), m.get("grantee").grantee
	if to.kind == "group" || to.option {
		return nil, refusal("42601", "a policy is attached to a user, a role or PUBLIC")
	}
	return tagged([]part{
		exists(to),
		{sql: fmt.Sprintf("SELECT redshift_standin.attach(%s, %s, %s, %s, %s, %s)", quoteText(kind), quoteText(m.get("policy").value),
			quoteText(m.get("object").sql), quoteText(m.get("column").value), quoteText(to.kind), quoteText(to.name))},
	}, "ATTACH "+kind+" POLICY"), nil
}
