package drivertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// OpenTwin signs in, makes the twin equal to its sibling in rights and
// settings, opens it and leaves. The server undoes nothing when a call is cut
// off, as engines whose changes of accounts are no transaction: a twin that was
// made stays, closed. The two models of PostgreSQL are one here; an owner role
// must exist. A right to what one owns is of no account here; that a twin owns
// what its sibling does not is all that matters.
func (f *Fake) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	s, err := f.reach(ctx, req.Admin)
	if err != nil {
		return dbdrivers.TwinReport{}, err
	}
	traits := f.Traits()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.signIn(req.Admin); err != nil {
		return dbdrivers.TwinReport{}, err
	}
	doing := fmt.Sprintf("opening %q, the twin of %q, on %s", req.Twin, req.Canonical, req.Admin.Host)
	if class := s.fault(BeforeChange, req.Admin.Username); class != nil {
		return dbdrivers.TwinReport{}, dbdrivers.Classify(class, doing, errFault)
	}
	if err := knownHash(req.Hash, traits.Hashes, doing); err != nil {
		return dbdrivers.TwinReport{}, err
	}
	if err := s.accepts(req.Password, doing); err != nil {
		return dbdrivers.TwinReport{}, err
	}
	if !s.accounts[req.Admin.Username].admin {
		return dbdrivers.TwinReport{}, dbdrivers.Classify(dbdrivers.ErrPrivilege, doing, fmt.Errorf("%q is no admin", req.Admin.Username))
	}
	if err := s.mayOpen(req, traits.Username); err != nil {
		return dbdrivers.TwinReport{}, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, err)
	}
	if !req.Current.IsEmpty() && !s.accounts[req.Canonical].takes(req.Current.Reveal()) {
		return dbdrivers.TwinReport{}, dbdrivers.Classify(dbdrivers.ErrBusy, doing, errLate)
	}
	return s.openTwin(req, doing)
}

// VerifyTwin signs in, compares the two accounts and leaves.
func (f *Fake) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	s, err := f.reach(ctx, req.Login)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.signIn(req.Login); err != nil {
		return nil, err
	}
	canonical, twin := s.accounts[req.Canonical], s.accounts[req.Twin]
	if canonical == nil || twin == nil {
		return nil, nil
	}
	found := differences(canonical, twin)
	for _, object := range s.ownedBy(req.Twin) {
		found = append(found, "object "+object)
	}
	return found, nil
}

