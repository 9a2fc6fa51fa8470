package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// settings are what ALTER USER sets of an account besides its password: the
// REQUIRE clause, the limits, and the options of the password. They are read
// from mysql.user, because SHOW CREATE USER does not escape them.
//
// https://dev.mysql.com/doc/refman/9.7/en/alter-user.html
type settings struct {
	tls, cipher, issuer, subject string
	limits                       [4]string
	history, reuse, current      mywire.Value
	attempts, blocked            int
	lifetime                     mywire.Value
}

var limitNames = [4]string{"MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS"}

// askSettings reads one account's. The columns of binary text are converted:
// what is compared, and sent back, is text.
const askSettings = `SELECT ssl_type, CONVERT(ssl_cipher USING utf8mb4), CONVERT(x509_issuer USING utf8mb4), CONVERT(x509_subject USING utf8mb4),
 max_questions, max_updates, max_connections, max_user_connections,
 Password_reuse_history, Password_reuse_time, Password_require_current, User_attributes->'$.Password_locking', password_lifetime
 FROM mysql.user WHERE user = ? AND host = ?`

func settingsOf(ctx context.Context, session *mywire.Session, account mygrants.Account) (s settings, err error) {
	answer, err := session.Ask(ctx, askSettings, account.User, account.Host)
	if err != nil {
		return s, err
	}
	if len(answer.Rows) != 1 || len(answer.Rows[0]) != 13 {
		return s, notUnderstoodError{fmt.Errorf("mysql.user has no row of %s", account)}
	}
	row := answer.Rows[0]
	s.tls, s.cipher, s.issuer, s.subject = row[0].Text, row[1].Text, row[2].Text, row[3].Text
	for i := range s.limits {
		s.limits[i] = row[4+i].Text
	}
	s.history, s.reuse, s.current, s.lifetime = row[8], row[9], row[10], row[12]
	if locking := row[11]; !locking.Null {
		var said struct {
			Attempts int `json:"failed_login_attempts"`
			Days     int `json:"password_lock_time_days"`
		}
		if json.Unmarshal([]byte(locking.Text), &said) != nil {
			return s, notUnderstoodError{fmt.Errorf("mysql.user has an unknown Password_locking of %s", account)}
		}
		s.attempts, s.blocked = said.Attempts, said.Days
	}
	return s, nil
}

// setting is one clause of ALTER USER.
type setting struct {
	name, sql string
	args      []any
}

// clauses are all settings but the lifetime, in the order of the grammar, the
// defaults written out.
func (s settings) clauses() []setting {
	list := []setting{s.require()}
	for i, limit := range s.limits {
		with := ""
		if i == 0 {
			with = "WITH "
		}
		list = append(list, setting{name: limitNames[i], sql: with + limitNames[i] + " " + number(limit)})
	}
	current := "DEFAULT"
	switch s.current.Text {
	case "Y":
		current = ""
	case "N":
		current = "OPTIONAL"
	}
	blocked := fmt.Sprint(s.blocked)
	if s.blocked < 0 {
		blocked = "UNBOUNDED"
	}
	return append(list,
		setting{name: "PASSWORD HISTORY", sql: "PASSWORD HISTORY " + orDefault(s.history, "")},
		setting{name: "PASSWORD REUSE INTERVAL", sql: "PASSWORD REUSE INTERVAL " + orDefault(s.reuse, " DAY")},
		setting{name: "PASSWORD REQUIRE CURRENT", sql: "PASSWORD REQUIRE CURRENT " + current},
		setting{name: "FAILED_LOGIN_ATTEMPTS", sql: fmt.Sprintf("FAILED_LOGIN_ATTEMPTS %d", s.attempts)},
		setting{name: "PASSWORD_LOCK_TIME", sql: "PASSWORD_LOCK_TIME " + blocked},
	)
}

