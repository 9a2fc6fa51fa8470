package dbservers

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The names of a MySQL or MariaDB server's files in its own folder.
const (
	mysqlData      = "data"
	mysqlConf      = "my.cnf"
	mysqlInit      = "first.sql"
	mysqlRoots     = "roots.crt"
	mysqlSlowLog   = "slow.log"
	mysqlBinaryLog = "binlog"
	mysqlRelayLog  = "relay"
)

// recipe describes a server of the family. settings and statements are the
// engine's own; the statements are what the first start says to the server
// before it lets anyone in.
func (f *mysqlFamily) recipe(
	ca *CA,
	prepare, settle func(site) []string,
	settings func(site) map[string]string,
	statements func(site) []string,
) recipe {
	return recipe{
		release: f.release,
		// A shutdown in good order: it cuts sessions off, and writes all down.
		//
		// https://dev.mysql.com/doc/refman/9.7/en/unix-signal-response.html
		stopSignal: syscall.SIGTERM,
		// It is a single process.
		endSignal: syscall.SIGKILL,
		files: func(s site) ([]file, error) {
			files := []file{
				{name: mysqlConf, mode: 0o600, content: f.configuration(s, settings(s))},
				{name: mysqlInit, mode: 0o600, content: []byte(strings.Join(statements(s), ";\n") + ";\n")},
			}
			if f.options.NoTLS {
				return files, nil
			}
			secured, err := certificateFiles(s, ca)
			files = append(files, file{name: mysqlRoots, mode: 0o600, content: ca.PEM()})
			return append(files, secured...), err
		},
		data:    mysqlData,
		prepare: prepare,
		settle:  settle,
		run: func(s site) []string {
			return []string{s.bin + "/" + f.release.program, "--defaults-file=" + s.dir + "/" + mysqlConf}
		},
	}
}

// configuration is the whole of my.cnf: no other file is read, so that every
// source gives the same server.
//
// https://dev.mysql.com/doc/refman/9.7/en/server-system-variables.html
// https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables
func (f *mysqlFamily) configuration(s site, own map[string]string) []byte {
	settings := map[string]string{
		"datadir":      s.dir + "/" + mysqlData,
		"bind_address": s.listen,
		"port":         strconv.Itoa(s.port),
		"socket":       s.dir + "/server.sock",
		"pid_file":     s.dir + "/server.pid",
		// Read by the first start, and emptied then.
		"init_file": s.dir + "/" + mysqlInit,
		// A test's answer does not wait for a name server.
		"skip_name_resolve":    "ON",
		"character_set_server": "utf8mb4",

		"performance_schema":      "OFF",
		"innodb_buffer_pool_size": "32M",
		// The data lives for minutes: a crash of the machine may take it, but
		// not one of the server.
		"innodb_flush_log_at_trx_commit": "2",
		"innodb_doublewrite":             "OFF",
		"sync_binlog":                    "0",

		// The error log is what the server writes to its standard error: the
		// same file.
		"general_log":         "ON",
		"general_log_file":    s.dir + "/" + serverLog,
		"slow_query_log":      "ON",
		"slow_query_log_file": s.dir + "/" + mysqlSlowLog,
		"long_query_time":     "0",

		// Two servers that follow one another must not have the same.
		"server_id": strconv.FormatUint(uint64(rand.Uint32N(1<<31))+1, 10),
		"log_bin":   s.dir + "/" + mysqlBinaryLog,
		"relay_log": s.dir + "/" + mysqlRelayLog,
	}
	if !f.options.NoTLS {
		settings["ssl_ca"] = s.dir + "/" + mysqlRoots
		settings["ssl_cert"] = s.dir + "/" + certificateFile
		settings["ssl_key"] = s.dir + "/" + certificateKeyFile
	}
	if !f.options.NoTLS && !f.options.Plaintext {
		settings["require_secure_transport"] = "ON"
	}
	maps.Copy(settings, own)
	maps.Copy(settings, mysqlNames(f.options.Settings))
	var b strings.Builder
	b.WriteString("[mysqld]\n")
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		// https://dev.mysql.com/doc/refman/9.7/en/option-files.html
		fmt.Fprintf(&b, "%s = \"%s\"\n", name, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(settings[name]))
	}
	return []byte(b.String())
}

// mysqlNames are settings by the names that SHOW VARIABLES knows.
func mysqlNames(settings map[string]string) map[string]string {
	named := make(map[string]string, len(settings))
	for name, value := range settings {
		named[strings.ReplaceAll(name, "-", "_")] = value
	}
	return named
}

// mysqlText makes a literal for a file that the server reads with its default
// mode.
func mysqlText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
