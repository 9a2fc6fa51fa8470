package mygrants

import "slices"

// allPrivileges is how SHOW GRANTS writes that nothing of an object is missing.
const allPrivileges = "ALL PRIVILEGES"

// The privileges that [allPrivileges] stands for.
//
// https://dev.mysql.com/doc/refman/9.7/en/grant.html#grant-privileges
var (
	allOfTable = []string{
		"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW", "SHOW VIEW", "TRIGGER",
	}
	allOfDatabase = append([]string{
		"CREATE TEMPORARY TABLES", "LOCK TABLES", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT",
	}, allOfTable...)
)

// Diff returns the statements that give account, which has the one set, the
// other. What it has too little comes first, so that whoever works with the
// account misses nothing that it is to keep.
//
// The server's statements reach further than one atom: REVOKE UPDATE takes
// UPDATE (column) along, a role that is granted anew is no default role any
// more. So the outcome must be read and compared again, until it is equal; two
// rounds are common.
func Diff(d Dialect, account Account, want, have Set) []Statement {
	f := &difference{
		writer: writer{dialect: d, account: account},
		want:   want, have: have, lacks: want.Without(have), exceeds: have.Without(want),
	}
	f.grantPrivileges(true)
	f.grantDynamic()
	f.partialRevokes()
	f.grantPrivileges(false)
	f.grantProxies()
	f.grantRoles()
	f.revokePrivileges()
	f.revokeOthers()
	f.defaultRoles()
	return f.statements
}

// RevokeTogether takes privileges of one object away in one statement, the
// dynamic ones and the others.
func RevokeTogether(d Dialect, account Account, atoms ...Atom) Statement {
	return writer{dialect: d, account: account}.revoke(true, atoms)
}

type difference struct {
	writer
	want, have     Set
	lacks, exceeds Set
	statements     []Statement
}

func (f *difference) add(s Statement) { f.statements = append(f.statements, s) }

// byObject groups privileges and grant options, in a fixed order.
func byObject(set Set) [][]Atom {
	var groups [][]Atom
	of := make(map[Object]int)
	for _, a := range set.where(func(a Atom) bool { return a.Kind == Privilege || a.Kind == GrantOption }) {
		at, known := of[a.Object]
		if !known {
			at = len(groups)
			of[a.Object] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], a)
	}
	return groups
}

func (f *difference) grantPrivileges(global bool) {
	for _, atoms := range byObject(f.lacks) {
		if atoms[0].Object.isGlobal() == global {
			f.add(f.grant(atoms))
		}
	}
}

// other is the atom with the option turned.
func other(a Atom) Atom {
	a.Option = !a.Option
	return a
}

// grantDynamic first takes a privilege away whose grant option is too much:
// there are no words for the option alone.
func (f *difference) grantDynamic() {
	for _, option := range []bool{false, true} {
		atoms := f.lacks.where(func(a Atom) bool { return a.Kind == Dynamic && a.Option == option })
		if anew := f.within(atoms, func(a Atom) bool { return !option && f.have.Has(other(a)) }); len(anew) > 0 {
			f.add(f.revokeDynamic(others(anew)))
		}
		if len(atoms) > 0 {
			f.add(f.writer.grantDynamic(atoms))
		}
	}
}

func (f *difference) within(atoms []Atom, holds func(Atom) bool) []Atom {
	return slices.DeleteFunc(slices.Clone(atoms), func(a Atom) bool { return !holds(a) })
}

func others(atoms []Atom) []Atom {
	out := make([]Atom, len(atoms))
	for i, a := range atoms {
		out[i] = other(a)
	}
	return out
}

func (f *difference) revokeDynamic(atoms []Atom) Statement { return f.revoke(true, atoms) }

// partialRevokes makes what is to be restricted so, and lifts what is not.
//
// https://dev.mysql.com/doc/refman/9.7/en/partial-revokes.html
func (f *difference) partialRevokes() {
	group := func(set Set) [][]Atom {
		var groups [][]Atom
		for _, a := range set.where(isKind(PartialRevoke)) {
			if n := len(groups); n > 0 && groups[n-1][0].Object == a.Object {
				groups[n-1] = append(groups[n-1], a)
			} else {
				groups = append(groups, []Atom{a})
			}
		}
		return groups
	}
	for _, atoms := range group(f.lacks) {
		f.add(f.revoke(false, atoms))
	}
	for _, atoms := range group(f.exceeds) {
		lifting := f.grant(atoms)
		lifting.Removes = true
		for i := range lifting.Parts {
			lifting.Parts[i].Removes = true
		}
		f.add(lifting)
	}
}

