package wiregate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Amazon Redshift asks for the digest of a sha256 password by an authentication
// type that the PostgreSQL protocol does not have. The client library knows
// nothing of it, and so is shown GSSAPI's type, whose data it keeps as they are.
//
// https://github.com/aws/amazon-redshift-jdbc-driver/blob/master/src/main/java/com/amazon/redshift/core/v3/ConnectionFactoryImpl.java
const digestRequest = 13

// digestReader reads what the server says, and hides such a request where it is
// the server's first word.
type digestReader struct {
	from    io.Reader
	begun   bool
	asked   bool // a request was hidden
	pending []byte
}

// messageStart is how much tells an authentication's type: a letter, the length
// and the type. No server's first message is shorter.
const messageStart = 1 + 4 + 4

func (r *digestReader) Read(into []byte) (int, error) {
	if !r.begun {
		r.begun = true
		first := make([]byte, messageStart)
		n, err := io.ReadFull(r.from, first)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
		r.pending = first[:n]
		if n == messageStart && first[0] == 'R' && binary.BigEndian.Uint32(first[5:]) == digestRequest {
			r.asked = true
			binary.BigEndian.PutUint32(first[5:], pgproto3.AuthTypeGSSCont)
		}
	}
	if len(r.pending) > 0 {
		n := copy(into, r.pending)
		r.pending = r.pending[n:]
		return n, nil
	}
	return r.from.Read(into)
}

// restored is message as the server said it.
func (r *digestReader) restored(message pgproto3.BackendMessage) pgproto3.BackendMessage {
	if hidden, ok := message.(*pgproto3.AuthenticationGSSContinue); ok && r.asked {
		r.asked = false
		return digestMessage(hidden.Data)
	}
	return message
}

// digestMessage is the request for a digest, without its type.
type digestMessage []byte

// Backend marks a message of the server's.
func (digestMessage) Backend() {}

// Decode reads nothing: the gate makes such a message by itself.
func (digestMessage) Decode([]byte) error { return errors.New("a request for a digest is not decoded") }

// Encode appends the message as the server said it.
func (m digestMessage) Encode(to []byte) ([]byte, error) {
	body := append(binary.BigEndian.AppendUint32(nil, digestRequest), m...)
	length := len(body) + 4
	if length > 1<<16 {
		return nil, fmt.Errorf("a request for a digest of %d bytes", length)
	}
	to = binary.BigEndian.AppendUint32(append(to, 'R'), uint32(length))
	return append(to, body...), nil
}
