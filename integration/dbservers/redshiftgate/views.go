package redshiftgate

import "strings"

// view is one of Redshift's system views.
type view struct {
	name string
	// page is the page of the manual that has the columns.
	page    string
	columns []string
	sql     string
	// superusers is whether superusers alone may read it.
	superusers bool
}

// grantedTo are the columns that tell of a grantee.
var grantedTo = []string{"identity_id", "identity_name", "identity_type"}

func columns(first string, more ...[]string) []string {
	out := strings.Fields(first)
	for _, m := range more {
		out = append(out, m...)
	}
	return out
}

// views are Redshift's system views, each with the columns that its page gives
// it. The views of privileges have what was granted, and nothing that comes by
// being the owner.
//
// https://docs.aws.amazon.com/redshift/latest/dg/c_svv_views.html
var views = []view{
	{
		name: "pg_shadow", page: "c_intro_catalog_views.html", superusers: true,
		columns: strings.Fields("usename usesysid usecreatedb usesuper usecatupd passwd valuntil useconfig"),
		sql: `SELECT i.name::name AS usename, i.id AS usesysid, i.rolcreatedb AS usecreatedb, i.rolsuper AS usesuper, i.rolsuper AS usecatupd,
			PASSWD AS passwd, i.rolvaliduntil AS valuntil,
			(SELECT array_agg(regexp_replace(c, '^redshift_standin[.]', '')) FROM pg_db_role_setting s, unnest(s.setconfig) c
			 WHERE s.setrole = i.role AND s.setdatabase = 0) AS useconfig
			FROM redshift_standin.identities i LEFT JOIN redshift_standin.digests d ON d.id = i.role WHERE i.kind = 'user'`,
	},
	{
		name: "pg_user", page: "c_intro_catalog_views.html",
		columns: strings.Fields("usename usesysid usecreatedb usesuper usecatupd passwd valuntil useconfig"),
		sql:     `SELECT usename, usesysid, usecreatedb, usesuper, usecatupd, '********'::text AS passwd, valuntil, useconfig FROM pg_catalog.pg_shadow`,
	},
	{
		name: "pg_user_info", page: "pg_user_info.html", superusers: true,
		columns: strings.Fields("usename usesysid usecreatedb usesuper usecatupd passwd valuntil useconfig useconnlimit"),
		sql: `SELECT u.*, CASE i.rolconnlimit WHEN -1 THEN 'UNLIMITED' ELSE i.rolconnlimit::text END AS useconnlimit
			FROM pg_catalog.pg_user u JOIN redshift_standin.identities i ON i.id = u.usesysid`,
	},
	{
		name: "pg_group", page: "r_CREATE_GROUP.html",
		columns: strings.Fields("groname grosysid grolist"),
		sql: `SELECT i.name::name AS groname, i.id AS grosysid,
			ARRAY(SELECT m.member::int4 FROM pg_auth_members m WHERE m.roleid = i.role) AS grolist
			FROM redshift_standin.identities i WHERE i.kind = 'group'`,
	},
	{
		name: "svl_user_info", page: "r_SVL_USER_INFO.html", superusers: true,
		columns: strings.Fields("usename usesysid usecreatedb usesuper usecatupd useconnlimit syslogaccess last_ddl_ts sessiontimeout external_id"),
		sql: `SELECT i.name AS usename, i.id AS usesysid, i.rolcreatedb AS usecreatedb, i.rolsuper AS usesuper, i.rolsuper AS usecatupd,
			CASE i.rolconnlimit WHEN -1 THEN 'UNLIMITED' ELSE i.rolconnlimit::text END AS useconnlimit,
			coalesce(u.syslog, 'RESTRICTED') AS syslogaccess, u.last_ddl AS last_ddl_ts, coalesce(u.timeout, 0) AS sessiontimeout, u.external AS external_id
			FROM redshift_standin.identities i LEFT JOIN redshift_standin.users u ON u.id = i.role WHERE i.kind = 'user'`,
	},
	{
		name: "svv_user_info", page: "r_SVV_USER_INFO.html",
		columns: strings.Fields("user_name user_id createdb superuser catalog_update connection_limit syslog_access last_ddl_timestamp session_timeout external_user_id"),
		sql: `SELECT usename AS user_name, usesysid AS user_id, usecreatedb AS createdb, usesuper AS superuser, usecatupd AS catalog_update,
			useconnlimit AS connection_limit, syslogaccess AS syslog_access, last_ddl_ts AS last_ddl_timestamp, sessiontimeout AS session_timeout,
			external_id AS external_user_id FROM pg_catalog.svl_user_info WHERE redshift_standin.visible(usesysid)`,
	},
	{
		name: "svv_roles", page: "r_SVV_ROLES.html",
		columns: strings.Fields("role_id role_name role_owner external_id"),
		sql: `SELECT i.id AS role_id, i.name AS role_name, 'rdsdb'::text AS role_owner, u.external AS external_id
			FROM redshift_standin.identities i LEFT JOIN redshift_standin.users u ON u.id = i.role
			WHERE i.kind = 'role' AND redshift_standin.visible(i.id)`,
	},
	{
		name: "svv_user_grants", page: "r_SVV_USER_GRANTS.html",
		columns: strings.Fields("user_id user_name role_id role_name admin_option"),
		sql: `SELECT u.id AS user_id, u.name AS user_name, r.id AS role_id, r.name AS role_name, bool_or(m.admin_option) AS admin_option
			FROM pg_auth_members m JOIN redshift_standin.identities u ON u.role = m.member JOIN redshift_standin.identities r ON r.role = m.roleid
			WHERE u.kind = 'user' AND r.kind = 'role' AND redshift_standin.visible(u.id) GROUP BY 1, 2, 3, 4`,
	},
	{
		name: "svv_role_grants", page: "r_SVV_ROLE_GRANTS.html",
		columns: strings.Fields("role_id role_name granted_role_id granted_role_name"),
		sql: `SELECT u.id AS role_id, u.name AS role_name, r.id AS granted_role_id, r.name AS granted_role_name
			FROM pg_auth_members m JOIN redshift_standin.identities u ON u.role = m.member JOIN redshift_standin.identities r ON r.role = m.roleid
			WHERE u.kind = 'role' AND r.kind = 'role' AND redshift_standin.visible(u.id)`,
	},
	{
		name: "svv_relation_privileges", page: "r_SVV_RELATION_PRIVILEGES.html",
		columns: columns("namespace_name relation_name privilege_type", grantedTo, []string{"admin_option"}),
		sql: `SELECT namespace_name, relation_name, privilege_type, GRANTEE, bool_or(option) AS admin_option FROM (
			SELECT n.nspname::text AS namespace_name, c.relname::text AS relation_name, x.privilege_type, x.grantee, x.is_grantable AS option
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) x
			WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND x.grantee <> c.relowner AND x.privilege_type <> 'TRIGGER' AND NOTSYSTEM
			UNION ALL SELECT o.namespace, o.object, o.privilege, o.grantee, o.admin_option FROM redshift_standin.grants o
			JOIN pg_namespace n ON n.nspname = o.namespace JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = o.object
			WHERE o.object_type = 'relation') o WHOM ONRELATIONS GROUP BY 1, 2, 3, 4, 5, 6`,
	},
	{
		name: "svv_column_privileges", page: "r_SVV_COLUMN_PRIVILEGES.html",
		columns: columns("namespace_name relation_name column_name privilege_type", grantedTo),
		sql: `SELECT DISTINCT namespace_name, relation_name, column_name, privilege_type, GRANTEE FROM (
			SELECT n.nspname::text AS namespace_name, c.relname::text AS relation_name, a.attname::text AS column_name, x.privilege_type, x.grantee
			FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(a.attacl) x
			WHERE NOT a.attisdropped AND x.grantee <> c.relowner AND x.privilege_type IN ('SELECT', 'UPDATE') AND NOTSYSTEM) o WHOM`,
	},
	{
		name: "svv_schema_privileges", page: "r_SVV_SCHEMA_PRIVILEGES.html",
		columns: columns("namespace_name privilege_type", grantedTo, strings.Fields("admin_option privilege_scope")),
		sql: `SELECT namespace_name, privilege_type, GRANTEE, bool_or(option) AS admin_option, scope AS privilege_scope FROM (
			SELECT n.nspname::text AS namespace_name, x.privilege_type, x.grantee, x.is_grantable AS option, 'SCHEMA'::text AS scope
			FROM pg_namespace n, aclexplode(n.nspacl) x WHERE x.grantee <> n.nspowner AND NOTSYSTEM
			UNION ALL SELECT o.object, o.privilege, o.grantee, o.admin_option, coalesce(nullif(o.scope, ''), 'SCHEMA') FROM redshift_standin.grants o
			JOIN pg_namespace n ON n.nspname = o.object WHERE o.object_type = 'schema') o WHOM ONSCHEMAS GROUP BY 1, 2, 3, 4, 5, 7`,
	},
	{
		name: "svv_database_privileges", page: "r_SVV_DATABASE_PRIVILEGES.html",
		columns: columns("database_name privilege_type", grantedTo, strings.Fields("admin_option privilege_scope")),
		sql: `SELECT database_name, privilege_type, GRANTEE, bool_or(option) AS admin_option, scope AS privilege_scope FROM (
			SELECT d.datname::text AS database_name, CASE x.privilege_type WHEN 'TEMPORARY' THEN 'TEMP' ELSE x.privilege_type END AS privilege_type,
			x.grantee, x.is_grantable AS option, 'DATABASE'::text AS scope
			FROM pg_database d, aclexplode(d.datacl) x WHERE x.grantee <> d.datdba AND x.privilege_type <> 'CONNECT'
			UNION ALL SELECT o.object, o.privilege, o.grantee, o.admin_option, coalesce(nullif(o.scope, ''), 'DATABASE') FROM redshift_standin.grants o
			JOIN pg_database d ON d.datname = o.object WHERE o.object_type = 'database') o WHOM GROUP BY 1, 2, 3, 4, 5, 7`,
	},
	{
		name: "svv_function_privileges", page: "r_SVV_FUNCTION_PRIVILEGES.html",
		columns: columns("namespace_name function_name argument_types privilege_type", grantedTo, []string{"admin_option"}),
		sql: `SELECT namespace_name, function_name, argument_types, privilege_type, GRANTEE, bool_or(option) AS admin_option FROM (
			SELECT n.nspname::text AS namespace_name, p.proname::text AS function_name, oidvectortypes(p.proargtypes) AS argument_types,
			x.privilege_type, x.grantee, x.is_grantable AS option
			FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, aclexplode(p.proacl) x
			WHERE x.grantee <> p.proowner AND NOTSYSTEM) o WHOM GROUP BY 1, 2, 3, 4, 5, 6, 7`,
	},
	{
		name: "svv_language_privileges", page: "r_SVV_LANUGAGE_PRIVILEGES.html",
		columns: columns("language_name privilege_type", grantedTo, []string{"admin_option"}),
		sql: `SELECT language_name, privilege_type, GRANTEE, bool_or(option) AS admin_option FROM (
			SELECT l.lanname::text AS language_name, x.privilege_type, x.grantee, x.is_grantable AS option
			FROM pg_language l, aclexplode(l.lanacl) x WHERE x.grantee <> l.lanowner) o WHOM GROUP BY 1, 2, 3, 4, 5`,
	},
	{
		name: "svv_default_privileges", page: "r_SVV_DEFAULT_PRIVILEGES.html",
		columns: strings.Fields("schema_name object_type owner_id owner_name owner_type privilege_type grantee_id grantee_name grantee_type admin_option"),
		sql: `SELECT o.schema_name, o.object_type, w.id AS owner_id, w.name AS owner_name, w.kind AS owner_type, o.privilege_type,
			i.id AS grantee_id, i.name AS grantee_name, i.kind AS grantee_type, bool_or(o.option) AS admin_option FROM (
			SELECT n.nspname::text AS schema_name, CASE d.defaclobjtype WHEN 'r' THEN 'RELATION' ELSE 'FUNCTION' END AS object_type, d.defaclrole AS owner,
			x.privilege_type, x.grantee, x.is_grantable AS option
			FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) x
			WHERE d.defaclobjtype IN ('r', 'f') AND x.grantee <> d.defaclrole
			AND NOT (d.defaclobjtype = 'f' AND d.defaclnamespace = 0 AND x.grantee = 0) UNSAYABLE
			UNION ALL SELECT nullif(g.namespace, ''), CASE g.detail WHEN 'TABLES' THEN 'RELATION' ELSE rtrim(g.detail, 'S') END, g.owner, g.privilege,
			g.grantee, g.admin_option FROM redshift_standin.grants g WHERE g.object_type = 'default') o
			JOIN redshift_standin.identities w ON w.role = o.owner JOIN redshift_standin.grantees i ON i.role = o.grantee
			WHERE redshift_standin.visible(i.id) OR redshift_standin.visible(w.id) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9`,
	},
	{
		name: "svv_datashare_privileges", page: "r_SVV_DATASHARE_PRIVILEGES.html",
		columns: columns("datashare_name privilege_type", grantedTo, []string{"admin_option"}),
		sql: `SELECT o.object AS datashare_name, o.privilege AS privilege_type, GRANTEE, o.admin_option
			FROM redshift_standin.grants o WHOM AND o.object_type = 'datashare'`,
	},
	{
		name: "svv_system_privileges", page: "r_SVV_SYSTEM_PRIVILEGES.html",
		columns: columns("system_privilege", grantedTo),
		sql:     `SELECT o.privilege AS system_privilege, GRANTEE FROM redshift_standin.grants o WHOM AND o.object_type = 'system'`,
	},
	{
		name: "svv_ml_model_privileges", page: "r_SVV_ML_MODEL_PRIVILEGES.html",
		columns: columns("namespace_name model_name model_version privilege_type", grantedTo, []string{"admin_option"}),
		sql: `SELECT o.namespace AS namespace_name, o.object AS model_name, 1 AS model_version, o.privilege AS privilege_type, GRANTEE, o.admin_option
			FROM redshift_standin.grants o WHOM AND o.object_type = 'model'`,
	},
	{
		name: "svv_iam_privileges", page: "r_SVV_IAM_PRIVILEGES.html",
		columns: columns("iam_arn command_type", grantedTo),
		sql:     `SELECT o.object AS iam_arn, o.privilege AS command_type, GRANTEE FROM redshift_standin.grants o WHOM AND o.object_type = 'iam'`,
	},
	{
		name: "svv_external_schemas", page: "r_SVV_EXTERNAL_SCHEMAS.html",
		columns: strings.Fields("esoid eskind schemaname esowner databasename esoptions"),
		sql: `SELECT n.oid AS esoid, 1::int2 AS eskind, n.nspname AS schemaname, n.nspowner::int4 AS esowner, 'lake'::text AS databasename, ''::text AS esoptions
			FROM pg_namespace n JOIN redshift_standin.things o ON o.kind = 'external schema' AND o.name = n.nspname
			WHERE redshift_standin.visible(n.nspowner::int4)`,
	},
	{
		name: "svv_attached_masking_policy", page: "r_SVV_ATTACHED_MASKING_POLICY.html",
		columns: strings.Fields("policy_name schema_name table_name table_type grantor grantee grantee_type priority input_columns output_columns is_masking_datashare_on"),
		sql: `SELECT o.policy AS policy_name, o.namespace AS schema_name, o.relation AS table_name, 'table'::text AS table_type, o.grantor,
			i.name AS grantee, i.kind AS grantee_type, 0 AS priority, o.input AS input_columns, o.input AS output_columns, false AS is_masking_datashare_on
			FROM redshift_standin.policies o JOIN redshift_standin.grantees i ON i.role = o.grantee
			WHERE o.kind = 'masking' AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)`,
	},
	{
		name: "svv_rls_attached_policy", page: "r_SVV_RLS_ATTACHED_POLICY.html", superusers: true,
		columns: strings.Fields("relschema relname relkind polname grantor grantee granteekind is_pol_on is_rls_on rls_conjunction_type"),
		sql: `SELECT o.namespace AS relschema, o.relation AS relname, 'table'::text AS relkind, o.policy AS polname, o.grantor,
			i.name AS grantee, i.kind AS granteekind, true AS is_pol_on, true AS is_rls_on, 'and'::char(3) AS rls_conjunction_type
			FROM redshift_standin.policies o JOIN redshift_standin.grantees i ON i.role = o.grantee
			WHERE o.kind = 'rls' AND redshift_standin.security_admin()`,
	},
	{
		name: "pg_proc_info", page: "r_PG_PROC_INFO.html",
		columns: strings.Fields("prooid proname pronamespace proowner prokind proargtypes prorettype proacl"),
		sql:     `SELECT oid AS prooid, proname, pronamespace, proowner, prokind, proargtypes, prorettype, proacl FROM pg_catalog.pg_proc`,
	},
}

