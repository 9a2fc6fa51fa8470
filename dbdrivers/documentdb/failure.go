package documentdb

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// leastWire is the wire version of DocumentDB 4.0 and MongoDB 4.0, the oldest that
// the client library speaks.
const leastWire = 7

// classify says what a failed sign-in means, and what to do about it.
func (a *attempt) classify(err error) (class, why error) {
	a.mu.Lock()
	hop, known, newest, settled := a.hop, a.known, a.newest, a.settled
	a.mu.Unlock()

	var server mongo.CommandError
	switch {
	case errors.As(err, &server):
		return a.classifyServer(server)
	case known && newest < leastWire:
		return dbdrivers.ErrUnsupported, fmt.Errorf("the server speaks the protocol of version 3.6 or older (wire version %d); 4.0 is the oldest that this driver speaks; upgrade the cluster", newest)
	case hop == hopTLS:
		return a.classifyTLS(settled, err)
	case isNetwork(err):
		return dbdrivers.ErrUnreachable, a.silence(hop, err)
	case hop == hopSignIn:
		// The password was neither taken nor refused.
		return dbdrivers.ErrUnsupported, fmt.Errorf("the server did not complete the sign-in as SCRAM demands: %w", errIncomplete)
	}
	return dbdrivers.ErrUnreachable, a.silence(hop, errNonsense)
}

var (
	// errIncomplete stands for the library's own error of a proof that fails,
	// which is a text only.
	errIncomplete = errors.New("no proof that it is the server that knows the password")
	// errNonsense stands for an answer that the library cannot read.
	errNonsense = errors.New("malformed answer")
)

// classifyServer reads the server's own word at the sign-in.
func (a *attempt) classifyServer(server mongo.CommandError) (class, why error) {
	if noMechanism(server) {
		return dbdrivers.ErrUnsupported, fmt.Errorf("the server does not take this user by SCRAM-SHA-1 or SCRAM-SHA-256, in which the client followed its word; "+
			"give the user a mechanism that this server has: %w", said(server))
	}
	if slices.Contains(refusals, server.Code) {
		likewise := "does not exist"
		if a.mongo {
			likewise += `, or lives in another database than the one that was asked, which "authSource" or "dbname" in the secret names, and where an authenticationRestriction keeps it out`
		}
		return dbdrivers.ErrRefused, fmt.Errorf("%w (the server says the same where the user %s)", said(server), likewise)
	}
	r := find(server.Code, always)
	return r.class, because(r.remedy, said(server))
}

// said is the server's error with its code, which its own text leaves out.
func said(server mongo.CommandError) error { return fmt.Errorf("%w (code %d)", server, server.Code) }

func because(remedy string, err error) error {
	if remedy == "" {
		return err
	}
	return fmt.Errorf("%s: %w", remedy, err)
}

func (a *attempt) classifyTLS(settled string, err error) (class, why error) {
	var record tls.RecordHeaderError
	if (errors.As(err, &record) || hungUp(err)) && a.speaksPlaintext(settled) {
		return dbdrivers.ErrTLS, fmt.Errorf(`the server offers no TLS; turn it on there, or set "ssl": false in the secret to go without: %w`, err)
	}
	if fault := tlsconf.HandshakeFault(err, isNetwork(err)); fault != nil {
		return dbdrivers.ErrTLS, fault
	}
	return dbdrivers.ErrUnreachable, a.silence(hopTLS, err)
}

// hungUp reports whether the other end has closed the connection.
func hungUp(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) && op.Op == "read" && !op.Timeout()
}

// plaintextAnswer bounds how long a server may take to greet without TLS.
const plaintextAnswer = 2 * time.Second

// speaksPlaintext asks the server for its greeting without TLS. A server without
// TLS closes a connection on which a handshake begins, as one that is broken
// does. Nothing of the login is sent, and the answer is read for no other end
// than the words of an error.
func (a *attempt) speaksPlaintext(address string) bool {
	ctx, cancel := context.WithTimeout(a.call, plaintextAnswer)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := conn.Write(greeting()); err != nil {
		return false
	}
	var header messageHeader
	if err := binary.Read(conn, binary.LittleEndian, &header); err != nil {
		return false
	}
	return header.Answers == greetingID && header.Opcode == opMsg
}

