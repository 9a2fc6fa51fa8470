package postgres

import (
	"errors"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// difference is one thing in which the twin is not equal to its sibling.
type difference struct {
	kind kind
	// subject is an attribute, a role, an object or a setting; database is
	// where an object is, or where a setting is for one database.
	subject, database string
	// want is the sibling's, have is the twin's. Of a membership, have is who
	// granted it. Of what the twin has of its own, want says in which way, and
	// have how many of the kind there are in the database.
	want, have pgwire.Value
}

type kind string

const (
	// ofAttribute: want and have are as ALTER ROLE writes them.
	ofAttribute kind = "attribute"
	// ofMembership: the twin is no member of the shared role, or one that may
	// not inherit from it or take it.
	ofMembership kind = "membership"
	// ofExtraMembership: it is a member of another role.
	ofExtraMembership kind = "extra membership"
	// ofAdminOption: it may pass the shared role on.
	ofAdminOption kind = "admin option"
	// ofOwned: it owns an object that REASSIGN OWNED hands over from here.
	ofOwned kind = "owned"
	// ofOwn: it owns another, or is named by a privilege or a policy.
	ofOwn kind = "own"
	// ofSetting: want or have is null where there is none.
	ofSetting kind = "setting"
	// ofActing: the role that the canonical account acts as in a database, or
	// everywhere, where that is not the shared role. It is a difference where
	// there is an owner role (want), and it is not that (have).
	ofActing kind = "acting"
)

// askDifferences has no row where twin ($2) and canonical account ($1) are
// equal, with $3 as the role that they share. Rows of [ofActing] alone are
// there besides.
//
// Privileges are those of the role that a session acts as. So they are the
// same when both logins act as the same role, when the twin has nothing of its
// own (pg_shdepend has the owners and grantees of all databases), and when
// attributes of the login itself and settings agree.
//
// A setting of the role goes by the account in this database, the account, the
// database, all accounts, in this order; "none" is the account itself. Columns
// that came with version 16 are read by way of JSON, where an older server has
// none. Of what the twin has of its own, the first 20 are named in each
// database. What objects of other databases are called cannot be read from
// here. Where one of the two does not exist there is no difference.
//
// https://www.postgresql.org/docs/current/catalog-pg-db-role-setting.html
// https://www.postgresql.org/docs/current/catalog-pg-shdepend.html
// https://www.postgresql.org/docs/current/sql-reassign-owned.html
const askDifferences = `WITH
 a AS (SELECT * FROM pg_roles WHERE rolname = $1::text),
 t AS (SELECT * FROM pg_roles WHERE rolname = $2::text AND EXISTS (SELECT FROM a)),
 o AS (SELECT * FROM pg_roles WHERE rolname = $3::text),
 member AS (SELECT m.roleid, m.grantor, m.admin_option AS admin,
    coalesce((to_jsonb(m)->>'inherit_option')::bool, t.rolinherit) AS inherits, coalesce((to_jsonb(m)->>'set_option')::bool, true) AS sets
   FROM pg_auth_members m JOIN t ON m.member = t.oid),
 setting AS (SELECT s.setrole AS role, s.setdatabase AS db, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
   FROM pg_db_role_setting s, unnest(s.setconfig) AS c WHERE s.setrole IN (SELECT 0 UNION ALL SELECT oid FROM a UNION ALL SELECT oid FROM t)),
 acts AS (SELECT own.value IS NULL AS unset, coalesce(nullif(coalesce(own.value, everybody.value), 'none'), a.rolname) AS role
   FROM a LEFT JOIN setting own ON own.role = a.oid AND own.db = 0 AND own.name = 'role'
   LEFT JOIN setting everybody ON everybody.role = 0 AND everybody.db = 0 AND everybody.name = 'role'),
 actsin AS (SELECT d.db, coalesce(nullif((array_agg(d.value ORDER BY d.role = 0))[1], 'none'), a.rolname) AS role
   FROM a, acts, setting d WHERE d.db <> 0 AND d.name = 'role' AND (d.role = a.oid OR d.role = 0 AND acts.unset) GROUP BY d.db, a.rolname),
 want AS (SELECT s.db, s.name, s.value FROM setting s JOIN a ON s.role = a.oid WHERE s.name <> 'role'
   UNION ALL SELECT 0::oid, 'role', acts.role FROM acts
   UNION ALL SELECT i.db, 'role', i.role FROM actsin i, acts WHERE i.role <> acts.role),
 have AS (SELECT s.db, s.name, s.value FROM setting s JOIN t ON s.role = t.oid),
 here AS (SELECT oid FROM pg_database WHERE datname = current_database())
SELECT 'attribute', v.name, NULL, v.want, v.have FROM a, t, LATERAL (VALUES
   ('LOGIN', CASE WHEN a.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END, CASE WHEN t.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END),
   ('INHERIT', 'INHERIT', CASE WHEN t.rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END),
   ('CREATEDB', 'NOCREATEDB', CASE WHEN t.rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END),
   ('CREATEROLE', 'NOCREATEROLE', CASE WHEN t.rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END),
   ('BYPASSRLS', 'NOBYPASSRLS', CASE WHEN t.rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END),
   ('SUPERUSER', 'NOSUPERUSER', CASE WHEN t.rolsuper THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END),
   ('REPLICATION', 'NOREPLICATION', CASE WHEN t.rolreplication THEN 'REPLICATION' ELSE 'NOREPLICATION' END),
   ('CONNECTION LIMIT', a.rolconnlimit::text, t.rolconnlimit::text),
   ('VALID UNTIL', coalesce(a.rolvaliduntil, 'infinity')::text, coalesce(t.rolvaliduntil, 'infinity')::text)) AS v(name, want, have)
  WHERE v.want <> v.have
UNION ALL SELECT 'membership', o.rolname, NULL, NULL, NULL FROM o, t
  WHERE NOT EXISTS (SELECT FROM member WHERE roleid = o.oid AND inherits AND sets)
UNION ALL SELECT CASE WHEN roleid = o.oid THEN 'admin option' ELSE 'extra membership' END, pg_get_userbyid(roleid), NULL, NULL, pg_get_userbyid(grantor)
  FROM member, o WHERE roleid <> o.oid OR admin
UNION ALL SELECT CASE WHEN own.handed THEN 'owned' ELSE 'own' END,
   CASE WHEN own.dbid IN (0, here.oid) THEN coalesce(pg_describe_object(own.classid, own.objid, own.objsubid), own.class || ' with oid ' || own.objid)
     ELSE CASE WHEN own.objsubid <> 0 THEN 'column ' || own.objsubid || ' of ' ELSE '' END || CASE own.class
       WHEN 'pg_class' THEN 'relation' WHEN 'pg_proc' THEN 'function' WHEN 'pg_namespace' THEN 'schema' WHEN 'pg_default_acl' THEN 'default privileges'
       WHEN 'pg_largeobject' THEN 'large object' WHEN 'pg_opclass' THEN 'operator class' WHEN 'pg_opfamily' THEN 'operator family'
       WHEN 'pg_statistic_ext' THEN 'statistics object' WHEN 'pg_ts_config' THEN 'text search configuration' WHEN 'pg_ts_dict' THEN 'text search dictionary'
       ELSE replace(substr(own.class, length('pg_') + 1), '_', ' ') END || ' with oid ' || own.objid END,
   (SELECT datname FROM pg_database WHERE oid = own.dbid), CASE own.deptype WHEN 'o' THEN 'owner' WHEN 'r' THEN 'policy' ELSE 'privilege' END, own.total::text
  FROM here, (SELECT d.*, d.classid::regclass::text AS class, count(*) OVER part AS total, row_number() OVER (part ORDER BY d.classid, d.objid, d.objsubid, d.deptype) AS nth
    FROM (SELECT d.*, d.deptype = 'o' AND d.dbid IN (0, here.oid) AND d.classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass) AS handed
      FROM pg_shdepend d, t, here WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = t.oid AND d.classid <> 'pg_auth_members'::regclass) d
    WINDOW part AS (PARTITION BY d.handed, d.dbid)) own WHERE own.nth <= 20
UNION ALL SELECT 'setting', name, (SELECT datname FROM pg_database WHERE oid = db), want.value, have.value
  FROM want FULL JOIN have USING (db, name) WHERE want.value IS DISTINCT FROM have.value AND EXISTS (SELECT FROM t)
UNION ALL SELECT 'acting', r.role, (SELECT datname FROM pg_database WHERE oid = r.db), nullif($3::text, $1::text), r.role
  FROM (SELECT 0::oid AS db, role FROM acts UNION ALL SELECT db, role FROM actsin) r, t
  WHERE r.db <> 0 OR r.role <> $3::text
ORDER BY 1, 3 NULLS FIRST, 2, 5`

func (t *twin) differences() pgwire.Statement {
	return pgwire.Statement{SQL: askDifferences, Parameters: t.names()}
}

// differencesOf reads the answer. Lists that differ only in how they are
// written are the same setting.
func differencesOf(answer pgwire.Answer) ([]difference, error) {
	var found []difference
	for _, row := range answer {
		if len(row) != 5 {
			return nil, errors.New("the server does not answer as PostgreSQL does")
		}
		d := difference{kind: kind(row[0].Text), subject: row[1].Text, database: row[2].Text, want: row[3], have: row[4]}
		if d.kind == ofSetting && sameList(d) {
			continue
		}
		found = append(found, d)
	}
	return found, nil
}
