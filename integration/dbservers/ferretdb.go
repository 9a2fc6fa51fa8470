package dbservers

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
)

// The names of a FerretDB server's files in its own folder.
const (
	ferretData  = "data"
	ferretSetUp = "first-password"
	// ferretLog is FerretDB's own log; the server's is the gate's.
	ferretLog = "ferretdb.log"
)

// ferretSQLite is how SQLite keeps the data: many clients wait for one another, and
// nothing is forced to the disk, since no test cuts the power.
//
// https://docs.ferretdb.io/v1.24/configuration/flags/#sqlite
// https://www.sqlite.org/pragma.html
const ferretSQLite = "_pragma=busy_timeout(60000)&_pragma=journal_mode(wal)&_pragma=synchronous(off)"

// ferretRelease is FerretDB as built into a folder.
func ferretRelease(folder string) release {
	return release{
		engine: "documentdb", major: ferretMajor, port: 27017,
		binaries: filepath.ToSlash(folder),
		program:  ferretProgram,
		// The folder is below the user's own, where nobody else may look.
		account: "root",
	}
}

// startFerretDB starts FerretDB as a local process, and the gate in front of
// it.
func startFerretDB(ctx context.Context, opt DocumentDBOptions) (*Server, error) {
	folder, err := builtFerretDB(ctx)
	if err != nil {
		return nil, err
	}
	ca, err := NewCA()
	if err != nil {
		return nil, err
	}
	d := &documentdbDialect{release: ferretRelease(folder), options: opt, gated: true}
	given := passwords{superuser: newPassword(), admin: newPassword()}
	behind, err := openProcess(ctx, d.primary(ca, given.superuser), peer{})
	if err != nil {
		return nil, err
	}
	p, err := openFerretPlace(behind, ca, given.superuser, opt)
	if err != nil {
		return nil, err
	}
	s := newServer(p, d, ca, given)
	if err := s.begin(ctx); err != nil {
		return nil, s.giveUp(ctx, err)
	}
	if err := s.setUp(ctx); err != nil {
		return nil, s.giveUp(ctx, err)
	}
	return s, nil
}

// ferretRecipe describes a FerretDB server that only the gate is to reach. Its
// users are MongoDB's, kept in SQLite.
//
// https://docs.ferretdb.io/v1.24/configuration/flags/
func (d *documentdbDialect) ferretRecipe(superuser string) recipe {
	return recipe{
		release:    d.release,
		stopSignal: syscall.SIGTERM,
		endSignal:  syscall.SIGKILL,
		files: func(site) ([]file, error) {
			return []file{{name: ferretSetUp, mode: 0o600, content: []byte(superuser)}}, nil
		},
		data: ferretData,
		settle: func(s site) []string {
			return []string{"/bin/sh", "-ec", "mkdir " + shellWords(s.dir+"/"+ferretData)}
		},
		// The first password comes by the environment, where other users of the
		// machine do not see it. Once it is spent, there is none to set.
		run: func(s site) []string {
			first := shellWords(s.dir + "/" + ferretSetUp)
			return []string{"/bin/sh", "-ec", "if [ -s " + first + " ]; then\n" +
				"FERRETDB_SETUP_PASSWORD=$(cat " + first + ") FERRETDB_SETUP_DATABASE=" + adminDatabase +
				" FERRETDB_SETUP_USERNAME=" + shellWords(d.superuser()) + "\n" +
				"export FERRETDB_SETUP_PASSWORD FERRETDB_SETUP_DATABASE FERRETDB_SETUP_USERNAME\n" +
				"fi\n" +
				"exec " + shellWords(
				s.bin+"/"+ferretProgram,
				"--handler=sqlite", "--sqlite-url=file:"+s.dir+"/"+ferretData+"/?"+ferretSQLite, "--state-dir="+s.dir+"/"+ferretData,
				"--listen-addr="+net.JoinHostPort(s.listen, strconv.Itoa(s.port)),
				"--debug-addr=-", "--telemetry=disable", "--test-enable-new-auth",
				// What it logs below this holds commands with their values.
				"--log-level=info",
			)}
		},
	}
}
