package dbservers

import (
	"context"
	"fmt"
)

// postgresSuperuser is the superuser that a PostgreSQL server starts with.
const postgresSuperuser = "postgres"

// postgresReleases are the versions that can be started, the oldest first. A
// tag names a minor release and so never moves.
//
// https://hub.docker.com/_/postgres
// https://packages.debian.org/search?keywords=postgresql
var postgresReleases = releases{
	postgresRelease("15", "postgres:15.15", "bookworm"),
	postgresRelease("17", "postgres:17.7", "trixie"),
	postgresRelease("18", "postgres:18.1", "sid"),
}

func postgresRelease(major, image, suite string) release {
	return release{
		engine: "postgres", major: major, port: 5432,
		image: image,
		suite: suite, packages: []string{"postgresql-" + major},
		// Perl is for the scripts of administrators. The just-in-time compiler
		// is a third of all the bytes; without it PostgreSQL interprets.
		unneeded: []string{"libllvm*", "libz3-*", "perl*", "libperl*", "systemd*", "libsystemd-shared*", "locales*", "libc-l10n*"},
		unread:   []string{"./usr/lib/postgresql/*/lib/llvmjit*", "./usr/lib/postgresql/*/lib/bitcode"},
		binaries: "/usr/lib/postgresql/" + major + "/bin",
		elsewhere: []string{
			"/usr/pgsql-" + major + "/bin",
			"/opt/homebrew/opt/postgresql@" + major + "/bin",
			"/usr/local/opt/postgresql@" + major + "/bin",
		},
		program: "postgres",
		account: "postgres",
	}
}

// PostgresVersions returns the versions that StartPostgres knows, the oldest
// first.
func PostgresVersions() []string { return postgresReleases.versions() }

// TestedPostgresVersions returns the versions that a run of the tests holds:
// the newest and one old, or with DBROTATION_ALL=1 in the environment all of
// them.
func TestedPostgresVersions() []string { return postgresReleases.tested() }

// PostgresOptions say which PostgreSQL server to start. The zero value is the
// newest version, with TLS and nothing else.
type PostgresOptions struct {
	// Version is the major version, one of [PostgresVersions]. Empty is the
	// newest.
	Version string
	// Settings go into postgresql.conf, as written there but for the quoting:
	// "password_encryption": "md5". They stand over the defaults, which log
	// every statement and connection and do without fsync.
	Settings map[string]string
	// HBA are lines of pg_hba.conf. They stand before the line that lets every
	// user in by password, and after the superuser's own.
	HBA []string
	// NoTLS makes a server that offers no TLS.
	NoTLS bool
	// Plaintext lets clients in without TLS too: for a gate that stands in
	// front of the server.
	Plaintext bool
}

// StartPostgres starts a PostgreSQL server and returns when it serves. The
// caller closes it. The error says what to install where nothing here can run
// one.
func StartPostgres(ctx context.Context, opt PostgresOptions) (*Server, error) {
	w, err := wayFromEnvironment()
	if err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	s, err := startPostgres(ctx, opt, w)
	if err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return s, nil
}

func startPostgres(ctx context.Context, opt PostgresOptions, w way) (*Server, error) {
	rel, err := postgresReleases.find(opt.Version)
	if err != nil {
		return nil, err
	}
	return startServer(ctx, &postgresDialect{release: rel, options: opt}, w)
}
