package documentdb_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/documentdb"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
)

// app is a user as applications have them.
func (s *scripted) app() dbdrivers.Login {
	s.add(account{name: "app", password: firstPassword, roles: []grant{{"readWrite", "shop"}}})
	return s.login("app", firstPassword)
}

func TestClustersOfEveryKind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script script
		class  error
		tells  string
	}{
		"DocumentDB 3.6":                              {script: script{Wires: [2]int32{0, 6}}, class: dbdrivers.ErrUnsupported, tells: "4.0 is the oldest"},
		"DocumentDB 4.0":                              {script: script{Wires: [2]int32{0, 7}, Mechanisms: []string{sha1}, HideMechanisms: true, OldHello: true}},
		"DocumentDB 5.0":                              {},
		"an elastic cluster":                          {script: script{Elastic: true}},
		"a reader lets in":                            {script: script{Replica: true}},
		"SCRAM-SHA-256 alone":                         {script: script{Mechanisms: []string{sha256}}},
		"codes as long numbers":                       {script: script{LongCodes: true}},
		"the server takes the login for another user": {script: script{Alias: "other"}, class: dbdrivers.ErrUnsupported, tells: `took the login for "other"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, c.script)
			login := s.app()
			check(t, verify(t, documentdb.New(), login), c.class, c.tells)
			if c.class == nil {
				login.Password = dbdrivers.NewPassword(nextPassword)
				check(t, verify(t, documentdb.New(), login), dbdrivers.ErrRefused, "where the user does not exist)")
			}
		})
	}
}

func TestWhatASignInMeans(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		said  refusal
		class error
		tells string
	}{
		"a wrong password":                  {refusal{code: 18, name: "AuthenticationFailed", text: "Authentication failed."}, dbdrivers.ErrRefused, "(code 18)"},
		"a user that does not exist":        {refusal{code: 11, name: "UserNotFound", text: "Could not find user"}, dbdrivers.ErrRefused, "where the user does not exist"},
		"a mechanism that it does not know": {refusal{code: 0, text: "Unsupported mechanism [ -301 ]"}, dbdrivers.ErrUnsupported, "Unsupported mechanism"},
		"the same by its code":              {refusal{code: -301, text: "no"}, dbdrivers.ErrUnsupported, "give the user a mechanism"},
		"the user has none of this kind":    {refusal{code: 334, name: "MechanismUnavailable", text: "no credentials"}, dbdrivers.ErrUnsupported, "give the user a mechanism"},
		"a server that fails over":          {refusal{code: 91, name: "ShutdownInProgress", text: "shutting down"}, dbdrivers.ErrBusy, "failing over"},
		"a code that nobody knows":          {refusal{code: 4711, text: "what"}, dbdrivers.ErrUnsupported, "(code 4711)"},
		"a server that repeats a password":  {refusal{code: 18, name: "AuthenticationFailed", text: "not " + firstPassword}, dbdrivers.ErrRefused, "not [redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, script{Mechanisms: []string{sha1}, Fails: func(q question) error {
				if q.name() == "saslStart" {
					return c.said
				}
				return nil
			}})
			err := verify(t, documentdb.New(), s.app())
			check(t, err, c.class, c.tells)
			var server mongo.CommandError
			if !errors.As(err, &server) {
				t.Errorf("the library's own error is not to be had of %v", err)
			}
		})
	}
}

func TestWhatACommandMeans(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		said  refusal
		class error
	}{
		"no right":                 {refusal{code: 13, name: "Unauthorized", text: "Authorization failure"}, dbdrivers.ErrPrivilege},
		"not the primary any more": {refusal{code: 10107, name: "NotWritablePrimary", text: "not primary"}, dbdrivers.ErrNotWritable},
		"not the primary, no ok":   {refusal{code: 13435, text: "not primary and secondaryOk=false"}, dbdrivers.ErrNotWritable},
		"shutting down":            {refusal{code: 11600, text: "interrupted at shutdown"}, dbdrivers.ErrBusy},
		"out of time":              {refusal{code: 50, text: "time limit"}, dbdrivers.ErrBusy},
		"the user is gone":         {refusal{code: 11, text: "Could not find user"}, dbdrivers.ErrUnsupported},
		"the password's rules":     {refusal{code: 2, text: "the Password is too plain: " + nextPassword}, dbdrivers.ErrPasswordRules},
		"another value":            {refusal{code: 2, text: "is not a valid argument"}, dbdrivers.ErrUnsupported},
		"no such command":          {refusal{code: 59, text: "no such command"}, dbdrivers.ErrUnsupported},
		"a router lost the answer": {refusal{code: 6, name: "HostUnreachable", text: "no route"}, dbdrivers.ErrUnreachable},
		"the router's own error":   {refusal{code: 1, name: "InternalError", text: "what"}, dbdrivers.ErrUnreachable},
		"anything else":            {refusal{code: 4711, text: "what"}, dbdrivers.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, long := range []bool{false, true} {
				s := play(t, script{LongCodes: long, Fails: func(q question) error {
					if q.name() == "updateUser" {
						return c.said
					}
					return nil
				}})
				s.app()
				check(t, set(t, documentdb.New(), s.master(), "app", nextPassword), c.class, "")
				if got := s.user("app").password; got != firstPassword {
					t.Errorf("the password is %q", got)
				}
			}
		})
	}
}

// TestOneConversation: a wrong password is one sign-in that failed, on one of two
// connections, and nothing is tried in its place: not the password in another
// mechanism, not without TLS.
func TestOneConversation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mechanisms []string
		starts     int // those outside the greeting
	}{
		"SCRAM-SHA-1":   {[]string{sha1}, 1},
		"SCRAM-SHA-256": {[]string{sha1, sha256}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, script{Mechanisms: c.mechanisms})
			login := s.app()
			login.Password = dbdrivers.NewPassword(nextPassword)
			var dials atomic.Int32
			login.Port = between(t, login.Address(), &dials)
			check(t, set(t, documentdb.New(), login, "app", "Another-password-3"), dbdrivers.ErrRefused, "")
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.taken["app"] != 0 || s.refused["app"] != 1 || s.starts != c.starts || len(s.sent) != 0 {
				t.Errorf("%d sign-ins taken, %d refused, %d conversations after the greeting, %d commands; want 0, 1, %d, 0",
					s.taken["app"], s.refused["app"], s.starts, len(s.sent), c.starts)
			}
			if got := dials.Load(); got != 2 {
				t.Errorf("%d connections; want the library's watch and one that signs in", got)
			}
		})
	}
}

// between passes connections on and counts them.
func between(t *testing.T, server string, dials *atomic.Int32) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			go func() {
				defer func() { _ = client.Close() }()
				conn, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
				go func() { _, _ = io.Copy(conn, client); _ = conn.Close() }()
				_, _ = io.Copy(client, conn)
			}()
		}
	}()
	return portOf(t, listener)
}

// TestNoTLS: the password of a login that asks for TLS goes to no server without
// it, and a server that demands TLS is no refusal.
func TestNoTLS(t *testing.T) {
	t.Parallel()
	t.Run("the server offers none", func(t *testing.T) {
		t.Parallel()
		s := play(t, script{NoTLS: true})
		login := s.app()
		login.TLS.Plaintext = false
		check(t, verify(t, documentdb.New(), login), dbdrivers.ErrTLS, `the server offers no TLS; turn it on there, or set "ssl": false`)
		if s.taken["app"]+s.refused["app"]+s.starts > 0 {
			t.Error("a sign-in was begun")
		}
	})
	t.Run("the server demands it", func(t *testing.T) {
		t.Parallel()
		s := play(t, script{})
		login := s.app()
		login.TLS.Plaintext = true
		check(t, verify(t, documentdb.New(), login), dbdrivers.ErrUnreachable, `remove "ssl": false`)
	})
	t.Run("neither has it", func(t *testing.T) {
		t.Parallel()
		s := play(t, script{NoTLS: true})
		check(t, verify(t, documentdb.New(), s.app()), nil, "")
	})
}

// TestSilence: a server that stops answering is unreachable when the caller's time
// is over, and the error says whether something may have changed.
func TestSilence(t *testing.T) {
	t.Parallel()
	for silent, tells := range map[string]string{
		"saslContinue": "no answer from the server to the sign-in",
		"isMaster":     "nothing was changed",
		"usersInfo":    "nothing was changed",
		"updateUser":   "whether it took effect is not known",
	} {
		for name, driver := range map[string]documentdb.Driver{"DocumentDB": documentdb.New(), "MongoDB": documentdb.NewMongo()} {
			t.Run(silent+" of "+name, func(t *testing.T) {
				t.Parallel()
				over := make(chan struct{})
				s := play(t, script{Mongo: name == "MongoDB", Mechanisms: []string{sha1}, Fails: func(q question) error {
					if q.name() == silent && !q.greets() {
						<-over
					}
					return nil
				}})
				defer close(over)
				s.app()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				start := time.Now()
				err := driver.SetPassword(ctx, dbdrivers.SetPasswordRequest{As: s.master(), Account: "app", Password: dbdrivers.NewPassword(nextPassword)})
				check(t, err, dbdrivers.ErrUnreachable, tells)
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		}
	}
}

func TestLoginsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*dbdrivers.Login){
		"no host":                         func(l *dbdrivers.Login) { l.Host = "" },
		"no port":                         func(l *dbdrivers.Login) { l.Port = 0 },
		"no name":                         func(l *dbdrivers.Login) { l.Username = "" },
		"a name with a zero byte":         func(l *dbdrivers.Login) { l.Username = "app\x00" },
		"no password":                     func(l *dbdrivers.Login) { l.Password = dbdrivers.Password{} },
		"a password that no client takes": func(l *dbdrivers.Login) { l.Password = dbdrivers.NewPassword("First\npassword") },
		"users of another service":        func(l *dbdrivers.Login) { l.Params = map[string]string{"authSource": "$external"} },
		"no database's name":              func(l *dbdrivers.Login) { l.Params = map[string]string{"authSource": "a.b"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, script{})
			login := s.app()
			change(&login)
			for _, driver := range []documentdb.Driver{documentdb.New(), documentdb.NewMongo()} {
				check(t, verify(t, driver, login), dbdrivers.ErrUnsupported, "")
			}
			if s.taken["app"]+s.refused["app"] > 0 {
				t.Error("a sign-in was made")
			}
		})
	}
}

// TestWhereUsersLive: the database of a login's user is admin on DocumentDB,
// whatever the dbname; of MongoDB it is the secret's authSource, else its dbname.
func TestWhereUsersLive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		driver             documentdb.Driver
		script             script
		dbname, authSource string
		lives              string
		refused            string // the secret is none, and the error tells this
	}{
		"DocumentDB, with admin as the source": {driver: documentdb.New(), dbname: "shop", authSource: "admin", lives: "admin"},
		"DocumentDB, with another source":      {driver: documentdb.New(), script: script{Mongo: true}, authSource: "shop", lives: "shop", refused: `"authSource" is "shop"`},
		"DocumentDB by AWS's name, a dbname":   {driver: documentdb.NewMongo(), script: script{AnySource: true}, dbname: "shop", lives: "admin"},
		"DocumentDB, with a dbname":            {driver: documentdb.New(), dbname: "shop", lives: "admin"},
		"DocumentDB, without":                  {driver: documentdb.New(), lives: "admin"},
		"MongoDB, with a dbname":               {driver: documentdb.NewMongo(), script: script{Mongo: true}, dbname: "shop", lives: "shop"},
		"MongoDB, with a dbname and another":   {driver: documentdb.NewMongo(), script: script{Mongo: true}, dbname: "shop", authSource: "people", lives: "people"},
		"MongoDB, without":                     {driver: documentdb.NewMongo(), script: script{Mongo: true}, lives: "admin"},
		"DocumentDB by AWS's name":             {driver: documentdb.NewMongo(), dbname: "admin", lives: "admin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, c.script)
			s.add(account{name: "app", database: c.lives, password: firstPassword})
			login := s.login("app", firstPassword)
			login.Database = c.dbname
			if c.authSource != "" {
				login.Params = map[string]string{"authSource": c.authSource}
			}
			if c.refused != "" {
				check(t, verify(t, c.driver, login), dbdrivers.ErrUnsupported, c.refused)
				req := dbdrivers.SetPasswordRequest{As: s.master(), Account: "app", Params: login.Params, Password: dbdrivers.NewPassword(nextPassword)}
				check(t, c.driver.SetPassword(inTime(t), req), dbdrivers.ErrUnsupported, c.refused)
				if len(s.commands()) > 0 {
					t.Error("the server was asked")
				}
				return
			}
			check(t, verify(t, c.driver, login), nil, "")
		})
	}
}

// TestPasswordsBeyondASCII: clients of MongoDB may have them.
func TestPasswordsBeyondASCII(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{sha1, sha256} {
		s := play(t, script{Mongo: true, SelfService: true, Mechanisms: []string{mechanism}})
		login := s.app()
		for _, password := range []string{"pässwörd-密码-пароль", "ﬁne ª"} {
			check(t, set(t, documentdb.NewMongo(), login, "app", password), nil, "", password)
			login.Password = dbdrivers.NewPassword(password)
			check(t, verify(t, documentdb.NewMongo(), login), nil, "", password)
		}
	}
}

// TestServerThatRepeats: nothing that can be printed of an error shows a password
// that a server repeats in every field that it has.
func TestServerThatRepeats(t *testing.T) {
	t.Parallel()
	s := play(t, script{Fails: func(q question) error {
		if password, ok := q.command.Lookup("pwd").StringValueOK(); ok {
			return refusal{code: 4711, name: "Told" + password, text: password + " and " + masterPassword}
		}
		return nil
	}})
	s.app()
	err := set(t, documentdb.New(), s.master(), "app", nextPassword)
	check(t, err, dbdrivers.ErrUnsupported, "[redacted] and [redacted]")
	drivertest.WantSafe(t, err, nextPassword, masterPassword)
}

// TestCutOffIsNotTriedAgain: whichever message is lost, the login signs in once.
func TestCutOffIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for nth := range 4 {
		for _, answerLost := range []bool{false, true} {
			s := play(t, script{})
			s.app()
			login, was := s.cutNext(nth, answerLost)
			check(t, set(t, documentdb.New(), login, "app", nextPassword), dbdrivers.ErrUnreachable, "no answer from the server to the command")
			s.mu.Lock()
			taken := s.taken[login.Username]
			s.mu.Unlock()
			if !was() || taken != 1 {
				t.Errorf("message %d: cut off: %t; %d sign-ins; want one", nth, was(), taken)
			}
		}
	}
}
