package mygrants

import (
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// Statement changes what one account is granted.
type Statement struct {
	SQL string
	// Atoms are what it grants, or takes away.
	Atoms []Atom
	// Removes is true where it takes away.
	Removes bool
	// Parts are statements for one atom each, which together do the same. The
	// server takes a statement as a whole or not at all; one atom that the
	// admin may not grant keeps the others out.
	Parts []Statement
}

// writer writes statements for one account.
type writer struct {
	dialect Dialect
	account Account
}

func (w writer) to() string { return " TO " + w.account.String() }

func (w writer) from() string { return " FROM " + w.account.String() }

// joined makes one statement of atoms of one object, each of which write may
// also be given alone.
func joined(removes bool, atoms []Atom, write func([]Atom) string) Statement {
	s := Statement{SQL: write(atoms), Atoms: atoms, Removes: removes}
	if len(atoms) > 1 {
		for _, a := range atoms {
			s.Parts = append(s.Parts, Statement{SQL: write([]Atom{a}), Atoms: []Atom{a}, Removes: removes})
		}
	}
	return s
}

// grant is for privileges of one object, and its grant option.
func (w writer) grant(atoms []Atom) Statement {
	return joined(false, atoms, func(atoms []Atom) string {
		privileges, option := split(atoms)
		if len(privileges) == 0 {
			privileges = []string{usage}
		}
		sql := "GRANT " + strings.Join(privileges, ", ") + " ON " + atoms[0].Object.String() + w.to()
		if option {
			sql += " WITH GRANT OPTION"
		}
		return sql
	})
}

// revoke is for the same. A partial revoke is made, and a privilege taken away,
// by the same words.
func (w writer) revoke(removes bool, atoms []Atom) Statement {
	return joined(removes, atoms, func(atoms []Atom) string {
		privileges, option := split(atoms)
		if option {
			privileges = append(privileges, "GRANT OPTION")
		}
		return "REVOKE " + strings.Join(privileges, ", ") + " ON " + atoms[0].Object.String() + w.from()
	})
}

// split gives the privileges of atoms as a statement writes them, the columns
// of one privilege together.
func split(atoms []Atom) (privileges []string, option bool) {
	var names []string
	columns := make(map[string][]string)
	for _, a := range atoms {
		switch {
		case a.Kind == GrantOption:
			option = true
		case a.Column == "":
			privileges = append(privileges, a.Name)
		default:
			if !slices.Contains(names, a.Name) {
				names = append(names, a.Name)
			}
			columns[a.Name] = append(columns[a.Name], mywire.Identifier(a.Column))
		}
	}
	for _, name := range names {
		privileges = append(privileges, name+" ("+strings.Join(columns[name], ", ")+")")
	}
	return privileges, option
}

func (w writer) grantDynamic(atoms []Atom) Statement {
	return joined(false, atoms, func(atoms []Atom) string {
		sql := "GRANT " + names(atoms, func(a Atom) string { return a.Name }) + " ON *.*" + w.to()
		if atoms[0].Option {
			sql += " WITH GRANT OPTION"
		}
		return sql
	})
}

func (w writer) grantRoles(atoms []Atom) Statement {
	return joined(false, atoms, func(atoms []Atom) string {
		sql := "GRANT " + names(atoms, func(a Atom) string { return w.dialect.role(a.Account) }) + w.to()
		if atoms[0].Option {
			sql += " WITH ADMIN OPTION"
		}
		return sql
	})
}

func (w writer) revokeRole(a Atom) Statement {
	return Statement{SQL: "REVOKE " + w.dialect.role(a.Account) + w.from(), Atoms: []Atom{a}, Removes: true}
}

// revokeAdmin takes only the admin option away, which MySQL has no words for.
func (w writer) revokeAdmin(a Atom) Statement {
	return Statement{SQL: "REVOKE ADMIN OPTION FOR " + w.dialect.role(a.Account) + w.from(), Atoms: []Atom{a}, Removes: true}
}

func (w writer) grantProxy(a Atom) Statement {
	sql := "GRANT PROXY ON " + a.Account.String() + w.to()
	if a.Option {
		sql += " WITH GRANT OPTION"
	}
	return Statement{SQL: sql, Atoms: []Atom{a}}
}

func (w writer) revokeProxy(a Atom) Statement {
	return Statement{SQL: "REVOKE PROXY ON " + a.Account.String() + w.from(), Atoms: []Atom{a}, Removes: true}
}

// setDefault sets all default roles at once; MariaDB knows one.
//
// https://dev.mysql.com/doc/refman/9.7/en/set-default-role.html
func (w writer) setDefault(roles, changed []Atom, removes bool) Statement {
	list := "NONE"
	if len(roles) > 0 {
		list = names(roles, func(a Atom) string { return w.dialect.role(a.Account) })
	}
	before := w.to()
	if w.dialect == MariaDB {
		before = " FOR " + w.account.String()
	}
	s := Statement{SQL: "SET DEFAULT ROLE " + list + before, Atoms: changed, Removes: removes}
	if len(roles) > 1 {
		// Each takes the place of the one before it: they find out which role
		// is refused, and the next round sets the others.
		for _, a := range roles {
			s.Parts = append(s.Parts, w.setDefault([]Atom{a}, []Atom{a}, false))
		}
	}
	return s
}

func names(atoms []Atom, of func(Atom) string) string {
	list := make([]string, len(atoms))
	for i, a := range atoms {
		list[i] = of(a)
	}
	return strings.Join(list, ", ")
}