// differences names every right and setting that only one of the two has.
func differences(canonical, twin *fakeAccount) []string {
	var found []string
	for _, pair := range [][2]*fakeAccount{{canonical, twin}, {twin, canonical}} {
		for right := range pair[0].rights {
			if !pair[1].rights[right] {
				found = append(found, "right "+right)
			}
		}
		for name, value := range pair[0].settings {
			if other, set := pair[1].settings[name]; !set || other != value {
				found = append(found, "setting "+name)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// mayOpen refuses what is no pair of twins. s.mu is held.
func (s *FakeServer) mayOpen(req dbdrivers.OpenTwinRequest, limit dbdrivers.Limit) error {
	canonical, twin := s.accounts[req.Canonical], s.accounts[req.Twin]
	switch {
	case canonical == nil:
		return fmt.Errorf("%q does not exist", req.Canonical)
	case canonical.admin || twin != nil && twin.admin:
		return errors.New("an admin has no twin and is none")
	case req.Twin == "" || req.Twin == req.Canonical || length(limit, req.Twin) > limit.Max:
		return fmt.Errorf("%q is no name for a twin", req.Twin)
	case req.OwnerRole != "" && s.accounts[req.OwnerRole] == nil:
		return fmt.Errorf("the owner role %q does not exist", req.OwnerRole)
	case twin == nil && !req.MayCreate:
		return fmt.Errorf("%w: %q", dbdrivers.ErrTwinMissing, req.Twin)
	case twin != nil && !twin.provenTo(req.Canonical, req.Proven):
		return fmt.Errorf("%w: %q", dbdrivers.ErrTwinUnproven, req.Twin)
	}
	return nil
}

// provenTo reports whether the account may be taken for canonical's twin: by
// its mark, or where it has none by the caller's proof.
func (a *fakeAccount) provenTo(canonical string, proven bool) bool {
	return a.twinOf == canonical || a.twinOf == "" && proven
}

// openTwin does what was found to be allowed. s.mu is held.
func (s *FakeServer) openTwin(req dbdrivers.OpenTwinRequest, doing string) (report dbdrivers.TwinReport, err error) {
	canonical, twin := s.accounts[req.Canonical], s.accounts[req.Twin]
	fails := func(at Moment) bool {
		if class := s.fault(at, req.Admin.Username); class != nil {
			err = dbdrivers.Classify(class, doing, errFault)
		}
		return err != nil
	}
	if twin == nil {
		twin = newFakeAccount("", false)
		twin.barred, twin.twinOf = true, req.Canonical
		s.accounts[req.Twin] = twin
		report.Created = true
	}
	report.TakenOver = twin.twinOf == ""
	owned := s.ownedBy(req.Twin)
	if len(owned) > 0 && !req.Adopt && twin.wasEqual {
		return dbdrivers.TwinReport{}, dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, fmt.Errorf("%w: %q", dbdrivers.ErrTwinOwns, owned))
	}
	if fails(WhileEqualising) {
		return dbdrivers.TwinReport{}, err
	}
	report = equalise(canonical, twin, report)
	for _, object := range owned {
		if !req.Adopt {
			report.Kept = append(report.Kept, "object "+object)
			continue
		}
		s.owners[object] = cmp.Or(req.OwnerRole, req.Canonical)
		report.Adopted = append(report.Adopted, "object "+object)
	}
	if fails(BeforeOpening) {
		return dbdrivers.TwinReport{}, err
	}
	twin.twinOf, twin.barred, twin.missed = req.Canonical, false, 0
	twin.wasEqual = twin.wasEqual || len(report.Kept) == 0
	s.give(twin, change{password: req.Password.Reveal()})
	if fails(AfterChange) {
		return dbdrivers.TwinReport{}, err
	}
	return report, nil
}

func equalise(canonical, twin *fakeAccount, report dbdrivers.TwinReport) dbdrivers.TwinReport {
	for _, right := range slices.Sorted(maps.Keys(canonical.rights)) {
		if !twin.rights[right] {
			twin.rights[right] = true
			report.Added = append(report.Added, "right "+right)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(canonical.settings)) {
		if value, found := twin.settings[name]; !found || value != canonical.settings[name] {
			twin.settings[name] = canonical.settings[name]
			report.Added = append(report.Added, "setting "+name)
		}
	}
	extra := func(what string, remove func()) {
		if report.TakenOver {
			report.Kept = append(report.Kept, what)
			return
		}
		remove()
		report.Removed = append(report.Removed, what)
	}
	for _, right := range slices.Sorted(maps.Keys(twin.rights)) {
		if !canonical.rights[right] {
			extra("right "+right, func() { delete(twin.rights, right) })
		}
	}
	for _, name := range slices.Sorted(maps.Keys(twin.settings)) {
		if _, found := canonical.settings[name]; !found {
			extra("setting "+name, func() { delete(twin.settings, name) })
		}
	}
	return report
}

// ownedBy returns the objects of user, in their order. s.mu is held.
func (s *FakeServer) ownedBy(user string) []string {
	var objects []string
	for _, object := range slices.Sorted(maps.Keys(s.owners)) {
		if s.owners[object] == user {
			objects = append(objects, object)
		}
	}
	return objects
}

// Own makes user the owner of object, which need not exist yet.
func (s *FakeServer) Own(user, object string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owners[object] = user
}

// OwnerOf returns who owns object, or nothing.
func (s *FakeServer) OwnerOf(object string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owners[object]
}

// Grant gives user a right.
func (s *FakeServer) Grant(user, right string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[user]; a != nil {
		a.rights[right] = true
	}
}

// Revoke takes a right of user away.
func (s *FakeServer) Revoke(user, right string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[user]; a != nil {
		delete(a.rights, right)
	}
}

// Has reports whether user has a right.
func (s *FakeServer) Has(user, right string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[user]
	return a != nil && a.rights[right]
}

// SetSetting gives a setting of user a value.
func (s *FakeServer) SetSetting(user, name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[user]; a != nil {
		a.settings[name] = value
	}
}

// Setting returns a setting of user, and whether there is one.
func (s *FakeServer) Setting(user, name string) (value string, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[user]; a != nil {
		value, found = a.settings[name]
	}
	return value, found
}

// Exists reports whether there is such an account.
func (s *FakeServer) Exists(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[user] != nil
}

// Closed reports whether user is kept out whatever the password, as a twin is
// until it is opened.
func (s *FakeServer) Closed(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[user]
	return a != nil && a.barred
}

// TwinOf returns the account that user bears the mark of, or nothing.
func (s *FakeServer) TwinOf(user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[user]; a != nil {
		return a.twinOf
	}
	return ""
}

// MarkTwin gives user the mark of canonical's twin.
func (s *FakeServer) MarkTwin(user, canonical string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[user]; a != nil {
		a.twinOf = canonical
	}
}
