package redshiftgate

import (
	"slices"
	"strings"
)

// A form is one statement that Redshift's manual knows.
type form struct {
	// page is the page of the manual, below manual.
	page    string
	pattern pattern
	// says returns the statement in PostgreSQL's words. Where it is nil, that
	// is what the pattern has made of each token.
	says func(m *match) ([]part, error)
}

// A part is one statement that PostgreSQL is told.
type part struct {
	sql string
	// hidden is whether the client learns nothing of the answer but an error.
	hidden bool
	// tag is what the answer is to say in place of PostgreSQL's own command
	// tag, where it is not empty.
	tag string
}

// manual is where the pages of the forms are.
const manual = "https://docs.aws.amazon.com/redshift/latest/dg/"

// ApplicationName is that of the sessions which may say no more than the forms
// of the rotation's driver. Any other session may say what an application and
// an operator say, too.
const ApplicationName = "dbrotation"

func formOf(page, source string, says func(m *match) ([]part, error)) form {
	return form{page: manual + page, pattern: mustPattern(source), says: says}
}

// forms are the statements of the rotation's driver, and no others. The queries
// are to the letter those of the driver.
var forms = []form{
	formOf("r_BEGIN.html", "BEGIN", nil),
	formOf("r_COMMIT.html", "COMMIT", nil),
	formOf("r_ROLLBACK.html", "ROLLBACK", nil),
	formOf("r_statement_timeout.html", "SET statement_timeout TO {int}", nil),
	formOf("r_datestyle.html", "SET datestyle TO {text}", nil),
	formOf("r_timezone_config.html", "SET timezone TO {text}", nil),
	formOf("r_enable_case_sensitive_identifier.html", "SET {setting} TO < true | false >", saysCaseSensitive),

	formOf("r_CREATE_USER.html", "CREATE USER {user} PASSWORD DISABLE", saysCreateUser),
	formOf("r_ALTER_USER.html", "ALTER USER {user} PASSWORD {text:password}", saysAlterUser),
	formOf("r_ALTER_USER.html", "ALTER USER {user} < CREATEDB | NOCREATEDB >", saysAlterUser),
	formOf("r_ALTER_USER.html", "ALTER USER {user} SYSLOG ACCESS < RESTRICTED | UNRESTRICTED >", saysAlterUser),
	formOf("r_ALTER_USER.html", "ALTER USER {user} CONNECTION LIMIT < {int} | UNLIMITED >", saysAlterUser),
	formOf("r_ALTER_USER.html", "ALTER USER {user} SESSION TIMEOUT {int}", saysAlterUser),
	formOf("r_ALTER_USER.html", "ALTER USER {user} RESET SESSION TIMEOUT", saysAlterUser),
	formOf("r_ALTER_USER.html", "ALTER USER {user} VALID UNTIL {text}", saysAlterUser),
	formOf("r_ALTER_USER.html", "ALTER USER {user} SET {setting} TO {value}", saysSetting),
	formOf("r_ALTER_USER.html", "ALTER USER {user} RESET {setting}", saysSetting),

	formOf("r_CREATE_GROUP.html", "CREATE GROUP {name}", saysCreateGroup),
	formOf("r_ALTER_GROUP.html", "ALTER GROUP {name} < ADD | DROP > USER {user}", saysAlterGroup),
	formOf("r_GRANT.html", "GRANT ROLE {name} TO {user} [ WITH ADMIN OPTION ]", saysGrantRole),
	formOf("r_REVOKE.html", "REVOKE [ ADMIN OPTION FOR ] ROLE {name} FROM {user}", saysGrantRole),

	formOf("r_ALTER_TABLE.html", "ALTER TABLE {qname} OWNER TO {user}", nil),
	formOf("r_ALTER_SCHEMA.html", "ALTER SCHEMA {name} OWNER TO {user}", nil),
	formOf("r_ALTER_FUNCTION.html", "ALTER FUNCTION {qname} {types} OWNER TO {user}", nil),
	formOf("r_ALTER_PROCEDURE.html", "ALTER PROCEDURE {qname} {types} OWNER TO {user}", nil),
	formOf("r_ALTER_DATABASE.html", "ALTER DATABASE {name} OWNER TO {user}", nil),

	formOf("r_CURRENT_USER.html", "SELECT current_user", nil),
	query("r_CREATE_USER.html", "SELECT usename, usesysid, usecreatedb, usesuper, valuntil, useconfig FROM pg_catalog.pg_user WHERE usename IN ($1, $2, $3)"),
	query("c_intro_catalog_views.html", "SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename IN ($1, $2)"),
	query("r_SVV_USER_INFO.html", "SELECT user_name, connection_limit, syslog_access, session_timeout, external_user_id FROM pg_catalog.svv_user_info WHERE user_name IN ($1, $2)"),
	query("r_CREATE_GROUP.html", "SELECT u.usename, g.groname FROM pg_catalog.pg_user u, pg_catalog.pg_group g WHERE u.usesysid = ANY(g.grolist) AND u.usename IN ($1, $2)"),
	query("r_CREATE_GROUP.html", "SELECT groname FROM pg_catalog.pg_group WHERE groname IN ($1, $2)"),
	query("r_SVV_USER_GRANTS.html", "SELECT user_name, role_name, admin_option FROM pg_catalog.svv_user_grants WHERE user_name IN ($1, $2)"),
	query("r_SVV_ROLE_GRANTS.html", "SELECT role_name, granted_role_name FROM pg_catalog.svv_role_grants"),
	query("r_SVV_RELATION_PRIVILEGES.html", "SELECT namespace_name, relation_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_relation_privileges"+ofUsers),
	query("r_SVV_COLUMN_PRIVILEGES.html", "SELECT namespace_name, relation_name, column_name, privilege_type, identity_name FROM pg_catalog.svv_column_privileges"+ofUsers),
	query("r_SVV_SCHEMA_PRIVILEGES.html", "SELECT namespace_name, privilege_type, privilege_scope, identity_name, admin_option FROM pg_catalog.svv_schema_privileges"+ofUsers),
	query("r_SVV_DATABASE_PRIVILEGES.html", "SELECT database_name, privilege_type, privilege_scope, identity_name, admin_option FROM pg_catalog.svv_database_privileges"+ofUsers),
	query("r_SVV_FUNCTION_PRIVILEGES.html", "SELECT namespace_name, function_name, argument_types, privilege_type, identity_name, admin_option FROM pg_catalog.svv_function_privileges"+ofUsers),
	query("r_SVV_LANUGAGE_PRIVILEGES.html", "SELECT language_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_language_privileges"+ofUsers),
	query("r_SVV_DATASHARE_PRIVILEGES.html", "SELECT datashare_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_datashare_privileges"+ofUsers),
	query("r_SVV_ML_MODEL_PRIVILEGES.html", "SELECT namespace_name, model_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_ml_model_privileges"+ofUsers),
	query("r_SVV_IAM_PRIVILEGES.html", "SELECT iam_arn, command_type, identity_name FROM pg_catalog.svv_iam_privileges"+ofUsers),
	query("r_SVV_DEFAULT_PRIVILEGES.html", "SELECT schema_name, object_type, owner_name, privilege_type, grantee_name, grantee_type, admin_option FROM pg_catalog.svv_default_privileges WHERE grantee_type = 'user' AND grantee_name IN ($1, $2) OR owner_type = 'user' AND owner_name IN ($1, $2)"),
	query("c_intro_catalog_views.html", "SELECT n.nspname, c.relname, c.relkind, u.usename FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n, pg_catalog.pg_user u WHERE n.oid = c.relnamespace AND u.usesysid = c.relowner AND c.relkind IN ('r', 'v') AND u.usename IN ($1, $2)"),
	query("c_intro_catalog_views.html", "SELECT n.nspname, u.usename FROM pg_catalog.pg_namespace n, pg_catalog.pg_user u WHERE u.usesysid = n.nspowner AND u.usename IN ($1, $2)"),
	query("r_SVV_EXTERNAL_SCHEMAS.html", "SELECT schemaname FROM pg_catalog.svv_external_schemas"),
	query("r_SVV_ATTACHED_MASKING_POLICY.html", "SELECT policy_name, schema_name, table_name, grantee, grantee_type FROM pg_catalog.svv_attached_masking_policy WHERE grantee IN ($1, $2)"),
	query("r_SVV_RLS_ATTACHED_POLICY.html", "SELECT polname, relschema, relname, grantee, granteekind FROM pg_catalog.svv_rls_attached_policy WHERE grantee IN ($1, $2)"),
	query("r_PG_PROC_INFO.html", "SELECT n.nspname, p.proname, oidvectortypes(p.proargtypes), p.prokind, u.usename FROM pg_catalog.pg_proc_info p, pg_catalog.pg_namespace n, pg_catalog.pg_user u WHERE n.oid = p.pronamespace AND u.usesysid = p.proowner AND (p.prokind = 'p' OR u.usename IN ($1, $2))"),
	query("c_intro_catalog_views.html", "SELECT d.datname, u.usename FROM pg_catalog.pg_database d, pg_catalog.pg_user u WHERE u.usesysid = d.datdba AND u.usename IN ($1, $2)"),

	grantForm(relation, "{privileges} ON TABLE {qname:object}"),
	grantForm(column, "< SELECT | UPDATE > ( {name:column} ) ON TABLE {qname:object}"),
	grantForm(schema, "{privileges} ON SCHEMA {name:object}"),
	grantForm(database, "{privileges} ON DATABASE {name:object}"),
	grantForm(routine, "EXECUTE ON < FUNCTION | PROCEDURE > {qname:object} {types}"),
	grantForm(language, "USAGE ON LANGUAGE {name:object}"),
	grantForm(datashare, "< ALTER | SHARE > ON DATASHARE {name:object}"),
	grantForm(model, "EXECUTE ON MODEL {qname:object}"),
	grantForm(scopedSchema, "{privileges} FOR {word:scope} IN SCHEMA {name:object}"),
	grantForm(scopedDatabase, "{privileges} FOR {word:scope} IN DATABASE {name:object}"),
	revokeForm(relation, "{privileges} ON TABLE {qname:object}"),
	revokeForm(column, "< SELECT | UPDATE > ( {name:column} ) ON TABLE {qname:object}"),
	revokeForm(schema, "{privileges} ON SCHEMA {name:object}"),
	revokeForm(database, "{privileges} ON DATABASE {name:object}"),
	revokeForm(routine, "EXECUTE ON < FUNCTION | PROCEDURE > {qname:object} {types}"),
	revokeForm(language, "USAGE ON LANGUAGE {name:object}"),
	revokeForm(datashare, "< ALTER | SHARE > ON DATASHARE {name:object}"),
	revokeForm(model, "EXECUTE ON MODEL {qname:object}"),
	revokeForm(scopedSchema, "{privileges} FOR {word:scope} IN SCHEMA {name:object}"),
	revokeForm(scopedDatabase, "{privileges} FOR {word:scope} IN DATABASE {name:object}"),

	formOf("r_GRANT.html", "GRANT ASSUMEROLE ON "+arns+" TO {grantee} FOR "+commands, saysAssumeRole),
	formOf("r_REVOKE.html", "REVOKE ASSUMEROLE ON "+arns+" FROM {grantee} FOR "+commands, saysAssumeRole),

	formOf("r_ALTER_DEFAULT_PRIVILEGES.html", "ALTER DEFAULT PRIVILEGES FOR USER {user:owner} [ IN SCHEMA {name:schema} ] GRANT {privileges} ON {word:objects} TO {grantee}", saysDefault),
	formOf("r_ALTER_DEFAULT_PRIVILEGES.html", "ALTER DEFAULT PRIVILEGES FOR USER {user:owner} [ IN SCHEMA {name:schema} ] REVOKE [ GRANT OPTION FOR ] {privileges} ON {word:objects} FROM {grantee}", saysDefault),
}

