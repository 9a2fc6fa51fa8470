package pgwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// classify says what a failed sign-in means, and what to do about it.
func (a *attempt) classify(err error) (class, why error) {
	err = plain(err)
	var server *pgconn.PgError
	switch {
	case errors.As(err, &server):
		server = scrub(server, []string{a.login.Password.Reveal()})
		return a.classifyServer(server)
	case a.hop == hopTLSRequest && a.wire.firstByte() == 'N':
		return dbdrivers.ErrTLS, errors.New(`the server offers no TLS; turn it on there, or set "ssl": false in the secret to go without`)
	case a.hop == hopTLS:
		return a.classifyTLS(err)
	case a.observer.accepted && a.observer.asked < 0:
		return dbdrivers.ErrUnsupported, errUnasked
	case a.observer.asked >= 0 && !isNetwork(err) && !a.answerable():
		return dbdrivers.ErrUnsupported, fmt.Errorf("the server asked for %s: %w", methodName(a.observer.asked), err)
	}
	return dbdrivers.ErrUnreachable, a.silence(err)
}

var errUnasked = errors.New("the server let the account in without a password (trust, peer or cert in pg_hba.conf), " +
	"so a rotation can prove nothing; give the account a rule with scram-sha-256")

// answerable reports whether the server asked for a method that this login
// may answer.
func (a *attempt) answerable() bool {
	switch a.observer.asked {
	case authMD5:
		return true
	case authCleartext:
		return !a.login.TLS.Plaintext
	}
	return false
}

func methodName(method int64) string {
	switch method {
	case authCleartext:
		return "the password itself over a connection without TLS"
	case authSASL:
		return "SASL in a way that was not completed"
	case 2, 7, 8, 9:
		return "Kerberos or SSPI, not a password"
	case authDigest:
		return "a digest of the password (Amazon Redshift's sha256)"
	case authIdentity:
		return "a token of an identity provider, not a password"
	}
	return fmt.Sprintf("authentication method %d, which is not known here", method)
}

func (a *attempt) classifyTLS(err error) (class, why error) {
	if fault := tlsconf.HandshakeFault(err, isNetwork(err)); fault != nil {
		return dbdrivers.ErrTLS, fault
	}
	return dbdrivers.ErrUnreachable, a.silence(err)
}

// silence names the hop that did not answer.
func (a *attempt) silence(err error) error {
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("no address for the name %q; correct \"host\", or the resolver of the function's network: %w", name.Name, err)
	case a.hop == hopConnection:
		return fmt.Errorf("no connection to %s; check the security groups, the route and that the server runs: %w", a.login.Address(), err)
	case a.hop == hopTLSRequest && a.wire.firstByte() == 'E':
		return fmt.Errorf("the server at %s could not begin a session; its log says why: %w", a.login.Address(), err)
	case a.hop == hopTLSRequest && a.wire.firstByte() != 0:
		return fmt.Errorf("what listens at %s does not speak PostgreSQL's protocol: %w", a.login.Address(), err)
	case isNetwork(err):
		return fmt.Errorf("no answer from %s: %w", a.hop, err)
	}
	return fmt.Errorf("no sense in the answer from %s: %w", a.hop, err)
}

// classifyServer reads the server's own word.
func (a *attempt) classifyServer(server *pgconn.PgError) (class, why error) {
	said := Said(server)
	if a.observer.accepted {
		rule := find(server, afterPassword)
		return rule.Class, because(rule, said)
	}
	if a.observer.tested && a.dialect.IsRefusal(server) {
		return dbdrivers.ErrRefused, fmt.Errorf("%w (%s)", said, a.dialect.AlsoRefused)
	}
	if server.Code == "28000" {
		switch {
		case a.observer.asked == authCleartext:
			return dbdrivers.ErrUnsupported, fmt.Errorf("the server has this password checked by another service (PAM, LDAP or RADIUS; "+
				"on Amazon RDS because the account is a member of rds_iam), where a rotation cannot change it: %w", said)
		case a.observer.asked < 0 && a.login.TLS.Plaintext:
			return dbdrivers.ErrTLS, fmt.Errorf("the server does not let this account in without TLS (%s); "+
				"remove \"ssl\": false from the secret: %w", a.dialect.DemandsTLS, said)
		}
	}
	tables := []Rules{beforePassword}
	if a.observer.asked >= 0 {
		tables = []Rules{midway, beforePassword}
	}
	rule := find(server, tables...)
	return rule.Class, because(rule, said)
}

func because(rule Rule, said error) error {
	if rule.Remedy == "" {
		return said
	}
	return fmt.Errorf("%s: %w", rule.Remedy, said)
}

// plain takes off what the library wraps around a failed sign-in: its
// configuration, and prose that repeats the address and the user.
func plain(err error) error {
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return err
	}
	inner := connect.Unwrap()
	if many, ok := inner.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) == 1 {
		inner = many.Unwrap()[0]
	}
	// The next two layers are the address, and the step in the library's words.
	for range 2 {
		if next := errors.Unwrap(inner); next != nil {
			inner = next
		}
	}
	return inner
}

// isNetwork reports whether err is of the connection and not of what was said
// on it.
func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
