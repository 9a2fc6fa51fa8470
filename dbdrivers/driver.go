// Package dbdrivers is the contract between the rotation state machine and a
// database engine. A driver changes one password and proves one sign-in; it
// decides nothing else.
//
// To add an engine:
//
//  1. Make a folder below dbdrivers with a type that implements [Driver].
//  2. Sign in exactly once per method, to one address, with the fields of
//     [Login] and nothing else: no environment variable, no configuration
//     file, no pool, no second attempt. Leave before the method returns.
//  3. Take the TLS configuration from [tlsconf.Settings.Config]. Never fall
//     back to plaintext.
//  4. Set the client library's own fields; build no connection string, and
//     quote nothing by hand that the library can quote.
//  5. Wrap every error in one class of this package ([Classify]), so that
//     errors.Is finds the class and errors.As still reaches the library's
//     own error. [ErrRefused] comes from the sign-in alone.
//  6. Honour the context: end before its deadline, and give statements a
//     time-out of their own, so that the server stops when the caller does.
//  7. Let no password into an error, a log or a statement that could carry a
//     verifier instead.
//  8. Add one line to the table in package engines, and one row to the
//     integration tests. Package drivertest must pass.
package dbdrivers

import (
	"context"
)

// A Driver speaks to one database engine. Its methods keep no connection and
// no state between calls, and may be called from several goroutines at once.
type Driver interface {
	// Traits describes the engine. It is constant and asks no server.
	Traits() Traits

	// Verify signs in, proves that the server took the login for the user it
	// names, and leaves. A nil error means that the credential opens the
	// database. [ErrBarred] and [ErrPrivilege] mean that the password is right:
	// the account may not enter, or enters without the role that its settings
	// promise. It changes nothing.
	Verify(ctx context.Context, req VerifyRequest) error

	// SetPassword signs in as req.As, sets the password of req.Account to
	// req.Password and leaves. Saying it again has the same outcome. When it
	// returns [ErrRefused] no statement was sent; any other error may come
	// after the password has changed, unless its class says otherwise
	// ([ErrPasswordRules], [ErrPrivilege]).
	SetPassword(ctx context.Context, req SetPasswordRequest) error
}

// VerifyRequest asks whether a login opens its database.
type VerifyRequest struct {
	Login Login
}

// SetPasswordRequest asks for one account's new password.
type SetPasswordRequest struct {
	// As is the login that makes the change: the account's own, or an admin's.
	As Login
	// Account is the user whose password changes. It equals As.Username when
	// an account changes its own.
	Account string
	// Database and Params are those of Account's own login: of the one that was
	// proven to open, where one was. An engine whose accounts live in databases
	// changes the one that lives where they say, and no other of its name; the
	// rest have no use for them. Both empty mean where As lives.
	Database string
	Params   map[string]string
	// Current is what was proven to open Account just before, or where Twin is
	// given to open Twin; As is an admin's login then. Empty where nothing is
	// proven. An engine that shows an admin which password an account has changes
	// nothing ([ErrBusy]) where it is not Current, nor in the first case Password:
	// somebody has changed it since, and this request comes late.
	Current Password
	// Password is the new password.
	Password Password
	// Hash names the form in which the server is to keep the password
	// ("scram-sha-256", "md5"). Empty means the form the server is set to.
	Hash string
	// Twin is the account whose password proved that the change is wanted,
	// where it is not Account itself but the twin that takes turns with it. An
	// admin's change is then refused ([ErrTwinUnproven]) unless that account
	// bears the driver's mark as the twin of Account, or bears none and Proven
	// is true: who can open an account that merely has a twin's name must not be given its
	// sibling's password. It needs [TwinOpener].
	Twin   string
	Proven bool
	// Note, where it is not nil, is told what the caller should know and is no
	// error, without values: a former password that still opens, for instance,
	// because this login may not discard it.
	Note func(text string)
}

// BySelf reports whether the account changes its own password.
func (r SetPasswordRequest) BySelf() bool { return r.As.Username == r.Account }

// Traits are the constant properties of an engine that the rotation depends
// on. Limits of zero are no limits.
type Traits struct {
	// Engine is the driver's own name. Aliases of an engine share it.
	Engine string
	// DefaultPort is used where the secret has no port.
	DefaultPort int
	// DefaultDatabase is signed in to where the secret has no dbname; empty
	// where the engine needs none.
	DefaultDatabase string
	// Username is the longest username the engine keeps whole.
	Username Limit
	// Password is what the engine accepts as a password.
	Password PasswordTraits
	// Hashes are the values that SetPasswordRequest.Hash may have.
	Hashes []string
	// OwnerRole is true where the two accounts of the alternating strategy may
	// act as a third role that owns ([OpenTwinRequest]).
	OwnerRole bool
	// RetainsByAdminOnly is true where no account can keep its own former
	// password, and an admin keeps it ([PasswordRetainer]).
	RetainsByAdminOnly bool
	// CountsRefusals is true where failed sign-ins can lock the account. The
	// rotation then never risks a third one.
	CountsRefusals bool
	// SendsPassword is true where an admin's change carries the new password
	// itself over the network, and not a verifier made of it. The admin then goes
	// without TLS only where the account's own secret does too.
	SendsPassword bool
	// SettlesLate is true where a change becomes visible only some time after
	// it was acknowledged. The rotation then polls Verify.
	SettlesLate bool
}

// Limit is a greatest length and the unit the engine counts it in.
type Limit struct {
	Max   int
	Bytes bool // counted in bytes, else in characters
}

// PasswordTraits are an engine's rules for passwords.
type PasswordTraits struct {
	// MinLength and MaxLength bound the length, in characters.
	MinLength, MaxLength int
	// Forbidden are characters the engine does not accept at all.
	Forbidden string
	// ExcludedByDefault are characters left out of generated passwords unless
	// the function or the secret says otherwise: those that commonly break
	// connection strings of this engine.
	ExcludedByDefault string
	// NeedsUpper, NeedsLower and NeedsDigit are kinds of characters that the
	// engine demands.
	NeedsUpper, NeedsLower, NeedsDigit bool
	// ASCII is true where the engine takes no characters beyond ASCII.
	ASCII bool
}
