package rotator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// twinSuffix is how AWS's functions name the other account.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets_strategies.html
const twinSuffix = "_clone"

// TwinPair are the two accounts of the alternating strategy.
type TwinPair struct {
	// Canonical owns and is granted to. Twin is made equal to it.
	Canonical, Twin string
}

// pair returns the two accounts that a secret's rotations take turns between:
// those it names, or NAME and NAME_clone.
func (d *document) pair() TwinPair {
	if twins := d.settings.Twins; len(twins) == 2 {
		return TwinPair{Canonical: twins[0], Twin: twins[1]}
	}
	canonical := strings.TrimSuffix(d.username, twinSuffix)
	return TwinPair{Canonical: canonical, Twin: canonical + twinSuffix}
}

// other returns whose turn it is after username.
func (p TwinPair) other(username string) string {
	if username == p.Canonical {
		return p.Twin
	}
	return p.Canonical
}

func (p TwinPair) has(username string) bool {
	return username == p.Canonical || username == p.Twin
}

func (p TwinPair) reversed() TwinPair {
	return TwinPair{Canonical: p.Twin, Twin: p.Canonical}
}

// String is the pair as TWINS lists it.
func (p TwinPair) String() string { return p.Canonical + ":" + p.Twin }

// isPair reports the operator's word that the two are a pair.
func (c Config) isPair(p TwinPair) bool { return slices.Contains(c.Twins, p) }

// pairFaults lists what is wrong with the operator's pairs and owner roles.
func (c Config) pairFaults() []error {
	var faults []error
	for i, p := range c.Twins {
		switch {
		case p.Canonical == "" || p.Twin == "":
			faults = append(faults, fmt.Errorf("the pair of twins %q lacks a name", p))
		case p.Canonical == p.Twin:
			faults = append(faults, fmt.Errorf("the pair of twins %q names one account twice", p))
		case slices.Contains(c.Twins[:i], p.reversed()):
			faults = append(faults, fmt.Errorf("the pair of twins %q is listed in both orders; the first is the canonical one", p))
		}
	}
	if slices.Contains(c.OwnerRoles, "") {
		faults = append(faults, errors.New("an owner role has no name"))
	}
	return faults
}

// twinFaults lists what keeps a document from alternating.
func (r *Rotator) twinFaults(d *document, driver dbdrivers.Driver) []Fault {
	var faults []Fault
	if d.adminARN == "" {
		faults = append(faults, Fault{fieldAdmin, "is missing; the strategy alternating needs the secret of an admin who keeps the two accounts equal"})
	}
	traits := driver.Traits()
	if d.settings.Twins != nil {
		faults = append(faults, r.namedTwinFaults(d, traits)...)
	} else {
		names := d.pair()
		if names.Canonical == "" {
			faults = append(faults, Fault{fieldUsername, "is nothing but " + twinSuffix})
		}
		if problem := overlong(names.Twin, traits); problem != "" {
			faults = append(faults, Fault{fieldUsername, fmt.Sprintf("leaves no room for its twin: %q %s", names.Twin, problem)})
		}
	}
	if d.settings.OwnerRole != "" {
		faults = append(faults, r.ownerRoleFaults(d, traits)...)
	}
	return faults
}

// namedTwinFaults lists what is wrong with the twins that a document names.
// They count only where the operator listed the pair: whoever writes a secret
// must not choose whose password the admin sets.
func (r *Rotator) namedTwinFaults(d *document, traits dbdrivers.Traits) []Fault {
	twins := d.settings.Twins
	var faults []Fault
	fault := func(format string, args ...any) {
		faults = append(faults, Fault{fieldOurs, fmt.Sprintf(format, args...)})
	}
	if len(twins) != 2 {
		fault("has %s; there are exactly two, the canonical account first", plural(len(twins), "twin"))
		return faults
	}
	names := d.pair()
	switch {
	case slices.Contains(twins, ""):
		fault("has a twin without a name")
		return faults
	case names.Canonical == names.Twin:
		fault("has one account, %q, as both twins", names.Twin)
		return faults
	}
	for _, name := range twins {
		if problem := nameProblem(name, traits); problem != "" {
			fault("has the twin %q, which %s", name, problem)
		}
	}
	if d.username != "" && !names.has(d.username) {
		faults = append(faults, Fault{fieldUsername, fmt.Sprintf("is neither of the twins %q and %q", names.Canonical, names.Twin)})
	}
	switch {
	case r.config.isPair(names):
	case r.config.isPair(names.reversed()):
		fault("has the twins in the wrong order: the canonical account comes first, and the function's TWINS lists %q", names.reversed())
	default:
		fault("has the twins %q and %q, which the function's TWINS does not list; %s", names.Canonical, names.Twin, names.howToList())
	}
	return faults
}

// howToList says what an operator puts into TWINS. A name that holds one of
// its separators would list other accounts than the one it names.
func (p TwinPair) howToList() string {
	if strings.ContainsAny(p.Canonical+p.Twin, ",:") {
		return "names with a comma or a colon cannot be listed there"
	}
	return fmt.Sprintf("if they are a pair, add %q to it", p)
}

// ownerRoleFaults lists what is wrong with the owner role that a document
// names. It counts only where the operator listed it: both accounts are let
// act as this role.
func (r *Rotator) ownerRoleFaults(d *document, traits dbdrivers.Traits) []Fault {
	role := d.settings.OwnerRole
	var faults []Fault
	fault := func(format string, args ...any) {
		faults = append(faults, Fault{fieldOurs, fmt.Sprintf(format, args...)})
	}
	if !traits.OwnerRole {
		fault("has an ownerRole, which %s does not know: the twin acts as the canonical account", traits.Engine)
	}
	if d.pair().has(role) {
		fault("has the ownerRole %q, which is one of the two accounts; without an ownerRole the canonical account owns", role)
	}
	if problem := nameProblem(role, traits); problem != "" {
		fault("has the ownerRole %q, which %s", role, problem)
	}
	switch {
	case slices.Contains(r.config.OwnerRoles, role):
	case strings.Contains(role, ","):
		fault("has the ownerRole %q, which the function's OWNER_ROLES does not list; a name with a comma cannot be listed there", role)
	default:
		fault("has the ownerRole %q, which the function's OWNER_ROLES does not list; if both accounts may act as this role, add it", role)
	}
	return faults
}

// nameProblem says why a name could not be an account's or a role's.
func nameProblem(name string, traits dbdrivers.Traits) string {
	if strings.ContainsRune(name, 0) {
		return "holds a zero byte, which no database accepts"
	}
	return overlong(name, traits)
}

// overlong says by how much an engine would cut a name.
func overlong(name string, traits dbdrivers.Traits) string {
	limit := traits.Username
	length, unit := utf8.RuneCountInString(name), "characters"
	if limit.Bytes {
		length, unit = len(name), "bytes"
	}
	if limit.Max > 0 && length > limit.Max {
		return fmt.Sprintf("has %d %s; %s keeps %d", length, unit, traits.Engine, limit.Max)
	}
	return ""
}
