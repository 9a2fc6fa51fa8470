package main

import (
	"context"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

var postgres = engine{
	name: "PostgreSQL",
	start: func(ctx context.Context) (*dbservers.Server, error) {
		return dbservers.StartPostgres(ctx, dbservers.PostgresOptions{})
	},
	connect: func(ctx context.Context, login dbdrivers.Login) (session, error) {
		conn, err := dbservers.Connect(ctx, login)
		if err != nil {
			return nil, err
		}
		return postgresSession{conn}, nil
	},
	lacks:    map[string]string{"dual-password": "an account of PostgreSQL has one password"},
	orders:   append(slices.Clone(ordersInSQL), "GRANT SELECT ON orders TO "+username),
	count:    countInSQL,
	makes:    makesInSQL,
	writes:   writesInSQL,
	sharing:  []string{"CREATE SCHEMA shop AUTHORIZATION " + username},
	shared:   "shop.",
	signedIn: regexp.MustCompile(`connection authorized: user=.* application_name=dbrotation`),
	refused:  regexp.MustCompile(`FATAL:`),
	changes:  regexp.MustCompile(`ALTER ROLE`),
}

type postgresSession struct{ conn *pgx.Conn }

func (s postgresSession) exec(ctx context.Context, statement string) error {
	_, err := s.conn.Exec(ctx, statement)
	return err
}

func (s postgresSession) number(ctx context.Context, question string) (answer int, err error) {
	err = s.conn.QueryRow(ctx, question).Scan(&answer)
	return answer, err
}

func (s postgresSession) leave(ctx context.Context) { _ = s.conn.Close(context.WithoutCancel(ctx)) }
