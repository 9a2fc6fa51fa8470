package dbservers

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// wrongPassword is the SQLSTATE invalid_password: the server rejected the
// password itself.
//
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const wrongPassword = "28P01"

// postgresDialect is a dialect of a PostgreSQL server and its replicas.
type postgresDialect struct {
	release release
	options PostgresOptions

	// granting is held while a user is made: the server refuses two sessions
	// that change the rights on one database at the same time.
	granting sync.Mutex
}

var _ dialect = (*postgresDialect)(nil)

func (d *postgresDialect) engine() string { return d.release.engine }

func (d *postgresDialect) superuser() string { return postgresSuperuser }

func (d *postgresDialect) encrypted() bool { return !d.options.NoTLS }

func (d *postgresDialect) connect(ctx context.Context, login dbdrivers.Login) (session, error) {
	return asSession(Connect(ctx, login))
}

func (d *postgresDialect) connectQuietly(ctx context.Context, superuser dbdrivers.Login) (session, error) {
	return asSession(connect(ctx, superuser, map[string]string{
		"log_statement":              "none",
		"log_min_error_statement":    "panic",
		"log_min_duration_statement": "-1",
	}))
}

func (d *postgresDialect) rejected(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == wrongPassword
}

func (d *postgresDialect) systemDatabase() string { return "postgres" }

func (d *postgresDialect) versionQuestion() string {
	return "SELECT split_part(current_setting('server_version'), ' ', 1)"
}

// setUp shapes the roles as RDS does. The predefined roles are granted with the
// right to pass them on.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.rds_superuser.html
func (d *postgresDialect) setUp(ctx context.Context, quiet session, s *Server) error {
	name := quoteName(s.Admin.Username)
	return execAll(ctx, quiet,
		"CREATE ROLE rds_superuser NOLOGIN",
		"GRANT pg_monitor, pg_signal_backend, pg_read_all_settings, pg_read_all_stats, pg_checkpoint TO rds_superuser WITH ADMIN OPTION",
		"CREATE ROLE "+name+" LOGIN CREATEROLE CREATEDB PASSWORD "+quoteText(s.Admin.Password.Reveal()),
		"GRANT rds_superuser TO "+name+" WITH ADMIN OPTION",
		"CREATE DATABASE "+quoteName(s.Database)+" OWNER "+name,
	)
}

// spent is nothing: a file that holds the superuser's password is passing.
func (d *postgresDialect) spent() []file { return nil }

func (d *postgresDialect) createUser(ctx context.Context, quiet session, s *Server, user, password string) error {
	d.granting.Lock()
	defer d.granting.Unlock()
	return execAll(ctx, quiet,
		// Only a superuser may turn a session's logging off, hence the detour.
		// From here on the session has the admin's rights and no others.
		"SET ROLE "+quoteName(s.Admin.Username),
		"CREATE ROLE "+quoteName(user)+" LOGIN PASSWORD "+quoteText(password),
		"GRANT CONNECT ON DATABASE "+quoteName(s.Database)+" TO "+quoteName(user),
	)
}

func (d *postgresDialect) reloadTLS() string { return "SELECT pg_reload_conf()" }

func (d *postgresDialect) logFiles(context.Context, *Server) ([]string, error) { return nil, nil }

func (d *postgresDialect) signIns(log, user string) SignIns {
	return SignIns{
		Accepted: strings.Count(log, "connection authorized: user="+user+" database="),
		Refused:  strings.Count(log, `password authentication failed for user "`+user+"\"\n"),
	}
}

// postgresSession is a session with a PostgreSQL server.
type postgresSession struct{ conn *pgx.Conn }

func asSession(conn *pgx.Conn, err error) (session, error) {
	if err != nil {
		return nil, err
	}
	return postgresSession{conn}, nil
}

func (s postgresSession) exec(ctx context.Context, statement string, args ...any) error {
	_, err := s.conn.Exec(ctx, statement, args...)
	return err
}

func (s postgresSession) ask(ctx context.Context, answer any, question string, args ...any) error {
	return s.conn.QueryRow(ctx, question, args...).Scan(answer)
}

func (s postgresSession) leave(ctx context.Context) { closeConn(ctx, s.conn) }

// execAll runs statements until one fails.
func execAll(ctx context.Context, on session, statements ...string) error {
	for _, statement := range statements {
		if err := on.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
