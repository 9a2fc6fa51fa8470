package redshift

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// VerifyTwin is Verify, and compares what pg_user and pg_group show to
// everybody: CREATEDB, VALID UNTIL, settings and groups. What the two are
// granted, and their other options, each of them sees of itself alone, so that
// nothing of it is compared here; OpenTwin compares it.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_RELATION_PRIVILEGES.html
func (Driver) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	login := withDatabase(req.Login)
	session, err := pgwire.Connect(ctx, login, dialect)
	if err != nil {
		return nil, err
	}
	defer session.Close(ctx)
	if err := identify(ctx, session, verifying(login), login.Username); err != nil {
		return nil, err
	}
	t := &twin{session: session, req: dbdrivers.OpenTwinRequest{Canonical: req.Canonical, Twin: req.Twin}, doing: verifying(login)}
	found, err := t.visible(ctx)
	switch {
	case err == nil:
		return found, nil
	case errors.As(err, new(*pgconn.PgError)) && !session.Ended(), errors.Is(err, errAnswer):
		// The sign-in is proven; only the comparison could not be made.
		return nil, nil
	}
	return nil, t.failed(err)
}

// visible lists the differences that anybody may see.
func (t *twin) visible(ctx context.Context) ([]string, error) {
	canonical, twin := t.req.Canonical, t.req.Twin
	users, err := usersOf(ctx, t.session, canonical, twin, "")
	if err != nil {
		return nil, err
	}
	want, have := users[canonical], users[twin]
	if !want.exists || !have.exists {
		return nil, nil
	}
	held := map[string]rights{canonical: make(rights), twin: make(rights)}
	if err := t.readGroups(ctx, held); err != nil {
		return nil, err
	}
	steps, err := t.steps(state{
		wantRights: held[canonical], haveRights: held[twin],
		wantAttributes: shownTo(want), haveAttributes: shownTo(have),
		wantSettings: want.settings, haveSettings: have.settings,
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range steps {
		names = append(names, s.what)
	}
	return names, nil
}

func shownTo(u user) attributes {
	a := attributes{createDB: "NOCREATEDB", validUntil: u.validUntil}
	if u.createDB {
		a[createDB] = createDB
	}
	return a
}
