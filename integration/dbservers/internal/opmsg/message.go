// Package opmsg reads and writes the messages of MongoDB's protocol, as far as
// today's drivers speak it: OP_MSG, and the OP_QUERY by which they first say
// hello, with the OP_REPLY to it. It knows no compression: who stands between
// client and server must not let them agree on one.
//
// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
package opmsg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The kinds of messages.
const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

// The flags of an OP_MSG.
const (
	checksumPresent = 1 << 0
	moreToCome      = 1 << 1
)

const (
	headerSize   = 16
	checksumSize = 4
	// maxSize is the maxMessageSizeBytes that servers tell.
	maxSize = 48_000_000
)

// errShort is the error of a message that ends too early.
var errShort = errors.New("the message is shorter than it says")

// Message is one message: a command, or the answer to one.
type Message struct {
	// ID and ResponseTo are the numbers in the message's header.
	ID, ResponseTo int32
	// Body is the command's or the answer's own document.
	Body bson.Raw
	// Sequences are lists of documents that came beside it.
	Sequences []Sequence
	// Raw is the message as it was read.
	Raw []byte

	opcode int32
	flags  uint32
	// namespace is that of an OP_QUERY.
	namespace string
}

// Sequence is a list of documents that stands beside a command's own document,
// under the name of one of its fields.
type Sequence struct {
	Name      string
	Documents []bson.Raw
}

// Read reads one message.
func Read(from io.Reader) (Message, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return Message{}, fmt.Errorf("reading a message: %w", err)
	}
	size := int32(binary.LittleEndian.Uint32(header[0:]))
	m := Message{
		ID:         int32(binary.LittleEndian.Uint32(header[4:])),
		ResponseTo: int32(binary.LittleEndian.Uint32(header[8:])),
		opcode:     int32(binary.LittleEndian.Uint32(header[12:])),
	}
	// What is no message at all is told before it is waited for.
	switch m.opcode {
	case opReply, opQuery, opMsg:
	default:
		return Message{}, fmt.Errorf("reading a message: the kind %d is not known here", m.opcode)
	}
	if size < headerSize || size > maxSize {
		return Message{}, fmt.Errorf("reading a message: %d bytes is no size of one", size)
	}
	m.Raw = make([]byte, size)
	copy(m.Raw, header[:])
	if _, err := io.ReadFull(from, m.Raw[headerSize:]); err != nil {
		return Message{}, fmt.Errorf("reading a message: %w", err)
	}
	if err := m.parse(m.Raw[headerSize:]); err != nil {
		return Message{}, fmt.Errorf("reading a message: %w", err)
	}
	return m, nil
}

func (m *Message) parse(content []byte) error {
	switch m.opcode {
	case opQuery:
		return m.parseQuery(content)
	case opReply:
		// Flags, the cursor, the first document's place and their number.
		const before = 4 + 8 + 4 + 4
		if len(content) < before {
			return errShort
		}
		var err error
		m.Body, _, err = document(content[before:])
		return err
	default:
		return m.parseMsg(content)
	}
}

func (m *Message) parseQuery(content []byte) error {
	const flags, numbers = 4, 4 + 4
	if len(content) < flags {
		return errShort
	}
	name, rest, found := bytes.Cut(content[flags:], []byte{0})
	if !found || len(rest) < numbers {
		return errShort
	}
	m.namespace = string(name)
	var err error
	m.Body, _, err = document(rest[numbers:])
	return err
}

func (m *Message) parseMsg(content []byte) error {
	if len(content) < 4 {
		return errShort
	}
	m.flags = binary.LittleEndian.Uint32(content)
	content = content[4:]
	if m.flags&checksumPresent != 0 {
		if len(content) < checksumSize {
			return errShort
		}
		content = content[:len(content)-checksumSize]
	}
	for len(content) > 0 {
		kind := content[0]
		content = content[1:]
		var err error
		switch kind {
		case 0:
			m.Body, content, err = document(content)
		case 1:
			content, err = m.parseSequence(content)
		default:
			err = fmt.Errorf("the section's kind %d is not known here", kind)
		}
		if err != nil {
			return err
		}
	}
	if m.Body == nil {
		return errors.New("the message has no document of its own")
	}
	return nil
}

