package rotator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// attempt is one call of one step: what is known while it runs. Nothing of it
// outlives the call.
type attempt struct {
	*Rotator
	event Event
	log   *slog.Logger

	engine       string
	driver       dbdrivers.Driver
	traits       dbdrivers.Traits
	strategyName Strategy
	outcome      string
	result       Result
	calls        int // of Secrets Manager
	signIns      int // begun at a database
	refusals     int
	secrets      []string // texts that no error may show
}

// The shares of a step's time.
const (
	// leastDatabaseTime is what a database call must have left to begin: a
	// sign-in over TLS to a busy server, a statement and its commit.
	leastDatabaseTime = 2 * time.Second
	// greatestDatabaseTime bounds a call that does not answer: longer than an
	// Aurora Serverless v2 instance takes to wake up, which is 30 seconds or
	// more after a day of pause. Whatever takes longer, an error tells its
	// caller more than further waiting.
	greatestDatabaseTime = 45 * time.Second
	// greatestStoreTime bounds a call of Secrets Manager, retries included.
	greatestStoreTime = 20 * time.Second
	// greatestLag bounds the wait for what was just written to become
	// readable.
	greatestLag = 3 * time.Second
	// greatestRefusals is how many a step may meet on an engine that counts
	// them.
	greatestRefusals = 2
	// greatestSettling bounds the wait for a change to show on an engine that
	// settles late.
	greatestSettling = 30 * time.Second
)

// beforeDeadline ends the context a little before the function's deadline, so
// that an answer still leaves the function.
func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	margin := min(time.Second, time.Until(deadline)/10)
	return context.WithDeadline(ctx, deadline.Add(-margin))
}

// within bounds ctx by limit and says how much time that leaves.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc, time.Duration) {
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	return ctx, cancel, limit
}

