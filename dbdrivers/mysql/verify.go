package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// identity is the account that a session acts as, a row of mysql.user, and the
// server's version.
type identity struct {
	user, host string
	version    version
	// readOnly is true of a replica, or a server that is to be left alone. Some
	// admins could write there all the same (CONNECTION_ADMIN).
	readOnly bool
}

// quoted is the account as a statement names it.
func (i identity) quoted() string { return mywire.Account(i.user, i.host) }

// identify asks who signed in. USER() is the name that was given, CURRENT_USER()
// the row that the server took it for.
//
// https://dev.mysql.com/doc/refman/9.7/en/account-activity-auditing.html
// https://dev.mysql.com/doc/refman/9.7/en/server-system-variables.html#sysvar_read_only
func identify(ctx context.Context, session *mywire.Session, doing, username string) (identity, error) {
	answer, err := session.Ask(ctx, "SELECT CURRENT_USER(), USER(), VERSION(), @@GLOBAL.read_only OR @@GLOBAL.innodb_read_only")
	if err != nil {
		return identity{}, session.Classify(doing, err, mywire.Unchanged, nil)
	}
	me, err := identityOf(answer, username)
	if err != nil {
		return me, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	return me, nil
}

func identityOf(answer mywire.Answer, username string) (me identity, err error) {
	if len(answer.Rows) != 1 || len(answer.Rows[0]) != 4 {
		return me, errors.New("the server does not say who signed in")
	}
	row := answer.Rows[0]
	me.user, me.host = mywire.SplitAccount(row[0].Text)
	given, _ := mywire.SplitAccount(row[1].Text)
	switch {
	case given != username:
		return me, fmt.Errorf("the server took the login for %q; a proxy in between signs in as another user, so give the database's own address in \"host\"", given)
	case me.user == "":
		return me, errors.New("the server let the login in as an anonymous account; drop the accounts without a name")
	case me.user != username:
		return me, fmt.Errorf("the server made the login a proxy user of %q; rotate an account that signs in as itself", me.user)
	}
	if strings.Contains(row[2].Text, "MariaDB") {
		return me, errors.New("the server is MariaDB; set \"engine\": \"mariadb\" in the secret")
	}
	me.version, me.readOnly = versionOf(row[2].Text), row[3].Text == "1"
	return me, nil
}

// version is a server's, as numbers that compare.
type version [3]int

var (
	version80 = version{8, 0, 0}
	// versionReplace has REPLACE 'current password'.
	versionReplace = version{8, 0, 13}
	// versionDual has RETAIN CURRENT PASSWORD.
	versionDual = version{8, 0, 14}
	// versionAttributes has ATTRIBUTE, and information_schema.user_attributes.
	versionAttributes = version{8, 0, 21}
)

// versionOf reads VERSION(): "8.0.40", "9.7.4-log".
func versionOf(text string) (v version) {
	for i, part := range strings.SplitN(text, ".", len(v)) {
		end := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' })
		if end >= 0 {
			part = part[:end]
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			return v
		}
		v[i] = n
	}
	return v
}

func (v version) atLeast(other version) bool {
	for i := range v {
		if v[i] != other[i] {
			return v[i] > other[i]
		}
	}
	return true
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }
