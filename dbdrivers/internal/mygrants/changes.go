package mygrants

// Changes tells in words what an account gains and loses that has one set and
// is given another. An option that is granted or taken away is told with its
// right, and a partial revoke as the right that it withholds.
func Changes(want, have Set) (gained, lost []string) {
	for _, a := range want.Without(have).Sorted() {
		switch {
		case a.Kind == PartialRevoke && have.reaches(a):
			lost = append(lost, a.withheld().String())
		case hasOption(a.Kind) && !a.Option && have.Has(other(a)):
			// Its option is told as lost.
		default:
			gained = append(gained, a.String())
		}
	}
	for _, a := range have.Without(want).Sorted() {
		switch {
		case a.Kind == PartialRevoke && want.reaches(a):
			gained = append(gained, a.withheld().String())
		case hasOption(a.Kind) && !a.Option && want.Has(other(a)):
			// It is told as gained, with the option.
		default:
			lost = append(lost, a.String())
		}
	}
	return gained, lost
}

// withheld is the right that a partial revoke takes.
func (a Atom) withheld() Atom { return Atom{Kind: Privilege, Name: a.Name, Object: a.Object} }

// hasOption tells the kinds whose option is part of the atom.
func hasOption(kind Kind) bool { return kind == Dynamic || kind == Proxy || kind == Role }
