package dbdrivers

import "context"

// PasswordRetainer is the optional power behind the strategy dual-password: an
// account with two passwords at once, the new one and the one before it.
type PasswordRetainer interface {
	// RetainPassword signs in as req.As, once, and sets the password of
	// req.Account to req.Password in such a way that req.Current opens as well,
	// and no third password does. Saying it again, or several times at once, has
	// the same outcome, and destroys neither of the two; so does saying it where
	// req.Current has come to be the older of two already, because an earlier
	// rotation was given up. At no moment does req.Current not open.
	//
	// In that last case, and no other, an engine on which only a sign-in tells
	// that req.Current opens yet may make a second one before it changes
	// anything: somebody may have set another password since the first.
	//
	// The errors are those of [Driver].SetPassword. A missing privilege, and an
	// account that cannot have two passwords, are found before anything is
	// changed. So is an admin's request whose Current is none of the account's
	// passwords, since somebody changed it meanwhile: that is no refusal but
	// [ErrBusy], or [ErrUnsupported].
	RetainPassword(ctx context.Context, req RetainPasswordRequest) error
}

// RetainPasswordRequest asks for one account's new password beside the one that
// it has.
type RetainPasswordRequest struct {
	// As is the login that makes the change: the account's own, whose password
	// is Current then, or an admin's. Where an engine lets nobody but an admin
	// do it ([Traits].RetainsByAdminOnly), the account's own is an
	// [ErrPrivilege] or [ErrUnsupported].
	As Login
	// Account is the user whose password changes.
	Account string
	// Current opens the account now, and is to open it until the next change.
	Current Password
	// Password is the new password, and is not Current.
	Password Password
	// Hash is as in [SetPasswordRequest].
	Hash string
	// Note is as in [SetPasswordRequest].
	Note func(text string)
}

// BySelf reports whether the account changes its own password.
func (r RetainPasswordRequest) BySelf() bool { return r.As.Username == r.Account }
