package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// facts are what a change depends on, as the session that makes it sees them.
type facts struct {
	// major is the server's version, zero where it does not tell.
	major      int
	encryption string
	iterations pgwire.Value
	// restricted is true where RDS lets only members of rds_password change
	// passwords, and the session's role is none.
	restricted bool
	// actor is the role whose rights the change has.
	actor           string
	actorSuperuser  bool
	actorCreateRole bool
	// The account; by itself it is the actor.
	exists             bool
	accountSuperuser   bool
	accountReplication bool
	accountSharesAdmin bool
	accountRDSAdmin    bool
	adminOption        bool
	// twin is what is said of the account's twin.
	twin mark
}

// askFacts reads them in one row, the last of a round trip. The role of RDS
// need not exist. $1 is the account.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.RestrictPasswordMgmt.html
const askFacts = `SELECT current_setting('password_encryption'), current_setting('scram_iterations', true),
 coalesce(current_setting('rds.restrict_password_commands', true), '') IN ('on', '1', 'true')
   AND NOT coalesce((SELECT pg_has_role(current_user, r.oid, 'MEMBER') FROM pg_roles r WHERE r.rolname = 'rds_password'), false),
 current_user, me.rolsuper, me.rolcreaterole, t.oid IS NOT NULL, t.rolsuper, t.rolreplication,
 pg_has_role(t.oid, session_user, 'MEMBER') OR pg_has_role(t.oid, current_user, 'MEMBER'),
 (SELECT pg_has_role(t.oid, r.oid, 'MEMBER') FROM pg_roles r WHERE r.rolname = 'rds_superuser'),
 pg_has_role(current_user, t.oid, 'MEMBER WITH ADMIN OPTION')
 FROM pg_roles me LEFT JOIN pg_roles t ON t.rolname = $1 WHERE me.rolname = current_user`

// ask opens the transaction and reads the facts. By itself an account takes
// off the role that it may be set to act as, because that role's right is to
// change its own password. An admin keeps its: CREATEROLE may come from there.
func (c *change) ask(ctx context.Context) (facts, error) {
	statements := begin(ctx, c.session.Major(), "READ WRITE")
	statements = append(statements, pgwire.Statement{SQL: durable})
	who := len(statements)
	statements = append(statements, pgwire.Statement{SQL: whoAmI})
	if c.req.BySelf() {
		statements = append(statements, pgwire.Statement{SQL: "SET LOCAL ROLE NONE"})
	}
	comment := len(statements)
	statements = append(statements,
		pgwire.Statement{SQL: askComment, Parameters: []string{c.req.Twin}},
		pgwire.Statement{SQL: askFacts, Parameters: []string{c.req.Account}})
	answers, err := open(ctx, c.session, statements)
	if err != nil {
		return facts{}, pgwire.Classify(c.doing, err, pgwire.Unchanged, opening)
	}
	me, err := identify(answers[who], c.req.As.Username)
	if err != nil {
		return facts{}, dbdrivers.Classify(dbdrivers.ErrUnsupported, c.doing, err)
	}
	if err := me.misled(); err != nil && c.req.BySelf() {
		return facts{}, dbdrivers.Classify(dbdrivers.ErrPrivilege, c.doing, err)
	}
	facts, err := factsOf(c.session, answers[len(answers)-1])
	if err != nil {
		return facts, dbdrivers.Classify(dbdrivers.ErrUnsupported, c.doing, err)
	}
	if rows := answers[comment]; len(rows) == 1 && len(rows[0]) == 1 {
		_, facts.twin = markOf(rows[0][0].Text, c.req.Account)
	}
	return facts, nil
}

// askComment reads what is said of the account's twin; no row where there is
// none. $1 is the twin.
const askComment = `SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1`

// factsOf reads the answer to askFacts.
func factsOf(session *pgwire.Session, answer pgwire.Answer) (facts, error) {
	if len(answer) != 1 || len(answer[0]) != 12 {
		return facts{}, errors.New("the server does not answer as PostgreSQL does")
	}
	row := answer[0]
	return facts{
		major: session.Major(), encryption: row[0].Text, iterations: row[1], restricted: row[2].Is(),
		actor: row[3].Text, actorSuperuser: row[4].Is(), actorCreateRole: row[5].Is(),
		exists: row[6].Is(), accountSuperuser: row[7].Is(), accountReplication: row[8].Is(),
		accountSharesAdmin: row[9].Is(), accountRDSAdmin: row[10].Is(), adminOption: row[11].Is(),
	}, nil
}

