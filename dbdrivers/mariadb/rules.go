package mariadb

import (
	"errors"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// failed says what an error of the change itself means.
func (c *change) failed(err error, me identity) error {
	rules := mywire.Rules{
		{Numbers: []uint16{errNoSuchAccount}, Class: dbdrivers.ErrBusy, Remedy: "an account was dropped or changed meanwhile; some of its host rows may have the new password already, and the next attempt does the rest"},
		{Numbers: []uint16{errLacksPrivilege}, Class: dbdrivers.ErrPrivilege, Remedy: "as an administrator run: GRANT CREATE USER ON *.* TO " + me.quoted()},
	}
	return c.session.Classify(c.doing, err, mywire.Unknown, rules)
}

// unread says what an error of reading mysql.* means.
func (c *change) unread(err error, me identity) error {
	if errors.Is(err, errPriv) || errors.As(err, new(notUnderstoodError)) {
		return c.unsupported(err)
	}
	rules := mywire.Rules{{
		Numbers: []uint16{1142, 1143, 1044}, Class: dbdrivers.ErrPrivilege,
		Remedy: "the login may not read the accounts; as an administrator run: GRANT SELECT ON mysql.* TO " + me.quoted(),
	}}
	return c.session.Classify(c.doing, err, mywire.Unchanged, rules)
}
