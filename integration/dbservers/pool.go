package dbservers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

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

// Postgres returns the pool's PostgreSQL server with these options. It is
// started by the first who asks, and outlives the caller's context;
// [Pool.Close] ends it.
func (p *Pool) Postgres(opt PostgresOptions) (*Server, error) {
	return p.server(postgresKey(opt), func(ctx context.Context) (*Server, error) { return StartPostgres(ctx, opt) })
}

// MySQL is [Pool.Postgres] for MySQL.
func (p *Pool) MySQL(opt MySQLOptions) (*Server, error) {
	return p.server(mysqlKey(opt), func(ctx context.Context) (*Server, error) { return StartMySQL(ctx, opt) })
}

// MariaDB is [Pool.Postgres] for MariaDB.
func (p *Pool) MariaDB(opt MariaDBOptions) (*Server, error) {
	return p.server(mariadbKey(opt), func(ctx context.Context) (*Server, error) { return StartMariaDB(ctx, opt) })
}

// DocumentDB is [Pool.Postgres] for a stand-in for DocumentDB. Who makes it play
// another cluster by [Server.PlayDocumentDB] starts one of its own.
func (p *Pool) DocumentDB(opt DocumentDBOptions) (*Server, error) {
	return p.server(documentdbKey(opt), func(ctx context.Context) (*Server, error) { return StartDocumentDB(ctx, opt) })
}

// Redshift is [Pool.Postgres] for what stands in for Amazon Redshift.
func (p *Pool) Redshift(opt RedshiftOptions) (*Server, error) {
	return p.server(redshiftKey(opt), func(ctx context.Context) (*Server, error) { return StartRedshift(ctx, opt) })
}

// server returns the server of a key, which is started where there is none.
func (p *Pool) server(key string, start func(context.Context) (*Server, error)) (*Server, error) {
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
		entry.server, entry.err = start(ctx)
	})
	return entry.server, entry.err
}

// A key is the same for options that make the same server.

func postgresKey(opt PostgresOptions) string {
	return fmt.Sprintf("postgres %q %q %q %t %t",
		postgresReleases.named(opt.Version), opt.Settings, opt.HBA, opt.NoTLS, opt.Plaintext)
}

func mysqlKey(opt MySQLOptions) string {
	return fmt.Sprintf("mysql %q %q %t %t",
		mysqlReleases.named(opt.Version), mysqlNames(opt.Settings), opt.NoTLS, opt.Plaintext)
}

func mariadbKey(opt MariaDBOptions) string {
	return fmt.Sprintf("mariadb %q %q %t %t",
		mariadbReleases.named(opt.Version), mysqlNames(opt.Settings), opt.NoTLS, opt.Plaintext)
}

func documentdbKey(opt DocumentDBOptions) string {
	return fmt.Sprintf("documentdb %t %t %t %+v", opt.NoTLS, opt.Plaintext, opt.Gated, opt.Behavior)
}

func redshiftKey(opt RedshiftOptions) string {
	return fmt.Sprintf("redshift %t %t %+v", opt.NoTLS, opt.Plaintext, opt.Cluster)
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
