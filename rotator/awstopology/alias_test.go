package awstopology_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/rotator"
)

// nameServer is a DNS server that answers with the whole chain of aliases, as a
// recursive resolver does, and with an address at its end.
type nameServer struct {
	conn    net.PacketConn
	aliases map[string]string // lower case, no dot at the end

	mu    sync.Mutex
	asked map[string]bool
}

func serveNames(t *testing.T, aliases map[string]string) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, aliases: aliases, asked: map[string]bool{}}
	t.Cleanup(func() { _ = conn.Close() })
	go s.serve()
	return s
}

// dial reaches the server, whichever one is meant.
func (s *nameServer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "udp", s.conn.LocalAddr().String())
}

// names returns the names that were asked for.
func (s *nameServer) names() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func (s *nameServer) serve() {
	packet := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		if n > 12 {
			_, _ = s.conn.WriteTo(s.answer(packet[:n]), from)
		}
	}
}

// answer is a message as RFC 1035 has it: a header of 12 bytes, the question,
// and the records.
func (s *nameServer) answer(question []byte) []byte {
	var labels []string
	at := 12
	for question[at] != 0 {
		length := int(question[at])
		labels = append(labels, string(question[at+1:at+1+length]))
		at += 1 + length
	}
	kind := binary.BigEndian.Uint16(question[at+1:])
	end := at + 5
	name := strings.ToLower(strings.Join(labels, "."))
	s.mu.Lock()
	s.asked[name] = true
	s.mu.Unlock()

	var records []byte
	count := uint16(0)
	record := func(name string, kind uint16, data []byte) {
		records = append(records, wire(name)...)
		records = binary.BigEndian.AppendUint16(records, kind)
		records = binary.BigEndian.AppendUint16(records, 1)
		records = binary.BigEndian.AppendUint32(records, 60)
		records = binary.BigEndian.AppendUint16(records, uint16(len(data)))
		records = append(records, data...)
		count++
	}
	const typeA, typeCNAME = 1, 5
	for range len(s.aliases) {
		next, isAlias := s.aliases[name]
		if !isAlias {
			break
		}
		record(name, typeCNAME, wire(next))
		if kind == typeCNAME {
			break
		}
		name = next
	}
	if kind == typeA {
		record(name, typeA, []byte{192, 0, 2, 1})
	}
	reply := append([]byte(nil), question[:2]...)
	reply = append(reply, 0x81, 0x80, 0, 1)
	reply = binary.BigEndian.AppendUint16(reply, count)
	reply = append(reply, 0, 0, 0, 0)
	return append(append(reply, question[12:end]...), records...)
}

func wire(name string) (encoded []byte) {
	for label := range strings.SplitSeq(name, ".") {
		encoded = append(append(encoded, byte(len(label))), label...)
	}
	return append(encoded, 0)
}

