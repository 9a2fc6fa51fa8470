package documentdb

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// user is an account as usersInfo shows it.
//
// https://www.mongodb.com/docs/manual/reference/command/usersInfo/
type user struct {
	name, database string
	// roles are those that it was granted. rolesShown is false where the server
	// does not tell of any, which is not the same as having none.
	roles      roles
	rolesShown bool
	// inherited are the names of what its roles contain, as far as the server
	// tells.
	inherited roles
	custom    bson.Raw
	// mechanisms are nil where the server does not tell them.
	mechanisms []string
	// restrictions are what the server shows of them, and the zero value where it
	// shows none. restrictionsShown: it knows of such a thing, as MongoDB does.
	restrictions      bson.RawValue
	restrictionsShown bool
}

// role is one that a user was granted.
type role struct {
	Name     string `bson:"role"`
	Database string `bson:"db"`
}

func (r role) String() string { return fmt.Sprintf("role %s@%s", r.Name, r.Database) }

func (r role) compare(other role) int {
	return cmp.Or(cmp.Compare(r.Database, other.Database), cmp.Compare(r.Name, other.Name))
}

// roles are in the order of compare, each once.
type roles []role

// beyond are the roles that others lack.
func (r roles) beyond(others roles) roles {
	return slices.DeleteFunc(slices.Clone(r), func(x role) bool { return slices.Contains(others, x) })
}

func (r roles) names() []string {
	names := make([]string, len(r))
	for i, x := range r {
		names[i] = x.String()
	}
	return names
}

var (
	errNotUnderstood = errors.New("its entry in usersInfo is not as the server's documentation has it")
	errMongoDB       = errors.New("the server shows authenticationRestrictions of users, which MongoDB has and DocumentDB has not, and other rules hold there; correct \"engine\" to \"mongo\"")
	errRolesHidden   = errors.New("the server does not show its roles, so nothing can be said of what it may do")
)

// rolesOf reads a list of roles. A role without a database is one of the
// database that its user lives in.
func rolesOf(value bson.RawValue, database string) (roles, error) {
	list, ok := value.ArrayOK()
	if !ok {
		return nil, errNotUnderstood
	}
	values, err := list.Values()
	if err != nil {
		return nil, errNotUnderstood
	}
	found := make(roles, 0, len(values))
	for _, v := range values {
		r := role{Database: database}
		if name, ok := v.StringValueOK(); ok {
			r.Name = name
		} else if doc, ok := v.DocumentOK(); !ok || bson.Unmarshal(doc, &r) != nil {
			return nil, errNotUnderstood
		}
		if r.Name == "" || r.Database == "" {
			return nil, errNotUnderstood
		}
		found = append(found, r)
	}
	slices.SortFunc(found, role.compare)
	return slices.Compact(found), nil
}

// userOf reads one user.
func userOf(doc bson.Raw) (u user, err error) {
	var ok bool
	if u.name, ok = doc.Lookup("user").StringValueOK(); !ok {
		return u, errNotUnderstood
	}
	if u.database, ok = doc.Lookup("db").StringValueOK(); !ok {
		return u, errNotUnderstood
	}
	if value, err := doc.LookupErr("roles"); err == nil {
		if u.roles, err = rolesOf(value, u.database); err != nil {
			return u, err
		}
		u.rolesShown = true
	}
	if value, err := doc.LookupErr("inheritedRoles"); err == nil {
		if u.inherited, err = rolesOf(value, u.database); err != nil {
			return u, err
		}
	}
	if value, err := doc.LookupErr("customData"); err == nil && value.Type != bson.TypeNull {
		if u.custom, ok = value.DocumentOK(); !ok {
			return u, errNotUnderstood
		}
	}
	if value, err := doc.LookupErr("mechanisms"); err == nil {
		if value.Unmarshal(&u.mechanisms) != nil {
			return u, errNotUnderstood
		}
		slices.Sort(u.mechanisms)
	}
	if value, err := doc.LookupErr("authenticationRestrictions"); err == nil {
		u.restrictionsShown = true
		if list, ok := value.ArrayOK(); !ok {
			return u, errNotUnderstood
		} else if values, err := list.Values(); err != nil || len(values) > 0 {
			u.restrictions = value
		}
	}
	return u, nil
}

// users asks for users. A user that does not exist is none.
func (s *session) users(database string, command ...bson.E) ([]user, error) {
	answer, err := s.run(database, command)
	if err != nil {
		return nil, err
	}
	list, ok := answer.Lookup("users").ArrayOK()
	if !ok {
		return nil, errNotUnderstood
	}
	values, err := list.Values()
	if err != nil {
		return nil, errNotUnderstood
	}
	found := make([]user, 0, len(values))
	for _, v := range values {
		doc, ok := v.DocumentOK()
		if !ok {
			return nil, errNotUnderstood
		}
		u, err := userOf(doc)
		if err != nil {
			return nil, err
		}
		found = append(found, u)
	}
	return found, nil
}

// user reads one user of a database, and reports whether there is one. A server
// whose users all live in admin says so of a user, whichever database was asked.
func (s *session) user(database, name string) (u user, exists bool, err error) {
	ask := []bson.E{{Key: "usersInfo", Value: name}}
	var found []user
	if !s.unrestricted {
		// DocumentDB has none. It is asked too: which of the two names of engine a
		// server has is said by a secret that is less trusted than the admin's.
		found, err = s.users(database, append(ask, bson.E{Key: "showAuthenticationRestrictions", Value: true})...)
		// With which code DocumentDB answers nobody could try: whatever it is, the
		// bare question counts.
		s.unrestricted = notUnderstood(err) || !s.driver.mongo && errors.As(err, new(mongo.CommandError))
	}
	if s.unrestricted {
		found, err = s.users(database, ask...)
	}
	if err != nil {
		return u, false, err
	}
	for _, u := range found {
		if u.name != name || u.database != database && u.database != databaseAdmin {
			continue
		}
		if u.restrictionsShown && !s.driver.mongo {
			return u, false, errMongoDB
		}
		return u, true, nil
	}
	return u, false, nil
}

// unread says what an error of reading users means.
func (s *session) unread(doing string, err error) error {
	if errors.Is(err, errNotUnderstood) || errors.Is(err, errMongoDB) {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	remedy := "the login may not see users; as an administrator grant it the role userAdminAnyDatabase of the database admin"
	return s.classify(doing, err, unchanged, rule{codes: []int32{codeUnauthorized}, class: dbdrivers.ErrPrivilege, remedy: remedy})
}

// sameValue reports whether two values are the same, byte by byte.
func sameValue(a, b bson.RawValue) bool { return a.Type == b.Type && bytes.Equal(a.Value, b.Value) }
