package mytwin

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mygrants"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

// mostRounds bounds how often what is wanted and what is had are compared. Two
// rounds are common, because statements reach further than what they name.
const mostRounds = 5

// Errors of a grant on what is gone.
//
// https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html
const (
	errNoSuchTable   = 1146 // ER_NO_SUCH_TABLE
	errNoSuchRoutine = 1305 // ER_SP_DOES_NOT_EXIST
)

// Sync changes what accounts are granted, in one session.
type Sync struct {
	Session *mywire.Session
	Dialect mygrants.Dialect
	// Doing begins every error.
	Doing string
	// Rights reads what an account is granted. Its errors are classified.
	Rights func(ctx context.Context, account mygrants.Account) (mygrants.Set, error)
	// Gone says why nobody can have an atom of a set that the server has refused
	// by this error, and is empty where somebody may.
	Gone func(want mygrants.Set, a mygrants.Atom, number uint16) string
	// Otherwise, where it is not nil, says in another way a statement that the
	// server has refused. It returns the error that counts: nil where the server
	// took it, and refused where there is no other way.
	Otherwise func(ctx context.Context, p *Pass, s mygrants.Statement, refused error) error
	// Note is told what was left out because nobody can have it. It may be nil.
	Note func(text string)
}

// Outcome is what an account has in the end, and what it has gained and lost, in
// words.
type Outcome struct {
	Held        mygrants.Set
	Added, Lost []string
}

// Pass brings one account to what is wanted.
type Pass struct {
	*Sync
	// Account is changed. Sibling is the one that it is to equal.
	Account, Sibling mygrants.Account
	// Want is what the account is to have.
	Want mygrants.Set
	have mygrants.Set
	// refused are the server's words on what could not be changed.
	refused map[mygrants.Atom]error
	// ghosts are on tables that are gone, and could not be granted in any way.
	ghosts mygrants.Set
}

// Bring changes what account is granted until it is what is wanted. Where that
// cannot be had the error names what is left, what the server says of it, and
// the statements that somebody else may say.
func (s *Sync) Bring(ctx context.Context, account, sibling mygrants.Account, want, have mygrants.Set) (Outcome, error) {
	p := &Pass{Sync: s, Account: account, Sibling: sibling, Want: want, have: have, refused: make(map[mygrants.Atom]error), ghosts: make(mygrants.Set)}
	for range mostRounds {
		statements := p.diff()
		if len(statements) == 0 {
			break
		}
		for _, statement := range statements {
			if err := p.take(ctx, statement); err != nil {
				return Outcome{}, err
			}
		}
		p.leaveOut()
		now, err := s.Rights(ctx, account)
		if err != nil {
			return Outcome{}, err
		}
		if maps.Equal(now, p.have) {
			break
		}
		p.have = now
	}
	if left := p.diff(); len(left) > 0 {
		return Outcome{}, p.leftover(left)
	}
	out := Outcome{Held: p.have}
	out.Added, out.Lost = mygrants.Changes(p.have, have)
	return out, nil
}

func (p *Pass) diff() []mygrants.Statement {
	return mygrants.Diff(p.Dialect, p.Account, p.Want, p.have)
}

// take says one statement, and where the server takes it not, each of its parts,
// so that one that is refused keeps no other out. Errors that are not of the
// statement are returned.
func (p *Pass) take(ctx context.Context, s mygrants.Statement) error {
	err := p.Session.Run(ctx, s.SQL)
	if err != nil && p.Otherwise != nil && p.Ends(err) == nil {
		err = p.Otherwise(ctx, p, s, err)
	}
	if err == nil {
		return nil
	}
	if ended := p.Ends(err); ended != nil {
		return ended
	}
	if len(s.Parts) > 0 {
		for _, part := range s.Parts {
			if err := p.take(ctx, part); err != nil {
				return err
			}
		}
		return nil
	}
	for _, a := range s.Atoms {
		p.refused[a] = err
	}
	if mywire.Number(err) == errNoSuchTable && !s.Removes {
		return p.grantOnDropped(ctx, s.Atoms)
	}
	return nil
}

// Ends classifies an error that ends the call, and is nil for one that is of the
// statement alone.
func (p *Pass) Ends(err error) error {
	classified := p.Session.Classify(p.Doing, err, mywire.Unknown, nil)
	if errors.Is(classified, dbdrivers.ErrPrivilege) || errors.Is(classified, dbdrivers.ErrUnsupported) {
		return nil
	}
	return classified
}

// grantOnDropped grants on a table that was dropped: its sibling's grants, and
// their grant option, have outlived the table, and count again when it is made
// anew. The servers look for no table where CREATE is granted as well. Where the
// admin may not do that, nobody has words for it that need no table.
//
// https://dev.mysql.com/doc/refman/9.7/en/grant.html#grant-table-privileges
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/grant#table-privileges
func (p *Pass) grantOnDropped(ctx context.Context, atoms []mygrants.Atom) error {
	for _, a := range atoms {
		if a.Kind != mygrants.Privilege && a.Kind != mygrants.GrantOption || a.Column != "" {
			continue
		}
		create := mygrants.Atom{Kind: mygrants.Privilege, Name: "CREATE", Object: a.Object}
		statements := mygrants.Diff(p.Dialect, p.Account, mygrants.SetOf(a, create), nil)
		if !p.Want.Has(create) {
			statements = append(statements, mygrants.Diff(p.Dialect, p.Account, nil, mygrants.SetOf(create))...)
		}
		for _, s := range statements {
			err := p.Session.Run(ctx, s.SQL)
			if err == nil {
				continue
			}
			if ended := p.Ends(err); ended != nil {
				return ended
			}
			if !s.Removes {
				p.refused[a] = err
				p.ghosts.Add(a)
			}
			break
		}
	}
	return nil
}

// leaveOut takes out of what is wanted what nobody can have, and tells of it.
func (p *Pass) leaveOut() {
	want := make(mygrants.Set)
	var left []mygrants.Atom
	for _, a := range p.Want.Sorted() {
		if p.gone(a) != "" {
			left = append(left, a)
		} else {
			want.Add(a)
		}
	}
	for _, a := range left {
		p.tellLeft(a, p.gone(a), want)
	}
	p.Want = want
}

// gone says why nobody can have an atom, and is empty where somebody may.
func (p *Pass) gone(a mygrants.Atom) string {
	switch {
	case p.ghosts.Has(a):
		return "the table is gone, and the admin may not create it there"
	case mywire.Number(p.refused[a]) == errNoSuchRoutine:
		return "the server knows no such routine"
	case p.refused[a] != nil:
		return p.Gone(p.Want, a, mywire.Number(p.refused[a]))
	}
	return ""
}

func (p *Pass) tellLeft(a mygrants.Atom, why string, want mygrants.Set) {
	if p.Note == nil {
		return
	}
	rest := make(mygrants.Set)
	if a.Kind == mygrants.DefaultRole {
		// They are set all at once.
		rest = want
	}
	with := mygrants.SetOf(append(rest.Sorted(), a)...)
	for _, s := range mygrants.Diff(p.Dialect, p.Sibling, rest, with) {
		p.Note(fmt.Sprintf("%s could not be given to %s, because %s, and was left out; where its sibling is to lose it too, which ends this note, as an admin run: %s",
			a, p.Account, why, s.SQL))
	}
}
