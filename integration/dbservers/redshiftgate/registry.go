package redshiftgate

// registrySQL makes the schema of what PostgreSQL has no place for, and the
// functions by which the gate changes it: in the session of the one who asks,
// and so in his transaction, with the rights of the schema's owner and a look
// at his own. A grantee of number 0 is PUBLIC.
const registrySQL = `
CREATE SCHEMA redshift_standin;
GRANT USAGE ON SCHEMA redshift_standin TO PUBLIC;

-- Users, groups and roles are all roles of PostgreSQL's.
CREATE TABLE redshift_standin.kinds (id oid PRIMARY KEY, kind text NOT NULL);
CREATE TABLE redshift_standin.users (
	id oid PRIMARY KEY, syslog text NOT NULL DEFAULT 'RESTRICTED', timeout int NOT NULL DEFAULT 0, external text,
	last_ddl timestamp NOT NULL DEFAULT now());
CREATE TABLE redshift_standin.digests (id oid PRIMARY KEY, salt text NOT NULL, digest text NOT NULL, door text NOT NULL);
CREATE TABLE redshift_standin.grants (
	object_type text, namespace text, object text, detail text, privilege text, scope text, owner oid, grantee oid,
	admin_option bool NOT NULL,
	PRIMARY KEY (object_type, namespace, object, detail, privilege, scope, owner, grantee));
CREATE TABLE redshift_standin.policies (
	kind text, policy text, namespace text, relation text, grantor text, grantee oid, input text,
	PRIMARY KEY (kind, policy, namespace, relation, grantee, input));
CREATE TABLE redshift_standin.things (kind text, namespace text, name text, PRIMARY KEY (kind, namespace, name));

-- The superuser that a server starts with is rdsdb, as Redshift's is.
CREATE VIEW redshift_standin.identities AS
SELECT r.oid AS role, r.oid::int4 AS id, CASE r.oid WHEN 10 THEN 'rdsdb' ELSE r.rolname::text END AS name,
	coalesce(k.kind, CASE WHEN r.rolcanlogin OR r.rolpassword IS NOT NULL THEN 'user' ELSE 'group' END) AS kind,
	r.rolname, r.rolsuper, r.rolcreatedb, r.rolconnlimit, r.rolpassword, r.rolvaliduntil
FROM pg_authid r LEFT JOIN redshift_standin.kinds k ON k.id = r.oid
WHERE r.rolname !~ '^pg_';

CREATE VIEW redshift_standin.grantees AS
SELECT role, id, name, kind FROM redshift_standin.identities
UNION ALL SELECT 0, 0, 'public', 'public';

-- What the views show to the one who asks: superusers all, others themselves
-- and what they are members of.
CREATE FUNCTION redshift_standin.visible(int4) RETURNS bool LANGUAGE sql STABLE AS $f$
	SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
		OR CASE $1 WHEN 0 THEN false ELSE pg_has_role(current_user, $1::oid, 'MEMBER') END $f$;

CREATE FUNCTION redshift_standin.superuser() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
	IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
		RAISE EXCEPTION 'must be superuser to do this' USING ERRCODE = '42501';
	END IF;
END $f$;

-- Who may read which policies of row-level security are attached: superusers,
-- but for one whose name a thing of this kind has.
CREATE FUNCTION redshift_standin.security_admin() RETURNS bool LANGUAGE plpgsql STABLE SECURITY DEFINER AS $f$ BEGIN
	IF EXISTS (SELECT FROM redshift_standin.things WHERE kind = 'no security admin' AND name = session_user) THEN
		RAISE EXCEPTION 'permission denied for relation svv_rls_attached_policy' USING ERRCODE = '42501';
	END IF;
	RETURN true;
END $f$;

-- The number of an identity of a kind.
CREATE FUNCTION redshift_standin.identity(of_kind text, of_name text) RETURNS oid LANGUAGE plpgsql SECURITY DEFINER AS $f$
DECLARE found_role oid; BEGIN
	IF of_kind = 'public' THEN RETURN 0; END IF;
	SELECT role INTO found_role FROM redshift_standin.identities WHERE name = of_name AND kind = of_kind;
	IF NOT FOUND THEN RAISE EXCEPTION '% "%" does not exist', of_kind, of_name USING ERRCODE = '42704'; END IF;
	RETURN found_role;
END $f$;

-- A role of PostgreSQL's was made as a user, a group or a role.
CREATE FUNCTION redshift_standin.born(of_name text, of_kind text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
	IF of_kind <> 'user' THEN PERFORM redshift_standin.superuser(); END IF;
	INSERT INTO redshift_standin.kinds SELECT oid, of_kind FROM pg_authid WHERE rolname = of_name;
END $f$;

-- A role of PostgreSQL's is about to go. What it holds keeps it.
CREATE FUNCTION redshift_standin.forget(of_name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$
DECLARE gone oid; BEGIN
	SELECT oid INTO gone FROM pg_authid WHERE rolname = of_name;
	IF EXISTS (SELECT FROM redshift_standin.grants WHERE gone IN (grantee, owner)) OR EXISTS (SELECT FROM redshift_standin.policies WHERE gone = grantee) THEN
		RAISE EXCEPTION 'user "%" cannot be dropped because the user has a privilege on some object', of_name USING ERRCODE = '55006';
	END IF;
	DELETE FROM redshift_standin.kinds WHERE id = gone;
	DELETE FROM redshift_standin.users WHERE id = gone;
	DELETE FROM redshift_standin.digests WHERE id = gone;
END $f$;

-- A password was set. Where there is no salt, it is kept as md5, or disabled.
CREATE FUNCTION redshift_standin.password(of_name text, is_disabled bool, new_salt text, new_digest text, new_door text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$
DECLARE of_role oid := redshift_standin.identity('user', of_name); BEGIN
	IF session_user <> of_name THEN PERFORM redshift_standin.superuser(); END IF;
	IF is_disabled THEN
		PERFORM redshift_standin.superuser();
		IF (SELECT rolsuper FROM pg_authid WHERE oid = of_role) THEN
			RAISE EXCEPTION 'the password of a superuser cannot be disabled' USING ERRCODE = '0A000';
		END IF;
	END IF;
	DELETE FROM redshift_standin.digests WHERE id = of_role;
	IF new_salt <> '' THEN
		INSERT INTO redshift_standin.digests VALUES (of_role, new_salt, new_digest, new_door);
	END IF;
END $f$;

-- Options of a user were set; an empty one stays as it was.
CREATE FUNCTION redshift_standin.options(of_name text, new_syslog text, new_timeout text, new_external text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$
DECLARE of_role oid; BEGIN
	PERFORM redshift_standin.superuser();
	SELECT oid INTO STRICT of_role FROM pg_authid WHERE rolname = of_name;
	INSERT INTO redshift_standin.users (id) VALUES (of_role) ON CONFLICT DO NOTHING;
	UPDATE redshift_standin.users SET syslog = coalesce(nullif(new_syslog, ''), syslog),
		timeout = coalesce(nullif(new_timeout, '')::int, timeout), external = coalesce(nullif(new_external, ''), external), last_ddl = now()
	WHERE id = of_role;
END $f$;

-- Something of a kind that the gate alone has was made, or is to go.
CREATE FUNCTION redshift_standin.thing(of_kind text, of_name text, made bool) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$
DECLARE parts text[] := redshift_standin.parts(of_name); BEGIN
	PERFORM redshift_standin.superuser();
	IF made THEN
		INSERT INTO redshift_standin.things VALUES (of_kind, parts[1], parts[2]);
		RETURN;
	END IF;
	DELETE FROM redshift_standin.things WHERE kind = of_kind AND namespace = parts[1] AND name = parts[2];
	IF NOT FOUND THEN RAISE EXCEPTION '% "%" does not exist', of_kind, parts[2] USING ERRCODE = '42704'; END IF;
	DELETE FROM redshift_standin.grants WHERE object_type = of_kind AND namespace = parts[1] AND object = parts[2];
END $f$;

-- A policy is attached to a table for somebody.
CREATE FUNCTION redshift_standin.attach(of_kind text, of_policy text, of_table text, of_column text, to_kind text, to_name text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
	PERFORM redshift_standin.superuser();
	INSERT INTO redshift_standin.policies
	SELECT of_kind, of_policy, n.nspname, c.relname, session_user, redshift_standin.identity(to_kind, to_name), of_column
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = of_table::regclass;
END $f$;

-- The schema, or an empty one, and the name that follows it.
CREATE FUNCTION redshift_standin.parts(of_name text) RETURNS text[] LANGUAGE sql AS $f$
	SELECT CASE cardinality(parse_ident(of_name)) WHEN 1 THEN '{""}' || parse_ident(of_name) ELSE parse_ident(of_name) END $f$;

-- A privilege that PostgreSQL does not have is granted or revoked.
CREATE FUNCTION redshift_standin.note(revoked bool, option_alone bool, of_type text, of_object text, of_detail text, of_privilege text,
	of_scope text, of_owner text, to_kind text, to_name text, with_option bool)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$
DECLARE
	to_role oid := redshift_standin.identity(to_kind, to_name);
	from_owner oid := CASE of_owner WHEN '' THEN 0 ELSE redshift_standin.identity('user', of_owner) END;
	spaces text := ''; object_name text := of_object; object_owner oid;
BEGIN
	CASE of_type
	WHEN 'relation' THEN
		SELECT n.nspname, c.relname, c.relowner INTO STRICT spaces, object_name, object_owner
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = of_object::regclass;
	WHEN 'schema' THEN
		SELECT n.nspname, n.nspname, n.nspowner INTO STRICT spaces, object_name, object_owner
		FROM pg_namespace n WHERE n.oid = of_object::regnamespace;
	WHEN 'database' THEN
		object_name := (parse_ident(of_object))[1];
		SELECT datdba INTO object_owner FROM pg_database WHERE datname = object_name;
		IF NOT FOUND THEN RAISE EXCEPTION 'database "%" does not exist', object_name USING ERRCODE = '3D000'; END IF;
	WHEN 'datashare', 'model' THEN
		spaces := (redshift_standin.parts(of_object))[1];
		object_name := (redshift_standin.parts(of_object))[2];
		IF NOT EXISTS (SELECT FROM redshift_standin.things WHERE kind = of_type AND namespace = spaces AND name = object_name) THEN
			RAISE EXCEPTION '% "%" does not exist', of_type, object_name USING ERRCODE = '42704';
		END IF;
	WHEN 'default' THEN
		object_owner := from_owner;
		spaces := of_object;
		object_name := '';
		IF spaces <> '' THEN PERFORM quote_ident(spaces)::regnamespace; END IF;
	ELSE NULL;
	END CASE;
	IF object_owner IS NULL OR object_owner <> (SELECT oid FROM pg_authid WHERE rolname = session_user) THEN
		PERFORM redshift_standin.superuser();
	END IF;
	IF option_alone THEN
		UPDATE redshift_standin.grants SET admin_option = false
		WHERE (object_type, namespace, object, detail, privilege, scope, owner, grantee)
			= (of_type, spaces, object_name, of_detail, of_privilege, of_scope, from_owner, to_role);
	ELSIF revoked THEN
		DELETE FROM redshift_standin.grants
		WHERE (object_type, namespace, object, detail, privilege, scope, owner, grantee)
			= (of_type, spaces, object_name, of_detail, of_privilege, of_scope, from_owner, to_role);
	ELSE
		INSERT INTO redshift_standin.grants
		VALUES (of_type, spaces, object_name, of_detail, of_privilege, of_scope, from_owner, to_role, with_option)
		ON CONFLICT (object_type, namespace, object, detail, privilege, scope, owner, grantee)
		DO UPDATE SET admin_option = redshift_standin.grants.admin_option OR excluded.admin_option;
	END IF;
END $f$;

-- A privilege on a table is refused beside its like on a column.
CREATE FUNCTION redshift_standin.no_columns(of_table text, of_privilege text, to_name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$
BEGIN
	IF EXISTS (SELECT FROM pg_attribute a, aclexplode(a.attacl) x JOIN pg_authid r ON r.oid = x.grantee
		WHERE a.attrelid = to_regclass(of_table) AND NOT a.attisdropped AND x.privilege_type = of_privilege AND r.rolname = to_name) THEN
		RAISE EXCEPTION 'cannot grant % on the table: the same privilege is granted on one of its columns; revoke that first', of_privilege
			USING ERRCODE = '0A000';
	END IF;
END $f$;

-- An external schema has USAGE alone.
CREATE FUNCTION redshift_standin.not_external(of_schema text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
	IF EXISTS (SELECT FROM redshift_standin.things WHERE kind = 'external schema' AND name = of_schema) THEN
		RAISE EXCEPTION 'on an external schema there is USAGE alone' USING ERRCODE = '0A000';
	END IF;
END $f$;
`
