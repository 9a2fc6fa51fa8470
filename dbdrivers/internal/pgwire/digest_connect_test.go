package pgwire_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// TestSignInByDigest is a server that may ask for Amazon Redshift's digest.
func TestSignInByDigest(t *testing.T) {
	t.Parallel()
	digesting := pgwire.Dialect{
		MaxName: 127, Digest: true, AlsoRefused: "nothing else",
		IsRefusal: func(err *pgconn.PgError) bool {
			return err.Code == "28000" && strings.Contains(err.Message, "password")
		},
	}
	request := []byte{'R', 0, 0, 0, 24, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0, 2, 's', 'a', 0, 0, 0, 2, 'n', 'o'}
	// The server that plays reads the answer as bytes: its library knows no
	// such message.
	digest := func(then ...pgproto3.BackendMessage) func(net.Conn, *pgproto3.Backend) {
		return func(conn net.Conn, server *pgproto3.Backend) {
			_, _ = conn.Write(request)
			_, _ = conn.Read(make([]byte, 1024))
			says(then...)(conn, server)
		}
	}
	ready := &pgproto3.ReadyForQuery{TxStatus: 'I'}
	tests := []struct {
		name   string
		play   func(net.Conn, *pgproto3.Backend)
		want   error
		says   string
		digest bool
	}{
		{name: "a digest is asked for and taken", play: digest(&pgproto3.AuthenticationOk{}, ready), digest: true},
		{name: "MD5 is asked for", play: says(&pgproto3.AuthenticationMD5Password{}, &pgproto3.AuthenticationOk{}, ready)},
		{name: "a digest is asked for and refused", play: digest(fatal("28000", "password authentication failed")), want: dbdrivers.ErrRefused, says: "nothing else"},
		{name: "a host rule, in the code of a refusal", play: says(fatal("28000", "no pg_hba.conf entry for host")), want: dbdrivers.ErrTLS, says: "without TLS"},
		{name: "accepted without a question", play: says(&pgproto3.AuthenticationOk{}, ready), want: dbdrivers.ErrUnsupported, says: "without a password"},
		{
			name: "an identity provider's account", want: dbdrivers.ErrUnsupported, says: "identity provider",
			play: func(conn net.Conn, _ *pgproto3.Backend) { _, _ = conn.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 14}) },
		},
		{
			name: "a digest of another algorithm", want: dbdrivers.ErrUnsupported, says: "algorithm 7",
			play: func(conn net.Conn, _ *pgproto3.Backend) {
				other := append([]byte(nil), request...)
				other[12] = 7
				_, _ = conn.Write(other)
			},
		},
		{
			name: "it hangs up after the question", want: dbdrivers.ErrUnreachable, says: "to the sign-in",
			play: func(conn net.Conn, server *pgproto3.Backend) {
				digest()(conn, server)
				_ = conn.Close()
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			session, err := pgwire.Connect(t.Context(), scripted(t, true, test.play), digesting)
			drivertest.WantSafe(t, err, planted)
			if got := dbdrivers.ClassOf(err); !errors.Is(got, test.want) {
				t.Fatalf("error %v; want class %v", err, test.want)
			}
			if err != nil {
				if !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %q does not say %q", err, test.says)
				}
				return
			}
			defer session.Close(t.Context())
			if session.ByDigest() != test.digest {
				t.Errorf("signed in by a digest: %t; want %t", session.ByDigest(), test.digest)
			}
		})
	}
}

// TestDigestIsRedshiftsAlone is a server that asks for a digest where its
// dialect has none.
func TestDigestIsRedshiftsAlone(t *testing.T) {
	t.Parallel()
	login := scripted(t, true, func(conn net.Conn, _ *pgproto3.Backend) {
		_, _ = conn.Write([]byte{'R', 0, 0, 0, 20, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	})
	_, err := pgwire.Connect(t.Context(), login, dialect)
	if !errors.Is(err, dbdrivers.ErrUnsupported) || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("error %v; want unsupported, naming sha256", err)
	}
}
