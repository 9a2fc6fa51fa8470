package pgwire_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

var dialect = pgwire.Dialect{
	MaxName:     63,
	IsRefusal:   func(err *pgconn.PgError) bool { return err.Code == "28P01" },
	AlsoRefused: "nothing else",
}

const planted = "planted-password"

// scripted is a server that plays one sign-in, for what no real server can be
// brought to say.
func scripted(t *testing.T, plaintext bool, play func(conn net.Conn, server *pgproto3.Backend)) dbdrivers.Login {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		server := pgproto3.NewBackend(conn, conn)
		if _, err := server.ReceiveStartupMessage(); err != nil {
			return
		}
		play(conn, server)
		// What the client still has to say must not meet a closed port.
		_, _ = server.Receive()
	}()
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return dbdrivers.Login{
		Host: host, Port: number, Username: "app", Database: "appdb",
		Password: dbdrivers.NewPassword(planted), TLS: tlsconf.Settings{Plaintext: plaintext},
	}
}

// says plays messages, one after the other.
func says(messages ...pgproto3.BackendMessage) func(net.Conn, *pgproto3.Backend) {
	return func(_ net.Conn, server *pgproto3.Backend) {
		for _, m := range messages {
			server.Send(m)
			_ = server.Flush()
			switch m.(type) {
			case *pgproto3.AuthenticationMD5Password, *pgproto3.AuthenticationCleartextPassword:
				_, _ = server.Receive()
			}
		}
	}
}

func fatal(code, message string) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message}
}

func TestSignInFailures(t *testing.T) {
	t.Parallel()
	answer := func(b byte) func(net.Conn, *pgproto3.Backend) {
		return func(conn net.Conn, _ *pgproto3.Backend) { _, _ = conn.Write([]byte{b}) }
	}
	md5 := &pgproto3.AuthenticationMD5Password{Salt: [4]byte{1, 2, 3, 4}}
	tests := []struct {
		name string
		tls  bool
		play func(net.Conn, *pgproto3.Backend)
		want error
		says string
	}{
		{name: "no TLS on offer", tls: true, play: answer('N'), want: dbdrivers.ErrTLS, says: "offers no TLS"},
		{name: "not a PostgreSQL server", tls: true, play: answer('H'), want: dbdrivers.ErrUnreachable, says: "does not speak PostgreSQL"},
		{
			name: "TLS promised and not spoken", tls: true,
			play: func(conn net.Conn, _ *pgproto3.Backend) { _, _ = conn.Write([]byte("SHTTP/1.1 400 Bad Request\r\n")) },
			want: dbdrivers.ErrTLS, says: "no TLS version",
		},
		{name: "starting up", play: says(fatal("57P03", "the database system is starting up")), want: dbdrivers.ErrBusy, says: "starting or stopping"},
		{name: "too many clients", play: says(fatal("53300", "sorry, too many clients already")), want: dbdrivers.ErrBusy, says: "max_connections"},
		{name: "a pooler's protocol violation", play: says(md5, fatal("08P01", "no such database")), want: dbdrivers.ErrUnreachable, says: "no such database"},
		{name: "a refusal before the question", play: says(fatal("28P01", "no credentials for the role")), want: dbdrivers.ErrUnreachable, says: "before the password was asked"},
		{
			name: "a refusal before SCRAM's challenge",
			play: says(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}}, fatal("28P01", "no credentials for the role")),
			want: dbdrivers.ErrUnreachable, says: "no word on the password",
		},
		{
			name: "a channel binding that does not match",
			play: says(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}}, fatal("28000", "SCRAM channel binding negotiation error")),
			want: dbdrivers.ErrUnreachable, says: "own address",
		},
		{name: "an error in place of TLS", tls: true, play: answer('E'), want: dbdrivers.ErrUnreachable, says: "could not begin a session"},
		{name: "a wrong password", play: says(md5, fatal("28P01", "password authentication failed")), want: dbdrivers.ErrRefused, says: "nothing else"},
		{
			name: "a wrong password, in another language",
			play: says(md5, &pgproto3.ErrorResponse{Severity: "ВАЖНО", SeverityUnlocalized: "FATAL", Code: "28P01", Message: "пользователь не прошёл проверку"}),
			want: dbdrivers.ErrRefused, says: "не прошёл",
		},
		{name: "a wrong password that the server repeats", play: says(md5, fatal("28P01", "the password "+planted+" is wrong")), want: dbdrivers.ErrRefused, says: "[redacted]"},
		{name: "accepted, then no room for the role", play: says(md5, &pgproto3.AuthenticationOk{}, fatal("53300", "too many connections for role")), want: dbdrivers.ErrBarred, says: "CONNECTION LIMIT"},
		{name: "accepted, then shut down", play: says(md5, &pgproto3.AuthenticationOk{}, fatal("57P01", "terminating")), want: dbdrivers.ErrBusy, says: "try again"},
		{name: "accepted without a question", play: says(&pgproto3.AuthenticationOk{}), want: dbdrivers.ErrUnsupported, says: "without a password"},
		{name: "Kerberos", play: says(&pgproto3.AuthenticationGSS{}), want: dbdrivers.ErrUnsupported, says: "Kerberos"},
		{name: "OAuth alone", play: says(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"OAUTHBEARER"}}), want: dbdrivers.ErrUnsupported, says: "SASL"},
		{
			name: "a method of tomorrow",
			play: func(conn net.Conn, _ *pgproto3.Backend) { _, _ = conn.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 99}) },
			want: dbdrivers.ErrUnsupported, says: "method 99",
		},
		{name: "no rule without TLS", play: says(fatal("28000", "no pg_hba.conf entry")), want: dbdrivers.ErrTLS, says: `"ssl": false`},
		{
			name: "it hangs up after the question",
			play: func(conn net.Conn, server *pgproto3.Backend) {
				says(md5)(conn, server)
				_ = conn.Close()
			},
			want: dbdrivers.ErrUnreachable, says: "to the sign-in",
		},
		{
			name: "noise",
			play: func(conn net.Conn, _ *pgproto3.Backend) {
				_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			},
			want: dbdrivers.ErrUnreachable, says: "no sense in the answer",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			session, err := pgwire.Connect(ctx, scripted(t, !test.tls, test.play), dialect)
			if err == nil {
				session.Close(ctx)
			}
			drivertest.WantSafe(t, err, planted)
			if got := dbdrivers.ClassOf(err); !errors.Is(got, test.want) {
				t.Fatalf("error %v; want class %v", err, test.want)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
		})
	}
}

