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

// Cluster is in what clusters may differ that nobody could ask.
type Cluster struct {
	// HashesMasked makes pg_shadow show no hash of a password.
	HashesMasked bool
	// DocumentedPrivileges makes the views of privileges show what their pages
	// list: neither ALTER and TRUNCATE on tables nor DROP on schemas, and of
	// default privileges RULE and TRIGGER as well.
	DocumentedPrivileges bool
}

// Install gives a database of a PostgreSQL server the system views of
// Redshift's and the schema of what the gate itself keeps. The connection is a
// superuser's, to the database that clients of the gate sign in to.
func Install(ctx context.Context, conn *pgx.Conn, c Cluster) error {
	statements := append([]string{registrySQL}, viewsSQL(c)...)
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
