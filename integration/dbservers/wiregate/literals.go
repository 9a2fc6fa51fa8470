package wiregate

import (
	"strings"
	"unicode/utf8"
)

const maskedLiteral = "'...'"

// maskLiterals replaces every string literal of a statement by '...' and every
// comment by a space, by the rules of
// https://www.postgresql.org/docs/current/sql-syntax-lexical.html. What has no
// end is replaced to the end. backslashEscapes says whether a backslash escapes
// in every literal, and not just in E'...': the session's
// standard_conforming_strings is off.
func maskLiterals(sql string, backslashEscapes bool) string {
	var out strings.Builder
	for len(sql) > 0 {
		var taken int
		switch {
		case sql[0] == '\'':
			taken = quoted(sql, '\'', backslashEscapes)
			out.WriteString(maskedLiteral)
		case sql[0] == '"':
			taken = quoted(sql, '"', false)
			out.WriteString(sql[:taken])
		case strings.HasPrefix(sql, "--"):
			taken = len(sql)
			if end := strings.IndexAny(sql, "\r\n"); end >= 0 {
				taken = end
			}
			out.WriteByte(' ')
		case strings.HasPrefix(sql, "/*"):
			taken = comment(sql)
			out.WriteByte(' ')
		case sql[0] == '$':
			taken = dollarQuoted(sql)
			if taken > 0 {
				out.WriteString(maskedLiteral)
				break
			}
			taken = 1
			out.WriteByte('$')
		case startsWord(sql[0]):
			taken = word(sql)
			prefix := sql[:taken]
			out.WriteString(prefix)
			if strings.EqualFold(prefix, "e") && strings.HasPrefix(sql[taken:], "'") {
				taken += quoted(sql[taken:], '\'', true)
				out.WriteString(maskedLiteral)
			}
		default:
			_, taken = utf8.DecodeRuneInString(sql)
			out.WriteString(sql[:taken])
		}
		sql = sql[taken:]
	}
	return out.String()
}

// quoted is the length of what begins with quote at the start of sql. The quote
// twice is the quote itself.
func quoted(sql string, quote byte, backslash bool) int {
	for i := 1; i < len(sql); i++ {
		switch {
		case backslash && sql[i] == '\\':
			i++
		case sql[i] == quote && i+1 < len(sql) && sql[i+1] == quote:
			i++
		case sql[i] == quote:
			return i + 1
		}
	}
	return len(sql)
}

// comment is the length of the comment, with those nested in it, at the start
// of sql.
func comment(sql string) int {
	depth := 0
	for i := 0; i < len(sql); {
		switch {
		case strings.HasPrefix(sql[i:], "/*"):
			depth++
			i += 2
		case strings.HasPrefix(sql[i:], "*/"):
			depth--
			i += 2
		default:
			i++
		}
		if depth == 0 {
			return i
		}
	}
	return len(sql)
}

// dollarQuoted is the length of the dollar-quoted literal at the start of sql,
// or 0 if there is none: $1 is a parameter.
func dollarQuoted(sql string) int {
	end := 1
	if end < len(sql) && startsWord(sql[end]) {
		for end < len(sql) && (startsWord(sql[end]) || isDigit(sql[end])) {
			end++
		}
	}
	if end >= len(sql) || sql[end] != '$' {
		return 0
	}
	tag := sql[:end+1]
	if closing := strings.Index(sql[len(tag):], tag); closing >= 0 {
		return 2*len(tag) + closing
	}
	return len(sql)
}

// word is the length of the keyword or name at the start of sql. A dollar sign
// within it begins no literal.
func word(sql string) int {
	i := 1
	for i < len(sql) && (startsWord(sql[i]) || isDigit(sql[i]) || sql[i] == '$') {
		i++
	}
	return i
}

func startsWord(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
