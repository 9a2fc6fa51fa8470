package redshift

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// literal quotes text. Backslashes escape in Redshift's literals, so they are
// doubled as quotes are. Redshift does not report standard_conforming_strings,
// without which the client library refuses to quote.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_QUOTE_LITERAL.html
func literal(text string) (string, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return "", fmt.Errorf("%w: it shows a text with a zero byte, which cannot be quoted", errAnswer)
	}
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("%w: it shows a text that is no UTF-8, which cannot be quoted", errAnswer)
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'", nil
}

// identifier quotes a name as it is in a catalogue. A quoted user name keeps
// its case always, other names where enable_case_sensitive_identifier is on.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
func identifier(names ...string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return strings.Join(quoted, ".")
}

// folds reports whether a name that is quoted would be taken for another, in
// lower case.
func folds(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return 'A' <= r && r <= 'Z' })
}
