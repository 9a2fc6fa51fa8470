package mygrants

// Widen returns the set that an account is to have which is given what want
// holds and loses nothing of what it has: both sets, and the wider of the two
// where they restrict or limit the same.
func Widen(want, have Set) Set {
	out := make(Set)
	for a := range want {
		if a.Kind == PartialRevoke && !have.Has(a) && have.reaches(a) {
			continue
		}
		out.add(a)
	}
	for a := range have {
		// A restriction is of what is held on everything; where the sibling
		// does not hold that, to lift it would give what neither had.
		if a.Kind == PartialRevoke && !want.Has(a) && want.reaches(a) {
			continue
		}
		out.add(a)
	}
	return out
}

// reaches reports whether the account has what the partial revoke would
// withhold.
func (s Set) reaches(a Atom) bool {
	return s.Has(Atom{Kind: Privilege, Name: a.Name}) || s.Has(a.withheld())
}

// add keeps one of two atoms that differ in their option only.
func (s Set) add(a Atom) {
	if hasOption(a.Kind) && s.Has(other(a)) {
		if !a.Option {
			return
		}
		delete(s, other(a))
	}
	s.Add(a)
}