// poll calls try until it is done, with pauses that grow from a twentieth of a
// second, and gives up after limit with try's last error.
func poll(ctx context.Context, limit time.Duration, try func() (done bool, err error)) error {
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	stop := time.Now().Add(limit)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		done, err := try()
		if done || time.Now().Add(pause).After(stop) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// store runs one call of Secrets Manager.
func (a *attempt) store(ctx context.Context, doing string, call func(context.Context) error) error {
	a.calls++
	ctx, cancel, _ := within(ctx, greatestStoreTime)
	defer cancel()
	err := call(ctx)
	switch {
	case err == nil, errors.Is(err, ErrNoSuchVersion), errors.Is(err, ErrVersionExists):
		return err
	case errors.Is(err, ErrDenied):
		return fail(ClassSecretsManager, "Give the function's role this permission on the secret, and on the KMS key it is encrypted under.",
			"%s: %w", doing, err)
	case errors.Is(err, ErrNoAnswer), ctx.Err() != nil:
		return fail(ClassSecretsManager, "A function in a VPC reaches Secrets Manager through an interface endpoint or a NAT gateway; "+
			"its security group must let port 443 out.", "%s: %w", doing, err)
	}
	return fail(ClassSecretsManager, "", "%s: %w", doing, err)
}

func (a *attempt) describe(ctx context.Context) (description Description, err error) {
	err = a.store(ctx, "describing the secret", func(ctx context.Context) error {
		description, err = a.config.Secrets.Describe(ctx, a.event.SecretID)
		return err
	})
	return description, err
}

func (a *attempt) get(ctx context.Context, secretID string, ref VersionRef) (version Version, err error) {
	doing := "reading the version " + ref.VersionID
	if ref.VersionID == "" {
		doing = "reading the " + ref.Label + " version of " + secretID
	}
	err = a.store(ctx, doing, func(ctx context.Context) error {
		version, err = a.config.Secrets.Get(ctx, secretID, ref)
		return err
	})
	return version, err
}

// pendingVersion reads the token's version. A value that was just put may not
// be readable yet, so its absence is asked again.
func (a *attempt) pendingVersion(ctx context.Context) (version Version, err error) {
	err = poll(ctx, greatestLag, func() (bool, error) {
		version, err = a.get(ctx, a.event.SecretID, VersionRef{VersionID: a.event.ClientRequestToken})
		return !errors.Is(err, ErrNoSuchVersion), err
	})
	if errors.Is(err, ErrNoSuchVersion) {
		return version, fail(ClassLabel, "Rotate the secret again: createSecret comes first.",
			"the version %s of this rotation holds no value: %w", a.event.ClientRequestToken, err)
	}
	return version, err
}

// checkPendingLabel returns done where the token's version is current already,
// and an error where it is not this rotation's.
func (a *attempt) checkPendingLabel(labels []string) (done bool, err error) {
	switch {
	case slices.Contains(labels, labelCurrent):
		a.outcome = "already current"
		return true, nil
	case slices.Contains(labels, labelPending):
		return false, nil
	}
	// Its password may be the account's all the same: Secrets Manager itself
	// takes AWSPENDING off when another value is stored under AWSCURRENT.
	return false, fail(ClassLabel, "This rotation was given up: it failed, as earlier errors in the log say, or another value was stored meanwhile. Rotate the secret again. "+
		"If AWSCURRENT does not open the database any more, this version may: move AWSCURRENT to it with UpdateSecretVersionStage first.",
		"the version %s does not carry %s", a.event.ClientRequestToken, labelPending)
}

// isDone reports whether the version read under AWSCURRENT is the token's:
// another delivery of this rotation finished it since the labels were read.
func (a *attempt) isDone(current Version) bool {
	if current.ID != a.event.ClientRequestToken {
		return false
	}
	a.outcome = "already current"
	return true
}

// document decodes a version of a secret and keeps its password out of errors.
func (a *attempt) document(version Version) (*document, []Fault) {
	if version.Binary {
		return nil, []Fault{{Problem: "the secret is binary; rotation needs a SecretString that is a JSON object"}}
	}
	d, faults := parse(version.Value)
	a.remember(d.password.Reveal())
	return d, faults
}

// current decodes the current document, finds its driver and lists everything
// that is wrong with it at once.
func (a *attempt) current(version Version) (*document, error) {
	d, faults := a.document(version)
	faults = append(faults, d.hostMissing()...)
	if d != nil && d.engine != "" {
		if driver, ok := a.config.Drivers[d.engine]; ok {
			a.engine, a.driver, a.traits = d.engine, driver, driver.Traits()
			faults = append(faults, d.check(a.traits)...)
			_, problems := a.recipe(d)
			for _, problem := range problems {
				faults = append(faults, Fault{Problem: problem})
			}
			strategy, contradictions := a.strategy(d, driver)
			a.strategyName = strategy
			faults = append(faults, contradictions...)
		} else {
			faults = append(faults, Fault{fieldEngine, "names an engine that this function does not know; it knows " + a.engineNames()})
		}
	}
	if d != nil && d.adminARN != "" && d.adminARN == a.event.SecretID {
		faults = append(faults, Fault{fieldAdmin, "names the secret itself; it must name the admin's secret"})
	}
	if len(faults) > 0 {
		return nil, &DocumentError{SecretARN: a.event.SecretID, Label: labelCurrent, Faults: faults}
	}
	return d, nil
}

func (a *attempt) recipe(d *document) (recipe, []string) {
	return d.settings.before(a.config.Password).decide(a.traits.Password)
}

func (a *attempt) engineNames() string {
	names := make([]string, 0, len(a.config.Drivers))
	for name := range a.config.Drivers {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (a *attempt) login(d *document) dbdrivers.Login {
	return d.login(a.traits, tlsconf.Settings{Roots: a.config.Roots})
}

// pending decodes the pending document and proves that it is current with
// another password: whoever can write a version must not be able to aim a
// rotation elsewhere.
func (a *attempt) pending(version Version, current *document) (*document, error) {
	d, faults := a.document(version)
	if len(faults) > 0 {
		return nil, &DocumentError{SecretARN: a.event.SecretID, Label: labelPending, Faults: faults}
	}
	var differing []string
	if d.username != a.nextUsername(current) {
		differing = append(differing, fieldUsername)
	}
	differing = append(differing, current.differences(d)...)
	if len(differing) > 0 {
		may := "the password alone"
		if a.strategyName == Alternating {
			may = fmt.Sprintf("the password, and in the username, which is %q", a.nextUsername(current))
		}
		// An earlier delivery may have set the pending password: the label
		// may go only where current still opens the database.
		return nil, fail(ClassMismatch, "Nothing was changed by this call. If current, or the function's STRATEGY, was edited on purpose while this rotation was under way, undo the edit and rotate again; "+
			"or, but only if current's password still opens the database, take AWSPENDING off the version "+a.event.ClientRequestToken+" and rotate again.",
			"the pending version differs from current in %s, and may differ in %s", quoted(differing), may)
	}
	if d.password.Equal(current.password) {
		return nil, fail(ClassMismatch, "Take AWSPENDING off the version "+a.event.ClientRequestToken+" and rotate again.",
			"the pending version holds the current password")
	}
	return d, nil
}

func quoted(keys []string) string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		text, _ := json.Marshal(key)
		texts[i] = string(text)
	}
	return strings.Join(texts, ", ")
}

// database runs one call of a driver: one sign-in.
func (a *attempt) database(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel, left := within(ctx, greatestDatabaseTime)
	defer cancel()
	if left < leastDatabaseTime {
		return fail(ClassDeadline, "Raise the function's time-out; 60 seconds or more suit most databases.",
			"%s of the function's time are left, and a database call needs %s", max(left, 0).Round(10*time.Millisecond), leastDatabaseTime)
	}
	a.signIns++
	err := call(ctx)
	if errors.Is(err, dbdrivers.ErrRefused) {
		a.refusals++
	}
	return err
}

func (a *attempt) verify(ctx context.Context, login dbdrivers.Login) error {
	return a.database(ctx, func(ctx context.Context) error {
		return a.driver.Verify(ctx, dbdrivers.VerifyRequest{Login: login})
	})
}

func (a *attempt) setPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	req.Note = a.note(ctx, req.Account)
	return a.database(ctx, func(ctx context.Context) error {
		return a.driver.SetPassword(ctx, req)
	})
}