// messageHeader begins every message of the protocol, which counts from the low
// byte up.
//
// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/#standard-message-header
type messageHeader struct {
	Size, ID, Answers, Opcode int32
}

const (
	opMsg      = 2013
	greetingID = 1
)

// greeting is the question by which a client greets.
//
// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/#op_msg
func greeting() []byte {
	hello, err := bson.Marshal(bson.D{{Key: "isMaster", Value: 1}, {Key: "$db", Value: databaseAdmin}})
	if err != nil {
		return nil
	}
	// No flags, and one section that is a document.
	body := append(make([]byte, 5), hello...)
	header := messageHeader{ID: greetingID, Opcode: opMsg}
	header.Size = int32(binary.Size(header) + len(body)) //nolint:gosec // it is short
	var message bytes.Buffer
	_ = binary.Write(&message, binary.LittleEndian, header)
	message.Write(body)
	return message.Bytes()
}

// silence names the hop that did not answer.
func (a *attempt) silence(at hop, err error) error {
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("no address for the name %q; correct \"host\", or the resolver of the function's network: %w", name.Name, err)
	case at == hopConnection:
		return fmt.Errorf("no connection to %s; check the security groups, the route and that the server runs: %w", a.login.Address(), err)
	case errors.Is(err, errNonsense):
		return fmt.Errorf("what listens at %s does not speak MongoDB's protocol: %w", a.login.Address(), err)
	case at == hopGreeting && a.login.TLS.Plaintext && hungUp(err):
		return fmt.Errorf("no answer from %s; where the server demands TLS, remove \"ssl\": false from the secret: %w", at, err)
	}
	return fmt.Errorf("no answer from %s: %w", at, err)
}

// cause is why there is no word of the server's.
func (a *attempt) cause(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed != nil {
		return plain(a.failed)
	}
	if ended := context.Cause(a.ctx); ended != nil {
		return plain(ended)
	}
	return plain(err)
}

// plain takes off what the library wraps around an error of the connection: prose
// that repeats the address, and a type that is the server's word elsewhere.
func plain(err error) error {
	var op *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &op) && !errors.As(op.Err, &name):
		return op
	case errors.As(err, &name):
		return name
	}
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, context.Canceled, context.DeadlineExceeded, errOneConnection} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errors.As(err, new(mongo.CommandError)) {
		return errNonsense
	}
	return err
}

// isNetwork reports whether err is of the connection and not of what was said
// on it.
func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, errOneConnection) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// outcome says what is known when a command fails.
type outcome int

const (
	// unchanged is for a command that only reads.
	unchanged outcome = iota
	// unknown is for one that may have taken effect before its answer, or the
	// connection, was lost.
	unknown
)

// classify says what a command's error means: by the first rule of own that fits,
// else by those of all commands.
func (s *session) classify(doing string, err error, known outcome, own ...rule) error {
	var server mongo.CommandError
	var unconfirmed unconfirmedError
	if errors.As(err, &unconfirmed) {
		return dbdrivers.Classify(dbdrivers.ErrUnreachable, doing,
			fmt.Errorf("the change was made, but most members of the cluster have not confirmed it; whether it stays is not known: %w", said(unconfirmed.CommandError)))
	}
	if !errors.As(err, &server) {
		if errors.As(err, new(unsentError)) {
			known = unchanged
		}
		return dbdrivers.Classify(dbdrivers.ErrUnreachable, doing, lost(err, known))
	}
	r := find(server.Code, slices.Concat(own, statement))
	return dbdrivers.Classify(r.class, doing, because(r.remedy, said(server)))
}

func lost(err error, known outcome) error {
	if known == unknown {
		return fmt.Errorf("no answer from the server to the command; whether it took effect is not known: %w", err)
	}
	return fmt.Errorf("no answer from the server to the command; nothing was changed: %w", err)
}
