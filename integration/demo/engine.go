package main

import (
	"context"
	"fmt"
	"regexp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// engines are those that can be shown, by their names in a secret.
var engines = map[string]engine{
	"postgres": postgres, "mysql": mysql, "mariadb": mariadb, "redshift": redshift, "documentdb": documentdb,
}

// engine is what the demo has to know of a database engine.
type engine struct {
	// name is how people call it.
	name  string
	start func(context.Context) (*dbservers.Server, error)
	// connect signs in.
	connect func(context.Context, dbdrivers.Login) (session, error)
	// lacks says why a strategy cannot be shown, by the strategy's name.
	lacks map[string]string
	// orders are what an admin says for a table of three rows that the user may
	// read, and count the question how many there are.
	orders []string
	count  string
	// makes and writes are what a user says for a table of that name, and for a
	// row with a number in it. Both are nil where what one of two accounts makes
	// is not the other's.
	makes  func(table string) string
	writes func(table string, number int) string
	// byAdmin is true where no ordinary account may change its own password.
	byAdmin bool
	// sharing is what a superuser says before two accounts share tables, whose
	// names begin with shared.
	sharing []string
	shared  string
	// retaining is what a superuser says so that the user may keep two
	// passwords. Where it is empty only an admin can let an account have two.
	retaining []string
	// signedIn is in the server's log once for each sign-in of the function's
	// (an application may sign in meanwhile), refused for each of anybody's
	// that failed.
	signedIn, refused *regexp.Regexp
	// changes is in every log of the server that has the changes of passwords. All
	// have them but the one named silent, if there is one.
	changes *regexp.Regexp
	silent  string
}

// session is a connection to the server.
type session interface {
	exec(ctx context.Context, statement string) error
	number(ctx context.Context, question string) (int, error)
	// leave ends it, also when ctx has ended.
	leave(ctx context.Context)
}

// ordersInSQL, countInSQL, makesInSQL and writesInSQL are an engine's words where
// it is one of SQL.
var ordersInSQL = []string{
	"CREATE TABLE orders (id int PRIMARY KEY, item varchar(40) NOT NULL)",
	"INSERT INTO orders VALUES (1, 'pear'), (2, 'quince'), (3, 'medlar')",
}

const countInSQL = "SELECT count(*) FROM orders"

func makesInSQL(table string) string { return "CREATE TABLE " + table + " (turn int)" }

func writesInSQL(table string, number int) string {
	return fmt.Sprintf("INSERT INTO %s VALUES (%d)", table, number)
}
