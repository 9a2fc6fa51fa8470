package dbdrivers

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Password is a password that does not print. Every way by which a value
// usually ends in a log or a document (fmt with any verb, log/slog, encoding/json)
// shows a placeholder; only [Password.Reveal] gives the text.
//
// The text is behind a pointer because package fmt calls no method where a
// verb is wrong ("%w") or a field is unexported: it then shows an address.
// Compare with [Password.Equal], not with ==.
type Password struct{ text *string }

const redacted = "[redacted]"

// NewPassword wraps text.
func NewPassword(text string) Password { return Password{text: &text} }

// Reveal returns the text. Two kinds of callers have a reason to: a driver
// that hands it to the client library, and the encoding of a secret.
func (p Password) Reveal() string {
	if p.text == nil {
		return ""
	}
	return *p.text
}

// IsEmpty reports whether there is no text.
func (p Password) IsEmpty() bool { return p.Reveal() == "" }

// Equal compares two passwords in constant time.
func (p Password) Equal(q Password) bool {
	return subtle.ConstantTimeCompare([]byte(p.Reveal()), []byte(q.Reveal())) == 1
}

// String returns a placeholder.
func (p Password) String() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (p Password) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns a placeholder.
func (p Password) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a placeholder, for encoding/json and its like.
func (p Password) MarshalText() ([]byte, error) { return []byte(redacted), nil }
