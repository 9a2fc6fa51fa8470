package dbservers

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// accessDenied is the server error ER_ACCESS_DENIED_ERROR.
//
// https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html
const accessDenied = 1045

// mysqlSuperuser is the superuser that both servers start with.
const mysqlSuperuser = "root"

// applicationRights are what an application usually has on its database.
const applicationRights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, EXECUTE"

// mysqlFamily is what MySQL and MariaDB have in common.
type mysqlFamily struct {
	release release
	options MySQLOptions
}

func (f *mysqlFamily) speaksMySQL() {}

func (f *mysqlFamily) engine() string { return f.release.engine }

func (f *mysqlFamily) superuser() string { return mysqlSuperuser }

func (f *mysqlFamily) encrypted() bool { return !f.options.NoTLS }

func (f *mysqlFamily) connect(ctx context.Context, login dbdrivers.Login) (session, error) {
	return asMySQLSession(ConnectMySQL(ctx, login))
}

// connectQuietly turns the general log off for the session, and leaves no query
// of it slow enough for the slow query log.
func (f *mysqlFamily) connectQuietly(ctx context.Context, superuser dbdrivers.Login) (session, error) {
	return asMySQLSession(connectMySQL(ctx, superuser, map[string]string{
		"sql_log_off":     "1",
		"long_query_time": "31536000",
	}))
}

func (f *mysqlFamily) rejected(err error) bool {
	var refused *mysql.MySQLError
	return errors.As(err, &refused) && refused.Number == accessDenied
}

func (f *mysqlFamily) systemDatabase() string { return "mysql" }

func (f *mysqlFamily) versionQuestion() string { return "SELECT SUBSTRING_INDEX(VERSION(), '-', 1)" }

// spent is an empty file of first statements: with the superuser's password in
// them they were for the first start.
func (f *mysqlFamily) spent() []file {
	return []file{{name: mysqlInit, mode: 0o600, content: []byte("\n")}}
}

// logFiles are the slow query log, where there is one, and those that the
// binary log's index names.
func (f *mysqlFamily) logFiles(ctx context.Context, s *Server) ([]string, error) {
	if s.place.running(ctx) == nil {
		if err := awaitIdle(ctx, s); err != nil {
			return nil, err
		}
	}
	var names []string
	switch _, err := s.place.read(ctx, mysqlSlowLog); {
	case err == nil:
		names = append(names, mysqlSlowLog)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	index, err := s.place.read(ctx, mysqlBinaryLog+".index")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(index)) {
		names = append(names, path.Base(strings.TrimSpace(line)))
	}
	return names, nil
}

// idleWithin is how long sessions are waited for. What is still at work then
// has no answer yet.
const idleWithin = 3 * time.Second

// awaitIdle returns when no client's session is at work: the server writes the
// slow query log once it has answered, and then only waits for more.
func awaitIdle(ctx context.Context, s *Server) error {
	quiet, err := s.quietly(ctx, s.dialect.systemDatabase())
	if err != nil {
		return err
	}
	defer quiet.leave(ctx)
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	late := time.NewTimer(idleWithin)
	defer late.Stop()
	for {
		var idle bool
		if err := quiet.ask(ctx, &idle, "SELECT COUNT(*) = 0 FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"+
			" AND USER NOT IN ('system user', 'event_scheduler') AND COMMAND NOT IN ('Sleep', 'Daemon', 'Binlog Dump', 'Binlog Dump GTID')"); err != nil {
			return err
		}
		if idle {
			return nil
		}
		select {
		case <-ask.C:
		case <-late.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connectLine is a line of the general log about a sign-in, with the number of
// the connection. MariaDB leaves out the time where it is the last line's.
//
// https://dev.mysql.com/doc/refman/9.7/en/query-log.html
var connectLine = regexp.MustCompile(`^[^\t]*\t+ *(\d+) Connect\t(.*)$`)

// signIns reads what both servers write: a line when a client has said who it
// is, and another one with the same number where its password was wrong.
func (f *mysqlFamily) signIns(log, user string) SignIns {
	var counted SignIns
	asking := make(map[string]bool)
	lines := bufio.NewScanner(strings.NewReader(log))
	// A statement is a line too.
	lines.Buffer(nil, len(log)+1)
	for lines.Scan() {
		match := connectLine.FindStringSubmatch(lines.Text())
		if match == nil {
			continue
		}
		number, said := match[1], match[2]
		switch {
		case strings.HasPrefix(said, user+"@"):
			asking[number] = true
			counted.Accepted++
		case strings.HasPrefix(said, "Access denied for user '"+user+"'@'"):
			if asking[number] {
				counted.Accepted--
			}
			asking[number] = false
			counted.Refused++
		}
	}
	return counted
}
