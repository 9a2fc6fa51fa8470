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
	"github.com/moby/moby/client"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// testWithin bounds one test's dealings with a server; the first of them may
// have to make it from packages.
const testWithin = 5 * time.Minute

// each runs a story for every engine, in every version that can be had here, in
// every place that the environment allows. A place that is missing here fails
// the story, and says what to install.
func each(t *testing.T, story func(t *testing.T, f flavour, version string, w way)) {
	t.Helper()
	forced, err := wayFromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flavours() {
		for i, version := range f.releases.obtainable().versions() {
			for _, w := range []way{processWay, containerWay, publishedWay} {
				if forced != anyWay && forced != w || w == publishedWay && i > 0 {
					continue
				}
				t.Run(f.engine+" "+version+" in a "+string(w), func(t *testing.T) {
					t.Parallel()
					story(t, f, version, w)
				})
			}
		}
	}
}

// started sees to it that a server is closed when the test ends.
func started(t *testing.T, s *Server, err error) *Server {
	t.Helper()
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

func start(t *testing.T, opt PostgresOptions, w way) *Server {
	t.Helper()
	s, err := startPostgres(within(t), opt, w)
	return started(t, s, err)
}

// anyPlace is the quickest place that the environment allows, for tests that ask
// what is the same everywhere.
func anyPlace(t *testing.T) way {
	t.Helper()
	w, err := wayFromEnvironment()
	check(t, err)
	if w == anyWay {
		return processWay
	}
	return w
}

// eachEngine runs a story for every engine in its newest version, in any place.
func eachEngine(t *testing.T, story func(t *testing.T, f flavour)) {
	t.Helper()
	for _, f := range flavours() {
		t.Run(f.engine, func(t *testing.T) {
			t.Parallel()
			story(t, f)
		})
	}
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
	each(t, func(t *testing.T, f flavour, version string, w way) {
		t.Helper()
		ctx := within(t)
		s, err := f.start(ctx, version, false, w)
		started(t, s, err)
		describesItself(t, s, f, version, w)
		letsNobodyInWithoutVerifiedTLS(ctx, t, s, f)
		f.adminIsNoSuperuser(ctx, t, s)
		tellsWrongPasswordsFromRight(ctx, t, s, f)
		keepsPasswordsOutOfItsLogs(ctx, t, s)
		comesBackWithItsData(ctx, t, s, f)
		changesItsCertificate(ctx, t, s)
		if err := s.Exec(ctx, f.judge); err != nil {
			t.Errorf("%s: %v", f.judge, err)
		}
		leavesNothing(ctx, t, s)
	})
}

func describesItself(t *testing.T, s *Server, f flavour, version string, w way) {
	t.Helper()
	if s.Engine != f.engine || !strings.HasPrefix(s.Version, version+".") {
		t.Errorf("the server is %s %s, want %s %s", s.Engine, s.Version, f.engine, version)
	}
	want := map[way]string{containerWay: "container ", publishedWay: "container ", processWay: "local process "}[w]
	if !strings.HasPrefix(s.Source, want) {
		t.Errorf("the source is %q, want %q...", s.Source, want)
	}
}

func letsNobodyInWithoutVerifiedTLS(ctx context.Context, t *testing.T, s *Server, f flavour) {
	t.Helper()
	stranger := s.Admin
	stranger.TLS = tlsconf.Settings{Roots: x509.NewCertPool()}
	_, err := s.dialect.connect(ctx, stranger)
	if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
		t.Errorf("a client without the CA: %v, want an unknown authority", err)
	}
	stranger.TLS = tlsconf.Settings{Plaintext: true}
	if _, err := s.dialect.connect(ctx, stranger); !f.wantsTLS(err) {
		t.Errorf("a client without TLS: %v, want the server's refusal", err)
	}
	for _, name := range []string{"127.0.0.1", "localhost"} {
		named := s.Admin
		named.TLS.ServerName = name
		conn, err := s.dialect.connect(ctx, named)
		if err != nil {
			t.Errorf("verifying the server as %s: %v", name, err)
			continue
		}
		conn.leave(ctx)
	}
}

func tellsWrongPasswordsFromRight(ctx context.Context, t *testing.T, s *Server, f flavour) {
	t.Helper()
	const user, password = `app"1`, `planted'"\$pass`
	check(t, s.CreateUser(ctx, user, password))
	opens(ctx, t, s, user, password, true)
	opens(ctx, t, s, user, "another", false)
	opens(ctx, t, s, user, password, true)
	counted, err := s.SignIns(ctx, user)
	check(t, err)
	if want := (SignIns{Accepted: 2, Refused: 1}); counted != want {
		t.Errorf("the log tells of %+v, want %+v", counted, want)
	}
	check(t, s.Exec(ctx, f.lock(user)))
	if _, err := s.Opens(ctx, user, password); err == nil {
		t.Error("a locked account: no error, and so taken for a wrong password or a right one")
	}
	check(t, s.Exec(ctx, f.unlock(user)))
	opens(ctx, t, s, user, password, true)

	text, err := s.Log(ctx)
	check(t, err)
	for _, line := range []string{f.accepted, f.refused, f.lock(user)} {
		if !strings.Contains(text, line) {
			t.Errorf("the log lacks %q", line)
		}
	}
}

