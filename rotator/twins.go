package rotator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// twinSuffix is how AWS's functions name the other account.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets_strategies.html
const twinSuffix = "_clone"

// pair are the two accounts of the alternating strategy.
type pair struct {
	// canonical owns and is granted to; twin is made equal to it.
	canonical, twin string
}

func pairOf(username string) pair {
	canonical := strings.TrimSuffix(username, twinSuffix)
	return pair{canonical: canonical, twin: canonical + twinSuffix}
}

// other returns whose turn it is after username.
func (p pair) other(username string) string {
	if username == p.canonical {
		return p.twin
	}
	return p.canonical
}

func (p pair) has(username string) bool {
	return username == p.canonical || username == p.twin
}

// twinOpener is the one place where a driver's power to keep twins is asked.
func twinOpener(driver dbdrivers.Driver) (dbdrivers.TwinOpener, bool) {
	opener, ok := driver.(dbdrivers.TwinOpener)
	return opener, ok
}

// twinFaults lists what keeps a document from alternating.
func twinFaults(d *document, driver dbdrivers.Driver) []Fault {
	var faults []Fault
	if d.adminARN == "" {
		faults = append(faults, Fault{fieldAdmin, "is missing; the strategy alternating needs the secret of an admin who keeps the two accounts equal"})
	}
	if d.settings.OwnerRole != "" {
		faults = append(faults, Fault{fieldOurs, "has an ownerRole, which this version cannot use"})
	}
	if len(d.settings.Twins) > 0 {
		faults = append(faults, Fault{fieldOurs, "has twins, which this version cannot use: the two accounts are NAME and NAME" + twinSuffix})
	}
	names := pairOf(d.username)
	if names.canonical == "" {
		faults = append(faults, Fault{fieldUsername, "is nothing but " + twinSuffix})
	}
	limit := driver.Traits().Username
	length, unit := utf8.RuneCountInString(names.twin), "characters"
	if limit.Bytes {
		length, unit = len(names.twin), "bytes"
	}
	if limit.Max > 0 && length > limit.Max {
		faults = append(faults, Fault{fieldUsername, fmt.Sprintf("leaves no room for its twin: %q has %d %s, and %s keeps %d",
			names.twin, length, unit, driver.Traits().Engine, limit.Max)})
	}
	return faults
}

// nextUsername is the account that a rotation of the document gives a new
// password.
func (a *attempt) nextUsername(current *document) string {
	if a.strategyName == Alternating {
		return pairOf(current.username).other(current.username)
	}
	return current.username
}

// proven calls alter, and where the driver finds no mark on the twin, again
// with the proof that it is this secret's twin: that AWSPREVIOUS names the
// other account and opens it, as a rotation by AWS's function leaves it.
func (c *change) proven(ctx context.Context, alter func(proven bool) error) error {
	err := alter(false)
	if errors.Is(err, dbdrivers.ErrTwinMissing) {
		return &failure{class: ClassUnsupported, err: err,
			remedy: "Set the function's CREATE_TWINS to true, or create the account. Nothing was changed."}
	}
	if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
		return err
	}
	names := pairOf(c.pending.Username)
	previous, reading := c.previous(ctx, c.currentDocument)
	if reading != nil {
		return reading
	}
	opens := false
	if previous != nil && previous.Username == c.pending.Username {
		asked := c.verify(ctx, *previous)
		// Only the server's own word is one on the proof.
		if asked != nil && !errors.Is(asked, dbdrivers.ErrRefused) && !errors.Is(asked, dbdrivers.ErrBarred) {
			return fmt.Errorf("asking whether AWSPREVIOUS proves the twin: %w", asked)
		}
		opens = asked == nil
	}
	if !opens {
		return fail(ClassForbidden, fmt.Sprintf("If the two are a pair, put the present credential of %q under AWSPREVIOUS; if they are not, rename one, or rotate by the strategy %s. Nothing was changed.",
			c.pending.Username, Single), "nothing proves that %q is this secret's twin of %q: %w", names.twin, names.canonical, err)
	}
	return alter(true)
}

// alter lets the admin set the pending account's password, or open it where it
// is the twin.
func (c *change) alter(ctx context.Context, proven bool) error {
	request := dbdrivers.SetPasswordRequest{
		As: c.admin.login, Account: c.pending.Username, Password: c.pending.Password, Hash: c.hash, Proven: proven,
	}
	if c.strategyName != Alternating {
		return c.setPassword(ctx, request)
	}
	names := pairOf(c.pending.Username)
	if c.pending.Username == names.canonical {
		request.Twin = names.twin
		return c.setPassword(ctx, request)
	}
	return c.openTwin(ctx, dbdrivers.OpenTwinRequest{
		Admin: c.admin.login, Canonical: names.canonical, Twin: names.twin,
		Password: c.pending.Password, Hash: c.hash, MayCreate: c.config.CreateTwins, Proven: proven,
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
	if len(report.Added)+len(report.Removed) > 0 || report.Created || report.TakenOver {
		c.log.InfoContext(ctx, "the twin was made equal", "twin", request.Twin, "sibling", request.Canonical,
			"created", report.Created, "takenOver", report.TakenOver, "added", report.Added, "removed", report.Removed)
	}
	if len(report.Kept) > 0 {
		c.log.WarnContext(ctx, "the twin owns or holds more than its sibling; hand it over to the sibling, or the two cannot be equal",
			"twin", request.Twin, "sibling", request.Canonical, "kept", report.Kept)
	}
	return nil
}
