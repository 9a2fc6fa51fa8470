package mywire

import (
	"errors"
	"slices"

	"github.com/go-sql-driver/mysql"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// accessDenied is the one error that is a refusal of the password, and that at
// sign-in alone: the server gives a statement the same number where a privilege
// is missing.
const accessDenied = 1045

// Rule is what an error number means for a rotation.
//
// https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html
// https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
type Rule struct {
	Numbers []uint16
	Class   error
	// Remedy says what to do, where the server's message does not.
	Remedy string
}

// Rules are looked through in their order.
type Rules []Rule

// signIn are errors of a sign-in besides accessDenied. A server that looks at
// the account's state only once the password was right has proved it right.
var signIn = Rules{
	{[]uint16{1044}, dbdrivers.ErrBarred, "the account may not use the database; grant it a right there, or correct \"dbname\""},
	{[]uint16{1049}, dbdrivers.ErrBarred, "the database does not exist; correct \"dbname\""},
	{[]uint16{1226}, dbdrivers.ErrBarred, "a limit of the account is reached (MAX_USER_CONNECTIONS, or one per hour); raise it by one for the rotation"},
	{[]uint16{1203}, dbdrivers.ErrBarred, "the server's max_user_connections is reached; raise it by one for the rotation"},
	{[]uint16{1040}, dbdrivers.ErrBusy, "the server has no room for another connection; try again, or raise max_connections"},
	{[]uint16{1053, 1079}, dbdrivers.ErrBusy, "the server is starting or stopping; try again"},
	{[]uint16{1037, 1038, 1041, 1135}, dbdrivers.ErrBusy, "the server lacks memory or threads; try again"},
	{[]uint16{1129}, dbdrivers.ErrUnreachable, "the server blocks this address after too many broken connections; run FLUSH HOSTS, or TRUNCATE TABLE performance_schema.host_cache"},
	{[]uint16{1130}, dbdrivers.ErrUnreachable, "the server has no account for this address at all, and did not ask for a password"},
	{[]uint16{3159}, dbdrivers.ErrTLS, "the server takes no connection without TLS (require_secure_transport); remove \"ssl\": false from the secret"},
	{[]uint16{1251, 1275, 1524, 1698, 2059}, dbdrivers.ErrUnsupported, "the account signs in by a plugin that the server lacks or that takes no password; give it a password of the server's own"},
	// What is left is no word on the password.
	{nil, dbdrivers.ErrUnreachable, ""},
}

// statement are errors that a statement ends with.
var statement = Rules{
	{[]uint16{1290, 1836, 1792, 1874, 3100}, dbdrivers.ErrNotWritable, "this is a replica or a read-only server; name the writer in \"host\""},
	{[]uint16{1021, 1114}, dbdrivers.ErrNotWritable, "the server's disk is full"},
	// 3879: the login is itself restricted on a database (a partial revoke).
	{[]uint16{1044, accessDenied, 1142, 1143, 1227, 1370, 1698, 3879}, dbdrivers.ErrPrivilege, ""},
	{[]uint16{1205, 1213, 1222, 3572}, dbdrivers.ErrBusy, "a lock was not had in time; another session is changing accounts, or holds them back (FLUSH TABLES WITH READ LOCK, a backup)"},
	{[]uint16{1317, 1969, 3024}, dbdrivers.ErrBusy, "the statement did not end in time, or was cancelled on the server"},
	{[]uint16{1037, 1038, 1041, 1203, 1226}, dbdrivers.ErrBusy, "the server lacks memory or connections, or a limit of the account is reached; try again"},
	{[]uint16{1819}, dbdrivers.ErrPasswordRules, ""},
	{[]uint16{1820, 1862}, dbdrivers.ErrBarred, "the account's password has expired; set a new one by hand with ALTER USER, and store it under AWSCURRENT"},
	// Everything else says that the server, or this version of it, does not do
	// what was asked.
	{nil, dbdrivers.ErrUnsupported, ""},
}

// ending are errors that come with the end of the session, so that it is not
// known whether the statement took effect.
//
// ER_SERVER_SHUTDOWN, ER_CONNECTION_KILLED (MariaDB), ER_CLIENT_INTERACTION_TIMEOUT, the network's.
var ending = []uint16{1053, 1079, 1158, 1159, 1160, 1161, 1927, 3169, 4031}

// find returns the rule for err in the first table that has one.
func find(err *mysql.MySQLError, tables ...Rules) Rule {
	for _, table := range tables {
		for _, rule := range table {
			if rule.Numbers == nil || slices.Contains(rule.Numbers, err.Number) {
				return rule
			}
		}
	}
	return Rule{Class: dbdrivers.ErrUnsupported}
}

// Number returns the number of the server's error in err, or zero where there
// is none.
func Number(err error) uint16 {
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		return server.Number
	}
	return 0
}