func (s settings) require() setting {
	r := setting{name: "REQUIRE"}
	switch s.tls {
	case "":
		r.sql = "REQUIRE NONE"
	case "ANY":
		r.sql = "REQUIRE SSL"
	case "X509":
		r.sql = "REQUIRE X509"
	default:
		r.sql = "REQUIRE"
		for _, part := range []struct{ name, value string }{{"SUBJECT", s.subject}, {"ISSUER", s.issuer}, {"CIPHER", s.cipher}} {
			if part.value != "" {
				r.sql += " " + part.name + " ?"
				r.args = append(r.args, part.value)
			}
		}
	}
	return r
}

// expiry cannot be said along with other clauses: the server then ignores
// PASSWORD EXPIRE DEFAULT.
func (s settings) expiry() setting {
	e := setting{name: "PASSWORD EXPIRE", sql: "PASSWORD EXPIRE INTERVAL " + number(s.lifetime.Text) + " DAY"}
	switch {
	case s.lifetime.Null:
		e.sql = "PASSWORD EXPIRE DEFAULT"
	case s.lifetime.Text == "0":
		e.sql = "PASSWORD EXPIRE NEVER"
	}
	return e
}

// number passes on a number that the server has shown, and no other text.
func number(text string) string {
	for _, c := range text {
		if c < '0' || c > '9' {
			return "0"
		}
	}
	return text
}

func orDefault(value mywire.Value, unit string) string {
	if value.Null {
		return "DEFAULT"
	}
	return number(value.Text) + unit
}

// same reports whether two clauses set the same.
func (s setting) same(other setting) bool {
	return s.sql == other.sql && fmt.Sprintf("%q", s.args) == fmt.Sprintf("%q", other.args)
}

// settingChanges names the settings in which have differs from want, and tells
// which of the two statements is needed.
func settingChanges(want, have settings) (names []string, clauses, expiry bool) {
	theirs := have.clauses()
	for i, clause := range want.clauses() {
		if !clause.same(theirs[i]) {
			names, clauses = append(names, clause.name), true
		}
	}
	if !want.expiry().same(have.expiry()) {
		names, expiry = append(names, want.expiry().name), true
	}
	return names, clauses, expiry
}

// settle makes the settings of the twin's open rows equal to their siblings'.
func (t *twin) settle(ctx context.Context, pairs pairs) error {
	for _, p := range pairs.open {
		if !p.missing() && p.twin.plugin != p.sibling.plugin {
			t.report.Added = append(t.report.Added, "plugin "+p.sibling.plugin+where(t.at(p.sibling.host)))
		}
		sibling, account := p.sibling.named(), t.at(p.sibling.host)
		want, err := t.settings(ctx, sibling)
		if err != nil {
			return err
		}
		have, err := t.settings(ctx, account)
		if err != nil {
			return err
		}
		names, clauses, expiry := settingChanges(want, have)
		if len(names) == 0 {
			continue
		}
		if clauses {
			if err := t.alter(ctx, account, want.clauses()...); err != nil {
				return err
			}
		}
		if expiry {
			if err := t.alter(ctx, account, want.expiry()); err != nil {
				return err
			}
		}
		if have, err = t.settings(ctx, account); err != nil {
			return err
		}
		if left, _, _ := settingChanges(want, have); len(left) > 0 {
			return t.unsupported(fmt.Errorf("the server took every statement, and yet %s differs from its sibling in: %s", account, strings.Join(left, ", ")))
		}
		for _, name := range names {
			t.report.Added = append(t.report.Added, "setting "+name+where(account))
		}
	}
	return nil
}

func (t *twin) settings(ctx context.Context, account mygrants.Account) (settings, error) {
	s, err := settingsOf(ctx, t.session, account)
	if err != nil {
		return s, t.unread(err, t.me)
	}
	return s, nil
}

func (t *twin) alter(ctx context.Context, account mygrants.Account, clauses ...setting) error {
	sql, args := "ALTER USER ?@?", []any{account.User, account.Host}
	for _, clause := range clauses {
		sql += " " + clause.sql
		args = append(args, clause.args...)
	}
	if err := t.session.Run(ctx, sql, args...); err != nil {
		return t.failed(err)
	}
	return nil
}
