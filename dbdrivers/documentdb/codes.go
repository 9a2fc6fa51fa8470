package documentdb

import (
	"errors"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// Codes of the server that the driver tells apart. DocumentDB documents few; where
// it does not, those of MongoDB are taken.
//
// https://www.mongodb.com/docs/manual/reference/error-codes/
const (
	codeBadValue             = 2
	codeFailedToParse        = 9
	codeUserNotFound         = 11
	codeUnauthorized         = 13
	codeTypeMismatch         = 14
	codeAuthenticationFailed = 18
	codeIllegalOperation     = 20
	codeRoleNotFound         = 31
	codeInvalidOptions       = 72
	codeNotSupported         = 115
	codeNotImplemented       = 238
	codeFeature              = 301   // DocumentDB's for what it does not support, as its users report
	codeAggregation          = 303   // likewise
	codeOperator             = 304   // likewise
	codeUnavailable          = 334   // MechanismUnavailable
	codeDuplicateKey         = 11000 // DocumentDB's for a user that exists
	codeUnknownField         = 40415 // IDLUnknownField
	codeUserExists           = 51003 // MongoDB's
	codeUnsupported          = -301  // DocumentDB's for a mechanism that it does not know
)

// rule says what some codes mean.
type rule struct {
	codes  []int32
	class  error
	remedy string
}

// always are codes that mean the same at any time.
var always = []rule{
	{codes: []int32{10058, 10107, 13435, 13436}, class: dbdrivers.ErrNotWritable, remedy: "the server is no primary; name the cluster's endpoint in \"host\""},
	{codes: []int32{91, 189, 11600, 11602}, class: dbdrivers.ErrBusy, remedy: "the server is shutting down or failing over"},
	{codes: []int32{24, 46, 50, 112, 202, 262}, class: dbdrivers.ErrBusy},
}

// statement are codes of commands.
var statement = slices.Concat(always, []rule{
	{codes: []int32{codeUnauthorized}, class: dbdrivers.ErrPrivilege},
	{codes: []int32{codeAuthenticationFailed}, class: dbdrivers.ErrUnreachable, remedy: "the session has ended on the server"},
	{codes: []int32{codeUserNotFound}, class: dbdrivers.ErrUnsupported, remedy: "the user was dropped meanwhile"},
	{codes: []int32{codeRoleNotFound}, class: dbdrivers.ErrUnsupported, remedy: "a role of its sibling does not exist any more; revoke it there, or create it"},
})

// doubtful are codes of a change that do not say whether it was made: a router
// that lost the answer of the server behind it says so by them.
var doubtful = []rule{{codes: []int32{1, 6, 7, 8, 64, 89, 9001, 11601}, class: dbdrivers.ErrUnreachable, remedy: "whether it took effect is not known"}}

// refusals are the codes of a sign-in that say that the password is wrong.
var refusals = []int32{codeAuthenticationFailed, codeUserNotFound}

// named are the codes that a sign-in turns on, by their names.
var named = map[string]int32{
	"AuthenticationFailed": codeAuthenticationFailed, "UserNotFound": codeUserNotFound, "MechanismUnavailable": codeUnavailable,
}

// find returns the first rule for an error, or one for those that have none.
func find(code int32, rules []rule) rule {
	for _, r := range rules {
		if slices.Contains(r.codes, code) {
			return r
		}
	}
	return rule{class: dbdrivers.ErrUnsupported}
}

// codeOf is the server's code in err, or zero.
func codeOf(err error) int32 {
	var server mongo.CommandError
	if errors.As(err, &server) {
		return server.Code
	}
	return 0
}

// noMechanism reports whether the server says that it does not know the mechanism
// by which a client signs in.
func noMechanism(server mongo.CommandError) bool {
	return server.Code == codeUnsupported || server.Code == codeUnavailable || strings.Contains(server.Message, "Unsupported mechanism")
}

// notUnderstood reports whether the server does not know a field of a command. It
// may say so without a code.
func notUnderstood(err error) bool {
	return errors.As(err, new(mongo.CommandError)) && slices.Contains([]int32{
		0, codeBadValue, codeFailedToParse, codeTypeMismatch, codeIllegalOperation, codeInvalidOptions, codeNotSupported, codeNotImplemented,
		codeFeature, codeAggregation, codeOperator, codeUnknownField,
	}, codeOf(err))
}
