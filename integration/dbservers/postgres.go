package dbservers

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// The names that a PostgreSQL server starts with.
const (
	postgresDatabase  = "appdb"
	postgresAdmin     = "radmin"
	postgresSuperuser = "postgres"
)

// postgresReleases are the versions that can be started, the oldest first. A
// tag names a minor release and so never moves.
//
// https://hub.docker.com/_/postgres
// https://packages.debian.org/search?keywords=postgresql
var postgresReleases = []release{
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
	}
}

// PostgresVersions returns the versions that StartPostgres knows, the oldest
// first.
func PostgresVersions() []string {
	var versions []string
	for _, r := range postgresReleases {
		versions = append(versions, r.major)
	}
	return versions
}

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
	rel, err := findPostgres(opt.Version)
	if err != nil {
		return nil, err
	}
	ca, err := NewCA()
	if err != nil {
		return nil, err
	}
	superuser, admin := rand.Text(), rand.Text()
	place, err := openPlace(ctx, postgresRecipe(rel, opt, ca, superuser), w)
	if err != nil {
		return nil, err
	}
	s := newPostgres(place, rel, opt, ca, superuser, admin)
	if err := s.setUpPostgres(ctx); err != nil {
		return nil, s.giveUp(ctx, err)
	}
	return s, nil
}

// newPostgres describes the server that runs in place.
func newPostgres(place place, rel release, opt PostgresOptions, ca *CA, superuser, admin string) *Server {
	host, port := place.address()
	s := &Server{
		Engine:   rel.engine,
		Source:   place.source(),
		Host:     host,
		Port:     port,
		CA:       ca,
		Roots:    ca.Roots(),
		RootsPEM: ca.PEM(),
		Database: postgresDatabase,
		place:    place,
		release:  rel,
		options:  opt,
		own:      tlsconf.Settings{Plaintext: opt.NoTLS, Roots: ca.Roots()},
	}
	s.Admin = s.Login(postgresAdmin, admin)
	s.Superuser = s.Login(postgresSuperuser, superuser)
	return s
}

// giveUp closes a server that could not be made ready, and returns why.
func (s *Server) giveUp(ctx context.Context, err error) error {
	err = withLogTail(ctx, s.place, err)
	if closing := s.Close(); closing != nil {
		err = fmt.Errorf("%w (and %w)", err, closing)
	}
	return err
}

func newestPostgres() release { return postgresReleases[len(postgresReleases)-1] }

func findPostgres(version string) (release, error) {
	if version == "" {
		return newestPostgres(), nil
	}
	for _, r := range postgresReleases {
		if r.major == version {
			return r, nil
		}
	}
	return release{}, fmt.Errorf("version %q is not known here; use one of %s", version, strings.Join(PostgresVersions(), ", "))
}

// setUpPostgres waits for the server and gives it what RDS gives a new one: a
// master user that is no superuser, and a database of that user's.
func (s *Server) setUpPostgres(ctx context.Context) error {
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	conn, err := s.connectQuietly(ctx, "postgres")
	if err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	defer closeConn(ctx, conn)
	if err := conn.QueryRow(ctx, "SELECT split_part(current_setting('server_version'), ' ', 1)").Scan(&s.Version); err != nil {
		return fmt.Errorf("asking for the version: %w", err)
	}
	for _, statement := range postgresSetUp(s.Admin) {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("setting up: %w", err)
		}
	}
	return nil
}

// postgresSetUp shapes the roles as RDS does. The predefined roles are granted
// with the right to pass them on.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.rds_superuser.html
func postgresSetUp(admin dbdrivers.Login) []string {
	name := quoteName(admin.Username)
	return []string{
		"CREATE ROLE rds_superuser NOLOGIN",
		"GRANT pg_monitor, pg_signal_backend, pg_read_all_settings, pg_read_all_stats, pg_checkpoint TO rds_superuser WITH ADMIN OPTION",
		"CREATE ROLE " + name + " LOGIN CREATEROLE CREATEDB PASSWORD " + quoteText(admin.Password.Reveal()),
		"GRANT rds_superuser TO " + name + " WITH ADMIN OPTION",
		"CREATE DATABASE " + quoteName(postgresDatabase) + " OWNER " + name,
	}
}
