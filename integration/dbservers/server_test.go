package dbservers

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/moby/moby/client"

	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// testWithin bounds one test's dealings with a server; the first of them may
// have to make it from packages.
const testWithin = 5 * time.Minute

// each runs a story for every version in every place that the environment
// allows. A place that is missing here fails the story, and says what to
// install.
func each(t *testing.T, story func(t *testing.T, version string, w way)) {
	t.Helper()
	forced, err := wayFromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range PostgresVersions() {
		for _, w := range []way{processWay, containerWay} {
			if forced != anyWay && forced != w {
				continue
			}
			t.Run(version+" in a "+string(w), func(t *testing.T) {
				t.Parallel()
				story(t, version, w)
			})
		}
	}
}

func start(t *testing.T, opt PostgresOptions, w way) *Server {
	t.Helper()
	s, err := startPostgres(within(t), opt, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testWithin)
	t.Cleanup(cancel)
	return ctx
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAServerFromStartToClose is one long story, since a server is dear.
func TestAServerFromStartToClose(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, version string, w way) {
		t.Helper()
		ctx := within(t)
		s := start(t, PostgresOptions{Version: version}, w)
		describesItself(t, s, version, w)
		letsNobodyInWithoutVerifiedTLS(ctx, t, s)
		hasAnAdminWhoIsNoSuperuser(ctx, t, s)
		tellsWrongPasswordsFromRight(ctx, t, s)
		comesBackWithItsData(ctx, t, s)
		changesItsCertificate(ctx, t, s)
		if err := s.Exec(ctx, "LOAD 'passwordcheck'"); err != nil {
			t.Errorf("the module passwordcheck: %v", err)
		}
		leavesNothing(ctx, t, s)
	})
}

func describesItself(t *testing.T, s *Server, version string, w way) {
	t.Helper()
	if s.Engine != "postgres" || !strings.HasPrefix(s.Version, version+".") {
		t.Errorf("the server is %s %s, want postgres %s", s.Engine, s.Version, version)
	}
	want := map[way]string{containerWay: "container ", processWay: "local process "}[w]
	if !strings.HasPrefix(s.Source, want) {
		t.Errorf("the source is %q, want %q...", s.Source, want)
	}
}

func letsNobodyInWithoutVerifiedTLS(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	stranger := s.Admin
	stranger.TLS = tlsconf.Settings{Roots: x509.NewCertPool()}
	_, err := Connect(ctx, stranger)
	if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
		t.Errorf("a client without the CA: %v, want an unknown authority", err)
	}
	stranger.TLS = tlsconf.Settings{Plaintext: true}
	_, err = Connect(ctx, stranger)
	if refusal := (&pgconn.PgError{}); !errors.As(err, &refusal) || refusal.Code != "28000" {
		t.Errorf("a client without TLS: %v, want SQLSTATE 28000", err)
	}
	for _, name := range []string{"127.0.0.1", "localhost"} {
		named := s.Admin
		named.TLS.ServerName = name
		conn, err := Connect(ctx, named)
		if err != nil {
			t.Errorf("verifying the server as %s: %v", name, err)
			continue
		}
		closeConn(ctx, conn)
	}
}

func hasAnAdminWhoIsNoSuperuser(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	conn, err := Connect(ctx, s.Admin)
	check(t, err)
	defer closeConn(ctx, conn)
	type admin struct {
		Super, Replication, BypassRLS, CreateRole, CreateDB, RDSSuperuser, OwnsDatabase bool
	}
	rows, err := conn.Query(ctx, `SELECT rolsuper, rolreplication, rolbypassrls, rolcreaterole, rolcreatedb,
		pg_has_role('rds_superuser', 'MEMBER'),
		(SELECT datdba = r.oid FROM pg_database WHERE datname = current_database())
		FROM pg_roles r WHERE rolname = current_user`)
	check(t, err)
	got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[admin])
	check(t, err)
	want := admin{CreateRole: true, CreateDB: true, RDSSuperuser: true, OwnsDatabase: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the admin (-want +got):\n%s", diff)
	}
}

