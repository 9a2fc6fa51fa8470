package rotator

import (
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Strategy says whose password a rotation changes, and who changes it.
type Strategy string

// The strategies. A secret names one in its own key, or the function's
// STRATEGY does; otherwise a secret with a masterarn alternates and one
// without is single, which is what AWS's two functions would do with it.
const (
	// Single: one account. It changes its own password, or the admin of
	// masterarn does.
	Single Strategy = "single"
	// Alternating: two accounts take turns.
	Alternating Strategy = "alternating"
	// DualPassword: one account with two passwords at once. What was current
	// opens beside pending until the next rotation. The account makes the
	// change itself, or the admin of masterarn does, as with Single.
	DualPassword Strategy = "dual-password"
)

// ParseStrategy returns the strategy of that name.
func ParseStrategy(name string) (Strategy, error) {
	switch s := Strategy(name); s {
	case Single, Alternating, DualPassword:
		return s, nil
	}
	return "", fmt.Errorf("%q is not a strategy; there are %s, %s and %s", name, Single, Alternating, DualPassword)
}

// strategy decides by which strategy a document rotates, and lists what of
// the document contradicts it.
func (r *Rotator) strategy(d *document, driver dbdrivers.Driver) (Strategy, []Fault) {
	engine := driver.Traits().Engine
	var chosen Strategy
	var faults []Fault
	asks := fmt.Sprintf("%q asks for", fieldOurs)
	switch {
	case r.config.Strategy != "":
		chosen, asks = r.config.Strategy, "the function's STRATEGY asks for"
	case d.settings.Strategy != "":
		parsed, err := ParseStrategy(d.settings.Strategy)
		if err != nil {
			return "", []Fault{{fieldOurs, "has the strategy " + err.Error()}}
		}
		chosen = parsed
	case d.adminARN != "":
		chosen, asks = Alternating, fmt.Sprintf("a secret with %q that names no strategy asks for", fieldAdmin)
	default:
		chosen = Single
	}
	switch chosen {
	case Alternating:
		if _, ok := twinOpener(driver); ok {
			return chosen, r.twinFaults(d, driver)
		}
		faults = append(faults, Fault{Problem: fmt.Sprintf("%s the strategy %s, which this version cannot do for %s; "+
			"to change this one account's password set {%q: {\"strategy\": %q}} in the secret, or the function's STRATEGY, which comes first",
			asks, Alternating, engine, fieldOurs, Single)})
	case DualPassword:
		if _, ok := passwordRetainer(driver); !ok {
			faults = append(faults, Fault{Problem: fmt.Sprintf("%s the strategy %s, but %s has no such feature: an account there has one password", asks, DualPassword, engine)})
		} else if d.adminARN == "" && driver.Traits().RetainsByAdminOnly {
			faults = append(faults, Fault{fieldAdmin, fmt.Sprintf("is missing: %s the strategy %s, and in %s only an admin can keep an account's former password; "+
				"give the ARN of an admin's secret", asks, DualPassword, engine)})
		}
		faults = append(faults, d.alternatingOnly()...)
	case Single:
		faults = append(faults, d.alternatingOnly()...)
	}
	return chosen, faults
}

// alternatingOnly lists what a document of another strategy may not have.
func (d *document) alternatingOnly() []Fault {
	var faults []Fault
	if d.settings.OwnerRole != "" {
		faults = append(faults, Fault{fieldOurs, "has an ownerRole, which only the strategy alternating uses"})
	}
	if d.settings.Twins != nil {
		faults = append(faults, Fault{fieldOurs, "has twins, which only the strategy alternating uses"})
	}
	return faults
}
