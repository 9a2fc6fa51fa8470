package mywire

import (
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// syntaxErrors quote a part of the statement, cut off anywhere, and so maybe a
// part of a password.
var syntaxErrors = []uint16{1064, 1149}

// scrub returns a copy of err without secrets. A server has no reason to
// repeat one, but its messages, and those of plugins in it, are other people's
// code.
func scrub(err *mysql.MySQLError, secrets []string) *mysql.MySQLError {
	clean := *err
	if slices.Contains(syntaxErrors, err.Number) {
		clean.Message = "the server does not understand the statement"
		return &clean
	}
	// The longest first: one that another begins with would leave its rest.
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, secret := range secrets {
		if secret != "" {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	clean.Message = strings.NewReplacer(pairs...).Replace(err.Message)
	return &clean
}
