package rotator

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Class says in one word what kind of failure stopped a step. It is meant for
// filters and alarms; the text of a [StepError] is meant for people.
type Class string

// The classes of a StepError. Those that a driver reports carry the driver's
// meaning, see package dbdrivers.
const (
	ClassInvalidEvent   Class = "invalid-event"   // the event is not one of Secrets Manager's
	ClassInvalidSecret  Class = "invalid-secret"  // a secret's document has faults, all of them listed
	ClassLabel          Class = "label"           // the token's version does not carry the label this step needs
	ClassMismatch       Class = "mismatch"        // pending differs from current where it may not
	ClassForbidden      Class = "forbidden"       // the secret asks for what it may not decide
	ClassSecretsManager Class = "secrets-manager" // Secrets Manager answered with an error, or not at all
	ClassDeadline       Class = "deadline"        // too little of the function's time is left to begin
	ClassNothingOpens   Class = "nothing-opens"   // no labelled credential opens the database
	ClassRefused        Class = "refused"
	ClassBarred         Class = "barred"
	ClassUnreachable    Class = "unreachable"
	ClassTLS            Class = "tls"
	ClassNotWritable    Class = "not-writable"
	ClassBusy           Class = "busy"
	ClassPrivilege      Class = "privilege"
	ClassPasswordRules  Class = "password-rules"
	ClassUnsupported    Class = "unsupported"
	ClassUnknown        Class = "unknown"
)

// StepError is the error of a step. AWS Lambda reports its type's name to
// Secrets Manager and to the function's log.
//
// Its text names the step, the secret's ARN and, where one is known, the
// remedy; it never holds a secret value. Unwrap reaches the cause, and through
// it the driver's class and the client library's own error.
type StepError struct {
	Step      Step
	SecretARN string
	Engine    string // empty where the document could not be read
	Class     Class
	Remedy    string // what to do about it; may be empty
	Err       error

	scrub func(string) string
}

// Error returns the text described at [StepError].
func (e *StepError) Error() string {
	var b strings.Builder
	if e.Step != "" {
		fmt.Fprintf(&b, "%s of ", e.Step)
	}
	b.WriteString(e.SecretARN)
	if e.Engine != "" {
		fmt.Fprintf(&b, " (%s)", e.Engine)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Remedy != "" {
		fmt.Fprintf(&b, ". %s", e.Remedy)
	}
	if e.scrub != nil {
		return e.scrub(b.String())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// failure is what a step's code returns where it knows the class or the
// remedy; Handle makes the StepError of it.
type failure struct {
	class  Class
	remedy string
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(class Class, remedy string, format string, args ...any) error {
	return &failure{class: class, remedy: remedy, err: fmt.Errorf(format, args...)}
}

var driverClasses = []struct {
	driver error
	class  Class
}{
	{dbdrivers.ErrRefused, ClassRefused},
	{dbdrivers.ErrBarred, ClassBarred},
	{dbdrivers.ErrUnreachable, ClassUnreachable},
	{dbdrivers.ErrTLS, ClassTLS},
	{dbdrivers.ErrNotWritable, ClassNotWritable},
	{dbdrivers.ErrBusy, ClassBusy},
	{dbdrivers.ErrPrivilege, ClassPrivilege},
	{dbdrivers.ErrPasswordRules, ClassPasswordRules},
	{dbdrivers.ErrUnsupported, ClassUnsupported},
}

// classOf finds the class and the remedy of an error by looking outside in.
func classOf(err error) (Class, string) {
	var known *failure
	if errors.As(err, &known) {
		return known.class, known.remedy
	}
	var document *DocumentError
	if errors.As(err, &document) {
		return ClassInvalidSecret, ""
	}
	for _, row := range driverClasses {
		if errors.Is(err, row.driver) {
			return row.class, ""
		}
	}
	return ClassUnknown, ""
}
