package secretstore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/envelope"
)

// The errors that callers tell apart.
var (
	ErrNotFound = errors.New("no such secret")
	ErrExists   = errors.New("a secret of this name exists")
	ErrClosed   = errors.New("the store is closed")
)

// Options are what a store is opened with.
type Options struct {
	// DataFile is the bbolt file; empty keeps everything in memory.
	DataFile string
	// RootKeyFile holds the root key; unused without a DataFile.
	RootKeyFile string
	// Account is the account id in the secrets' ARNs.
	Account string
	// Now is the clock.
	Now func() time.Time
}

// Store keeps the secrets of all Regions. Reads hand out immutable snapshots;
// writes are one at a time, and are on disk when they return.
type Store struct {
	account string
	now     func() time.Time
	keyring *envelope.Keyring
	backend backend

	writing sync.Mutex // held for a whole write

	mu      sync.RWMutex // guards what follows, for the moment of a look or a swap
	closed  bool
	regions map[string]map[string]*record // by Region and name
}

// A record is a secret, and as it was before the last write to it.
type record struct{ now, before *Secret }

// Open opens a store, making its files if there are none.
func Open(o Options) (*Store, error) {
	s := &Store{account: o.Account, now: o.Now, regions: make(map[string]map[string]*record)}
	if o.DataFile == "" {
		s.backend = memory{}
		keyring, err := envelope.NewKeyring(envelope.RandomRootKey(), s.backend)
		if err != nil {
			return nil, err
		}
		s.keyring = keyring
		return s, nil
	}
	err := reading(o.DataFile, func() error {
		file, err := openFile(o.DataFile)
		if err != nil {
			return err
		}
		s.backend = file
		if err := s.load(o, file); err != nil {
			return errors.Join(err, file.close())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// load reads the root key, proves that it fits and reads all secrets.
func (s *Store) load(o Options, file *file) error {
	proof, err := file.proof()
	if err != nil {
		return fmt.Errorf("opening data file %s: %w", o.DataFile, err)
	}
	root, err := envelope.ReadRootKey(o.RootKeyFile)
	switch {
	case err == nil:
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case proof != nil:
		return fmt.Errorf("opening data file %s: its root key is not at %s: bring the key back, or remove the data file to start afresh", o.DataFile, o.RootKeyFile)
	default:
		if root, err = envelope.CreateRootKey(o.RootKeyFile); err != nil {
			return err
		}
	}
	defer clear(root)
	if s.keyring, err = envelope.NewKeyring(root, file); err != nil {
		return err
	}
	if proof == nil {
		if err := file.putProof(s.keyring.Proof()); err != nil {
			return fmt.Errorf("opening data file %s: %w", o.DataFile, err)
		}
	} else if err := s.keyring.Check(proof); err != nil {
		return fmt.Errorf("opening data file %s with root key file %s: %w: bring the right key back, or remove both files to start afresh", o.DataFile, o.RootKeyFile, err)
	}
	secrets, err := file.secrets()
	if err != nil {
		return fmt.Errorf("reading data file %s: %w", o.DataFile, err)
	}
	for _, secret := range secrets {
		if secret.purged(s.now()) {
			if err := file.save(secret, nil); err != nil {
				return fmt.Errorf("removing a deleted secret from data file %s: %w", o.DataFile, err)
			}
			continue
		}
		s.region(secret.Region)[secret.Name] = &record{now: secret, before: secret}
	}
	return nil
}

// Close closes the store. Later writes return [ErrClosed]; reads still answer.
func (s *Store) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	if already {
		return nil
	}
	return s.backend.close()
}

// region returns the records of a Region; s.mu is held for writing, or the
// store is not shared yet.
func (s *Store) region(name string) map[string]*record {
	records := s.regions[name]
	if records == nil {
		records = make(map[string]*record)
		s.regions[name] = records
	}
	return records
}

// Get returns the secret that id names: a name, an ARN, or an ARN without the
// random suffix.
func (s *Store) Get(region, id string) (*Secret, error) {
	r := s.find(region, id)
	if r == nil {
		return nil, ErrNotFound
	}
	return r.now, nil
}

// GetStale returns the secret as it was before the last write to it. A secret
// that was only just created is not found.
func (s *Store) GetStale(region, id string) (*Secret, error) {
	r := s.find(region, id)
	if r == nil || r.before == nil {
		return nil, ErrNotFound
	}
	return r.before, nil
}

// List returns all secrets of a Region, also those marked for deletion, in no
// particular order.
func (s *Store) List(region string) []*Secret {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	var all []*Secret
	for _, r := range s.regions[region] {
		if !r.now.purged(now) {
			all = append(all, r.now)
		}
	}
	return all
}

// Regions returns the names of all Regions that have had a secret.
func (s *Store) Regions() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var names []string
	for name := range s.regions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s *Secret) purged(now time.Time) bool {
	return !s.Purge.IsZero() && !now.Before(s.Purge)
}

// find returns a copy of a record, or nil.
func (s *Store) find(region, id string) *record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	name, suffixed := s.nameOf(region, id)
	r := s.regions[region][name]
	if r == nil || r.now.purged(s.now()) || suffixed && r.now.ARN != id {
		return nil
	}
	found := *r
	return &found
}

// nameOf returns the name in a secret's id, and whether the id is an ARN with
// its suffix. An ARN whose name ends in a hyphen and six characters is read as
// one with a suffix, as AWS warns; see
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen.
func (s *Store) nameOf(region, id string) (name string, suffixed bool) {
	if !strings.HasPrefix(id, "arn:") {
		return id, false
	}
	resource, ok := strings.CutPrefix(id, s.arnPrefix(region))
	if !ok {
		return "", false // another account, Region or service
	}
	cut := len(resource) - len("-123456")
	if cut > 0 && resource[cut] == '-' && isAlphanumeric(resource[cut+1:]) {
		return resource[:cut], true
	}
	return resource, false
}

// Change is a secret in the course of a write.
type Change struct {
	*Secret
	// Now is the time of the write.
	Now time.Time

	remove, discard bool
	after           []func()
}

// Remove has the secret removed for good.
func (c *Change) Remove() { c.remove = true }

// Discard has nothing written: the secret stays as it was, to the date of its
// last change.
func (c *Change) Discard() { c.discard = true }

// After has f called once the write is done, before any other write. f must not
// call the store's writing methods.
func (c *Change) After(f func()) { c.after = append(c.after, f) }

// Create makes a secret and has fill complete it. If there is one of this name,
// it is returned with [ErrExists].
func (s *Store) Create(region, name string, fill func(*Change) error) (*Secret, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if existing, err := s.Get(region, name); err == nil {
		return existing, ErrExists
	}
	now := s.clock()
	secret := &Secret{Region: region, ARN: s.NewARN(region, name), Name: name, Created: now}
	// A purged secret of this name is replaced, not followed.
	s.mu.RLock()
	var gone *Secret
	if r := s.regions[region][name]; r != nil {
		gone = r.now
	}
	s.mu.RUnlock()
	return s.write(gone, &Change{Secret: secret, Now: now}, fill, nil)
}

// Update has change alter a copy of the secret that id names, and keeps the
// copy. When change returns an error nothing is kept.
func (s *Store) Update(region, id string, change func(*Change) error) (*Secret, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	r := s.find(region, id)
	if r == nil {
		return nil, ErrNotFound
	}
	return s.write(r.now, &Change{Secret: r.now.clone(), Now: s.clock()}, change, r.now)
}

// clock returns the time as it is kept: in milliseconds, as the API tells it.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// write makes one change. before is what is on disk, prior what a stale read is
// to see. s.writing is held.
func (s *Store) write(before *Secret, c *Change, change func(*Change) error, prior *Secret) (*Secret, error) {
	if s.isClosed() {
		return nil, ErrClosed
	}
	if err := change(c); err != nil {
		return nil, err
	}
	if c.discard {
		c.done()
		return before, nil
	}
	c.Changed = c.Now
	after := c.Secret
	if c.remove {
		after = nil
	}
	if err := s.backend.save(before, after); err != nil {
		return nil, fmt.Errorf("writing the data file: %w", err)
	}
	s.mu.Lock()
	if c.remove {
		delete(s.region(c.Region), c.Name)
	} else {
		s.region(c.Region)[c.Name] = &record{now: c.Secret, before: prior}
	}
	s.mu.Unlock()
	c.done()
	return c.Secret, nil
}

func (c *Change) done() {
	for _, f := range c.after {
		f()
	}
}

func (s *Store) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.closed
}

// Touch notes that a value was read. Dates of access have the resolution of a
// day, so that it is rarely a write, and never one that a stale read skips.
func (s *Store) Touch(region, arn, version string) error {
	day := s.clock().Truncate(24 * time.Hour)
	if r := s.find(region, arn); r == nil || r.now.touched(version, day) {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.isClosed() {
		return ErrClosed
	}
	r := s.find(region, arn)
	if r == nil || r.now.touched(version, day) {
		return nil
	}
	after := r.now.clone()
	after.Accessed = day
	if v := after.Versions[version]; v != nil {
		v.Accessed = day
	}
	if err := s.backend.save(r.now, after); err != nil {
		return fmt.Errorf("writing the data file: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.region(region)[after.Name] = &record{now: after, before: r.before}
	return nil
}

func (s *Secret) touched(version string, day time.Time) bool {
	v := s.Versions[version]
	return s.Accessed.Equal(day) && (v == nil || v.Accessed.Equal(day))
}
