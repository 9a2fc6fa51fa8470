package dbservers

import (
	"context"
	"strconv"
	"strings"
	"syscall"
)

// The names of what a replica reads of its primary.
const (
	replicaRoots    = "primary.crt"
	replicaPassfile = "primary.pass"
)

// replica describes a server that copies its primary, which is its site's peer,
// and then follows it.
//
// https://www.postgresql.org/docs/current/warm-standby.html
func (d *postgresDialect) replica(ca *CA, superuser string) recipe {
	return recipe{
		release:    d.release,
		stopSignal: syscall.SIGINT,
		endSignal:  syscall.SIGINT,
		files: func(s site) ([]file, error) {
			files, err := postgresFiles(s, d.options, ca)
			return append(files,
				file{name: replicaRoots, mode: 0o600, content: ca.PEM()},
				// For any host, port, database and user. In a file of its own
				// it is in no setting, and so in no log of settings.
				//
				// https://www.postgresql.org/docs/current/libpq-pgpass.html
				file{name: replicaPassfile, mode: 0o600, content: []byte("*:*:*:*:" + superuser + "\n")},
			), err
		},
		data: postgresData,
		settle: func(s site) []string {
			return []string{
				s.bin + "/pg_basebackup", "--pgdata=" + s.dir + "/" + postgresData,
				"--dbname=" + primaryConninfo(s, d.options), "--no-password",
				// Writes standby.signal and primary_conninfo.
				"--write-recovery-conf",
				"--checkpoint=fast", "--no-sync",
			}
		},
		run: runPostgres,
	}
}

// primaryConninfo is how a replica signs in to its primary. The authority issues
// certificates for the primary and its replicas alone, so the one that it issued
// proves the primary, whatever name the replica reaches it by.
//
// https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
func primaryConninfo(s site, opt PostgresOptions) string {
	parameters := [][2]string{
		{"host", s.peer.host},
		{"port", strconv.Itoa(s.peer.port)},
		{"user", postgresSuperuser},
		{"passfile", s.dir + "/" + replicaPassfile},
	}
	if opt.NoTLS {
		parameters = append(parameters, [2]string{"sslmode", "disable"})
	} else {
		parameters = append(parameters,
			[2]string{"sslmode", "verify-ca"},
			[2]string{"sslrootcert", s.dir + "/" + replicaRoots})
	}
	words := make([]string, len(parameters))
	for i, p := range parameters {
		words[i] = p[0] + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(p[1]) + "'"
	}
	return strings.Join(words, " ")
}

func (d *postgresDialect) isReplica() string { return "SELECT pg_is_in_recovery()" }

// pause asks for the pause; the server grants it later.
//
// https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL
func (d *postgresDialect) pause() (statement, question string) {
	return "SELECT pg_wal_replay_pause()", "SELECT pg_get_wal_replay_pause_state() = 'paused'"
}

func (d *postgresDialect) resume() string { return "SELECT pg_wal_replay_resume()" }

// position writes a message of its own, which nobody reads: the servers do not
// wait for the log at a commit, but do for this one.
//
// https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION
func (d *postgresDialect) position(ctx context.Context, quiet session) (string, error) {
	if err := quiet.exec(ctx, "SET synchronous_commit = local"); err != nil {
		return "", err
	}
	var position string
	err := quiet.ask(ctx, &position, "SELECT pg_logical_emit_message(true, 'dbrotation', '')::text")
	return position, err
}

func (d *postgresDialect) reached() string { return "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn" }
