package mariadb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// target reads the account that an admin is to change, and refuses what an
// admin's login leaves alone.
func (c *change) target(ctx context.Context, me identity) ([]row, error) {
	rows, err := rowsOf(ctx, c.session, c.account)
	if err != nil {
		return nil, c.unread(err, me)
	}
	if err := fenced(rows); err != nil {
		return nil, c.unsupported(err)
	}
	if err := c.unprivileged(ctx, me); err != nil {
		return nil, err
	}
	return rows, c.notOvertaken(rows)
}

// held is an account and every role that it has been granted, and theirs. ? is
// its name.
//
// https://mariadb.com/docs/server/reference/system-tables/the-mysql-database-tables/mysql-roles_mapping-table
const held = `WITH RECURSIVE held (user, host) AS (
 SELECT User, Host FROM mysql.global_priv WHERE User = ?
 UNION SELECT m.Role, '' FROM mysql.roles_mapping m JOIN held h ON m.User = h.user AND m.Host = h.host)`

const askHeld = held + `
SELECT g.User, g.Priv FROM mysql.global_priv g JOIN held h ON g.User = h.user AND g.Host = h.host`

// askNamedWriters asks who of them may write the tables of accounts by a
// privilege that names these, or their schema, and so make itself what it likes.
//
// https://mariadb.com/docs/server/reference/system-tables/the-mysql-database-tables/mysql-db-table
// https://mariadb.com/docs/server/reference/system-tables/the-mysql-database-tables/mysql-tables_priv-table
const askNamedWriters = held + `
SELECT h.user FROM mysql.db d JOIN held h ON d.User = h.user AND d.Host = h.host
 WHERE d.Db = 'mysql' AND 'Y' IN (d.Insert_priv, d.Update_priv, d.Delete_priv)
UNION SELECT h.user FROM mysql.tables_priv p JOIN held h ON p.User = h.user AND p.Host = h.host
 WHERE p.Db = 'mysql' AND CONCAT_WS(',', p.Table_priv, p.Column_priv) REGEXP '(Insert|Update|Delete)(,|$)'`

// askWriters asks who of them may do so by a privilege on everything or on
// databases of a pattern. In what the server keeps of the former, INSERT, UPDATE
// and DELETE are the bits 2, 4 and 8.
//
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/grant#database-privileges
// https://github.com/MariaDB/server/blob/11.8/sql/privilege.h
const askWriters = held + `, writers (user, host, db, privileges) AS (
 SELECT g.User, g.Host, '', CONCAT_WS(', ',
  IF(JSON_VALUE(g.Priv, '$.access') & 2, 'INSERT', NULL), IF(JSON_VALUE(g.Priv, '$.access') & 4, 'UPDATE', NULL), IF(JSON_VALUE(g.Priv, '$.access') & 8, 'DELETE', NULL))
 FROM mysql.global_priv g JOIN held h ON g.User = h.user AND g.Host = h.host
 UNION ALL SELECT d.User, d.Host, d.Db, CONCAT_WS(', ',
  IF(d.Insert_priv = 'Y', 'INSERT', NULL), IF(d.Update_priv = 'Y', 'UPDATE', NULL), IF(d.Delete_priv = 'Y', 'DELETE', NULL))
 FROM mysql.db d JOIN held h ON d.User = h.user WHERE 'mysql' LIKE d.Db)
SELECT user, host, db, privileges FROM writers WHERE privileges <> ''`

// powers are the privileges that come to those of an administrator, as bits of
// what the server keeps.
//
// https://github.com/MariaDB/server/blob/11.8/sql/privilege.h
var powers = []struct {
	name string
	bit  uint64
}{{"SUPER", 1 << 15}, {"CREATE USER", 1 << 25}, {"SET USER", 1 << 30}}

// unprivileged refuses accounts that are admins themselves.
func (c *change) unprivileged(ctx context.Context, me identity) error {
	answer, err := c.session.Ask(ctx, askHeld, c.account)
	if err != nil {
		return c.unread(err, me)
	}
	for _, held := range answer.Rows {
		name := held[0].Text
		var kept struct{ Access uint64 }
		if json.Unmarshal([]byte(held[1].Text), &kept) != nil {
			return c.unsupported(fmt.Errorf("%q: %w", name, errPriv))
		}
		for _, power := range powers {
			if kept.Access&power.bit != 0 {
				return c.powerful(power.name, name)
			}
		}
	}
	if answer, err = c.session.Ask(ctx, askNamedWriters, c.account); err != nil {
		return c.unread(err, me)
	}
	if len(answer.Rows) > 0 {
		return c.powerful("INSERT, UPDATE or DELETE on tables of the schema mysql", answer.Rows[0][0].Text)
	}
	return nil
}

