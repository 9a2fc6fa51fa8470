package mariadb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// row is one account of mysql.global_priv: a name has one for each host that it
// may come from.
type row struct {
	user, host   string
	methods      methods
	role, locked bool
	settings     settings
}

// account is a row's name, as a statement has it.
func (r row) account() string { return mywire.Account(r.user, r.host) }

var errPriv = errors.New("its Priv in mysql.global_priv is not as MariaDB writes it")

// priv is the document that the server keeps of an account.
//
// https://mariadb.com/docs/server/reference/system-tables/the-mysql-database-tables/mysql-global_priv-table
type priv struct {
	privMethod
	// Or are the methods, where there are several. One of them is empty and
	// stands for the one beside this.
	Or     []privMethod `json:"auth_or"`
	Role   bool         `json:"is_role"`
	Locked bool         `json:"account_locked"`
	settings
}

type privMethod struct {
	Plugin *string `json:"plugin"`
	Kept   string  `json:"authentication_string"`
}

func (p priv) methods() (methods, error) {
	list := p.Or
	if len(list) == 0 {
		list = []privMethod{{}}
	}
	var out methods
	for _, m := range list {
		if m.Plugin == nil {
			m = p.privMethod
		}
		if m.Plugin == nil {
			return nil, errPriv
		}
		out = append(out, method{*m.Plugin, m.Kept})
	}
	return out, nil
}

// rowsOf reads the host rows of a name, in the order of their hosts. A role of
// that name is none of them, and is returned only where there is nothing else.
func rowsOf(ctx context.Context, session *mywire.Session, name string) ([]row, error) {
	answer, err := session.Ask(ctx, "SELECT User, Host, Priv FROM mysql.global_priv WHERE User = ? ORDER BY Host", name)
	if err != nil {
		return nil, err
	}
	var rows []row
	for i := range answer.Rows {
		r := row{user: answer.Get(i, "user").Text, host: answer.Get(i, "host").Text}
		// To the collation of the table a name with blanks after it is the same.
		if r.user != name {
			continue
		}
		var kept priv
		if json.Unmarshal([]byte(answer.Get(i, "priv").Text), &kept) != nil {
			return nil, fmt.Errorf("%s: %w", r.account(), errPriv)
		}
		r.role, r.locked, r.settings = kept.Role, kept.Locked, kept.settings
		if !r.role {
			if r.methods, err = kept.methods(); err != nil {
				return nil, fmt.Errorf("%s: %w", r.account(), err)
			}
			r.methods.keepSecret(session)
		}
		rows = append(rows, r)
	}
	if slices.ContainsFunc(rows, func(r row) bool { return !r.role }) {
		rows = slices.DeleteFunc(rows, func(r row) bool { return r.role })
	}
	return rows, nil
}

// fenced says why an admin's login leaves an account alone, by its own rows.
func fenced(rows []row) error {
	if len(rows) == 0 {
		return errors.New("the account does not exist; create it, or correct \"username\"")
	}
	for _, r := range rows {
		if r.role {
			return fmt.Errorf("%q is a role, which nobody signs in as", r.user)
		}
		if err := r.methods.check(); err != nil {
			return fmt.Errorf("%s %w", r.account(), err)
		}
		if r.locked && r.empty() {
			return fmt.Errorf("%s is locked and never had a password; an admin's login never gives it one", r.account())
		}
	}
	return nil
}

func (r row) empty() bool {
	for _, m := range r.methods {
		if m.hasPassword() && m.kept != "" {
			return false
		}
	}
	return true
}
