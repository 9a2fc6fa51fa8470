package mysql

import (
	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// alterUser are errors of ALTER USER, where they mean something else than in
// general, or nothing in general.
var alterUser = mywire.Rules{
	{Numbers: []uint16{errNoSuchAccount}, Class: dbdrivers.ErrUnsupported, Remedy: "the account was dropped or changed meanwhile"},
	{Numbers: []uint16{errNotValidPassword, errPasswordInHistory}, Class: dbdrivers.ErrPasswordRules},
	{Numbers: []uint16{errIncorrectCurrent}, Class: dbdrivers.ErrBusy, Remedy: "the password that signed in is not the account's newer one, and nothing was changed: either another session has just " +
		"set a new one, which the next attempt finds out, or it is the older of two; then rotate once by an admin (\"masterarn\"), or with the strategy dual-password"},
	{Numbers: []uint16{errMissingCurrent}, Class: dbdrivers.ErrUnsupported, Remedy: "the password that signed in is the older of the account's two, and PASSWORD REQUIRE CURRENT " +
		"demands the newer one for a change; let an admin set the password (\"masterarn\")"},
}

// failed says what an error of the change itself means.
func (c *change) failed(err error, me identity) error {
	rules := alterUser
	if mywire.Number(err) == errLacksPrivilege {
		rules = mywire.Rules{{Numbers: []uint16{errLacksPrivilege}, Class: dbdrivers.ErrPrivilege, Remedy: c.missing(me)}}
	}
	return c.session.Classify(c.doing, err, mywire.Unknown, rules)
}

// missing names the privilege that a change lacks, as the statement that grants
// it.
func (c *change) missing(me identity) string {
	if c.bySelf() {
		return "as an admin run: GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO " + me.quoted()
	}
	return "as an administrator run: GRANT CREATE USER ON *.* TO " + me.quoted()
}