// checkTarget refuses accounts by their name alone. The secret that names the
// account is less trusted than the admin's, so an admin's power ends here.
func checkTarget(req dbdrivers.SetPasswordRequest) error {
	switch {
	case req.Account == "" || strings.IndexByte(req.Account, 0) >= 0:
		return errors.New("that is no name of an account")
	case len(req.Account) > maxName:
		return fmt.Errorf("the name is longer than %d bytes; the server would cut it off and change another account", maxName)
	case req.BySelf():
		return nil
	case reserved(req.Account):
		return errors.New("that name is reserved by the server or by Amazon RDS; an admin's login never changes it")
	}
	return nil
}

// rdsRoles are the accounts that RDS works with, beside those named rds_.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
var rdsRoles = []string{"rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr", "rdswriteforwarduser"}

func reserved(name string) bool {
	return strings.HasPrefix(name, "pg_") || strings.HasPrefix(name, "rds_") || slices.Contains(rdsRoles, name)
}

// allowed says no before the server would, where the server's word would be
// less clear, or where it would say yes.
func (c *change) allowed(f facts) error {
	if !c.req.BySelf() {
		if why := fenced(f); why != "" {
			return dbdrivers.Classify(dbdrivers.ErrUnsupported, c.doing, errors.New(why))
		}
		if c.req.Twin != "" && !f.twin.proves(c.req.Proven) {
			return dbdrivers.Classify(dbdrivers.ErrUnsupported, c.doing, f.twin.unproven(c.session, c.req.Twin, c.req.Account))
		}
	}
	if c.lacksPrivilege(f) {
		return dbdrivers.Classify(dbdrivers.ErrPrivilege, c.doing, errors.New(c.missing(f)))
	}
	return nil
}

// fenced says why an admin's login leaves an account alone.
func fenced(f facts) string {
	switch {
	case !f.exists:
		return "the account does not exist; create it, or correct \"username\""
	case f.accountSuperuser:
		return "the account is a superuser; an admin's login never sets its password"
	case f.accountSharesAdmin:
		return "the account is the admin's own role or a member of it, and so an admin itself; an admin's login never sets its password"
	case f.accountRDSAdmin:
		return "the account is a member of rds_superuser, and so an admin itself; an admin's login never sets its password"
	}
	return ""
}

// before16 reports whether the server is known to have the rules that version
// 16 changed: until then CREATEROLE alone sufficed to change other accounts.
//
// https://www.postgresql.org/docs/16/release-16.html
func (f facts) before16() bool { return f.major > 0 && f.major < 16 }

// lacksPrivilege follows the server's own rules. Where the server does not tell
// its version, its answer to the change is waited for.
func (c *change) lacksPrivilege(f facts) bool {
	switch {
	case f.restricted:
		return true
	case f.actorSuperuser:
		return false
	case f.accountReplication && f.before16():
		return true
	case c.req.BySelf() || f.major == 0:
		return false
	}
	return !f.actorCreateRole || !f.adminOption && !f.before16()
}

// missing names the privilege that a change lacks, as the statement that
// grants it where there is one.
func (c *change) missing(f facts) string {
	actor, account := pgx.Identifier{f.actor}.Sanitize(), pgx.Identifier{c.req.Account}.Sanitize()
	switch {
	case f.restricted:
		otherwise := ""
		if c.req.BySelf() {
			otherwise = "rotate with an admin as \"masterarn\", or "
		}
		return "Amazon RDS lets only members of rds_password change passwords (rds.restrict_password_commands); " + otherwise + "run: GRANT rds_password TO " + actor
	case f.accountReplication && f.before16():
		return "the account has REPLICATION, and before version 16 only a superuser changes the password of such an account; " +
			"upgrade the server, or rotate with a superuser as \"masterarn\""
	case c.req.BySelf():
		return "the server does not let the account change its own password; rotate with an admin as \"masterarn\""
	case !f.actorCreateRole:
		return "the admin lacks CREATEROLE; as a superuser run: ALTER ROLE " + actor + " CREATEROLE"
	case !f.adminOption && !f.before16():
		return "the admin lacks ADMIN OPTION on the account; as the role that created the account, or as a superuser, run: GRANT " +
			account + " TO " + actor + " WITH ADMIN OPTION, INHERIT FALSE, SET FALSE"
	}
	return "the server does not let this admin change the account, though it has the rights that PostgreSQL asks for; an extension or the provider restricts it"
}
