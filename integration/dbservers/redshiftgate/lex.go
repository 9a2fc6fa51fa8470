package redshiftgate

import (
	"strings"
	"unicode/utf8"
)

// tokenKind is what a token is.
type tokenKind int

const (
	word      tokenKind = iota // a keyword or a name: SELECT, app
	quoted                     // "Name"
	literal                    // 'text'
	dollar                     // $$text$$
	number                     // 42
	parameter                  // $1
	symbol                     // an operator or a bracket
)

// token is one token of a statement.
type token struct {
	kind tokenKind
	// text is the token as it was written.
	text string
	// value is the name, as it was written, or what the literal stands for.
	value string
	// gap is whether something stands between this token and the one before.
	gap bool
}

// is reports whether the token is a keyword, in any case, or a symbol.
func (t token) is(text string) bool {
	return t.kind == word && strings.EqualFold(t.text, text) || t.kind == symbol && t.text == text
}

// tokens reads a statement as PostgreSQL 8.0 does: a backslash escapes in every
// literal, and there is no E'...', U&'...' nor any other letter before a
// literal. Comments are left out. What has no end, and text that is not UTF-8,
// is an error, which holds nothing of the statement.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
// https://www.postgresql.org/docs/8.0/sql-syntax.html
func tokens(sql string) ([]token, error) {
	if !utf8.ValidString(sql) || strings.ContainsRune(sql, 0) {
		return nil, refusal("22021", "the statement is not valid UTF-8")
	}
	var out []token
	gap := false
	for len(sql) > 0 {
		t, taken, err := next(sql)
		if err != nil {
			return nil, err
		}
		rest := sql[taken:]
		if t.text == "" { // a blank or a comment
			gap, sql = true, rest
			continue
		}
		if t.kind == word && strings.HasPrefix(rest, "'") || strings.EqualFold(t.text, "u") && strings.HasPrefix(rest, "&'") {
			return nil, refusal("42601", "Redshift has no literal with a letter before its quote, such as E'...'")
		}
		if (t.kind == word || t.kind == quoted) && len(t.value) > maxName {
			return nil, longName(len(t.value))
		}
		t.gap = gap
		out = append(out, t)
		gap, sql = false, rest
	}
	return out, nil
}

// The longest names, in bytes: here, and in Redshift.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
const (
	maxName         = 63
	maxRedshiftName = 127
)

// longName is the error for a name that is too long.
func longName(length int) error {
	if length > maxRedshiftName {
		return refusal("42622", "a name of %d bytes is too long: Redshift takes 127", length)
	}
	return refusal("42622", "a name of %d bytes is too long for this stand-in, which takes 63: Redshift itself takes 127", length)
}

// next reads the token, the blank or the comment at the start of sql.
func next(sql string) (token, int, error) {
	c := sql[0]
	switch {
	case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
		return token{}, 1, nil
	case strings.HasPrefix(sql, "--"):
		if end := strings.IndexAny(sql, "\r\n"); end >= 0 {
			return token{}, end, nil
		}
		return token{}, len(sql), nil
	case strings.HasPrefix(sql, "/*"):
		return comment(sql)
	case c == '\'':
		return textLiteral(sql)
	case c == '"':
		return quotedName(sql)
	case c == '$':
		return dollarToken(sql)
	case startsName(c):
		n := 1
		for n < len(sql) && (startsName(sql[n]) || isDigit(sql[n]) || sql[n] == '$') {
			n++
		}
		return token{kind: word, text: sql[:n], value: sql[:n]}, n, nil
	case isDigit(c):
		n := 1
		for n < len(sql) && (isDigit(sql[n]) || sql[n] == '.') {
			n++
		}
		return token{kind: number, text: sql[:n], value: sql[:n]}, n, nil
	}
	for _, long := range []string{"::", "<=", ">=", "<>", "!=", "||", "!~", "~*"} {
		if strings.HasPrefix(sql, long) {
			return token{kind: symbol, text: long}, len(long), nil
		}
	}
	if !strings.ContainsRune("()[],;.=<>+-*/%~", rune(c)) {
		return token{}, 0, refusal("42601", "a character that Redshift does not know in a statement")
	}
	return token{kind: symbol, text: sql[:1]}, 1, nil
}

// comment is the comment at the start of sql, with those in it.
func comment(sql string) (token, int, error) {
	depth := 0
	for i := 0; i+1 < len(sql); {
		switch sql[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
		default:
			i++
		}
		if depth == 0 {
			return token{}, i, nil
		}
	}
	return token{}, 0, refusal("42601", "unterminated comment")
}

