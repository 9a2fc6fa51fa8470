package rotator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// set makes the pending password the account's.
//
// Two calls, and a third for the admin's secret: the pending version by the
// token, current. It signs in as current first: on the usual path no sign-in
// fails, and the sign-in proves that whoever wrote the secret could open the
// database before.
func (a *attempt) set(ctx context.Context) error {
	version, err := a.pendingVersion(ctx)
	if err != nil {
		return err
	}
	if done, err := a.checkPendingLabel(version.Labels); done || err != nil {
		return err
	}
	currentVersion, err := a.get(ctx, a.event.SecretID, VersionRef{Label: labelCurrent})
	if errors.Is(err, ErrNoSuchVersion) {
		return fail(ClassLabel, "Put the account's present credential under AWSCURRENT with PutSecretValue and rotate again.",
			"the secret has no %s version: %w", labelCurrent, err)
	}
	if err != nil {
		return err
	}
	if a.isDone(currentVersion) {
		return nil
	}
	current, err := a.current(currentVersion)
	if err != nil {
		return err
	}
	pending, err := a.pending(version, current)
	if err != nil {
		return err
	}

	itself, err := a.itself(ctx, current.host)
	if err != nil {
		return err
	}
	if err := a.passesBoth(current, itself); err != nil {
		return err
	}
	account, err := a.behind(a.login(current), itself)
	if err != nil {
		return err
	}

	change := change{attempt: a, currentDocument: current, current: account, hash: current.settings.Hash}
	if current.adminARN != "" {
		admin, err := a.admin(ctx, current, account, itself)
		if err != nil {
			return err
		}
		if err := a.keepsTLS(admin, account); err != nil {
			return err
		}
		change.admin = &admin
		// The account is asked for where the admin's password goes, and
		// nowhere else: a proof given by another server proves nothing there.
		change.current.Host, change.current.Port, change.current.TLS = admin.login.Host, admin.login.Port, admin.login.TLS
		// Only the account's own secret lets its password go without TLS.
		change.current.TLS.Plaintext = admin.login.TLS.Plaintext && account.TLS.Plaintext
	}
	change.pending = change.as(pending)
	if err := change.run(ctx); err != nil {
		return err
	}
	if a.strategyName.hasOverlap() && !errors.Is(change.tried[0].err, dbdrivers.ErrRefused) {
		a.result.FormerOpensUntil = theNextRotation
	}
	return nil
}

// keepsTLS refuses an admin whose login goes without TLS, where the engine is sent
// the new password itself: only the account's own secret gives that up.
func (a *attempt) keepsTLS(admin admin, account dbdrivers.Login) error {
	if !a.traits.SendsPassword || !admin.login.TLS.Plaintext || account.TLS.Plaintext {
		return nil
	}
	return fail(ClassForbidden, `Take "`+fieldSSL+`": false out of the admin's secret, or where the server has no TLS say it in the account's secret too. Nothing was changed.`,
		"the admin's secret %s has %q false, so the account's new password would cross the network as readable text, and the account's own secret demands TLS",
		admin.arn, fieldSSL)
}

// change is one account's password about to change.
type change struct {
	*attempt
	currentDocument *document       // current, as the secret holds it
	current         dbdrivers.Login // and as the server is asked
	pending         dbdrivers.Login
	hash            string
	admin           *admin // nil: the account changes its own

	tried tries
	opens dbdrivers.Login // proven to open the database; without a password while nothing is
}

// try is one credential that was offered to the server.
type try struct {
	label string
	err   error
}

// tries are one error of all that was offered.
type tries []try

func (t tries) Error() string {
	texts := make([]string, len(t))
	for i, try := range t {
		texts[i] = fmt.Sprintf("%s: %v", try.label, try.err)
	}
	return strings.Join(texts, "; ")
}

func (t tries) Unwrap() []error {
	errs := make([]error, len(t))
	for i, try := range t {
		errs[i] = try.err
	}
	return errs
}

