package redshiftgate

import (
	"fmt"
	"slices"
	"strings"
)

// A pattern says which tokens make up a statement. It is written as the
// manual writes its syntax:
//
//	word , (      the keyword or the symbol itself
//	[ a b ]       may be left out
//	[ a b ]*      any number of times
//	< a | b >     one of these
//	{kind}        a slot, see slots
//	{kind:name}   the same, under a name of its own
//
// Matching does not go back: what an optional part has taken stays taken.
type pattern struct {
	source string
	steps  []step
}

// step takes tokens from m, or reports that it cannot.
type step func(m *match) bool

// match is a statement that is being matched, or was.
type match struct {
	statement []token
	at        int
	// keepsCase is whether names in quotes keep their case.
	keepsCase bool
	slots     []slot
	// out is the statement in PostgreSQL's words, token by token.
	out []string
}

// slot is what a slot of the pattern has taken.
type slot struct {
	name string
	// value is the name or text that is meant, sql the same in PostgreSQL's
	// words.
	value, sql string
	grantee    grantee
}

// peek is the next token, or an empty one at the end.
func (m *match) peek() token { return m.peekAt(0) }

func (m *match) peekAt(n int) token {
	if m.at+n < len(m.statement) {
		return m.statement[m.at+n]
	}
	return token{kind: symbol}
}

// take takes the next token, as sql in PostgreSQL's words.
func (m *match) take(sql string) {
	m.at++
	m.out = append(m.out, sql)
}

// keyword takes a keyword or a symbol.
func (m *match) keyword(text string) bool {
	if !m.peek().is(text) {
		return false
	}
	m.take(text)
	return true
}

// keywords takes several, or none.
func (m *match) keywords(texts ...string) bool {
	for i, text := range texts {
		if !m.peekAt(i).is(text) {
			return false
		}
	}
	for _, text := range texts {
		m.take(text)
	}
	return true
}

// keep fills a slot.
func (m *match) keep(s slot) bool {
	m.slots = append(m.slots, s)
	return true
}

// try runs a step, and undoes what it did where it fails.
func (m *match) try(s step) bool {
	at, slots, out := m.at, len(m.slots), len(m.out)
	if s(m) {
		return true
	}
	m.at, m.slots, m.out = at, m.slots[:slots], m.out[:out]
	return false
}

// has reports whether a slot was filled.
func (m *match) has(name string) bool {
	return slices.ContainsFunc(m.slots, func(s slot) bool { return s.name == name })
}

// get is the first slot of a name; an empty one where there is none.
func (m *match) get(name string) slot {
	for _, s := range m.slots {
		if s.name == name {
			return s
		}
	}
	return slot{}
}

// all are the slots of a name.
func (m *match) all(name string) []slot {
	var out []slot
	for _, s := range m.slots {
		if s.name == name {
			out = append(out, s)
		}
	}
	return out
}

// sql is the statement in PostgreSQL's words.
func (m *match) sql() string { return strings.Join(m.out, " ") }

// match matches a whole statement.
func (p pattern) match(statement []token, keepsCase bool) (*match, bool) {
	m := &match{statement: statement, keepsCase: keepsCase}
	for _, s := range p.steps {
		if !m.try(s) {
			return nil, false
		}
	}
	return m, m.at == len(statement)
}

// mustPattern reads a pattern of the tables.
func mustPattern(source string) pattern {
	words := strings.Fields(source)
	steps, rest := sequence(words)
	if len(rest) > 0 {
		panic("pattern " + source + ": " + rest[0] + " opens nothing")
	}
	return pattern{source: source, steps: steps}
}

// sequence reads up to what closes the part that it is in.
func sequence(words []string) (steps []step, rest []string) {
	for len(words) > 0 {
		switch first := words[0]; {
		case first == "[":
			inner, after := sequence(words[1:])
			many := after[0] == "]*"
			steps = append(steps, optional(inner, many))
			words = after[1:]
		case first == "<":
			var choices [][]step
			after := words
			for ok := true; ok; ok = after[0] == "|" {
				var inner []step
				inner, after = sequence(after[1:])
				choices = append(choices, inner)
			}
			steps = append(steps, oneOf(choices))
			words = after[1:]
		case first == "]" || first == "]*" || first == ">" || first == "|":
			return steps, words
		case strings.HasPrefix(first, "{"):
			steps = append(steps, slotStep(strings.Trim(first, "{}")))
			words = words[1:]
		default:
			steps = append(steps, func(m *match) bool { return m.keyword(first) })
			words = words[1:]
		}
	}
	return steps, nil
}

func inOrder(steps []step) step {
	return func(m *match) bool {
		for _, s := range steps {
			if !s(m) {
				return false
			}
		}
		return true
	}
}

func optional(steps []step, many bool) step {
	inner := inOrder(steps)
	return func(m *match) bool {
		for m.at < len(m.statement) && m.try(inner) && many {
		}
		return true
	}
}

func oneOf(choices [][]step) step {
	return func(m *match) bool {
		for _, c := range choices {
			if m.try(inOrder(c)) {
				return true
			}
		}
		return false
	}
}

func slotStep(text string) step {
	kind, name, named := strings.Cut(text, ":")
	if !named {
		name = kind
	}
	take, ok := slotKinds[kind]
	if !ok {
		panic(fmt.Sprintf("a pattern has a slot of no kind that there is: %q", kind))
	}
	return func(m *match) bool { return take(m, name) }
}
