package documentdbgate

import (
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// replicaSet is the name that DocumentDB's clusters have.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/connect_programmatically.html
const replicaSet = "rs0"

// hello lets FerretDB say hello, and says what DocumentDB differs in.
//
// A conversation that hello would begin is left to the client's saslStart, and
// no compression is agreed on.
func hello(_ context.Context, s *session, m opmsg.Message) (any, error) {
	if name, is := m.Body.Lookup("client", "application", "name").StringValueOK(); is {
		s.application = name
	}
	asked, err := edit(m.Body, "speculativeAuthenticate", "compression", "$db", "$readPreference")
	if err != nil {
		return nil, err
	}
	for i, e := range asked {
		if value, _ := e.Value.(bson.RawValue); e.Key == "saslSupportedMechs" && value.Type == bson.TypeString {
			database, name, _ := strings.Cut(value.StringValue(), ".")
			asked[i].Value = s.gate.plays().from(database) + "." + name
		}
	}
	answer, err := s.tell(m, append(asked, bson.E{Key: "$db", Value: adminDatabase}))
	if err != nil || !answer.OK() {
		return answer.Body, err
	}
	told, err := edit(answer.Body, "isWritablePrimary", "ismaster", "secondary", "setName", "hosts", "me", "msg", "compression")
	if err != nil {
		return nil, err
	}
	return s.gate.plays().hello(told, m.Command(), s.gate.Addr()), nil
}

// hello adds what a cluster at address says of itself.
//
// https://github.com/mongodb/specifications/blob/master/source/server-discovery-and-monitoring/server-discovery-and-monitoring.md
func (b Behavior) hello(told bson.D, asked, address string) bson.D {
	writable := "ismaster"
	if asked == "hello" {
		writable = "isWritablePrimary"
	}
	of := bson.D{{Key: writable, Value: !b.Reader}}
	switch {
	case b.Elastic:
		of = append(of, bson.E{Key: "msg", Value: "isdbgrid"})
	case !b.MongoDB:
		of = append(of,
			bson.E{Key: "secondary", Value: b.Reader},
			bson.E{Key: "setName", Value: replicaSet},
			bson.E{Key: "hosts", Value: bson.A{address}},
			bson.E{Key: "me", Value: address},
		)
	}
	for _, e := range told {
		switch {
		case e.Key == "maxWireVersion" && b.MaxWireVersion != 0:
			e.Value = int32(b.MaxWireVersion)
		case e.Key == "saslSupportedMechs" && !b.knows(scramSHA256):
			e.Value = bson.A{scramSHA1}
		}
		of = append(of, e)
	}
	return of
}

// edit is a document without fields.
func edit(document bson.Raw, without ...string) (bson.D, error) {
	elements, err := document.Elements()
	if err != nil {
		return nil, err
	}
	edited := bson.D{}
	for _, e := range elements {
		if !slices.Contains(without, e.Key()) {
			edited = append(edited, bson.E{Key: e.Key(), Value: e.Value()})
		}
	}
	return edited, nil
}
