package integration_test

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// session is one connection of a test with a server of any engine, for stories
// that are told of all of them.
type session interface {
	exec(ctx context.Context, statement string, args ...any) error
	// rows returns an answer as text, NULL as an empty one.
	rows(ctx context.Context, question string, args ...any) ([][]string, error)
	close()
}

// enter signs in to the stage's server, once.
func (s *stage) enter(ctx context.Context, login dbdrivers.Login) (session, error) {
	if s.server.Engine == "postgres" {
		conn, err := dbservers.Connect(ctx, login)
		if err != nil {
			return nil, err
		}
		return postgresSession{conn}, nil
	}
	conn, err := dbservers.ConnectMySQL(ctx, login)
	if err != nil {
		return nil, err
	}
	return mysqlSession{conn}, nil
}

// table asks as the superuser.
func (s *stage) table(question string, args ...any) [][]string {
	s.t.Helper()
	root, err := s.enter(s.t.Context(), s.server.Superuser)
	if err != nil {
		s.t.Fatal(err)
	}
	defer root.close()
	rows, err := root.rows(s.t.Context(), question, args...)
	if err != nil {
		s.t.Fatalf("%s: %v", question, err)
	}
	return rows
}

type postgresSession struct{ conn *pgx.Conn }

func (p postgresSession) exec(ctx context.Context, statement string, args ...any) error {
	_, err := p.conn.Exec(ctx, statement, args...)
	return err
}

// rows has the server send text, whatever the type.
func (p postgresSession) rows(ctx context.Context, question string, args ...any) (answer [][]string, err error) {
	rows, err := p.conn.Query(ctx, question, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var row []string
		for _, value := range rows.RawValues() {
			row = append(row, string(value))
		}
		answer = append(answer, row)
	}
	return answer, rows.Err()
}

func (p postgresSession) close() { _ = p.conn.Close(context.Background()) }

type mysqlSession struct{ conn *dbservers.MySQLConn }

func (m mysqlSession) exec(ctx context.Context, statement string, args ...any) error {
	_, err := m.conn.ExecContext(ctx, statement, args...)
	return err
}

func (m mysqlSession) rows(ctx context.Context, question string, args ...any) (answer [][]string, err error) {
	rows, err := m.conn.QueryContext(ctx, question, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i, value := range values {
			row[i] = value.String
		}
		answer = append(answer, row)
	}
	return answer, rows.Err()
}

func (m mysqlSession) close() { _ = m.conn.Close() }

// answerOf is the single value of an answer, or what went wrong.
func answerOf(rows [][]string, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case len(rows) != 1 || len(rows[0]) != 1:
		return fmt.Sprintf("%d rows", len(rows))
	}
	return rows[0][0]
}
