package rotator

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// twinOpener is the one place where a driver's power to keep twins is asked.
func twinOpener(driver dbdrivers.Driver) (dbdrivers.TwinOpener, bool) {
	opener, ok := driver.(dbdrivers.TwinOpener)
	return opener, ok
}

// nextUsername is the account that a rotation of the document gives a new
// password.
func (a *attempt) nextUsername(current *document) string {
	if a.strategyName == Alternating {
		return current.pair().other(current.username)
	}
	return current.username
}

// touches are the names of all that a rotation of the document changes or lets
// its accounts act as. None of them may be the admin.
func (a *attempt) touches(current *document) []string {
	if a.strategyName != Alternating {
		return []string{current.username}
	}
	accounts := current.pair()
	names := []string{accounts.Canonical, accounts.Twin}
	if role := current.settings.OwnerRole; role != "" {
		names = append(names, role)
	}
	return names
}

// proven calls alter with what is known of the proof that the twin is this
// secret's. Where the operator listed the pair that is the proof. Otherwise,
// and only where the driver finds no mark on the twin, it calls alter again
// once AWSPREVIOUS has proven it.
func (c *change) proven(ctx context.Context, alter func(proven bool) error) error {
	names := c.currentDocument.pair()
	listed := c.strategyName == Alternating && c.config.isPair(names)
	err := alter(listed)
	if errors.Is(err, dbdrivers.ErrTwinMissing) {
		return &failure{class: ClassUnsupported, err: err,
			remedy: "Set the function's CREATE_TWINS to true, or create the account. Nothing was changed."}
	}
	if errors.Is(err, dbdrivers.ErrTwinOwns) && !c.config.Adopt && c.traits.OwnerRole {
		return &failure{class: ClassUnsupported, err: err,
			remedy: "Or set the function's ADOPT to reassign, which hands over what can be. Nothing was changed."}
	}
	if listed || !errors.Is(err, dbdrivers.ErrTwinUnproven) {
		return err
	}
	proves, asking := c.previousProves(ctx)
	if asking != nil {
		return asking
	}
	if !proves {
		return fail(ClassForbidden, fmt.Sprintf("If the two are a pair, put the present credential of %q under AWSPREVIOUS and that of %q under AWSCURRENT, or tell the function by its TWINS (%s); "+
			"if they are not, rename one, or rotate by the strategy %s. Nothing was changed.",
			c.pending.Username, c.current.Username, names.howToList(), Single), "nothing proves that %q is this secret's twin of %q: %w", names.Twin, names.Canonical, err)
	}
	return alter(true)
}

// previousProves reports whether AWSPREVIOUS names the pending account and opens
// it, as a rotation by AWS's function leaves it. That the twin is opened is
// proof only where current has opened its sibling: whoever merely owns an account
// of a twin's name would be given what its namesake has.
func (c *change) previousProves(ctx context.Context) (bool, error) {
	if c.currentRefused() && c.pending.Username == c.currentDocument.pair().Twin {
		return false, nil
	}
	previous, err := c.previous(ctx, c.currentDocument)
	if err != nil || previous == nil || previous.Username != c.pending.Username {
		return false, err
	}
	err = c.verify(ctx, *previous)
	// Only the server's own word is one on the proof.
	if err != nil && !errors.Is(err, dbdrivers.ErrRefused) && !errors.Is(err, dbdrivers.ErrBarred) {
		return false, fmt.Errorf("asking whether AWSPREVIOUS proves the twin: %w", err)
	}
	return err == nil, nil
}

