package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Fake is a driver whose servers live in memory. It honours the same contract
// as a real one, and passes [Run]. Its servers are found by the host name of a
// login; a host that no server has is unreachable.
type Fake struct {
	servers map[string]*FakeServer

	mu     sync.Mutex
	traits dbdrivers.Traits
}

var (
	_ dbdrivers.Driver           = (*Fake)(nil)
	_ dbdrivers.TwinOpener       = (*Fake)(nil)
	_ dbdrivers.PasswordRetainer = (*Fake)(nil)
)

// NewFake returns a driver that reaches servers, and nothing else.
func NewFake(servers ...*FakeServer) *Fake {
	f := &Fake{
		servers: make(map[string]*FakeServer, len(servers)),
		traits: dbdrivers.Traits{
			Engine:          "fake",
			DefaultPort:     5999,
			DefaultDatabase: "fake",
			Username:        dbdrivers.Limit{Max: 63, Bytes: true},
			Password:        dbdrivers.PasswordTraits{ExcludedByDefault: `:/@"'\`},
			Hashes:          []string{"scram-sha-256", "md5"},
		},
	}
	for _, s := range servers {
		f.servers[s.host] = s
	}
	return f
}

// Traits returns what [Fake.SetTraits] last set.
func (f *Fake) Traits() dbdrivers.Traits {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.traits
}

// SetTraits replaces the traits, so that a test can give the fake another
// engine's limits.
func (f *Fake) SetTraits(traits dbdrivers.Traits) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traits = traits
}

// Verify signs in and leaves.
func (f *Fake) Verify(ctx context.Context, req dbdrivers.VerifyRequest) error {
	s, err := f.reach(ctx, req.Login)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signIn(req.Login)
}

// SetPassword signs in, changes the account's password and leaves.
func (f *Fake) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
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
	doing := fmt.Sprintf("setting the password of %q on %s", req.Account, req.As.Host)
	if class := s.fault(BeforeChange, req.As.Username); class != nil {
		return dbdrivers.Classify(class, doing, errFault)
	}
	if err := knownHash(req.Hash, hashes, doing); err != nil {
		return err
	}
	if err := s.change(req); err != nil {
		return err
	}
	if class := s.fault(AfterChange, req.As.Username); class != nil {
		return dbdrivers.Classify(class, doing, errFault)
	}
	return nil
}

func knownHash(hash string, hashes []string, doing string) error {
	if hash == "" || slices.Contains(hashes, hash) {
		return nil
	}
	return dbdrivers.Classify(dbdrivers.ErrUnsupported, doing, fmt.Errorf("no hash %q; one of %q can be had", hash, hashes))
}

// reach finds the login's server and does what comes before the sign-in.
func (f *Fake) reach(ctx context.Context, login dbdrivers.Login) (*FakeServer, error) {
	doing := "connecting to " + login.Address()
	if err := ctx.Err(); err != nil {
		return nil, dbdrivers.Classify(dbdrivers.ErrUnreachable, doing, err)
	}
	s := f.servers[login.Host]
	if s == nil {
		return nil, dbdrivers.Classify(dbdrivers.ErrUnreachable, doing, errors.New("no such host"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unreachable {
		return nil, dbdrivers.Classify(dbdrivers.ErrUnreachable, doing, errors.New("no answer"))
	}
	if s.tlsFault != "" && !login.TLS.Plaintext {
		return nil, dbdrivers.Classify(dbdrivers.ErrTLS, doing, errors.New(s.tlsFault))
	}
	return s, nil
}

// errFault is what the client library would have said.
var errFault = errors.New("a fault that the test asked for")
