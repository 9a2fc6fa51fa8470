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

// verify returns the answers to the questions, which are asked on the way, and
// once only: one that does not end in time would not end the next time.
func verify(ctx context.Context, session *pgwire.Session, login dbdrivers.Login, questions ...pgwire.Statement) ([]pgwire.Answer, error) {
	doing := fmt.Sprintf("verifying %q at %s", login.Username, login.Address())
	statements := begin(ctx, session.Major(), "READ ONLY")
	who := len(statements)
	statements = append(statements, pgwire.Statement{SQL: whoAmI})
	statements = append(statements, questions...)
	statements = append(statements, pgwire.Statement{SQL: "COMMIT"})
	var answers []pgwire.Answer
	var err error
	if len(questions) > 0 {
		answers, err = session.Ask(ctx, statements...)
	} else {
		answers, err = open(ctx, session, statements)
	}
	if err != nil {
		return nil, pgwire.Classify(doing, err, pgwire.Unchanged, nil)
	}
	me, err := identify(answers[who], login.Username)
	if err != nil {
		return nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	if err := me.misled(); err != nil {
		return nil, dbdrivers.Classify(dbdrivers.ErrPrivilege, doing, err)
	}
	return answers[who+1 : len(answers)-1], nil
}

// identity is whom a session acts as, and whom the account's settings say it
// should act as.
type identity struct {
	acting string
	wanted pgwire.Value
}

// identify reads the answer to whoAmI. It refuses a session that a pooler
// opened as somebody else: it proves nothing about the account, and "my
// password" would be another's.
func identify(answer pgwire.Answer, username string) (identity, error) {
	if len(answer) != 1 || len(answer[0]) != 3 {
		return identity{}, errors.New("the server does not say who signed in")
	}
	row := answer[0]
	if signedIn := row[0].Text; signedIn != username {
		return identity{}, fmt.Errorf("the server took the login for %q; a pooler in between signs in as another user, so give the database's own address in \"host\"", signedIn)
	}
	return identity{acting: row[1].Text, wanted: row[2]}, nil
}

// misled says that the server let the account in without the role that it is
// set to act as. The server itself only warns of it.
func (i identity) misled() error {
	if i.wanted.Null || i.wanted.Text == "none" || i.wanted.Text == i.acting {
		return nil
	}
	return fmt.Errorf("its settings make it act as %q, but it acts as %q: it may not take that role; grant it, or correct ALTER ROLE ... SET role", i.wanted.Text, i.acting)
}