// shown is what pg_shadow shows of passwords.
const (
	shownHash   = `CASE WHEN d.id IS NULL THEN i.rolpassword ELSE 'sha256|' || d.digest || '|' || d.salt END`
	shownMasked = `'********'::text`
)

// What the pages of the views list of privileges.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_RELATION_PRIVILEGES.html
// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_SCHEMA_PRIVILEGES.html
const (
	documentedOnRelations = `AND o.privilege_type IN ('INSERT', 'SELECT', 'UPDATE', 'DELETE', 'REFERENCES', 'DROP')`
	// The page lists RULE and TRIGGER, which no statement grants by name: shown
	// here where REFERENCES is, as with all privileges.
	//
	// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_DEFAULT_PRIVILEGES.html
	documentedDefaults = `UNION ALL SELECT n.nspname::text, 'RELATION', d.defaclrole, p.name, x.grantee, x.is_grantable
			FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) x, (VALUES ('RULE'), ('TRIGGER')) p (name)
			WHERE d.defaclobjtype = 'r' AND x.grantee <> d.defaclrole AND x.privilege_type = 'REFERENCES'`
	documentedOnSchemas = `AND (o.scope <> 'SCHEMA' OR o.privilege_type IN ('CREATE', 'USAGE', 'ALTER'))`
)

