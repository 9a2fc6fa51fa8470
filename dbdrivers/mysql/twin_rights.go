package mysql

import (
	"context"
	"errors"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mytwin"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// grantsOf reads what an account is granted. Roles are not expanded, because the
// account is named.
func grantsOf(ctx context.Context, session *mywire.Session, account mygrants.Account) (mygrants.Set, error) {
	answer, err := session.Ask(ctx, "SHOW GRANTS FOR "+account.String())
	if err != nil {
		return nil, err
	}
	rows := make([]string, len(answer.Rows))
	for i, row := range answer.Rows {
		if len(row) != 1 {
			return nil, notUnderstoodError{errors.New("SHOW GRANTS has more than one column")}
		}
		rows[i] = row[0].Text
	}
	set, err := mygrants.Parse(mygrants.MySQL, account, rows)
	if err != nil {
		return nil, notUnderstoodError{err}
	}
	return set, nil
}

// rightsOf is [grantsOf] without the roles that mark the account, and with its
// default roles, which SHOW GRANTS leaves out.
func rightsOf(ctx context.Context, session *mywire.Session, account mygrants.Account) (mygrants.Set, error) {
	set, err := grantsOf(ctx, session, account)
	if err != nil {
		return nil, err
	}
	answer, err := session.Ask(ctx, "SELECT default_role_user, default_role_host FROM mysql.default_roles WHERE user = ? AND host = ?", account.User, account.Host)
	if err != nil {
		return nil, err
	}
	for _, row := range answer.Rows {
		set.Add(mygrants.Atom{Kind: mygrants.DefaultRole, Account: mygrants.Account{User: row[0].Text, Host: row[1].Text}})
	}
	for a := range set {
		if isMark(a) || a.Kind == mygrants.DefaultRole && isMarkRole(a.Account) {
			delete(set, a)
		}
	}
	return set, nil
}

// notUnderstoodError is an answer of the server that is not as it was known.
type notUnderstoodError struct{ error }

func (e notUnderstoodError) Unwrap() error { return e.error }

// rights is [rightsOf] with classified errors.
func (t *twin) rights(ctx context.Context, account mygrants.Account) (mygrants.Set, error) {
	set, err := rightsOf(ctx, t.session, account)
	if err != nil {
		return nil, t.unread(err, t.me)
	}
	return set, nil
}

// equalise makes one row of the twin equal to its sibling's.
func (t *twin) equalise(ctx context.Context, p pair) error {
	sibling, account := p.sibling.named(), t.at(p.sibling.host)
	s, err := t.shareRoutines(ctx, sibling, account)
	if err != nil {
		return err
	}
	want := mygrants.SetOf(s.theirs.Sorted()...)
	t.keepUnclear(account, s.unclear, want)
	if p.first {
		want = mygrants.Widen(s.theirs, s.have)
		_, kept := mygrants.Changes(s.theirs, want)
		t.report.Kept = append(t.report.Kept, kept...)
	}
	out, err := t.sync().Bring(ctx, account, sibling, want, s.have)
	t.reports(out, where(account))
	return err
}

func (t *twin) sync() *mytwin.Sync {
	return &mytwin.Sync{
		Session: t.session, Dialect: mygrants.MySQL, Doing: t.doing,
		Rights: t.rights, Gone: gone, Otherwise: revokeRestricted, Note: t.note,
	}
}

func (t *twin) reports(out mytwin.Outcome, where string) {
	for _, what := range out.Added {
		t.report.Added = append(t.report.Added, what+where)
	}
	for _, what := range out.Lost {
		t.report.Removed = append(t.report.Removed, what+where)
	}
}

// Errors of GRANT and REVOKE that there is a way around.
//
// https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html
const (
	errBadField    = 1054 // ER_BAD_FIELD_ERROR
	errNoSuchTable = 1146 // ER_NO_SUCH_TABLE
	errNotGranted  = 3530 // ER_ROLE_NOT_GRANTED
	errRestricted  = 3879 // ER_DB_ACCESS_DENIED
)

// gone says why nobody can have an atom that the server has refused: it is on a
// column that is gone, with its table or alone, or of a role that is granted no
// more. A role that is wanted, and could not be granted, is another matter.
func gone(want mygrants.Set, a mygrants.Atom, number uint16) string {
	switch {
	case a.Column != "" && (number == errBadField || number == errNoSuchTable):
		return "the column is gone"
	case a.Kind == mygrants.DefaultRole && number == errNotGranted:
		role := mygrants.Atom{Kind: mygrants.Role, Account: a.Account}
		if !want.Has(role) && !want.Has(role.WithOption()) {
			return "the role is not granted"
		}
	}
	return ""
}

// companions are privileges on everything that no restriction of the admin's can
// be about, the rarest in an application first.
var companions = []string{"CREATE ROLE", "DROP ROLE", "REPLICATION SLAVE", "REPLICATION CLIENT", "RELOAD", "SHOW DATABASES", "PROCESS"}

// onEverything reports whether all atoms are privileges on *.*.
func onEverything(atoms []mygrants.Atom) bool {
	return !slices.ContainsFunc(atoms, func(a mygrants.Atom) bool {
		return a.Object != mygrants.Object{} || a.Kind != mygrants.Privilege && a.Kind != mygrants.Dynamic
	})
}

// revokeRestricted takes privileges on everything away by an admin who is itself
// restricted on a database, as Amazon RDS's master user is on mysql. The server
// lets that pass only in company of a privilege that it does not restrict;
// which one, and whether the account has it, is all the same.
//
// https://dev.mysql.com/doc/refman/9.7/en/partial-revokes.html
func revokeRestricted(ctx context.Context, p *mytwin.Pass, s mygrants.Statement, refused error) error {
	if mywire.Number(refused) != errRestricted || !s.Removes || !onEverything(s.Atoms) {
		return refused
	}
	for _, name := range companions {
		companion := mygrants.Atom{Kind: mygrants.Privilege, Name: name}
		if p.Want.Has(companion) || slices.Contains(s.Atoms, companion) {
			continue
		}
		err := p.Session.Run(ctx, mygrants.RevokeTogether(mygrants.MySQL, p.Account, append(slices.Clone(s.Atoms), companion)...).SQL)
		if err == nil || p.Ends(err) != nil {
			return err
		}
	}
	return refused
}

// anyHost is the host that accounts have where nothing is said.
const anyHost = "%"

// where is added to what a report names, if it is of some hosts only.
func where(account mygrants.Account) string {
	if account.Host == anyHost {
		return ""
	}
	return " for " + account.String()
}