// textLiteral reads '...'. The escapes are those of PostgreSQL 8.0.
//
// https://www.postgresql.org/docs/8.0/sql-syntax.html#SQL-SYNTAX-STRINGS
func textLiteral(sql string) (token, int, error) {
	var value strings.Builder
	for i := 1; i < len(sql); {
		switch c := sql[i]; {
		case c == '\\' && i+1 < len(sql):
			taken := escaped(sql[i+1:], &value)
			i += 1 + taken
		case c == '\'' && i+1 < len(sql) && sql[i+1] == '\'':
			value.WriteByte('\'')
			i += 2
		case c == '\'':
			text := value.String()
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				return token{}, 0, refusal("22021", "a literal's escapes make text that is not valid UTF-8")
			}
			return token{kind: literal, text: sql[:i+1], value: text}, i + 1, nil
		default:
			value.WriteByte(c)
			i++
		}
	}
	return token{}, 0, refusal("42601", "unterminated quoted string")
}

// escaped reads what follows a backslash, and returns how much it was.
func escaped(sql string, into *strings.Builder) int {
	switch c := sql[0]; {
	case c == 'b':
		into.WriteByte('\b')
	case c == 'f':
		into.WriteByte('\f')
	case c == 'n':
		into.WriteByte('\n')
	case c == 'r':
		into.WriteByte('\r')
	case c == 't':
		into.WriteByte('\t')
	case '0' <= c && c <= '7':
		code, n := 0, 0
		for n < len(sql) && n < 3 && '0' <= sql[n] && sql[n] <= '7' {
			code = code<<3 | int(sql[n]-'0')
			n++
		}
		into.WriteByte(byte(code))
		return n
	default:
		into.WriteByte(c)
	}
	return 1
}

func quotedName(sql string) (token, int, error) {
	var value strings.Builder
	for i := 1; i < len(sql); {
		switch {
		case sql[i] == '"' && i+1 < len(sql) && sql[i+1] == '"':
			value.WriteByte('"')
			i += 2
		case sql[i] == '"' && i == 1:
			return token{}, 0, refusal("42601", "a name without a character")
		case sql[i] == '"':
			return token{kind: quoted, text: sql[:i+1], value: value.String()}, i + 1, nil
		default:
			value.WriteByte(sql[i])
			i++
		}
	}
	return token{}, 0, refusal("42601", "unterminated quoted identifier")
}

// dollarToken reads $1 and $$...$$, with which the body of a function is
// written.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_PROCEDURE.html
func dollarToken(sql string) (token, int, error) {
	n := 1
	for n < len(sql) && isDigit(sql[n]) {
		n++
	}
	if n > 1 {
		return token{kind: parameter, text: sql[:n], value: sql[1:n]}, n, nil
	}
	for n < len(sql) && (startsName(sql[n]) || isDigit(sql[n])) {
		n++
	}
	if n < len(sql) && sql[n] == '$' {
		tag := sql[:n+1]
		if end := strings.Index(sql[len(tag):], tag); end >= 0 {
			whole := 2*len(tag) + end
			return token{kind: dollar, text: sql[:whole], value: sql[len(tag) : len(tag)+end]}, whole, nil
		}
	}
	return token{}, 0, refusal("42601", "unterminated dollar-quoted string")
}

func startsName(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// folded is a name in lower case, as Redshift folds all names but those of
// users, quoted ones too: the letters of ASCII alone.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// statements splits tokens at their semicolons. Empty statements are left out.
func statements(all []token) [][]token {
	var out [][]token
	var current []token
	for _, t := range all {
		if !t.is(";") {
			current = append(current, t)
			continue
		}
		if len(current) > 0 {
			out = append(out, current)
		}
		current = nil
	}
	if len(current) > 0 {
		out = append(out, current)
	}
	return out
}

// shape is a statement for people to read, without its literals and names in
// quotes: there a password may be.
func shape(statement []token) string {
	const most = 24
	var words []string
	for i, t := range statement {
		if i == most {
			words = append(words, "...")
			break
		}
		switch t.kind {
		case literal, dollar:
			words = append(words, "'...'")
		case quoted:
			words = append(words, `"..."`)
		default:
			words = append(words, t.text)
		}
	}
	return strings.Join(words, " ")
}
