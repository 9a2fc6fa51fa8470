package dbservers

import (
	"context"
	"fmt"
)

// mariadbReleases are the versions that can be started, the oldest first. A tag
// names a maintenance release and so never moves.
//
// https://hub.docker.com/_/mariadb
// https://packages.debian.org/search?keywords=mariadb-server
var mariadbReleases = releases{
	mariadbRelease("10.11", "mariadb:10.11.16", "bookworm"),
	mariadbRelease("11.8", "mariadb:11.8.6", "trixie"),
}

func mariadbRelease(major, image, suite string) release {
	return release{
		engine: "mariadb", major: major, port: 3306,
		image: image,
		// The plugins, for other kinds of passwords and for rules about them,
		// are in mariadb-server; mariadb-install-db is a script that needs sed.
		suite: suite, packages: []string{"mariadb-server", "sed"},
		unneeded: []string{
			"perl*", "libperl*", "libdbi-perl*", "libconfig-inifiles-perl*", "libfile-find-rule-perl*",
			"systemd*", "libsystemd-shared*", "mariadb-client_*", "galera*",
			"iproute2*", "rsync*", "socat*", "lsof*", "procps*", "psmisc*", "gawk*",
			"dpkg*", "tar_*", "usrmerge*", "passwd*", "adduser*", "debconf*",
		},
		unread: []string{
			// Tools, all but mariadb-install-db and what it calls.
			"./usr/bin/mariadb", "./usr/bin/mariadb-[!i]*", "./usr/bin/aria_*", "./usr/bin/myisam*",
			"./usr/bin/innochecksum", "./usr/bin/perror", "./usr/bin/replace", "./usr/bin/resolve_stack_dump",
			"./usr/lib/mysql/plugin/ha_*",
		},
		binaries: "/usr/sbin",
		elsewhere: []string{
			"/opt/homebrew/opt/mariadb@" + major + "/bin",
			"/usr/local/opt/mariadb@" + major + "/bin",
		},
		program: "mariadbd",
		account: "mysql",
	}
}

// MariaDBVersions returns the versions that StartMariaDB knows, the oldest
// first.
func MariaDBVersions() []string { return mariadbReleases.versions() }

// TestedMariaDBVersions returns the versions that a run of the tests holds: the
// newest and one old, or with DBROTATION_ALL=1 in the environment all of them.
func TestedMariaDBVersions() []string { return mariadbReleases.tested() }

// MariaDBOptions say which MariaDB server to start, as [MySQLOptions] do for
// MySQL. Version is one of [MariaDBVersions].
type MariaDBOptions MySQLOptions

// StartMariaDB starts a MariaDB server and returns when it serves. The caller
// closes it. The error says what to install where nothing here can run one.
func StartMariaDB(ctx context.Context, opt MariaDBOptions) (*Server, error) {
	w, err := wayFromEnvironment()
	if err != nil {
		return nil, fmt.Errorf("starting MariaDB: %w", err)
	}
	s, err := startMariaDB(ctx, opt, w)
	if err != nil {
		return nil, fmt.Errorf("starting MariaDB: %w", err)
	}
	return s, nil
}

func startMariaDB(ctx context.Context, opt MariaDBOptions, w way) (*Server, error) {
	rel, err := mariadbReleases.find(opt.Version)
	if err != nil {
		return nil, err
	}
	return startServer(ctx, &mariadbDialect{mysqlFamily{release: rel, options: MySQLOptions(opt)}}, w)
}
