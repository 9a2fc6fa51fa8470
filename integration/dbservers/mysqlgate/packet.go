package mysqlgate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// packet is one message of either side.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
type packet struct {
	// raw is the message as it came, in one or more packets of the protocol.
	raw []byte
	// payload is what they carry.
	payload []byte
}

// maxChunk is the most that a packet of the protocol carries. One that is full
// is continued by the next.
const maxChunk = 1<<24 - 1

const headerSize = 4

// readPacket reads a message. One without any content is none.
func readPacket(r io.Reader) (packet, error) {
	var p packet
	for {
		var header [headerSize]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return packet{}, fmt.Errorf("reading a packet: %w", err)
		}
		length := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
		start := len(p.raw) + headerSize
		p.raw = append(append(p.raw, header[:]...), make([]byte, length)...)
		if _, err := io.ReadFull(r, p.raw[start:]); err != nil {
			return packet{}, fmt.Errorf("reading a packet: %w", err)
		}
		p.payload = append(p.payload, p.raw[start:]...)
		if length == maxChunk {
			continue
		}
		if len(p.payload) == 0 {
			p.payload = []byte{}
		}
		return p, nil
	}
}

// first is the byte that tells packets apart.
func (p packet) first() byte {
	if len(p.payload) == 0 {
		return okHeader
	}
	return p.payload[0]
}

// The first bytes of answers.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_response_packets.html
const (
	okHeader  = 0x00
	errHeader = 0xff
	eofHeader = 0xfe
)

// sequence is the packet's number, which the answer to it follows.
func (p packet) sequence() byte { return p.raw[3] }

// quits reports whether a client's packet is its last. Only a command begins the
// numbers anew.
func (p packet) quits() bool { return p.sequence() == 0 && p.first() == comQuit }

// errorNumber is that of an ERR packet.
func (p packet) errorNumber() uint16 {
	if len(p.payload) < 3 {
		return 0
	}
	return binary.LittleEndian.Uint16(p.payload[1:])
}

var errShort = errors.New("a packet is too short")

// statusOfOK reads the server's status in an OK packet, by which a result also
// ends where the client knows no EOF packets.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html
func (p packet) statusOfOK() (uint16, error) {
	rest := p.payload[1:]
	for range 2 { // the rows, and the last inserted id
		size := lengthEncodedSize(rest)
		if len(rest) < size {
			return 0, errShort
		}
		rest = rest[size:]
	}
	if len(rest) < 2 {
		return 0, errShort
	}
	return binary.LittleEndian.Uint16(rest), nil
}

// statusOfEOF reads the server's status in an EOF packet.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_eof_packet.html
func (p packet) statusOfEOF() (uint16, error) {
	if len(p.payload) < 5 {
		return 0, errShort
	}
	return binary.LittleEndian.Uint16(p.payload[3:]), nil
}

// lengthEncodedSize is the length in bytes of the number at the start of b.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html
func lengthEncodedSize(b []byte) int {
	if len(b) == 0 {
		return 1
	}
	switch b[0] {
	case 0xfc:
		return 3
	case 0xfd:
		return 4
	case 0xfe:
		return 9
	}
	return 1
}

// columns is the number of columns that a result begins with, at most 4096 in
// either server.
func (p packet) columns() (int, error) {
	switch {
	case len(p.payload) == 1 && p.payload[0] < 0xfb:
		return int(p.payload[0]), nil
	case len(p.payload) == 3 && p.payload[0] == 0xfc:
		return int(binary.LittleEndian.Uint16(p.payload[1:])), nil
	}
	return 0, errors.New("a result does not begin with the number of its columns")
}

// errorPacket is an ERR packet of the gate's own.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html
func errorPacket(sequence byte, number uint16, text string) []byte {
	payload := append(binary.LittleEndian.AppendUint16([]byte{errHeader}, number), "#HY000"+text...)
	return append([]byte{byte(len(payload)), byte(len(payload) >> 8), 0, sequence}, payload...)
}