// ofUsers ends the queries of what was granted to users themselves.
const ofUsers = " WHERE identity_type = 'user' AND identity_name IN ($1, $2)"

// Parts of patterns.
const (
	arns     = "< {text:arn} | DEFAULT | ALL >"
	commands = "< ALL | COPY | UNLOAD | EXTERNAL FUNCTION | CREATE MODEL >"
)

// query is the form of one query, token by token.
func query(page, sql string) form {
	all, err := tokens(sql)
	if err != nil {
		panic(err)
	}
	same := func(m *match) bool {
		if len(m.statement) != len(all) {
			return false
		}
		for i, t := range all {
			got := m.statement[i]
			if got.kind != t.kind || got.text != t.text && !strings.EqualFold(got.text, t.text) {
				return false
			}
		}
		text, err := passed(m.statement, m.keepsCase)
		if err != nil {
			return false
		}
		m.at = len(m.statement)
		m.out = append(m.out, text)
		return true
	}
	return form{page: manual + page, pattern: pattern{source: sql, steps: []step{same}}}
}

// translate says a statement in PostgreSQL's words. An operator may say more
// than the driver.
func translate(statement []token, operator, keepsCase bool) ([]part, error) {
	if slices.ContainsFunc(statement, func(t token) bool { return t.kind == parameter }) && !preparable(statement[0]) {
		return nil, refusal("42601", "Redshift prepares SELECT, INSERT, UPDATE and DELETE alone, and no statement with a parameter: %s", shape(statement))
	}
	tables := [][]form{forms}
	if operator {
		tables = append(tables, operatorForms)
	}
	for _, table := range tables {
		for _, f := range table {
			m, ok := f.pattern.match(statement, keepsCase)
			if !ok {
				continue
			}
			if f.says == nil {
				return []part{{sql: m.sql()}}, nil
			}
			return f.says(m)
		}
	}
	return nil, unknown(statement, operator)
}

// unknown is the error for a statement of no form.
func unknown(statement []token, operator bool) error {
	// A query may be refused for what it contains.
	if operator {
		if _, err := passed(statement, false); err != nil {
			return err
		}
	}
	return refusal("42601", "Redshift's manual, or this stand-in's table of forms, has no statement: %s", shape(statement))
}

// preparable reports whether a statement that begins with t may have
// parameters.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_PREPARE.html
func preparable(t token) bool {
	return t.is("select") || t.is("insert") || t.is("update") || t.is("delete") || t.is("with")
}
