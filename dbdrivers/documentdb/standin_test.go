package documentdb_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/documentdb"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/documentdbgate"
	"github.com/dbrotation/dbrotation/integration/dbservers/mongogate"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
)

// standIn is a server that keeps users and passwords by itself, behind a gate that
// holds to what is documented of DocumentDB, or of MongoDB.
type standIn struct{ *dbservers.Server }

func startStandIn(t *testing.T, options dbservers.DocumentDBOptions) standIn {
	t.Helper()
	s, err := servers.DocumentDB(options)
	if err != nil {
		t.Fatal(err)
	}
	return standIn{s}
}

func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		driver   documentdb.Driver
		behavior documentdbgate.Behavior
	}{
		"DocumentDB": {documentdb.New(), documentdbgate.Behavior{OwnPassword: true}},
		"MongoDB":    {documentdb.NewMongo(), documentdbgate.Behavior{OwnPassword: true, MongoDB: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := startStandIn(t, dbservers.DocumentDBOptions{Plaintext: true, Behavior: c.behavior})
			drivertest.Run(t, s.fixture(c.driver))
		})
	}
}

// login is a user's of the database admin.
func (s standIn) login(username, password string) dbdrivers.Login {
	login := s.Login(username, password)
	login.Database = "admin"
	return login
}

func (s standIn) admin() dbdrivers.Login { return s.login(s.Admin.Username, s.Admin.Password.Reveal()) }

func (s standIn) fixture(driver documentdb.Driver) drivertest.Fixture {
	return drivertest.Fixture{
		Driver: driver,
		Account: func(t *testing.T, username, password string) dbdrivers.Login {
			t.Helper()
			if err := s.CreateUser(t.Context(), username, password); err != nil {
				t.Fatal(err)
			}
			return s.login(username, password)
		},
		Admin: func(*testing.T) dbdrivers.Login { return s.admin() },
		Opens: func(t *testing.T, username, password string) bool {
			t.Helper()
			is, err := s.Opens(t.Context(), username, password)
			if err != nil {
				t.Fatal(err)
			}
			return is
		},
		SignIns: func(t *testing.T, username string) (ok, refused int) {
			t.Helper()
			counted, err := s.SignIns(t.Context(), username)
			if err != nil {
				t.Fatal(err)
			}
			return counted.Accepted, counted.Refused
		},
		Twins: s.twins(),
		NoTLS: func(t *testing.T) dbdrivers.Login {
			login := startStandIn(t, dbservers.DocumentDBOptions{NoTLS: true}).admin()
			login.TLS.Plaintext = false
			return login
		},
		UnknownAuthority: func(*testing.T) dbdrivers.Login {
			login := s.admin()
			login.TLS.Roots = x509.NewCertPool()
			return login
		},
		OtherName: func(*testing.T) dbdrivers.Login {
			login := s.admin()
			login.TLS.ServerName = "elsewhere.example"
			return login
		},
		Log:         s.logs,
		Environment: nonsense(),
	}
}

// logs are all that the stand-in writes, in one text.
func (s standIn) logs(t *testing.T) string {
	t.Helper()
	logs, err := s.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(slices.Collect(maps.Values(logs)), "\n")
}

// twins grants a role to read a database.
func (s standIn) twins() *drivertest.TwinFixture {
	alter := func(command string) func(*testing.T, string, string) {
		return func(t *testing.T, name, right string) {
			t.Helper()
			if err := s.Exec(t.Context(), fmt.Sprintf(`{%q: %q, "roles": [{"role": "read", "db": %q}]}`, command, name, right)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &drivertest.TwinFixture{
		Blind:  true,
		Right:  func(*testing.T) string { return "right_" + strings.ToLower(rand.Text()) },
		Grant:  alter("grantRolesToUser"),
		Revoke: alter("revokeRolesFromUser"),
		Has: func(t *testing.T, login dbdrivers.Login, right string) bool {
			t.Helper()
			return s.may(t, login, right)
		},
		Exists: func(t *testing.T, name string) bool {
			t.Helper()
			_, exists := s.shown(t, name)
			return exists
		},
		Cut: s.cutNext,
	}
}

// may signs in and reads.
func (s standIn) may(t *testing.T, login dbdrivers.Login, database string) bool {
	t.Helper()
	conn, err := dbservers.ConnectMongo(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Run(t.Context(), database, bson.D{{Key: "find", Value: "t"}})
	var server *dbservers.MongoError
	if err != nil && (!errors.As(err, &server) || server.Code != 13) {
		t.Fatal(err)
	}
	return err == nil
}

// shown is a user as the stand-in shows it to its superuser.
func (s standIn) shown(t *testing.T, name string) (doc bson.Raw, exists bool) {
	t.Helper()
	conn, err := s.ConnectMongoSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answer, err := conn.Run(t.Context(), "admin", bson.D{{Key: "usersInfo", Value: name}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := answer.Lookup("users").Array().Values()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		return nil, false
	}
	return list[0].Document(), true
}

// cutNext returns an admin's login behind a gate that breaks off at its nth call,
// of which the sign-in is one.
func (s standIn) cutNext(t *testing.T, nth int, answerLost bool) (dbdrivers.Login, func() bool) {
	t.Helper()
	login := s.admin()
	gate, err := mongogate.Start(mongogate.Config{Server: login.Address()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gate.Close() })
	fault := wiregate.Fault{Kind: wiregate.CutBefore, Nth: nth}
	if answerLost {
		fault.Kind = wiregate.CutAfter
	}
	fired := gate.Inject(fault)
	login.Host, login.Port = gate.Addr()
	login.TLS.Plaintext = true
	return login, fired
}
