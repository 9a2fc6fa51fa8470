package postgres

import (
	"context"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// VerifyTwin is Verify, and asks the catalogues on the way in what the twin
// differs. Any login may read them.
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
	answers, err := verify(ctx, session, login, pgwire.Statement{SQL: askDifferences, Parameters: []string{req.Canonical, req.Twin, shared}})
	if err != nil {
		return nil, err
	}
	found, err := differencesOf(answers[0])
	if err != nil {
		return nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, fmt.Sprintf("comparing %q with its twin %q at %s", req.Canonical, req.Twin, login.Address()), err)
	}
	var names []string
	for _, d := range found {
		names = append(names, d.name())
	}
	return names, nil
}
