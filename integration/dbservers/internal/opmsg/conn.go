package opmsg

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Conn is one connection to a server, signed in or not: for a test's own
// dealings with it. It tries nothing twice, watches nothing in the background,
// and is not for several goroutines at once.
type Conn struct {
	conn net.Conn
	last int32
}

// CommandError is a server's word that it did not do a command.
type CommandError struct {
	// Code and Name are the error's; see
	// https://www.mongodb.com/docs/manual/reference/error-codes/.
	Code    int32
	Name    string
	Message string
	// SignIn: it came before the connection was signed in.
	SignIn bool
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("the server refuses: %s (%d %s)", e.Message, e.Code, e.Name)
}

// Dial connects, over TLS where config is not nil.
func Dial(ctx context.Context, address string, config *tls.Config) (*Conn, error) {
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return &Conn{conn: plain}, nil
	}
	secure := tls.Client(plain, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return &Conn{conn: secure}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// SignIn signs in as a user of a database, by the best mechanism that the
// server says the user has.
func (c *Conn) SignIn(ctx context.Context, user, password, database string) error {
	err := c.signIn(ctx, user, password, database)
	var refused *CommandError
	if errors.As(err, &refused) {
		refused.SignIn = true
	}
	return err
}

func (c *Conn) signIn(ctx context.Context, user, password, database string) error {
	hello, err := c.Run(ctx, "admin", bson.D{{Key: "hello", Value: 1}, {Key: "saslSupportedMechs", Value: database + "." + user}})
	if err != nil {
		return err
	}
	mechanism := SCRAMSHA256
	if offered, is := hello.Lookup("saslSupportedMechs").ArrayOK(); is {
		values, err := offered.Values()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(values, func(v bson.RawValue) bool { s, _ := v.StringValueOK(); return s == SCRAMSHA256 }) {
			mechanism = SCRAMSHA1
		}
	}
	proof, err := newScram(mechanism, user, password)
	if err != nil {
		return err
	}
	answer, err := c.Run(ctx, database, bson.D{
		{Key: "saslStart", Value: 1}, {Key: "mechanism", Value: mechanism}, {Key: "payload", Value: proof.start()},
	})
	if err != nil {
		return err
	}
	said, err := proof.prove(payloadOf(answer))
	if err != nil {
		return err
	}
	next := func(payload []byte) error {
		answer, err = c.Run(ctx, database, bson.D{
			{Key: "saslContinue", Value: 1},
			{Key: "conversationId", Value: answer.Lookup("conversationId")},
			{Key: "payload", Value: payload},
		})
		return err
	}
	if err := next(said); err != nil {
		return err
	}
	if err := proof.accept(payloadOf(answer)); err != nil {
		return err
	}
	for over := false; !over; {
		if over, _ = answer.Lookup("done").BooleanOK(); !over {
			if err := next([]byte{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func payloadOf(answer bson.Raw) []byte {
	_, payload, _ := answer.Lookup("payload").BinaryOK()
	return payload
}

// Run says a command in a database and returns the answer. A refusal is a
// [CommandError]. An error does not repeat the command, which may hold a
// password.
func (c *Conn) Run(ctx context.Context, database string, command bson.D) (bson.Raw, error) {
	raw, err := bson.Marshal(append(slices.Clone(command), bson.E{Key: "$db", Value: database}))
	if err != nil {
		return nil, fmt.Errorf("encoding a command: %w", err)
	}
	// A context that ends ends the wait.
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.last++
	if _, err := c.conn.Write(Request(c.last, raw)); err != nil {
		return nil, c.broken(ctx, err)
	}
	answer, err := Read(c.conn)
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	if !answer.OK() {
		refused := &CommandError{Code: answer.Code()}
		refused.Name, _ = answer.Body.Lookup("codeName").StringValueOK()
		refused.Message, _ = answer.Body.Lookup("errmsg").StringValueOK()
		return nil, refused
	}
	return answer.Body, nil
}

func (c *Conn) broken(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return err
}
