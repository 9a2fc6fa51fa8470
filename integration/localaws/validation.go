package localaws

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The quotas and constraints of
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
// and of the API reference.
const (
	maxSecretID    = 2048
	maxName        = 512
	maxDescription = 2048
	maxValueBytes  = 65536
	maxLabel       = 256
	maxLabels      = 20
	minToken       = 32
	maxToken       = 64
	maxTags        = 50
	maxTagKey      = 128
	maxTagValue    = 256
)

var (
	namePattern          = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)
	rotationTokenPattern = regexp.MustCompile(`^[a-zA-Z0-9-]+$`)
	durationChars        = regexp.MustCompile(`^[0-9h]+$`)
	expressionChars      = regexp.MustCompile(`^[0-9A-Za-z()#?*\-/, ]+$`)
)

const (
	invalidName = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
	noToken     = "You must provide a ClientRequestToken value. We recommend a UUID-type value."
)

// A validation gathers what is wrong with the members of a request, so that one
// answer names all of it. It never repeats a member's value.
type validation []string

func (v *validation) violated(member, constraint string) {
	*v = append(*v, fmt.Sprintf("Value at '%s' failed to satisfy constraint: %s", member, constraint))
}

// required demands a member.
func (v *validation) required(member string, value *string) {
	if value == nil {
		*v = append(*v, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", member))
	}
}

// length demands a length in characters, of a member that is there.
func (v *validation) length(member string, value *string, least, most int) {
	if value != nil {
		v.measure(member, utf8.RuneCountInString(*value), least, most)
	}
}

func (v *validation) measure(member string, n, least, most int) {
	if n < least {
		v.violated(member, fmt.Sprintf("Member must have length greater than or equal to %d", least))
	}
	if n > most {
		v.violated(member, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
}

// upTo demands a number from 1 to most, of a member that is there.
func (v *validation) upTo(member string, value *int64, most int64) {
	if value == nil {
		return
	}
	if *value < 1 {
		v.violated(member, "Member must have value greater than or equal to 1")
	}
	if *value > most {
		v.violated(member, fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
}

// pattern demands a form, of a member that is there.
func (v *validation) pattern(member string, value *string, form *regexp.Regexp) {
	if value != nil && !form.MatchString(*value) {
		v.violated(member, "Member must satisfy regular expression pattern: "+strings.Trim(form.String(), "^$"))
	}
}

// oneOf demands one of some words, of a member that is there.
func (v *validation) oneOf(member, value string, words ...string) {
	if value == "" {
		return
	}
	for _, word := range words {
		if value == word {
			return
		}
	}
	v.violated(member, "Member must satisfy enum value set: ["+strings.Join(words, ", ")+"]")
}

// err returns everything that was wrong, or nil.
func (v validation) err() error {
	switch len(v) {
	case 0:
		return nil
	case 1:
		return refuse(codeValidation, "1 validation error detected: "+v[0])
	default:
		return refuse(codeValidation, fmt.Sprintf("%d validation errors detected: %s", len(v), strings.Join(v, "; ")))
	}
}

// checkSecretID demands the SecretId of a request: a name or an ARN.
func checkSecretID(v *validation, id *string) error {
	v.required("secretId", id)
	v.length("secretId", id, 1, maxSecretID)
	if err := v.err(); err != nil {
		return err
	}
	if !strings.HasPrefix(*id, "arn:") && !namePattern.MatchString(*id) {
		return refuse(codeValidation, invalidName)
	}
	return nil
}

// checkToken demands a ClientRequestToken. The code for a missing one differs
// by operation.
func checkToken(v *validation, token *string, missing string) error {
	if token == nil || *token == "" {
		return refuse(missing, noToken)
	}
	v.length("clientRequestToken", token, minToken, maxToken)
	return nil
}

func checkLabels(v *validation, member string, labels []string) {
	if labels == nil {
		return
	}
	v.measure(member, len(labels), 1, maxLabels)
	for _, label := range labels {
		v.length(member, &label, 1, maxLabel)
	}
}
