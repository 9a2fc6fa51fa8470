package awstopology

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// greatestAliasTime bounds what DNS is asked. A resolver that answers at
	// all answers sooner; one that does not keeps the sign-in from its host too.
	greatestAliasTime = 2 * time.Second
	// longestAliases is how many aliases are followed, as many as resolvers do.
	longestAliases = 8
)

// aliasOf finds the endpoint of Amazon RDS that host, which is none itself, is an
// alias (CNAME) of. DNS is believed in that alone: the endpoint that it names
// is asked about like any other, and the caller is told which one it is. No
// answer means that there is none.
func (t *Topology) aliasOf(ctx context.Context, host string) (hostname, bool) {
	if _, err := netip.ParseAddr(host); err == nil {
		return hostname{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, greatestAliasTime)
	defer cancel()
	for range longestAliases {
		if strings.Contains(host, ".") {
			host = canonical(host) + "." // the name itself, nothing below a search domain
		}
		next, err := t.resolver.LookupCNAME(ctx, host)
		if err != nil || canonical(next) == canonical(host) {
			return hostname{}, false
		}
		if name, known := parse(next); known {
			return name, true
		}
		host = next
	}
	return hostname{}, false
}

// newResolver returns a resolver that finds one alias at a time, the next. A
// plain one finds the next or the last, whichever answer comes first; and the
// last is none of Amazon RDS, for behind a proxy's name stand others.
func newResolver(dial func(ctx context.Context, network, address string) (net.Conn, error)) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if udp, ok := conn.(*net.UDPConn); ok {
			return &aliasConn{UDPConn: udp}, nil
		}
		return conn, nil
	}}
}

// aliasConn is a connection to a name server that passes questions for aliases
// on. It answers questions for addresses itself, saying that there are none.
type aliasConn struct {
	*net.UDPConn
	answer []byte
}

// Write sends a question, or answers it.
func (c *aliasConn) Write(question []byte) (int, error) {
	if c.answer = noAddress(question); c.answer != nil {
		return len(question), nil
	}
	return c.UDPConn.Write(question)
}

// Read receives an answer.
func (c *aliasConn) Read(b []byte) (int, error) {
	if c.answer != nil {
		n := copy(b, c.answer)
		c.answer = nil
		return n, nil
	}
	return c.UDPConn.Read(b)
}

// noAddress is the answer to a question for an address: the question, with the
// bits in its header that make an answer of it, and no record. It is nil for any
// other question.
//
// https://www.rfc-editor.org/rfc/rfc1035#section-4.1
func noAddress(question []byte) []byte {
	const header, typeA, typeAAAA = 12, 1, 28
	end := header
	for end < len(question) && question[end] != 0 {
		end += 1 + int(question[end])
	}
	end += 5 // the root, the type, the class
	if end > len(question) {
		return nil
	}
	if kind := binary.BigEndian.Uint16(question[end-4:]); kind != typeA && kind != typeAAAA {
		return nil
	}
	answer := slices.Clone(question[:end])
	answer[2] |= 0x80                              // an answer
	answer[3] = 0x80                               // of one who may be asked for anything
	copy(answer[6:header], make([]byte, header-6)) // no records
	return answer
}

// mayBeProxied reports whether servers of an engine may stand behind an RDS
// Proxy.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.RDS_Fea_Regions_DB-eng.Feature.RDS_Proxy.html
func mayBeProxied(engine string) bool {
	switch engine {
	case "redshift", "mongo", "documentdb", "docdb":
		return false
	}
	return true
}
