package opmsg_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

func marshal(t *testing.T, document any) bson.Raw {
	t.Helper()
	raw, err := bson.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func read(t *testing.T, raw []byte) opmsg.Message {
	t.Helper()
	m, err := opmsg.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// frame puts a header before content.
func frame(opcode int32, content ...[]byte) []byte {
	body := slices.Concat(content...)
	var out []byte
	for _, n := range []int32{int32(16 + len(body)), 7, 0, opcode} {
		out = binary.LittleEndian.AppendUint32(out, uint32(n))
	}
	return append(out, body...)
}

func TestAMessageIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	command := marshal(t, bson.D{{Key: "updateUser", Value: "app"}, {Key: "pwd", Value: "planted"}, {Key: "lsid", Value: 1}, {Key: "$db", Value: "admin"}})
	m := read(t, opmsg.Request(7, command))
	if m.ID != 7 || m.Command() != "updateUser" || m.Database() != "admin" || !m.WantsAnswer() || m.MoreToCome() {
		t.Errorf("read %+v", m)
	}
	if got, want := m.Fields(), []string{"updateUser", "pwd"}; !slices.Equal(got, want) {
		t.Errorf("the fields are %q, want %q", got, want)
	}
	refused := read(t, m.Answer(marshal(t, bson.D{{Key: "ok", Value: 0.0}, {Key: "code", Value: int32(13)}})))
	if refused.ResponseTo != 7 || refused.OK() || refused.Code() != 13 {
		t.Errorf("the answer is %+v", refused)
	}
	for _, yes := range []any{1.0, int32(1), int64(1), true} {
		if done := read(t, m.Answer(marshal(t, bson.D{{Key: "ok", Value: yes}, {Key: "code", Value: int32(13)}}))); !done.OK() || done.Code() != 0 {
			t.Errorf("ok: %v is no success", yes)
		}
	}
}

func TestDocumentsBesideACommandAreOfIt(t *testing.T) {
	t.Parallel()
	one, two := marshal(t, bson.D{{Key: "a", Value: 1}}), marshal(t, bson.D{{Key: "b", Value: 2}})
	section := slices.Concat([]byte("documents\x00"), one, two)
	section = append(binary.LittleEndian.AppendUint32(nil, uint32(4+len(section))), section...)
	command := marshal(t, bson.D{{Key: "insert", Value: "c"}, {Key: "$db", Value: "appdb"}})
	for name, flags := range map[string]uint32{"with a checksum": 1, "without": 0} {
		raw := [][]byte{binary.LittleEndian.AppendUint32(nil, flags), {1}, section, {0}, command}
		if flags == 1 {
			raw = append(raw, []byte{1, 2, 3, 4})
		}
		m := read(t, frame(2013, raw...))
		if len(m.Sequences) != 1 || len(m.Sequences[0].Documents) != 2 || !bytes.Equal(m.Sequences[0].Documents[1], two) {
			t.Errorf("%s: the documents are %+v", name, m.Sequences)
		}
		if got, want := m.Fields(), []string{"insert", "documents"}; !slices.Equal(got, want) {
			t.Errorf("%s: the fields are %q, want %q", name, got, want)
		}
	}
}

func TestTheFirstHelloIsAnOldQuery(t *testing.T) {
	t.Parallel()
	hello := marshal(t, bson.D{{Key: "isMaster", Value: 1}, {Key: "helloOk", Value: true}})
	m := read(t, frame(2004, make([]byte, 4), []byte("admin.$cmd\x00"), make([]byte, 8), hello))
	if m.Command() != "isMaster" || m.Database() != "admin" {
		t.Errorf("read %+v", m)
	}
	answer := m.Answer(marshal(t, bson.D{{Key: "ok", Value: 1}}))
	if opcode := binary.LittleEndian.Uint32(answer[12:]); opcode != 1 {
		t.Errorf("the answer is of the kind %d, want OP_REPLY", opcode)
	}
	if told := read(t, answer); !told.OK() || told.ResponseTo != 7 {
		t.Errorf("the answer is %+v", told)
	}
}

func TestWhoSignsIn(t *testing.T) {
	t.Parallel()
	start := bson.D{{Key: "saslStart", Value: 1}, {Key: "mechanism", Value: "SCRAM-SHA-256"}, {Key: "payload", Value: []byte("n,,n=a=2Cb=3Dc,r=nonce")}}
	want := opmsg.SignIn{User: "a,b=c", Database: "elsewhere", Mechanism: "SCRAM-SHA-256"}
	for name, command := range map[string]bson.D{
		"a saslStart": append(slices.Clone(start), bson.E{Key: "$db", Value: "elsewhere"}),
		"a hello": {
			{Key: "hello", Value: 1}, {Key: "speculativeAuthenticate", Value: append(slices.Clone(start), bson.E{Key: "db", Value: "elsewhere"})},
			{Key: "$db", Value: "admin"},
		},
	} {
		if got, ok := read(t, opmsg.Request(1, marshal(t, command))).SignIn(); !ok || got != want {
			t.Errorf("%s: %+v, %t; want %+v", name, got, ok, want)
		}
	}
	if got, ok := read(t, opmsg.Request(1, marshal(t, bson.D{{Key: "hello", Value: 1}}))).SignIn(); ok {
		t.Errorf("a plain hello: %+v", got)
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	command := marshal(t, bson.D{{Key: "ping", Value: 1}})
	flags := make([]byte, 4)
	for name, raw := range map[string][]byte{
		"nothing":                      {},
		"a message of HTTP":            []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"the beginning of TLS":         {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 1, 2, 3, 4, 5},
		"a size of nothing":            binary.LittleEndian.AppendUint32(make([]byte, 12), 2013),
		"a negative size":              append([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0}, 0xdd, 0x07, 0, 0),
		"compression":                  frame(2012, command),
		"no flags":                     frame(2013),
		"no document":                  frame(2013, flags),
		"half a document":              frame(2013, flags, []byte{0}, command[:5]),
		"a section of another kind":    frame(2013, flags, []byte{2}, command),
		"a sequence that ends early":   frame(2013, flags, []byte{1, 200, 0, 0, 0, 'a', 0}),
		"a sequence without a name":    frame(2013, flags, []byte{1, 5, 0, 0, 0, 'a'}),
		"a query without a collection": frame(2004, flags, []byte("admin")),
		"an answer without a document": frame(1, flags),
		"a checksum that is not there": frame(2013, []byte{1, 0, 0, 0}),
	} {
		if m, err := opmsg.Read(bytes.NewReader(raw)); err == nil {
			t.Errorf("%s was read as %+v", name, m)
		}
	}
}

// FuzzRead looks for content that makes a reader panic.
func FuzzRead(f *testing.F) {
	raw, err := bson.Marshal(bson.D{{Key: "ping", Value: 1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(opmsg.Request(1, raw))
	f.Add(frame(2004, make([]byte, 4), []byte("admin.$cmd\x00"), make([]byte, 8), raw))
	f.Add(frame(1, make([]byte, 20), raw))
	f.Fuzz(func(_ *testing.T, content []byte) {
		m, err := opmsg.Read(bytes.NewReader(content))
		if err != nil {
			return
		}
		m.Command()
		m.Database()
		m.Fields()
		m.SignIn()
		m.Code()
	})
}

// A server that cannot prove that it knows the password is refused, whatever it
// says of the client's proof.
func TestAServerThatOnlyPretendsIsRefused(t *testing.T) {
	t.Parallel()
	ours, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ours.Close() }()
	go func() {
		conn, err := ours.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		for {
			m, err := opmsg.Read(conn)
			if err != nil {
				return
			}
			answer := bson.D{{Key: "ok", Value: 1}, {Key: "done", Value: true}, {Key: "conversationId", Value: 1}}
			if m.Command() == "saslStart" {
				_, payload, _ := m.Body.Lookup("payload").BinaryOK()
				_, nonce, _ := bytes.Cut(payload, []byte(",r="))
				answer = append(answer, bson.E{Key: "payload", Value: []byte("r=" + string(nonce) + "more,s=c2FsdHNhbHRzYWx0c2FsdA==,i=4096")})
			} else {
				answer = append(answer, bson.E{Key: "payload", Value: []byte("v=bm90IHRoZSBwcm9vZg==")})
			}
			raw, err := bson.Marshal(answer)
			if err != nil {
				return
			}
			if _, err := conn.Write(m.Answer(raw)); err != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := opmsg.Dial(ctx, ours.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.SignIn(ctx, "app", "a-password", "admin")
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that the server proves nothing", err)
	}
}

func TestAContextEndsAWait(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	conn, err := opmsg.Dial(t.Context(), silent.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := conn.Run(ctx, "admin", bson.D{{Key: "ping", Value: 1}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
