package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// twinFacts are what OpenTwin depends on, as the admin's session sees it.
type twinFacts struct {
	// canonical, twin and shared are the three roles; shared may be canonical.
	canonical, twin, shared facts
	// comment is the twin's, without our mark.
	comment string
	mark    mark
	// isTwin: the canonical account is marked as the twin of another.
	isTwin bool
	// canLogin: the canonical account may sign in.
	canLogin bool
	// reachesSuperuser: it, or the shared role, may become a superuser.
	reachesSuperuser bool
	// memberOfTwin: it, or the shared role, is a member of the twin.
	memberOfTwin bool
	// takesShared: it may take the owner role.
	takesShared bool
}

// askTwins reads, of the canonical account ($1), the twin ($2) and the shared
// role ($3), what askFacts does not. From version 16 on a member may be one that
// may not take the role ($4).
const askTwins = `SELECT coalesce(shobj_description(t.oid, 'pg_authid'), ''), a.rolcanlogin,
 EXISTS (SELECT FROM pg_roles s WHERE s.rolsuper AND (pg_has_role(a.oid, s.oid, 'MEMBER') OR pg_has_role(o.oid, s.oid, 'MEMBER'))),
 pg_has_role(a.oid, t.oid, 'MEMBER') OR pg_has_role(o.oid, t.oid, 'MEMBER'), pg_has_role(a.oid, o.oid, $4::text),
 coalesce(shobj_description(a.oid, 'pg_authid'), '')
 FROM (VALUES ($1::text, $2::text, $3::text)) AS n(a, t, o)
 LEFT JOIN pg_roles a ON a.rolname = n.a LEFT JOIN pg_roles t ON t.rolname = n.t LEFT JOIN pg_roles o ON o.rolname = n.o`

// checkTwins refuses names before anything is asked of the server.
func checkTwins(req dbdrivers.OpenTwinRequest) error {
	names := []string{req.Canonical, req.Twin}
	if req.OwnerRole != "" {
		names = append(names, req.OwnerRole)
	}
	for _, name := range names {
		if name == req.Admin.Username {
			return fmt.Errorf("%q is the admin itself, whose login changes other accounts only", name)
		}
		if err := checkTarget(dbdrivers.SetPasswordRequest{As: req.Admin, Account: name}); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	if req.Twin == req.Canonical || req.Twin == req.OwnerRole {
		return errors.New("the twin has the name of the role that it is to act as; give it one of its own")
	}
	return nil
}

// ask opens the transaction, waits for other calls on the same account, and
// reads the facts and the differences, in one round trip.
func (t *twin) ask(ctx context.Context) (twinFacts, []difference, error) {
	statements := begin(ctx, t.session.Major(), "READ WRITE")
	statements = append(statements,
		pgwire.Statement{SQL: durable},
		// Dates are compared, and written back, as text.
		pgwire.Statement{SQL: "SET LOCAL datestyle = 'ISO, MDY'"},
		pgwire.Statement{SQL: "SET LOCAL timezone = 'UTC'"},
		// A notice that the role cannot be taken yet is of no use here.
		pgwire.Statement{SQL: "SET LOCAL client_min_messages = warning"},
		pgwire.Statement{SQL: "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", Parameters: []string{"dbrotation: twins of " + t.req.Canonical}},
	)
	asked := len(statements)
	statements = append(statements,
		pgwire.Statement{SQL: whoAmI},
		pgwire.Statement{SQL: askFacts, Parameters: []string{t.req.Canonical}},
		pgwire.Statement{SQL: askFacts, Parameters: []string{t.req.Twin}},
		pgwire.Statement{SQL: askFacts, Parameters: []string{t.shared}},
		pgwire.Statement{SQL: askTwins, Parameters: append(t.names(), t.taking())},
		t.differences(),
	)
	answers, err := open(ctx, t.session, statements)
	if err != nil {
		return twinFacts{}, nil, pgwire.Classify(t.doing, err, pgwire.Unchanged, opening)
	}
	facts, found, err := t.read(answers[asked:])
	if err != nil {
		return facts, nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	return facts, found, nil
}

// taking is the kind of membership that lets a role be taken.
func (t *twin) taking() string {
	if t.session.Major() >= 16 {
		return "SET"
	}
	return "MEMBER"
}

func (t *twin) names() []string { return []string{t.req.Canonical, t.req.Twin, t.shared} }

func (t *twin) read(answers []pgwire.Answer) (f twinFacts, found []difference, err error) {
	if _, err := identify(answers[0], t.req.Admin.Username); err != nil {
		return f, nil, err
	}
	for i, role := range []*facts{&f.canonical, &f.twin, &f.shared} {
		if *role, err = factsOf(t.session, answers[1+i]); err != nil {
			return f, nil, err
		}
	}
	rows := answers[4]
	if len(rows) != 1 || len(rows[0]) != 6 {
		return f, nil, errors.New("the server does not answer as PostgreSQL does")
	}
	row := rows[0]
	f.comment, f.mark = markOf(row[0].Text, t.req.Canonical)
	f.canLogin, f.reachesSuperuser, f.memberOfTwin, f.takesShared = row[1].Is(), row[2].Is(), row[3].Is(), row[4].Is()
	f.isTwin = anyMark.MatchString(row[5].Text)
	found, err = differencesOf(answers[5])
	return f, found, err
}

// allowed says no before the server would, where the server's word would be
// less clear, or where it would say yes.
func (t *twin) allowed(f twinFacts) error {
	if why := t.forbidden(f); why != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, why)
	}
	if why := t.unproven(f); why != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, why)
	}
	c := &change{req: dbdrivers.SetPasswordRequest{As: t.req.Admin, Account: t.req.Twin}}
	subject := f.twin
	if !subject.exists {
		// Who creates a role has ADMIN OPTION on it.
		subject.adminOption = true
	}
	if c.lacksPrivilege(subject) && (subject.restricted || !subject.actorCreateRole) {
		return dbdrivers.Classify(dbdrivers.ErrPrivilege, t.doing, errors.New(c.missing(subject)))
	}
	return nil
}

