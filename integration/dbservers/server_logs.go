package dbservers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Log returns all that the server has written to its log since it was first
// started: what it has to say, and every connection and statement. The server
// writes the log without a pipe in between: what it logged before it answered a
// client is there when the client has the answer. What it logs after a client
// leaves (a disconnection) may come a moment later.
func (s *Server) Log(ctx context.Context) (string, error) {
	if err := s.open(); err != nil {
		return "", fmt.Errorf("reading the server's log: %w", err)
	}
	text, err := logOf(ctx, s.place)
	if err != nil {
		return "", fmt.Errorf("reading the server's log: %w", err)
	}
	return text, nil
}

// Logs returns all logs of the server by the names of their files, as they
// stand on its disk: [Server.Log], and on MySQL and MariaDB the slow query log,
// which holds every query here, and the binary log. What clients have an answer
// to is there.
func (s *Server) Logs(ctx context.Context) (map[string]string, error) {
	logs, err := s.logs(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the server's logs: %w", err)
	}
	return logs, nil
}

func (s *Server) logs(ctx context.Context) (map[string]string, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	names, err := s.dialect.logFiles(ctx, s)
	if err != nil {
		return nil, err
	}
	text, err := logOf(ctx, s.place)
	if err != nil {
		return nil, err
	}
	logs := map[string]string{serverLog: text}
	for _, name := range names {
		content, err := s.place.read(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		logs[name] = string(content)
	}
	return logs, nil
}

// SignIns are attempts to sign in.
type SignIns struct {
	// Refused had a wrong password, or no account. Accepted had the right
	// password. On MySQL and MariaDB that counts those who were kept out for
	// another reason too, such as a locked account.
	Accepted, Refused int
}

// SignIns counts the attempts to sign in as one of users that the server's log
// tells of. It counts nothing where the settings turned that log off.
func (s *Server) SignIns(ctx context.Context, users ...string) (sum SignIns, err error) {
	text, err := s.Log(ctx)
	if err != nil {
		return SignIns{}, fmt.Errorf("counting the sign-ins of %q: %w", users, err)
	}
	for _, user := range users {
		counted := s.dialect.signIns(text, user)
		sum.Accepted += counted.Accepted
		sum.Refused += counted.Refused
	}
	return sum, nil
}

// logOf returns the log of the server in a place, which is empty before the
// server has written any.
func logOf(ctx context.Context, p place) (string, error) {
	text, err := p.read(ctx, serverLog)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}
