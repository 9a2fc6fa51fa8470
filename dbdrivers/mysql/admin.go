package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// row is one account of mysql.user: a name has one for each host that it may
// come from.
type row struct {
	user, host string
	plugin     string
	// kept and older are the hashes of the password and, where there are two,
	// of the one before it.
	kept, older string
	locked      bool
	// several is true where a second factor is asked for.
	several    bool
	superuser  bool
	createUser bool
}

// account is a row's name, as a statement has it.
func (r row) account() string { return r.named().String() }

// named is the row in terms of its grants.
func (r row) named() mygrants.Account { return mygrants.Account{User: r.user, Host: r.host} }

var errAttributes = errors.New("its user_attributes in mysql.user are not as MySQL writes them")

// rowsOf reads the host rows of a name, in the order of their hosts. The
// columns differ by version, so all are asked for.
//
// https://dev.mysql.com/doc/refman/9.7/en/grant-tables.html
func rowsOf(ctx context.Context, session *mywire.Session, name string) ([]row, error) {
	answer, err := session.Ask(ctx, "SELECT * FROM mysql.user WHERE user = ? ORDER BY host", name)
	if err != nil {
		return nil, err
	}
	var rows []row
	for i := range answer.Rows {
		get := func(column string) string { return answer.Get(i, column).Text }
		r := row{
			user: get("user"), host: get("host"), plugin: get("plugin"), kept: get("authentication_string"),
			locked: get("account_locked") == "Y", superuser: get("super_priv") == "Y", createUser: get("create_user_priv") == "Y",
		}
		attributes := get("user_attributes")
		// To the collation of the table a name with blanks after it is the same.
		if r.user != name {
			continue
		}
		if attributes != "" && !json.Valid([]byte(attributes)) {
			return nil, fmt.Errorf("%s: %w", r.account(), errAttributes)
		}
		if _, is := member(attributes, "additional_password"); is {
			if r.older = memberText(attributes, "additional_password"); r.older == "" {
				return nil, fmt.Errorf("%s: %w", r.account(), errAttributes)
			}
		}
		_, r.several = member(attributes, "multi_factor_authentication")
		session.Keep(r.kept)
		session.Keep(r.older)
		rows = append(rows, r)
	}
	return rows, nil
}

// member is the value of a name in JSON, as it is written: package json takes a
// name in another case for the same.
func member(text, name string) (value string, is bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &members) != nil {
		return "", false
	}
	raw, is := members[name]
	return string(raw), is
}

// memberText is a member that is a string, or empty.
func memberText(text, name string) (value string) {
	raw, is := member(text, name)
	if !is || json.Unmarshal([]byte(raw), &value) != nil {
		return ""
	}
	return value
}

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
	return rows, nil
}

// unread says what an error of reading mysql.* means.
func (c *change) unread(err error, me identity) error {
	if errors.Is(err, errAttributes) || errors.As(err, new(notUnderstoodError)) {
		return c.unsupported(err)
	}
	rules := mywire.Rules{{
		Numbers: []uint16{1142, 1143, 1044}, Class: dbdrivers.ErrPrivilege,
		Remedy: "the login may not read the accounts; as an administrator run: GRANT SELECT ON mysql.* TO " + me.quoted(),
	}}
	return c.session.Classify(c.doing, err, mywire.Unchanged, rules)
}

// fenced says why an admin's login leaves an account alone, by its own rows.
func fenced(rows []row) error {
	if len(rows) == 0 {
		return errors.New("the account does not exist; create it, or correct \"username\"")
	}
	for _, r := range rows {
		switch {
		case r.several:
			return fmt.Errorf("%s asks for a second factor, which a rotation does not have", r.account())
		case r.plugin != pluginCachingSHA2 && r.plugin != pluginSHA256 && r.plugin != pluginNative:
			return fmt.Errorf("%s signs in by %s and has no password of the server's own; a rotation cannot change it", r.account(), r.plugin)
		case r.locked && r.kept == "":
			return fmt.Errorf("%s is a role, or an account that never had a password; an admin's login never gives it one", r.account())
		}
	}
	return nil
}

// held is the account and every role that it has been granted, and theirs. ? is
// its name.
//
// https://dev.mysql.com/doc/refman/9.7/en/grant-tables.html
const held = `WITH RECURSIVE held (user, host) AS (
 SELECT user, host FROM mysql.user WHERE user = ?
 UNION SELECT e.from_user, e.from_host FROM mysql.role_edges e JOIN held h ON e.to_user = h.user AND e.to_host = h.host)`

