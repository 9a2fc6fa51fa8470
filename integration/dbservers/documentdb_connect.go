package dbservers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// MongoConn is one session with a server that speaks MongoDB's protocol. It is
// never replaced by another one: once it is cut off, all that is asked of it
// fails.
type MongoConn struct{ *opmsg.Conn }

// MongoError is a server's word that it did not do a command, or did not let a
// client in.
type MongoError = opmsg.CommandError

// authSource is the key, in [dbdrivers.Login.Params], of the database that keeps
// the account, where that is not admin.
const authSource = "authSource"

// ConnectMongo signs in to a server that speaks MongoDB's protocol with login
// and nothing else, over TLS as login says. The account lives in admin, or in
// the database that login's parameter authSource names. It tries once, with one
// connection. The caller closes it.
func ConnectMongo(ctx context.Context, login dbdrivers.Login) (*MongoConn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	conn, err := opmsg.Dial(ctx, login.Address(), login.TLS.Config(login.Host))
	if err != nil {
		return nil, fmt.Errorf("connecting to MongoDB: %w", err)
	}
	database := adminDatabase
	if named := login.Params[authSource]; named != "" {
		database = named
	}
	if err := conn.SignIn(ctx, login.Username, login.Password.Reveal(), database); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to MongoDB: %w", err), conn.Close())
	}
	return &MongoConn{conn}, nil
}

// ConnectMongoSuperuser opens a connection to a stand-in for DocumentDB as the
// superuser, for assertions. It works whatever certificate SetTLS gave the
// server. The caller closes it.
func (s *Server) ConnectMongoSuperuser(ctx context.Context) (*MongoConn, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if _, ok := s.dialect.(interface{ speaksMongoDB() }); !ok {
		return nil, fmt.Errorf("a %s server does not speak MongoDB's protocol; use another Connect function", s.Engine)
	}
	return ConnectMongo(ctx, s.superuserOf(s.Database))
}

// mongoSession is a session with a stand-in for DocumentDB. A statement is a
// command in Extended JSON, and a question a field's name, " of " and a command
// whose answer has it.
type mongoSession struct{ conn *MongoConn }

func (s mongoSession) exec(ctx context.Context, statement string, args ...any) error {
	_, err := s.say(ctx, statement, args)
	return err
}

func (s mongoSession) ask(ctx context.Context, answer any, question string, args ...any) error {
	field, command, found := strings.Cut(question, " of ")
	if !found {
		return errors.New("a question is a field's name, \" of \" and a command")
	}
	told, err := s.say(ctx, command, args)
	if err != nil {
		return err
	}
	return told.Lookup(field).Unmarshal(answer)
}

func (s mongoSession) say(ctx context.Context, statement string, args []any) (bson.Raw, error) {
	if len(args) > 0 {
		return nil, errors.New("a command takes no arguments: write the values into it")
	}
	var command bson.D
	if err := bson.UnmarshalExtJSON([]byte(statement), false, &command); err != nil {
		return nil, errors.New("the statement is no command in MongoDB's Extended JSON")
	}
	database := adminDatabase
	said := bson.D{}
	for _, e := range command {
		if named, is := e.Value.(string); is && e.Key == "$db" {
			database = named
			continue
		}
		said = append(said, e)
	}
	return s.conn.Run(ctx, database, said)
}

// leave drops an error of leaving, which changes nothing for anyone: the
// connection is gone either way.
func (s mongoSession) leave(context.Context) { _ = s.conn.Close() }
