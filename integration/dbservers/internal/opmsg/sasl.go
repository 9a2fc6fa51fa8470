package opmsg

import "strings"

// ScramUser is the user that the first message of a SCRAM conversation names;
// empty where it names none.
//
// https://www.rfc-editor.org/rfc/rfc5802#section-7
func ScramUser(payload []byte) string {
	for field := range strings.SplitSeq(string(payload), ",") {
		if name, found := strings.CutPrefix(field, "n="); found {
			return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
		}
	}
	return ""
}

// SignIn is the first message of a sign-in, where m is one: a saslStart, or a
// hello that begins the conversation by itself.
//
// https://github.com/mongodb/specifications/blob/master/source/auth/auth.md
func (m Message) SignIn() (s SignIn, ok bool) {
	start := m.Body
	switch {
	case m.Command() == "saslStart":
		s.Database = m.Database()
	default:
		speculative, is := m.Body.Lookup("speculativeAuthenticate").DocumentOK()
		if !is {
			return SignIn{}, false
		}
		start = speculative
		s.Database, _ = start.Lookup("db").StringValueOK()
	}
	s.Mechanism, _ = start.Lookup("mechanism").StringValueOK()
	_, payload, _ := start.Lookup("payload").BinaryOK()
	s.User = ScramUser(payload)
	return s, true
}

// SignIn says who wants to sign in, and how.
type SignIn struct{ User, Database, Mechanism string }