func (m *Message) parseSequence(content []byte) (rest []byte, err error) {
	if len(content) < 4 {
		return nil, errShort
	}
	size := int(binary.LittleEndian.Uint32(content))
	if size < 4 || size > len(content) {
		return nil, errShort
	}
	section, rest := content[4:size], content[size:]
	name, section, found := bytes.Cut(section, []byte{0})
	if !found {
		return nil, errShort
	}
	s := Sequence{Name: string(name)}
	for len(section) > 0 {
		var d bson.Raw
		if d, section, err = document(section); err != nil {
			return nil, err
		}
		s.Documents = append(s.Documents, d)
	}
	m.Sequences = append(m.Sequences, s)
	return rest, nil
}

// document takes a document from the front of content.
func document(content []byte) (bson.Raw, []byte, error) {
	if len(content) < 4 {
		return nil, nil, errShort
	}
	size := int(int32(binary.LittleEndian.Uint32(content)))
	if size < 5 || size > len(content) {
		return nil, nil, errShort
	}
	d := bson.Raw(content[:size])
	if err := d.Validate(); err != nil {
		return nil, nil, fmt.Errorf("the message's document: %w", err)
	}
	return d, content[size:], nil
}

// Command is the command's name, as the client writes it.
func (m Message) Command() string {
	first, err := m.Body.IndexErr(0)
	if err != nil {
		return ""
	}
	return first.Key()
}

// Database is the database that the command is for.
func (m Message) Database() string {
	if m.opcode == opQuery {
		name, _, _ := strings.Cut(m.namespace, ".")
		return name
	}
	name, _ := m.Body.Lookup("$db").StringValueOK()
	return name
}

// Fields are the names of the command's fields, in their order, the command's
// own name first. The names that drivers add to every command ($db, lsid and
// their like) are left out, and all values are.
func (m Message) Fields() []string {
	elements, err := m.Body.Elements()
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range elements {
		if name := e.Key(); !strings.HasPrefix(name, "$") && name != "lsid" && name != "maxTimeMS" {
			names = append(names, name)
		}
	}
	for _, s := range m.Sequences {
		names = append(names, s.Name)
	}
	return names
}

// WantsAnswer reports whether the sender waits for an answer.
func (m Message) WantsAnswer() bool { return m.flags&moreToCome == 0 }

// MoreToCome reports whether the sender says more without being asked.
func (m Message) MoreToCome() bool { return m.flags&moreToCome != 0 }

// OK reports whether the answer says that the command was done.
func (m Message) OK() bool {
	value := m.Body.Lookup("ok")
	if yes, is := value.BooleanOK(); is {
		return yes
	}
	ok, _ := value.AsInt64OK()
	return ok == 1
}

// Code is the number of the error in an answer; 0 where there is none.
//
// https://www.mongodb.com/docs/manual/reference/error-codes/
func (m Message) Code() int32 {
	if m.OK() {
		return 0
	}
	code, _ := m.Body.Lookup("code").AsInt64OK()
	return int32(code)
}

// Request makes a command, with a number that the answer will bear. Its
// document holds the database, as $db.
func Request(id int32, body bson.Raw) []byte { return write(id, 0, opMsg, body) }

// Answer makes an answer to m, of the kind that m's client reads.
func (m Message) Answer(body bson.Raw) []byte {
	if m.opcode == opQuery {
		return write(0, m.ID, opReply, body)
	}
	return write(0, m.ID, opMsg, body)
}

func write(id, responseTo, opcode int32, body bson.Raw) []byte {
	var between []byte
	if opcode == opReply {
		const awaitCapable = 1 << 3
		between = binary.LittleEndian.AppendUint32(between, awaitCapable)
		between = binary.LittleEndian.AppendUint64(between, 0)
		between = binary.LittleEndian.AppendUint32(between, 0)
		between = binary.LittleEndian.AppendUint32(between, 1)
	} else {
		between = binary.LittleEndian.AppendUint32(between, 0)
		between = append(between, 0)
	}
	size := headerSize + len(between) + len(body)
	out := make([]byte, 0, size)
	for _, n := range []int32{int32(size), id, responseTo, opcode} {
		out = binary.LittleEndian.AppendUint32(out, uint32(n))
	}
	return append(append(out, between...), body...)
}
