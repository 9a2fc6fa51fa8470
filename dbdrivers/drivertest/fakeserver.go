package drivertest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Moment is a point of a driver's call at which a [FakeServer] can fail.
type Moment int

const (
	// AtSignIn is before the password was looked at.
	AtSignIn Moment = iota
	// BeforeChange is after the sign-in; the password has not changed.
	BeforeChange
	// AfterChange is when the password has changed and the answer is due: a
	// failure there is an answer that was lost.
	AfterChange
	// WhileEqualising is in OpenTwin alone: a twin that was made is still
	// closed and has only some of its sibling's rights.
	WhileEqualising
	// BeforeOpening is in OpenTwin alone: the twin is equal; neither has its
	// password changed nor has it been opened.
	BeforeOpening
)

// FakeServer is a database server in memory, for [Fake]. Its methods may be
// called from several goroutines.
type FakeServer struct {
	host string

	mu          sync.Mutex
	accounts    map[string]*fakeAccount
	faults      []fault
	rules       func(password string) error
	unreachable bool
	tlsFault    string
	settleAfter int
	lockAfter   int
	ok, refused int
	// owners has the owner of each object.
	owners map[string]string
	// onePassword: an account here has no second one.
	onePassword bool
}

type fakeAccount struct {
	password string
	// former opens as well, where it is not nil: the password before password
	// that RetainPassword left. mayNotRetain says that the account itself lacks
	// the right to leave one, and to end one.
	former       *string
	mayNotRetain bool

	admin  bool
	barred bool
	// ok and refused count this account's sign-ins, missed the refusals since
	// the last good one.
	ok, refused, missed int
	// settling is a change that was acknowledged and does not show yet; after
	// that many more sign-ins it does.
	settling *change
	after    int
	// rights and settings are what OpenTwin makes equal; twinOf is its mark,
	// and wasEqual says that it was equal once.
	rights   map[string]bool
	settings map[string]string
	twinOf   string
	wasEqual bool
}

func newFakeAccount(password string, admin bool) *fakeAccount {
	return &fakeAccount{password: password, admin: admin, rights: make(map[string]bool), settings: make(map[string]string)}
}

// change is what an account's passwords become.
type change struct {
	password string
	former   *string
}

// takes reports whether a password is one of the account's.
func (a *fakeAccount) takes(password string) bool {
	return a.password == password || a.former != nil && *a.former == password
}

type fault struct {
	class  error
	moment Moment
	// user limits the fault to calls that sign in as it; empty is everybody.
	user string
}

// NewFakeServer returns a server without accounts that a login reaches as host.
func NewFakeServer(host string) *FakeServer {
	return &FakeServer{host: host, accounts: make(map[string]*fakeAccount), owners: make(map[string]string)}
}

// Host is the name a login reaches the server by.
func (s *FakeServer) Host() string { return s.host }

// CreateAccount makes user, or makes it anew.
func (s *FakeServer) CreateAccount(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[user] = newFakeAccount(password, false)
}

// SetAdmin makes user an admin: an account that may set every password but
// another admin's.
func (s *FakeServer) SetAdmin(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[user] = newFakeAccount(password, true)
}

// Opens reports whether password opens the server for user. It is no sign-in:
// it is not counted, and no fault meets it.
func (s *FakeServer) Opens(user, password string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[user]
	return a != nil && a.takes(password) && !a.barred
}

// SignIns returns how many sign-ins the server has taken and refused. One
// that was barred counts as taken, because its password was right.
func (s *FakeServer) SignIns() (ok, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ok, s.refused
}

// SignInsOf returns the same for one user that exists.
func (s *FakeServer) SignInsOf(user string) (ok, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[user]; a != nil {
		return a.ok, a.refused
	}
	return 0, 0
}

// Bar keeps user out even with the right password.
func (s *FakeServer) Bar(user string) { s.setBarred(user, true) }

// Unbar undoes [FakeServer.Bar] and a lock.
func (s *FakeServer) Unbar(user string) { s.setBarred(user, false) }

func (s *FakeServer) setBarred(user string, barred bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[user]; a != nil {
		a.barred, a.missed = barred, 0
	}
}

// FailNext makes the next call that comes to the moment fail with class.
// Several are met in the order they were asked for.
func (s *FakeServer) FailNext(class error, at Moment) {
	s.FailNextOf("", class, at)
}

// FailNextOf is [FakeServer.FailNext] for calls that sign in as user.
func (s *FakeServer) FailNextOf(user string, class error, at Moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fault{class: class, moment: at, user: user})
}

// SetReachable cuts the server off, or brings it back.
func (s *FakeServer) SetReachable(reachable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unreachable = !reachable
}

// SetTLSFault makes every connection that is not plaintext fail for reason;
// the empty reason mends it.
func (s *FakeServer) SetTLSFault(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tlsFault = reason
}

