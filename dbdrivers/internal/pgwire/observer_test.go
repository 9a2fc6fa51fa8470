package pgwire

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"
)

// message frames a body as the server does.
func message(kind byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	return append(b, body...)
}

func auth(method uint32, rest ...byte) []byte {
	return message('R', append(binary.BigEndian.AppendUint32(nil, method), rest...))
}

func TestObserverSeesWhatTheServerAskedFor(t *testing.T) {
	notice := message('N', []byte("SWARNING\x00R\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00"))
	tests := []struct {
		name     string
		stream   [][]byte
		asked    int64
		tested   bool
		accepted bool
	}{
		{"nothing at all", nil, -1, false, false},
		{"trust", [][]byte{auth(0)}, -1, false, true},
		{"md5 and refused", [][]byte{auth(5, 1, 2, 3, 4), message('E', []byte("C28P01\x00\x00"))}, authMD5, true, false},
		{"SCRAM and broken off before the challenge", [][]byte{auth(10, []byte("SCRAM-SHA-256\x00\x00")...), message('E', []byte("C28P01\x00\x00"))}, authSASL, false, false},
		{"SCRAM and refused", [][]byte{auth(10, []byte("SCRAM-SHA-256\x00\x00")...), auth(11, []byte("r=x")...), message('E', []byte("C28P01\x00\x00"))}, authSASL, true, false},
		{"SCRAM and accepted", [][]byte{auth(10, []byte("SCRAM-SHA-256\x00\x00")...), auth(11, []byte("r=x")...), auth(12, []byte("v=x")...), auth(0)}, authSASL, true, true},
		{"a notice that looks like an acceptance", [][]byte{notice, auth(3)}, authCleartext, true, false},
		{"a broken length", [][]byte{{'R', 0, 0, 0, 0, 0, 0, 0, 5}}, 5, true, false},
		{"a huge length", [][]byte{{'R', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 5}}, 5, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stream := bytes.Join(test.stream, nil)
			readers := map[string]io.Reader{
				"at once": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)), "in halves": iotest.HalfReader(bytes.NewReader(stream)),
			}
			for how, reader := range readers {
				o := &observer{asked: -1}
				through, err := io.ReadAll(o.messages(reader))
				if err != nil || !bytes.Equal(through, stream) {
					t.Errorf("%s: what went through is %q, %v; want all of it unchanged", how, through, err)
				}
				if o.asked != test.asked || o.tested != test.tested || o.accepted != test.accepted {
					t.Errorf("%s: asked for %d, tested %t, accepted %t; want %d, %t, %t", how, o.asked, o.tested, o.accepted, test.asked, test.tested, test.accepted)
				}
			}
		})
	}
}

func FuzzObserver(f *testing.F) {
	f.Add(auth(10, []byte("SCRAM-SHA-256\x00\x00")...))
	f.Add([]byte{'R', 0xff, 0xff, 0xff, 0xff})
	f.Add(append(message('E', []byte("C28P01\x00\x00")), auth(0)...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, single := &observer{asked: -1}, &observer{asked: -1}
		if through, _ := io.ReadAll(whole.messages(bytes.NewReader(stream))); !bytes.Equal(through, stream) {
			t.Fatalf("%q became %q", stream, through)
		}
		if _, err := io.ReadAll(single.messages(iotest.OneByteReader(bytes.NewReader(stream)))); err != nil {
			t.Fatal(err)
		}
		if whole.asked != single.asked || whole.tested != single.tested || whole.accepted != single.accepted {
			t.Fatalf("seen in one piece: %d, %t; byte by byte: %d, %t", whole.asked, whole.accepted, single.asked, single.accepted)
		}
	})
}
