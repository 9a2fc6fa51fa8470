package documentdbgate

import (
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// The numbers of errors.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/event-auditing.html
// https://www.mongodb.com/docs/manual/reference/error-codes/
const (
	codeBadValue             = 2
	codeUserNotFound         = 11
	codeUnauthorized         = 13
	codeAuthenticationFailed = 18
	codeRoleNotFound         = 31
	codeCommandNotFound      = 59
	codeNotWritablePrimary   = 10107
	codeDuplicateKey         = 11000
	codeRoleAlreadyExists    = 51002
	codeUserAlreadyExists    = 51003
)

var codeNames = map[int32]string{
	codeBadValue:             "BadValue",
	codeUserNotFound:         "UserNotFound",
	codeUnauthorized:         "Unauthorized",
	codeAuthenticationFailed: "AuthenticationFailed",
	codeRoleNotFound:         "RoleNotFound",
	codeCommandNotFound:      "CommandNotFound",
	codeNotWritablePrimary:   "NotWritablePrimary",
	codeDuplicateKey:         "DuplicateKey",
	codeRoleAlreadyExists:    "Location51002",
	codeUserAlreadyExists:    "Location51003",
}

// refusal is an error that the client is told. It never holds a password.
type refusal struct {
	code          int32
	name, message string
}

func (r *refusal) Error() string { return r.message }

func (r *refusal) document() bson.D {
	return bson.D{
		{Key: "ok", Value: 0.0},
		{Key: "errmsg", Value: r.message},
		{Key: "code", Value: r.code},
		{Key: "codeName", Value: r.name},
	}
}

func refuse(code int32, message string) error {
	return &refusal{code: code, name: codeNames[code], message: message}
}

// broken is what the client is told where the stand-in itself fails: it may have
// done what it was asked, or not. The error holds no password, since none of the
// gate's and of FerretDB's connection does.
//
// https://www.mongodb.com/docs/manual/reference/error-codes/
func broken(err error) *refusal {
	const internalError = 1
	return &refusal{code: internalError, name: "InternalError", message: "the stand-in failed: " + err.Error()}
}

// asRefusal is err as the client is told it, where it is one for a client:
// FerretDB's own too.
func asRefusal(err error) (*refusal, bool) {
	var own *refusal
	if errors.As(err, &own) {
		return own, true
	}
	var told *opmsg.CommandError
	if errors.As(err, &told) && !told.SignIn {
		return &refusal{code: told.Code, name: told.Name, message: told.Message}, true
	}
	return nil, false
}
