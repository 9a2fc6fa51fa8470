package documentdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// OpenTwin makes the twin hold what its sibling was granted: the same roles, each
// with its database, the same customData but for the mark, the same mechanisms
// and, on MongoDB, the same authenticationRestrictions (as its documentation shows
// them; no MongoDB could be asked). The server is asked for both again until nothing is left; only then is the password set. A sibling to
// which nothing was granted is refused: that two users can do nothing proves
// nothing.
//
// A command on users takes effect by itself, whatever comes after. So a new twin
// is made with its mark and a password that nobody knows, and one that is open
// keeps the password that it has until it is equal. What it has too little is
// given before what it has too much is taken away.
//
// The first time an unmarked twin is taken over, roles and fields of customData
// are added and none is taken away; the report names in Kept what it has beyond
// its sibling. Restrictions are no rights, and are made equal at once.
//
// Users own nothing, so req.Adopt has nothing to do. The server has no
// transactions for users, and no locks: two calls at once repeat each other's
// words, and of two passwords the last one counts.
func (d Driver) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	t := &twin{req: req, change: &change{
		driver: d, doing: fmt.Sprintf("opening %q, the twin of %q, at %s", req.Twin, req.Canonical, req.Admin.Address()),
		as: req.Admin, account: req.Twin, home: homeOf(req.Database, req.Params, req.Admin), password: req.Password,
	}}
	if err := t.checkTwins(); err != nil {
		return dbdrivers.TwinReport{}, t.unsupported(err)
	}
	if err := t.signedIn(ctx, req.Hash, t.run); err != nil {
		return dbdrivers.TwinReport{}, err
	}
	return t.report, nil
}

// twin is one call of OpenTwin.
type twin struct {
	*change
	req    dbdrivers.OpenTwinRequest
	report dbdrivers.TwinReport
	// first: the twin has not been equal, and is taken over.
	first bool
}

