package rotator

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// PasswordPolicy says how new passwords are made. A nil member is not decided
// here: the secret's policy comes before the function's, and that before the
// engine's defaults. The members are those of GetRandomPassword.
//
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html
type PasswordPolicy struct {
	Length                  *int
	ExcludeCharacters       *string
	ExcludeNumbers          *bool
	ExcludePunctuation      *bool
	ExcludeUppercase        *bool
	ExcludeLowercase        *bool
	RequireEachIncludedType *bool
}

const (
	defaultPasswordLength = 32
	leastPasswordLength   = 8
	// Secrets Manager's own limit for GetRandomPassword.
	greatestPasswordLength = 4096

	lowercase   = "abcdefghijklmnopqrstuvwxyz"
	uppercase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	numbers     = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

// before returns the policy whose undecided members are decided by next.
func (p PasswordPolicy) before(next PasswordPolicy) PasswordPolicy {
	return PasswordPolicy{
		Length:                  firstOf(p.Length, next.Length),
		ExcludeCharacters:       firstOf(p.ExcludeCharacters, next.ExcludeCharacters),
		ExcludeNumbers:          firstOf(p.ExcludeNumbers, next.ExcludeNumbers),
		ExcludePunctuation:      firstOf(p.ExcludePunctuation, next.ExcludePunctuation),
		ExcludeUppercase:        firstOf(p.ExcludeUppercase, next.ExcludeUppercase),
		ExcludeLowercase:        firstOf(p.ExcludeLowercase, next.ExcludeLowercase),
		RequireEachIncludedType: firstOf(p.RequireEachIncludedType, next.RequireEachIncludedType),
	}
}

func firstOf[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// recipe is a policy decided for one engine.
type recipe struct {
	length   int
	alphabet string
	required []string // one character of each must occur
}

// decide makes the recipe, or lists why no password can be made by it.
func (p PasswordPolicy) decide(traits dbdrivers.PasswordTraits) (recipe, []string) {
	var faults []string
	made := recipe{length: valueOr(p.Length, defaultPasswordLength)}

	least, greatest := max(leastPasswordLength, traits.MinLength), greatestPasswordLength
	if traits.MaxLength > 0 {
		greatest = traits.MaxLength
	}
	if p.Length == nil {
		made.length = min(max(made.length, least), greatest)
	}
	if made.length < least || made.length > greatest {
		faults = append(faults, fmt.Sprintf("the password length is %d; this engine's passwords have %d to %d characters", made.length, least, greatest))
	}

	excluded := valueOr(p.ExcludeCharacters, traits.ExcludedByDefault) + traits.Forbidden
	requireEach := valueOr(p.RequireEachIncludedType, true)
	for _, kind := range []struct {
		name, characters string
		left             bool // left out by the policy
		needed           bool // demanded by the engine
	}{
		{"lower-case letters", lowercase, valueOr(p.ExcludeLowercase, false), traits.NeedsLower},
		{"upper-case letters", uppercase, valueOr(p.ExcludeUppercase, false), traits.NeedsUpper},
		{"numbers", numbers, valueOr(p.ExcludeNumbers, false), traits.NeedsDigit},
		{"punctuation", punctuation, valueOr(p.ExcludePunctuation, false), false},
	} {
		usable := without(kind.characters, excluded)
		switch {
		case kind.left && kind.needed:
			faults = append(faults, fmt.Sprintf("%s are excluded, but this engine demands one", kind.name))
		case kind.left:
		case usable == "" && (kind.needed || requireEach):
			faults = append(faults, fmt.Sprintf("every one of the %s is excluded; exclude the kind itself, or fewer characters", kind.name))
		default:
			made.alphabet += usable
			if kind.needed || requireEach {
				made.required = append(made.required, usable)
			}
		}
	}
	if len(made.alphabet) < 10 && len(faults) == 0 {
		faults = append(faults, fmt.Sprintf("only %d characters are left to make passwords of; exclude fewer", len(made.alphabet)))
	}
	return made, faults
}

func without(characters, excluded string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(excluded, r) {
			return -1
		}
		return r
	}, characters)
}

// generate makes a password. Every password that satisfies the recipe is
// equally likely: whole candidates are drawn until one does. The narrowest
// recipe, eight characters that must hold three certain ones and one of a
// fourth kind, accepts about one candidate in 160, so the loop is short.
func (r recipe) generate() (dbdrivers.Password, error) {
	size := big.NewInt(int64(len(r.alphabet)))
	candidate := make([]byte, r.length)
	for {
		for i := range candidate {
			n, err := rand.Int(rand.Reader, size)
			if err != nil {
				return dbdrivers.Password{}, fmt.Errorf("reading random numbers: %w", err)
			}
			candidate[i] = r.alphabet[n.Int64()]
		}
		if text := string(candidate); r.accepts(text) {
			return dbdrivers.NewPassword(text), nil
		}
	}
}

func (r recipe) accepts(text string) bool {
	for _, kind := range r.required {
		if !strings.ContainsAny(text, kind) {
			return false
		}
	}
	return true
}
