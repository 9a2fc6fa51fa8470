package rotator

import (
	"fmt"
	"time"
)

// Result is what a step that succeeded did. It is the function's response;
// Secrets Manager does not read it, whoever invokes the function by hand does.
type Result struct {
	Step Step `json:"step"`
	// Outcome is the same word as in the log's record.
	Outcome string `json:"outcome"`
	// FormerOpensUntil says when the credential that this rotation replaces
	// ceases to open the database, where it still does: by the strategies
	// alternating and dual-password it is the next rotation that ends it.
	//
	// setSecret tells it of a credential that it has seen open. finishSecret
	// reads no document: where the strategy is left to the secrets, its text
	// says for which strategies it holds.
	FormerOpensUntil string `json:"formerOpensUntil,omitempty"`
	// NextRotation is by when the next scheduled rotation begins, as
	// finishSecret found it; zero where none is scheduled. A rotation by hand
	// may come earlier.
	NextRotation time.Time `json:"nextRotation,omitzero"`
}

// attributes are the result's own in the log's record.
func (r Result) attributes() []any {
	var attributes []any
	if r.FormerOpensUntil != "" {
		attributes = append(attributes, "formerOpensUntil", r.FormerOpensUntil)
	}
	if !r.NextRotation.IsZero() {
		attributes = append(attributes, "nextRotation", r.NextRotation)
	}
	return attributes
}

// hasOverlap reports whether a rotation by the strategy leaves the credential
// that it replaces open.
func (s Strategy) hasOverlap() bool { return s == Alternating || s == DualPassword }

// theNextRotation is when an overlap ends.
const theNextRotation = "the next rotation"

// overlaps records until when the credential before this rotation opens, given
// the secret as finishSecret found it.
func (a *attempt) overlaps(description Description) {
	// After failures the date lies in the past.
	if description.RotationEnabled && description.NextRotation.After(time.Now()) {
		a.result.NextRotation = description.NextRotation.UTC()
	}
	until := theNextRotation
	if next := a.result.NextRotation; !next.IsZero() {
		until += ", due by " + next.Format(time.RFC3339)
	}
	switch chosen := a.config.Strategy; {
	case chosen == "":
		a.result.FormerOpensUntil = fmt.Sprintf("%s, where the strategy is %s or %s", until, Alternating, DualPassword)
	case chosen.hasOverlap():
		a.result.FormerOpensUntil = until
	}
}
