package redshift

import (
	"context"
	"errors"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// change is one password's change, in a session of its own.
type change struct {
	session *pgwire.Session
	req     dbdrivers.SetPasswordRequest
	doing   string
	// masked: the server does not let this login read pg_shadow.
	masked bool
}

func (c *change) run(ctx context.Context) error {
	if c.req.BySelf() {
		return c.bySelf(ctx)
	}
	return readable(ctx, c.session, &c.masked, func() error { return c.byAdmin(ctx) })
}

// bySelf needs no transaction: the change is one statement.
func (c *change) bySelf(ctx context.Context) error {
	if err := run(ctx, c.session, timeout(ctx)); err != nil {
		return failed(c.doing, err, pgwire.Unchanged, nil)
	}
	if err := identify(ctx, c.session, c.doing, c.req.As.Username); err != nil {
		return err
	}
	if c.session.ByDigest() && c.req.Hash != hashMD5 {
		return unsupported(c.doing, errStepBack)
	}
	return repeated(ctx, c.session, false, func() error { return c.alter(ctx, pgwire.Unknown) })
}

var errStepBack = errors.New("the server keeps this password as sha256, and a rotation can only have it kept as md5; " +
	"say \"hash\": \"md5\" in the secret to accept that, or rotate the account by other means")

func (c *change) alter(ctx context.Context, outcome pgwire.Outcome) error {
	hash := kept(c.req.Account, c.req.Password.Reveal())
	c.session.Keep(hash)
	if err := run(ctx, c.session, alterPassword(c.req.Account, hash)); err != nil {
		return failed(c.doing, err, outcome, alterUser)
	}
	return nil
}

// alterPassword needs no quoting of the hash, which is letters and digits.
func alterPassword(account, hash string) string {
	return "ALTER USER " + identifier(account) + " PASSWORD '" + hash + "'"
}

func (c *change) byAdmin(ctx context.Context) error {
	err := run(ctx, c.session, "BEGIN", timeout(ctx))
	if err != nil {
		return failed(c.doing, err, pgwire.Unchanged, nil)
	}
	if err := identify(ctx, c.session, c.doing, c.req.As.Username); err != nil {
		return err
	}
	f, err := c.facts(ctx)
	if err != nil {
		return c.unread(err)
	}
	if err := c.allowed(f); err != nil {
		return err
	}
	// What is left of the time is less than it was.
	if err := run(ctx, c.session, timeout(ctx)); err != nil {
		return failed(c.doing, err, pgwire.Unchanged, nil)
	}
	if err := c.alter(ctx, pgwire.Unchanged); err != nil {
		return err
	}
	if err := commit(ctx, c.session, c.doing); err != nil {
		return err
	}
	if c.req.Note != nil && !f.stored[c.req.Account].shown() {
		c.req.Note(hiddenNote)
	}
	return nil
}

const hiddenNote = "the server does not show how it keeps the password: where it kept it as sha256, it keeps it as md5 from now on, and where it was disabled, it opens"

func (c *change) unread(err error) error {
	switch {
	case errors.As(err, new(unreadableError)), dbdrivers.ClassOf(err) != nil:
		return err
	case errors.Is(err, errAnswer):
		return unsupported(c.doing, err)
	}
	return failed(c.doing, err, pgwire.Unchanged, nil)
}

// facts are what an admin's change depends on.
type facts struct {
	account user
	// powerful: the account holds the role of superusers.
	powerful bool
	// twin is what the groups of the account's twin say of it, as of one of pair.
	twin mark
	pair pairing
	// external: an identity provider signs the account in.
	external bool
	// stored is what the server keeps of both passwords, as far as it shows it.
	stored map[string]stored
}

const masked = stored("********")

func (c *change) facts(ctx context.Context) (f facts, err error) {
	account, twin := c.req.Account, c.req.Twin
	users, err := usersOf(ctx, c.session, c.req.As.Username, account, twin)
	if err != nil {
		return f, err
	}
	if err := isSuperuser(c.doing, c.req.As.Username, users[c.req.As.Username]); err != nil {
		return f, err
	}
	f.account = users[account]
	if f.account.exists {
		if f.external, err = external(ctx, c.session, account); err != nil {
			return f, err
		}
	}
	held, err := powerful(ctx, c.session, account, twin)
	if err != nil {
		return f, err
	}
	f.powerful = held[account]
	if twin != "" {
		groups, err := groupsOf(ctx, c.session, account, twin)
		if err != nil {
			return f, err
		}
		f.pair = pairing{account, users[twin].id}
		f.twin = markOf(groups[twin], f.pair)
	}
	f.stored = map[string]stored{account: masked, twin: masked}
	if c.masked {
		return f, nil
	}
	f.stored, err = storedOf(ctx, c.session, account, twin)
	if _, found := f.stored[account]; err == nil && f.account.exists && !found {
		err = errAnswer
	}
	return f, err
}

// external reports whether an identity provider signs an account in.
func external(ctx context.Context, session *pgwire.Session, account string) (bool, error) {
	rows, err := ask(ctx, session, askInfo, account, "")
	if err != nil {
		return false, err
	}
	if len(rows) != 1 || len(rows[0]) != 5 || rows[0][0].Text != account {
		return false, errAnswer
	}
	return rows[0][4].Text != "", nil
}

// allowed says no before the server would, or where it would say yes.
func (c *change) allowed(f facts) error {
	if err := fence(f.account, f.powerful); err != nil {
		return unsupported(c.doing, err)
	}
	if f.external {
		return unsupported(c.doing, errIdentity)
	}
	if c.req.Twin != "" && !f.twin.proves(c.req.Proven) {
		return unsupported(c.doing, f.twin.unproven(c.req.Twin, f.pair))
	}
	if reset := c.req.Current.IsEmpty() && c.req.Twin == ""; f.stored[c.req.Account] == "" && !reset {
		return unsupported(c.doing, errDisabled)
	}
	if f.stored[c.req.Account].isSHA256() && c.req.Hash != hashMD5 {
		return unsupported(c.doing, errStepBack)
	}
	opened, accepted := c.req.Account, []dbdrivers.Password{c.req.Current, c.req.Password}
	if c.req.Twin != "" {
		opened, accepted = c.req.Twin, accepted[:1]
	}
	if !c.req.Current.IsEmpty() && late(opened, f.stored[opened], accepted...) {
		return dbdrivers.Classify(dbdrivers.ErrBusy, c.doing, errLate)
	}
	return nil
}

// errDisabled is of PASSWORD DISABLE, an operator's lock. To open it again is an
// operator's word too.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_USER.html
var errDisabled = errors.New("the account's password is disabled (PASSWORD DISABLE), and somebody meant it to be; " +
	"where it is to open again, as a superuser set the password that the secret holds: ALTER USER ... PASSWORD ...; or let the admin reset it (ADMIN_MAY_RESET)")

var errLate = errors.New("the server keeps another password than the one that was proven just before: somebody has changed it since, and nothing was changed; try again")

// late reports whether the server shows that an account has none of the
// passwords.
func late(account string, s stored, accepted ...dbdrivers.Password) bool {
	for _, password := range accepted {
		if same, known := s.is(account, password.Reveal()); same || !known {
			return false
		}
	}
	return true
}