// checkTwins refuses names before anything is asked of the server.
func (t *twin) checkTwins() error {
	for _, name := range []string{t.req.Canonical, t.req.Twin} {
		if name == t.req.Admin.Username {
			return fmt.Errorf("%q is the admin itself, whose login changes other accounts only", name)
		}
		if err := t.checkTarget(name); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	if t.req.Twin == t.req.Canonical {
		return errors.New("the twin has the name of its sibling; give it one of its own")
	}
	if t.req.OwnerRole != "" {
		return errors.New("users own nothing, and so have no owner role; take \"ownerRole\" out of the secret")
	}
	return nil
}

// mostRounds bounds how often the two are compared. Two rounds are usual: one
// that changes, and one that finds nothing left.
const mostRounds = 5

func (t *twin) run() error {
	var left []string
	for range mostRounds {
		sibling, err := t.sibling()
		if err != nil {
			return err
		}
		it, exists, err := t.session.user(sibling.database, t.req.Twin)
		if err != nil {
			return t.session.unread(t.doing, err)
		}
		if !exists {
			if err := t.create(sibling); err != nil {
				return err
			}
			continue
		}
		if t.report.Created && !isMarked(it.custom) {
			return t.unsupported(fmt.Errorf("%q was made, but the server keeps no customData, by which it would be known as the twin of %q; "+
				"drop it, and rotate by the strategy single", it.name, sibling.name))
		}
		if err := t.allowed(it); err != nil {
			return err
		}
		d := t.compare(sibling, it)
		if d.none() {
			t.report.Kept = d.kept
			return t.open(sibling, it)
		}
		if err := t.bring(sibling, it, d); err != nil {
			return err
		}
		left = d.names()
	}
	return dbdrivers.Classify(dbdrivers.ErrBusy, t.doing,
		fmt.Errorf("the two are not equal after %d rounds, the last time in %q; somebody else changes them at the same time, or the server does not keep what it acknowledges", mostRounds, left))
}

// sibling reads the canonical account, and refuses what no twin is made of.
func (t *twin) sibling() (user, error) {
	u, err := t.find(t.req.Canonical)
	if err != nil {
		return u, err
	}
	if err := t.driver.fence(u); err != nil {
		return u, t.unsupported(fmt.Errorf("%q: %w", u.name, err))
	}
	if len(u.roles) == 0 {
		return u, t.unsupported(fmt.Errorf("%q has no roles, so that nothing proves that its twin can do what it can; grant it what its application needs", u.name))
	}
	if isMarked(u.custom) {
		return u, t.unsupported(fmt.Errorf("%q is itself marked as another account's twin, by %s in its customData; rotate by that account, or take the field away",
			u.name, markField))
	}
	return u, nil
}

// allowed says no before the server would, where the server would say yes: the
// names come from a secret that is less trusted.
func (t *twin) allowed(it user) error {
	m := markOf(it.custom, t.req.Canonical)
	if !m.proves(t.req.Proven) {
		return t.unproven(m)
	}
	if err := t.driver.fence(it); err != nil {
		return t.unsupported(fmt.Errorf("%q: %w", it.name, err))
	}
	if m == unmarked {
		t.report.TakenOver = true
	}
	t.first = !m.own()
	return nil
}

// unproven refuses an account that only has the twin's name.
func (t *twin) unproven(m mark) error {
	if m == others {
		return t.unsupported(fmt.Errorf("%w: %q is marked as another account's by %s in its customData; if it is %q's from now on, take that field away",
			dbdrivers.ErrTwinUnproven, t.req.Twin, markField, t.req.Canonical))
	}
	// It may hold what a twin may not, and then is to be taken over.
	return t.unsupported(fmt.Errorf("%w: %q; where it is, add to its customData the field %s: {twinOf: %q, state: %q}",
		dbdrivers.ErrTwinUnproven, t.req.Twin, markField, t.req.Canonical, states[taken]))
}

// create makes the twin, with a password that nobody knows. Where somebody else
// has just made it, it is found the next time.
func (t *twin) create(sibling user) error {
	if !t.req.MayCreate {
		return t.unsupported(fmt.Errorf("%w: %q; to create it, run as the admin createUser in the database %q with any password, the roles of %q, and customData {%s: {twinOf: %q, state: %q}}",
			dbdrivers.ErrTwinMissing, t.req.Twin, sibling.database, sibling.name, markField, sibling.name, states[made]))
	}
	unknown := "Aa1-" + rand.Text()
	t.session.keep(unknown)
	command := bson.D{
		{Key: "createUser", Value: t.req.Twin},
		{Key: "pwd", Value: unknown},
		{Key: "roles", Value: sibling.roles},
		{Key: "customData", Value: append(fieldsOf(sibling.custom), made.field(sibling.name))},
	}
	command = append(command, sibling.keptMechanisms()...)
	if len(sibling.restrictions.Value) > 0 {
		command = append(command, bson.E{Key: "authenticationRestrictions", Value: sibling.restrictions})
	}
	err := t.session.change(sibling.database, command)
	switch {
	case slices.Contains([]int32{codeDuplicateKey, codeUserExists}, codeOf(err)):
		return nil
	case err != nil:
		return t.failed(err)
	}
	t.report.Created = true
	return nil
}

// open gives the twin its password. The same command marks it as equal: a call
// that is cut off before has not been the first, and one that is cut off after is
// complete.
func (t *twin) open(sibling, it user) error {
	command := bson.D{{Key: "updateUser", Value: it.name}, {Key: "pwd", Value: t.password.Reveal()}}
	command = append(command, sibling.keptMechanisms()...)
	if markOf(it.custom, sibling.name) != equal {
		command = append(command, bson.E{Key: "customData", Value: append(fieldsOf(it.custom), equal.field(sibling.name))})
	}
	if err := t.session.change(it.database, command); err != nil {
		return t.failed(err)
	}
	return nil
}
