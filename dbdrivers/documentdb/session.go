package documentdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// session is one signed-in connection. It is used by one goroutine at a time.
// Close it.
type session struct {
	driver  Driver
	attempt *attempt
	client  *mongo.Client
	end     context.CancelFunc
	// source is the database in which the login's user lives.
	source  string
	secrets []string
	lost    bool // the connection is gone
	// plain: the server does not know writeConcern on commands for users.
	plain bool
	// unrestricted: the server does not know authenticationRestrictions.
	unrestricted bool
}

// keep adds a secret that no error of this session may show.
func (s *session) keep(secret string) { s.secrets = append(s.secrets, secret) }

// run sends one command to a database and returns the answer.
func (s *session) run(database string, command bson.D) (bson.Raw, error) {
	if err := s.attempt.ctx.Err(); err != nil {
		return nil, unsentError{context.Cause(s.attempt.ctx)}
	}
	answer, err := s.client.Database(database).RunCommand(s.attempt.ctx, command).Raw()
	if err != nil {
		return nil, s.clean(err)
	}
	return answer, nil
}

// change sends a command that changes users. MongoDB is asked to answer only when
// most members of a cluster have the change: what one member alone had is rolled
// back where it fails. DocumentDB documents no such field on commands for users,
// and keeps what it has acknowledged.
//
// https://www.mongodb.com/docs/manual/reference/command/updateUser/
// https://docs.aws.amazon.com/documentdb/latest/developerguide/how-it-works.html
func (s *session) change(database string, command bson.D) error {
	if s.driver.mongo && !s.plain {
		most := bson.E{Key: "writeConcern", Value: bson.D{{Key: "w", Value: "majority"}}}
		_, err := s.run(database, append(slices.Clone(command), most))
		if !notUnderstood(err) {
			return err
		}
		s.plain = true
	}
	_, err := s.run(database, command)
	return err
}

// unconfirmedError is the server's word that a change was made, and that most
// members of the cluster have not got it.
type unconfirmedError struct{ mongo.CommandError }

func (e unconfirmedError) Unwrap() error { return e.CommandError }

// clean returns the server's own word without secrets, or why there is none.
func (s *session) clean(err error) error {
	var server mongo.CommandError
	if errors.As(err, &server) && (server.Code != 0 || !server.HasErrorLabel(labelNetwork) && !isNetwork(err)) {
		return scrub(server, s.secrets)
	}
	var written mongo.WriteException
	if errors.As(err, &written) && written.WriteConcernError != nil {
		told := written.WriteConcernError
		return unconfirmedError{scrub(mongo.CommandError{Code: int32(told.Code), Name: told.Name, Message: told.Message}, s.secrets)} //nolint:gosec // codes of the protocol are small
	}
	s.lost = true
	return s.attempt.cause(err)
}

// scrub returns a copy of the server's error without secrets, without the answer
// that it was in, and without the library's error within. A server has no reason
// to repeat one, but what listens at an address is other people's code.
func scrub(err mongo.CommandError, secrets []string) mongo.CommandError {
	// The longest first: one that another begins with would leave its rest.
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, secret := range secrets {
		if secret != "" {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	replacer := strings.NewReplacer(pairs...)
	clean := mongo.CommandError{Code: numberOf(err), Message: replacer.Replace(err.Message), Name: replacer.Replace(err.Name)}
	for _, label := range err.Labels {
		clean.Labels = append(clean.Labels, replacer.Replace(label))
	}
	return clean
}

// labelNetwork is the library's on errors of the connection, which it hands out by
// the type of the server's.
const labelNetwork = "NetworkError"

// numberOf is the code of a server's error. The library reads it in one only of
// the forms in which it may come, and keeps no answer of a sign-in.
func numberOf(err mongo.CommandError) int32 {
	if err.Code != 0 {
		return err.Code
	}
	if number, ok := err.Raw.Lookup("code").AsInt64OK(); ok {
		return int32(number) //nolint:gosec // codes of the protocol are small
	}
	return named[err.Name]
}

// unsentError is an error from before a command was sent.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

// close leaves. Nothing of the session is left when it returns.
func (s *session) close() {
	if s.lost || s.attempt.ctx.Err() != nil {
		s.abandon()
		return
	}
	s.attempt.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.attempt.ctx), leaving)
	defer cancel()
	_ = s.client.Disconnect(ctx)
	s.attempt.cut()
	s.attempt.cancel(nil)
	s.end()
}

// abandon leaves without a goodbye, for which the library would wait.
func (s *session) abandon() {
	s.attempt.leave()
	s.attempt.cut()
	s.attempt.cancel(nil)
	s.end()
	if s.client != nil {
		_ = s.client.Disconnect(s.attempt.ctx)
	}
	// One may have come while the library was leaving.
	s.attempt.cut()
}

// identity are the users that a connection is signed in as.
type identity struct {
	AuthInfo struct {
		Users []struct {
			User string `bson:"user"`
			DB   string `bson:"db"`
		} `bson:"authenticatedUsers"`
	} `bson:"authInfo"`
}

// whoami asks the server whom it took the login for.
//
// https://www.mongodb.com/docs/manual/reference/command/connectionStatus/
func (s *session) whoami() (me identity, err error) {
	answer, err := s.run(databaseAdmin, bson.D{{Key: "connectionStatus", Value: 1}})
	if err != nil {
		return me, err
	}
	if err := bson.Unmarshal(answer, &me); err != nil {
		return identity{}, nil //nolint:nilerr // it names nobody then, which is an error of its own
	}
	return me, nil
}

// is returns the database in which the server says that the login's user lives, or
// why the login is not the one that was meant. A server whose users all live in
// admin says that, whichever database a login named.
func (i identity) is(username, database string) (lives string, err error) {
	users := i.AuthInfo.Users
	switch {
	case len(users) == 0:
		return "", errors.New("the server let the login in without signing anybody in, so a rotation can prove nothing; turn its access control on")
	case len(users) > 1 || users[0].User != username || users[0].DB != database && users[0].DB != databaseAdmin:
		return "", fmt.Errorf("the server took the login for %q of the database %q, not for %q of %q; give the database's own address in \"host\"",
			users[0].User, users[0].DB, username, database)
	}
	return users[0].DB, nil
}

var errReadOnly = errors.New("the server takes no changes, as replicas do not; name the cluster's endpoint in \"host\", not the reader's or an instance's")

// writable refuses a server that is no primary. A router of an elastic cluster,
// or of a sharded one, says that it is one. It is asked by the command's older
// name, which every server of this protocol knows.
//
// https://www.mongodb.com/docs/manual/reference/command/isMaster/
func (s *session) writable(doing string) error {
	answer, err := s.run(databaseAdmin, bson.D{{Key: "isMaster", Value: 1}})
	if err != nil {
		return s.classify(doing, err, unchanged)
	}
	if is, ok := answer.Lookup("ismaster").BooleanOK(); ok && is {
		return nil
	}
	return dbdrivers.Classify(dbdrivers.ErrNotWritable, doing, errReadOnly)
}
