package pgwire

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func withLength(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// digestRequest asks for a digest, as Amazon Redshift does.
func digestRequest(algorithm uint32, salt, nonce []byte) []byte {
	body := binary.BigEndian.AppendUint32(nil, algorithm)
	return auth(authDigest, bytes.Join([][]byte{body, withLength(salt), withLength(nonce)}, nil)...)
}

func TestDigestIsAnsweredAndNotSeen(t *testing.T) {
	t.Parallel()
	salt, nonce := []byte("a salt"), []byte("the server's nonce")
	notice := message('N', []byte("SWARNING\x00R\x00\x00\x00\x08\x00\x00\x00\x0d\x00\x00"))
	accepted := auth(authOK)
	status := message('S', []byte("padb_version\x001\x00"))
	stream := bytes.Join([][]byte{notice, digestRequest(digestSHA256, salt, nonce), accepted, status}, nil)
	readers := map[string]io.Reader{
		"at once": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)), "in halves": iotest.HalfReader(bytes.NewReader(stream)),
	}
	for how, reader := range readers {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var sent bytes.Buffer
			o := &observer{asked: -1}
			through, err := io.ReadAll(&digestReader{r: o.messages(reader), w: &sent, password: func() string { return "Planted-1" }})
			if want := bytes.Join([][]byte{notice, accepted, status}, nil); err != nil || !bytes.Equal(through, want) {
				t.Errorf("what went through is %q, %v; want %q", through, err, want)
			}
			if o.asked != authDigest || !o.tested || !o.accepted {
				t.Errorf("asked for %d, tested %t, accepted %t; want a digest, and both", o.asked, o.tested, o.accepted)
			}
			answer := sent.Bytes()
			if len(answer) < 5 || answer[0] != 'd' || int(binary.BigEndian.Uint32(answer[1:])) != len(answer)-1 {
				t.Fatalf("the answer is %q; want one whole message of type d", answer)
			}
			digest, rest, ok := field(answer[5:])
			mine, rest, ok2 := field(rest)
			if !ok || !ok2 || len(rest) > 0 || len(mine) < 16 {
				t.Fatalf("the answer is %q; want a digest and a nonce", answer)
			}
			// Computed as the server would, from what it keeps.
			kept := sha256.Sum256([]byte("Planted-1a salt"))
			want := sha256.Sum256(bytes.Join([][]byte{kept[:], nonce, mine}, nil))
			if !bytes.Equal(digest, want[:]) {
				t.Error("the digest does not prove the password")
			}
			if bytes.Contains(answer, []byte("Planted-1")) || bytes.Contains(answer, kept[:]) {
				t.Error("the answer shows the password, or what the server keeps of it")
			}
		})
	}
}

func TestDigestThatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	huge := digestRequest(digestSHA256, []byte("salt"), []byte("nonce"))
	huge[1] = 0x7f
	tests := map[string][]byte{
		"another algorithm":         digestRequest(1, []byte("salt"), []byte("nonce")),
		"no salt":                   auth(authDigest, 0, 0, 0, 0),
		"no algorithm":              auth(authDigest),
		"a nonce beyond the end":    auth(authDigest, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 'x'),
		"a salt of four gigabytes":  auth(authDigest, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff),
		"a message of two gigabyte": huge,
	}
	for name, stream := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent bytes.Buffer
			through, err := io.ReadAll(&digestReader{r: bytes.NewReader(stream), w: &sent, password: func() string { return "Planted-1" }})
			if err == nil || len(through) > 0 || sent.Len() > 0 {
				t.Errorf("passed %q, answered %q, error %v; want an error alone", through, sent.Bytes(), err)
			}
		})
	}
}

func TestDigestReportsBrokenConnections(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := io.ReadAll(&digestReader{r: io.MultiReader(bytes.NewReader([]byte{'R', 0, 0}), iotest.ErrReader(broken)), w: io.Discard})
	if !errors.Is(err, broken) {
		t.Errorf("error %v; want that of the connection", err)
	}
}

// FuzzDigestReader holds that all but requests for a digest passes unchanged.
func FuzzDigestReader(f *testing.F) {
	f.Add(digestRequest(digestSHA256, []byte("salt"), []byte("nonce")))
	f.Add(append(message('E', []byte("C28000\x00\x00")), auth(authOK)...))
	f.Add([]byte{'R', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		var sent bytes.Buffer
		whole, err := io.ReadAll(&digestReader{r: bytes.NewReader(stream), w: &sent, password: func() string { return "p" }})
		o := &observer{asked: -1}
		single, err2 := io.ReadAll(&digestReader{r: iotest.OneByteReader(o.messages(bytes.NewReader(stream))), w: io.Discard, password: func() string { return "p" }})
		if !bytes.Equal(whole, single) || (err == nil) != (err2 == nil) {
			t.Fatalf("in one piece: %q, %v; byte by byte: %q, %v", whole, err, single, err2)
		}
		if sent.Len() == 0 && err == nil && !bytes.Equal(whole, stream) {
			t.Fatalf("%q became %q", stream, whole)
		}
	})
}
