package mywire

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// classify says what a failed sign-in means, and what to do about it.
func (a *attempt) classify(ctx context.Context, err error) (class, why error) {
	var server *mysql.MySQLError
	switch {
	case errors.As(err, new(unusableError)):
		return dbdrivers.ErrUnsupported, err
	case errors.As(err, &server):
		return a.classifyServer(scrub(server, []string{a.login.Password.Reveal()}))
	case errors.Is(err, mysql.ErrNoTLS):
		return dbdrivers.ErrTLS, fmt.Errorf(`the server offers no TLS; turn it on there, or set "ssl": false in the secret to go without: %w`, err)
	case isNetwork(err):
		if a.hop() == hopTLS {
			return a.classifyTLS(a.cause(ctx, err))
		}
		return dbdrivers.ErrUnreachable, a.silence(a.cause(ctx, err))
	case a.hop() == hopTLS:
		return a.classifyTLS(err)
	case a.hop() != hopSignIn:
		return dbdrivers.ErrUnreachable, a.silence(err)
	}
	return dbdrivers.ErrUnsupported, a.unanswerable(err)
}

// unanswerable explains what this client does not answer once the server knows
// who is asking. None of it is a word on the password.
func (a *attempt) unanswerable(err error) error {
	switch {
	case errors.Is(err, mysql.ErrCleartextPassword):
		return fmt.Errorf("the server asked for the password itself, to have it checked by another service (IAM, PAM or LDAP), where a rotation cannot change it; "+
			"give the account a password of the server's own: %w", errExternal)
	case errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrNativePassword):
		return fmt.Errorf("the account's password is kept in a form that is not safe to use; give it a new one by hand: %w", errExternal)
	case errors.Is(err, mysql.ErrUnknownPlugin):
		return fmt.Errorf("the account signs in by a plugin that is not known here: Kerberos, LDAP by SASL, a socket, a key, or a MariaDB plugin; "+
			"give the account a password of the server's own: %w", err)
	case errors.Is(err, mysql.ErrMalformPkt) && (!a.dialect.Ed25519 || a.answered()):
		return fmt.Errorf("the server asked for a second proof after the first; the account has several ways to sign in, one after the other "+
			"(multifactor, or MariaDB's list of methods), of which this client follows one; it is no word on the password: %w", err)
	case errors.Is(err, mysql.ErrMalformPkt):
		return fmt.Errorf("the client does not understand what the server asks it to prove, and has answered nothing; it is no word on the password; try again: %w", err)
	}
	return err
}

// errExternal stands for the library's own error, which tells how to turn on
// what must stay off.
var errExternal = errors.New("the client does not answer this")

func (a *attempt) classifyTLS(err error) (class, why error) {
	if fault := tlsconf.HandshakeFault(err, isNetwork(err)); fault != nil {
		return dbdrivers.ErrTLS, fault
	}
	return dbdrivers.ErrUnreachable, a.silence(err)
}

// cause is why the connection failed, which the library has lost on its way.
func (a *attempt) cause(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if a.wire != nil && lostConnection(err) {
		if cause := a.wire.failure(); cause != nil {
			return cause
		}
	}
	return err
}

// silence names the hop that did not answer.
func (a *attempt) silence(err error) error {
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("no address for the name %q; correct \"host\", or the resolver of the function's network: %w", name.Name, err)
	case a.hop() == hopConnection:
		return fmt.Errorf("no connection to %s; check the security groups, the route and that the server runs: %w", a.login.Address(), err)
	case isNetwork(err):
		return fmt.Errorf("no answer from %s: %w", a.hop(), err)
	}
	return fmt.Errorf("what listens at %s does not speak %s's protocol: %w", a.login.Address(), a.dialect.Name, err)
}

// classifyServer reads the server's own word.
func (a *attempt) classifyServer(server *mysql.MySQLError) (class, why error) {
	if server.Number == accessDenied {
		also := a.dialect.AlsoRefused
		if a.login.TLS.Plaintext {
			also += `; and where the account demands TLS (REQUIRE SSL), while the secret has "ssl": false`
		}
		return dbdrivers.ErrRefused, fmt.Errorf("%w (the server says the same %s)", server, also)
	}
	rule := find(server, a.dialect.SignIn, signIn)
	return rule.Class, because(rule, server)
}

func because(rule Rule, said error) error {
	if rule.Remedy == "" {
		return said
	}
	return fmt.Errorf("%s: %w", rule.Remedy, said)
}

// isNetwork reports whether err is of the connection and not of what was said
// on it.
func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) || lostConnection(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// lostConnection reports whether err is the library's word for a connection
// that is gone.
func lostConnection(err error) bool {
	return errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn)
}
