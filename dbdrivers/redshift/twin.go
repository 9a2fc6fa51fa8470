package redshift

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// OpenTwin makes the twin hold what its sibling is granted directly, in one
// transaction: groups, roles, privileges on databases, schemas (external ones
// too), tables, views, columns, functions, procedures, languages, datashares and
// models, ASSUMEROLE, scoped permissions, default privileges, each with its
// grant option, and CREATEDB, SYSLOG ACCESS, CONNECTION LIMIT, SESSION TIMEOUT,
// VALID UNTIL and the settings of the account. What the sibling has through a
// group, a role or PUBLIC the twin has in the same way, and never directly. Then
// all is read again, and only where nothing is left the password is set.
//
// Redshift has no ownership that two accounts share. What the canonical account
// owns, its twin is granted by name: all privileges that its kind of object has,
// without their grant option. It cannot do what only an owner can. What the twin
// makes is its own, and its sibling is granted nothing: it is [dbdrivers.ErrTwinOwns]
// until it is handed over (Adopt: ALTER ... OWNER TO). Where an account makes
// things, put what it needs in a role that both hold, or rotate it as a single user.
//
// Privileges, default privileges and owners are those of one database: the
// session's. req.Note is told so. The catalogues of other databases cannot be read
// from here, nor can anything be granted there.
//
// A masking policy or a policy of row-level security that is attached to either
// account itself is refused ([dbdrivers.ErrUnsupported]): the twin would see what
// its sibling does not. Attached to a role or PUBLIC it counts for both.
//
// Not copied, because no view shows them to be copied: CREATE MODEL, NOLOGIN, and
// what the twin or its sibling owns of datashares, roles, models and libraries.
//
// The admin must be a superuser. Where it sees that either of the two is kept as
// sha256, req.Hash must be "md5" as for SetPassword.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
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
		return dbdrivers.TwinReport{}, unsupported(doing, err)
	}
	session, err := pgwire.Connect(ctx, req.Admin, dialect)
	if err != nil {
		return dbdrivers.TwinReport{}, err
	}
	defer session.Close(ctx)
	session.Keep(req.Password.Reveal())
	session.Keep(kept(req.Twin, req.Password.Reveal()))
	var report dbdrivers.TwinReport
	t := &twin{session: session, req: req, doing: doing}
	if err := t.policies(ctx); err != nil {
		return dbdrivers.TwinReport{}, err
	}
	err = readable(ctx, session, &t.masked, func() (err error) {
		report, err = t.once(ctx)
		return err
	})
	if err != nil {
		return dbdrivers.TwinReport{}, err
	}
	if req.Note != nil {
		if t.hidden {
			req.Note(hiddenNote)
		}
		if t.unseen {
			req.Note(unseenNote)
		}
		if len(t.unproven) > 0 {
			req.Note(fmt.Sprintf("%q was granted what its sibling may do as the owner, and the server's views do not show it, so that nothing proves it: %s",
				req.Twin, strings.Join(t.unproven, ", ")))
		}
		if t.reopened {
			req.Note(fmt.Sprintf("the password of %q was disabled, and it opens again", req.Twin))
		}
		req.Note(fmt.Sprintf("privileges and owners were compared in database %s alone; each database of Redshift has its own", identifier(req.Admin.Database)))
	}
	return report, nil
}

// twin is one call of OpenTwin, in a session of its own.
type twin struct {
	session *pgwire.Session
	req     dbdrivers.OpenTwinRequest
	doing   string
	// capitals: a name of an object has some; keepsCase: quoted names keep their
	// case in this transaction.
	capitals, keepsCase bool
	// dated: dates are shown in one form in this transaction.
	dated bool
	// masked: the server does not let the admin read pg_shadow; hidden: it does
	// not show how it keeps one of the two.
	masked, hidden bool
	// unseen: policies of row-level security may not be read.
	unseen bool
	// reopened: the twin's password was disabled.
	reopened bool
	// unproven is what the twin was granted and the views do not show.
	unproven []string
	// twinID is the twin's number.
	twinID string
}

