package postgres_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

func TestConformance(t *testing.T) {
	for _, version := range dbservers.TestedPostgresVersions() {
		t.Run("version "+version, func(t *testing.T) {
			s := start(t, dbservers.PostgresOptions{Version: version, HBA: hostRules, Plaintext: true})
			drivertest.Run(t, fixture(t, s))
		})
	}
}

func fixture(t *testing.T, s *server) drivertest.Fixture {
	return drivertest.Fixture{
		Driver:  postgres.New(),
		Account: s.create,
		Admin:   func(*testing.T) dbdrivers.Login { return s.Admin },
		Opens:   s.opens,
		SignIns: s.signIns,
		Bar:     func(t *testing.T, user string) { s.exec(t, "ALTER ROLE "+quoted(user)+" NOLOGIN") },
		Sessions: func(t *testing.T, user string) int {
			var n int
			s.ask(t, &n, "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", user)
			return n
		},
		NoTLS: func(t *testing.T) dbdrivers.Login {
			plain := start(t, dbservers.PostgresOptions{Version: newest, NoTLS: true})
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
			s.exec(t, "CREATE TABLE public."+table+" ()")
			return table
		},
		Grant: func(t *testing.T, account, right string) {
			s.exec(t, "GRANT SELECT ON public."+right+" TO "+quoted(account))
		},
		Revoke: func(t *testing.T, account, right string) {
			s.exec(t, "REVOKE SELECT ON public."+right+" FROM "+quoted(account))
		},
		Has: func(t *testing.T, login dbdrivers.Login, right string) bool {
			conn, err := dbservers.Connect(t.Context(), login)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
			_, err = conn.Exec(t.Context(), "SELECT FROM public."+right)
			if err != nil && !denied(err) {
				t.Fatal(err)
			}
			return err == nil
		},
		Exists: func(t *testing.T, account string) (exists bool) {
			s.ask(t, &exists, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", account)
			return exists
		},
		// Every account may make a large object.
		Own: func(t *testing.T, account dbdrivers.Login) (object string) {
			conn, err := dbservers.Connect(t.Context(), account)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
			if _, err := conn.Exec(t.Context(), "SET ROLE NONE"); err != nil {
				t.Fatal(err)
			}
			if err := conn.QueryRow(t.Context(), "SELECT 'large object ' || lo_create(0)").Scan(&object); err != nil {
				t.Fatal(err)
			}
			return object
		},
		Owner: func(t *testing.T, object string) (account string) {
			s.ask(t, &account, "SELECT pg_get_userbyid(lomowner) FROM pg_largeobject_metadata WHERE 'large object ' || oid = $1", object)
			return account
		},
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

// signIns counts a user's sign-ins in the server's log.
func (s *server) signIns(t *testing.T, user string) (ok, refused int) {
	for line := range strings.Lines(s.log(t)) {
		switch {
		case strings.Contains(line, "connection authorized: user="+user+" "):
			ok++
		case strings.Contains(line, fmt.Sprintf(`FATAL:  password authentication failed for user "%s"`, user)):
			refused++
		}
	}
	return ok, refused
}

// nonsense sets every variable that libpq or pgx knows to what would break a
// connection, or a mere parsing.
func nonsense(file string) map[string]string {
	return map[string]string{
		"PGHOST": "elsewhere.invalid", "PGHOSTADDR": "192.0.2.1", "PGPORT": "abc", "PGDATABASE": "elsewhere", "PGUSER": "somebody",
		"PGPASSWORD": "wrong", "PGPASSFILE": file, "PGSERVICE": "nonsense", "PGSERVICEFILE": file,
		"PGAPPNAME": "not-dbrotation", "PGCONNECT_TIMEOUT": "soon", "PGOPTIONS": "-c role=nobody -c statement_timeout=1", "PGTZ": "Nowhere/Nowhere",
		"PGSSLMODE": "garbage", "PGREQUIRESSL": "2", "PGSSLKEY": file, "PGSSLCERT": file, "PGSSLCERTMODE": "sometimes", "PGSSLSNI": "perhaps",
		"PGSSLROOTCERT": file, "PGSSLPASSWORD": "wrong", "PGSSLNEGOTIATION": "indirect",
		"PGTARGETSESSIONATTRS": "sideways", "PGMINPROTOCOLVERSION": "9", "PGMAXPROTOCOLVERSION": "1",
		"PGCHANNELBINDING": "maybe", "PGREQUIREAUTH": "none", "PGKRBSRVNAME": "nonsense", "PGGSSENCMODE": "require",
		"PGCLIENTENCODING": "LATIN1", "PGDATESTYLE": "sideways", "HOME": file,
	}
}
