package mongogate_test

import (
	"context"
	"net"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
	"github.com/dbrotation/dbrotation/integration/dbservers/mongogate"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

// script serves clients one answer for each message, whatever it says.
func script(t *testing.T, answers ...bson.D) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for _, a := range answers {
					m, err := opmsg.Read(conn)
					if err != nil {
						return
					}
					raw, err := bson.Marshal(append(a, bson.E{Key: "ok", Value: 1}))
					if err != nil {
						return
					}
					if _, err := conn.Write(m.Answer(raw)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// A hello may begin the conversation, which is one sign-in whether the server
// heeds that or not.
func TestAHelloThatBeginsTheSignIn(t *testing.T) {
	t.Parallel()
	proof := bson.D{{Key: "mechanism", Value: "SCRAM-SHA-256"}, {Key: "db", Value: "admin"}, {Key: "payload", Value: []byte("n,,n=app,r=x")}}
	hello := bson.D{{Key: "hello", Value: 1}, {Key: "speculativeAuthenticate", Value: append(bson.D{{Key: "saslStart", Value: 1}}, proof...)}}
	start := append(bson.D{{Key: "saslStart", Value: 1}}, proof...)
	next := bson.D{{Key: "saslContinue", Value: 1}, {Key: "payload", Value: []byte("c=biws")}}
	ping := bson.D{{Key: "ping", Value: 1}}
	begun := bson.D{{Key: "speculativeAuthenticate", Value: bson.D{{Key: "done", Value: false}}}}
	over := bson.D{{Key: "done", Value: true}}
	for _, row := range []struct {
		name    string
		said    []bson.D
		answers []bson.D
		verdict int // the message that the verdict answers
	}{
		{"the server heeds it", []bson.D{hello, next, ping}, []bson.D{begun, over, nil}, 1},
		{"the server heeds it not", []bson.D{hello, start, next, ping}, []bson.D{nil, {{Key: "done", Value: false}}, over, nil}, 2},
		{"the server is content at once", []bson.D{hello, ping}, []bson.D{{{Key: "speculativeAuthenticate", Value: over}}, nil}, 0},
	} {
		for _, cut := range []bool{false, true} {
			gate, err := mongogate.Start(mongogate.Config{Server: script(t, row.answers...)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = gate.Close() })
			want := []mongogate.Call{{Kind: mongogate.SignIn, User: "app"}, {Kind: mongogate.Statement, User: "app", Text: "ping"}}
			if cut {
				gate.Inject(wiregate.Fault{Kind: wiregate.CutAfter})
				want = want[:1]
			}
			conn := dialGate(t, gate)
			for i, said := range row.said {
				_, err := conn.Run(t.Context(), "admin", said)
				if lost := cut && i == row.verdict; (err != nil) != lost {
					t.Errorf("%s, cut %t: message %d: %v", row.name, cut, i, err)
				}
				if err != nil {
					break
				}
			}
			if diff := cmp.Diff(want, gate.Calls()); diff != "" {
				t.Errorf("%s, cut %t: the calls (-want +got):\n%s", row.name, cut, diff)
			}
		}
	}
}

func dialGate(t *testing.T, gate *mongogate.Gate) *opmsg.Conn {
	t.Helper()
	host, port := gate.Addr()
	conn, err := opmsg.Dial(context.Background(), net.JoinHostPort(host, strconv.Itoa(port)), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