// forbidden is the fence around an admin's login: the names come from a secret
// that is less trusted, and a twin has all that its sibling has.
func (t *twin) forbidden(f twinFacts) error {
	if f.canonical.exists && f.canonical.accountReplication {
		return errors.New("the canonical account has REPLICATION, which only the account that signs in can have and a twin does not take over; rotate it as a single user")
	}
	if why := fenced(f.canonical); why != "" {
		return fmt.Errorf("%q: %s", t.req.Canonical, why)
	}
	if !f.shared.exists {
		return fmt.Errorf("the owner role %q does not exist; create it (CREATE ROLE %s NOLOGIN), or correct \"ownerRole\"", t.shared, identifier(t.shared))
	}
	if why := fenced(f.shared); why != "" {
		return fmt.Errorf("%q: %s", t.shared, why)
	}
	switch {
	case f.isTwin:
		return fmt.Errorf("%q is marked as another account's twin and has none of its own; name the pair in \"twins\", or where it is a twin no more, run: COMMENT ON ROLE %s IS NULL",
			t.req.Canonical, identifier(t.req.Canonical))
	case f.reachesSuperuser:
		return fmt.Errorf("%q may become a superuser; an admin's login gives nobody that power", t.req.Canonical)
	case !f.canLogin:
		return fmt.Errorf("%q may not sign in, and a twin would get around that; give it LOGIN, or stop the rotation", t.req.Canonical)
	case f.memberOfTwin:
		return fmt.Errorf("%q is a member of its twin, and cannot be both; as a superuser run: REVOKE %s FROM %s",
			t.req.Canonical, identifier(t.req.Twin), identifier(t.shared))
	case !f.takesShared:
		// The twin would have what its sibling has not.
		return fmt.Errorf("%q may not take the owner role; run: %s; ALTER ROLE %s SET role = %s",
			t.req.Canonical, t.grant(t.shared, identifier(t.req.Canonical)), identifier(t.req.Canonical), identifier(t.shared))
	}
	return nil
}

// unproven refuses a twin that does not exist and may not be created, and an
// account that only has its name.
func (t *twin) unproven(f twinFacts) error {
	if f.twin.exists && f.mark.proves(t.req.Proven) {
		if f.twin.accountReplication {
			return fmt.Errorf("%q has REPLICATION, which its sibling has not; as a superuser run: ALTER ROLE %s NOREPLICATION", t.req.Twin, identifier(t.req.Twin))
		}
		if why := fenced(f.twin); why != "" {
			return fmt.Errorf("%q: %s", t.req.Twin, why)
		}
		return nil
	}
	if f.twin.exists {
		return f.mark.unproven(t.session, t.req.Twin, t.req.Canonical)
	}
	if t.req.MayCreate {
		return nil
	}
	comment, err := commenting(t.session, t.req.Twin, equal.text(t.req.Canonical))
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %q; to create it, as the admin run: CREATE ROLE %s NOLOGIN; %s",
		dbdrivers.ErrTwinMissing, t.req.Twin, identifier(t.req.Twin), comment)
}

// mayGrant follows version 16's rule that ADMIN OPTION is needed on each role
// that is altered or granted. Both are named at once.
//
// https://www.postgresql.org/docs/16/release-16.html
func (t *twin) mayGrant(f twinFacts, p plan) error {
	if f.twin.actorSuperuser || f.twin.major == 0 || f.twin.before16() {
		return nil
	}
	var lacking []string
	if f.twin.exists && !f.twin.adminOption {
		lacking = append(lacking, t.req.Twin)
	}
	if p.grants && !f.shared.adminOption {
		lacking = append(lacking, t.shared)
	}
	if len(lacking) == 0 {
		return nil
	}
	var remedies []string
	for _, name := range lacking {
		remedies = append(remedies, "GRANT "+identifier(name)+" TO "+identifier(f.twin.actor)+" WITH ADMIN OPTION, INHERIT FALSE, SET FALSE")
	}
	return fmt.Errorf("the admin lacks ADMIN OPTION on %q; as the role that created it, or as a superuser, run: %s", lacking, strings.Join(remedies, "; "))
}