func keepsPasswordsOutOfItsLogs(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	logs, err := s.Logs(ctx)
	check(t, err)
	for name, text := range logs {
		if text == "" {
			t.Errorf("%s is empty", name)
		}
		for _, password := range []string{"planted", s.Superuser.Password.Reveal(), s.Admin.Password.Reveal()} {
			if strings.Contains(text, password) {
				t.Errorf("%s holds a password", name)
			}
		}
	}
}

func comesBackWithItsData(ctx context.Context, t *testing.T, s *Server, f flavour) {
	t.Helper()
	check(t, s.CreateUser(ctx, "kept", "as it was"))
	before, err := s.Log(ctx)
	check(t, err)
	session, err := s.dialect.connect(ctx, s.Login("kept", "as it was"))
	check(t, err)
	defer session.leave(ctx)

	check(t, s.Stop(ctx))
	check(t, s.Stop(ctx))
	if err := session.exec(ctx, "SELECT 1"); err == nil {
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
	if !strings.HasPrefix(stopped, before) || !strings.Contains(stopped, f.ended) {
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

func opens(ctx context.Context, t *testing.T, s *Server, user, password string, want bool) {
	t.Helper()
	got, err := s.Opens(ctx, user, password)
	if err != nil || got != want {
		t.Errorf("%s opens: %v, %v; want %v", user, got, err, want)
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

func TestAServerWithoutTLSTakesPlaintext(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, f flavour) {
		t.Helper()
		ctx := within(t)
		s, err := f.start(ctx, "", true, anyPlace(t))
		started(t, s, err)
		check(t, s.CreateUser(ctx, "app", "first"))
		opens(ctx, t, s, "app", "first", true)
		opens(ctx, t, s, "app", "second", false)
		encrypted := s.Admin
		encrypted.TLS = tlsconf.Settings{Roots: s.Roots}
		if _, err := s.dialect.connect(ctx, encrypted); err == nil || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("a client that wants TLS: %v", err)
		}
		cert, key, err := s.CA.Issue(s.Host)
		check(t, err)
		if err := s.SetTLS(ctx, cert, key); err == nil {
			t.Error("a certificate for a server without TLS: no error")
		}
	})
}

func TestAServerBehindAGateTakesBoth(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, f flavour) {
		t.Helper()
		ctx := within(t)
		s, err := f.startPlaintext(ctx, anyPlace(t))
		started(t, s, err)
		plain := s.Admin
		plain.TLS = tlsconf.Settings{Plaintext: true}
		for _, login := range []dbdrivers.Login{plain, s.Admin} {
			conn, err := s.dialect.connect(ctx, login)
			check(t, err)
			conn.leave(ctx)
		}
	})
}

func TestTwoServersAtOnceAreStrangers(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, f flavour) {
		t.Helper()
		ctx := within(t)
		one, err := f.start(ctx, "", false, anyPlace(t))
		started(t, one, err)
		two, err := f.start(ctx, "", false, anyPlace(t))
		started(t, two, err)
		if one.Port == two.Port {
			t.Errorf("both are on port %d", one.Port)
		}
		mixed := two.Admin
		mixed.TLS.Roots = one.Roots
		if _, err := two.dialect.connect(ctx, mixed); err == nil {
			t.Error("the second server is verified by the first one's authority")
		}
		check(t, one.CreateUser(ctx, "app", "first"))
		opens(ctx, t, two, "app", "first", false)
	})
}

func TestEachEngineHasItsOwnConnections(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, f flavour) {
		t.Helper()
		ctx := within(t)
		s, err := f.start(ctx, "", false, anyPlace(t))
		started(t, s, err)
		pg, pgErr := s.ConnectSuperuser(ctx)
		my, myErr := s.ConnectMySQLSuperuser(ctx)
		if f.engine == "postgres" {
			check(t, pgErr)
			closeConn(ctx, pg)
			if myErr == nil || !strings.Contains(myErr.Error(), "use ConnectSuperuser") {
				t.Errorf("MySQL's protocol on a PostgreSQL server: %v", myErr)
			}
			return
		}
		check(t, myErr)
		check(t, my.Close())
		if pgErr == nil || !strings.Contains(pgErr.Error(), "use ConnectMySQLSuperuser") {
			t.Errorf("PostgreSQL's protocol on a %s server: %v", f.engine, pgErr)
		}
	})
}