// isPassword reports whether a sign-in proved that the password is the
// account's, whether it may enter or not.
func isPassword(err error) bool {
	return err == nil || errors.Is(err, dbdrivers.ErrBarred)
}

// remember keeps a text out of every error of this attempt.
func (a *attempt) remember(secret string) {
	// Shorter ones would blot out words of the error, and protect nothing.
	if len(secret) < 4 {
		return
	}
	escapedHTML, _ := json.Marshal(secret)
	quoted := strconv.Quote(secret)
	for _, form := range []string{
		secret,
		string(escapedHTML[1 : len(escapedHTML)-1]),
		quoted[1 : len(quoted)-1],
		strings.ReplaceAll(secret, "'", "''"),
		strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(secret),
		url.QueryEscape(secret),
		url.PathEscape(secret),
		url.UserPassword("", secret).String()[1:],
	} {
		if !slices.Contains(a.secrets, form) {
			a.secrets = append(a.secrets, form)
		}
	}
}

// scrubber replaces what was remembered. Drivers and clients keep secrets out
// of their errors; this is for the one that does not.
func (a *attempt) scrubber() func(string) string {
	// The longest first: where one begins as another does, the shorter one
	// would leave the other's rest.
	secrets := slices.SortedFunc(slices.Values(a.secrets), func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	pairs := make([]string, 0, 2*len(secrets))
	for _, secret := range secrets {
		pairs = append(pairs, secret, redacted)
	}
	return strings.NewReplacer(pairs...).Replace
}
