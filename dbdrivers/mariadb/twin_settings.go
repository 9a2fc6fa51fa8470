package mariadb

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// settings are what ALTER USER sets of an account besides its ways in and its
// lock: the REQUIRE clause, the limits, and how long a password lasts. Whether
// it has expired is the password's own.
//
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/alter-user
type settings struct {
	TLS       int     `json:"ssl_type"`
	Cipher    string  `json:"ssl_cipher"`
	Issuer    string  `json:"x509_issuer"`
	Subject   string  `json:"x509_subject"`
	Queries   int64   `json:"max_questions"`
	Updates   int64   `json:"max_updates"`
	Connects  int64   `json:"max_connections"`
	Sessions  int64   `json:"max_user_connections"`
	Statement float64 `json:"max_statement_time"`
	// Lifetime is in days, absent or negative where the server's default holds.
	Lifetime *int64 `json:"password_lifetime"`
}

// The values of ssl_type.
//
// https://github.com/MariaDB/server/blob/11.8/include/violite.h
const (
	tlsNone = iota
	tlsAny
	tlsX509
	tlsSpecified
)

// setting is one clause of ALTER USER.
type setting struct {
	name, sql string
	args      []any
}

// clauses are all settings in the order of the grammar, the defaults written
// out.
func (s settings) clauses() ([]setting, error) {
	require, err := s.require()
	if err != nil {
		return nil, err
	}
	limit := func(name string, value int64) setting {
		return setting{name: name, sql: name + " " + strconv.FormatInt(value, 10)}
	}
	queries := limit("MAX_QUERIES_PER_HOUR", s.Queries)
	queries.sql = "WITH " + queries.sql
	return []setting{
		require, queries,
		limit("MAX_UPDATES_PER_HOUR", s.Updates),
		limit("MAX_CONNECTIONS_PER_HOUR", s.Connects),
		limit("MAX_USER_CONNECTIONS", s.Sessions),
		// The server keeps microseconds.
		{name: "MAX_STATEMENT_TIME", sql: "MAX_STATEMENT_TIME " + strconv.FormatFloat(s.Statement, 'f', 6, 64)},
		s.expiry(),
	}, nil
}

func (s settings) require() (setting, error) {
	r := setting{name: "REQUIRE"}
	switch s.TLS {
	case tlsNone:
		r.sql = "REQUIRE NONE"
	case tlsAny:
		r.sql = "REQUIRE SSL"
	case tlsX509:
		r.sql = "REQUIRE X509"
	case tlsSpecified:
		r.sql = "REQUIRE"
		for _, part := range []struct{ name, value string }{{"SUBJECT", s.Subject}, {"ISSUER", s.Issuer}, {"CIPHER", s.Cipher}} {
			if part.value != "" {
				r.sql += " " + part.name + " ?"
				r.args = append(r.args, part.value)
			}
		}
	default:
		return r, fmt.Errorf("the account demands TLS in a way that is not known (ssl_type %d)", s.TLS)
	}
	return r, nil
}

func (s settings) expiry() setting {
	e := setting{name: "PASSWORD EXPIRE"}
	switch {
	case s.Lifetime == nil || *s.Lifetime < 0:
		e.sql = "PASSWORD EXPIRE DEFAULT"
	case *s.Lifetime == 0:
		e.sql = "PASSWORD EXPIRE NEVER"
	default:
		e.sql = "PASSWORD EXPIRE INTERVAL " + strconv.FormatInt(*s.Lifetime, 10) + " DAY"
	}
	return e
}

// same reports whether two clauses set the same.
func (s setting) same(other setting) bool {
	return s.sql == other.sql && fmt.Sprintf("%q", s.args) == fmt.Sprintf("%q", other.args)
}

// settingChanges are the clauses of want, and the names of those in which have
// differs.
func settingChanges(want, have settings) (clauses []setting, names []string, err error) {
	if clauses, err = want.clauses(); err != nil {
		return nil, nil, err
	}
	theirs, err := have.clauses()
	if err != nil {
		return nil, nil, err
	}
	for i, clause := range clauses {
		if !clause.same(theirs[i]) {
			names = append(names, clause.name)
		}
	}
	return clauses, names, nil
}

// settle makes the settings of the twin's open rows equal to their siblings'.
func (t *twin) settle(ctx context.Context, pairs pairs) error {
	for _, p := range pairs.open {
		account := t.at(p.sibling.host)
		if plugins := p.sibling.methods.ofTwin(t.password).plugins(); !p.missing() && p.twin.methods.ofTwin(t.password).plugins() != plugins {
			t.report.Added = append(t.report.Added, "plugin "+plugins+where(account))
		}
		// A row that has just been made has none.
		clauses, names, err := settingChanges(p.sibling.settings, p.twin.settings)
		if err != nil {
			return t.unsupported(err)
		}
		if len(names) == 0 {
			continue
		}
		sql, args := "ALTER USER ?@?", []any{account.User, account.Host}
		for _, clause := range clauses {
			sql += " " + clause.sql
			args = append(args, clause.args...)
		}
		if err := t.session.Run(ctx, sql, args...); err != nil {
			return t.failed(err, t.me)
		}
		for _, name := range names {
			t.report.Added = append(t.report.Added, "setting "+name+where(account))
		}
	}
	return t.settled(ctx, pairs)
}

// settled proves that the settings of the rows are equal now.
func (t *twin) settled(ctx context.Context, pairs pairs) error {
	rows, err := rowsOf(ctx, t.session, t.req.Twin)
	if err != nil {
		return t.unread(err, t.me)
	}
	at := make(map[string]row)
	for _, r := range rows {
		at[r.host] = r
	}
	for _, p := range pairs.open {
		account := t.at(p.sibling.host)
		if _, is := at[p.sibling.host]; !is {
			return t.unsupported(fmt.Errorf("%s was dropped meanwhile", account))
		}
		_, left, err := settingChanges(p.sibling.settings, at[p.sibling.host].settings)
		if err != nil {
			return t.unsupported(err)
		}
		if len(left) > 0 {
			return t.unsupported(fmt.Errorf("the server took every statement, and yet %s differs from its sibling in: %s", account, strings.Join(left, ", ")))
		}
	}
	return nil
}
