package dbservers

import (
	"context"
	"maps"
	"strconv"
	"strings"
)

// replica describes a server that begins with nothing and repeats all that its
// site's peer has in its binary log.
//
// https://dev.mysql.com/doc/refman/9.7/en/replication-gtids-howto.html
func (d *mysqlDialect) replica(ca *CA, superuser string) recipe {
	return d.recipe(ca, d.prepare, d.settle,
		func(s site) map[string]string {
			settings := d.settings(s)
			maps.Copy(settings, map[string]string{"super_read_only": "ON", "relay_log_recovery": "ON"})
			return settings
		},
		func(s site) []string {
			statements := []string{"SET GLOBAL super_read_only = OFF"}
			statements = append(statements, d.superuserStatements(superuser)...)
			return append(statements,
				"CHANGE REPLICATION SOURCE TO "+strings.Join(d.source(s, superuser), ", "),
				"START REPLICA",
				"SET GLOBAL super_read_only = ON",
			)
		})
}

// source is how a replica signs in to its primary.
//
// https://dev.mysql.com/doc/refman/9.7/en/change-replication-source-to.html
func (d *mysqlDialect) source(s site, superuser string) []string {
	options := []string{
		"SOURCE_HOST = " + mysqlText(s.peer.host),
		"SOURCE_PORT = " + strconv.Itoa(s.peer.port),
		"SOURCE_USER = " + mysqlText(mysqlSuperuser),
		"SOURCE_PASSWORD = " + mysqlText(superuser),
		"SOURCE_AUTO_POSITION = 1",
		// A primary that was stopped is found soon, however long it was away.
		"SOURCE_CONNECT_RETRY = 1",
		"SOURCE_RETRY_COUNT = 86400",
	}
	if d.options.NoTLS {
		return append(options, "SOURCE_SSL = 0", "GET_SOURCE_PUBLIC_KEY = 1")
	}
	return append(options,
		"SOURCE_SSL = 1",
		"SOURCE_SSL_CA = "+mysqlText(s.dir+"/"+mysqlRoots),
		"SOURCE_SSL_VERIFY_SERVER_CERT = 1")
}

func (d *mysqlDialect) isReplica() string { return "SELECT COUNT(*) > 0 FROM mysql.slave_master_info" }

// pause returns when it is so.
func (d *mysqlDialect) pause() (statement, question string) {
	return "STOP REPLICA SQL_THREAD", "SELECT TRUE"
}

func (d *mysqlDialect) resume() string { return "START REPLICA SQL_THREAD" }

func (d *mysqlDialect) position(ctx context.Context, quiet session) (string, error) {
	var position string
	err := quiet.ask(ctx, &position, "SELECT @@GLOBAL.gtid_executed")
	return position, err
}

func (d *mysqlDialect) reached() string { return "SELECT GTID_SUBSET(?, @@GLOBAL.gtid_executed)" }