// checkTwins refuses names before anything is asked of the server.
func checkTwins(req dbdrivers.OpenTwinRequest) error {
	for _, name := range []string{req.Canonical, req.Twin} {
		if name == req.Admin.Username {
			return fmt.Errorf("%q is the admin itself, whose login changes other accounts only", name)
		}
		if err := checkTarget(req.Admin, name); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	if req.Twin == req.Canonical {
		return errors.New("the twin has the name of its sibling; give it one of its own")
	}
	if req.OwnerRole != "" {
		return errors.New("Redshift has no role that owns for others; take \"ownerRole\" out of the secret") //nolint:staticcheck // a name
	}
	return checkHash(req.Hash)
}

// twinFacts are what OpenTwin depends on, as the admin's session sees it.
type twinFacts struct {
	admin, canonical, twin user
	powerful               map[string]bool
	// mark is the twin's; siblingMarked says that the canonical account has one.
	mark          mark
	siblingMarked bool
}

// once is the whole transaction.
func (t *twin) once(ctx context.Context) (dbdrivers.TwinReport, error) {
	var report dbdrivers.TwinReport
	f, err := t.begin(ctx)
	if err != nil {
		return report, err
	}
	if err := t.allowed(f); err != nil {
		return report, err
	}
	if err := t.inTime(ctx); err != nil {
		return report, err
	}
	report.Created = !f.twin.exists
	report.TakenOver = f.twin.exists && f.mark == unmarked
	if report.Created {
		// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
		err := t.do(ctx, step{sql: "CREATE USER " + identifier(t.req.Twin) + " PASSWORD DISABLE", what: "the account itself"})
		if hasState(err, "42710") {
			return report, pgwire.Classify(t.doing, err, pgwire.Unchanged, nameTaken)
		}
		if err != nil {
			return report, err
		}
	}
	found, err := t.read(ctx)
	if err != nil {
		return report, err
	}
	if t.req.Adopt {
		if report.Adopted, err = t.adopt(ctx, found); err != nil {
			return report, err
		}
		if len(report.Adopted) > 0 {
			if found, err = t.read(ctx); err != nil {
				return report, err
			}
		}
	}
	kept, err := t.equalise(ctx, found, f, &report)
	if err != nil {
		return report, err
	}
	report.Kept = kept
	return report, t.open(ctx, f, len(kept) > 0)
}

// begin opens the transaction and reads the facts.
func (t *twin) begin(ctx context.Context) (f twinFacts, err error) {
	if err := run(ctx, t.session, "BEGIN", timeout(ctx)); err != nil {
		return f, t.failed(err)
	}
	t.keepsCase, t.dated = false, false
	if err := identify(ctx, t.session, t.doing, t.req.Admin.Username); err != nil {
		return f, err
	}
	users, err := usersOf(ctx, t.session, t.req.Admin.Username, t.req.Canonical, t.req.Twin)
	if err != nil {
		return f, t.unread(err)
	}
	f.admin, f.canonical, f.twin = users[t.req.Admin.Username], users[t.req.Canonical], users[t.req.Twin]
	if err := isSuperuser(t.doing, t.req.Admin.Username, f.admin); err != nil {
		return f, err
	}
	if f.powerful, err = powerful(ctx, t.session, t.req.Canonical, t.req.Twin); err != nil {
		return f, t.unread(err)
	}
	groups, err := groupsOf(ctx, t.session, t.req.Canonical, t.req.Twin)
	if err != nil {
		return f, t.unread(err)
	}
	f.mark = markOf(groups[t.req.Twin], pairing{t.req.Canonical, f.twin.id})
	f.siblingMarked = slices.ContainsFunc(groups[t.req.Canonical], isMarkGroup)
	return f, nil
}

// inTime refuses a request that comes late, and one that would keep as md5 what
// is kept as sha256: a twin's password opens all that its sibling's does.
func (t *twin) inTime(ctx context.Context) error {
	if t.masked {
		t.hidden = true
		return nil
	}
	shown, err := storedOf(ctx, t.session, t.req.Canonical, t.req.Twin)
	if err != nil {
		return t.unread(err)
	}
	for _, s := range shown {
		t.hidden = t.hidden || !s.shown()
	}
	if _, found := shown[t.req.Canonical]; !found {
		return t.unread(errAnswer)
	}
	kept, found := shown[t.req.Twin]
	t.reopened = found && kept == ""
	if t.req.Hash != hashMD5 && (shown[t.req.Canonical].isSHA256() || shown[t.req.Twin].isSHA256()) {
		return unsupported(t.doing, errStepBack)
	}
	if !t.req.Current.IsEmpty() && late(t.req.Canonical, shown[t.req.Canonical], t.req.Current) {
		return dbdrivers.Classify(dbdrivers.ErrBusy, t.doing, errLate)
	}
	return nil
}

// allowed is the fence around an admin's login: the names come from a secret
// that is less trusted, and a twin has all that its sibling has.
func (t *twin) allowed(f twinFacts) error {
	if err := fence(f.canonical, f.powerful[t.req.Canonical]); err != nil {
		return unsupported(t.doing, fmt.Errorf("%q: %w", t.req.Canonical, err))
	}
	if f.siblingMarked {
		return unsupported(t.doing, fmt.Errorf("%q is marked as another account's twin and has none of its own; name the pair in \"twins\", or where it is a twin no more, as a superuser take it out of the groups named %s",
			t.req.Canonical, markPrefix))
	}
	if !f.twin.exists {
		if t.req.MayCreate {
			return nil
		}
		return unsupported(t.doing, fmt.Errorf("%w: %q; set CREATE_TWINS=true, or as a superuser run: CREATE USER %s PASSWORD DISABLE; the next attempt names the statements that mark it",
			dbdrivers.ErrTwinMissing, t.req.Twin, identifier(t.req.Twin)))
	}
	if !f.mark.proves(t.req.Proven) {
		return unsupported(t.doing, f.mark.unproven(t.req.Twin, pairing{t.req.Canonical, f.twin.id}))
	}
	if err := fence(f.twin, f.powerful[t.req.Twin]); err != nil {
		return unsupported(t.doing, fmt.Errorf("%q: %w", t.req.Twin, err))
	}
	return nil
}

// open gives the twin its mark and its password, and commits.
func (t *twin) open(ctx context.Context, f twinFacts, keeps bool) error {
	wanted, other := equalled, taken
	if keeps {
		wanted, other = taken, equalled
	}
	if f.mark != wanted {
		if err := t.setMark(ctx, f.mark, wanted, other); err != nil {
			return err
		}
	}
	hash := kept(t.req.Twin, t.req.Password.Reveal())
	// What is left of the time is less than it was.
	if err := run(ctx, t.session, timeout(ctx), alterPassword(t.req.Twin, hash)); err != nil {
		return failed(t.doing, err, pgwire.Unchanged, alterUser)
	}
	return commit(ctx, t.session, t.doing)
}

func (t *twin) failed(err error) error { return failed(t.doing, err, pgwire.Unchanged, nil) }

func (t *twin) unread(err error) error {
	switch {
	case errors.Is(err, errAnswer), errors.Is(err, errIdentity):
		return unsupported(t.doing, err)
	case errors.As(err, new(unreadableError)):
		return err
	case hasState(err, "42501"):
		return pgwire.Classify(t.doing, err, pgwire.Unchanged, pgwire.Rules{{
			State: "42501", Class: dbdrivers.ErrPrivilege, Remedy: "the admin may not read what the two accounts hold; use the cluster's or namespace's admin user",
		}})
	}
	return t.failed(err)
}
