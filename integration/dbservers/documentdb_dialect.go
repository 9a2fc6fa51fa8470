package dbservers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers/documentdbgate"
)

// authenticationFailed is the error of a sign-in with a wrong password, or as
// nobody.
//
// https://www.mongodb.com/docs/manual/reference/error-codes/
const authenticationFailed = 18

// adminDatabase is where DocumentDB keeps all users.
const adminDatabase = "admin"

// documentdbDialect is the dialect of a stand-in for DocumentDB: of MongoDB, and
// with a gate of FerretDB.
type documentdbDialect struct {
	release release
	options DocumentDBOptions
	gated   bool
}

var _ dialect = (*documentdbDialect)(nil)

func (d *documentdbDialect) speaksMongoDB() {}

func (d *documentdbDialect) engine() string { return d.release.engine }

func (d *documentdbDialect) superuser() string { return documentdbgate.ServiceAdmin }

func (d *documentdbDialect) encrypted() bool { return !d.options.NoTLS }

func (d *documentdbDialect) primary(ca *CA, superuser string) recipe {
	if d.gated {
		return d.ferretRecipe(superuser)
	}
	return d.mongoRecipe(ca, superuser)
}

func (d *documentdbDialect) connect(ctx context.Context, login dbdrivers.Login) (session, error) {
	conn, err := ConnectMongo(ctx, login)
	if err != nil {
		return nil, err
	}
	return mongoSession{conn}, nil
}

// connectQuietly is a session like any other: MongoDB writes no password into
// its log, and the gate audits nothing of serviceadmin.
//
// https://www.mongodb.com/docs/manual/reference/log-messages/
func (d *documentdbDialect) connectQuietly(ctx context.Context, superuser dbdrivers.Login) (session, error) {
	return d.connect(ctx, superuser)
}

func (d *documentdbDialect) rejected(err error) bool {
	var refused *MongoError
	return errors.As(err, &refused) && refused.SignIn && refused.Code == authenticationFailed
}

func (d *documentdbDialect) systemDatabase() string { return adminDatabase }

func (d *documentdbDialect) versionQuestion() string { return `version of {"buildInfo": 1}` }

// setUp makes the cluster's primary user.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/security.managing-users.html
func (d *documentdbDialect) setUp(ctx context.Context, quiet session, s *Server) error {
	return d.create(ctx, quiet, s.Admin.Username, s.Admin.Password.Reveal(), "root", adminDatabase)
}

// createUser makes a user who may read and write the server's Database.
func (d *documentdbDialect) createUser(ctx context.Context, quiet session, s *Server, user, password string) error {
	return d.create(ctx, quiet, user, password, "readWrite", s.Database)
}

func (d *documentdbDialect) create(ctx context.Context, quiet session, user, password, role, database string) error {
	command, err := bson.MarshalExtJSON(bson.D{
		{Key: "createUser", Value: user},
		{Key: "pwd", Value: password},
		{Key: "roles", Value: bson.A{bson.D{{Key: "role", Value: role}, {Key: "db", Value: database}}}},
	}, true, false)
	if err != nil {
		return err
	}
	return quiet.exec(ctx, string(command))
}

// spent is the file of FerretDB's first password; MongoDB's is passing.
func (d *documentdbDialect) spent() []file {
	if d.gated {
		return []file{{name: ferretSetUp, mode: 0o600}}
	}
	return nil
}

// reloadTLS makes MongoDB read its certificate again. The gate has it by then.
//
// https://www.mongodb.com/docs/manual/reference/command/rotateCertificates/
func (d *documentdbDialect) reloadTLS() string {
	if d.gated {
		return `{"ping": 1}`
	}
	return `{"rotateCertificates": 1}`
}

// logFiles is FerretDB's own log, beside the audit events that the gate writes.
// It holds no commands: FerretDB writes them with their values or not at all.
func (d *documentdbDialect) logFiles(context.Context, *Server) ([]string, error) {
	if d.gated {
		return []string{ferretLog}, nil
	}
	return nil, nil
}

// signIns reads the gate's audit events, or MongoDB's log.
func (d *documentdbDialect) signIns(log, user string) SignIns {
	if !d.gated {
		return mongoSignIns(log, user)
	}
	var counted SignIns
	for line := range strings.Lines(log) {
		event, err := documentdbgate.ParseEvent([]byte(line))
		if err != nil || event.Type != documentdbgate.EventAuthenticate || event.Param.User != user {
			continue
		}
		if event.Result == 0 {
			counted.Accepted++
		} else {
			counted.Refused++
		}
	}
	return counted
}

// What MongoDB's log says of a sign-in's end.
//
// https://www.mongodb.com/docs/manual/reference/log-messages/
const (
	mongoAccepted = "Successfully authenticated"
	mongoRefused  = "Authentication failed"
	// mongoRefusedLater is how version 7.0 says it.
	mongoRefusedLater = "Failed to authenticate"
)

func mongoSignIns(log, user string) SignIns {
	var counted SignIns
	for line := range strings.Lines(log) {
		var entry struct {
			Message string `json:"msg"`
			About   struct {
				User string `json:"user"`
			} `json:"attr"`
		}
		if err := json.Unmarshal(bytes.TrimSpace([]byte(line)), &entry); err != nil || entry.About.User != user {
			continue
		}
		switch entry.Message {
		case mongoAccepted:
			counted.Accepted++
		case mongoRefused, mongoRefusedLater:
			counted.Refused++
		}
	}
	return counted
}

// No replica of a stand-in can be started: a reader endpoint is played, see
// [Server.PlayDocumentDB].

func (d *documentdbDialect) replica(*CA, string) recipe { return recipe{release: d.release} }

func (d *documentdbDialect) isReplica() string { return `readOnly of {"hello": 1}` }

func (d *documentdbDialect) pause() (statement, question string) {
	return `{"ping": 1}`, d.isReplica()
}

func (d *documentdbDialect) resume() string { return `{"ping": 1}` }

func (d *documentdbDialect) position(context.Context, session) (string, error) {
	return "", errNoReplicas
}

func (d *documentdbDialect) reached() string { return d.isReplica() }

var errNoReplicas = errors.New("a stand-in for DocumentDB has no replicas; a reader endpoint is played by Server.PlayDocumentDB")
