package mariadb

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
		return fmt.Errorf("the name is longer than %d characters, the most that every MariaDB keeps", maxName)
	case strings.HasSuffix(c.account, " "):
		// A statement would be on the account without them, which may be a
		// reserved one.
		return errors.New("the name ends in a blank, and the server cuts blanks off there; correct \"username\"")
	case strings.ContainsFunc(c.account, func(r rune) bool { return r > lastStored }):
		return errors.New("the name has a character that the server cannot store in a name (an emoji, for instance), and would be another account's; correct \"username\"")
	case c.bySelf():
		return nil
	case strings.HasPrefix(c.account, ownPrefix):
		return fmt.Errorf("names that begin with %q are those of marks of twins, and of rows that are being made", ownPrefix)
	case reserved(c.account):
		return errors.New("that name is reserved by the server or by Amazon RDS; an admin's login never changes it")
	}
	return nil
}

// lastStored is the last character that a name may have: those beyond it are
// stored as question marks.
//
// https://mariadb.com/docs/server/reference/sql-structure/sql-language-structure/identifier-names
const lastStored = '\uFFFF'

// ownPrefix begins the names that this package gives to accounts and roles.
const ownPrefix = "dbrotation("

// reservedNames are the accounts that the server and RDS work with, beside
// those by prefix.
//
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/create-user#reserved-user-names
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html
var reservedNames = []string{"root", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr", "event_scheduler", "system user", "debian-sys-maint", "PUBLIC"}

// reservedPrefixes are the server's own accounts, and roles of RDS.
var reservedPrefixes = []string{"mariadb.", "mysql.", "rds_", "AWS_"}

func reserved(name string) bool {
	return slices.Contains(reservedNames, name) ||
		slices.ContainsFunc(reservedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
