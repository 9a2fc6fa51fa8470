package pgwire

import (
	"encoding/binary"
	"io"
)

// The authentication requests of the protocol, as far as they are told apart.
//
// https://www.postgresql.org/docs/current/protocol-message-formats.html
const (
	authOK        = 0
	authCleartext = 3
	authMD5       = 5
	authSASL      = 10
	authSASLCont  = 11
	authSASLFinal = 12
)

// observer notices what the server says about authentication. The codes of its
// errors do not suffice: 28000 is a host rule before AuthenticationOk and a
// role without LOGIN after it, and messages come in the server's language.
type observer struct {
	// asked is the first authentication request, -1 before.
	asked int64
	// tested is true once the server has asked for what proves the password:
	// under SCRAM that is its challenge, which comes after the question. An
	// error from before says nothing about the password.
	tested bool
	// accepted is true once the server has said AuthenticationOk.
	accepted bool
	// onSASL is called when the server asks for SCRAM, before the client
	// library answers.
	onSASL func()
}

// messages returns r with the server's messages noted up to AuthenticationOk.
func (o *observer) messages(r io.Reader) io.Reader {
	return &messageReader{r: r, observer: o}
}

// messageReader follows the framing of messages: a type, a length that counts
// itself, a body. It keeps the first nine bytes of each, which is enough for an
// authentication request.
type messageReader struct {
	r        io.Reader
	observer *observer
	head     []byte
	skip     int
}

func (m *messageReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	for rest := p[:n]; len(rest) > 0 && !m.observer.accepted; {
		rest = m.consume(rest)
	}
	return n, err
}

const (
	frameHeader = 5
	authHeader  = frameHeader + 4
)

// consume takes bytes of one message off the front of b.
func (m *messageReader) consume(b []byte) []byte {
	if m.skip > 0 {
		n := min(m.skip, len(b))
		m.skip -= n
		return b[n:]
	}
	want := frameHeader
	if len(m.head) >= frameHeader && m.head[0] == 'R' {
		want = authHeader
	}
	n := min(want-len(m.head), len(b))
	m.head = append(m.head, b[:n]...)
	b = b[n:]
	switch {
	case len(m.head) < frameHeader:
		return b
	case m.head[0] == 'R' && len(m.head) < authHeader:
		return b
	case m.head[0] == 'R':
		m.observer.request(int64(binary.BigEndian.Uint32(m.head[frameHeader:])))
	}
	// A length too short for what was read is a broken message; the client
	// library says so.
	length := int(binary.BigEndian.Uint32(m.head[1:]))
	m.skip = max(0, 1+length-len(m.head))
	m.head = m.head[:0]
	return b
}

func (o *observer) request(method int64) {
	switch method {
	case authCleartext, authMD5, authSASLCont, authDigest:
		o.tested = true
	}
	switch {
	case method == authOK:
		o.accepted = true
	case o.asked < 0:
		o.asked = method
		if method == authSASL && o.onSASL != nil {
			o.onSASL()
		}
	}
}