// run climbs the ladder: current; where the server refuses it, pending, for an
// earlier delivery may have set it; where that is refused too, previous, for
// an abandoned rotation may have moved the labels without the database.
func (c *change) run(ctx context.Context) error {
	err := c.from(ctx, labelCurrent, c.current)
	if !errors.Is(err, dbdrivers.ErrRefused) {
		return c.settle(ctx, err)
	}

	err = c.verify(ctx, c.pending)
	c.tried = append(c.tried, try{labelPending, err})
	if isPassword(err) {
		c.outcome = "already set"
		return nil
	}
	if !errors.Is(err, dbdrivers.ErrRefused) {
		return fmt.Errorf("asking whether the pending password is set already: %w", err)
	}

	if previous, err := c.previous(ctx, c.currentDocument); err != nil {
		return err
	} else if previous != nil {
		err := c.from(ctx, labelPrevious, *previous)
		if !errors.Is(err, dbdrivers.ErrRefused) {
			return c.settle(ctx, err)
		}
	}

	if c.admin != nil && c.config.AdminMayReset {
		c.log.WarnContext(ctx, "no labelled credential opens the database; the admin resets the password because the function's ADMIN_MAY_RESET allows it",
			"username", c.pending.Username)
		c.outcome = "reset by the admin"
		return c.settle(ctx, c.byAdmin(ctx))
	}
	return c.nothingOpens()
}

// as is the login of another version, at the server that current is asked of.
func (c *change) as(d *document) dbdrivers.Login {
	login := c.current
	login.Username, login.Password = d.username, d.password
	return login
}

// from sets the password, given that login is believed to open the database.
// Its error is a refusal only if the server refused login itself.
func (c *change) from(ctx context.Context, label string, login dbdrivers.Login) error {
	c.outcome = "set"
	if c.admin == nil {
		err := c.give(ctx, dbdrivers.SetPasswordRequest{
			As: login, Account: login.Username, Database: login.Database, Params: login.Params, Password: c.pending.Password, Hash: c.hash,
		}, login.Password)
		c.tried = append(c.tried, try{label, err})
		return err
	}
	err := c.verify(ctx, login)
	c.tried = append(c.tried, try{label, err})
	switch {
	case errors.Is(err, dbdrivers.ErrRefused):
		return err
	case errors.Is(err, dbdrivers.ErrBarred) && login.Username == c.pending.Username:
		// An admin could change it. But testSecret could not prove the new
		// password then, and until it does the application's own is gone.
		return &failure{class: ClassBarred, err: fmt.Errorf("proving the %s credential: %w", label, err),
			remedy: "Nothing was changed. Let the account in, and rotate again."}
	case errors.Is(err, dbdrivers.ErrPrivilege) && login.Username != c.pending.Username:
		// It entered, without the role that it is to act as. Its sibling's
		// turn is what mends that for the application.
		c.log.WarnContext(ctx, "the current account enters without its privileges; its sibling's turn goes on",
			"username", login.Username, "error", c.scrubber()(err.Error()))
	case !isPassword(err):
		return fmt.Errorf("proving the %s credential: %w", label, err)
	}
	c.opens = login
	return c.byAdmin(ctx)
}

// byAdmin lets the admin set the password, or open the twin. A refusal of the
// admin is not one of the account, and is told as what it is.
func (c *change) byAdmin(ctx context.Context) error {
	err := c.proven(ctx, func(proven bool) error { return c.alter(ctx, proven) })
	if err == nil {
		return nil
	}
	err = fmt.Errorf("by the admin of %s: %w", c.admin.arn, err)
	if errors.Is(err, dbdrivers.ErrRefused) {
		return &failure{class: ClassRefused, err: notARefusal{err},
			remedy: "Correct the admin's secret; the account's password was not changed."}
	}
	return err
}

// notARefusal keeps an admin's refusal from being read as the account's.
type notARefusal struct{ error }

// As reaches the client's own error.
func (n notARefusal) As(target any) bool { return errors.As(n.error, target) }

// previous returns the AWSPREVIOUS login where it is worth a sign-in, else nil.
func (c *change) previous(ctx context.Context, current *document) (*dbdrivers.Login, error) {
	if c.refusalsAreSpent() {
		c.tried = append(c.tried, try{labelPrevious, errors.New("not tried: two refusals in a row are as many as this engine may safely be given")})
		return nil, nil
	}
	version, err := c.get(ctx, c.event.SecretID, VersionRef{Label: labelPrevious})
	if errors.Is(err, ErrNoSuchVersion) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d, faults := c.document(version)
	switch {
	case len(faults) > 0:
		err = errors.New("not tried: it is not a valid document")
	case !c.mayBe(d.username) || d.host != current.host || d.port != current.port:
		err = errors.New("not tried: it names another account or server")
	case d.holds(c.current) || d.holds(c.pending):
		err = errors.New("not tried: it holds a password that was refused")
	default:
		login := c.as(d)
		return &login, nil
	}
	c.tried = append(c.tried, try{labelPrevious, err})
	return nil, nil
}

// holds reports whether the document's credential is the login's. Two accounts
// that take turns may have one password, and each is opened by it.
func (d *document) holds(login dbdrivers.Login) bool {
	return d.username == login.Username && d.password.Equal(login.Password)
}

