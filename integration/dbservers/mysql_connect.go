package dbservers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// MySQLConn is one session with a MySQL or MariaDB server. It is never replaced
// by another one: once it is cut off, all that is asked of it fails.
type MySQLConn struct {
	*sql.Conn
	pool *sql.DB
}

// Close ends the session.
func (c *MySQLConn) Close() error { return errors.Join(c.Conn.Close(), c.pool.Close()) }

// ConnectMySQL signs in to a MySQL or MariaDB server with login and nothing
// else, over TLS as login says. It tries once. The caller closes the
// connection.
func ConnectMySQL(ctx context.Context, login dbdrivers.Login) (*MySQLConn, error) {
	return connectMySQL(ctx, login, nil)
}

// connectMySQL is ConnectMySQL with settings for the session.
func connectMySQL(ctx context.Context, login dbdrivers.Login, settings map[string]string) (*MySQLConn, error) {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = login.Address()
	config.User = login.Username
	config.Passwd = login.Password.Reveal()
	config.DBName = login.Database
	config.TLS = login.TLS.Config(login.Host)
	config.Timeout = connectWithin
	config.Params = settings
	// One round trip per statement, and statements as a test wrote them in
	// the server's log. The server knows no ? in a statement on accounts.
	config.InterpolateParams = true
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to MySQL: %w", err)
	}
	pool := sql.OpenDB(connector)
	conn, err := pool.Conn(ctx)
	// The library gives up one of 256 sign-ins by MariaDB's ed25519, before the
	// server has heard its proof.
	for range 2 {
		if errors.Is(err, mysql.ErrMalformPkt) {
			conn, err = pool.Conn(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to MySQL: %w", err), pool.Close())
	}
	return &MySQLConn{Conn: conn, pool: pool}, nil
}

// ConnectMySQLSuperuser opens a connection to Database of a MySQL or MariaDB
// server as the superuser, for assertions. It works whatever certificate SetTLS
// gave the server. The caller closes it.
func (s *Server) ConnectMySQLSuperuser(ctx context.Context) (*MySQLConn, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if _, ok := s.dialect.(interface{ speaksMySQL() }); !ok {
		return nil, fmt.Errorf("a %s server does not speak MySQL's protocol; use ConnectSuperuser", s.Engine)
	}
	return ConnectMySQL(ctx, s.superuserOf(s.Database))
}

// mysqlSession is a session with a MySQL or MariaDB server.
type mysqlSession struct{ conn *MySQLConn }

func asMySQLSession(conn *MySQLConn, err error) (session, error) {
	if err != nil {
		return nil, err
	}
	return mysqlSession{conn}, nil
}

func (s mysqlSession) exec(ctx context.Context, statement string, args ...any) error {
	_, err := s.conn.ExecContext(ctx, statement, args...)
	return err
}

func (s mysqlSession) ask(ctx context.Context, answer any, question string, args ...any) error {
	return s.conn.QueryRowContext(ctx, question, args...).Scan(answer)
}

// leave drops an error of leaving, which changes nothing for anyone: the
// connection is gone either way.
func (s mysqlSession) leave(context.Context) { _ = s.conn.Close() }
