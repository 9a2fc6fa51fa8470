package documentdbgate

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// store is the gate's own connection to FerretDB, as ServiceAdmin. It is made
// when it is first needed, and anew where it broke.
type store struct {
	server, password string

	mu   sync.Mutex
	conn *opmsg.Conn
}

// run says a command.
func (s *store) run(ctx context.Context, database string, command bson.D) error {
	_, err := s.say(ctx, database, command)
	return err
}

// find reads documents into a list.
func (s *store) find(ctx context.Context, database, collection string, filter bson.D, into any) error {
	// More than any test makes: there is no second batch.
	const batch = 100_000
	answer, err := s.say(ctx, database, bson.D{
		{Key: "find", Value: collection}, {Key: "filter", Value: filter},
		{Key: "batchSize", Value: batch}, {Key: "singleBatch", Value: true},
	})
	if err != nil {
		return err
	}
	if err := answer.Lookup("cursor", "firstBatch").Unmarshal(into); err != nil {
		return fmt.Errorf("reading what is stored: %w", err)
	}
	return nil
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }

func (s *store) say(ctx context.Context, database string, command bson.D) (bson.Raw, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if s.conn == nil {
		conn, err := opmsg.Dial(ctx, s.server, nil)
		if err != nil {
			return nil, fmt.Errorf("connecting to FerretDB: %w", err)
		}
		if err := conn.SignIn(ctx, ServiceAdmin, s.password, adminDatabase); err != nil {
			return nil, errors.Join(fmt.Errorf("signing in to FerretDB: %w", err), conn.Close())
		}
		s.conn = conn
	}
	answer, err := s.conn.Run(ctx, database, command)
	if err == nil {
		// Each write of one command is told of by itself.
		if failed, is := answer.Lookup("writeErrors").ArrayOK(); is {
			return nil, fmt.Errorf("FerretDB did not write: %s", failed)
		}
		return answer, nil
	}
	var refused *opmsg.CommandError
	if !errors.As(err, &refused) {
		_ = s.conn.Close() // it is broken
		s.conn = nil
	}
	return nil, err
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
