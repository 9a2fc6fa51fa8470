package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// checkTarget refuses accounts by their name alone. The secret that names the
// account is less trusted than the admin's, so an admin's power ends here.
func (c *change) checkTarget() error {
	switch {
	case c.account == "" || strings.IndexByte(c.account, 0) >= 0 || !utf8.ValidString(c.account):
		return errors.New("that is no name of an account")
	case utf8.RuneCountInString(c.account) > maxName:
		return fmt.Errorf("the name is longer than %d characters, the most that MySQL keeps", maxName)
	case strings.HasSuffix(c.account, " "):
		// A statement would be on the account without them, which may be a
		// reserved one.
		return errors.New("the name ends in a blank, and the server cuts blanks off there; correct \"username\"")
	case c.bySelf():
		return nil
	case reserved(c.account):
		return errors.New("that name is reserved by the server or by Amazon RDS; an admin's login never changes it")
	}
	return nil
}

// reservedNames are the accounts that the server and RDS work with, beside
// those by prefix.
//
// https://dev.mysql.com/doc/refman/9.7/en/reserved-accounts.html
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html
var reservedNames = []string{"root", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr", "event_scheduler", "debian-sys-maint"}

// reservedPrefixes are the server's own accounts, and roles of RDS and Aurora.
var reservedPrefixes = []string{"mysql.", "rds_", "AWS_"}

func reserved(name string) bool {
	return slices.Contains(reservedNames, name) ||
		slices.ContainsFunc(reservedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