// TestEnvironmentCannotStopTheClient runs in a process of its own, because
// what the environment could spoil is prepared once per process.
func TestEnvironmentCannotStopTheClient(t *testing.T) {
	if os.Getenv("PGWIRE_TEST_ADDRESS") != "" {
		connectInChild(t)
		return
	}
	t.Parallel()
	names := []string{
		"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE", "PGSSLMODE", "PGSSLCERT", "PGSSLKEY",
		"PGSSLCERTMODE", "PGSSLSNI", "PGSSLROOTCERT", "PGSSLPASSWORD", "PGSSLNEGOTIATION", "PGOPTIONS", "PGAPPNAME", "PGCONNECT_TIMEOUT",
		"PGTARGETSESSIONATTRS", "PGTZ", "PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION", "PGCHANNELBINDING", "PGREQUIREAUTH", "PGKRBSRVNAME",
	}
	home := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(".pgpass", "*:*:*:*:from-the-password-file\n")
	write(".postgresql/root.crt", "no certificate")
	write(".postgresql/postgresql.crt", "no certificate")
	write(".postgresql/postgresql.key", "no key")
	write("services", "[found]\nhost=elsewhere.invalid\nsslmode=garbage\nport=abc\noptions=-c role=nobody\nnonsense=yes\n")

	odd := filepath.Join(home, `it's a \ folder`)
	if err := os.Mkdir(odd, 0o700); err != nil {
		t.Fatal(err)
	}
	environments := map[string][]string{"a home folder full of files": nil, "a service, and a folder with an odd name": {"PGSERVICE=garbage", "TMPDIR=" + odd}, "a service that exists": {"PGSERVICE=found", "PGSERVICEFILE=" + filepath.Join(home, "services")}}
	var all []string
	for _, name := range names {
		environments[name] = []string{name + "=garbage"}
		all = append(all, name+"=garbage")
	}
	environments["all at once"] = all
	for name, variables := range environments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			login := scripted(t, true, func(conn net.Conn, server *pgproto3.Backend) {
				says(&pgproto3.AuthenticationMD5Password{}, &pgproto3.AuthenticationOk{}, &pgproto3.ReadyForQuery{TxStatus: 'I'})(conn, server)
			})
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnvironmentCannotStopTheClient$", "-test.count=1")
			child.Env = slices.Concat(os.Environ(), []string{"HOME=" + home, "PGWIRE_TEST_ADDRESS=" + login.Address()}, variables)
			if out, err := child.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func connectInChild(t *testing.T) {
	host, port, err := net.SplitHostPort(os.Getenv("PGWIRE_TEST_ADDRESS"))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	session, err := pgwire.Connect(t.Context(), dbdrivers.Login{
		Host: host, Port: number, Username: "app", Database: "appdb",
		Password: dbdrivers.NewPassword(planted), TLS: tlsconf.Settings{Plaintext: true},
	}, dialect)
	if err != nil {
		t.Fatal(err)
	}
	session.Close(t.Context())
}

// TestOnlyTheLoginIsSent reads what the server is told at sign-in.
func TestOnlyTheLoginIsSent(t *testing.T) {
	told := make(chan map[string]string, 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		first, err := pgproto3.NewBackend(conn, conn).ReceiveStartupMessage()
		if message, ok := first.(*pgproto3.StartupMessage); err == nil && ok {
			told <- message.Parameters
		}
	}()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("listening at %v", listener.Addr())
	}
	_, err = pgwire.Connect(t.Context(), dbdrivers.Login{
		Host: "127.0.0.1", Port: address.Port, Username: "app", Database: "appdb", Password: dbdrivers.NewPassword(planted), TLS: tlsconf.Settings{Plaintext: true},
	}, dialect)
	drivertest.WantSafe(t, err, planted)
	select {
	case got := <-told:
		want := map[string]string{"user": "app", "database": "appdb", "application_name": "dbrotation", "client_encoding": "UTF8"}
		if len(got) != len(want) {
			t.Errorf("the server was told %v; want %v", got, want)
		}
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s is %q; want %q", name, got[name], value)
			}
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the server was told nothing")
	}
}

