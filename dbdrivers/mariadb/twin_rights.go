package mariadb

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mytwin"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// grantsOf reads what SHOW GRANTS tells of an account, as far as it is
// [readable]. Roles are not expanded, because the account is named.
func grantsOf(ctx context.Context, session *mywire.Session, account mygrants.Account) (mygrants.Set, error) {
	answer, err := session.Ask(ctx, "SHOW GRANTS FOR "+account.String())
	if err != nil {
		return nil, err
	}
	var rows []string
	for _, row := range answer.Rows {
		if len(row) != 1 {
			return nil, notUnderstoodError{errors.New("SHOW GRANTS has more than one column")}
		}
		if text, is := readable(row[0].Text, account); is {
			rows = append(rows, text)
		}
	}
	set, err := mygrants.Parse(mygrants.MariaDB, account, rows)
	if err != nil {
		return nil, notUnderstoodError{err}
	}
	return set, nil
}

// rightsOf reads what an account is granted, without the roles that mark it,
// which it may have made its default role: they hold nothing.
func rightsOf(ctx context.Context, session *mywire.Session, account mygrants.Account) (mygrants.Set, error) {
	set, err := grantsOf(ctx, session, account)
	if err != nil {
		return nil, err
	}
	for a := range set {
		if isMark(a) || a.Kind == mygrants.DefaultRole && isMarkRole(a.Account.User) {
			delete(set, a)
		}
	}
	return set, addUnreadable(ctx, session, account, set)
}

// readable is a row of SHOW GRANTS as far as it can be read without a doubt. The
// row of what is held on everything goes on with the password's hash and the
// REQUIRE clause, and a row on a proxy has names in quotes: what stands in those
// quotes many versions do not escape.
//
// https://mariadb.com/docs/server/reference/sql-statements/administrative-sql-statements/show/show-grants
func readable(row string, account mygrants.Account) (text string, is bool) {
	// Within another name no such account can stand: its backquotes are doubled.
	global := " ON *.* TO " + account.String()
	if before, _, is := strings.Cut(row, global); is {
		return before + global, true
	}
	return row, !strings.HasPrefix(row, "GRANT PROXY ON ")
}

// grantOption is the bit of WITH GRANT OPTION in what an account holds on
// everything.
//
// https://github.com/MariaDB/server/blob/11.8/sql/privilege.h
const grantOption = 1 << 10

// addUnreadable adds what [readable] leaves out, from the tables.
//
// https://mariadb.com/docs/server/reference/system-tables/the-mysql-database-tables/mysql-proxies_priv-table
func addUnreadable(ctx context.Context, session *mywire.Session, account mygrants.Account, set mygrants.Set) error {
	answer, err := session.Ask(ctx, "SELECT COUNT(*) FROM mysql.global_priv WHERE User = ? AND Host = ? AND JSON_VALUE(Priv, '$.access') & ?", account.User, account.Host, grantOption)
	if err != nil {
		return err
	}
	if len(answer.Rows) == 1 && answer.Rows[0][0].Text != "0" {
		set.Add(mygrants.Atom{Kind: mygrants.GrantOption})
	}
	answer, err = session.Ask(ctx, "SELECT User, Host, Proxied_user, Proxied_host, With_grant FROM mysql.proxies_priv WHERE User = ? AND Host = ?", account.User, account.Host)
	if err != nil {
		return err
	}
	for _, row := range answer.Rows {
		if (mygrants.Account{User: row[0].Text, Host: row[1].Text}) == account {
			set.Add(mygrants.Atom{
				Kind: mygrants.Proxy, Account: mygrants.Account{User: row[2].Text, Host: row[3].Text}, Option: row[4].Text == "1",
			})
		}
	}
	return nil
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
	sibling, account := mygrants.Account{User: p.sibling.user, Host: p.sibling.host}, t.at(p.sibling.host)
	theirs, have, err := t.shareRoutines(ctx, sibling, account)
	if err != nil {
		return err
	}
	want := theirs
	if p.first {
		want = widen(theirs, have)
		_, kept := mygrants.Changes(theirs, want)
		t.report.Kept = append(t.report.Kept, kept...)
	}
	out, err := t.sync().Bring(ctx, account, sibling, want, have)
	t.reports(out, where(account))
	return err
}

// widen is what a twin is to have that loses nothing. An account has one default
// role; it is the sibling's, without which the twin would lack something.
func widen(theirs, have mygrants.Set) mygrants.Set {
	want := mygrants.Widen(theirs, have)
	isDefault := func(a mygrants.Atom) bool { return a.Kind == mygrants.DefaultRole }
	if slices.ContainsFunc(theirs.Sorted(), isDefault) {
		for a := range want {
			if isDefault(a) && !theirs.Has(a) {
				delete(want, a)
			}
		}
	}
	return want
}

func (t *twin) sync() *mytwin.Sync {
	return &mytwin.Sync{
		Session: t.session, Dialect: mygrants.MariaDB, Doing: t.doing,
		Rights: t.rights, Gone: gone, Otherwise: packageGrant, Note: t.note,
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
// https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
const (
	errBadField    = 1054 // ER_BAD_FIELD_ERROR
	errParse       = 1064 // ER_PARSE_ERROR
	errNoSuchTable = 1146 // ER_NO_SUCH_TABLE
	errInvalidRole = 1959 // ER_INVALID_ROLE
)

// gone says why nobody can have an atom that the server has refused.
func gone(want mygrants.Set, a mygrants.Atom, number uint16) string {
	switch {
	case a.Column != "" && (number == errBadField || number == errNoSuchTable):
		return "the column is gone"
	case a.Kind == mygrants.DefaultRole && number == errInvalidRole:
		role := mygrants.Atom{Kind: mygrants.Role, Account: a.Account}
		with := role
		with.Option = true
		if !want.Has(role) && !want.Has(with) {
			return "the role is not granted"
		}
	}
	return ""
}

// packageGrant says a statement on a package the way that servers before 11
// understand it.
//
// https://mariadb.com/docs/release-notes/community-server/about/compatibility-and-differences/sql_modeoracle
func packageGrant(ctx context.Context, p *mytwin.Pass, s mygrants.Statement, refused error) error {
	isPackage := func(a mygrants.Atom) bool { return strings.HasPrefix(a.Object.Kind, mygrants.Package) }
	if mywire.Number(refused) != errParse || !slices.ContainsFunc(s.Atoms, isPackage) {
		return refused
	}
	if err := p.Session.Run(ctx, "SET SESSION sql_mode = 'ORACLE'"); err != nil {
		return err
	}
	said := p.Session.Run(ctx, s.SQL)
	if err := p.Session.Run(ctx, "SET SESSION sql_mode = '"+dialect.SQLMode+"'"); err != nil {
		return err
	}
	return said
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
