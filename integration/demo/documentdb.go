package main

import (
	"context"
	"fmt"
	"regexp"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// documentdb is shown on a stand-in: no DocumentDB runs outside of AWS.
var documentdb = engine{
	name: "DocumentDB's stand-in",
	start: func(ctx context.Context) (*dbservers.Server, error) {
		return dbservers.StartDocumentDB(ctx, dbservers.DocumentDBOptions{})
	},
	connect: func(ctx context.Context, login dbdrivers.Login) (session, error) {
		conn, err := dbservers.ConnectMongo(ctx, login)
		if err != nil {
			return nil, err
		}
		return mongoSession{conn, login.Database}, nil
	},
	lacks:   map[string]string{"dual-password": "a user of DocumentDB has one password"},
	byAdmin: true,
	orders: []string{
		`{"insert": "orders", "documents": [{"_id": 1, "item": "pear"}, {"_id": 2, "item": "quince"}, {"_id": 3, "item": "medlar"}]}`,
	},
	count: `{"find": "orders"}`,
	makes: func(table string) string { return fmt.Sprintf(`{"insert": %q, "documents": [{"turn": 0}]}`, table) },
	writes: func(table string, number int) string {
		return fmt.Sprintf(`{"insert": %q, "documents": [{"turn": %d}]}`, table, number)
	},
	// The second alternative of each is MongoDB's: its log names no application,
	// but the application here signs in without speculation.
	signedIn: regexp.MustCompile(`"atype":"authenticate".*"application":"dbrotation".*"result":0|Successfully authenticated.*"isSpeculative":true`),
	refused:  regexp.MustCompile(`"atype":"authenticate".*"result":18|Authentication failed|Failed to authenticate`),
	changes:  regexp.MustCompile(`updateUser`),
	silent:   "ferretdb.log",
}

// mongoSession says commands in MongoDB's Extended JSON to one database.
type mongoSession struct {
	conn     *dbservers.MongoConn
	database string
}

func (s mongoSession) say(ctx context.Context, statement string) (bson.Raw, error) {
	var command bson.D
	if err := bson.UnmarshalExtJSON([]byte(statement), false, &command); err != nil {
		return nil, err
	}
	return s.conn.Run(ctx, s.database, command)
}

func (s mongoSession) exec(ctx context.Context, statement string) error {
	_, err := s.say(ctx, statement)
	return err
}

// number counts the documents of an answer's first batch.
func (s mongoSession) number(ctx context.Context, question string) (int, error) {
	answer, err := s.say(ctx, question)
	if err != nil {
		return 0, err
	}
	var found struct {
		Cursor struct {
			FirstBatch []bson.Raw `bson:"firstBatch"`
		}
	}
	if err := bson.Unmarshal(answer, &found); err != nil {
		return 0, err
	}
	return len(found.Cursor.FirstBatch), nil
}

func (s mongoSession) leave(context.Context) { _ = s.conn.Close() }
