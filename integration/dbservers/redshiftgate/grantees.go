package redshiftgate

import "strings"

// grantee is one to whom a privilege is granted.
type grantee struct {
	kind   string // "user", "role", "group" or "public"
	name   string
	option bool // WITH GRANT OPTION
}

// sql is the grantee in PostgreSQL's words, which knows roles alone.
func (g grantee) sql() string {
	if g.kind == "public" {
		return "PUBLIC"
	}
	return quoteName(g.name)
}

// granteeSlot takes a user, ROLE r, GROUP g or PUBLIC. A user may be followed
// by WITH GRANT OPTION.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
func granteeSlot(m *match, name string) bool {
	var g grantee
	switch {
	case m.peek().is("public"):
		g.kind = "public"
	case (m.peek().is("role") || m.peek().is("group")) && isName(m.peekAt(1)):
		g.kind = strings.ToLower(m.peek().text)
		m.at++
		g.name = m.nameOf(m.peek(), false)
	case isName(m.peek()) && !strings.EqualFold(m.peek().value, "public"):
		g.kind, g.name = "user", m.nameOf(m.peek(), true)
	default:
		return false
	}
	m.take(g.sql())
	if g.kind == "user" && m.keywords("with", "grant", "option") {
		g.option = true
	}
	return m.keep(slot{name: name, value: g.name, sql: g.sql(), grantee: g})
}

// privilegeWords are all privileges that Redshift knows on objects, in the words
// of GRANT.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
var privilegeWords = map[string]bool{
	"SELECT": true, "INSERT": true, "UPDATE": true, "DELETE": true, "DROP": true, "REFERENCES": true, "ALTER": true, "TRUNCATE": true,
	"CREATE": true, "USAGE": true, "TEMP": true, "TEMPORARY": true, "EXECUTE": true, "SHARE": true, "ALL": true,
}

// privilegesSlot takes privileges, with commas between them, a slot for each.
func privilegesSlot(m *match, name string) bool {
	for {
		t := m.peek()
		privilege := strings.ToUpper(t.value)
		if t.kind != word || !privilegeWords[privilege] {
			return false
		}
		m.take(privilege)
		if privilege == "ALL" {
			m.keyword("privileges")
		}
		if privilege == "TEMPORARY" {
			privilege = "TEMP"
		}
		m.keep(slot{name: name, value: privilege, sql: privilege})
		if !m.keyword(",") {
			return true
		}
	}
}