// alter lets the admin set the pending account's password, or open it where it
// is the twin.
func (c *change) alter(ctx context.Context, proven bool) error {
	request := dbdrivers.SetPasswordRequest{
		As: c.admin.login, Account: c.pending.Username, Database: c.current.Database, Params: c.current.Params,
		Password: c.pending.Password, Hash: c.hash, Proven: proven,
	}
	if c.strategyName != Alternating {
		request.Current = c.opens.Password
		return c.give(ctx, request, c.opens.Password)
	}
	names := c.currentDocument.pair()
	if c.opens.Username == names.other(c.pending.Username) {
		request.Current = c.opens.Password
	}
	if c.pending.Username == names.Canonical {
		request.Twin = names.Twin
		return c.setPassword(ctx, request)
	}
	return c.openTwin(ctx, dbdrivers.OpenTwinRequest{
		Admin: c.admin.login, Canonical: names.Canonical, Twin: names.Twin,
		OwnerRole: c.currentDocument.settings.OwnerRole, Database: c.current.Database, Params: c.current.Params,
		Current: request.Current, Password: c.pending.Password, Hash: c.hash,
		MayCreate: c.config.CreateTwins, Proven: proven, Adopt: c.config.Adopt,
		Note: c.note(ctx, names.Twin),
	})
}

func (c *change) openTwin(ctx context.Context, request dbdrivers.OpenTwinRequest) error {
	opener, ok := twinOpener(c.driver)
	if !ok {
		return fail(ClassUnsupported, "", "the driver of %s keeps no twins", c.engine)
	}
	var report dbdrivers.TwinReport
	err := c.database(ctx, func(ctx context.Context) (err error) {
		report, err = opener.OpenTwin(ctx, request)
		return err
	})
	if err != nil {
		return err
	}
	if len(report.Added)+len(report.Removed)+len(report.Adopted) > 0 || report.Created || report.TakenOver {
		c.log.InfoContext(ctx, "the twin was matched to its sibling", "twin", request.Twin, "sibling", request.Canonical,
			"created", report.Created, "takenOver", report.TakenOver,
			"added", report.Added, "removed", report.Removed, "adopted", report.Adopted)
	}
	if len(report.Kept) > 0 {
		c.log.WarnContext(ctx, "the twin owns or holds more than its sibling",
			"twin", request.Twin, "sibling", request.Canonical, "kept", report.Kept, "remedy", c.keptRemedy(request.Adopt))
	}
	return nil
}

// keptRemedy says what becomes of what a twin owns or holds beyond its sibling.
func (c *change) keptRemedy(adopted bool) string {
	switch {
	case !c.traits.OwnerRole:
		return "grant to its sibling what the twin is to keep; its next turn revokes the rights that are left, and a host row is the operator's to drop"
	case adopted:
		return "grant to the role that the two share what the twin needs, and take from the twin what it holds itself; until then the two are not equal"
	}
	return "set the function's ADOPT to reassign, which hands over what can be; or " + c.keptRemedy(true)
}

// verifyPair signs in as one account of the document's pair, once, and lists in
// what the two differ as far as that account may see it.
func (a *attempt) verifyPair(ctx context.Context, d *document, login dbdrivers.Login) (differences []string, err error) {
	opener, ok := twinOpener(a.driver)
	if !ok {
		return nil, fail(ClassUnsupported, "", "the driver of %s keeps no twins", a.engine)
	}
	names := d.pair()
	err = a.database(ctx, func(ctx context.Context) (err error) {
		differences, err = opener.VerifyTwin(ctx, dbdrivers.VerifyTwinRequest{
			Login: login, Canonical: names.Canonical, Twin: names.Twin, OwnerRole: d.settings.OwnerRole,
		})
		return err
	})
	return differences, err
}

// greatestListing bounds the names in one log record.
const greatestListing = 20

// reportDifferences warns that the two accounts of the document's pair are not
// equal, and counts in what. It says nothing where they are. The twin's next
// turn makes it equal, except for what it held before it was taken over.
func (a *attempt) reportDifferences(ctx context.Context, d *document, differences []string) {
	if len(differences) == 0 {
		return
	}
	names := d.pair()
	record := append(counted(metricTwinDifferences, len(differences), a.traits.Engine),
		"twin", names.Twin, "sibling", names.Canonical, "differences", differences[:min(len(differences), greatestListing)])
	a.log.WarnContext(ctx, "the two accounts of the pair differ", record...)
}
