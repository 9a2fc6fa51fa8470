package integration_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// awsPostgres is what AWS's functions for PostgreSQL say to it.
type awsPostgres struct{}

func (awsPostgres) serves(engine string) bool {
	return engine == "postgres" || engine == "aurora-postgresql"
}

func (awsPostgres) excluded() string { return `:/@"'\` }

func (awsPostgres) changeOwn(ctx context.Context, own session, pending awsDocument) error {
	return inTransaction(ctx, own, fmt.Sprintf("ALTER USER %s WITH PASSWORD '%s'", quotedName(pending.Username), pending.Password))
}

func (awsPostgres) changeOther(ctx context.Context, admin session, current, pending awsDocument) error {
	found, err := admin.rows(ctx, "SELECT 1 FROM pg_roles WHERE rolname = $1", pending.Username)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return inTransaction(ctx, admin, fmt.Sprintf("ALTER USER %s WITH PASSWORD '%s'", quotedName(pending.Username), pending.Password))
	}
	return inTransaction(ctx, admin,
		fmt.Sprintf("CREATE ROLE %s WITH LOGIN PASSWORD '%s'", quotedName(pending.Username), pending.Password),
		fmt.Sprintf("GRANT %s TO %s", quotedName(current.Username), quotedName(pending.Username)))
}

// inTransaction runs statements in one transaction. One that fails is undone
// with the session.
func inTransaction(ctx context.Context, conn session, statements ...string) error {
	err := conn.exec(ctx, "BEGIN")
	for _, statement := range append(statements, "COMMIT") {
		if err == nil {
			err = conn.exec(ctx, statement)
		}
	}
	return err
}

func quotedName(name string) string { return pgx.Identifier{name}.Sanitize() }
