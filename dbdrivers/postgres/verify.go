package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// whoAmI asks who signed in, whom the session acts as, and whom the account's
// settings say it should act as. The settings of the account in this database
// go before those of the account, then the database's, then those of all.
//
// https://www.postgresql.org/docs/current/catalog-pg-db-role-setting.html
const whoAmI = `SELECT session_user, current_user,
 (SELECT substr(c, length('role=') + 1)
    FROM pg_db_role_setting s, unnest(s.setconfig) AS c
   WHERE c LIKE 'role=%'
     AND s.setrole IN (0, to_regrole(quote_ident(session_user)))
     AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
   ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1)`

func verify(ctx context.Context, session *pgwire.Session, login dbdrivers.Login) error {
	doing := fmt.Sprintf("verifying %q at %s", login.Username, login.Address())
	statements := append(begin(ctx, session.Major(), "READ ONLY"), pgwire.Statement{SQL: whoAmI}, pgwire.Statement{SQL: "COMMIT"})
	rows, err := open(ctx, session, statements)
	if err != nil {
		return pgwire.Classify(doing, err, pgwire.Unchanged, nil)
	}
	if len(rows) != 1 || len(rows[0]) != 3 {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, errors.New("the server does not say who signed in"))
	}
	signedIn, acting, wanted := rows[0][0].Text, rows[0][1].Text, rows[0][2]
	if err := sameUser(signedIn, login.Username); err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	if !wanted.Null && wanted.Text != "none" && wanted.Text != acting {
		return dbdrivers.Classify(dbdrivers.ErrBarred, doing, fmt.Errorf(
			"its settings make it act as %q, but it acts as %q: it may not take that role; grant it, or correct ALTER ROLE ... SET role", wanted.Text, acting))
	}
	return nil
}

// sameUser refuses a session that a pooler opened as somebody else: it proves
// nothing about the account, and "my password" would be another's.
func sameUser(signedIn, username string) error {
	if signedIn == username {
		return nil
	}
	return fmt.Errorf("the server took the login for %q; a pooler in between signs in as another user, so give the database's own address in \"host\"", signedIn)
}