// mayBe reports whether an account is one that this secret rotates.
func (c *change) mayBe(username string) bool {
	if c.strategyName == Alternating {
		return c.currentDocument.pair().has(username)
	}
	return username == c.current.Username
}

// settle gives the change's error its last word. A password that the server's
// rules refuse would be refused at every delivery: where it is proven that the
// server does not hold it, its label is taken off.
func (c *change) settle(ctx context.Context, err error) error {
	if err == nil {
		return c.shows(ctx)
	}
	if !errors.Is(err, dbdrivers.ErrPasswordRules) {
		return fmt.Errorf("setting the password: %w", err)
	}
	token := c.event.ClientRequestToken
	adapt := "Adapt the password policy (PASSWORD_LENGTH, EXCLUDE_CHARACTERS, ... or the secret's own) to the rule, and rotate again. "
	set, doubt := c.doubt(ctx)
	if set {
		// Said again, or at the same moment as by another delivery, a change
		// that was made meets the rule that a password may not come back.
		c.outcome = "already set"
		return nil
	}
	if doubt != nil {
		return fail(ClassPasswordRules, adapt+"AWSPENDING is taken off the version "+token+" as soon as current opens the database and pending does not; "+
			"where current does not hold the account's true password, put that under AWSCURRENT with PutSecretValue first.",
			"setting the password: %w (the label stays: %w)", err, doubt)
	}
	moved := c.store(ctx, "taking AWSPENDING off the refused version", func(ctx context.Context) error {
		return c.config.Secrets.MoveLabel(ctx, MoveLabelRequest{SecretID: c.event.SecretID, Label: labelPending, From: token})
	})
	if moved != nil {
		_, remedy := classOf(moved)
		return fail(ClassPasswordRules, strings.TrimSpace(adapt+"The next delivery tries again to take AWSPENDING off the version "+token+". "+remedy),
			"setting the password: %w (and %w)", err, moved)
	}
	return fail(ClassPasswordRules, adapt+"Current still opens the database, and AWSPENDING was taken off the version "+token+".",
		"setting the password: %w", err)
}

// doubt finds out what the database holds after the server's rules refused the
// password: pending, which is then set as the strategy wants it; or current and
// not pending, which is a nil error. What the ladder has shown is not asked
// again.
func (c *change) doubt(ctx context.Context) (set bool, err error) {
	if c.currentRefused() {
		return false, errors.New("current does not open the database")
	}
	pending := c.verify(ctx, c.pending)
	if !isPassword(pending) && !errors.Is(pending, dbdrivers.ErrRefused) {
		return false, fmt.Errorf("signing in as pending to make sure: %w", pending)
	}
	if isPassword(pending) && c.strategyName == DualPassword {
		return true, nil
	}
	current := c.verify(ctx, c.current)
	switch {
	case isPassword(pending) && errors.Is(current, dbdrivers.ErrRefused):
		return true, nil
	case isPassword(pending):
		return false, errors.New("the pending password was not refused")
	case current != nil:
		return false, fmt.Errorf("signing in as current to make sure: %w", current)
	}
	return false, nil
}

// currentRefused reports whether the server refused current, with which the
// ladder begins.
func (c *change) currentRefused() bool { return errors.Is(c.tried[0].err, dbdrivers.ErrRefused) }

// refusalsAreSpent reports whether another refusal could lock the account.
func (c *change) refusalsAreSpent() bool {
	return c.traits.CountsRefusals && c.refusals >= greatestRefusals
}

// shows waits, on an engine that settles late, until the new password opens.
func (c *change) shows(ctx context.Context) error {
	if !c.traits.SettlesLate {
		return nil
	}
	err := poll(ctx, greatestSettling, func() (bool, error) {
		err := c.verify(ctx, c.pending)
		return isPassword(err) || c.refusalsAreSpent(), err
	})
	if !isPassword(err) {
		return fmt.Errorf("waiting for the new password to show: %w", err)
	}
	return nil
}

// nothingOpens names each credential that was tried, by its label.
func (c *change) nothingOpens() error {
	remedy := "Nothing was changed. Put the account's true password under AWSCURRENT with PutSecretValue and rotate again " +
		"(a version that lost its label in an earlier rotation may hold it; ListSecretVersionIds lists those too)"
	if c.admin != nil {
		remedy += ", or set the function's ADMIN_MAY_RESET to true for one rotation, to let the admin set it"
	}
	return fail(ClassNothingOpens, remedy+".", "no credential of the secret opens the database as %q (%w)", c.current.Username, c.tried)
}
