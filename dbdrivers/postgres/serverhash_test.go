package postgres_test

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
)

// preparations are passwords that the server brings into another form before
// it hashes them, or leaves as they are for a reason of its own.
var preparations = map[string]string{
	"ASCII":                                 "correct horse battery staple",
	"all of printable ASCII":                "!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~",
	"a precomposed letter":                  "caf\u00e9",
	"a letter and a combining accent":       "cafe\u0301",
	"a ligature":                            "\ufb01nal",
	"a full-width letter":                   "\uff21bc",
	"a no-break space":                      "a\u00a0b",
	"an ideographic space":                  "a\u3000b",
	"a soft hyphen":                         "soft\u00adhyphen",
	"a zero-width space, which is a space":  "a\u200bb",
	"a zero-width joiner, which is nothing": "a\u200db",
	"nothing but what maps to nothing":      "\u00ad",
	"an emoji, unassigned in Unicode 3.2":   "key \U0001f511 caf\u00e9\u00a0",
	"a control character":                   "bell\a caf\u00e9",
	"a newline":                             "two\nlines",
	"a private-use character":               "\ue000 e\u0301",
	"right to left":                         "\u05d0\u05d1\u05d2",
	"right to left with a digit at the end": "\u05d01",
	"both directions":                       "a\u05d0",
	bothDirectionsInParts:                   "a\u05d0 e\u0301",
	"Hangul in parts":                       "\u1112\u1161\u11ab",
	"a superscript":                         "x\u00b2",
	"a fraction":                            "\u00bd",
	"Cyrillic and Greek":                    "\u043f\u0430\u0440\u043e\u043b\u044c \u03ba\u03c9\u03b4\u03b9\u03ba\u03cc\u03c2",
	"Chinese":                               "\u5bc6\u7801",
	"what looks like a verifier":            "SCRAM-SHA-256$4096:notbase64",
}

// bothDirectionsInParts is a password that the client library signs in with in
// another form than the server's, so that it is refused: SASLprep prohibits
// it, which to the server means as it is, and the library composes its letter.
const bothDirectionsInParts = "both directions, and a letter in parts"

// TestServerComputesTheSame has the server hash each password itself, and
// computes the same with the server's salt, byte for byte.
func TestServerComputesTheSame(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		const name = "hashed \u00fcser"
		s.user(t, name, "any-password")
		for what, password := range preparations {
			literal := "'" + strings.ReplaceAll(password, "'", "''") + "'"
			s.exec(t, "SET password_encryption = 'scram-sha-256'; ALTER ROLE "+quoted(name)+" PASSWORD "+literal)
			kept := s.kept(t, name)
			salt, iterations := parameters(t, kept)
			if got, err := postgres.SCRAMVerifier(password, salt, iterations); err != nil || got != kept {
				t.Errorf("%s: %s, %v; the server keeps %s", what, got, err, kept)
			}

			s.exec(t, "SET password_encryption = 'md5'; ALTER ROLE "+quoted(name)+" PASSWORD "+literal)
			if got, kept := postgres.MD5Verifier(name, password), s.kept(t, name); got != kept {
				t.Errorf("%s: %s; the server keeps %s", what, got, kept)
			}
		}
	})
}

// parameters takes SCRAM-SHA-256$<iterations>:<salt>$<keys> apart.
func parameters(t *testing.T, verifier string) (salt []byte, iterations int) {
	t.Helper()
	rest, ok := strings.CutPrefix(verifier, "SCRAM-SHA-256$")
	head, _, split := strings.Cut(rest, "$")
	count, encoded, both := strings.Cut(head, ":")
	if !ok || !split || !both {
		t.Fatalf("%q is no SCRAM verifier", verifier)
	}
	salt, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if iterations, err = strconv.Atoi(count); err != nil {
		t.Fatal(err)
	}
	return salt, iterations
}

// TestPreparedPasswordsOpen sets each password and signs in with it: the
// library's own preparation is another than the server's.
func TestPreparedPasswordsOpen(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "prepared", "any-password")
		for what, password := range preparations {
			if err := setOwn(t, login, password); err != nil {
				t.Fatalf("%s: SetPassword: %v", what, err)
			}
			if what == bothDirectionsInParts {
				check(t, verify(t, withPassword(login, password)), dbdrivers.ErrRefused, "")
				err := set(t, dbdrivers.SetPasswordRequest{As: s.Admin, Account: "prepared", Password: login.Password})
				if err != nil {
					t.Fatal(err)
				}
				continue
			}
			login = withPassword(login, password)
			if err := verify(t, login); err != nil {
				t.Fatalf("%s: Verify: %v", what, err)
			}
		}
	})
}
