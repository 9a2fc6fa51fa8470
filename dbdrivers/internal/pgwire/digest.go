package pgwire

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// authDigest is Amazon Redshift's own request, for accounts whose password it
// keeps as "sha256". The client library does not know it.
//
// https://github.com/aws/amazon-redshift-jdbc-driver (ConnectionFactoryImpl, ExtensibleDigest)
const authDigest = 13

// authIdentity is Amazon Redshift's request for a token of an identity provider.
const authIdentity = 14

// digestSHA256 is the one algorithm that is known of.
const digestSHA256 = 0

// maxDigestRequest bounds the request, which holds a salt and a nonce.
const maxDigestRequest = 4096

// digestReader answers the request for a digest in the client library's place,
// which never sees it. All else passes as it came.
type digestReader struct {
	r        io.Reader
	w        io.Writer
	password func() string

	in, out []byte
	skip    int
	done    bool
	failed  error
}

func (d *digestReader) Read(p []byte) (int, error) {
	for {
		if len(d.out) > 0 {
			n := copy(p, d.out)
			d.out = d.out[n:]
			return n, nil
		}
		if d.failed != nil {
			return 0, d.failed
		}
		if d.done {
			return d.r.Read(p)
		}
		d.in = slices.Grow(d.in, maxDigestRequest)
		n, err := d.r.Read(d.in[len(d.in) : len(d.in)+maxDigestRequest])
		d.in = d.in[:len(d.in)+n]
		if consumed := d.consume(); consumed != nil {
			err = consumed
		} else if err != nil {
			// What is left is half a message.
			d.out, d.in = append(d.out, d.in...), nil
		}
		d.failed = err
	}
}

// consume moves what is in over to out, but for a request for a digest.
func (d *digestReader) consume() error {
	for len(d.in) > 0 {
		if d.done {
			d.pass(len(d.in))
			return nil
		}
		if d.skip > 0 {
			n := min(d.skip, len(d.in))
			d.skip -= n
			d.pass(n)
			continue
		}
		if len(d.in) < frameHeader || d.in[0] == 'R' && len(d.in) < authHeader {
			return nil
		}
		whole := 1 + int(binary.BigEndian.Uint32(d.in[1:]))
		method := int64(-1)
		if d.in[0] == 'R' {
			method = int64(binary.BigEndian.Uint32(d.in[frameHeader:]))
		}
		switch {
		case method == authDigest && (whole < authHeader || whole > maxDigestRequest):
			return errors.New("its request for a digest is malformed")
		case method == authDigest && len(d.in) < whole:
			return nil
		case method == authDigest:
			if err := d.answer(d.in[authHeader:whole]); err != nil {
				return err
			}
			d.in = d.in[whole:]
		default:
			d.done = method == authOK
			head := frameHeader
			if method >= 0 {
				head = authHeader
			}
			d.skip = max(0, whole-head)
			d.pass(head)
		}
	}
	return nil
}

func (d *digestReader) pass(n int) {
	d.out = append(d.out, d.in[:n]...)
	d.in = d.in[n:]
}

// answer reads an algorithm, a salt and the server's nonce, each of the two
// behind its length, and sends the digest and a nonce of its own in the same
// form.
func (d *digestReader) answer(request []byte) error {
	if len(request) < 4 {
		return errors.New("its request for a digest is malformed")
	}
	algorithm := binary.BigEndian.Uint32(request)
	salt, rest, ok := field(request[4:])
	nonce, _, ok2 := field(rest)
	switch {
	case !ok || !ok2:
		return errors.New("its request for a digest is malformed")
	case algorithm != digestSHA256:
		return fmt.Errorf("its digest is of algorithm %d, which is not known here", algorithm)
	}
	mine := []byte(rand.Text())
	digest := passwordDigest(d.password(), salt, nonce, mine)
	message := []byte{'d', 0, 0, 0, 0}
	message = binary.BigEndian.AppendUint32(message, uint32(len(digest))) //nolint:gosec // 32 bytes
	message = append(message, digest...)
	message = binary.BigEndian.AppendUint32(message, uint32(len(mine))) //nolint:gosec // a few bytes
	message = append(message, mine...)
	binary.BigEndian.PutUint32(message[1:], uint32(len(message)-1)) //nolint:gosec // a hundred bytes
	_, err := d.w.Write(message)
	return err
}

// passwordDigest proves the password without showing it, or what the server
// keeps of it.
func passwordDigest(password string, salt, serverNonce, clientNonce []byte) []byte {
	kept := sha256.Sum256(append([]byte(password), salt...))
	sum := sha256.New()
	sum.Write(kept[:])
	sum.Write(serverNonce)
	sum.Write(clientNonce)
	return sum.Sum(nil)
}

// field reads a length and as many bytes.
func field(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n, b := uint64(binary.BigEndian.Uint32(b)), b[4:]
	if n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
