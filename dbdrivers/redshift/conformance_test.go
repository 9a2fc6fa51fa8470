package redshift_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/redshift"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

func TestConformance(t *testing.T) {
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	drivertest.Run(t, fixture(t, s))
}

// standIn is the driver, told what the stand-in cannot do: it keeps 63 bytes of
// a name.
type standIn struct{ redshift.Driver }

func (standIn) Traits() dbdrivers.Traits {
	traits := redshift.New().Traits()
	traits.Username.Max = 63
	return traits
}

func fixture(t *testing.T, s *server) drivertest.Fixture {
	return drivertest.Fixture{
		Driver:  standIn{},
		Account: s.create,
		Admin:   func(*testing.T) dbdrivers.Login { return s.Admin },
		// A superuser sees what is kept.
		AdminCompares: true,
		Opens:         s.opens,
		SignIns:       s.signIns,
		Bar:           func(t *testing.T, user string) { s.say(t, "ALTER USER "+quoted(user)+" CONNECTION LIMIT 0") },
		Sessions: func(t *testing.T, user string) int {
			var n int
			s.ask(t, &n, "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", user)
			return n
		},
		NoTLS: func(t *testing.T) dbdrivers.Login {
			plain := start(t, dbservers.RedshiftOptions{NoTLS: true})
			login := plain.Admin
			login.TLS.Plaintext = false
			return login
		},
		UnknownAuthority: func(*testing.T) dbdrivers.Login {
			login := s.Admin
			login.TLS.Roots = x509.NewCertPool()
			return login
		},
		OtherName: func(*testing.T) dbdrivers.Login {
			login := s.Admin
			login.TLS.ServerName = "elsewhere.example"
			return login
		},
		Twins:       s.twins(),
		Log:         s.log,
		Environment: nonsense(filepath.Join(t.TempDir(), "none")),
	}
}

// twins grants tables to read.
func (s *server) twins() *drivertest.TwinFixture {
	return &drivertest.TwinFixture{
		Right: func(t *testing.T) string {
			table := "right_" + strings.ToLower(rand.Text())
			s.say(t, "CREATE TABLE work."+table+" (n int)")
			return table
		},
		Grant: func(t *testing.T, account, right string) {
			s.say(t, "GRANT SELECT ON TABLE work."+right+" TO "+quoted(account))
		},
		Revoke: func(t *testing.T, account, right string) {
			s.say(t, "REVOKE SELECT ON TABLE work."+right+" FROM "+quoted(account))
		},
		Has: func(t *testing.T, login dbdrivers.Login, right string) bool {
			err := s.as(t, login, "SELECT n FROM work."+right)
			if err != nil && !denied(err) {
				t.Fatal(err)
			}
			return err == nil
		},
		Exists: func(t *testing.T, account string) (exists bool) {
			s.ask(t, &exists, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", account)
			return exists
		},
		Own: func(t *testing.T, account dbdrivers.Login) (object string) {
			object = quoted("work", "own_"+strings.ToLower(rand.Text()))
			if err := s.as(t, account, "CREATE TABLE "+object+" (n int)"); err != nil {
				t.Fatal(err)
			}
			return object
		},
		Owner: func(t *testing.T, object string) (account string) {
			s.ask(t, &account, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = $1::regclass", object)
			return account
		},
		// Of each other's grants the two see nothing.
		Blind: true,
		Cut: func(t *testing.T, nth int, answerLost bool) (dbdrivers.Login, func() bool) {
			gate, admin := gated(t, s, s.Admin)
			kind := wiregate.CutBefore
			if answerLost {
				kind = wiregate.CutAfter
			}
			return admin, gate.Inject(wiregate.Fault{Kind: kind, Nth: nth})
		},
	}
}

// gated returns a login that reaches a server through a gate of its own.
func gated(t *testing.T, s *server, login dbdrivers.Login) (*wiregate.Gate, dbdrivers.Login) {
	t.Helper()
	certPEM, keyPEM, err := s.CA.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	gate, err := wiregate.Start(wiregate.Config{
		Server: net.JoinHostPort(s.Host, strconv.Itoa(s.Port)),
		TLS:    &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gate.Close(); err != nil {
			t.Error(err)
		}
	})
	login.Host, login.Port = gate.Addr()
	return gate, login
}

// signIns counts a user's sign-ins in the server's log.
func (s *server) signIns(t *testing.T, user string) (ok, refused int) {
	t.Helper()
	counted, err := s.SignIns(context.WithoutCancel(t.Context()), user)
	if err != nil {
		t.Fatal(err)
	}
	return counted.Accepted, counted.Refused
}

// nonsense sets every variable that libpq or pgx knows to what would break a
// connection, or a mere parsing.
func nonsense(file string) map[string]string {
	return map[string]string{
		"PGHOST": "elsewhere.invalid", "PGPORT": "abc", "PGDATABASE": "elsewhere", "PGUSER": "somebody",
		"PGPASSWORD": "wrong", "PGPASSFILE": file, "PGSERVICE": "nonsense", "PGSERVICEFILE": file,
		"PGAPPNAME": "not-dbrotation", "PGCONNECT_TIMEOUT": "soon", "PGOPTIONS": "-c statement_timeout=1", "PGTZ": "Nowhere/Nowhere",
		"PGSSLMODE": "garbage", "PGSSLKEY": file, "PGSSLCERT": file, "PGSSLROOTCERT": file, "PGREQUIREAUTH": "none",
		"PGTARGETSESSIONATTRS": "sideways", "PGMINPROTOCOLVERSION": "9", "PGMAXPROTOCOLVERSION": "1", "PGCHANNELBINDING": "maybe",
	}
}
