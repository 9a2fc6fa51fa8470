package rotator

import "fmt"

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
	// DualPassword: one account with two passwords at once.
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
func (r *Rotator) strategy(d *document, engine string) (Strategy, []Fault) {
	var chosen Strategy
	var faults []Fault
	switch {
	case r.config.Strategy != "":
		chosen = r.config.Strategy
	case d.settings.Strategy != "":
		parsed, err := ParseStrategy(d.settings.Strategy)
		if err != nil {
			return "", []Fault{{fieldOurs, "has the strategy " + err.Error()}}
		}
		chosen = parsed
	case d.adminARN != "":
		chosen = Alternating
	default:
		chosen = Single
	}
	switch chosen {
	case Alternating:
		faults = append(faults, Fault{fieldOurs, fmt.Sprintf("needs a strategy: a secret with %q alternates two accounts unless it says otherwise, "+
			"which this version cannot do for %s; set {\"strategy\": %q} to let the admin change this one account's password, "+
			"or the function's STRATEGY", fieldAdmin, engine, Single)})
	case DualPassword:
		faults = append(faults, Fault{fieldOurs, fmt.Sprintf("asks for the strategy %s, but %s has no such feature: an account there has one password", DualPassword, engine)})
	case Single:
		if d.settings.OwnerRole != "" {
			faults = append(faults, Fault{fieldOurs, "has an ownerRole, which only the strategy alternating uses"})
		}
		if len(d.settings.Twins) > 0 {
			faults = append(faults, Fault{fieldOurs, "has twins, which only the strategy alternating uses"})
		}
	}
	return chosen, faults
}
