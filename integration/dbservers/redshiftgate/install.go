package redshiftgate

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// languages are those that Redshift has beside PostgreSQL's own. Nothing that
// is written in them can be run here.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
var languages = []string{"plpythonu", "exfunc", "mlfunc"}

// Install gives a database of a PostgreSQL server the system views of
// Redshift's and the schema of what the gate itself keeps. The connection is a
// superuser's, to the database that clients of the gate sign in to. With masked,
// pg_shadow shows no hash of a password, as on clusters where it is so.
func Install(ctx context.Context, conn *pgx.Conn, masked bool) error {
	statements := append([]string{registrySQL}, viewsSQL(masked)...)
	for _, l := range languages {
		statements = append(statements, "CREATE TRUSTED LANGUAGE "+l+" HANDLER plpgsql_call_handler")
	}
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("making the system views: %w", err)
		}
	}
	return nil
}
