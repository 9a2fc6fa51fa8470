// Package mywire is what the drivers of MySQL and MariaDB share: one sign-in by
// go-sql-driver/mysql, a session that ends with the context, statements that are
// quoted by the library, and errors classified by the phase they come from.
//
// Nothing is read from the environment or from a file, and no connection string
// is built. TLS is as the login says and nothing less: the library's "preferred",
// cleartext passwords and old passwords are never turned on.
package mywire
