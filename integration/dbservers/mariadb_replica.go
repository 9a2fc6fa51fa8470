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
// https://mariadb.com/docs/server/ha-and-performance/standard-replication/gtid
func (d *mariadbDialect) replica(ca *CA, superuser string) recipe {
	return d.recipe(ca, d.prepare, nil,
		func(s site) map[string]string {
			settings := d.settings(s)
			maps.Copy(settings, map[string]string{"read_only": "ON", "relay_log_recovery": "ON"})
			return settings
		},
		func(s site) []string {
			return append(d.superuserStatements(superuser),
				// Who has it may write to a replica.
				"REVOKE READ_ONLY ADMIN ON *.* FROM 'root'@'%'",
				"CHANGE MASTER TO "+strings.Join(d.source(s, superuser), ", "),
				"START SLAVE",
			)
		})
}

// source is how a replica signs in to its primary.
//
// https://mariadb.com/docs/server/reference/sql-statements/administrative-sql-statements/replication-statements/change-master-to
func (d *mariadbDialect) source(s site, superuser string) []string {
	options := []string{
		"MASTER_HOST = " + mysqlText(s.peer.host),
		"MASTER_PORT = " + strconv.Itoa(s.peer.port),
		"MASTER_USER = " + mysqlText(mysqlSuperuser),
		"MASTER_PASSWORD = " + mysqlText(superuser),
		"MASTER_USE_GTID = slave_pos",
		// A primary that was stopped is found soon.
		"MASTER_CONNECT_RETRY = 1",
	}
	if d.options.NoTLS {
		return append(options, "MASTER_SSL = 0")
	}
	return append(options,
		"MASTER_SSL = 1",
		"MASTER_SSL_CA = "+mysqlText(s.dir+"/"+mysqlRoots),
		"MASTER_SSL_VERIFY_SERVER_CERT = 1")
}

func (d *mariadbDialect) isReplica() string { return "SELECT @@GLOBAL.gtid_slave_pos <> ''" }

// pause returns when it is so.
func (d *mariadbDialect) pause() (statement, question string) {
	return "STOP SLAVE SQL_THREAD", "SELECT TRUE"
}

func (d *mariadbDialect) resume() string { return "START SLAVE SQL_THREAD" }

func (d *mariadbDialect) position(ctx context.Context, quiet session) (string, error) {
	var position string
	err := quiet.ask(ctx, &position, "SELECT @@GLOBAL.gtid_binlog_pos")
	return position, err
}

func (d *mariadbDialect) reached() string { return "SELECT MASTER_GTID_WAIT(?, 0) = 0" }
