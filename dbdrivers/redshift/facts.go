package redshift

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

var errAnswer = errors.New("the server does not answer as Redshift does")

// user is what pg_user shows to everybody.
type user struct {
	exists bool
	// id is the account's number, in which it differs from one of its name that
	// was dropped.
	id         string
	createDB   bool
	superuser  bool
	validUntil string
	// settings are those of the account, by name.
	settings map[string]string
}

// https://docs.aws.amazon.com/redshift/latest/dg/c_intro_catalog_views.html
const askUsers = "SELECT usename, usesysid, usecreatedb, usesuper, valuntil, useconfig FROM pg_catalog.pg_user WHERE usename IN ($1, $2, $3)"

func usersOf(ctx context.Context, session *pgwire.Session, a, b, c string) (map[string]user, error) {
	rows, err := ask(ctx, session, askUsers, a, b, c)
	if err != nil {
		return nil, err
	}
	users := make(map[string]user)
	for _, row := range rows {
		if len(row) != 6 || !slices.Contains([]string{a, b, c}, row[0].Text) {
			return nil, errAnswer
		}
		settings, err := settingsOf(row[5])
		if err != nil {
			return nil, err
		}
		u := user{exists: true, id: row[1].Text, createDB: row[2].Is(), superuser: row[3].Is(), validUntil: row[4].Text, settings: settings}
		if u.validUntil == "" {
			u.validUntil = forever
		}
		users[row[0].Text] = u
	}
	return users, nil
}

// forever is a VALID UNTIL that never comes, as of accounts that have none.
const forever = "infinity"

const askStored = "SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename IN ($1, $2)"

// storedOf reads what the server keeps of passwords. It is a superuser's alone
// to see, and may be masked.
func storedOf(ctx context.Context, session *pgwire.Session, a, b string) (map[string]stored, error) {
	rows, err := ask(ctx, session, askStored, a, b)
	if hasState(err, "42501") {
		err = unreadableError{pgwire.Classify("reading pg_shadow", err, pgwire.Unchanged, nil)}
	}
	if err != nil {
		return nil, err
	}
	all := make(map[string]stored)
	for _, row := range rows {
		if len(row) != 2 || row[0].Text != a && row[0].Text != b {
			return nil, errAnswer
		}
		all[row[0].Text] = stored(row[1].Text)
	}
	return all, nil
}

// unreadableError says that pg_shadow may not be read.
type unreadableError struct{ error }

func (e unreadableError) Unwrap() error { return e.error }

// readable runs a transaction, and once more where it is found that pg_shadow
// may not be read: an error has ended the first.
func readable(ctx context.Context, session *pgwire.Session, masked *bool, once func() error) error {
	err := repeated(ctx, session, true, once)
	if !errors.As(err, new(unreadableError)) || *masked || session.Ended() {
		return err
	}
	*masked = true
	if _, undone := session.Run(ctx, "ROLLBACK"); undone != nil {
		return err
	}
	return repeated(ctx, session, true, once)
}

const askGroups = "SELECT u.usename, g.groname FROM pg_catalog.pg_user u, pg_catalog.pg_group g WHERE u.usesysid = ANY(g.grolist) AND u.usename IN ($1, $2)"

// groupsOf reads the groups of two accounts, ours among them.
func groupsOf(ctx context.Context, session *pgwire.Session, a, b string) (map[string][]string, error) {
	return listsOfTwo(ctx, session, askGroups, a, b)
}

// listsOfTwo is listsOf for a question about two accounts: an answer about
// another is none.
func listsOfTwo(ctx context.Context, session *pgwire.Session, sql, a, b string) (map[string][]string, error) {
	lists, err := listsOf(ctx, session, sql, a, b)
	if err != nil {
		return nil, err
	}
	for name := range lists {
		if name != a && name != b {
			return nil, errAnswer
		}
	}
	return lists, nil
}

func listsOf(ctx context.Context, session *pgwire.Session, sql string, parameters ...string) (map[string][]string, error) {
	rows, err := ask(ctx, session, sql, parameters...)
	if err != nil {
		return nil, err
	}
	lists := make(map[string][]string)
	for _, row := range rows {
		if len(row) < 2 {
			return nil, errAnswer
		}
		lists[row[0].Text] = append(lists[row[0].Text], row[1].Text)
	}
	return lists, nil
}

const (
	askRoles      = "SELECT user_name, role_name, admin_option FROM pg_catalog.svv_user_grants WHERE user_name IN ($1, $2)"
	askRoleGrants = "SELECT role_name, granted_role_name FROM pg_catalog.svv_role_grants"
)

// superuserRole gives all that a superuser has.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_roles-default.html
const superuserRole = "sys:superuser"

// powerful returns which of two accounts hold superuserRole, by itself or
// through other roles.
func powerful(ctx context.Context, session *pgwire.Session, a, b string) (map[string]bool, error) {
	held, err := listsOfTwo(ctx, session, askRoles, a, b)
	if err != nil {
		return nil, err
	}
	if len(held) == 0 {
		return nil, nil
	}
	granted, err := listsOf(ctx, session, askRoleGrants)
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool)
	for account, roles := range held {
		found[account] = reaches(roles, granted, make(map[string]bool))
	}
	return found, nil
}

func reaches(roles []string, granted map[string][]string, seen map[string]bool) bool {
	return slices.ContainsFunc(roles, func(role string) bool {
		if seen[role] {
			return false
		}
		seen[role] = true
		return role == superuserRole || reaches(granted[role], granted, seen)
	})
}

// fence is what an admin's login never touches.
func fence(u user, powerful bool) error {
	switch {
	case !u.exists:
		return errors.New("the account does not exist; create it, or correct \"username\"")
	case u.superuser:
		return errors.New("the account is a superuser; an admin's login never sets its password")
	case powerful:
		return fmt.Errorf("the account holds the role %s, and so is an admin itself; an admin's login never sets its password", superuserRole)
	}
	return nil
}

// isSuperuser refuses an admin who sees and may do half of what there is.
func isSuperuser(doing, admin string, u user) error {
	if u.superuser {
		return nil
	}
	return dbdrivers.Classify(dbdrivers.ErrPrivilege, doing,
		errors.New("the admin is no superuser, and cannot see nor grant all that an account may have; name the cluster's or namespace's admin user in \"masterarn\", or as a superuser run: ALTER USER "+
			identifier(admin)+" CREATEUSER"))
}

// unsupported is the class of what is refused here.
func unsupported(doing string, err error) error {
	return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
}
