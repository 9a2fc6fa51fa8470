package mariadb

import (
	"context"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
)

// routineRights are what the server gives the creator of a routine.
//
// https://mariadb.com/docs/server/server-usage/stored-routines/stored-functions/stored-routine-privileges
var routineRights = map[string]bool{"EXECUTE": true, "ALTER ROUTINE": true, "SHOW CREATE ROUTINE": true}

// shareRoutines grants the sibling what the server gave the twin's account as
// the creator of routines, and returns what the two are granted then.
func (t *twin) shareRoutines(ctx context.Context, sibling, account mygrants.Account) (theirs, have mygrants.Set, err error) {
	if theirs, err = t.rights(ctx, sibling); err != nil {
		return nil, nil, err
	}
	if have, err = t.rights(ctx, account); err != nil {
		return nil, nil, err
	}
	made, err := t.madeByTwin(ctx, have.Without(theirs))
	if err != nil || len(made) == 0 {
		return theirs, have, err
	}
	// What else the sibling is granted, or not any more, is not looked at: it is
	// the operator's to change at any time.
	sync := t.sync()
	sync.Rights = func(ctx context.Context, account mygrants.Account) (mygrants.Set, error) {
		held, err := t.rights(ctx, account)
		return held.Without(held.Without(made)), err
	}
	out, err := sync.Bring(ctx, sibling, account, made, make(mygrants.Set))
	if err != nil {
		return nil, nil, err
	}
	t.reports(out, " to "+sibling.String())
	theirs, err = t.rights(ctx, sibling)
	return theirs, have, err
}

// madeByTwin are the rights on routines that the twin has as their creator. Who
// made a routine is its definer, unless somebody said otherwise, which takes a
// right that lets them do more than this.
func (t *twin) madeByTwin(ctx context.Context, exceeding mygrants.Set) (mygrants.Set, error) {
	made := make(mygrants.Set)
	for _, a := range exceeding.Sorted() {
		if a.Kind != mygrants.Privilege || a.Object.Kind == "" || !routineRights[a.Name] {
			continue
		}
		answer, err := t.session.Ask(ctx, "SELECT COUNT(*) FROM mysql.proc p JOIN mysql.global_priv u ON p.definer = CONCAT(u.User, '@', u.Host) "+
			"WHERE u.User = ? AND p.db = ? AND p.name = ? AND p.type = ?",
			t.req.Twin, a.Object.Database, a.Object.Name, a.Object.Kind)
		if err != nil {
			return nil, t.unread(err, t.me)
		}
		if len(answer.Rows) == 1 && answer.Rows[0][0].Text != "0" {
			made.Add(a)
		}
	}
	return made, nil
}

// takeOverRoutines is shareRoutines on the turn of the canonical account.
func (t *twin) takeOverRoutines(ctx context.Context, pairs pairs) error {
	for _, p := range pairs.open {
		if p.missing() {
			continue
		}
		if _, _, err := t.shareRoutines(ctx, mygrants.Account{User: p.sibling.user, Host: p.sibling.host}, t.at(p.sibling.host)); err != nil {
			return err
		}
	}
	for _, what := range t.report.Added {
		t.tell("granted: " + what + ", because its twin made it")
	}
	return nil
}
