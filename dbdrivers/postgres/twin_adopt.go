package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// adoption is what was handed over, and what was added to the twin for it.
type adoption struct {
	adopted, added []string
}

// adopt hands what the twin owns here over to the role that sessions of the two
// act as, and returns the differences that are left. It needs the privileges of
// both roles, so the admin joins the twin, which is a member of the shared role,
// and leaves it again, all in the one transaction: nobody else ever sees it as a
// member.
//
// https://www.postgresql.org/docs/current/sql-reassign-owned.html
func (t *twin) adopt(ctx context.Context, found []difference, f twinFacts) (adoption, []difference, error) {
	owned := ofKind(found, ofOwned)
	if len(owned) == 0 {
		return adoption{}, found, nil
	}
	done := adoption{adopted: named(owned, func(d difference) string { return d.subject })}
	joining, err := t.joining(found)
	if err != nil {
		return done, nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	if err := t.mayGrant(f, joining); err != nil {
		return done, nil, dbdrivers.Classify(dbdrivers.ErrPrivilege, t.doing, err)
	}
	var statements []pgwire.Statement
	for _, s := range joining.steps {
		statements = append(statements, pgwire.Statement{SQL: s.sql})
		done.added = append(done.added, s.what)
	}
	heir := t.heirs(found).in(t.req.Admin.Database)
	answers, err := t.session.Ask(ctx, append(statements, t.memberships(), t.reaches(heir), t.usable())...)
	if err != nil {
		return done, nil, t.notAdopted(err, heir)
	}
	before := membershipsOf(answers[len(answers)-3])
	during := before
	if !yes(answers[len(answers)-2]) {
		return done, nil, dbdrivers.Classify(dbdrivers.ErrPrivilege, t.doing,
			fmt.Errorf("%q acts as %q without inheriting its privileges, so the twin could lose what is handed over to that role; let it inherit them, or as a superuser run: %s",
				t.req.Canonical, heir, t.reassign(heir)))
	}
	if !yes(answers[len(answers)-1]) {
		if answers, err = t.session.Ask(ctx, pgwire.Statement{SQL: t.join()}, t.memberships()); err != nil {
			return done, nil, t.notAdopted(err, heir)
		}
		during = membershipsOf(answers[1])
	}
	_, lock := statementTimeouts(ctx)
	statements = []pgwire.Statement{
		{SQL: "SET LOCAL lock_timeout = " + milliseconds(min(lock, handOverLock))},
		{SQL: t.reassign(heir)},
		{SQL: "SET LOCAL lock_timeout = " + milliseconds(lock)},
	}
	for _, sql := range t.leave(before, during) {
		statements = append(statements, pgwire.Statement{SQL: sql})
	}
	answers, err = t.session.Ask(ctx, append(statements, t.memberships(), t.differences())...)
	if err != nil {
		return done, nil, t.notAdopted(err, heir)
	}
	if after := membershipsOf(answers[len(answers)-2]); !maps.Equal(before, after) {
		return done, nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing,
			errors.New("the admin would stay a member of the twin, so nothing was handed over; as a superuser run: "+t.reassign(heir)))
	}
	left, err := differencesOf(answers[len(answers)-1])
	if err != nil {
		return done, nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	return done, left, nil
}

// handOverLock is how long a table may be waited for. Whoever else wants the
// table waits behind it.
const handOverLock = 2 * time.Second

// joining are the steps that make the twin a member of the shared role which
// has its privileges. They would be taken later in any case.
func (t *twin) joining(found []difference) (plan, error) {
	var p plan
	for _, d := range found {
		if d.kind != ofMembership && (d.kind != ofAttribute || d.subject != "INHERIT") {
			continue
		}
		s, err := t.step(d)
		if err != nil {
			return p, err
		}
		p.steps = append(p.steps, s)
		p.grants = p.grants || d.kind == ofMembership
	}
	return p, nil
}

// membership is one grant of the twin to the admin, by whom it was granted.
type membership struct{ admin, inherits, sets bool }

// memberships asks for the grants of the twin to the admin. Until version 15
// there is one at most.
func (t *twin) memberships() pgwire.Statement {
	return pgwire.Statement{
		SQL: `SELECT pg_get_userbyid(m.grantor), m.admin_option, coalesce((to_jsonb(m)->>'inherit_option')::bool, true), coalesce((to_jsonb(m)->>'set_option')::bool, true)
 FROM pg_auth_members m WHERE m.roleid = (SELECT oid FROM pg_roles WHERE rolname = $1) AND m.member = (SELECT oid FROM pg_roles WHERE rolname = current_user)`,
		Parameters: []string{t.req.Twin},
	}
}

func membershipsOf(answer pgwire.Answer) map[string]membership {
	all := make(map[string]membership)
	for _, row := range answer {
		if len(row) == 4 {
			all[row[0].Text] = membership{admin: row[1].Is(), inherits: row[2].Is(), sets: row[3].Is()}
		}
	}
	return all
}

// usable asks whether the admin has the twin's privileges already, as a
// superuser has. To hand things to a role one must be able to take it, too.
func (t *twin) usable() pgwire.Statement {
	sql := "SELECT pg_has_role(current_user, oid, 'USAGE')"
	if t.session.Major() >= 16 {
		sql += " AND pg_has_role(current_user, oid, 'SET')"
	}
	return pgwire.Statement{SQL: sql + " FROM pg_roles WHERE rolname = $1", Parameters: []string{t.req.Twin}}
}

// reaches asks whether the twin has the heir's privileges as itself, as it may
// go on, and as who is a member of it does.
func (t *twin) reaches(heir string) pgwire.Statement {
	return pgwire.Statement{
		SQL:        "SELECT pg_has_role(t.oid, h.oid, 'USAGE') FROM pg_roles t, pg_roles h WHERE t.rolname = $1 AND h.rolname = $2",
		Parameters: []string{t.req.Twin, heir},
	}
}

func yes(answer pgwire.Answer) bool {
	return len(answer) == 1 && len(answer[0]) == 1 && answer[0][0].Is()
}

// join makes the admin a member of the twin.
func (t *twin) join() string { return t.grant(t.req.Twin, "CURRENT_USER") }

// leave takes away what join has granted, and no more: a grant that was there
// gets its options back.
func (t *twin) leave(before, during map[string]membership) []string {
	var statements []string
	twin := identifier(t.req.Twin)
	for grantor, now := range during {
		by := " GRANTED BY " + identifier(grantor)
		switch was, found := before[grantor]; {
		case !found:
			statements = append(statements, "REVOKE "+twin+" FROM CURRENT_USER"+by)
		case was != now:
			statements = append(statements, fmt.Sprintf("GRANT %s TO CURRENT_USER WITH INHERIT %t, SET %t%s", twin, was.inherits, was.sets, by))
		}
	}
	return statements
}

// notAdopted says what an error means while objects are handed over.
func (t *twin) notAdopted(err error, heir string) error {
	if twinCollided(err) {
		return t.failed(err, pgwire.Unchanged)
	}
	const inUse = "what the twin owns is in use by another transaction, so nothing was changed; wait until that ends, or end it (pg_stat_activity, pg_blocking_pids), and try again"
	return pgwire.Classify(t.doing, err, pgwire.Unchanged, pgwire.Rules{
		{
			State: "42501", Class: dbdrivers.ErrPrivilege,
			Remedy: "the admin may not hand over what the twin owns; in database " + identifier(t.req.Admin.Database) + ", as a superuser run: " + t.reassign(heir),
		},
		{State: "55P03", Class: dbdrivers.ErrBusy, Remedy: inUse},
		{State: "57014", Class: dbdrivers.ErrBusy, Remedy: inUse},
		{
			State: "53200", Class: dbdrivers.ErrBusy,
			Remedy: "the twin owns more than one transaction can lock, so nothing was changed; raise max_locks_per_transaction, or hand a part over by hand (ALTER ... OWNER TO " + identifier(heir) + ")",
		},
	})
}
