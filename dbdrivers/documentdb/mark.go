package documentdb

import (
	"go.mongodb.org/mongo-driver/v2/bson"
)

// mark is what a user's customData says of it as a twin; the package's comment
// tells how.
type mark int

const (
	// unmarked: nothing is said.
	unmarked mark = iota
	// others: it is said to be another account's twin, or something that is not
	// understood.
	others
	// taken: it was proven to be the twin when it was taken over, and has not
	// been opened as one that is equal.
	taken
	// made: it was made as the twin, and has not been opened yet.
	made
	// equal: it was opened when it was equal to its sibling but for what it had
	// been taken over with.
	equal
)

// markField is the field of customData that marks a twin.
const markField = "dbrotation"

// states are the marks by their state.
var states = map[mark]string{taken: "taken", made: "made", equal: "equal"}

type markDocument struct {
	TwinOf string `bson:"twinOf"`
	State  string `bson:"state"`
}

// field is the mark of a twin of canonical.
func (m mark) field(canonical string) bson.E {
	return bson.E{Key: markField, Value: bson.D{{Key: "twinOf", Value: canonical}, {Key: "state", Value: states[m]}}}
}

// markOf reads the mark of a twin of canonical.
func markOf(custom bson.Raw, canonical string) mark {
	value, err := custom.LookupErr(markField)
	if err != nil {
		return unmarked
	}
	var told markDocument
	if doc, ok := value.DocumentOK(); !ok || bson.Unmarshal(doc, &told) != nil || told.TwinOf != canonical {
		return others
	}
	for m, state := range states {
		if state == told.State {
			return m
		}
	}
	return others
}

// isMarked reports whether a user is marked as anybody's twin.
func isMarked(custom bson.Raw) bool {
	_, err := custom.LookupErr(markField)
	return err == nil
}

// proves reports whether a user may be taken for the twin: by its mark, or where
// it has none by the caller's proof. One that is marked as another account's
// twin is not this one's, whatever the caller has been told.
func (m mark) proves(proven bool) bool {
	return m == taken || m == made || m == equal || m == unmarked && proven
}

// own reports whether the user has never been anything else than the twin, or was
// equal once: it then has what its sibling has, and nothing besides.
func (m mark) own() bool { return m == made || m == equal }
