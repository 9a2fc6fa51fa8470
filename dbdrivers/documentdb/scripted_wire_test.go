package documentdb_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The messages of the protocol that a client of today sends and reads.
//
// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

type frame struct{ Size, ID, Answers, Opcode int32 }

// question is a command that a client has sent.
type question struct {
	frame
	database string
	command  bson.Raw
}

func (q question) name() string {
	elements, err := q.command.Elements()
	if err != nil || len(elements) == 0 {
		return ""
	}
	return elements[0].Key()
}

// greets reports whether the client greets by this command.
func (q question) greets() bool {
	return q.command.Lookup("helloOk").Type != 0 || q.command.Lookup("client").Type != 0
}

var errNoCommand = errors.New("no command of the protocol")

func readQuestion(r io.Reader) (q question, err error) {
	if err := binary.Read(r, binary.LittleEndian, &q.frame); err != nil {
		return q, err
	}
	if q.Size < 16 || q.Size > 1<<20 {
		return q, errNoCommand
	}
	body := make([]byte, q.Size-16)
	if _, err := io.ReadFull(r, body); err != nil {
		return q, err
	}
	switch q.Opcode {
	case opMsg:
		if len(body) < 5 || body[4] != 0 {
			return q, errNoCommand
		}
		q.command = body[5:]
	case opQuery:
		name, rest, found := bytes.Cut(body[min(4, len(body)):], []byte{0})
		if !found || len(rest) < 8 {
			return q, errNoCommand
		}
		collection, _, _ := bytes.Cut(name, []byte("."))
		q.database, q.command = string(collection), rest[8:]
	default:
		return q, errNoCommand
	}
	if err := q.command.Validate(); err != nil {
		return q, err
	}
	if database, ok := q.command.Lookup("$db").StringValueOK(); ok {
		q.database = database
	}
	return q, nil
}

func writeAnswer(conn net.Conn, q question, answer bson.D) error {
	doc, err := bson.Marshal(answer)
	if err != nil {
		return err
	}
	head := frame{ID: q.ID, Answers: q.ID, Opcode: opMsg}
	before := make([]byte, 5)
	if q.Opcode == opQuery {
		head.Opcode = opReply
		before = make([]byte, 20)
		before[16] = 1 // one document
	}
	head.Size = int32(16 + len(before) + len(doc)) //nolint:gosec // answers are short
	var message bytes.Buffer
	if err := binary.Write(&message, binary.LittleEndian, head); err != nil {
		return err
	}
	message.Write(before)
	message.Write(doc)
	_, err = conn.Write(message.Bytes())
	return err
}
