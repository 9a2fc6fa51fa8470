// Package documentdb is the driver for Amazon DocumentDB 4.0, 5.0 and 8.0, for
// its elastic clusters, and for MongoDB 4.0 and later where a secret calls its
// engine "mongo". What it does on DocumentDB is as AWS documents it: no
// DocumentDB could be asked while it was written. It was tried against a server
// that speaks the same protocol and against a scripted one.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/mongo-apis.html
//
// A server of this protocol takes no verifier in place of a password: the new
// password is in the command that sets it, and so goes over TLS unless the
// secret turns that off. No page of AWS shows a password in DocumentDB's audit
// log, and none promises that there is never one. The client library takes
// passwords as SASLprep prepares them.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/event-auditing.html
//
// The server shows nobody which password an account has. So a request by an
// admin that comes late cannot be told from one that comes in time, and the last
// one said is the one that counts. Nor does DocumentDB document a time limit for
// commands on users; a call ends with its context, and then says that it does not
// know whether the change was made.
//
// # The mark of a twin
//
// A twin is marked in its customData, by one field:
//
//	dbrotation: {twinOf: "app", state: "equal"}
//
// The state is "made" for a user that was made as the twin and has not been
// opened yet, "taken" for one that was proven to be the twin and has not been
// opened as an equal one, and "equal" afterwards. No built-in role lets a user
// change customData, except those that manage users; a role of one's own may
// (changeOwnCustomData, or changeCustomData), and whoever has it can mark his
// account, so do not grant it to one of a pair. The mark is copied to nobody and
// compared with nothing.
//
// # What it does not see
//
// Roles of one's own are compared and copied by name and database. What they
// hold is not looked into, because elastic clusters have no commands for that:
// one that lets its users manage others does not show.
package documentdb

import (
	"context"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Driver is the driver of both engines, each by its constructor. Its zero value
// is DocumentDB's.
type Driver struct {
	// mongo: users live in databases, and nothing of DocumentDB's limits holds.
	mongo bool
}

var (
	_ dbdrivers.Driver     = Driver{}
	_ dbdrivers.TwinOpener = Driver{}
)

// New returns the driver of Amazon DocumentDB (engines "documentdb" and "docdb"),
// whose users all live in the database admin.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/role_based_access_control.html
func New() Driver { return Driver{} }

// NewMongo returns the driver of the engine "mongo", the name that AWS's own
// function for MongoDB and DocumentDB uses. A login's user lives in the database
// that "authSource" names in its secret, else in "dbname", else in admin, as that
// function takes it. An admin's login changes the account that lives where the
// account's own secret says, and no other of its name. A server that says of a
// login that its user lives in admin, whatever was asked for, is believed: it is
// DocumentDB by this name.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
func NewMongo() Driver { return Driver{mongo: true} }

// Traits describes the engine. For DocumentDB its rules are those that AWS
// documents for the primary user; for others none are documented.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/db-cluster-parameters.html
func (d Driver) Traits() dbdrivers.Traits {
	traits := dbdrivers.Traits{
		Engine:          "documentdb",
		DefaultPort:     27017,
		DefaultDatabase: databaseAdmin,
		Username:        dbdrivers.Limit{Max: maxName},
		Password: dbdrivers.PasswordTraits{
			MinLength:         minPassword,
			MaxLength:         maxPassword,
			Forbidden:         forbidden + controls,
			ExcludedByDefault: `/@"'\`,
			ASCII:             true,
		},
		// An account keeps the mechanisms that it has.
		Hashes:        nil,
		SendsPassword: true,
	}
	if d.mongo {
		traits.Username.Max = maxMongoName
		traits.Password.MinLength, traits.Password.MaxLength = 1, maxMongoPassword
		// SASLprep prohibits them, and many characters beyond ASCII: those that came
		// after Unicode 3.2.
		traits.Password.Forbidden = controls
	}
	return traits
}

// Verify signs in and asks the server whom it took the login for.
func (d Driver) Verify(ctx context.Context, req dbdrivers.VerifyRequest) error {
	s, err := d.connect(ctx, req.Login)
	if err != nil {
		return err
	}
	s.close()
	return nil
}

// SetPassword sets a user's password, by the user itself or by an admin, who on
// DocumentDB has one of the roles userAdminAnyDatabase, restore and root.
//
// DocumentDB documents nothing by which any other user could change its own
// password. Where the server says so, the error is [dbdrivers.ErrPrivilege] and
// names the remedy, an admin.
//
// An admin's change is refused for users that are admins themselves, for those
// that the service reserves, and for those that sign in by IAM. The user's
// mechanisms stay as the server shows them.
//
// req.Current is not used: the server shows nobody which password an account has.
func (d Driver) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	c := change{
		driver: d, doing: fmt.Sprintf("setting the password of %q at %s", req.Account, req.As.Address()),
		as: req.As, account: req.Account, home: homeOf(req.Database, req.Params, req.As),
		password: req.Password, twin: req.Twin, proven: req.Proven,
	}
	return c.signedIn(ctx, req.Hash, func() error {
		if c.bySelf() {
			return c.setOwn()
		}
		return c.setByAdmin()
	})
}
