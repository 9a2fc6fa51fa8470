package documentdb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// VerifyTwin is Verify, and compares the two where the login may see users. Few
// applications may: for them nothing is listed.
func (d Driver) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	s, err := d.connect(ctx, req.Login)
	if err != nil {
		return nil, err
	}
	defer s.close()
	doing := fmt.Sprintf("verifying %q at %s", req.Login.Username, req.Login.Address())
	t := &twin{
		change: &change{driver: d, doing: doing, as: req.Login, account: req.Twin, session: s},
		req:    dbdrivers.OpenTwinRequest{Canonical: req.Canonical, Twin: req.Twin},
	}
	found, err := t.differences()
	if err == nil {
		return found, nil
	}
	// The sign-in is proven. Where only the comparison could not be made, that is
	// all that is wanted.
	if lost := s.unread(doing, err); errors.Is(lost, dbdrivers.ErrUnreachable) {
		return nil, lost
	}
	return nil, nil
}

// differences lists in what the two differ, where both exist.
func (t *twin) differences() ([]string, error) {
	sibling, exists, err := t.session.user(t.session.source, t.req.Canonical)
	if err != nil || !exists {
		return nil, err
	}
	it, exists, err := t.session.user(t.session.source, t.req.Twin)
	if err != nil || !exists || !sibling.rolesShown || !it.rolesShown {
		return nil, err
	}
	found := t.compare(sibling, it).names()
	if len(sibling.mechanisms) > 0 && !slices.Equal(sibling.mechanisms, it.mechanisms) {
		found = append(found, "mechanisms")
	}
	return found, nil
}