// writesNoGrants refuses an account that may write the tables of accounts by what
// reaches further than these. It is asked of accounts that take turns: the mark
// of a twin is kept there, and the server reads it anew whenever it starts.
func (c *change) writesNoGrants(ctx context.Context, me identity) error {
	answer, err := c.session.Ask(ctx, askWriters, c.account)
	if err != nil {
		return c.unread(err, me)
	}
	if len(answer.Rows) == 0 {
		return nil
	}
	row := answer.Rows[0]
	object, privileges := mygrants.Object{Database: row[2].Text}, row[3].Text
	holder, by := mywire.Account(row[0].Text, row[1].Text), ""
	if row[1].Text == "" {
		holder = mywire.Identifier(row[0].Text)
	}
	if row[0].Text != c.account {
		by = fmt.Sprintf(" by the role %q", row[0].Text)
	}
	return c.unsupported(fmt.Errorf("%q has %s on %s%s, which reaches the tables of accounts in the schema mysql, and with them every twin's mark; "+
		"an account that takes turns must not have it; as an administrator run: REVOKE %s ON %s FROM %s, and grant it on its own databases",
		c.account, privileges, object, by, privileges, object, holder))
}

// powerful refuses an account by a power and who of its roles, if not itself,
// has it.
func (c *change) powerful(power, holder string) error {
	by := ""
	if holder != c.account {
		by = fmt.Sprintf(" by the role %q", holder)
	}
	return c.unsupported(fmt.Errorf("%q has %s%s, and so is an admin itself; an admin's login never sets its password", c.account, power, by))
}

// setByAdmin changes all host rows of the account in one statement. Where its
// twin's password stands for the wish, the twin must be one; proven is as in
// [dbdrivers.SetPasswordRequest].
func (c *change) setByAdmin(ctx context.Context, me identity, proven bool) error {
	rows, err := c.target(ctx, me)
	if err != nil {
		return err
	}
	if c.other != "" {
		err = c.siblingsTurn(ctx, me, proven)
	} else {
		err = c.stillOpens(rows, c.password)
	}
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].methods = rows[i].methods.with(c.password)
	}
	return c.write(ctx, me, "ALTER USER ", rows, "")
}

// stillOpens refuses a request that comes late: somebody has changed the account
// since c.opened opened it, and no row has that password, or one of others that
// would do. rows are of the account that was opened: the one that is to change,
// or where two take turns the other one.
func (c *change) stillOpens(rows []row, others ...dbdrivers.Password) error {
	if c.opened.IsEmpty() || slices.ContainsFunc(rows, func(r row) bool {
		return r.methods.have(c.opened) || slices.ContainsFunc(others, r.methods.have)
	}) {
		return nil
	}
	for _, r := range rows {
		if r.empty() {
			return c.unsupported(fmt.Errorf("%s has no password any more and opens without one, which a rotation does not do; nothing was changed; "+
				"set one by hand with ALTER USER, and store it under AWSCURRENT", r.account()))
		}
	}
	return dbdrivers.Classify(dbdrivers.ErrBusy, c.doing, errChangedMeanwhile)
}

// notOvertaken refuses a request that waited for the lock while somebody gave the
// account another password than its own: it may be of a rotation that was given
// up, and another one done since.
func (c *change) notOvertaken(rows []row) error {
	before := make(map[string]methods)
	for _, r := range c.before {
		before[r.host] = r.methods
	}
	for _, r := range rows {
		had, was := before[r.host]
		if was && slices.Equal(had, r.methods) || r.methods.first().is(c.password) {
			continue
		}
		return dbdrivers.Classify(dbdrivers.ErrBusy, c.doing, fmt.Errorf("%s: %w", r.account(), errChangedMeanwhile))
	}
	return nil
}

// write says how rows are signed in to, in one ALTER USER or CREATE USER. What
// it does not name (locks, REQUIRE, limits) stays; options come after the rows
// and hold for all. The server does one row after the other, and where one fails
// the others are changed all the same: so rows are checked before, and saying it
// again does the rest.
//
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/alter-user
func (c *change) write(ctx context.Context, me identity, verb string, rows []row, options string) error {
	var parts []string
	var args []any
	for _, r := range rows {
		r.methods.keepSecret(c.session)
		clause, hashes := r.methods.clause()
		parts = append(parts, "?@? "+clause)
		args = append(append(args, r.user, r.host), hashes...)
	}
	if len(parts) == 0 {
		return nil
	}
	if err := c.session.Run(ctx, verb+strings.Join(parts, ", ")+options, args...); err != nil {
		return c.failed(err, me)
	}
	return nil
}
