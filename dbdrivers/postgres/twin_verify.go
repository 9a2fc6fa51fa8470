package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// VerifyTwin is Verify, and asks the catalogues on the way in what the twin
// differs. Any login may read them, unless the server was hardened against it:
// where the comparison fails nothing is listed, and the sign-in is proven by
// itself.
func (Driver) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	login := withDatabase(req.Login)
	session, err := pgwire.Connect(ctx, login, dialect)
	if err != nil {
		return nil, err
	}
	defer session.Close(ctx)
	shared := req.OwnerRole
	if shared == "" {
		shared = req.Canonical
	}
	statement, _ := statementTimeouts(ctx)
	answers, err := verify(ctx, session, login,
		// A comparison that takes too long must leave time to do without it.
		pgwire.Statement{SQL: "SET LOCAL statement_timeout = " + milliseconds(max(statement/2, time.Millisecond))},
		pgwire.Statement{SQL: askDifferences, Parameters: []string{req.Canonical, req.Twin, shared}})
	var server *pgconn.PgError
	switch {
	case errors.As(err, &server) && !session.Ended():
		if _, undone := session.Run(ctx, "ROLLBACK"); undone != nil {
			return nil, pgwire.Classify(fmt.Sprintf("verifying %q at %s", login.Username, login.Address()), undone, pgwire.Unchanged, nil)
		}
		_, err = verify(ctx, session, login)
		return nil, err
	case err != nil:
		return nil, err
	}
	found, err := differencesOf(answers[1])
	if err != nil {
		return nil, nil //nolint:nilerr // the sign-in is proven; only the comparison could not be read
	}
	return namesOf(found), nil
}

// namesOf names every difference, of what is the twin's own the first.
func namesOf(found []difference) []string {
	names := named(ofItsOwn(found), difference.name)
	for _, d := range found {
		if !d.isOwn() && (d.kind != ofActing || d.actsOtherwise()) {
			names = append(names, d.name())
		}
	}
	return names
}
