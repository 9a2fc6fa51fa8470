package dbservers

import (
	"context"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// A dialect is what the servers of one engine are told and asked, once they
// run. Where it names a statement or a question it is the superuser who says
// it; a question has one row for an answer.
type dialect interface {
	// engine is the engine as a secret names it.
	engine() string
	// superuser is the superuser's name.
	superuser() string
	// encrypted reports whether the server offers TLS.
	encrypted() bool
	// primary describes a server with an authority and a superuser's password.
	primary(ca *CA, superuser string) recipe

	// connect signs in with login and nothing else, over TLS as login says. It
	// tries once.
	connect(ctx context.Context, login dbdrivers.Login) (session, error)
	// connectQuietly signs in to a session of the superuser's that leaves no
	// statement in the server's logs, not even one that fails.
	connectQuietly(ctx context.Context, superuser dbdrivers.Login) (session, error)
	// rejected reports whether err, of connect, says that the server rejected
	// the password itself.
	rejected(err error) bool

	// systemDatabase is there before any other.
	systemDatabase() string
	// versionQuestion asks for the version's number.
	versionQuestion() string
	// setUp makes the server's Admin and its Database, in a quiet session.
	setUp(ctx context.Context, quiet session, s *Server) error
	// spent are files that take the place of those that only the first start
	// reads.
	spent() []file
	// createUser makes an account with rights on the server's Database, in a
	// quiet session.
	createUser(ctx context.Context, quiet session, s *Server, user, password string) error
	// reloadTLS makes the server read its certificate and its key again.
	reloadTLS() string

	// logFiles names the server's log files beside its log. It returns when
	// all that clients have an answer to is in them.
	logFiles(ctx context.Context, s *Server) ([]string, error)
	// signIns counts the sign-ins of user that log tells of.
	signIns(log, user string) SignIns

	replication
}

// replication is how one server of an engine follows another.
type replication interface {
	// replica describes a server that follows its site's peer, which was given
	// the same authority and superuser's password.
	replica(ca *CA, superuser string) recipe
	// isReplica asks whether the server is one.
	isReplica() string
	// pause is the statement that holds the replay back, and the question
	// whether it does by now.
	pause() (statement, question string)
	// resume ends it, and does nothing where there is nothing to end.
	resume() string
	// position returns a position in the primary's log that lies behind all
	// that was committed, and has been given to replicas.
	position(ctx context.Context, quiet session) (string, error)
	// reached asks whether the replica serves all up to a position.
	reached() string
}

// A session is one connection to a server.
type session interface {
	// exec runs one statement.
	exec(ctx context.Context, statement string, args ...any) error
	// ask asks one question, whose answer is a single value, into answer.
	ask(ctx context.Context, answer any, question string, args ...any) error
	// leave ends the session, also where ctx is done.
	leave(ctx context.Context)
}
