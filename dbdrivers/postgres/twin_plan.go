package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// step is one statement that makes the twin more like its sibling.
type step struct {
	sql string
	// what names it in the report, without values.
	what    string
	removes bool
	// parameter is the setting that it changes, where it changes one.
	parameter string
}

// plan is what is to be done about the differences, and what is left of them.
type plan struct {
	steps []step
	// kept are the differences that stay, because the twin is being taken over.
	kept []string
	// grants: a step grants the shared role.
	grants bool
}

// plan decides on each difference by how the twin is known. The first time it
// is taken over nothing is taken away; as long as it was never equal, what it
// owns stays; afterwards it may own nothing.
func (t *twin) plan(found []difference, f twinFacts) (plan, error) {
	var p plan
	first := f.twin.exists && f.mark == unmarked
	takenOver := first || f.twin.exists && f.mark == taken
	own := ofItsOwn(found)
	if len(own) > 0 && !takenOver {
		return p, t.owns(own, t.heirs(found))
	}
	p.kept = t.keeping(own, t.heirs(found))
	// With its sibling's role the twin would lose what is its own.
	actsAsItself := false
	for _, d := range found {
		actsAsItself = actsAsItself || takenOver && d.isOwn() || first && d.extra() && d.kind != ofSetting
	}
	// Settings are taken away before others of the same name, written in other
	// letters, are given.
	slices.SortStableFunc(found, func(a, b difference) int { return rank(a) - rank(b) })
	for _, d := range found {
		switch {
		case d.isOwn(), d.isLogin(), d.kind == ofActing:
			// What is its own is listed already, LOGIN is given last, and whom
			// its sibling acts as is not the twin's.
		case first && d.extra():
			p.kept = append(p.kept, d.name())
		case d.isRole() && actsAsItself:
			p.kept = append(p.kept, d.name()+": it acts as itself as long as it has something of its own")
		default:
			s, err := t.step(d)
			if err != nil {
				return p, err
			}
			p.steps = append(p.steps, s)
			p.grants = p.grants || d.kind == ofMembership || d.kind == ofAdminOption
		}
	}
	return p, nil
}

// rank puts what is taken away first, and the role last: the server checks it
// against the membership.
func rank(d difference) int {
	switch {
	case d.isRole():
		return 2
	case d.extra():
		return 0
	}
	return 1
}

func (d difference) isLogin() bool { return d.kind == ofAttribute && d.subject == "LOGIN" }

func (d difference) isRole() bool { return d.kind == ofSetting && d.subject == "role" }

// extra reports whether the twin has what its sibling has not.
func (d difference) extra() bool {
	switch d.kind {
	case ofOwned, ofOwn, ofExtraMembership, ofAdminOption:
		return true
	case ofSetting:
		return d.want.Null
	case ofAttribute:
		return strings.HasPrefix(d.want.Text, "NO")
	}
	return false
}

// name tells a difference in a report. It holds no value of a setting.
func (d difference) name() string {
	switch d.kind {
	case ofOwned, ofOwn:
		return d.subject + d.where() + " (" + d.want.Text + ")"
	case ofActing:
		return "the role that its sibling acts as" + d.where()
	case ofAttribute:
		return "attribute " + d.subject
	case ofAdminOption:
		return "ADMIN OPTION on " + identifier(d.subject)
	case ofMembership, ofExtraMembership:
		return "membership of " + identifier(d.subject)
	}
	return "setting " + d.subject + d.where()
}

func (d difference) where() string {
	if d.database == "" {
		return ""
	}
	return " in database " + identifier(d.database)
}

// step is the statement that removes a difference. GRANT's options came with
// version 16, and with it a grant became its grantor's.
//
// https://www.postgresql.org/docs/16/sql-grant.html
func (t *twin) step(d difference) (step, error) {
	s := step{what: d.name(), removes: d.extra()}
	name := identifier(t.req.Twin)
	grantedBy := ""
	if t.session.Major() >= 16 {
		grantedBy = " GRANTED BY " + identifier(d.have.Text)
	}
	switch d.kind {
	case ofAttribute:
		s.sql = "ALTER ROLE " + name + " "
		switch d.subject {
		case "CONNECTION LIMIT":
			s.sql += d.subject + " " + d.want.Text
		case "VALID UNTIL":
			literal, err := t.session.Quote(d.want.Text)
			if err != nil {
				return s, err
			}
			s.sql += d.subject + " " + literal
		default:
			s.sql += d.want.Text
		}
	case ofMembership:
		s.sql = t.grant(d.subject, name)
	case ofExtraMembership:
		s.sql = "REVOKE " + identifier(d.subject) + " FROM " + name + grantedBy
	case ofAdminOption:
		s.sql = "REVOKE ADMIN OPTION FOR " + identifier(d.subject) + " FROM " + name + grantedBy
	case ofSetting:
		sql, err := t.setting(d)
		if err != nil {
			return s, err
		}
		s.sql, s.parameter = sql, d.subject
	default:
		return s, fmt.Errorf("no statement removes this difference: %s", d.name())
	}
	return s, nil
}

// grant makes a role, or CURRENT_USER, a member that has another's privileges
// and may take it.
func (t *twin) grant(role, member string) string {
	sql := "GRANT " + identifier(role) + " TO " + member
	if t.session.Major() >= 16 {
		sql += " WITH INHERIT TRUE, SET TRUE"
	}
	return sql
}

// actsOtherwise reports whether it is the canonical account that does not act
// as the owner role.
func (d difference) actsOtherwise() bool {
	return d.kind == ofActing && !d.want.Null && d.want != d.have
}

// mustAct demands that the canonical account acts as the owner role, since the
// twin will.
func (t *twin) mustAct(found []difference) error {
	for _, d := range found {
		if !d.actsOtherwise() {
			continue
		}
		set := "ALTER ROLE " + identifier(t.req.Canonical)
		if d.database != "" {
			set += " IN DATABASE " + identifier(d.database)
		}
		return fmt.Errorf("%q acts as %q and not as the owner role; run: %s SET role = %s", t.req.Canonical, d.subject, set, identifier(t.shared))
	}
	return nil
}
