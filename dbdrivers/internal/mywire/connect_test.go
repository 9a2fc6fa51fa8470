package mywire_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

var dialect = mywire.Dialect{Name: "MySQL", MaxName: 32, AlsoRefused: "where it looks alike"}

func connect(t *testing.T, login dbdrivers.Login) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	session, err := mywire.Connect(ctx, login, dialect)
	if err == nil {
		session.Close()
	}
	return err
}

func check(t *testing.T, err, class error, tells string) {
	t.Helper()
	drivertest.WantSafe(t, err, password)
	if !errors.Is(err, class) || !strings.Contains(err.Error(), tells) {
		t.Errorf("error %v; want %q that tells %q", err, class, tells)
	}
}

// TestServersWord is what a server may answer to a sign-in, and what it says of
// the password.
func TestServersWord(t *testing.T) {
	t.Parallel()
	afterwards := func(number uint16) func(*testing.T, net.Conn) {
		return func(_ *testing.T, conn net.Conn) {
			greet(conn, basicCapabilities, "mysql_native_password")
			receive(conn)
			send(conn, 2, fault(number, "HY000", "said with "+password))
		}
	}
	instead := func(payload string) func(*testing.T, net.Conn) {
		return func(_ *testing.T, conn net.Conn) { send(conn, 0, payload) }
	}
	switching := func(plugins ...string) func(*testing.T, net.Conn) {
		return func(_ *testing.T, conn net.Conn) {
			greet(conn, basicCapabilities, "mysql_native_password")
			for i, plugin := range plugins {
				receive(conn)
				send(conn, byte(2+2*i), "\xfe"+plugin+"\x0012345678901234567890\x00")
			}
			receive(conn)
		}
	}
	for name, c := range map[string]struct {
		say   func(*testing.T, net.Conn)
		class error
		tells string
	}{
		"a wrong password":            {afterwards(1045), dbdrivers.ErrRefused, "where it looks alike"},
		"no right to the database":    {afterwards(1044), dbdrivers.ErrBarred, "dbname"},
		"no such database":            {afterwards(1049), dbdrivers.ErrBarred, "dbname"},
		"its connections in use":      {afterwards(1226), dbdrivers.ErrBarred, "MAX_USER_CONNECTIONS"},
		"all connections in use":      {instead(fault(1040, "08004", "Too many connections")), dbdrivers.ErrBusy, "max_connections"},
		"this address blocked":        {instead(fault(1129, "HY000", "blocked")), dbdrivers.ErrUnreachable, "FLUSH HOSTS"},
		"no account for this address": {instead(fault(1130, "HY000", "not allowed")), dbdrivers.ErrUnreachable, "did not ask"},
		"starting":                    {afterwards(1053), dbdrivers.ErrBusy, "starting or stopping"},
		"TLS demanded":                {afterwards(3159), dbdrivers.ErrTLS, `"ssl": false`},
		"a plugin that it lacks":      {afterwards(1524), dbdrivers.ErrUnsupported, "plugin"},
		"a code that is not known":    {afterwards(4999), dbdrivers.ErrUnreachable, "4999"},
		"the password itself wanted":  {switching("mysql_clear_password"), dbdrivers.ErrUnsupported, "checked by another service"},
		"a hash of before 4.1 wanted": {switching("mysql_old_password"), dbdrivers.ErrUnsupported, "not safe"},
		"a plugin that is not known":  {switching("authentication_kerberos_client"), dbdrivers.ErrUnsupported, "plugin that is not known"},
		"one way after the other":     {switching("mysql_native_password", "mysql_native_password"), dbdrivers.ErrUnsupported, "no word on the password"},
		"another protocol":            {instead("SSH-2.0-OpenSSH"), dbdrivers.ErrUnreachable, "does not speak MySQL's protocol"},
		"nothing, and hangs up":       {func(*testing.T, net.Conn) {}, dbdrivers.ErrUnreachable, "no answer from the server, which greets first"},
		"nothing to the sign-in, and hangs up": {func(_ *testing.T, conn net.Conn) {
			greet(conn, basicCapabilities, "mysql_native_password")
			receive(conn)
		}, dbdrivers.ErrUnreachable, "no answer from the server to the sign-in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, connect(t, serverThat(t, c.say)), c.class, c.tells)
		})
	}
}

// TestNothingIsSentWithoutTLS asks for TLS at a server that offers none, or that
// takes the offer back.
func TestNothingIsSentWithoutTLS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		capabilities uint16
		class        error
		tells        string
	}{
		"none is offered": {basicCapabilities, dbdrivers.ErrTLS, "offers no TLS"},
		"it breaks off":   {basicCapabilities | tlsCapability, dbdrivers.ErrUnreachable, "in the TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := make(chan string, 1)
			login := serverThat(t, func(_ *testing.T, conn net.Conn) {
				greet(conn, c.capabilities, "mysql_clear_password")
				request <- receive(conn)
			})
			login.TLS.Plaintext = false
			check(t, connect(t, login), c.class, c.tells)
			if told := <-request; strings.Contains(told, password) || strings.Contains(told, "app") {
				t.Errorf("the server was told %q before TLS", told)
			}
		})
	}
	t.Run("it answers in clear", func(t *testing.T) {
		t.Parallel()
		login := serverThat(t, func(_ *testing.T, conn net.Conn) {
			greet(conn, basicCapabilities|tlsCapability, "mysql_clear_password")
			receive(conn)
			send(conn, 2, "\x00\x00\x00\x02\x00\x00\x00")
			receive(conn)
		})
		login.TLS.Plaintext = false
		check(t, connect(t, login), dbdrivers.ErrTLS, "TLS")
	})
}

