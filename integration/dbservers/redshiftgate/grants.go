package redshiftgate

import (
	"fmt"
	"slices"
	"strings"
)

// objectKind is a kind of object that a privilege is on.
type objectKind struct {
	// name is the kind in the gate's own table.
	name string
	// keyword is what stands before the object in PostgreSQL's GRANT.
	keyword string
	// theirs are the privileges that PostgreSQL has, ours those that the gate
	// keeps by itself.
	theirs, ours []string
	// scopes are what a privilege may be scoped to.
	scopes []string
}

// The kinds of objects.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
var (
	relation = objectKind{
		name: "relation", keyword: "TABLE",
		theirs: []string{"SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES", "TRUNCATE"}, ours: []string{"DROP", "ALTER"},
	}
	allRelations   = objectKind{name: "relation", keyword: "ALL TABLES IN SCHEMA", theirs: relation.theirs}
	column         = objectKind{name: "column", keyword: "TABLE"}
	schema         = objectKind{name: "schema", keyword: "SCHEMA", theirs: []string{"CREATE", "USAGE"}, ours: []string{"ALTER", "DROP"}}
	database       = objectKind{name: "database", keyword: "DATABASE", theirs: []string{"CREATE", "TEMP"}, ours: []string{"USAGE", "ALTER"}}
	routine        = objectKind{name: "routine"}
	language       = objectKind{name: "language", keyword: "LANGUAGE", theirs: []string{"USAGE"}}
	datashare      = objectKind{name: "datashare", ours: []string{"ALTER", "SHARE"}}
	model          = objectKind{name: "model", ours: []string{"EXECUTE"}}
	scopedSchema   = objectKind{name: "schema", ours: scopedPrivileges, scopes: []string{"TABLES", "FUNCTIONS"}}
	scopedDatabase = objectKind{name: "database", ours: scopedPrivileges, scopes: []string{"SCHEMAS", "TABLES", "FUNCTIONS", "LANGUAGES"}}
)

// scopedPrivileges may be granted for all objects of a kind.
//
// https://docs.aws.amazon.com/redshift/latest/dg/t_scoped-permissions-considerations.html
var scopedPrivileges = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "DROP", "REFERENCES", "ALTER", "TRUNCATE", "CREATE", "USAGE", "EXECUTE"}

func grantForm(kind objectKind, middle string) form {
	return formOf("r_GRANT.html", "GRANT "+middle+" TO {grantee} [ , {grantee} ]*", kind.says)
}

func revokeForm(kind objectKind, middle string) form {
	return formOf("r_REVOKE.html", "REVOKE [ GRANT OPTION FOR ] "+middle+" FROM {grantee} [ , {grantee} ]*", kind.says)
}

// says is GRANT or REVOKE of privileges on one object.
func (kind objectKind) says(m *match) ([]part, error) {
	revoke := m.statement[0].is("revoke")
	optionFor := revoke && m.statement[1].is("grant")
	var parts []part
	for _, to := range m.all("grantee") {
		g := to.grantee
		if (optionFor || g.option) && kind.name == column.name {
			return nil, refusal("0A000", "Redshift has no grant option on columns")
		}
		if revoke && g.option {
			return nil, refusal("42601", "REVOKE is not said WITH GRANT OPTION")
		}
		parts = append(parts, exists(g))
		more, err := kind.change(m, grantChange{revoke: revoke, optionFor: optionFor, to: g})
		if err != nil {
			return nil, err
		}
		parts = append(parts, more...)
	}
	return tagged(parts, m.statement[0].text), nil
}

// grantChange is a grant to one grantee, or a revocation from one.
type grantChange struct {
	revoke, optionFor bool
	to                grantee
}

// theirs is the change in PostgreSQL's words.
func (c grantChange) theirs(privileges, on string) part {
	if c.revoke {
		option := ""
		if c.optionFor {
			option = "GRANT OPTION FOR "
		}
		return part{sql: "REVOKE " + option + privileges + " ON " + on + " FROM " + c.to.sql()}
	}
	option := ""
	if c.to.option {
		option = " WITH GRANT OPTION"
	}
	return part{sql: "GRANT " + privileges + " ON " + on + " TO " + c.to.sql() + option}
}

