package postgres

import (
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// lists are the settings whose value is a list of names, each quoted by
// itself. A literal for the whole would become one name. Of folded ones an
// unquoted name is taken in lower case.
//
// https://www.postgresql.org/docs/current/sql-alterrole.html
var lists = map[string]struct{ folded bool }{
	"search_path":               {folded: true},
	"temp_tablespaces":          {folded: true},
	"session_preload_libraries": {},
	"local_preload_libraries":   {},
	"shared_preload_libraries":  {},
	"unix_socket_directories":   {},
}

// elements splits the stored value of a list.
func elements(value string, folded bool) []string {
	var all []string
	for rest := strings.TrimSpace(value); rest != ""; {
		var element string
		if strings.HasPrefix(rest, `"`) {
			element, rest = unquoted(rest[1:])
			_, rest, _ = strings.Cut(rest, ",")
		} else {
			element, rest, _ = strings.Cut(rest, ",")
			element = strings.TrimSpace(element)
			if folded {
				element = lower(element)
			}
		}
		all = append(all, element)
		rest = strings.TrimSpace(rest)
	}
	if len(all) == 0 {
		// The empty list can only be written as one empty name.
		return []string{""}
	}
	return all
}

// unquoted reads up to the closing quote, and returns what follows it.
func unquoted(text string) (element, rest string) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, `"`)
		b.WriteString(before)
		if !found || !strings.HasPrefix(after, `"`) {
			return b.String(), after
		}
		b.WriteByte('"')
		text = after[1:]
	}
}

// lower folds as the server folds names: ASCII alone.
func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, name)
}

func sameList(d difference) bool {
	list, isList := lists[d.subject]
	return isList && !d.want.Null && !d.have.Null &&
		slices.Equal(elements(d.want.Text, list.folded), elements(d.have.Text, list.folded))
}

// setting is the statement that makes a setting of the twin its sibling's.
func (t *twin) setting(d difference) (string, error) {
	sql := "ALTER ROLE " + identifier(t.req.Twin)
	if d.database != "" {
		sql += " IN DATABASE " + identifier(d.database)
	}
	if d.want.Null {
		return sql + " RESET " + parameter(d.subject), nil
	}
	values := []string{d.want.Text}
	if list, isList := lists[d.subject]; isList {
		values = elements(d.want.Text, list.folded)
	}
	for i, value := range values {
		literal, err := t.session.Quote(value)
		if err != nil {
			return "", err
		}
		values[i] = literal
	}
	return sql + " SET " + parameter(d.subject) + " TO " + strings.Join(values, ", "), nil
}

// parameter quotes a setting's name, which may have dots.
func parameter(name string) string { return pgx.Identifier(strings.Split(name, ".")).Sanitize() }
