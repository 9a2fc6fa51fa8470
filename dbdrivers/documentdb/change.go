package documentdb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// change is one password's change, in a session of its own.
type change struct {
	driver   Driver
	doing    string
	as       dbdrivers.Login
	account  string
	password dbdrivers.Password
	// home is the account's own login as far as it says where the account lives.
	home dbdrivers.Login
	// twin is the account that takes turns with this one, and proven what its
	// caller knows of it.
	twin   string
	proven bool

	session *session
}

func (c *change) bySelf() bool { return c.as.Username == c.account }

// signedIn checks what can be checked without a server, and makes the change in
// a session of the login.
func (c *change) signedIn(ctx context.Context, hash string, change func() error) error {
	if err := c.driver.checkPassword(c.password); err != nil {
		return dbdrivers.Classify(dbdrivers.ErrPasswordRules, c.doing, err)
	}
	if hash != "" {
		return c.unsupported(fmt.Errorf("no hash %q: a user keeps the mechanisms that it has; take the hash out of the secret", hash))
	}
	if err := c.checkTarget(c.account); err != nil {
		return c.unsupported(err)
	}
	if err := c.driver.checkSource(c.home); err != nil {
		return c.unsupported(err)
	}
	s, err := c.driver.connect(ctx, c.as)
	if err != nil {
		return err
	}
	defer s.close()
	s.keep(c.password.Reveal())
	c.session = s
	if err := s.writable(c.doing); err != nil {
		return err
	}
	return change()
}

func (c *change) unsupported(err error) error {
	return dbdrivers.Classify(dbdrivers.ErrUnsupported, c.doing, err)
}

// setOwn changes the password of the user that signed in. Its mechanisms are kept
// where it may see them; without that the server chooses.
func (c *change) setOwn() error {
	me, exists, err := c.session.user(c.session.source, c.account)
	if err != nil {
		if lost := c.session.unread(c.doing, err); errors.Is(lost, dbdrivers.ErrUnreachable) {
			return lost
		}
	}
	command := bson.D{{Key: "updateUser", Value: c.account}, {Key: "pwd", Value: c.password.Reveal()}}
	if err == nil && exists {
		command = append(command, me.keptMechanisms()...)
	}
	if err := c.session.change(c.session.source, command); err != nil {
		return c.failed(err)
	}
	return nil
}

// keptMechanisms say in a command that a user's mechanisms stay: without them some
// servers give it all that they have.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/scram-sha-256-auth.html
func (u user) keptMechanisms() bson.D {
	if len(u.mechanisms) == 0 {
		return nil
	}
	return bson.D{{Key: "mechanisms", Value: u.mechanisms}}
}

// setByAdmin changes the password of another user.
func (c *change) setByAdmin() error {
	u, err := c.find(c.account)
	if err != nil {
		return err
	}
	if err := c.driver.fence(u); err != nil {
		return c.unsupported(err)
	}
	if c.twin != "" {
		if err := c.siblingsTurn(u.database); err != nil {
			return err
		}
	}
	command := bson.D{{Key: "updateUser", Value: u.name}, {Key: "pwd", Value: c.password.Reveal()}}
	if err := c.session.change(u.database, append(command, u.keptMechanisms()...)); err != nil {
		return c.failed(err)
	}
	return nil
}

// find reads a user of the database in which the account's own login says that it
// lives. A user of the same name in another database is another user, of whom
// nothing was proven.
func (c *change) find(name string) (user, error) {
	database := c.driver.source(c.home)
	u, exists, err := c.session.user(database, name)
	if err != nil {
		return u, c.session.unread(c.doing, err)
	}
	if !exists {
		remedy := `"username"`
		if c.driver.mongo {
			remedy += `, "authSource" or "dbname"`
		}
		return u, c.unsupported(fmt.Errorf("the user %q does not exist in the database %q; create it there, or correct %s of the account's secret", name, database, remedy))
	}
	return u, nil
}

// siblingsTurn is what comes before an admin sets the canonical account's
// password because its twin's opened: the twin must be one.
func (c *change) siblingsTurn(database string) error {
	if err := c.checkTarget(c.twin); err != nil {
		return c.unsupported(err)
	}
	twin, exists, err := c.session.user(database, c.twin)
	if err != nil {
		return c.session.unread(c.doing, err)
	}
	if !exists || !markOf(twin.custom, c.account).proves(c.proven) {
		return c.unsupported(fmt.Errorf("%w: %q", dbdrivers.ErrTwinUnproven, c.twin))
	}
	return nil
}

// failed says what an error of a change means.
func (c *change) failed(err error) error {
	var server mongo.CommandError
	if errors.As(err, &server) && server.Code == codeBadValue && strings.Contains(strings.ToLower(server.Message), "password") {
		return dbdrivers.Classify(dbdrivers.ErrPasswordRules, c.doing, said(server))
	}
	return c.session.classify(c.doing, err, unknown, append([]rule{{codes: []int32{codeUnauthorized}, class: dbdrivers.ErrPrivilege, remedy: c.missing()}}, doubtful...)...)
}

// missing names the right that a change lacks.
func (c *change) missing() string {
	switch {
	case c.bySelf() && c.driver.mongo:
		return "the user may not change its own password; grant it a role with the action changeOwnPassword, or let an admin rotate it (\"masterarn\")"
	case c.bySelf():
		return "DocumentDB lets only those change a password, their own too, who have changePassword, by the roles userAdminAnyDatabase, restore and root; " +
			"let an admin rotate this user (\"masterarn\")"
	}
	return "as an administrator grant the login the role userAdminAnyDatabase of the database admin"
}
