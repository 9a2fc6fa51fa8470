package dbservers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A flavour is what a story must know of an engine.
type flavour struct {
	engine   string
	releases releases
	start    func(ctx context.Context, version string, noTLS bool, w way) (*Server, error)
	// startPlaintext starts a server that takes clients with TLS and without.
	startPlaintext func(ctx context.Context, w way) (*Server, error)

	// quote makes an account's name part of a statement; lock and unlock close
	// an account and open it.
	quote        func(user string) string
	lock, unlock func(user string) string
	// setPassword changes an account's password.
	setPassword func(user, password string) string
	// adminIsNoSuperuser asserts it.
	adminIsNoSuperuser func(ctx context.Context, t *testing.T, s *Server)
	// wantsTLS and readOnly report whether err is the server's refusal of a
	// client without TLS, and of a write to a replica.
	wantsTLS, readOnly func(err error) bool
	// accepted and refused are what the log has of a sign-in of app"1.
	accepted, refused string
	// ended is what the log ends with, following what a replica's begins with.
	ended, following string
	// judge makes the server refuse short passwords.
	judge string
	// turnOver makes the primary drop what it keeps for nobody.
	turnOver []string
}

// flavours are all engines.
func flavours() []flavour { return []flavour{postgresFlavour(), mysqlFlavour(), mariadbFlavour()} }

func postgresFlavour() flavour {
	role := func(clause string) func(string) string {
		return func(user string) string { return "ALTER ROLE " + quoteName(user) + " " + clause }
	}
	return flavour{
		engine:   "postgres",
		releases: postgresReleases,
		start: func(ctx context.Context, version string, noTLS bool, w way) (*Server, error) {
			return startPostgres(ctx, PostgresOptions{Version: version, NoTLS: noTLS}, w)
		},
		startPlaintext: func(ctx context.Context, w way) (*Server, error) {
			return startPostgres(ctx, PostgresOptions{Plaintext: true}, w)
		},
		quote: quoteName, lock: role("NOLOGIN"), unlock: role("LOGIN"),
		setPassword: func(user, password string) string {
			return "ALTER ROLE " + quoteName(user) + " PASSWORD " + quoteText(password)
		},
		adminIsNoSuperuser: postgresAdminIsNoSuperuser,
		wantsTLS:           sqlState("28000"),
		readOnly:           sqlState("25006"),
		accepted:           `connection authorized: user=app"1 database=appdb SSL enabled`,
		refused:            `FATAL:  password authentication failed for user "app"1"`,
		ended:              "database system is shut down",
		following:          "started streaming WAL from primary",
		judge:              "LOAD 'passwordcheck'",
		turnOver:           []string{"SELECT pg_switch_wal()", "CREATE TABLE meanwhile ()", "SELECT pg_switch_wal()", "CHECKPOINT"},
	}
}

func mysqlFlavour() flavour {
	f := mysqlFamilyFlavour()
	f.engine, f.releases = "mysql", mysqlReleases
	f.start = func(ctx context.Context, version string, noTLS bool, w way) (*Server, error) {
		return startMySQL(ctx, MySQLOptions{Version: version, NoTLS: noTLS}, w)
	}
	f.startPlaintext = func(ctx context.Context, w way) (*Server, error) {
		return startMySQL(ctx, MySQLOptions{Plaintext: true}, w)
	}
	f.adminIsNoSuperuser = func(ctx context.Context, t *testing.T, s *Server) {
		t.Helper()
		adminLacks(ctx, t, s, []string{"SUPER", "FILE", "SHUTDOWN", "SYSTEM_USER", "SYSTEM_VARIABLES_ADMIN", "SET_ANY_DEFINER"},
			map[string]uint16{
				"SET GLOBAL max_connections = 99":              1227,
				"ALTER USER 'root'@'%' ACCOUNT LOCK":           1227,
				"DELETE FROM mysql.user WHERE user = 'nobody'": 1142,
			})
	}
	f.following = "CHANGE REPLICATION SOURCE TO FOR CHANNEL '' executed"
	f.judge = "INSTALL COMPONENT 'file://component_validate_password'"
	return f
}

func mariadbFlavour() flavour {
	f := mysqlFamilyFlavour()
	f.engine, f.releases = "mariadb", mariadbReleases
	f.start = func(ctx context.Context, version string, noTLS bool, w way) (*Server, error) {
		return startMariaDB(ctx, MariaDBOptions{Version: version, NoTLS: noTLS}, w)
	}
	f.startPlaintext = func(ctx context.Context, w way) (*Server, error) {
		return startMariaDB(ctx, MariaDBOptions{Plaintext: true}, w)
	}
	f.adminIsNoSuperuser = func(ctx context.Context, t *testing.T, s *Server) {
		t.Helper()
		adminLacks(ctx, t, s, []string{"SUPER", "FILE", "SHUTDOWN", "DELETE HISTORY", "READ_ONLY ADMIN", "CONNECTION ADMIN"},
			map[string]uint16{
				"SET GLOBAL max_connections = 99": 1227,
				"SET SESSION sql_log_bin = 0":     1227,
			})
	}
	// MariaDB 10.11 refuses a client without TLS as it does a wrong password.
	f.wantsTLS = func(err error) bool { return mysqlError(3159)(err) || mysqlError(1045)(err) }
	f.following = "Slave I/O thread: connected to master"
	f.judge = "INSTALL SONAME 'simple_password_check'"
	return f
}

