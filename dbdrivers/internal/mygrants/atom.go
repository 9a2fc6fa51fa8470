package mygrants

import (
	"cmp"
	"maps"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// Kind says what an [Atom] grants.
type Kind int

// The kinds are in the order in which they are granted: a partial revoke needs
// the global privilege that it restricts, and a default role needs the role.
const (
	// Privilege is Name on Object, or on one Column of it.
	Privilege Kind = iota
	// GrantOption lets the account grant on what it holds on Object.
	GrantOption
	// Dynamic is a privilege on *.* that has a grant option of its own, which
	// Option tells. MariaDB has none.
	Dynamic
	// PartialRevoke keeps Name, which is held on *.*, from the database Object.
	PartialRevoke
	// Proxy lets the account act as Account. Option is the grant option.
	Proxy
	// Role is a granted role, Account. Option is the admin option.
	Role
	// DefaultRole is a role, Account, that is active from the sign-in.
	DefaultRole
)

// The objects of routines, as SHOW GRANTS writes them.
const (
	Procedure   = "PROCEDURE"
	Function    = "FUNCTION"
	Library     = "LIBRARY"
	Package     = "PACKAGE"
	PackageBody = "PACKAGE BODY"
)

// Object is what a privilege is on. Its zero value is *.*, everything.
type Object struct {
	// Kind is empty for a table, a database and everything.
	Kind string
	// Database is a name, or a pattern, as the server keeps it: with a
	// backslash before each _ and % that is meant as such. Name is empty for
	// the whole database.
	Database, Name string
}

// String returns the object as statements write it.
func (o Object) String() string {
	switch {
	case o.Database == "":
		return "*.*"
	case o.Name == "":
		return mywire.Identifier(o.Database) + ".*"
	case o.Kind != "":
		return o.Kind + " " + mywire.Identifier(o.Database) + "." + mywire.Identifier(o.Name)
	}
	return mywire.Identifier(o.Database) + "." + mywire.Identifier(o.Name)
}

func (o Object) isGlobal() bool { return o == Object{} }

// Atom is the least that an account can be granted. Fields that its kind does
// not name are empty.
type Atom struct {
	Kind    Kind
	Name    string
	Column  string
	Object  Object
	Account Account
	Option  bool
}

// WithOption is the atom with its grant or admin option.
func (a Atom) WithOption() Atom {
	a.Option = true
	return a
}

// String names the atom in reports and errors.
func (a Atom) String() string {
	option := func(name string) string {
		if a.Option {
			return " with " + name + " OPTION"
		}
		return ""
	}
	switch a.Kind {
	case GrantOption:
		return "GRANT OPTION on " + a.Object.String()
	case Dynamic:
		return a.Name + " on *.*" + option("GRANT")
	case PartialRevoke:
		return "partial revoke of " + a.Name + " on " + a.Object.String()
	case Proxy:
		return "PROXY on " + a.Account.String() + option("GRANT")
	case Role:
		return "role " + a.granted() + option("ADMIN")
	case DefaultRole:
		return "default role " + a.granted()
	default:
		return a.privilege() + " on " + a.Object.String()
	}
}

// granted names a role. Only MariaDB's have no host.
func (a Atom) granted() string {
	if a.Account.Host == "" {
		return mywire.Identifier(a.Account.User)
	}
	return a.Account.String()
}

// privilege is the privilege as a statement writes it.
func (a Atom) privilege() string {
	if a.Column != "" {
		return a.Name + " (" + mywire.Identifier(a.Column) + ")"
	}
	return a.Name
}

func (a Atom) compare(b Atom) int {
	return cmp.Or(
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Object.Database, b.Object.Database), cmp.Compare(a.Object.Name, b.Object.Name), cmp.Compare(a.Object.Kind, b.Object.Kind),
		cmp.Compare(a.Account.User, b.Account.User), cmp.Compare(a.Account.Host, b.Account.Host),
		cmp.Compare(a.Name, b.Name), cmp.Compare(a.Column, b.Column),
	)
}

// Set is what an account is granted.
type Set map[Atom]struct{}

// SetOf makes a set.
func SetOf(atoms ...Atom) Set {
	s := make(Set, len(atoms))
	s.Add(atoms...)
	return s
}

// Add puts atoms into the set.
func (s Set) Add(atoms ...Atom) {
	for _, a := range atoms {
		s[a] = struct{}{}
	}
}

// Has reports whether the atom is in the set.
func (s Set) Has(a Atom) bool {
	_, has := s[a]
	return has
}

// Without returns the atoms of s that are not in t.
func (s Set) Without(t Set) Set {
	out := make(Set)
	for a := range s {
		if !t.Has(a) {
			out.Add(a)
		}
	}
	return out
}

// Sorted returns the atoms in a fixed order.
func (s Set) Sorted() []Atom { return slices.SortedFunc(maps.Keys(s), Atom.compare) }

// where returns the atoms that a condition holds for, in a fixed order.
func (s Set) where(holds func(Atom) bool) []Atom {
	return slices.DeleteFunc(s.Sorted(), func(a Atom) bool { return !holds(a) })
}

func isKind(kind Kind) func(Atom) bool { return func(a Atom) bool { return a.Kind == kind } }
