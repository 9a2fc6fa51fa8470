package drivertest

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// RetainPassword signs in, sets the account's password beside the one that it
// has, and leaves. The server compares and changes in one statement, as one that
// can be told which password the new one replaces.
func (f *Fake) RetainPassword(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
	s, err := f.reach(ctx, req.As)
	if err != nil {
		return err
	}
	hashes := f.Traits().Hashes
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.signIn(req.As); err != nil {
		return err
	}
	doing := fmt.Sprintf("setting a second password of %q on %s", req.Account, req.As.Host)
	if class := s.fault(BeforeChange, req.As.Username); class != nil {
		return dbdrivers.Classify(class, doing, errFault)
	}
	if err := knownHash(req.Hash, hashes, doing); err != nil {
		return err
	}
	if err := s.retain(req, doing); err != nil {
		return err
	}
	if class := s.fault(AfterChange, req.As.Username); class != nil {
		return dbdrivers.Classify(class, doing, errFault)
	}
	return nil
}

// retain sets a password beside another. s.mu is held.
func (s *FakeServer) retain(req dbdrivers.RetainPasswordRequest, doing string) error {
	if err := s.mayRetain(req, doing); err != nil {
		return err
	}
	if err := s.accepts(req.Password, doing); err != nil {
		return err
	}
	target, current, next := s.accounts[req.Account], req.Current.Reveal(), req.Password.Reveal()
	switch {
	case current == next:
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, errors.New("the new password is the one to keep"))
	case !target.takes(current):
		return dbdrivers.Classify(dbdrivers.ErrBusy, doing, errors.New("the password to keep is none of the account's by now"))
	}
	s.give(target, change{next, &current})
	return nil
}

// mayRetain finds out what would forbid the change. s.mu is held.
func (s *FakeServer) mayRetain(req dbdrivers.RetainPasswordRequest, doing string) error {
	target := s.accounts[req.Account]
	switch {
	case target == nil:
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, errors.New("no such account"))
	case s.onePassword:
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, errors.New("an account of this server has one password"))
	case req.BySelf() && target.mayNotRetain,
		!req.BySelf() && (!s.accounts[req.As.Username].admin || target.admin):
		return dbdrivers.Classify(dbdrivers.ErrPrivilege, doing, fmt.Errorf("%q may not keep a former password of it", req.As.Username))
	}
	return nil
}

// SetDualPasswords says whether an account of the server may have two passwords,
// as it may at first.
func (s *FakeServer) SetDualPasswords(may bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onePassword = !may
}

// MayRetain says whether user itself may keep a former password and end it, as
// it may at first.
func (s *FakeServer) MayRetain(user string, may bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[user]; a != nil {
		a.mayNotRetain = !may
	}
}

// SetFormer gives user a second password, the older of its two.
func (s *FakeServer) SetFormer(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[user]; a != nil {
		a.former = &password
	}
}
