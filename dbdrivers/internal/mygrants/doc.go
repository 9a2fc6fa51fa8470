// Package mygrants reads what SHOW GRANTS answers, in MySQL and in MariaDB, as
// a set of atoms, and makes the statements that turn one account's set into
// another's.
//
// A row is taken apart into tokens and must be understood as a whole: the
// account that it is about is compared, and a shape that is not known is an
// error. Names of privileges are not compared with any list, because each
// version adds some. Statements are built from atoms and never from the text of
// a row, which in MariaDB holds the hash of the account's password.
//
// https://dev.mysql.com/doc/refman/9.7/en/show-grants.html
// https://mariadb.com/docs/server/reference/sql-statements/administrative-sql-statements/show/show-grants
package mygrants

import "github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"

// Dialect is the server's way of writing grants.
type Dialect int

const (
	// MySQL writes roles as accounts with a host, and knows partial revokes and
	// dynamic privileges.
	MySQL Dialect = iota
	// MariaDB writes roles without a host, and the account's authentication
	// into its first row.
	MariaDB
)

// Account is a user and the hosts that it may come from, or a role.
type Account struct {
	User, Host string
}

// String returns the account as statements write it.
func (a Account) String() string { return mywire.Account(a.User, a.Host) }

// role is how the dialect writes an account that is granted.
func (d Dialect) role(a Account) string {
	if d == MariaDB {
		return mywire.Identifier(a.User)
	}
	return a.String()
}
