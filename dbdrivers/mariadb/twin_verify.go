package mariadb

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// VerifyTwin is Verify, and compares the two as far as the login may read
// mysql.*. Few applications may, and their logins see nothing of the other: for
// them nothing is listed.
func (Driver) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	session, err := mywire.Connect(ctx, req.Login, dialect)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	doing := fmt.Sprintf("verifying %q at %s", req.Login.Username, req.Login.Address())
	me, err := identify(ctx, session, doing, req.Login.Username)
	if err != nil {
		return nil, err
	}
	t := &twin{
		change: &change{doing: doing, as: req.Login, account: req.Twin, session: session}, me: me,
		req: dbdrivers.OpenTwinRequest{Canonical: req.Canonical, Twin: req.Twin},
	}
	found, err := t.differences(ctx)
	// The sign-in is proven. Where only the comparison could not be made, that
	// is all that is wanted.
	if errors.Is(err, dbdrivers.ErrUnreachable) {
		return nil, err
	}
	return found, nil
}

// differences lists in what the open rows of the two differ.
func (t *twin) differences(ctx context.Context) ([]string, error) {
	siblings, twins, err := t.bothRows(ctx)
	if err != nil || len(siblings) == 0 || len(twins) == 0 {
		return nil, err
	}
	var found []string
	pairs := pairUp(siblings, twins, nil, t.req.Canonical)
	for _, r := range pairs.extra {
		found = append(found, "host row "+r.account())
	}
	for _, p := range pairs.open {
		account := t.at(p.sibling.host)
		if p.missing() {
			found = append(found, "no host row "+account.String())
			continue
		}
		names, err := t.pairDifferences(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			found = append(found, name+where(account))
		}
	}
	return found, nil
}

func (t *twin) pairDifferences(ctx context.Context, p pair) ([]string, error) {
	want, err := t.rights(ctx, mygrants.Account{User: p.sibling.user, Host: p.sibling.host})
	if err != nil {
		return nil, err
	}
	have, err := t.rights(ctx, t.at(p.sibling.host))
	if err != nil {
		return nil, err
	}
	var found []string
	lacking, exceeding := mygrants.Changes(want, have)
	for _, name := range lacking {
		found = append(found, "lacks "+name)
	}
	for _, name := range exceeding {
		found = append(found, "has "+name)
	}
	_, settings, err := settingChanges(p.sibling.settings, p.twin.settings)
	if err != nil {
		return nil, t.unsupported(err)
	}
	for _, name := range settings {
		found = append(found, "setting "+name)
	}
	return found, nil
}