// TestLoginThatCannotBe meets no server.
func TestLoginThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*dbdrivers.Login){
		"no host":                  func(l *dbdrivers.Login) { l.Host = "" },
		"no port":                  func(l *dbdrivers.Login) { l.Port = 0 },
		"a port too high":          func(l *dbdrivers.Login) { l.Port = 65536 },
		"no username":              func(l *dbdrivers.Login) { l.Username = "" },
		"a username that is cut":   func(l *dbdrivers.Login) { l.Username = "app\x00x" },
		"a username that is long":  func(l *dbdrivers.Login) { l.Username = strings.Repeat("é", 33) },
		"a username of no text":    func(l *dbdrivers.Login) { l.Username = "app\xff" },
		"a database that is cut":   func(l *dbdrivers.Login) { l.Database = "db\x00x" },
		"a database that is long":  func(l *dbdrivers.Login) { l.Database = strings.Repeat("d", 65) },
		"a password that is cut":   func(l *dbdrivers.Login) { l.Password = dbdrivers.NewPassword(password + "\x00x") },
		"a password that is bytes": func(l *dbdrivers.Login) { l.Password = dbdrivers.NewPassword(password + "\xff") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var met atomic.Bool
			login := serverThat(t, func(*testing.T, net.Conn) { met.Store(true) })
			change(&login)
			check(t, connect(t, login), dbdrivers.ErrUnsupported, "")
			if met.Load() {
				t.Error("a server was asked")
			}
		})
	}
}

// TestASignInThatTheLibraryBreaksOff is MariaDB's ed25519 with a zero at the end
// of what the proof is made of.
func TestASignInThatTheLibraryBreaksOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ed25519 bool
		zeros   int32
		class   error
		dials   int32
	}{
		"once":                             {true, 1, dbdrivers.ErrRefused, 2},
		"twice":                            {true, 2, dbdrivers.ErrRefused, 3},
		"each time":                        {true, 9, dbdrivers.ErrUnsupported, 3},
		"where no account has the plugin":  {false, 1, dbdrivers.ErrUnsupported, 1},
		"not at all, and the proof is bad": {true, 0, dbdrivers.ErrRefused, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dials atomic.Int32
			login := serverThat(t, func(_ *testing.T, conn net.Conn) {
				nonce := strings.Repeat("n", 32)
				if dials.Add(1) <= c.zeros {
					nonce = strings.Repeat("n", 31) + "\x00"
				}
				greet(conn, basicCapabilities, "mysql_native_password")
				receive(conn)
				send(conn, 2, "\xfeclient_ed25519\x00"+nonce)
				if receive(conn) != "" {
					send(conn, 4, fault(1045, "28000", "no"))
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			maria := dialect
			maria.Ed25519 = c.ed25519
			_, err := mywire.Connect(ctx, login, maria)
			check(t, err, c.class, "")
			if got := dials.Load(); got != c.dials {
				t.Errorf("%d connections; want %d", got, c.dials)
			}
		})
	}
}

// TestASignInThatWasAnsweredIsNotMadeAgain: of MariaDB's list of methods the
// client answers one. That the server then asks for another says that the answer
// was judged, which one that the library breaks off never is.
func TestASignInThatWasAnsweredIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	identity := httptest.NewTLSServer(nil)
	identity.Close()
	roots := x509.NewCertPool()
	roots.AddCert(identity.Certificate())
	for name, config := range map[string]*tls.Config{
		"without TLS":                       nil,
		"by TLS 1.2":                        {MaxVersion: tls.VersionTLS12},
		"by TLS 1.3":                        {MinVersion: tls.VersionTLS13},
		"by TLS 1.3 that wants another key": {MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.CurveP521}},
	} {
		for nonce, want := range map[string]int32{strings.Repeat("n", 32): 1, strings.Repeat("n", 31) + "\x00": 3} {
			t.Run(fmt.Sprintf("%s, %d connections", name, want), func(t *testing.T) {
				t.Parallel()
				var dials, answers atomic.Int32
				login := serverThat(t, func(_ *testing.T, conn net.Conn) {
					dials.Add(1)
					capabilities, number := uint16(basicCapabilities), byte(2)
					if config != nil {
						capabilities |= tlsCapability
					}
					greet(conn, capabilities, "mysql_native_password")
					if config != nil {
						receive(conn)
						settings := config.Clone()
						settings.Certificates = identity.TLS.Certificates
						conn, number = tls.Server(conn, settings), 3
					}
					receive(conn)
					send(conn, number, "\xfeclient_ed25519\x00"+nonce)
					if receive(conn) != "" {
						answers.Add(1)
						send(conn, number+2, "\xfemysql_native_password\x0012345678901234567890\x00")
						receive(conn)
					}
				})
				if config != nil {
					login.TLS.Plaintext, login.TLS.Roots = false, roots
				}
				maria := dialect
				maria.Ed25519 = true
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				_, err := mywire.Connect(ctx, login, maria)
				tells := "asked for a second proof"
				if want > 1 {
					tells = "has answered nothing"
				}
				check(t, err, dbdrivers.ErrUnsupported, tells)
				if got := dials.Load(); got != want || answers.Load() > 1 {
					t.Errorf("%d connections and %d answers; want %d connections, and no answer twice", got, answers.Load(), want)
				}
			})
		}
	}
}
