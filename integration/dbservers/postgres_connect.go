package dbservers

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// connectWithin bounds one sign-in, and leaving.
const connectWithin = 10 * time.Second

// baseConfig is parsed once: pgx reads the environment while it parses, and a
// test may set PGHOST and its like to see that nobody heeds them.
var baseConfig = sync.OnceValues(func() (*pgx.ConnConfig, error) {
	return pgx.ParseConfig("host=localhost port=5432 user=nobody dbname=nobody sslmode=disable")
})

// Connect signs in to a PostgreSQL server with login and nothing else, over
// TLS as login says. It tries once. The caller closes the connection.
func Connect(ctx context.Context, login dbdrivers.Login) (*pgx.Conn, error) {
	return connect(ctx, login, nil)
}

// connect is Connect with settings for the session.
func connect(ctx context.Context, login dbdrivers.Login, session map[string]string) (*pgx.Conn, error) {
	base, err := baseConfig()
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w; unset the PG... environment variables", err)
	}
	config := base.Copy()
	config.Host = login.Host
	config.Port = uint16(login.Port)
	config.User = login.Username
	config.Password = login.Password.Reveal()
	config.Database = login.Database
	config.TLSConfig = login.TLS.Config(login.Host)
	config.Fallbacks = nil
	config.ConnectTimeout = connectWithin
	config.RuntimeParams = session
	// One round trip per statement, and statements as a test wrote them in
	// the server's log.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	return conn, nil
}

// ConnectSuperuser opens a connection to Database of a PostgreSQL server as the
// superuser, for assertions. It works whatever certificate SetTLS gave the
// server. The caller closes it. For other engines see
// [Server.ConnectMySQLSuperuser].
func (s *Server) ConnectSuperuser(ctx context.Context) (*pgx.Conn, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if _, ok := s.dialect.(interface{ speaksPostgres() }); !ok {
		return nil, fmt.Errorf("a %s server does not speak PostgreSQL's protocol; use ConnectMySQLSuperuser", s.Engine)
	}
	return Connect(ctx, s.superuserOf(s.Database))
}

// closeConn leaves politely, also when ctx is done. An error of leaving
// changes nothing for anyone: the connection is gone either way.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectWithin)
	defer cancel()
	_ = conn.Close(ctx)
}

func quoteName(name string) string { return pgx.Identifier{name}.Sanitize() }

// quoteText makes a literal that reads the same whatever
// standard_conforming_strings is.
func quoteText(text string) string {
	return " E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}