// mysqlFamilyFlavour is what MySQL and MariaDB have in common.
func mysqlFamilyFlavour() flavour {
	account := func(user string) string { return mysqlText(user) + "@'%'" }
	alter := func(clause string) func(string) string {
		return func(user string) string { return "ALTER USER " + account(user) + " " + clause }
	}
	return flavour{
		quote: account, lock: alter("ACCOUNT LOCK"), unlock: alter("ACCOUNT UNLOCK"),
		setPassword: func(user, password string) string {
			return "ALTER USER " + account(user) + " IDENTIFIED BY " + mysqlText(password)
		},
		// ER_SECURE_TRANSPORT_REQUIRED and ER_OPTION_PREVENTS_STATEMENT.
		wantsTLS: mysqlError(3159),
		readOnly: mysqlError(1290),
		accepted: "Connect\tapp\"1@",
		refused:  `Access denied for user 'app"1'@'`,
		ended:    "Shutdown complete",
		turnOver: []string{"FLUSH BINARY LOGS", "CREATE TABLE meanwhile (id INT)", "FLUSH BINARY LOGS"},
	}
}

func sqlState(code string) func(error) bool {
	return func(err error) bool {
		var refused *pgconn.PgError
		return errors.As(err, &refused) && refused.Code == code
	}
}

func mysqlError(number uint16) func(error) bool {
	return func(err error) bool {
		var refused *mysql.MySQLError
		return errors.As(err, &refused) && refused.Number == number
	}
}

func postgresAdminIsNoSuperuser(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	conn, err := Connect(ctx, s.Admin)
	check(t, err)
	defer closeConn(ctx, conn)
	type admin struct {
		Super, Replication, BypassRLS, CreateRole, CreateDB, RDSSuperuser, OwnsDatabase bool
	}
	rows, err := conn.Query(ctx, `SELECT rolsuper, rolreplication, rolbypassrls, rolcreaterole, rolcreatedb,
		pg_has_role('rds_superuser', 'MEMBER'),
		(SELECT datdba = r.oid FROM pg_database WHERE datname = current_database())
		FROM pg_roles r WHERE rolname = current_user`)
	check(t, err)
	got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[admin])
	check(t, err)
	want := admin{CreateRole: true, CreateDB: true, RDSSuperuser: true, OwnsDatabase: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the admin (-want +got):\n%s", diff)
	}
}

// adminLacks asserts that the admin can make accounts and read the system's
// tables, that it has none of the privileges withheld, and that the server
// refuses it statements, each with its error number.
func adminLacks(ctx context.Context, t *testing.T, s *Server, withheld []string, refused map[string]uint16) {
	t.Helper()
	conn, err := ConnectMySQL(ctx, s.Admin)
	check(t, err)
	defer func() { check(t, conn.Close()) }()
	held := privileges(ctx, t, conn)
	for _, privilege := range []string{"CREATE USER", "SELECT", "RELOAD"} {
		if !slices.Contains(held, privilege) {
			t.Errorf("the admin lacks %s", privilege)
		}
	}
	for _, privilege := range append(withheld, "ALL PRIVILEGES") {
		if slices.Contains(held, privilege) {
			t.Errorf("the admin has %s", privilege)
		}
	}
	for _, statement := range []string{
		"CREATE USER 'made'@'%'", "GRANT SELECT ON appdb.* TO 'made'@'%'", "DROP USER 'made'@'%'",
		"CREATE DATABASE made", "DROP DATABASE made",
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			t.Errorf("the admin says %s: %v", statement, err)
		}
	}
	var accounts int
	check(t, conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM mysql.user").Scan(&accounts))
	for statement, number := range refused {
		if _, err := conn.ExecContext(ctx, statement); !mysqlError(number)(err) {
			t.Errorf("the admin says %s: %v, want error %d", statement, err, number)
		}
	}
}

// privileges are those that the session has on everything, those of its roles
// among them.
func privileges(ctx context.Context, t *testing.T, conn *MySQLConn) []string {
	t.Helper()
	rows, err := conn.QueryContext(ctx, "SHOW GRANTS")
	check(t, err)
	defer func() { check(t, rows.Close()) }()
	var held []string
	for rows.Next() {
		var row string
		check(t, rows.Scan(&row))
		listed, _, found := strings.Cut(strings.TrimPrefix(row, "GRANT "), " ON *.* ")
		if found && strings.HasPrefix(row, "GRANT ") {
			held = append(held, strings.FieldsFunc(strings.ReplaceAll(listed, ", ", ","), func(r rune) bool { return r == ',' })...)
		}
	}
	check(t, rows.Err())
	return held
}