// Rules sets the server's password rules: an error refuses a new password.
func (s *FakeServer) Rules(rules func(password string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = rules
}

// SettleAfter makes every later change show only after n more sign-ins of its
// account; until then the old password opens and the new one is refused.
func (s *FakeServer) SettleAfter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleAfter = n
}

// LockAfter bars an account after n refusals in a row; zero never does.
func (s *FakeServer) LockAfter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lockAfter = n
}

// fault takes the next fault of a moment in a call that signs in as user, or
// nil. s.mu is held.
func (s *FakeServer) fault(at Moment, user string) error {
	for i, f := range s.faults {
		if f.moment == at && (f.user == "" || f.user == user) {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			return f.class
		}
	}
	return nil
}

// signIn tries a login. s.mu is held.
func (s *FakeServer) signIn(login dbdrivers.Login) error {
	doing := fmt.Sprintf("signing in to %s as %q", login.Host, login.Username)
	if class := s.fault(AtSignIn, login.Username); class != nil {
		if errors.Is(class, dbdrivers.ErrRefused) {
			s.refused++
		}
		return dbdrivers.Classify(class, doing, errFault)
	}
	a := s.accounts[login.Username]
	if a != nil {
		a.settle()
	}
	if a == nil || !a.takes(login.Password.Reveal()) {
		s.refused++
		if a != nil {
			a.refused++
			a.missed++
			if s.lockAfter > 0 && a.missed >= s.lockAfter {
				a.barred = true
			}
		}
		return dbdrivers.Classify(dbdrivers.ErrRefused, doing, errors.New("wrong password"))
	}
	s.ok++
	a.ok++
	if a.barred {
		return dbdrivers.Classify(dbdrivers.ErrBarred, doing, errors.New("the account is locked"))
	}
	a.missed = 0
	return nil
}

// change sets a password. s.mu is held.
func (s *FakeServer) change(req dbdrivers.SetPasswordRequest) error {
	doing := fmt.Sprintf("setting the password of %q on %s", req.Account, req.As.Host)
	target := s.accounts[req.Account]
	if target == nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, errors.New("no such account"))
	}
	if !req.BySelf() && (!s.accounts[req.As.Username].admin || target.admin) {
		return dbdrivers.Classify(dbdrivers.ErrPrivilege, doing, fmt.Errorf("%q may not change it", req.As.Username))
	}
	if twin := s.accounts[req.Twin]; req.Twin != "" && (twin == nil && !req.Proven || twin != nil && !twin.provenTo(req.Account, req.Proven)) {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, fmt.Errorf("%w: %q", dbdrivers.ErrTwinUnproven, req.Twin))
	}
	if !req.BySelf() && !req.Current.IsEmpty() && !s.stillOpens(req) {
		return dbdrivers.Classify(dbdrivers.ErrBusy, doing, errLate)
	}
	if err := s.accepts(req.Password, doing); err != nil {
		return err
	}
	// As MySQL has it: a plain change leaves the former password, and it takes
	// a right of its own to end that.
	if req.BySelf() && target.mayNotRetain && target.former != nil {
		if req.Note != nil {
			req.Note("a former password still opens the account, which lacks the right to end it")
		}
		s.give(target, change{req.Password.Reveal(), target.former})
		return nil
	}
	s.give(target, change{password: req.Password.Reveal()})
	return nil
}

// stillOpens reports whether what proved that the change is wanted opens an
// account yet, or the change is made already. s.mu is held.
func (s *FakeServer) stillOpens(req dbdrivers.SetPasswordRequest) bool {
	if req.Twin != "" {
		twin := s.accounts[req.Twin]
		return twin != nil && twin.takes(req.Current.Reveal())
	}
	target := s.accounts[req.Account]
	return target.takes(req.Current.Reveal()) || target.takes(req.Password.Reveal())
}

var errLate = errors.New("the account has another password by now")

// accepts asks the server's password rules. s.mu is held.
func (s *FakeServer) accepts(password dbdrivers.Password, doing string) error {
	if password.IsEmpty() {
		return dbdrivers.Classify(dbdrivers.ErrPasswordRules, doing, errors.New("it is empty"))
	}
	if s.rules != nil {
		if err := s.rules(password.Reveal()); err != nil {
			return dbdrivers.Classify(dbdrivers.ErrPasswordRules, doing, err)
		}
	}
	return nil
}

// give changes passwords, now or after a while. s.mu is held.
func (s *FakeServer) give(target *fakeAccount, to change) {
	if s.settleAfter > 0 {
		target.settling, target.after = &to, s.settleAfter
		return
	}
	target.password, target.former, target.settling = to.password, to.former, nil
}

// settle brings a waiting change one sign-in nearer.
func (a *fakeAccount) settle() {
	if a.settling == nil {
		return
	}
	if a.after > 0 {
		a.after--
		return
	}
	a.password, a.former, a.settling = a.settling.password, a.settling.former, nil
}
