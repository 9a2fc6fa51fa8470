package dbdrivers

import (
	"errors"
	"fmt"
)

// The classes of a driver's errors. Every error of a driver is exactly one of
// them, by errors.Is; errors.As reaches the client library's own error.
var (
	// ErrRefused: the server itself rejected this credential at sign-in.
	// Nothing was sent after it. It is the only class that lets the rotation
	// try another credential.
	ErrRefused = errors.New("the server refused this password")
	// ErrBarred: the password was right, yet the account may not enter:
	// locked, expired, without the right to sign in or to use the database.
	ErrBarred = errors.New("the password was right, but the account may not enter")
	// ErrUnreachable: no word on the password could be had: no route, no
	// name, no answer, an answer cut off, or a host rule before the password.
	ErrUnreachable = errors.New("the server could not be asked")
	// ErrTLS: the server offers no TLS, or its certificate was not accepted.
	ErrTLS = errors.New("no verified TLS connection")
	// ErrNotWritable: the server answered, but takes no changes (a replica).
	ErrNotWritable = errors.New("the server takes no changes")
	// ErrBusy: the server is up but could not serve now: starting, too many
	// connections, a lock not had in time. The same call may pass later.
	ErrBusy = errors.New("the server is busy")
	// ErrPrivilege: the login lacks a right that the change needs. No password
	// was set, and no account unlocked. An engine without transactions over
	// accounts may have made a twin, locked, and given it a part of its sibling's
	// rights.
	ErrPrivilege = errors.New("a privilege is missing")
	// ErrPasswordRules: the server's own rules do not accept the new
	// password. Nothing was changed.
	ErrPasswordRules = errors.New("the server's rules do not accept the new password")
	// ErrUnsupported: the engine, the server's version or the account's kind
	// cannot do what is asked. No password was set; of a twin the same may have
	// been changed as under [ErrPrivilege].
	ErrUnsupported = errors.New("not supported by this server or account")
)

// ErrTwinUnproven says that an account of the twin's name exists and nothing
// proves that it is the twin. It comes with the class [ErrUnsupported].
var ErrTwinUnproven = errors.New("nothing proves that this account is the twin")

// ErrTwinMissing says that there is no account of the twin's name, and that it
// may not be created. It comes with the class [ErrUnsupported].
var ErrTwinMissing = errors.New("the twin does not exist, and may not be created")

// ErrTwinOwns says that a twin that was equal once has come to something of its
// own, which [OpenTwinRequest].Adopt may hand over in part or in whole. It comes
// with the class [ErrUnsupported].
var ErrTwinOwns = errors.New("the twin owns or was given what its sibling cannot reach, so they are not equal")

var classes = []error{
	ErrRefused, ErrBarred, ErrUnreachable, ErrTLS, ErrNotWritable,
	ErrBusy, ErrPrivilege, ErrPasswordRules, ErrUnsupported,
}

// Classify wraps err in class, told as "doing: class: err". A nil err gives
// "doing: class".
func Classify(class error, doing string, err error) error {
	if err == nil {
		return fmt.Errorf("%s: %w", doing, class)
	}
	return fmt.Errorf("%s: %w: %w", doing, class, err)
}

// ClassOf returns the class that err was wrapped in, or nil.
func ClassOf(err error) error {
	for _, class := range classes {
		if errors.Is(err, class) {
			return class
		}
	}
	return nil
}
