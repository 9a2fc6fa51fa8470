package documentdb_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/documentdb"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
)

// TestConformanceScripted holds the driver to the contract before a server that
// answers as AWS and MongoDB document it.
func TestConformanceScripted(t *testing.T) {
	for name, c := range map[string]struct {
		driver documentdb.Driver
		script script
	}{
		"DocumentDB": {documentdb.New(), script{SelfService: true}},
		"MongoDB":    {documentdb.NewMongo(), script{SelfService: true, Mongo: true}},
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.Run(t, scriptedFixture(c.driver, play(t, c.script)))
		})
	}
}

func scriptedFixture(driver documentdb.Driver, s *scripted) drivertest.Fixture {
	return drivertest.Fixture{
		Driver: driver,
		Account: func(_ *testing.T, username, password string) dbdrivers.Login {
			s.add(account{name: username, password: password, roles: []grant{{"readWrite", "app"}}})
			return s.login(username, password)
		},
		Admin: func(*testing.T) dbdrivers.Login { return s.master() },
		Opens: func(t *testing.T, username, password string) bool { return opens(t, s.login(username, password)) },
		SignIns: func(_ *testing.T, username string) (ok, refused int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.taken[username], s.refused[username]
		},
		Sessions: func(_ *testing.T, username string) (n int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for p := range s.peers {
				if p.user != nil && p.user.name == username {
					n++
				}
			}
			return n
		},
		Twins: s.twins(),
		NoTLS: func(t *testing.T) dbdrivers.Login {
			login := play(t, script{NoTLS: true}).master()
			login.TLS.Plaintext = false
			return login
		},
		UnknownAuthority: func(*testing.T) dbdrivers.Login {
			login := s.master()
			login.TLS.Roots = x509.NewCertPool()
			return login
		},
		OtherName: func(*testing.T) dbdrivers.Login {
			login := s.master()
			login.TLS.ServerName = "elsewhere.example"
			return login
		},
		Environment: nonsense(),
	}
}

// nonsense sets what the client library and MongoDB's own tools read.
func nonsense() map[string]string {
	return map[string]string{
		"MONGODB_LOG_ALL": "trace", "MONGODB_LOG_COMMAND": "trace", "MONGODB_LOG_PATH": "/nowhere/at/all", "MONGODB_LOG_MAX_DOCUMENT_LENGTH": "x",
		"MONGODB_URI": "mongodb://elsewhere.invalid", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "x",
		"SSL_CERT_FILE": "/nowhere/at/all", "HTTPS_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "socks5://127.0.0.1:1",
	}
}

// twins grants a role to read a database.
func (s *scripted) twins() *drivertest.TwinFixture {
	return &drivertest.TwinFixture{
		Blind: true,
		Right: func(*testing.T) string { return "right_" + strings.ToLower(rand.Text()) },
		Grant: func(_ *testing.T, name, right string) {
			s.edit(name, func(a *account) { a.roles = append(a.roles[:len(a.roles):len(a.roles)], grant{"read", right}) })
		},
		Revoke: s.revoke,
		Has:    func(t *testing.T, login dbdrivers.Login, right string) bool { return may(t, login, right) },
		Exists: func(_ *testing.T, name string) bool { return s.user(name).name != "" },
		Cut: func(_ *testing.T, nth int, answerLost bool) (dbdrivers.Login, func() bool) {
			return s.cutNext(nth, answerLost)
		},
	}
}

func (s *scripted) revoke(_ *testing.T, name, right string) {
	s.edit(name, func(a *account) {
		var left []grant
		for _, g := range a.roles {
			if g.DB != right {
				left = append(left, g)
			}
		}
		a.roles = left
	})
}

// connect signs in without the driver.
func connect(t *testing.T, login dbdrivers.Login) *mongo.Client {
	t.Helper()
	settings := options.Client().SetHosts([]string{login.Address()}).SetDirect(true).SetRetryReads(false).
		SetServerSelectionTimeout(20 * time.Second).
		SetAuth(options.Credential{AuthSource: login.Database, Username: login.Username, Password: login.Password.Reveal(), PasswordSet: true})
	if tls := login.TLS.Config(login.Host); tls != nil {
		settings.SetTLSConfig(tls)
	}
	client, err := mongo.Connect(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	return client
}

// opens asks without the driver.
func opens(t *testing.T, login dbdrivers.Login) bool {
	t.Helper()
	client := connect(t, login)
	defer func() { _ = client.Disconnect(t.Context()) }()
	err := client.Database(login.Database).RunCommand(t.Context(), bson.D{{Key: "connectionStatus", Value: 1}}).Err()
	if err != nil && serverCode(err) != 18 {
		t.Fatal(err)
	}
	return err == nil
}

// may signs in and reads.
func may(t *testing.T, login dbdrivers.Login, database string) bool {
	t.Helper()
	client := connect(t, login)
	defer func() { _ = client.Disconnect(t.Context()) }()
	err := client.Database(database).RunCommand(t.Context(), bson.D{{Key: "find", Value: "t"}}).Err()
	if err != nil && serverCode(err) != 13 {
		t.Fatal(err)
	}
	return err == nil
}

func serverCode(err error) int32 {
	var server mongo.CommandError
	if errors.As(err, &server) {
		return server.Code
	}
	return 0
}
