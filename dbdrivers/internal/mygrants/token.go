package mygrants

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/mywire"
)

type tokenKind int

const (
	end tokenKind = iota
	// word is a keyword, the name of a privilege, or digits.
	word
	// name is what stood between backquotes.
	name
	// text is a string. What stood in it is not kept: it may be a hash.
	text
	// mark is one of ( ) , . @ * -
	mark
)

type token struct {
	kind tokenKind
	// value is empty for a text.
	value string
}

func (t token) is(kind tokenKind, value string) bool { return t.kind == kind && t.value == value }

// String shows the token in an error.
func (t token) String() string {
	switch t.kind {
	case end:
		return "the end"
	case name:
		return mywire.Identifier(t.value)
	case text:
		return "'...'"
	}
	return t.value
}

// tokenize takes a row apart.
func tokenize(row string) ([]token, error) {
	var tokens []token
	for row != "" {
		t, rest, err := next(row)
		if err != nil {
			return nil, fmt.Errorf("%w, after %s", err, shown(tokens))
		}
		tokens, row = append(tokens, t), strings.TrimLeft(rest, " ")
	}
	return tokens, nil
}

func next(row string) (t token, rest string, err error) {
	switch c := row[0]; {
	case c == '`':
		value, rest, closed := quoted(row)
		if !closed {
			return token{}, "", errors.New("a name without its end")
		}
		return token{name, value}, rest, nil
	case c == '\'':
		rest, closed := afterText(row)
		if !closed {
			return token{}, "", errors.New("a string without its end")
		}
		return token{kind: text}, rest, nil
	case strings.IndexByte("(),.@*-", c) >= 0:
		return token{mark, row[:1]}, row[1:], nil
	case isWord(c):
		length := 1
		for length < len(row) && isWord(row[length]) {
			length++
		}
		return token{word, row[:length]}, row[length:], nil
	default:
		// Nothing of it is shown: what stands in double quotes under ANSI_QUOTES
		// may be a string.
		return token{}, "", errors.New("a character that stands nowhere in a grant")
	}
}

func isWord(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
}

// quoted reads a name; a backquote inside is written twice.
func quoted(row string) (value, rest string, closed bool) {
	var b strings.Builder
	for row = row[1:]; ; {
		before, after, found := strings.Cut(row, "`")
		b.WriteString(before)
		if !found {
			return "", "", false
		}
		if !strings.HasPrefix(after, "`") {
			return b.String(), after, true
		}
		b.WriteByte('`')
		row = after[1:]
	}
}

// afterText passes over a string, in which a quote is written twice or after a
// backslash.
func afterText(row string) (rest string, closed bool) {
	for i := 1; i < len(row); i++ {
		switch {
		case row[i] == '\\':
			i++
		case row[i] == '\'' && i+1 < len(row) && row[i+1] == '\'':
			i++
		case row[i] == '\'':
			return row[i+1:], true
		}
	}
	return "", false
}

// mostShown bounds the tokens of a row that an error shows.
const mostShown = 40

// shown is the beginning of a row without its strings and without anything of
// how the account authenticates.
func shown(tokens []token) string {
	if len(tokens) == 0 {
		return "its beginning"
	}
	var words []string
	for i, t := range tokens {
		if i == mostShown || t.is(word, "IDENTIFIED") {
			words = append(words, "...")
			break
		}
		words = append(words, t.String())
	}
	return strings.Join(words, " ")
}
