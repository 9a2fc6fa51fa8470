package redshiftgate

import (
	"context"
	"crypto/md5" //nolint:gosec // It is the protocol's.
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// lookupWithin bounds the gate's own question about a user.
const lookupWithin = 10 * time.Second

// digest is what is kept of a sha256 password, in hexadecimal digits, and the
// password by which the gate signs in to PostgreSQL for its user.
type digest struct{ salt, digest, door string }

// digestOf looks a user's sha256 password up; nil where the user has none. The
// connection is kept, and made anew where it was lost.
func (g *Gate) digestOf(user string) (*digest, error) {
	g.lookups.Lock()
	defer g.lookups.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lookupWithin)
	defer cancel()
	for try := 0; ; try++ {
		found, err := g.ask(ctx, user)
		if err == nil || try > 0 {
			return found, err
		}
		g.leaveLookup(ctx)
	}
}

func (g *Gate) ask(ctx context.Context, user string) (*digest, error) {
	if g.lookup == nil {
		conn, err := g.config.Connect(ctx)
		if err != nil {
			return nil, err
		}
		g.lookup = conn
	}
	var found digest
	err := g.lookup.QueryRow(ctx, `SELECT d.salt, d.digest, d.door FROM redshift_standin.digests d
		JOIN pg_authid r ON r.oid = d.id WHERE r.rolname = $1`, user).Scan(&found.salt, &found.digest, &found.door)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking the user up: %w", err)
	}
	return &found, nil
}

// forgetLookup ends the connection of the gate's own.
func (g *Gate) forgetLookup(ctx context.Context) {
	g.lookups.Lock()
	defer g.lookups.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookupWithin)
	defer cancel()
	g.leaveLookup(ctx)
}

func (g *Gate) leaveLookup(ctx context.Context) {
	if g.lookup != nil {
		_ = g.lookup.Close(ctx) // it is gone either way
		g.lookup = nil
	}
}

// errRefused ends a session that was not let in.
var errRefused = errors.New("the sign-in was refused")

// signIn relays the sign-in to its end. An error means that the session is
// over.
func (s *session) signIn(startup *pgproto3.StartupMessage) error {
	kept, err := s.gate.digestOf(startup.Parameters["user"])
	if err != nil {
		return err
	}
	door := ""
	if kept != nil {
		right, err := s.proves(kept)
		if err != nil {
			return err
		}
		// A password that is wrong at the gate is wrong at the server too,
		// whose log and whose answer it is.
		door = kept.door
		if !right {
			door = rand.Text()
		}
	}
	theirs := &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{}}
	for name, value := range startup.Parameters {
		if startupParameters[strings.ToLower(name)] {
			theirs.Parameters[name] = value
		}
	}
	s.frontend.Send(theirs)
	for {
		if err := s.frontend.Flush(); err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
		message, err := s.frontend.Receive()
		if err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
		if asked, ok := message.(*pgproto3.AuthenticationMD5Password); ok {
			if err := s.prove(asked, startup.Parameters["user"], door); err != nil {
				return err
			}
			continue
		}
		switch message := message.(type) {
		case *pgproto3.AuthenticationOk, *pgproto3.BackendKeyData, *pgproto3.ReadyForQuery:
			s.backend.Send(message)
		case *pgproto3.ParameterStatus:
			s.report(message)
		case *pgproto3.ErrorResponse:
			s.backend.Send(signInError(message, startup.Parameters["user"]))
		case *pgproto3.NoticeResponse:
			s.backend.Send(message)
		default:
			s.backend.Send((&refused{code: "28000", message: "this account signs in by a way that the stand-in does not pass"}).response(true))
			return errors.Join(errRefused, s.backend.Flush())
		}
		_, ready := message.(*pgproto3.ReadyForQuery)
		_, failed := message.(*pgproto3.ErrorResponse)
		if ready || failed || s.frontend.ReadBufferLen() == 0 {
			if err := s.backend.Flush(); err != nil {
				return fmt.Errorf("signing in: %w", err)
			}
		}
		if failed {
			return errRefused
		}
		if ready {
			return nil
		}
	}
}

// signInError is the server's error as Redshift words it: a wrong password and
// a user that there is not are alike, and have another SQLSTATE than
// PostgreSQL's.
//
// https://github.com/aws/amazon-redshift-python-driver/issues/237
func signInError(e *pgproto3.ErrorResponse, user string) *pgproto3.ErrorResponse {
	if e.Code != "28P01" {
		return e
	}
	return (&refused{code: "28000", message: fmt.Sprintf(`password authentication failed for user "%s"`, user)}).response(true)
}

