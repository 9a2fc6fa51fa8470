package documentdbgate

import (
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// The rules for the primary user's name and password. For other users none are
// documented; the documentation's own examples have dashes in names and six
// characters in passwords. The gate holds all passwords to the primary's rules,
// and of the rules for names all users to the length alone.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/db-cluster-parameters.html
const (
	longestName         = 63
	shortestPassword    = 8
	longestPassword     = 100
	forbiddenCharacters = `/"@`
)

// nameFits refuses a name that no user can have.
func (b Behavior) nameFits(name string) error {
	switch {
	case name == "":
		return refuse(codeBadValue, "User document needs 'user' field to be non-empty")
	case !b.MongoDB && len(name) > longestName:
		return refuse(codeBadValue, "The user name is longer than 63 characters")
	}
	return nil
}

// passwordOf is the password in a command. The refusal of one does not repeat
// it.
func (b Behavior) passwordOf(m opmsg.Message) (string, error) {
	password, is := m.Body.Lookup("pwd").StringValueOK()
	if !is {
		return "", refuse(codeBadValue, "'pwd' must be a string")
	}
	if b.MongoDB {
		return password, nil
	}
	if len(password) < shortestPassword || len(password) > longestPassword {
		return "", refuse(codeBadValue, "The password must have 8 to 100 characters")
	}
	if strings.ContainsAny(password, forbiddenCharacters) {
		return "", refuse(codeBadValue, `The password must not have a slash, a double quote or an at sign in it`)
	}
	for _, r := range password {
		if r < '!' || r > '~' {
			return "", refuse(codeBadValue, "The password must be of printable ASCII characters")
		}
	}
	return password, nil
}

// The mechanisms of a sign-in. SCRAM-SHA-256 came with version 5.0.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/scram-sha-256-auth.html
const (
	scramSHA1   = "SCRAM-SHA-1"
	scramSHA256 = "SCRAM-SHA-256"
)

// knows reports whether the cluster offers a mechanism.
func (b Behavior) knows(mechanism string) bool {
	const wireOf40 = 7
	switch mechanism {
	case scramSHA1:
		return true
	case scramSHA256:
		return b.MaxWireVersion == 0 || b.MaxWireVersion > wireOf40
	}
	return false
}

// withMechanisms adds those of the command, or those that a cluster gives where
// the command names none.
func (b Behavior) withMechanisms(told bson.D, m opmsg.Message) (bson.D, error) {
	given := m.Body.Lookup("mechanisms")
	if given.Type == 0 {
		if b.knows(scramSHA256) {
			return told, nil
		}
		return append(told, bson.E{Key: "mechanisms", Value: bson.A{scramSHA1}}), nil
	}
	listed, is := given.ArrayOK()
	if !is {
		return nil, refuse(codeBadValue, "'mechanisms' must be an array")
	}
	values, err := listed.Values()
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		if name, _ := v.StringValueOK(); !b.knows(name) {
			return nil, refuse(codeBadValue, "Unknown auth mechanism '"+name+"'")
		}
	}
	return append(told, bson.E{Key: "mechanisms", Value: given}), nil
}

// commonFields are those that a driver may add to any command.
var commonFields = []string{"writeConcern", "readConcern", "comment"}

// onlyFields refuses a command that has others than fields.
func onlyFields(m opmsg.Message, fields ...string) error {
	for _, name := range m.Fields()[1:] {
		if !slices.Contains(fields, name) && !contains(commonFields, name) {
			return refuse(codeBadValue, "'"+name+"' is not a valid argument")
		}
	}
	return nil
}

// isSystem reports whether a collection is one of the system's own.
func isSystem(collection string) bool { return strings.HasPrefix(collection, "system.") }

func contains[T comparable](list []T, one T) bool { return slices.Contains(list, one) }
