package main

import (
	"context"
	"regexp"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// redshift is shown on a stand-in: no Redshift runs outside of AWS.
var redshift = engine{
	name: "Redshift's stand-in",
	start: func(ctx context.Context) (*dbservers.Server, error) {
		return dbservers.StartRedshift(ctx, dbservers.RedshiftOptions{})
	},
	connect: func(ctx context.Context, login dbdrivers.Login) (session, error) {
		conn, err := dbservers.Connect(ctx, login)
		if err != nil {
			return nil, err
		}
		return postgresSession{conn}, nil
	},
	lacks:  map[string]string{"dual-password": "an account of Redshift has one password"},
	orders: append(slices.Clone(ordersInSQL), "GRANT SELECT ON TABLE orders TO "+username),
	count:  countInSQL,
	// What one account makes, it owns alone.
	// The log is that of the PostgreSQL server behind the gate.
	signedIn: regexp.MustCompile(`connection authorized: user=.* application_name=dbrotation`),
	refused:  regexp.MustCompile(`FATAL:`),
	changes:  regexp.MustCompile(`ALTER ROLE`),
}