// prove answers the server: with the client's proof, or with the gate's own.
func (s *session) prove(asked *pgproto3.AuthenticationMD5Password, user, door string) error {
	if door != "" {
		s.frontend.Send(&pgproto3.PasswordMessage{Password: md5Proof(user, door, asked.Salt[:])})
		return nil
	}
	s.backend.Send(asked)
	if err := s.backend.SetAuthType(pgproto3.AuthTypeMD5Password); err != nil {
		return fmt.Errorf("signing in: %w", err)
	}
	if err := s.backend.Flush(); err != nil {
		return fmt.Errorf("signing in: %w", err)
	}
	message, err := s.backend.Receive()
	if err != nil {
		return fmt.Errorf("signing in: %w", err)
	}
	s.frontend.Send(message)
	return nil
}

// md5Proof proves a password to a server that keeps it as md5.
//
// https://www.postgresql.org/docs/current/protocol-flow.html
func md5Proof(user, password string, salt []byte) string {
	inner := strings.TrimPrefix(md5Of(user, password), "md5")
	sum := md5.Sum(append([]byte(inner), salt...)) //nolint:gosec // It is the protocol's.
	return "md5" + hex.EncodeToString(sum[:])
}

// The request for a sha256 password, and its answer, which no manual describes;
// Redshift's own driver has them.
//
// https://github.com/aws/amazon-redshift-jdbc-driver/blob/master/src/main/java/com/amazon/redshift/core/v3/ConnectionFactoryImpl.java
const (
	digestRequest = 13
	digestSHA256  = 0
	nonceLength   = 4
)

// proves asks the client to prove a sha256 password: its salted digest, hashed
// once more with a word of either side.
func (s *session) proves(kept *digest) (bool, error) {
	nonce := make([]byte, nonceLength)
	_, _ = rand.Read(nonce) // it never fails
	salt, err := hex.DecodeString(kept.salt)
	if err != nil {
		return false, fmt.Errorf("reading the salt: %w", err)
	}
	inner, err := hex.DecodeString(kept.digest)
	if err != nil {
		return false, fmt.Errorf("reading the digest: %w", err)
	}
	if _, err := s.conn.Write(digestMessage(salt, nonce)); err != nil {
		return false, fmt.Errorf("asking for the digest: %w", err)
	}
	message, err := s.backend.Receive()
	if err != nil {
		return false, fmt.Errorf("reading the digest: %w", err)
	}
	// To PostgreSQL's protocol a message 'd' is data of a COPY.
	answer, ok := message.(*pgproto3.CopyData)
	if !ok {
		return false, errors.New("the client did not answer the request for a digest")
	}
	theirs, rest, ok := counted(answer.Data)
	word, rest, ok2 := counted(rest)
	if !ok || !ok2 || len(rest) > 0 {
		return false, errors.New("the client's digest is not well-formed")
	}
	return subtle.ConstantTimeCompare(theirs, proofOf(inner, nonce, word)) == 1, nil
}

// digestMessage is the request: the algorithm, the salt and the gate's word,
// with their lengths.
func digestMessage(salt, nonce []byte) []byte {
	body := binary.BigEndian.AppendUint32(nil, digestRequest)
	body = binary.BigEndian.AppendUint32(body, digestSHA256)
	body = appendCounted(body, salt)
	body = appendCounted(body, nonce)
	message := binary.BigEndian.AppendUint32([]byte{'R'}, uint32(len(body)+4)) //nolint:gosec // It is short.
	return append(message, body...)
}

// proofOf is what the client is to answer.
func proofOf(inner, nonce, word []byte) []byte {
	h := sha256.New()
	_, _ = h.Write(inner)
	_, _ = h.Write(nonce)
	_, _ = h.Write(word)
	return h.Sum(nil)
}

func appendCounted(to, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(data))), data...) //nolint:gosec // It is short.
}

// counted takes a length and so many bytes.
func counted(data []byte) (value, rest []byte, ok bool) {
	if len(data) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(data)
	data = data[4:]
	if uint64(n) > uint64(len(data)) {
		return nil, nil, false
	}
	return data[:n], data[n:], true
}

// Version is what the gate reports as the server's version.
const Version = "8.0.2"

// reported are the settings of the server that Redshift reports, too: it knows
// nothing of standard_conforming_strings.
var reported = map[string]bool{
	"application_name": true, "client_encoding": true, "DateStyle": true, "integer_datetimes": true, "is_superuser": true,
	"server_encoding": true, "session_authorization": true, "TimeZone": true,
}

// report passes a setting on, as Redshift reports it. The version of Redshift's
// own, by which clients know it, comes with PostgreSQL's.
func (s *session) report(p *pgproto3.ParameterStatus) {
	if p.Name == "server_version" {
		s.backend.Send(&pgproto3.ParameterStatus{Name: p.Name, Value: Version})
		s.backend.Send(&pgproto3.ParameterStatus{Name: "padb_version", Value: "PostgreSQL 8.0.2 behind a gate, Redshift 1.0.0"})
		return
	}
	if reported[p.Name] {
		s.backend.Send(p)
	}
}
