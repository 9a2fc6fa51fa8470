package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// OpenTwin makes the twin act as its sibling: a member of the canonical
// account (or of the owner role) that takes its role at sign-in (ALTER ROLE ...
// SET role), with the same settings, CONNECTION LIMIT and VALID UNTIL, and
// nothing of its own. What either creates is then owned by one role, and a
// privilege given to the canonical account needs no copy.
//
// All of it is one transaction, in which equality is asked of the server
// before the verifier and LOGIN are given, so that a call that is cut off
// anywhere has changed nothing.
//
// A twin that is taken over may own objects or hold privileges. They are listed
// in the report, and until they are gone the twin keeps acting as itself,
// because with its sibling's role it would lose them. Once a twin was proven
// equal, owning anything is an error: then equality cannot be proven again, and
// what the twin created is out of its sibling's reach.
//
// Adopt hands over what the twin owns in the database signed in to, and the
// databases and tablespaces that it owns, to the role that sessions of both act
// as there: the canonical account may itself be set to act as another. Privileges granted to it, its default
// privileges, user mappings, policies that name it, and objects in other
// databases cannot be handed over from here. A view, and a function that is
// SECURITY DEFINER, works with its owner's rights: where it needs a privilege
// that was granted to the twin alone, grant that to the shared role first.
func (Driver) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	if req.Database != "" {
		req.Admin.Database = req.Database
	}
	req.Admin = withDatabase(req.Admin)
	doing := fmt.Sprintf("opening %q, the twin of %q, at %s", req.Twin, req.Canonical, req.Admin.Address())
	if err := checkPassword(req.Password); err != nil {
		return dbdrivers.TwinReport{}, dbdrivers.Classify(dbdrivers.ErrPasswordRules, doing, err)
	}
	if err := checkTwins(req); err != nil {
		return dbdrivers.TwinReport{}, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	session, err := pgwire.Connect(ctx, req.Admin, dialect)
	if err != nil {
		return dbdrivers.TwinReport{}, err
	}
	defer session.Close(ctx)
	session.Keep(req.Password.Reveal())
	t := &twin{session: session, req: req, doing: doing, shared: req.OwnerRole}
	if t.shared == "" {
		t.shared = req.Canonical
	}
	return t.run(ctx)
}

// twin is one call of OpenTwin, in a session of its own.
type twin struct {
	session *pgwire.Session
	req     dbdrivers.OpenTwinRequest
	doing   string
	// shared is the role that both accounts act as: the canonical account, or
	// the owner role.
	shared string
}

// run repeats the whole transaction where another session changed the same
// accounts at the same moment. The lock that calls of OpenTwin take is of one
// database, and roles are of all.
func (t *twin) run(ctx context.Context) (dbdrivers.TwinReport, error) {
	if t.session.Parameter("in_hot_standby") == "on" {
		return dbdrivers.TwinReport{}, dbdrivers.Classify(dbdrivers.ErrNotWritable, t.doing, errors.New("this is a standby; name the writer in \"host\""))
	}
	var err error
	for try := range collisions {
		var report dbdrivers.TwinReport
		if report, err = t.once(ctx); err == nil {
			return report, nil
		}
		if !twinCollided(err) || t.session.Ended() {
			break
		}
		if _, undone := t.session.Run(ctx, "ROLLBACK"); undone != nil {
			break
		}
		wait := time.Duration(1+rand.IntN(5*(try+1))) * time.Millisecond //nolint:gosec // it scatters retries and guards nothing
		if !pause(ctx, wait) {
			break
		}
	}
	return dbdrivers.TwinReport{}, err
}

// twinCollided adds to [collided] what creating, granting and setting say when
// another session has just done the same: a unique index, or a duplicate; and
// what REASSIGN OWNED says of an object that was dropped while it waited.
func twinCollided(err error) bool {
	var server *pgconn.PgError
	return collided(err) || errors.As(err, &server) && (server.Code == "23505" || server.Code == "42710" || dropped(server))
}

// dropped reports an object that was there when the statement began. The server
// has no code of its own for it, but words that it does not translate.
func dropped(err *pgconn.PgError) bool {
	return err.Code == "XX000" && (strings.HasPrefix(err.Message, "could not open relation") || strings.HasPrefix(err.Message, "cache lookup failed"))
}

func (t *twin) once(ctx context.Context) (dbdrivers.TwinReport, error) {
	var report dbdrivers.TwinReport
	facts, found, err := t.ask(ctx)
	if err != nil {
		return report, err
	}
	if err := t.allowed(facts); err != nil {
		return report, err
	}
	report.Created = !facts.twin.exists
	report.TakenOver = facts.twin.exists && facts.mark == unmarked
	if report.Created {
		create := pgwire.Statement{SQL: "CREATE ROLE " + identifier(t.req.Twin) + " NOLOGIN INHERIT"}
		if found, err = t.sync(ctx, create); err != nil {
			return report, t.failed(err, pgwire.Unchanged)
		}
	}
	if err := t.mustAct(found); err != nil {
		return report, dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	if t.req.Adopt {
		var done adoption
		if done, found, err = t.adopt(ctx, found, facts); err != nil {
			return report, err
		}
		report.Adopted, report.Added = done.adopted, done.added
	}
	plan, err := t.plan(found, facts)
	if err != nil {
		return report, dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	if err := t.mayGrant(facts, plan); err != nil {
		return report, dbdrivers.Classify(dbdrivers.ErrPrivilege, t.doing, err)
	}
	if err := t.equalise(ctx, plan, facts); err != nil {
		return report, err
	}
	for _, step := range plan.steps {
		if step.removes {
			report.Removed = append(report.Removed, step.what)
		} else {
			report.Added = append(report.Added, step.what)
		}
	}
	report.Kept = plan.kept
	return report, t.open(ctx, facts, plan)
}

// open gives the twin its mark, its verifier and LOGIN, and commits.
func (t *twin) open(ctx context.Context, f twinFacts, p plan) error {
	hash, err := wantedHash(t.req.Hash, f.twin.encryption)
	if err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	iterations, err := iterationsOf(f.twin.iterations)
	if err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	verifier, err := newVerifier(hash, t.req.Twin, t.req.Password.Reveal(), iterations)
	if err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	t.session.Keep(verifier)
	literal, err := t.session.Quote(verifier)
	if err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	marking, err := t.marking(f, p)
	if err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	tag, err := t.session.Run(ctx, marking+"ALTER ROLE "+identifier(t.req.Twin)+" LOGIN PASSWORD "+literal+"; COMMIT")
	if err != nil {
		return t.failed(err, pgwire.Unknown)
	}
	if tag != "COMMIT" {
		return dbdrivers.Classify(dbdrivers.ErrUnreachable, t.doing, fmt.Errorf("the server answered %q to COMMIT", tag))
	}
	return nil
}

// failed says what an error of a statement means.
func (t *twin) failed(err error, outcome pgwire.Outcome) error {
	var rules pgwire.Rules
	if outcome == pgwire.Unknown {
		rules = append(rules, alterRole...)
	}
	var server *pgconn.PgError
	if errors.As(err, &server) && twinCollided(server) {
		rules = pgwire.Rules{{State: server.Code, Class: dbdrivers.ErrBusy, Remedy: "another session changed the accounts, or what they own, at the same moment; try again"}}
	}
	return pgwire.Classify(t.doing, err, outcome, rules)
}

// identifier quotes a name.
func identifier(name string) string { return pgx.Identifier{name}.Sanitize() }
