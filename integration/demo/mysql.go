package main

import (
	"context"
	"regexp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

var mysql = engine{
	name: "MySQL",
	start: func(ctx context.Context) (*dbservers.Server, error) {
		return dbservers.StartMySQL(ctx, dbservers.MySQLOptions{})
	},
	connect:   connectMySQL,
	orders:    ordersInSQL,
	count:     countInSQL,
	makes:     makesInSQL,
	writes:    writesInSQL,
	retaining: []string{"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO " + username},
	signedIn:  mysqlSignedIn,
	refused:   mysqlRefused,
	changes:   regexp.MustCompile(`ALTER USER`),
}

var mariadb = engine{
	name: "MariaDB",
	start: func(ctx context.Context) (*dbservers.Server, error) {
		return dbservers.StartMariaDB(ctx, dbservers.MariaDBOptions{})
	},
	connect:  connectMySQL,
	orders:   ordersInSQL,
	count:    countInSQL,
	makes:    makesInSQL,
	writes:   writesInSQL,
	signedIn: mysqlSignedIn,
	refused:  mysqlRefused,
	// The first is an account's own, the second an admin's.
	changes: regexp.MustCompile(`SET PASSWORD|ALTER USER`),
}

// The general log names no application. A session of the function's begins with
// its own settings, and the application's says nothing at all.
var (
	mysqlSignedIn = regexp.MustCompile(`Query\tSET NAMES utf8mb4, SESSION sql_mode`)
	mysqlRefused  = regexp.MustCompile(`Connect\tAccess denied`)
)

func connectMySQL(ctx context.Context, login dbdrivers.Login) (session, error) {
	conn, err := dbservers.ConnectMySQL(ctx, login)
	if err != nil {
		return nil, err
	}
	return mysqlSession{conn}, nil
}

type mysqlSession struct{ conn *dbservers.MySQLConn }

func (s mysqlSession) exec(ctx context.Context, statement string) error {
	_, err := s.conn.ExecContext(ctx, statement)
	return err
}

func (s mysqlSession) number(ctx context.Context, question string) (answer int, err error) {
	err = s.conn.QueryRowContext(ctx, question).Scan(&answer)
	return answer, err
}

func (s mysqlSession) leave(context.Context) { _ = s.conn.Close() }
