package mysqlgate

import "strings"

const maskedString = "'...'"

// maskStrings replaces every string of a statement by '...' and every comment
// by a space. What has no end is replaced to the end. A text in double quotes
// counts as a string, though the mode ANSI_QUOTES makes it a name.
//
// https://dev.mysql.com/doc/refman/9.7/en/string-literals.html
// https://dev.mysql.com/doc/refman/9.7/en/comments.html
func maskStrings(sql string, backslashEscapes bool) string {
	var out strings.Builder
	for len(sql) > 0 {
		taken := 1
		switch {
		case sql[0] == '\'' || sql[0] == '"':
			taken = quoted(sql, backslashEscapes)
			out.WriteString(maskedString)
		case sql[0] == '`':
			taken = quoted(sql, false)
			out.WriteString(sql[:taken])
		case strings.HasPrefix(sql, "/*"):
			taken = upTo(sql, "*/", 2)
			out.WriteByte(' ')
		case sql[0] == '#', strings.HasPrefix(sql, "-- "), strings.HasPrefix(sql, "--\t"), strings.HasPrefix(sql, "--\n"):
			taken = upTo(sql, "\n", 0)
			out.WriteByte(' ')
		default:
			out.WriteByte(sql[0])
		}
		sql = sql[taken:]
	}
	return out.String()
}

// quoted is the length of what stands in quotes at the start of sql. The quote
// twice is the quote itself.
func quoted(sql string, backslash bool) int {
	for i := 1; i < len(sql); i++ {
		switch {
		case backslash && sql[i] == '\\':
			i++
		case sql[i] == sql[0] && i+1 < len(sql) && sql[i+1] == sql[0]:
			i++
		case sql[i] == sql[0]:
			return i + 1
		}
	}
	return len(sql)
}

// upTo is the length of sql up to the end of the first end, which does not
// stand in the first bytes.
func upTo(sql, end string, first int) int {
	if at := strings.Index(sql[first:], end); at >= 0 {
		return first + at + len(end)
	}
	return len(sql)
}
