package mysql

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
		change: &change{doing: doing, as: req.Login, account: req.Twin, session: session},
		req:    dbdrivers.OpenTwinRequest{Canonical: req.Canonical, Twin: req.Twin},
	}
	found, err := t.differences(ctx)
	if err == nil || errors.As(err, new(notUnderstoodError)) {
		return found, nil
	}
	// The sign-in is proven. Where only the comparison could not be made, that
	// is all that is wanted.
	if lost := t.unread(err, me); errors.Is(lost, dbdrivers.ErrUnreachable) {
		return nil, lost
	}
	return nil, nil
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
		sibling, account := p.sibling.named(), t.at(p.sibling.host)
		if p.missing() {
			found = append(found, "no host row "+account.String())
			continue
		}
		names, err := t.pairDifferences(ctx, sibling, account)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			found = append(found, name+where(account))
		}
	}
	return found, nil
}

func (t *twin) pairDifferences(ctx context.Context, sibling, account mygrants.Account) ([]string, error) {
	want, err := rightsOf(ctx, t.session, sibling)
	if err != nil {
		return nil, err
	}
	have, err := rightsOf(ctx, t.session, account)
	if err != nil {
		return nil, err
	}
	wanted, err := settingsOf(ctx, t.session, sibling)
	if err != nil {
		return nil, err
	}
	has, err := settingsOf(ctx, t.session, account)
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
	settings, _, _ := settingChanges(wanted, has)
	for _, name := range settings {
		found = append(found, "setting "+name)
	}
	return found, nil
}