func TestAnAliasOfAProxyIsNoticed(t *testing.T) {
	t.Parallel()
	names := map[string]string{
		// What stands behind a proxy's name is no name of Amazon RDS.
		host("plain.proxy-"):     "vpce-1.vpce-svc-1.eu-west-1.vpce.amazonaws.com",
		"db.corp.example":        host("plain.proxy-"),
		"old.corp.example":       "db.corp.example",
		"readers.corp.example":   host("readers.endpoint.proxy-"),
		"writer.corp.example":    host("main."),
		host("main."):            "ec2-192-0-2-1.eu-west-1.compute.amazonaws.com",
		"elsewhere.corp.example": "plain.proxy-c0otherhash0.eu-west-1.rds.amazonaws.com",
		"likeness.corp.example":  "plain.proxy-c0homehash00.eu-west-1.rds.corp.example",
		"ring.corp.example":      "gnir.corp.example",
		"gnir.corp.example":      "ring.corp.example",
		"warehouse.corp.example": host("plain.proxy-"),
		"idle.corp.example":      host("idle.proxy-"),
	}
	plain := rotator.Relation{Kind: rotator.RelationProxy, Writer: true, Proxy: host("plain.proxy-"), Target: mainServer, ProxySecrets: []string{appSecret}}
	same := rotator.Relation{Kind: rotator.RelationSame}
	for _, tt := range []struct {
		name, host, engine string
		want               rotator.Relation
		says               string // "" = no error
		asked              int    // of the service
		names              int    // asked of DNS
	}{
		{name: "an alias", host: "db.corp.example", want: plain, asked: 3, names: 1},
		{name: "an alias, as DNS compares names", host: "DB.Corp.Example.", want: plain, asked: 3, names: 1},
		{name: "an alias of an alias", host: "old.corp.example", want: plain, asked: 3, names: 2},
		{name: "an alias of an endpoint for reading", host: "readers.corp.example", asked: 4, names: 1,
			want: rotator.Relation{Kind: rotator.RelationProxy, Proxy: host("readers.endpoint.proxy-"), Target: prodWriter, ProxySecrets: []string{appSecret, adminSecret}, ProxyUsers: []string{"app"}}},
		{name: "an alias of an instance", host: "writer.corp.example", want: same, names: 1},
		{name: "an alias of another account's proxy", host: "elsewhere.corp.example", says: "database's own endpoint", asked: 1, names: 1},
		{name: "an alias of a proxy without a target", host: "idle.corp.example", says: "has no target", asked: 2, names: 1},
		{name: "an alias of what is only called like a proxy", host: "likeness.corp.example", says: "database's own endpoint", asked: 1, names: 1},
		{name: "no alias", host: "plain.corp.example", want: same, names: 1},
		{name: "aliases of each other", host: "ring.corp.example", want: same, names: 2},
		{name: "an address", host: "192.0.2.1", want: same},
		{name: "an IPv6 address", host: "2001:db8::1", want: same},
		{name: "a proxy's own name", host: host("plain.proxy-"), want: plain, asked: 3},
		{name: "an instance's own name", host: host("main."), want: same},
		{name: "an engine that no proxy serves", host: "warehouse.corp.example", engine: "redshift", want: same},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service, dns := serve(t, estate()), serveNames(t, names)
			topology := service.topology()
			topology.AskDNS(dns.dial)
			if tt.engine == "" {
				tt.engine = "postgres"
			}
			got, err := topology.Relation(t.Context(), tt.host, tt.host, tt.engine)
			switch {
			case tt.says == "" && err != nil:
				t.Fatal(err)
			case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("relation (-want +got):\n%s", diff)
			}
			if asked := len(service.Calls()); asked != tt.asked {
				t.Errorf("the service was asked %d times, want %d: %q", asked, tt.asked, service.Calls())
			}
			if asked := dns.names(); asked != tt.names {
				t.Errorf("DNS was asked for %d names, want %d", asked, tt.names)
			}
		})
	}
}

// TestAnAliasProvesNothing: it is not the admin's server by DNS's word.
func TestAnAliasProvesNothing(t *testing.T) {
	t.Parallel()
	dns := serveNames(t, map[string]string{"db.corp.example": host("main."), "front.corp.example": host("plain.proxy-")})
	for _, alias := range []string{"db.corp.example", "front.corp.example"} {
		for _, pair := range [][2]string{{alias, host("main.")}, {host("main."), alias}, {alias, host("plain.proxy-")}} {
			service := serve(t, estate())
			topology := service.topology()
			topology.AskDNS(dns.dial)
			got, err := topology.Relation(t.Context(), pair[0], pair[1], "postgres")
			if !errors.Is(err, rotator.ErrUnrelated) || len(service.Calls()) != 0 {
				t.Errorf("%q: relation %+v, error %v, calls %q", pair, got, err, service.Calls())
			}
		}
	}
	if dns.names() != 0 {
		t.Error("DNS was asked")
	}
}

// TestDNSThatDoesNotAnswerIsNoProxy: the sign-in will find out what else is
// wrong. It is not waited for long.
func TestDNSThatDoesNotAnswerIsNoProxy(t *testing.T) {
	t.Parallel()
	topology := serve(t, estate()).topology()
	asked := false
	topology.AskDNS(func(ctx context.Context, _, _ string) (net.Conn, error) {
		asked = true
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 2*time.Second {
			t.Errorf("DNS has until %s to answer", deadline)
		}
		return nil, errors.New("no route")
	})
	got, err := topology.Relation(t.Context(), "db.corp.example", "db.corp.example", "postgres")
	if err != nil || got.Kind != rotator.RelationSame || !asked {
		t.Errorf("relation %+v, error %v", got, err)
	}
}
