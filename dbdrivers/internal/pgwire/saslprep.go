package pgwire

import (
	"github.com/xdg-go/stringprep"
)

// saslprep is RFC 4013's profile with its two mappings in PostgreSQL's order:
// U+200B is in both tables, and the server makes it a space, not nothing.
var saslprep = func() stringprep.Profile {
	profile := stringprep.SASLprep
	profile.Mappings = []stringprep.Mapping{profile.Mappings[1], profile.Mappings[0]}
	return profile
}()

// Prepare brings a password into the form that SCRAM computes with, as the
// server does it: by SASLprep where that is possible, and byte for byte as it
// is where it is not (not UTF-8, a prohibited or unassigned character, mixed
// directions, nothing left). Of the last, pgx still changes one that mixes
// directions and has letters in parts; nobody signs in with that by pgx.
//
// https://www.postgresql.org/docs/current/sasl-authentication.html
func Prepare(password string) string {
	prepared, err := saslprep.Prepare(password)
	if err != nil || prepared == "" {
		return password
	}
	return prepared
}
