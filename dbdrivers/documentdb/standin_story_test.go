package documentdb_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/documentdb"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/documentdbgate"
)

// exec says a command of Extended JSON as the superuser.
func (s standIn) exec(t *testing.T, format string, args ...any) {
	t.Helper()
	if err := s.Exec(t.Context(), fmt.Sprintf(format, args...)); err != nil {
		t.Fatal(err)
	}
}

// TestStandInClusters turns two accounts at stand-ins of every kind of cluster.
func TestStandInClusters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		behavior documentdbgate.Behavior
		class    error
		tells    string
	}{
		"DocumentDB 3.6":     {documentdbgate.Behavior{MaxWireVersion: 6}, dbdrivers.ErrUnsupported, "4.0 is the oldest"},
		"DocumentDB 4.0":     {documentdbgate.Behavior{MaxWireVersion: 7, HideMechanisms: true}, nil, ""},
		"DocumentDB 5.0":     {documentdbgate.Behavior{}, nil, ""},
		"an elastic cluster": {documentdbgate.Behavior{Elastic: true}, nil, ""},
		"a reader":           {documentdbgate.Behavior{Reader: true}, dbdrivers.ErrNotWritable, "cluster's endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startStandIn(t, dbservers.DocumentDBOptions{Behavior: c.behavior})
			driver := documentdb.New()
			request := dbdrivers.OpenTwinRequest{
				Admin: s.Admin, Canonical: "app", Twin: "app_clone", Password: dbdrivers.NewPassword(nextPassword), MayCreate: true,
			}
			if c.class == nil {
				if err := s.CreateUser(t.Context(), "app", firstPassword); err != nil {
					t.Fatal(err)
				}
				s.exec(t, `{"updateUser": "app", "customData": {"team": {"name": "billing", "size": 7}}}`)
			}
			for range 2 {
				_, err := driver.OpenTwin(inTime(t), request)
				check(t, err, c.class, c.tells)
			}
			if c.class != nil {
				return
			}
			check(t, verify(t, driver, s.Login("app_clone", nextPassword)), nil, "")
			shown, exists := s.shown(t, "app_clone")
			if text := shown.String(); !exists || !strings.Contains(text, "readWrite") || !strings.Contains(text, "billing") || !strings.Contains(text, "equal") {
				t.Errorf("the twin is %s; want its sibling's roles and customData, and the mark", text)
			}
			check(t, set(t, driver, s.Login("app", firstPassword), "app", nextPassword), dbdrivers.ErrPrivilege, `"masterarn"`)
		})
	}
}

// TestStandInUserInAnotherDatabase is MongoDB, whose users live in databases.
func TestStandInUserInAnotherDatabase(t *testing.T) {
	t.Parallel()
	s := startStandIn(t, dbservers.DocumentDBOptions{Behavior: documentdbgate.Behavior{MongoDB: true}})
	s.exec(t, `{"createUser": "app", "pwd": %q, "roles": [{"role": "readWrite", "db": "shop"}], "$db": "shop"}`, firstPassword)
	driver := documentdb.NewMongo()
	check(t, driver.SetPassword(inTime(t), dbdrivers.SetPasswordRequest{
		As: s.admin(), Account: "app", Database: "shop", Password: dbdrivers.NewPassword(nextPassword),
	}), nil, "")
	login := s.Login("app", nextPassword)
	login.Database = "shop"
	check(t, verify(t, driver, login), nil, "")
	_, err := driver.OpenTwin(inTime(t), dbdrivers.OpenTwinRequest{
		Admin: s.admin(), Canonical: "app", Twin: "app_clone", Database: "shop", Password: dbdrivers.NewPassword(nextPassword), MayCreate: true,
	})
	check(t, err, nil, "")
	login.Username = "app_clone"
	check(t, verify(t, driver, login), nil, "")
	check(t, set(t, driver, s.admin(), "app", firstPassword), dbdrivers.ErrUnsupported, `does not exist in the database "admin"`)
}

// TestStandInTakesAnySource is DocumentDB by AWS's name for it, as far as it takes a
// secret's dbname for the database of a login and says that the user lives in admin.
func TestStandInTakesAnySource(t *testing.T) {
	t.Parallel()
	s := startStandIn(t, dbservers.DocumentDBOptions{Behavior: documentdbgate.Behavior{AnySource: true}})
	if err := s.CreateUser(t.Context(), "app", firstPassword); err != nil {
		t.Fatal(err)
	}
	driver := documentdb.NewMongo()
	admin := s.admin()
	admin.Database = "stock"
	for _, password := range []string{nextPassword, firstPassword} {
		check(t, driver.SetPassword(inTime(t), dbdrivers.SetPasswordRequest{
			As: admin, Account: "app", Database: "shop", Password: dbdrivers.NewPassword(password),
		}), nil, "")
		login := s.Login("app", password)
		login.Database = "shop"
		check(t, verify(t, driver, login), nil, "")
	}
	check(t, verify(t, driver, s.admin()), nil, "")
}
