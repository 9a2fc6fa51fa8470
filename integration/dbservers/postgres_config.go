package dbservers

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The names of a PostgreSQL server's files in its own folder.
const (
	postgresData     = "data"
	postgresConf     = "postgresql.conf"
	postgresHBA      = "pg_hba.conf"
	postgresSettling = "superuser.sql"
)

// primary describes the server; every start from it has the same authority and
// superuser's password.
func (d *postgresDialect) primary(ca *CA, superuser string) recipe {
	return recipe{
		release: d.release,
		// A fast shutdown: it cuts sessions off, but writes all down.
		//
		// https://www.postgresql.org/docs/current/server-shutdown.html
		stopSignal: syscall.SIGINT,
		endSignal:  syscall.SIGINT,
		files: func(s site) ([]file, error) {
			files, err := postgresFiles(s, d.options, ca)
			return append(files, file{name: postgresSettling, mode: 0o600, content: postgresSettlement(superuser), passing: true}), err
		},
		data: postgresData,
		prepare: func(s site) []string {
			return []string{
				s.bin + "/initdb", "--pgdata=" + s.dir + "/" + postgresData,
				// The host rules that this makes are never read.
				"--username=" + postgresSuperuser, "--auth=reject",
				"--encoding=UTF8", "--no-locale", "--no-sync",
				// Smaller files are sooner copied.
				"--wal-segsize=1",
			}
		},
		settling: postgresSettling,
		settle: func(s site) []string {
			return []string{
				s.bin + "/postgres", "--single", "-D", s.dir + "/" + postgresData,
				"-c", "fsync=off", "-c", "log_min_messages=warning", "-c", "log_min_error_statement=panic",
				"postgres",
			}
		},
		run: runPostgres,
	}
}

// postgresFiles are the files that every server reads, a replica too.
func postgresFiles(s site, opt PostgresOptions, ca *CA) ([]file, error) {
	files := []file{
		{name: postgresConf, mode: 0o600, content: postgresConfiguration(s, opt)},
		{name: postgresHBA, mode: 0o600, content: postgresHostRules(opt)},
	}
	if opt.NoTLS {
		return files, nil
	}
	secured, err := certificateFiles(s, ca)
	return append(files, secured...), err
}

func runPostgres(s site) []string {
	return []string{
		s.bin + "/postgres", "-D", s.dir + "/" + postgresData,
		"-c", "config_file=" + s.dir + "/" + postgresConf,
	}
}

// postgresSettlement gives the superuser its password, in a line that a server
// without clients reads.
//
// https://www.postgresql.org/docs/current/app-postgres.html
func postgresSettlement(superuser string) []byte {
	return []byte("ALTER ROLE " + quoteName(postgresSuperuser) + " PASSWORD " + quoteText(superuser) + "\n")
}

// postgresConfiguration is the whole of postgresql.conf: what initdb wrote is
// not read, so that every source gives the same server.
//
// https://www.postgresql.org/docs/current/runtime-config.html
func postgresConfiguration(s site, opt PostgresOptions) []byte {
	settings := map[string]string{
		"listen_addresses":        s.listen,
		"port":                    strconv.Itoa(s.port),
		"unix_socket_directories": "",
		"hba_file":                s.dir + "/" + postgresHBA,

		// A chroot has no /dev/shm.
		"dynamic_shared_memory_type": "mmap",
		"shared_buffers":             "32MB",
		// The data lives for minutes: a crash of the machine may take it.
		"fsync":              "off",
		"synchronous_commit": "off",
		"full_page_writes":   "off",
		// A replica that was stopped for a while finds what it missed.
		"wal_keep_size": "64MB",

		"log_destination":    "stderr",
		"logging_collector":  "off",
		"log_line_prefix":    "%m [%p] user=%u,db=%d ",
		"log_statement":      "all",
		"log_connections":    "on",
		"log_disconnections": "on",
		"log_timezone":       "UTC",
		"timezone":           "UTC",
	}
	if !opt.NoTLS {
		settings["ssl"] = "on"
		settings["ssl_cert_file"] = s.dir + "/" + certificateFile
		settings["ssl_key_file"] = s.dir + "/" + certificateKeyFile
	}
	maps.Copy(settings, opt.Settings)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(settings[name]))
	}
	return []byte(b.String())
}

// postgresHostRules is pg_hba.conf. The superuser's lines are the first, so that
// no rule of a test can lock the test's own assertions out.
//
// https://www.postgresql.org/docs/current/auth-pg-hba-conf.html
func postgresHostRules(opt PostgresOptions) []byte {
	connection, method := "hostssl", "scram-sha-256"
	own := connection
	if opt.NoTLS {
		own = "host"
	}
	if opt.NoTLS || opt.Plaintext {
		connection = "host"
	}
	if strings.EqualFold(opt.Settings["password_encryption"], "md5") {
		// This method takes SCRAM verifiers too.
		method = "md5"
	}
	lines := []string{
		own + " all " + postgresSuperuser + " all scram-sha-256",
		// The word all above does not stand for replication.
		own + " replication " + postgresSuperuser + " all scram-sha-256",
	}
	lines = append(lines, opt.HBA...)
	lines = append(lines, connection+" all all all "+method)
	return []byte(strings.Join(lines, "\n") + "\n")
}