func tellsWrongPasswordsFromRight(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	const password = `planted'"\$pass`
	check(t, s.CreateUser(ctx, `app"1`, password))
	opens(ctx, t, s, `app"1`, password, true)
	opens(ctx, t, s, `app"1`, "another", false)
	check(t, s.Exec(ctx, `ALTER ROLE "app""1" NOLOGIN`))
	if _, err := s.Opens(ctx, `app"1`, password); err == nil {
		t.Error("a role that may not sign in: no error, and so taken for a wrong password or a right one")
	}
	check(t, s.Exec(ctx, `ALTER ROLE "app""1" LOGIN`))

	text, err := s.Log(ctx)
	check(t, err)
	for _, line := range []string{
		`connection received: host=`,
		`connection authorized: user=app"1 database=appdb SSL enabled`,
		`FATAL:  password authentication failed for user "app"1"`,
		`ALTER ROLE "app""1" NOLOGIN`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("the log lacks %q", line)
		}
	}
	if strings.Contains(text, "planted") {
		t.Error("the log holds the password that CreateUser was given")
	}
}

func opens(ctx context.Context, t *testing.T, s *Server, user, password string, want bool) {
	t.Helper()
	got, err := s.Opens(ctx, user, password)
	if err != nil || got != want {
		t.Errorf("%s opens: %v, %v; want %v", user, got, err, want)
	}
}

func comesBackWithItsData(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	check(t, s.CreateUser(ctx, "kept", "as it was"))
	before, err := s.Log(ctx)
	check(t, err)
	session, err := Connect(ctx, s.Login("kept", "as it was"))
	check(t, err)
	defer closeConn(ctx, session)

	check(t, s.Stop(ctx))
	check(t, s.Stop(ctx))
	if err := session.Ping(ctx); err == nil {
		t.Error("a session outlived the server")
	}
	if _, err := s.Opens(ctx, "kept", "as it was"); err == nil {
		t.Error("a stopped server: no error")
	}
	if conn, err := net.Dial("tcp", s.Admin.Address()); err == nil {
		_ = conn.Close()
		t.Error("the port of a stopped server still answers")
	}
	stopped, err := s.Log(ctx)
	check(t, err)
	if !strings.HasPrefix(stopped, before) || !strings.Contains(stopped, "database system is shut down") {
		t.Error("the log of a stopped server is not whole")
	}

	check(t, s.Start(ctx))
	check(t, s.Start(ctx))
	opens(ctx, t, s, "kept", "as it was", true)
	after, err := s.Log(ctx)
	check(t, err)
	if !strings.HasPrefix(after, stopped) {
		t.Error("the log began anew")
	}
}

func changesItsCertificate(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	swap := func(ca *CA, host string) error {
		cert, key, err := ca.Issue(host)
		check(t, err)
		check(t, s.SetTLS(ctx, cert, key))
		check(t, s.Exec(ctx, "SELECT 1"))
		_, err = s.Opens(ctx, "kept", "as it was")
		return err
	}
	if err := swap(s.CA, "db.example.com"); !errors.As(err, new(x509.HostnameError)) {
		t.Errorf("a certificate of another name: %v", err)
	}
	other, err := NewCA()
	check(t, err)
	if err := swap(other, s.Host); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("a certificate of another authority: %v", err)
	}
	if err := swap(s.CA, s.Host); err != nil {
		t.Errorf("a certificate like the first: %v", err)
	}
}

func leavesNothing(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	check(t, s.Close())
	check(t, s.Close())
	if err := s.Start(ctx); !errors.Is(err, errClosed) {
		t.Errorf("starting a closed server: %v", err)
	}
	switch p := s.place.(type) {
	case *process:
		if alive(p.current.cmd.Process.Pid) {
			t.Error("the process is still there")
		}
		if _, err := os.Stat(p.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder is still there: %v", err)
		}
	case *container:
		_, err := p.engine.client.ContainerInspect(ctx, p.made.GetContainerID(), client.ContainerInspectOptions{})
		if !cerrdefs.IsNotFound(err) {
			t.Errorf("the container is still there: %v", err)
		}
	}
}