// viewsSQL makes the views in pg_catalog, in place of PostgreSQL's own where
// there are such.
func viewsSQL(c Cluster) []string {
	passwd, onRelations, onSchemas, unsayable := shownHash, "", "", ""
	if c.HashesMasked {
		passwd = shownMasked
	}
	if c.DocumentedPrivileges {
		onRelations, onSchemas, unsayable = documentedOnRelations, documentedOnSchemas, documentedDefaults
	}
	fill := strings.NewReplacer(
		"ONRELATIONS", onRelations,
		"ONSCHEMAS", onSchemas,
		"UNSAYABLE", unsayable,
		"PASSWD", passwd,
		"GRANTEE", "i.id AS identity_id, i.name AS identity_name, i.kind AS identity_type",
		"WHOM", "JOIN redshift_standin.grantees i ON i.role = o.grantee WHERE redshift_standin.visible(i.id)",
		"NOTSYSTEM", "n.nspname NOT IN ('pg_catalog', 'information_schema', 'redshift_standin')",
	)
	out := []string{
		"SET allow_system_table_mods = on",
		"DROP VIEW pg_catalog.pg_group, pg_catalog.pg_user, pg_catalog.pg_shadow",
	}
	for _, v := range views {
		out = append(out, "CREATE VIEW pg_catalog."+v.name+" AS "+fill.Replace(v.sql))
		if !v.superusers {
			out = append(out, "GRANT SELECT ON pg_catalog."+v.name+" TO PUBLIC")
		}
	}
	return out
}