func (f *difference) grantProxies() {
	for _, a := range f.lacks.where(isKind(Proxy)) {
		if !a.Option && f.have.Has(other(a)) {
			f.add(f.revokeProxy(other(a)))
		}
		f.add(f.grantProxy(a))
	}
}

func (f *difference) grantRoles() {
	for _, option := range []bool{false, true} {
		var anew []Atom
		for _, a := range f.lacks.where(func(a Atom) bool { return a.Kind == Role && a.Option == option }) {
			switch {
			case option || !f.have.Has(other(a)):
				anew = append(anew, a)
			case f.dialect == MariaDB:
				f.add(f.revokeAdmin(other(a)))
			default:
				f.add(f.revokeRole(other(a)))
				anew = append(anew, a)
			}
		}
		switch {
		case len(anew) == 0:
		case f.dialect == MariaDB:
			// One role in a statement works in all versions.
			for _, a := range anew {
				f.add(f.writer.grantRoles([]Atom{a}))
			}
		default:
			f.add(f.writer.grantRoles(anew))
		}
	}
}

// revokePrivileges takes away what is too much, and at once grants again what
// goes with it.
func (f *difference) revokePrivileges() {
	for _, found := range byObject(f.exceeds) {
		object := found[0].Object
		wanted := func(privilege string) bool {
			return f.want.Has(Atom{Kind: Privilege, Name: privilege, Object: object})
		}
		var atoms, again []Atom
		for _, a := range found {
			switch {
			case a.Kind == Privilege && a.Column == "" && wanted(allPrivileges):
				// It is part of what the account is to have.
			case a.Kind == Privilege && a.Name == allPrivileges:
				atoms = append(atoms, f.named(object, wanted)...)
			case a.Column != "" && f.exceeds.Has(Atom{Kind: Privilege, Name: a.Name, Object: object}):
				// It goes with the privilege on the whole table.
			default:
				atoms = append(atoms, a)
			}
		}
		if len(atoms) == 0 {
			continue
		}
		f.add(f.revoke(true, atoms))
		for _, a := range f.want.where(func(a Atom) bool { return a.Kind == Privilege && a.Object == object && a.Column != "" }) {
			whole := Atom{Kind: Privilege, Name: a.Name, Object: object}
			if slices.Contains(atoms, whole) {
				again = append(again, a)
			}
		}
		if len(again) > 0 {
			f.add(f.grant(again))
		}
	}
}

// named takes all privileges of an object apart, without those that are wanted:
// to take all away would take these along.
func (f *difference) named(object Object, wanted func(string) bool) []Atom {
	list := allOfTable
	switch {
	case object.isGlobal() || object.Kind != "":
		return []Atom{{Kind: Privilege, Name: allPrivileges, Object: object}}
	case object.Name == "":
		list = allOfDatabase
	}
	var atoms []Atom
	for _, privilege := range list {
		if !wanted(privilege) {
			atoms = append(atoms, Atom{Kind: Privilege, Name: privilege, Object: object})
		}
	}
	return atoms
}

func (f *difference) revokeOthers() {
	kept := func(a Atom) bool { return f.want.Has(other(a)) }
	if dynamic := f.exceeds.where(func(a Atom) bool { return a.Kind == Dynamic && !kept(a) }); len(dynamic) > 0 {
		f.add(f.revokeDynamic(dynamic))
	}
	for _, a := range f.exceeds.where(func(a Atom) bool { return a.Kind == Proxy && !kept(a) }) {
		f.add(f.revokeProxy(a))
	}
	for _, a := range f.exceeds.where(func(a Atom) bool { return a.Kind == Role && !kept(a) }) {
		f.add(f.revokeRole(a))
	}
}

// defaultRoles come last: they must be granted, and one that was granted anew
// has to be named again.
func (f *difference) defaultRoles() {
	lacks, exceeds := f.lacks.where(isKind(DefaultRole)), f.exceeds.where(isKind(DefaultRole))
	wanted := f.want.where(isKind(DefaultRole))
	if len(lacks) == 0 && len(exceeds) == 0 && !f.regranted(wanted) {
		return
	}
	f.add(f.setDefault(wanted, append(lacks, exceeds...), len(lacks) == 0 && len(exceeds) > 0))
}

// regranted reports whether one of the default roles was revoked and granted
// again on the way.
func (f *difference) regranted(defaults []Atom) bool {
	return f.dialect == MySQL && slices.ContainsFunc(defaults, func(a Atom) bool {
		plain := Atom{Kind: Role, Account: a.Account}
		return f.lacks.Has(plain) && f.have.Has(other(plain))
	})
}
