package mariadb

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// method is one way into an account, of those that OR joins.
//
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/create-user#authentication-options
type method struct {
	plugin string
	// kept is the hash, or for unix_socket the name of a user of the system,
	// and empty where there is none.
	kept string
}

// hasPassword reports whether a password is the way in.
func (m method) hasPassword() bool { return m.plugin != pluginSocket }

func (m method) is(password dbdrivers.Password) bool {
	return isHashOf(m.plugin, m.kept, password.Reveal())
}

// methods are tried in their order.
type methods []method

// first is the first password, which SET PASSWORD reaches.
func (l methods) first() method {
	if i := slices.IndexFunc(l, method.hasPassword); i >= 0 {
		return l[i]
	}
	return method{}
}

// have reports whether one of them is a password.
func (l methods) have(password dbdrivers.Password) bool {
	return slices.ContainsFunc(l, func(m method) bool { return m.is(password) })
}

// check refuses what a rotation does not change, or would not end.
func (l methods) check() error {
	for _, m := range l {
		_, known := hashers[m.plugin]
		switch {
		case !known && m.plugin != pluginSocket:
			return fmt.Errorf("signs in by %s, which a rotation cannot change; give it mysql_native_password or ed25519 alone", m.plugin)
		case known && m.kept != "" && !isHash(m.plugin, m.kept):
			return fmt.Errorf("has no valid password for %s, and a rotation gives it none", m.plugin)
		}
	}
	if !slices.ContainsFunc(l, method.hasPassword) {
		return errors.New("signs in by unix_socket alone and has no password; a rotation gives it none")
	}
	return nil
}

// with are the methods with one password: one for each plugin that had one, so
// that whoever can sign in by one plugin only still can. mysql_native_password
// comes first then ([methods.tellsRefusal]).
func (l methods) with(password dbdrivers.Password) methods {
	var out methods
	seen := make(map[string]bool)
	for _, m := range l {
		if hash, ok := hashers[m.plugin]; ok {
			if seen[m.plugin] {
				continue
			}
			seen[m.plugin] = true
			m.kept = hash(password.Reveal())
		}
		out = append(out, m)
	}
	if len(seen) > 1 {
		slices.SortStableFunc(out, func(a, b method) int { return a.rank() - b.rank() })
	}
	return out
}

// rank puts mysql_native_password before all others.
func (m method) rank() int {
	if m.plugin == pluginNative {
		return 0
	}
	return 1
}

// tellsRefusal reports whether the client library hears of a wrong password. The
// server asks for a proof by one method after the other, but for unix_socket,
// and where mysql_native_password is the first method of all it has that from
// the client's first message. The library answers one question, and takes a
// second one for nonsense.
//
// https://mariadb.com/docs/server/reference/clientserver-protocol/1-connecting/connection
func (l methods) tellsRefusal() bool {
	asked := 0
	for i, m := range l {
		if m.hasPassword() && (i > 0 || m.plugin != pluginNative) {
			asked++
		}
	}
	return asked <= 1
}

// ofTwin are the methods of a twin whose sibling has these: the same plugins for
// the password, each once. Whoever can sign in as the one can as the other;
// unix_socket is left out, since it looks at another name.
func (l methods) ofTwin(password dbdrivers.Password) methods {
	return slices.DeleteFunc(l.with(password), func(m method) bool { return !m.hasPassword() })
}

// hasSocket reports whether there is a way in without a password.
func (l methods) hasSocket() bool {
	return slices.ContainsFunc(l, func(m method) bool { return !m.hasPassword() })
}

// hasSecond reports whether two passwords of one plugin open the account.
func (l methods) hasSecond() bool {
	seen := make(map[string]string)
	for _, m := range l {
		if kept, is := seen[m.plugin]; is && m.hasPassword() && kept != m.kept {
			return true
		}
		seen[m.plugin] = m.kept
	}
	return false
}

// plugins are the names of the methods' plugins.
func (l methods) plugins() string {
	names := make([]string, len(l))
	for i, m := range l {
		names[i] = m.plugin
	}
	return strings.Join(names, " or ")
}

// clause is IDENTIFIED VIA with its arguments. The names of plugins are this
// package's own.
func (l methods) clause() (sql string, args []any) {
	var parts []string
	for _, m := range l {
		part := m.plugin
		if m.kept != "" {
			part += " USING ?"
			args = append(args, m.kept)
		}
		parts = append(parts, part)
	}
	return "IDENTIFIED VIA " + strings.Join(parts, " OR "), args
}

// keepSecret lets no error of a session show a hash.
func (l methods) keepSecret(session *mywire.Session) {
	for _, m := range l {
		if m.hasPassword() {
			session.Keep(m.kept)
		}
	}
}

// errNotUnderstood is told of a row of SHOW CREATE USER without its text, which
// holds hashes.
var errNotUnderstood = errors.New("the row of SHOW CREATE USER is not as MariaDB writes it")

// ownMethods reads SHOW CREATE USER, which is all that an account may see of
// its own hashes. sql_quote_show_create is on.
//
// https://mariadb.com/docs/server/reference/sql-statements/administrative-sql-statements/show/show-create-user
func ownMethods(row, account string) (methods, error) {
	rest, ok := strings.CutPrefix(row, "CREATE USER "+account)
	if !ok {
		return nil, errNotUnderstood
	}
	var list methods
	if after, native := strings.CutPrefix(rest, " IDENTIFIED BY PASSWORD "); native {
		kept, after, ok := cutString(after)
		if !ok {
			return nil, errNotUnderstood
		}
		list, rest = methods{{pluginNative, kept}}, after
	} else if after, several := strings.CutPrefix(rest, " IDENTIFIED VIA "); several {
		if list, rest, ok = cutMethods(after); !ok {
			return nil, errNotUnderstood
		}
	} else {
		// An account without a password.
		list = methods{{pluginNative, ""}}
	}
	if rest == "" {
		return list, nil
	}
	for _, next := range []string{" REQUIRE ", " WITH ", " ACCOUNT LOCK", " PASSWORD EXPIRE"} {
		if strings.HasPrefix(rest, next) {
			return list, nil
		}
	}
	return nil, errNotUnderstood
}

func cutMethods(text string) (list methods, rest string, ok bool) {
	for {
		length := strings.IndexFunc(text+" ", func(r rune) bool { return !strings.ContainsRune(pluginAlphabet, r) })
		m := method{plugin: text[:length]}
		text = text[length:]
		if m.plugin == "" {
			return nil, "", false
		}
		if after, using := strings.CutPrefix(text, " USING "); using {
			if m.kept, text, ok = cutString(after); !ok {
				return nil, "", false
			}
		}
		list = append(list, m)
		after, more := strings.CutPrefix(text, " OR ")
		if !more {
			return list, text, true
		}
		text = after
	}
}

// pluginAlphabet are the characters of a plugin's name that need no quotes.
const pluginAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

// cutString takes a string in quotes apart from what follows it. The server
// escapes nothing in it: a quote inside makes the row one that is not understood.
func cutString(text string) (value, rest string, ok bool) {
	text, ok = strings.CutPrefix(text, "'")
	if !ok {
		return "", "", false
	}
	return strings.Cut(text, "'")
}
