package dbservers

import (
	"context"
	"fmt"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// mariadbDialect is the dialect of a MariaDB server and its replicas.
type mariadbDialect struct{ mysqlFamily }

var _ dialect = (*mariadbDialect)(nil)

func (d *mariadbDialect) primary(ca *CA, superuser string) recipe {
	return d.recipe(ca, d.prepare, nil, d.settings,
		func(site) []string { return d.superuserStatements(superuser) })
}

// prepare makes a data folder with a superuser of this machine alone, who has
// no password yet. The script is in another folder than the server on some
// systems, and in the path on all.
//
// https://mariadb.com/docs/server/clients-and-utilities/deployment-tools/mariadb-install-db
func (d *mariadbDialect) prepare(s site) []string {
	return []string{
		"/bin/sh", "-c", `exec mariadb-install-db "$@"`, "sh",
		"--no-defaults", "--datadir=" + s.dir + "/" + mysqlData,
		"--auth-root-authentication-method=normal", "--skip-test-db",
		// It looks for no name of this machine.
		"--skip-name-resolve", "--force",
		// Smaller files are sooner copied.
		"--innodb-log-file-size=8M", "--innodb-undo-tablespaces=0", "--skip-log-bin",
	}
}

func (d *mariadbDialect) settings(site) map[string]string {
	settings := map[string]string{"innodb_log_file_size": "8M", "innodb_undo_tablespaces": "0"}
	if d.options.NoTLS {
		settings["ssl"] = "OFF"
	}
	return settings
}

// superuserStatements open the superuser to the network, with a password. They
// are in no log, and each replica says them for itself.
func (d *mariadbDialect) superuserStatements(superuser string) []string {
	return []string{
		"SET SESSION sql_log_bin = 0, sql_log_off = 1",
		// Those of other hosts would be preferred to the one of any host.
		"DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost'",
		"DELETE FROM mysql.proxies_priv WHERE User = 'root' AND Host <> 'localhost'",
		"FLUSH PRIVILEGES",
		"RENAME USER 'root'@'localhost' TO 'root'@'%'",
		"ALTER USER 'root'@'%' IDENTIFIED BY " + mysqlText(superuser),
	}
}

// rdsMariaDBPrivileges are those of the master user on RDS for MariaDB.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html
const rdsMariaDBPrivileges = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, " +
	"SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION CLIENT, " +
	"CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, REPLICATION SLAVE"

// setUp gives the server the master user of RDS.
func (d *mariadbDialect) setUp(ctx context.Context, quiet session, s *Server) error {
	if err := quiet.exec(ctx, "CREATE DATABASE "+s.Database); err != nil {
		return err
	}
	if err := d.createAccount(ctx, quiet, s.Admin.Username, s.Admin.Password.Reveal()); err != nil {
		return err
	}
	return quiet.exec(ctx, "GRANT "+rdsMariaDBPrivileges+d.newPrivileges()+" ON *.* TO ?@'%' WITH GRANT OPTION", s.Admin.Username)
}

// newPrivileges are those that came with a version: the master user has this
// one since 11.4.
func (d *mariadbDialect) newPrivileges() string {
	if d.release.major == "10.11" {
		return ""
	}
	return ", SHOW CREATE ROUTINE"
}

func (d *mariadbDialect) createUser(ctx context.Context, quiet session, s *Server, user, password string) error {
	if err := d.createAccount(ctx, quiet, user, password); err != nil {
		return err
	}
	return quiet.exec(ctx, "GRANT "+applicationRights+" ON "+s.Database+".* TO ?@'%'", user)
}

// createAccount lets the server make the hash, and sends it that: the binary
// log holds a statement as it was sent. Where a plugin judges passwords, the
// server takes no hash, so there the statement is kept out of the binary log,
// and the account from replicas.
//
// https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables#strict_password_validation
func (d *mariadbDialect) createAccount(ctx context.Context, quiet session, user, password string) error {
	var judged bool
	if err := quiet.ask(ctx, &judged, "SELECT @@strict_password_validation AND COUNT(*) > 0 FROM information_schema.PLUGINS"+
		" WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND PLUGIN_STATUS = 'ACTIVE'"); err != nil {
		return err
	}
	if judged {
		if err := quiet.exec(ctx, "SET SESSION sql_log_bin = 0"); err != nil {
			return err
		}
		return quiet.exec(ctx, "CREATE USER ?@'%' IDENTIFIED BY ?", user, password)
	}
	var hash string
	if err := quiet.ask(ctx, &hash, "SELECT PASSWORD(?)", password); err != nil {
		return err
	}
	return quiet.exec(ctx, "CREATE USER ?@'%' IDENTIFIED BY PASSWORD ?", user, hash)
}

// connect proves that the session is of use: a password that has expired lets
// its account in, to statements that change it and to no others.
//
// https://mariadb.com/docs/server/security/user-account-management/user-password-expiry
func (d *mariadbDialect) connect(ctx context.Context, login dbdrivers.Login) (session, error) {
	theirs, err := d.mysqlFamily.connect(ctx, login)
	if err != nil {
		return nil, err
	}
	if err := theirs.exec(ctx, "DO 1"); err != nil {
		theirs.leave(ctx)
		return nil, fmt.Errorf("using the connection: %w", err)
	}
	return theirs, nil
}

func (d *mariadbDialect) reloadTLS() string { return "FLUSH SSL" }
