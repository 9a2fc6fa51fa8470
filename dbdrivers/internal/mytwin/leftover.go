package mytwin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// leftover names in what the account still differs, what the server said of it,
// and the statements that somebody else may say.
func (p *Pass) leftover(left []mygrants.Statement) error {
	class := dbdrivers.ErrUnsupported
	var what, remedies []string
	var cause error
	for _, s := range left {
		remedies = append(remedies, s.SQL)
		for _, a := range s.Atoms {
			text := a.String()
			if s.Removes {
				text += ", which is too much"
			}
			if err := p.refused[a]; err != nil {
				text += fmt.Sprintf(" (%v)", err)
				if cause == nil {
					cause = err
				}
				if errors.Is(p.Session.Classify(p.Doing, err, mywire.Unchanged, nil), dbdrivers.ErrPrivilege) {
					class = dbdrivers.ErrPrivilege
				}
			}
			what = append(what, text)
		}
	}
	text := fmt.Sprintf("the admin cannot make %s equal to its sibling: %s; as an administrator who holds it with grant option run: %s, or take it from the sibling",
		p.Account, strings.Join(what, ", "), strings.Join(remedies, "; "))
	return dbdrivers.Classify(class, p.Doing, saidError{text, cause})
}

// saidError is a text that quotes the server, and the server's own error.
type saidError struct {
	text  string
	cause error
}

func (e saidError) Error() string { return e.text }

func (e saidError) Unwrap() error { return e.cause }
