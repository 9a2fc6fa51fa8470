package redshift

import (
	"crypto/md5" //nolint:gosec // the server's form, not a choice
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

const hashMD5 = "md5"

// kept is what the server keeps in place of a password when it is given the
// password as it is: salted with the name.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
func kept(username, password string) string {
	sum := md5.Sum([]byte(password + username)) //nolint:gosec // the server's form, not a choice
	return hashMD5 + hex.EncodeToString(sum[:])
}

// stored is pg_shadow.passwd, as far as it is shown.
type stored string

// isSHA256 reports whether the password is kept as sha256.
func (s stored) isSHA256() bool { return strings.HasPrefix(string(s), "sha256") }

// shown reports whether the server shows what it keeps. A disabled password is
// shown as none.
func (s stored) shown() bool { return s == "" || s.isSHA256() || s.isMD5() }

func (s stored) isMD5() bool {
	digits, found := strings.CutPrefix(string(s), hashMD5)
	_, err := hex.DecodeString(digits)
	return found && err == nil && len(digits) == 2*md5.Size
}

// is reports whether this is kept of password, and whether that can be told.
func (s stored) is(username, password string) (same, known bool) {
	switch {
	case s == "":
		return false, true
	case s.isMD5():
		return equal(string(s), kept(username, password)), true
	}
	parts := strings.Split(string(s), "|")
	if len(parts) != 3 || parts[0] != "sha256" {
		return false, false
	}
	salt, err := hex.DecodeString(parts[2])
	if err != nil || len(parts[1]) != 2*sha256.Size {
		return false, false
	}
	sum := sha256.Sum256(append([]byte(password), salt...))
	return equal(parts[1], hex.EncodeToString(sum[:])), true
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