// askPowers asks of them whether they have the power to change other accounts,
// or to come by it: ROLE_ADMIN grants every role, the admin's too; who may name
// any definer (SET_USER_ID before 8.2) has a routine run as the admin; and who may
// write the tables of accounts can make itself what it likes.
//
// https://dev.mysql.com/doc/refman/9.7/en/privileges-provided.html#priv_system-user
// https://dev.mysql.com/doc/refman/9.7/en/privileges-provided.html#priv_set-any-definer
// https://dev.mysql.com/doc/refman/9.7/en/privileges-provided.html#priv_role-admin
const askPowers = held + `
SELECT u.user, u.super_priv = 'Y', u.create_user_priv = 'Y',
 EXISTS (SELECT * FROM mysql.global_grants g WHERE g.user = u.user AND g.host = u.host AND g.priv = 'SYSTEM_USER'),
 EXISTS (SELECT * FROM mysql.global_grants g WHERE g.user = u.user AND g.host = u.host AND g.priv = 'ROLE_ADMIN'),
 EXISTS (SELECT * FROM mysql.global_grants g WHERE g.user = u.user AND g.host = u.host AND g.priv IN ('SET_ANY_DEFINER', 'SET_USER_ID')),
 EXISTS (SELECT * FROM mysql.db d WHERE d.user = u.user AND d.db = 'mysql' AND 'Y' IN (d.insert_priv, d.update_priv, d.delete_priv))
 OR EXISTS (SELECT * FROM mysql.tables_priv p WHERE p.user = u.user AND p.db = 'mysql'
  AND CONCAT_WS(',', p.table_priv, p.column_priv) REGEXP '(Insert|Update|Delete)(,|$)')
 FROM mysql.user u JOIN held h ON u.user = h.user AND u.host = h.host`

// askPowersBefore80 knows no roles.
const askPowersBefore80 = `SELECT user, super_priv = 'Y', create_user_priv = 'Y', 0, 0, 0, 0 FROM mysql.user WHERE user = ?`

// powers are the names of what [askPowers] asks for.
var powers = []string{"SUPER", "CREATE USER", "SYSTEM_USER", "ROLE_ADMIN", "SET_ANY_DEFINER or SET_USER_ID", "INSERT, UPDATE or DELETE on tables of the schema mysql"}

// askWriters asks who of them may write the tables of accounts by a privilege on
// everything that no partial revoke keeps from the schema mysql, or by one on
// databases of a pattern.
//
// https://dev.mysql.com/doc/refman/9.7/en/partial-revokes.html
// https://dev.mysql.com/doc/refman/9.7/en/grant.html#grant-quoting
const askWriters = held + `, writers (user, host, db, privileges) AS (
 SELECT u.user, u.host, '', CONCAT_WS(', ',
  IF(u.insert_priv = 'Y' AND NOT IFNULL(JSON_CONTAINS(u.user_attributes->'$.Restrictions', '{"Database": "mysql", "Privileges": ["INSERT"]}'), 0), 'INSERT', NULL),
  IF(u.update_priv = 'Y' AND NOT IFNULL(JSON_CONTAINS(u.user_attributes->'$.Restrictions', '{"Database": "mysql", "Privileges": ["UPDATE"]}'), 0), 'UPDATE', NULL),
  IF(u.delete_priv = 'Y' AND NOT IFNULL(JSON_CONTAINS(u.user_attributes->'$.Restrictions', '{"Database": "mysql", "Privileges": ["DELETE"]}'), 0), 'DELETE', NULL))
 FROM mysql.user u JOIN held h ON u.user = h.user AND u.host = h.host
 UNION ALL SELECT d.user, d.host, d.db, CONCAT_WS(', ',
  IF(d.insert_priv = 'Y', 'INSERT', NULL), IF(d.update_priv = 'Y', 'UPDATE', NULL), IF(d.delete_priv = 'Y', 'DELETE', NULL))
 FROM mysql.db d JOIN held h ON d.user = h.user WHERE 'mysql' LIKE d.db)
SELECT user, host, db, privileges FROM writers WHERE privileges <> ''`

