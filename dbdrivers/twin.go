package dbdrivers

import "context"

// TwinOpener is the optional power behind the alternating strategy: two
// accounts of the same rights, a canonical one and its twin, take turns.
//
// Sync has one direction, from the canonical account to the twin. The canonical
// account is never granted to or revoked from.
type TwinOpener interface {
	// OpenTwin signs in as an admin, once, and in this order makes the twin
	// equal to the canonical account, proves that it is, and only then gives
	// it the new password and lets it sign in. A call that fails anywhere
	// leaves a twin that opens with the password it had, or not at all; saying
	// it again has the same outcome.
	//
	// Errors, besides those of Driver: [ErrTwinUnproven] where an account of
	// the twin's name exists and nothing proves that it is this twin, or it
	// bears the mark of another account's; nothing was changed then.
	// [ErrTwinMissing] where there is none and MayCreate is false.
	// [ErrTwinOwns] where a twin that was equal once owns something.
	OpenTwin(ctx context.Context, req OpenTwinRequest) (TwinReport, error)

	// VerifyTwin is Verify for either of the two: one sign-in, and the same
	// errors with the same meaning. Besides, it lists in what the twin differs
	// from its sibling, in the engine's own terms and without values, as far as
	// this login may see it. Where one of the two does not exist yet there is
	// nothing to compare, and nothing is listed.
	VerifyTwin(ctx context.Context, req VerifyTwinRequest) (differences []string, err error)
}

// OpenTwinRequest names the two accounts and what may be done.
type OpenTwinRequest struct {
	// Admin makes the change.
	Admin Login
	// Canonical owns and is granted to. Twin is made equal to it.
	Canonical, Twin string
	// OwnerRole is the role that both act as, where it is not the canonical
	// account itself. Empty for the model in which the twin acts as its sibling.
	OwnerRole string
	// Database is where the two accounts work. An engine that keeps privileges
	// or objects by database opens the twin from there, whatever database Admin
	// names; empty for Admin's.
	Database string
	// Params are those of the two accounts' own login, as in [SetPasswordRequest].
	Params map[string]string
	// Current is what was proven to open Canonical just before, empty where
	// nothing is. As in [SetPasswordRequest] a request that comes late changes
	// nothing ([ErrBusy]) where the engine shows that it does.
	Current Password
	// Password and Hash are as in [SetPasswordRequest], for the twin.
	Password Password
	Hash     string
	// MayCreate lets the twin be created where there is no such account.
	MayCreate bool
	// Proven says that the caller has proof that an account of the twin's name
	// is this twin: its former password opened it, or the operator said so.
	// The driver's own mark on the account is proof as well, and the mark of
	// another account's twin goes before any proof. The first time an account
	// without a mark is taken over, rights are added and none is revoked.
	Proven bool
	// Adopt hands what the twin owns in Database to the role that sessions of
	// the two act as there (OwnerRole, else the role that its settings make the
	// canonical account act as, else that account), in the same transaction
	// where the engine has them. It is the operator's word. An engine whose
	// accounts own nothing has nothing to do.
	Adopt bool
	// Note is as in [SetPasswordRequest]: what was left out because nobody can
	// have it, for instance, or that the twin was locked and is open again.
	Note func(text string)
}

// VerifyTwinRequest asks whether a login of a pair opens its database.
type VerifyTwinRequest struct {
	// Login is the canonical account's or the twin's.
	Login Login
	// Canonical, Twin and OwnerRole are as in [OpenTwinRequest].
	Canonical, Twin, OwnerRole string
}

// TwinReport tells what OpenTwin did. It holds names, never values.
type TwinReport struct {
	// Created is true where there was no such account.
	Created bool
	// TakenOver is true where the account bore no mark of ours before.
	TakenOver bool
	// Added and Removed are the rights, memberships and settings that changed,
	// in the engine's own terms.
	Added, Removed []string
	// Adopted is what the twin owned and the role that the two share owns now.
	Adopted []string
	// Kept are what a twin that was taken over, now or earlier, owns or holds
	// beyond its sibling. Equality cannot be had until it is handed over or
	// taken away. A twin that was equal once has nothing of the kind: what it
	// has come to own since is an error that names it.
	Kept []string
}