// TestLoginIsChecked is a login that would lead to another place or account
// than it names.
func TestLoginIsChecked(t *testing.T) {
	t.Parallel()
	login := scripted(t, true, says(&pgproto3.AuthenticationMD5Password{}))
	long := strings.Repeat("n", 64)
	tests := map[string]struct {
		spoil func(*dbdrivers.Login)
		says  string
	}{
		"no host":                       {func(l *dbdrivers.Login) { l.Host = "" }, "host is empty"},
		"no port":                       {func(l *dbdrivers.Login) { l.Port = 0 }, "0 is no port"},
		"a port beyond the last":        {func(l *dbdrivers.Login) { l.Port += 65536 }, "is no port"},
		"no username":                   {func(l *dbdrivers.Login) { l.Username = "" }, "username is empty"},
		"a username with a zero byte":   {func(l *dbdrivers.Login) { l.Username = "app\x00" }, "zero byte"},
		"a username that is cut off":    {func(l *dbdrivers.Login) { l.Username = long }, "cut it off"},
		"no database":                   {func(l *dbdrivers.Login) { l.Database = "" }, "database name is empty"},
		"a database with a zero byte":   {func(l *dbdrivers.Login) { l.Database = "db\x00" }, "zero byte"},
		"a database name that is cut":   {func(l *dbdrivers.Login) { l.Database = long }, "cut it off"},
		"a parameter after a zero byte": {func(l *dbdrivers.Login) { l.Username = "app\x00options\x00-c role=x" }, "zero byte"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spoilt := login
			test.spoil(&spoilt)
			_, err := pgwire.Connect(t.Context(), spoilt, dialect)
			drivertest.WantSafe(t, err, planted)
			if !errors.Is(err, dbdrivers.ErrUnsupported) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v; want unsupported, saying %q", err, test.says)
			}
		})
	}
}
