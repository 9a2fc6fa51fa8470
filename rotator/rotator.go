// Package rotator is the state machine behind a rotation: what the four steps
// createSecret, setSecret, testSecret and finishSecret do, and in which order,
// so that at no moment an application is locked out.
//
// It knows no engine, no SQL and no HTTP. Databases are reached through
// dbdrivers.Driver, Secrets Manager through [SecretStore].
//
// # What it rests on
//
// Labels and the database are the only memory. A step may run in any sandbox,
// twice, or twice at once; whatever was done already is found out by asking.
//
// The pending version is a write-ahead log: a password reaches a database only
// after Secrets Manager holds it under this rotation's token, and the label
// AWSPENDING stays on it as long as any server may hold that password. A
// rotation that failed half-way goes forward when it is delivered again;
// nothing is rolled back. The one exception is a password that the server's
// own rules refuse: where current still opens the database and pending does
// not, the label is taken off, so that the next rotation makes another
// password instead of repeating this one for ever.
//
// Unreachable is not refused. Only a server's refusal at sign-in lets a step
// try the next credential, and the usual path makes no failed sign-in.
package rotator

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Config is what a Rotator needs. SecretStore and Drivers are required, the
// zero value of everything else is a safe default.
type Config struct {
	Secrets SecretStore
	// Drivers are the drivers by the "engine" a secret names, aliases included.
	Drivers map[string]dbdrivers.Driver
	// Log takes one record per step, and warnings. Default: none.
	Log *slog.Logger
	// Password is the function's policy; a secret may have its own.
	Password PasswordPolicy
	// Strategy overrides what the secrets say. Default: they decide.
	Strategy Strategy
	// CreateTwins lets the alternating strategy create the second account.
	CreateTwins bool
	// Twins are accounts that are pairs by the operator's word. A secret may
	// name its own two accounts only where they are listed here; and a listed
	// pair, NAME and NAME_clone too, needs no other proof. An account may
	// stand in several pairs: the function serves more servers than one.
	Twins []TwinPair
	// OwnerRoles are the roles that secrets may name as the one their two
	// accounts act as. Default: none.
	OwnerRoles []string
	// Adopt lets the alternating strategy hand what a twin owns to the role
	// that the two accounts share.
	Adopt bool
	// AdminMayReset lets an admin set an account's password although no
	// labelled credential opens the database any more. It is the operator's
	// word, for one repair; a secret cannot say it.
	AdminMayReset bool
	// AdminHosts are hosts that a secret may name although its admin's secret
	// names another: aliases (CNAMEs) of a server the admin administers.
	AdminHosts []string
	// Topology asks the database services what a secret does not say. Default:
	// nobody is asked; an admin's secret must name its server then, and hosts
	// must be equal or among AdminHosts.
	Topology Topology
	// Roots are trusted for the databases' certificates. Default: the system's
	// and those of Amazon RDS.
	Roots *x509.CertPool
	// WaitForReplicas is how long finishSecret waits for the secret's replicas
	// in other Regions. Default: it only reports them.
	WaitForReplicas time.Duration
}

// Rotator runs the steps. It is immutable and holds no state between them: it
// may be used by several goroutines at once.
type Rotator struct {
	config Config
}

// New checks the configuration, and names everything that is wrong with it.
func New(config Config) (*Rotator, error) {
	var faults []error
	if config.Secrets == nil {
		faults = append(faults, errors.New("there is no SecretStore"))
	}
	if len(config.Drivers) == 0 {
		faults = append(faults, errors.New("there are no drivers"))
	}
	if config.Strategy != "" {
		if _, err := ParseStrategy(string(config.Strategy)); err != nil {
			faults = append(faults, err)
		}
	}
	if config.WaitForReplicas < 0 {
		faults = append(faults, errors.New("the wait for replicas is negative"))
	}
	for _, host := range config.AdminHosts {
		if problem := hostProblem(host); problem != "" {
			faults = append(faults, fmt.Errorf("the admin host %q %s", host, problem))
		}
	}
	faults = append(faults, config.pairFaults()...)
	// The engine's limits are not known yet; what no engine could satisfy is.
	if _, problems := config.Password.decide(dbdrivers.PasswordTraits{}); len(problems) > 0 {
		faults = append(faults, errors.New(strings.Join(problems, "; ")))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("configuring the rotation: %w", errors.Join(faults...))
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Rotator{config: config}, nil
}

// Handle runs one step, and says what it did. A nil error means that the step's outcome stands,
// whether this call brought it about or an earlier one did. Any other is a
// *[StepError].
//
// The context's deadline is the function's: Handle ends before it, so that
// what did not answer is named in an error instead of being cut off.
func (r *Rotator) Handle(ctx context.Context, event Event) (Result, error) {
	started := time.Now()
	a := &attempt{
		Rotator: r,
		event:   event,
		log:     r.config.Log.With("step", string(event.Step), "secret", event.SecretID, "version", event.ClientRequestToken),
	}
	a.remember(event.RotationToken.Reveal())
	ctx, cancel := beforeDeadline(ctx)
	defer cancel()

	err := a.run(ctx)
	if err != nil {
		a.outcome = "failed"
	}
	report := []any{
		"engine", a.engine, "strategy", string(a.strategyName), "outcome", a.outcome,
		"milliseconds", float64(time.Since(started).Microseconds()) / 1000,
		"secretsManagerCalls", a.calls, "signIns", a.signIns, "refusedSignIns", a.refusals,
	}
	if err == nil {
		a.result.Step, a.result.Outcome = event.Step, a.outcome
		a.log.InfoContext(ctx, "step finished", append(report, a.result.attributes()...)...)
		return a.result, nil
	}
	class, remedy := classOf(err)
	stepError := &StepError{
		Step: event.Step, SecretARN: event.SecretID, Engine: a.engine,
		Class: class, Remedy: remedy, Err: err, scrub: a.scrubber(),
	}
	a.log.ErrorContext(ctx, "step failed", append(report, "class", string(class), "error", stepError.Error())...)
	return Result{}, stepError
}

// run does what the event asks for.
func (a *attempt) run(ctx context.Context) error {
	if faults := a.event.faults(); len(faults) > 0 {
		return fail(ClassInvalidEvent, "Secrets Manager alone is meant to call this function.",
			"the event is not a rotation's: %s", strings.Join(faults, "; "))
	}
	switch a.event.Step {
	case CreateSecret:
		return a.create(ctx)
	case SetSecret:
		return a.set(ctx)
	case TestSecret:
		return a.test(ctx)
	default:
		return a.finish(ctx)
	}
}