// ours is the change in the gate's own table.
func (c grantChange) ours(kind, object, detail, privilege, scope, owner string) part {
	return part{hidden: true, sql: fmt.Sprintf("SELECT redshift_standin.note(%t, %t, %s, %s, %s, %s, %s, %s, %s, %s, %t)",
		c.revoke, c.optionFor, quoteText(kind), quoteText(object), quoteText(detail), quoteText(privilege), quoteText(scope), quoteText(owner),
		quoteText(c.to.kind), quoteText(c.to.name), c.to.option)}
}

func (kind objectKind) change(m *match, c grantChange) ([]part, error) {
	object := m.get("object")
	switch kind.name {
	case column.name:
		privilege := m.columnPrivilege()
		return []part{c.theirs(privilege+" ("+m.get("column").sql+")", "TABLE "+object.sql)}, nil
	case routine.name:
		keyword := "FUNCTION "
		if slices.ContainsFunc(m.statement, func(t token) bool { return t.is("procedure") }) {
			keyword = "PROCEDURE "
		}
		return []part{c.theirs("EXECUTE", keyword+object.sql+"("+m.get("types").sql+")")}, nil
	}
	privileges, err := kind.privileges(m)
	if err != nil {
		return nil, err
	}
	scope := m.get("scope").value
	if scope != "" && (!slices.Contains(kind.scopes, scope) || c.to.kind == "group" || c.to.kind == "public") {
		return nil, refusal("42601", "Redshift has no such scope, or none for this grantee: %s", shape(m.statement))
	}
	var parts []part
	for _, p := range privileges {
		switch {
		case !slices.Contains(kind.theirs, p):
			parts = append(parts, c.ours(kind.name, object.sql, "", p, scope, ""))
		default:
			if !c.revoke && kind.keyword == relation.keyword && (p == "SELECT" || p == "UPDATE") {
				parts = append(parts, noColumns(object.sql, p, c.to))
			}
			if kind.name == schema.name && p != "USAGE" {
				parts = append(parts, part{hidden: true, sql: "SELECT redshift_standin.not_external(" + quoteText(object.value) + ")"})
			}
			parts = append(parts, c.theirs(p, kind.keyword+" "+object.sql))
		}
	}
	return parts, nil
}

// columnPrivilege is the privilege of a form on a column, which stands before
// the bracket.
func (m *match) columnPrivilege() string {
	for i, t := range m.statement {
		if t.is("(") {
			return strings.ToUpper(m.statement[i-1].text)
		}
	}
	return ""
}

// privileges are those of the statement, each of which the kind must have.
func (kind objectKind) privileges(m *match) ([]string, error) {
	had := slices.Concat(kind.theirs, kind.ours)
	var out []string
	for _, p := range m.all("privileges") {
		if p.value == "ALL" && len(kind.scopes) == 0 {
			out = append(out, had...)
			continue
		}
		if !slices.Contains(had, p.value) {
			return nil, refusal("0LP01", "Redshift has no privilege %s on a %s", p.value, kind.name)
		}
		out = append(out, p.value)
	}
	if len(out) == 0 { // a keyword of the pattern itself
		at := 1
		if m.statement[1].is("grant") {
			at = 4
		}
		out = append(out, strings.ToUpper(m.statement[at].text))
	}
	return out, nil
}

// noColumns refuses a privilege on a table where its like is held on one of its
// columns.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT-usage-notes.html
func noColumns(table, privilege string, to grantee) part {
	return part{hidden: true, sql: fmt.Sprintf("SELECT redshift_standin.no_columns(%s, %s, %s)", quoteText(table), quoteText(privilege), quoteText(to.name))}
}

// exists refuses a grantee that there is not, or that is of another kind.
func exists(g grantee) part {
	return part{hidden: true, sql: fmt.Sprintf("SELECT redshift_standin.identity(%s, %s)", quoteText(g.kind), quoteText(g.name))}
}

// tagged makes parts the answer to one statement: only the last tells that it
// is done, in the words of a keyword.
func tagged(parts []part, keyword string) []part {
	for i := range parts {
		parts[i].hidden = true
	}
	parts[len(parts)-1].hidden = false
	parts[len(parts)-1].tag = strings.ToUpper(keyword)
	return parts
}

