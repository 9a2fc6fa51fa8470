package mysql

import (
	"context"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// routineRights are what the server gives the creator of a routine, and of a
// library.
//
// https://dev.mysql.com/doc/refman/9.7/en/stored-routines-privileges.html
var routineRights = map[string]bool{"EXECUTE": true, "ALTER ROUTINE": true}

// Who made a routine is its definer, unless somebody said otherwise, which takes
// a right that lets them do more than this. A library has no definer, and the
// server writes its creator down.
//
// https://dev.mysql.com/doc/refman/9.7/en/information-schema-libraries-table.html
const (
	askDefiner = `SELECT COUNT(*) FROM information_schema.routines r JOIN mysql.user u ON r.definer = CONCAT(u.user, '@', u.host)
 WHERE u.user = ? AND r.routine_schema = ? AND r.routine_name = ? AND r.routine_type = ?`
	askCreator = `SELECT COUNT(*) FROM information_schema.libraries l JOIN mysql.user u ON l.creator = CONCAT(u.user, '@', u.host)
 WHERE u.user = ? AND l.library_schema = ? AND l.library_name = ?`
)

// Errors of a server that does not write down who made a library.
//
// https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html
const errUnknownTable = 1109 // ER_UNKNOWN_TABLE

// shared is what the two are granted once the sibling has what the twin made.
type shared struct {
	theirs, have mygrants.Set
	// unclear are rights of the twin's account of which the server does not say
	// whether it has them because it made what they are on.
	unclear mygrants.Set
}

// shareRoutines grants the sibling what the server gave the twin's account as
// the creator of routines.
func (t *twin) shareRoutines(ctx context.Context, sibling, account mygrants.Account) (s shared, err error) {
	if s.theirs, err = t.rights(ctx, sibling); err != nil {
		return s, err
	}
	if s.have, err = t.rights(ctx, account); err != nil {
		return s, err
	}
	made := make(mygrants.Set)
	s.unclear = make(mygrants.Set)
	for _, a := range s.have.Without(s.theirs).Sorted() {
		by, err := t.madeByTwin(ctx, a)
		switch {
		case mywire.Number(err) == errUnknownTable || mywire.Number(err) == errBadField:
			s.unclear.Add(a)
		case err != nil:
			return s, t.unread(err, t.me)
		case by:
			made.Add(a)
		}
	}
	if len(made) == 0 {
		return s, nil
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
		return s, err
	}
	t.reports(out, " to "+sibling.String())
	s.theirs, err = t.rights(ctx, sibling)
	return s, err
}

// madeByTwin reports whether the twin has a right as the creator of what it is
// on.
func (t *twin) madeByTwin(ctx context.Context, a mygrants.Atom) (bool, error) {
	if a.Kind != mygrants.Privilege || a.Object.Kind == "" || !routineRights[a.Name] {
		return false, nil
	}
	question, args := askDefiner, []any{t.req.Twin, a.Object.Database, a.Object.Name, a.Object.Kind}
	if a.Object.Kind == mygrants.Library {
		question, args = askCreator, args[:3]
	}
	answer, err := t.session.Ask(ctx, question, args...)
	return err == nil && len(answer.Rows) == 1 && answer.Rows[0][0].Text != "0", err
}

// keepUnclear leaves the twin what might be its own work.
func (t *twin) keepUnclear(account mygrants.Account, unclear, want mygrants.Set) {
	for _, a := range unclear.Sorted() {
		want.Add(a)
		t.tell(fmt.Sprintf("%s was left to %s, because this server does not say who made a library; where its sibling is to use it as well, grant it the same", a, account))
	}
}

// takeOverRoutines is shareRoutines on the turn of the canonical account.
func (t *twin) takeOverRoutines(ctx context.Context, pairs pairs) error {
	for _, p := range pairs.open {
		if p.missing() {
			continue
		}
		if _, err := t.shareRoutines(ctx, p.sibling.named(), t.at(p.sibling.host)); err != nil {
			return err
		}
	}
	for _, what := range t.report.Added {
		t.tell("granted: " + what + ", because its twin made it")
	}
	return nil
}