// unprivileged refuses accounts that are admins themselves.
func (c *change) unprivileged(ctx context.Context, me identity) error {
	question := askPowers
	if !me.version.atLeast(version80) {
		question = askPowersBefore80
	}
	answer, err := c.session.Ask(ctx, question, c.account)
	if err != nil {
		return c.unread(err, me)
	}
	for _, r := range answer.Rows {
		for i, power := range powers {
			if r[i+1].Text == "1" {
				by := ""
				if r[0].Text != c.account {
					by = fmt.Sprintf(" by the role %q", r[0].Text)
				}
				return c.unsupported(fmt.Errorf("the account has %s%s, and so is an admin itself; an admin's login never sets its password", power, by))
			}
		}
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
	holder, object, privileges := mygrants.Account{User: row[0].Text, Host: row[1].Text}, mygrants.Object{Database: row[2].Text}, row[3].Text
	by := ""
	if holder.User != c.account {
		by = fmt.Sprintf(" by the role %q", holder.User)
	}
	remedy := fmt.Sprintf("REVOKE %s ON %s FROM %s, and grant it on its own databases", privileges, object, holder)
	if object == (mygrants.Object{}) {
		remedy += fmt.Sprintf("; or where partial_revokes is ON: REVOKE %s ON mysql.* FROM %s", privileges, holder)
	}
	return c.unsupported(fmt.Errorf("%q has %s on %s%s, which reaches the tables of accounts in the schema mysql, and with them every twin's mark; "+
		"an account that takes turns must not have it; as an administrator run: %s", c.account, privileges, object, by, remedy))
}

// lockPair keeps other changes from an account and its twin, whichever of the two
// they begin with, until the session ends. Names are in one order for all, so
// that no two wait for each other. What the account that is to change has before
// is kept for [change.notOvertaken].
func (c *change) lockPair(ctx context.Context, me identity, names ...string) (err error) {
	if c.before, err = rowsOf(ctx, c.session, c.account); err != nil {
		return c.unread(err, me)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if name == "" {
			continue
		}
		if err := c.session.Lock(ctx, c.doing, name); err != nil {
			return err
		}
	}
	return nil
}

// setByAdmin changes all host rows of the account in one statement, which the
// server does wholly or not at all.
func (c *change) setByAdmin(ctx context.Context, me identity) error {
	if err := c.lockPair(ctx, me, c.account, c.twin); err != nil {
		return err
	}
	rows, err := c.target(ctx, me)
	if err != nil {
		return err
	}
	if err := c.notOvertaken(rows); err != nil {
		return err
	}
	earlier, later, err := c.olderPasswords(rows)
	if err != nil {
		return err
	}
	if c.twin != "" {
		if err := c.siblingsTurn(ctx, me, rows); err != nil {
			return err
		}
	}
	hashes, err := c.hasher(ctx, rows)
	if err != nil {
		return err
	}
	var s statement
	for _, r := range rows {
		hash, err := hashes.of(r.plugin, c.password)
		if err != nil {
			return c.unsupported(err)
		}
		s.set(r, hash, false)
	}
	if err := earlier.run(ctx, c.session); err != nil {
		return c.failed(err, me)
	}
	if err := s.run(ctx, c.session); err != nil {
		return c.failed(err, me)
	}
	if err := later.run(ctx, c.session); err != nil {
		c.tell(fmt.Sprintf("the older of the account's two passwords still opens: it could not be discarded: %v", err))
	}
	return nil
}

// olderPasswords are statements that end the older passwords of rows that have
// two. That comes earlier than the change: were the call cut off after that, the
// next one would have no reason to look for them. Only one that is the current
// password has to open until the new one does, and ends later.
//
// Where the current password is known, and no row has it or the new one any
// more, this request comes late.
func (c *change) olderPasswords(rows []row) (earlier, later statement, err error) {
	proven := c.current.IsEmpty()
	for _, r := range rows {
		kept, err := c.retention(r)
		if err != nil && !c.current.IsEmpty() {
			return earlier, later, c.unsupported(err)
		}
		proven = proven || !kept.neither()
		ends := &earlier
		if kept.wasCurrent && !kept.isCurrent {
			ends = &later
		}
		if r.older != "" {
			ends.add("?@? DISCARD OLD PASSWORD", r.user, r.host)
		}
	}
	if !proven {
		return earlier, later, c.late(rows)
	}
	return earlier, later, nil
}

// late is the error of a request that somebody else's change has outrun. Of an
// account without a password no later attempt would find out more.
func (c *change) late(rows []row) error {
	for _, r := range rows {
		if r.kept == "" {
			return c.unsupported(fmt.Errorf("%s has no password any more and opens without one, which a rotation does not do; nothing was changed; "+
				"set one by hand with ALTER USER, and store it under AWSCURRENT", r.account()))
		}
	}
	return dbdrivers.Classify(dbdrivers.ErrBusy, c.doing, errors.New("what was proven to open the account just before is its password no more; somebody has just changed it, nothing was changed here, and the next attempt finds out how"))
}

// notOvertaken refuses a request that waited for the lock while somebody gave the
// account another password than its own: it may be of a rotation that was given
// up, and another one done since.
func (c *change) notOvertaken(rows []row) error {
	before := make(map[string]string)
	for _, r := range c.before {
		before[r.host] = r.kept
	}
	for _, r := range rows {
		if kept, was := before[r.host]; was && kept == r.kept {
			continue
		}
		set, err := r.keeps(r.kept, c.password)
		if err != nil {
			return c.unsupported(err)
		}
		if !set {
			return dbdrivers.Classify(dbdrivers.ErrBusy, c.doing, fmt.Errorf("%s has another password than before this request waited for its turn; "+
				"somebody has just changed it, nothing was changed here, and the next attempt finds out how", r.account()))
		}
	}
	return nil
}

// otherUnchanged finds out whether what opened the other account of a pair just
// before is still a password of one of its rows.
func (c *change) otherUnchanged(rows []row) error {
	if c.opened.IsEmpty() {
		return nil
	}
	for _, r := range rows {
		for _, hash := range []string{r.kept, r.older} {
			is, err := r.keeps(hash, c.opened)
			if err != nil {
				return c.unsupported(err)
			}
			if is {
				return nil
			}
		}
	}
	return c.late(rows)
}

// statement is one ALTER USER of several accounts.
type statement struct {
	parts []string
	args  []any
}

func (s *statement) add(part string, args ...any) {
	s.parts = append(s.parts, part)
	s.args = append(s.args, args...)
}

// set keeps the row's plugin. Its name is one of this package's own.
func (s *statement) set(r row, hash string, retain bool) {
	part := "?@? IDENTIFIED WITH " + r.plugin + " AS ?"
	if retain {
		part += " RETAIN CURRENT PASSWORD"
	}
	s.add(part, r.user, r.host, hash)
}

// run says the statement, unless it is empty.
func (s *statement) run(ctx context.Context, session *mywire.Session) error {
	if len(s.parts) == 0 {
		return nil
	}
	return session.Run(ctx, "ALTER USER "+strings.Join(s.parts, ", "), s.args...)
}

// hasher makes hashes as this server would, one for each plugin and password.
type hasher struct {
	session *mywire.Session
	rounds  int
	made    map[string]string
}

// hasher reads how often the server hashes. Servers before 8.0.24 have no
// setting for it.
func (c *change) hasher(ctx context.Context, rows []row) (*hasher, error) {
	h := &hasher{session: c.session, rounds: sha256Rounds, made: map[string]string{}}
	for _, r := range rows {
		if r.plugin != pluginCachingSHA2 {
			continue
		}
		answer, err := c.session.Ask(ctx, "SHOW GLOBAL VARIABLES LIKE 'caching_sha2_password_digest_rounds'")
		if err != nil {
			return nil, c.session.Classify(c.doing, err, mywire.Unchanged, nil)
		}
		if len(answer.Rows) == 1 && len(answer.Rows[0]) == 2 {
			if h.rounds, err = strconv.Atoi(answer.Rows[0][1].Text); err != nil {
				return nil, c.unsupported(errors.New("the server's caching_sha2_password_digest_rounds is no number"))
			}
		}
		return h, nil
	}
	return h, nil
}

func (h *hasher) of(plugin string, password dbdrivers.Password) (string, error) {
	key := plugin + " " + password.Reveal()
	if hash, ok := h.made[key]; ok {
		return hash, nil
	}
	hash, err := newHash(plugin, password.Reveal(), h.rounds)
	if err != nil {
		return "", err
	}
	h.session.Keep(hash)
	h.made[key] = hash
	return hash, nil
}
