package dbservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TestedPostgresVersions returns the versions that a run of the tests holds:
// the newest and one old, or with DBROTATION_ALL=1 in the environment all of
// them.
func TestedPostgresVersions() []string {
	all := PostgresVersions()
	if os.Getenv("DBROTATION_ALL") == "1" {
		return all
	}
	return []string{all[0], all[len(all)-1]}
}

// Pool starts each server that is asked for once, and shares it among all who
// ask with the same options. Its zero value is ready.
//
// A test binary has one pool. Binaries of one run share no server: nearly all
// that they ask for differs, so a run would start about one server less, and a
// test would meet what another package does. What grants and revokes on one
// database at the same moment fails, and only within a process does a lock keep
// that apart; two packages may give an account the same name; and whoever
// counts the sign-ins in a server's log would count a stranger's.
//
// For the same reasons a test that counts all sign-ins of a server, stops it,
// changes its certificate or holds back its replica starts one of its own by
// [StartPostgres].
type Pool struct {
	mu      sync.Mutex
	entries map[string]*poolEntry
}

type poolEntry struct {
	once   sync.Once
	server *Server
	err    error
}

// The first start on a machine makes or fetches an image.
const poolTimeout = 10 * time.Minute

// Postgres returns the pool's server with these options. It is started by the
// first who asks, and outlives the caller's context; [Pool.Close] ends it.
func (p *Pool) Postgres(opt PostgresOptions) (*Server, error) {
	key := poolKey(opt)
	p.mu.Lock()
	if p.entries == nil {
		p.entries = make(map[string]*poolEntry)
	}
	entry := p.entries[key]
	if entry == nil {
		entry = &poolEntry{}
		p.entries[key] = entry
	}
	p.mu.Unlock()
	entry.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), poolTimeout)
		defer cancel()
		entry.server, entry.err = StartPostgres(ctx, opt)
	})
	return entry.server, entry.err
}

// poolKey is the same for options that make the same server.
func poolKey(opt PostgresOptions) string {
	if opt.Version == "" {
		opt.Version = newestPostgres().major
	}
	return fmt.Sprintf("%q %q %q %t %t", opt.Version, opt.Settings, opt.HBA, opt.NoTLS, opt.Plaintext)
}

// Close ends all servers of the pool. It waits for those that are starting.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, entry := range p.entries {
		entry.once.Do(func() { entry.err = errClosed })
		if entry.server != nil {
			errs = append(errs, entry.server.Close())
		}
	}
	p.entries = nil
	return errors.Join(errs...)
}