// saysGrantRole is GRANT ROLE and REVOKE ROLE.
func saysGrantRole(m *match) ([]part, error) {
	role, to := m.get("name"), m.get("user")
	parts := []part{exists(grantee{kind: "role", name: role.value})}
	revoke := m.statement[0].is("revoke")
	if to.sql == "" {
		to = m.get("member")
		parts = append(parts, exists(grantee{kind: "role", name: to.value}))
	} else {
		parts = append(parts, exists(grantee{kind: "user", name: to.value}))
	}
	option := m.statement[len(m.statement)-1].is("option")
	switch {
	case !revoke && option:
		parts = append(parts, part{sql: "GRANT " + role.sql + " TO " + to.sql + " WITH ADMIN OPTION"})
	case !revoke:
		parts = append(parts, part{sql: "GRANT " + role.sql + " TO " + to.sql})
	case m.statement[1].is("admin"):
		parts = append(parts, part{sql: "REVOKE ADMIN OPTION FOR " + role.sql + " FROM " + to.sql})
	default:
		parts = append(parts, part{sql: "REVOKE " + role.sql + " FROM " + to.sql})
	}
	return tagged(parts, m.statement[0].text), nil
}

// defaultRole is what svv_iam_privileges shows for ON DEFAULT.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_IAM_PRIVILEGES.html
const defaultRole = "default-aws-iam-role"

// saysAssumeRole is GRANT ASSUMEROLE and REVOKE ASSUMEROLE.
func saysAssumeRole(m *match) ([]part, error) {
	to := m.get("grantee").grantee
	if to.option {
		return nil, refusal("42601", "ASSUMEROLE is not granted WITH GRANT OPTION")
	}
	arn := m.get("arn").value
	switch {
	case arn != "" && !strings.HasPrefix(arn, "arn:"):
		return nil, refusal("22023", "%q is no ARN of a role; DEFAULT and ALL are said without quotes", arn)
	case arn != "":
	case m.statement[3].is("default"):
		arn = defaultRole
	default:
		arn = "ALL"
	}
	command := ""
	for i := len(m.statement) - 1; !m.statement[i].is("for"); i-- {
		command = strings.TrimSpace(strings.ToUpper(m.statement[i].text) + " " + command)
	}
	if command == "EXTERNAL FUNCTION" {
		command = "EXFUNC"
	}
	c := grantChange{revoke: m.statement[0].is("revoke"), to: to}
	return tagged([]part{exists(to), c.ours("iam", arn, "", command, "", "")}, m.statement[0].text), nil
}

// saysDefault is ALTER DEFAULT PRIVILEGES.
func saysDefault(m *match) ([]part, error) {
	revoke := m.has("revoke") || slices.ContainsFunc(m.statement, func(t token) bool { return t.is("revoke") })
	optionFor := slices.ContainsFunc(m.statement, func(t token) bool { return t.is("option") }) && revoke
	to := m.get("grantee").grantee
	c := grantChange{revoke: revoke, optionFor: optionFor, to: to}
	objects := m.get("objects").value
	kind := map[string]objectKind{
		"TABLES":     relation,
		"FUNCTIONS":  {name: "function", theirs: []string{"EXECUTE"}},
		"PROCEDURES": {name: "procedure", ours: []string{"EXECUTE"}},
	}[objects]
	if kind.name == "" {
		return nil, refusal("42601", "Redshift has no default privileges on %s", objects)
	}
	privileges, err := kind.privileges(m)
	if err != nil {
		return nil, err
	}
	owner, in := m.get("owner"), m.get("schema")
	parts := []part{exists(to)}
	intro := "ALTER DEFAULT PRIVILEGES"
	if owner.sql != "" {
		parts = append(parts, exists(grantee{kind: "user", name: owner.value}))
		intro += " FOR ROLE " + owner.sql
	}
	if in.sql != "" {
		intro += " IN SCHEMA " + in.sql
	}
	for _, p := range privileges {
		if slices.Contains(kind.theirs, p) {
			parts = append(parts, part{sql: intro + " " + c.theirs(p, objects).sql})
			continue
		}
		parts = append(parts, c.ours("default", in.value, objects, p, "", owner.value))
	}
	return tagged(parts, "ALTER DEFAULT PRIVILEGES"), nil
}
