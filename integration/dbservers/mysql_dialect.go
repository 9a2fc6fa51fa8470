package dbservers

import "context"

// mysqlDialect is the dialect of a MySQL server and its replicas.
type mysqlDialect struct{ mysqlFamily }

var _ dialect = (*mysqlDialect)(nil)

func (d *mysqlDialect) primary(ca *CA, superuser string) recipe {
	return d.recipe(ca, d.prepare, d.settle, d.settings,
		func(site) []string { return d.superuserStatements(superuser) })
}

// prepare makes a data folder with a superuser of this machine alone, who has
// no password yet.
//
// https://dev.mysql.com/doc/refman/9.7/en/data-directory-initialization.html
func (d *mysqlDialect) prepare(s site) []string {
	return []string{
		s.bin + "/" + d.release.program, "--no-defaults", "--initialize-insecure",
		"--datadir=" + s.dir + "/" + mysqlData,
		// Smaller files are sooner copied.
		"--innodb-redo-log-capacity=8M", "--innodb-doublewrite=OFF",
	}
}

// settle removes the name of the server that the data folder was made by: each
// gives itself one of its own.
//
// https://dev.mysql.com/doc/refman/9.7/en/replication-options.html#sysvar_server_uuid
func (d *mysqlDialect) settle(s site) []string {
	return []string{"/bin/rm", "-f", s.dir + "/" + mysqlData + "/auto.cnf"}
}

func (d *mysqlDialect) settings(site) map[string]string {
	settings := map[string]string{
		"innodb_redo_log_capacity": "8M",
		"mysqlx":                   "OFF",
		// Without it the server wants a folder that packages make.
		"secure_file_priv":          "NULL",
		"log_timestamps":            "UTC",
		"log_slow_admin_statements": "ON",
		// The harder case for whoever copies rights.
		"partial_revokes":          "ON",
		"gtid_mode":                "ON",
		"enforce_gtid_consistency": "ON",
	}
	if d.options.NoTLS {
		// https://dev.mysql.com/doc/refman/9.7/en/encrypted-connection-protocols-ciphers.html
		settings["tls_version"] = ""
	}
	return settings
}

// superuserStatements open the superuser to the network, with a password. They
// are in no log, and each replica says them for itself.
func (d *mysqlDialect) superuserStatements(superuser string) []string {
	return []string{
		"SET SESSION sql_log_bin = 0, sql_log_off = 1",
		"RENAME USER 'root'@'localhost' TO 'root'@'%'",
		"ALTER USER 'root'@'%' IDENTIFIED BY " + mysqlText(superuser),
	}
}

// The privileges of the master user on RDS for MySQL 8.0.36 and higher, by the
// role rds_superuser_role. SET_USER_ID, which the list has too, ended with 8.4.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html
const (
	rdsMySQLPrivileges = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, " +
		"SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, " +
		"CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, CREATE ROLE, DROP ROLE"
	rdsMySQLDynamicPrivileges = "APPLICATION_PASSWORD_ADMIN, ROLE_ADMIN, XA_RECOVER_ADMIN"
	// rdsMySQLWithheld are kept from the master user on the system's tables,
	// which it may read alone.
	//
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.MySQL.CommonDBATasks.privilege-model.html
	rdsMySQLWithheld = "INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, LOCK TABLES, " +
		"EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER"
)

// setUp gives the server the role and the master user of RDS.
func (d *mysqlDialect) setUp(ctx context.Context, quiet session, s *Server) error {
	if err := execAll(ctx, quiet,
		"CREATE DATABASE "+s.Database,
		"CREATE ROLE rds_superuser_role",
		"GRANT "+rdsMySQLPrivileges+" ON *.* TO rds_superuser_role WITH GRANT OPTION",
		"GRANT "+rdsMySQLDynamicPrivileges+" ON *.* TO rds_superuser_role WITH GRANT OPTION",
	); err != nil {
		return err
	}
	var partial bool
	if err := quiet.ask(ctx, &partial, "SELECT @@GLOBAL.partial_revokes"); err != nil {
		return err
	}
	if partial {
		if err := quiet.exec(ctx, "REVOKE "+rdsMySQLWithheld+" ON mysql.* FROM rds_superuser_role"); err != nil {
			return err
		}
	}
	if err := quiet.exec(ctx, "CREATE USER ?@'%' IDENTIFIED BY ?", s.Admin.Username, s.Admin.Password.Reveal()); err != nil {
		return err
	}
	if err := quiet.exec(ctx, "GRANT rds_superuser_role TO ?@'%' WITH ADMIN OPTION", s.Admin.Username); err != nil {
		return err
	}
	return quiet.exec(ctx, "SET DEFAULT ROLE rds_superuser_role TO ?@'%'", s.Admin.Username)
}

// createUser sends the password as it is: the server writes its hash into the
// binary log.
func (d *mysqlDialect) createUser(ctx context.Context, quiet session, s *Server, user, password string) error {
	if err := quiet.exec(ctx, "CREATE USER ?@'%' IDENTIFIED BY ?", user, password); err != nil {
		return err
	}
	return quiet.exec(ctx, "GRANT "+applicationRights+" ON "+s.Database+".* TO ?@'%'", user)
}

// reloadTLS takes a certificate also where the server finds fault with it, as it
// does with another authority's.
//
// https://dev.mysql.com/doc/refman/9.7/en/alter-instance.html
func (d *mysqlDialect) reloadTLS() string { return "ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR" }
