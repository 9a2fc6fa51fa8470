package redshift

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

const (
	minPassword = 8
	maxPassword = 64
	// refused is what the manual excludes of ASCII, and what no ASCII password of
	// printable characters has.
	refused = `'"\/@` + " \x7f" +
		"\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
	// forbidden is what a new password is made without: ; as well, which Redshift
	// takes, and which ends an option in the connection strings of its JDBC and
	// ODBC drivers. A password that AWS's own function has made may have it.
	forbidden = refused + ";"
)

// checkPassword holds the rules that the server cannot, as it sees a hash.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
func checkPassword(password dbdrivers.Password) error {
	text := password.Reveal()
	var upper, lower, digit bool
	for _, r := range text {
		switch {
		case r <= ' ' || r > '~':
			return errors.New("it has a character that is no printable ASCII (33 to 126), or a blank")
		case strings.ContainsRune(refused, r):
			return errors.New(`it has one of the characters ' " \ / @ which Redshift does not accept`)
		}
		upper = upper || 'A' <= r && r <= 'Z'
		lower = lower || 'a' <= r && r <= 'z'
		digit = digit || '0' <= r && r <= '9'
	}
	switch {
	case text == "":
		return errors.New("it is empty")
	case len(text) < minPassword || len(text) > maxPassword:
		return fmt.Errorf("it is not of %d to %d characters", minPassword, maxPassword)
	case !upper || !lower || !digit:
		return errors.New("it lacks an upper-case letter, a lower-case letter or a digit")
	}
	return nil
}

// checkHash refuses what a rotation cannot have: the account's next sign-in
// must be possible to every client, and sha256 is to few.
func checkHash(hash string) error {
	if hash != "" && hash != hashMD5 {
		return fmt.Errorf("no hash %q; %q alone can be had", hash, hashMD5)
	}
	return nil
}

// checkTarget refuses accounts by their name alone. The secret that names the
// account is less trusted than the admin's, so an admin's power ends here.
func checkTarget(as dbdrivers.Login, account string) error {
	switch {
	case account == "" || strings.IndexByte(account, 0) >= 0:
		return errors.New("that is no name of an account")
	case len(account) > maxName:
		return fmt.Errorf("the name is longer than %d bytes; no account has such a name", maxName)
	case as.Username == account:
		return nil
	case reserved(account):
		return errors.New("that name is reserved by Redshift, or is one that AWS signs in by IAM; an admin's login never changes it")
	}
	return nil
}

// reserved knows the account that Redshift works with, PUBLIC, and the accounts
// that GetClusterCredentials makes for identities of IAM.
//
// https://docs.aws.amazon.com/redshift/latest/mgmt/generating-iam-credentials-overview.html
func reserved(name string) bool {
	return name == "rdsdb" || strings.EqualFold(name, "public") ||
		strings.HasPrefix(name, "IAM:") || strings.HasPrefix(name, "IAMR:")
}
