package dbservers

import (
	"context"
	"fmt"
)

// mysqlReleases are the versions that can be started, the oldest first. A tag
// names a maintenance release and so never moves. Debian carries the newest
// alone.
//
// https://hub.docker.com/_/mysql
// https://packages.debian.org/search?keywords=mysql-server-core
var mysqlReleases = releases{
	mysqlRelease("8.4", "mysql:8.4.7", ""),
	mysqlRelease("9.7", "mysql:9.7.4", "sid"),
}

func mysqlRelease(major, image, suite string) release {
	return release{
		engine: "mysql", major: major, port: 3306,
		image: image,
		suite: suite, packages: []string{"mysql-server-core"},
		unneeded: []string{"perl*", "libperl*", "systemd*", "libsystemd-shared*"},
		unread: []string{
			// Tools, all but the server.
			"./usr/bin/mysql*", "./usr/bin/myisam*", "./usr/bin/ibd2sdi", "./usr/bin/innochecksum",
			"./usr/bin/my_print_defaults", "./usr/bin/perror",
			"./usr/lib/mysql/plugin/*telemetry*", "./usr/lib/mysql/plugin/*group_replication*",
		},
		binaries: "/usr/sbin",
		elsewhere: []string{
			"/opt/homebrew/opt/mysql@" + major + "/bin",
			"/usr/local/opt/mysql@" + major + "/bin",
			"/usr/local/mysql/bin",
		},
		program: "mysqld",
		account: "mysql",
	}
}

// MySQLVersions returns the versions that StartMySQL knows, the oldest first.
// Some are to be had as an official image alone; see [Unavailable].
func MySQLVersions() []string { return mysqlReleases.versions() }

// TestedMySQLVersions returns the versions that a run of the tests holds: the
// newest and one old of those that can be had on this machine, or with
// DBROTATION_ALL=1 in the environment all of them.
func TestedMySQLVersions() []string { return mysqlReleases.tested() }

// MySQLOptions say which MySQL server to start. The zero value is the newest
// version, with TLS and nothing else.
type MySQLOptions struct {
	// Version is the release series, one of [MySQLVersions]. Empty is the
	// newest.
	Version string
	// Settings are lines of my.cnf, by name: "sql_mode": "ANSI_QUOTES". Names
	// are written with underscores or dashes, switches as ON and OFF. They
	// stand over the defaults, which log every statement and connection, every
	// query as a slow one and every change in the binary log, set
	// partial_revokes, resolve no names and do without fsync.
	Settings map[string]string
	// NoTLS makes a server that offers no TLS.
	NoTLS bool
	// Plaintext lets clients in without TLS too: for a gate that stands in
	// front of the server.
	Plaintext bool
}

// StartMySQL starts a MySQL server and returns when it serves. The caller
// closes it. The error says what to install where nothing here can run one.
func StartMySQL(ctx context.Context, opt MySQLOptions) (*Server, error) {
	w, err := wayFromEnvironment()
	if err != nil {
		return nil, fmt.Errorf("starting MySQL: %w", err)
	}
	s, err := startMySQL(ctx, opt, w)
	if err != nil {
		return nil, fmt.Errorf("starting MySQL: %w", err)
	}
	return s, nil
}

func startMySQL(ctx context.Context, opt MySQLOptions, w way) (*Server, error) {
	rel, err := mysqlReleases.find(opt.Version)
	if err != nil {
		return nil, err
	}
	return startServer(ctx, &mysqlDialect{mysqlFamily{release: rel, options: opt}}, w)
}
