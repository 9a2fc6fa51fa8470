package documentdbgate

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// saslStart begins a sign-in. What the client proves passes to FerretDB, which
// alone knows what proves it. A mechanism that the cluster does not offer is
// refused in the words that users of DocumentDB report; which number that error
// has, nobody tells.
//
// https://github.com/Automattic/mongoose/issues/15018
// https://github.com/mongodb/specifications/blob/master/source/auth/auth.md
func saslStart(_ context.Context, s *session, m opmsg.Message) (any, error) {
	s.user = account{}
	s.asking, _ = m.SignIn()
	s.asking.Database = s.gate.plays().from(s.asking.Database)
	if s.asking.User != ServiceAdmin && !s.gate.plays().knows(s.asking.Mechanism) {
		s.auditSignIn(codeBadValue)
		return nil, refuse(codeBadValue, "Unsupported mechanism [ -301 ]")
	}
	return s.verdict(m)
}

func saslContinue(_ context.Context, s *session, m opmsg.Message) (any, error) { return s.verdict(m) }

// verdict passes on one message of a sign-in, and notes what FerretDB makes of
// it.
func (s *session) verdict(m opmsg.Message) (any, error) {
	document, err := edit(m.Body, "$db")
	if err != nil {
		return nil, err
	}
	document = append(document, bson.E{Key: "$db", Value: s.gate.plays().from(m.Database())})
	answer, err := s.tell(m, document)
	if err != nil {
		return nil, err
	}
	if !answer.OK() {
		s.auditSignIn(answer.Code())
		s.asking = opmsg.SignIn{}
		return answer.Body, nil
	}
	if over, _ := answer.Body.Lookup("done").BooleanOK(); over {
		s.user = account{name: s.asking.User, db: s.asking.Database}
		s.auditSignIn(0)
	}
	return answer.Body, nil
}

// from is the database in which a login's user is looked for.
func (b Behavior) from(database string) string {
	if b.AnySource {
		return adminDatabase
	}
	return database
}

func logout(_ context.Context, s *session, m opmsg.Message) (any, error) {
	s.user = account{}
	return s.pass(m)
}

// connectionStatus tells who signed in, and which roles that user has.
func connectionStatus(ctx context.Context, s *session, _ opmsg.Message) (any, error) {
	users, roles := bson.A{}, bson.A{}
	if s.user.name != "" {
		users = append(users, bson.D{{Key: "user", Value: s.user.name}, {Key: "db", Value: s.user.db}})
		stored, found, err := s.gate.user(ctx, s.user)
		if err != nil {
			return nil, err
		}
		if found {
			roles = documents(stored.Roles)
		}
	}
	return bson.D{
		{Key: "authInfo", Value: bson.D{
			{Key: "authenticatedUsers", Value: users},
			{Key: "authenticatedUserRoles", Value: roles},
		}},
		{Key: "ok", Value: 1.0},
	}, nil
}
