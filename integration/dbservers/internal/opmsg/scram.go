package opmsg

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"
)

// The mechanisms of a sign-in.
const (
	SCRAMSHA1   = "SCRAM-SHA-1"
	SCRAMSHA256 = "SCRAM-SHA-256"
)

// scram is one conversation.
//
// https://www.rfc-editor.org/rfc/rfc5802
// https://github.com/mongodb/specifications/blob/master/source/auth/auth.md
type scram struct {
	hash     func() hash.Hash
	password string
	first    string // the client's first message, without its header
	nonce    string
	// signature is the server's proof.
	signature []byte
}

func newScram(mechanism, user, password string) (*scram, error) {
	s := &scram{nonce: rand.Text()}
	s.first = "n=" + strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user) + ",r=" + s.nonce
	if mechanism == SCRAMSHA1 {
		s.hash = sha1.New
		sum := md5.Sum([]byte(user + ":mongo:" + password))
		s.password = hex.EncodeToString(sum[:])
		return s, nil
	}
	prepared, err := stringprep.SASLprep.Prepare(password)
	if err != nil {
		return nil, errors.New("the password has a character that SCRAM-SHA-256 prohibits")
	}
	s.hash, s.password = sha256.New, prepared
	return s, nil
}

func (s *scram) start() []byte { return []byte("n,," + s.first) }

// prove answers the server's challenge.
func (s *scram) prove(challenge []byte) ([]byte, error) {
	fields := scramFields(challenge)
	salt, err := base64.StdEncoding.DecodeString(fields["s"])
	if err != nil {
		return nil, fmt.Errorf("reading the server's salt: %w", err)
	}
	rounds, err := strconv.Atoi(fields["i"])
	if err != nil || rounds < 1 {
		return nil, errors.New("the server tells no number of rounds")
	}
	if !strings.HasPrefix(fields["r"], s.nonce) {
		return nil, errors.New("the server answers another client")
	}
	salted, err := pbkdf2.Key(s.hash, s.password, salt, rounds, s.hash().Size())
	if err != nil {
		return nil, err
	}
	final := "c=biws,r=" + fields["r"]
	said := []byte(s.first + "," + string(challenge) + "," + final)
	key := s.mac(salted, []byte("Client Key"))
	stored := s.hash()
	stored.Write(key)
	proof := make([]byte, len(key))
	subtle.XORBytes(proof, key, s.mac(stored.Sum(nil), said))
	s.signature = s.mac(s.mac(salted, []byte("Server Key")), said)
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

// accept checks the server's own proof.
func (s *scram) accept(final []byte) error {
	told, err := base64.StdEncoding.DecodeString(scramFields(final)["v"])
	if err != nil || !hmac.Equal(told, s.signature) {
		return errors.New("the server does not prove that it knows the password")
	}
	return nil
}

func (s *scram) mac(key, text []byte) []byte {
	m := hmac.New(s.hash, key)
	m.Write(text)
	return m.Sum(nil)
}

func scramFields(message []byte) map[string]string {
	fields := make(map[string]string)
	for field := range strings.SplitSeq(string(message), ",") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	return fields
}
