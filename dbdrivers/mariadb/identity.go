package mariadb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// identity is the account that a session acts as, a row of mysql.global_priv.
type identity struct {
	user, host string
	// judged is true where the server takes no hash, because a plugin is to see
	// each password.
	judged bool
	// readOnly is true where the server is to take no changes, even where this
	// account has the right to make them.
	readOnly bool
}

// quoted is the account as a statement names it.
func (i identity) quoted() string { return mywire.Account(i.user, i.host) }

// askIdentity asks who signed in. USER() is the name that was given,
// CURRENT_USER() the account that the server took it for.
//
// https://mariadb.com/docs/server/reference/sql-functions/secondary-functions/information-functions/current_user
// https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables#read_only
const askIdentity = `SELECT CURRENT_USER(), USER(), VERSION(), @@strict_password_validation AND EXISTS (
 SELECT * FROM information_schema.PLUGINS WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND PLUGIN_STATUS = 'ACTIVE'), @@GLOBAL.read_only`

func identify(ctx context.Context, session *mywire.Session, doing, username string) (identity, error) {
	answer, err := session.Ask(ctx, askIdentity)
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
	if len(answer.Rows) != 1 || len(answer.Rows[0]) != 5 {
		return me, errors.New("the server does not say who signed in")
	}
	row := answer.Rows[0]
	me.user, me.host = mywire.SplitAccount(row[0].Text)
	me.judged = row[3].Text == "1"
	// Later versions have words for it.
	me.readOnly = row[4].Text != "0" && row[4].Text != "OFF"
	given, _ := mywire.SplitAccount(row[1].Text)
	switch {
	case given != username:
		return me, fmt.Errorf("the server took the login for %q; a proxy in between signs in as another user, so give the database's own address in \"host\"", given)
	case me.user == "":
		return me, errors.New("the server let the login in as an anonymous account; drop the accounts without a name")
	case me.user != username:
		return me, fmt.Errorf("the server made the login a proxy user of %q; rotate an account that signs in as itself", me.user)
	case tooOld(row[2].Text):
		return me, fmt.Errorf("the server is %s; the driver works with MariaDB 10.6 and later", row[2].Text)
	}
	return me, nil
}

// tooOld reports whether VERSION() ("10.11.18-MariaDB-log") is before 10.6, for
// which the driver was written.
func tooOld(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 3 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return false
	}
	minor, err := strconv.Atoi(parts[1])
	return err == nil && (major < 10 || major == 10 && minor < 6)
}
