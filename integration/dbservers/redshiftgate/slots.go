package redshiftgate

import (
	"strings"
)

// slotKinds are what a slot of a pattern may take.
var slotKinds = map[string]func(m *match, name string) bool{
	"user":       userSlot,
	"name":       nameSlot,
	"qname":      qualifiedSlot,
	"text":       textSlot,
	"int":        intSlot,
	"setting":    settingSlot,
	"value":      valueSlot,
	"types":      typesSlot,
	"grantee":    granteeSlot,
	"privileges": privilegesSlot,
	"word":       wordSlot,
	"rest":       restSlot,
}

// reservedWords are keywords that stand for no name unless they are quoted:
// those of Redshift's that a pattern might take for one.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_pg_keywords.html
var reservedWords = map[string]bool{
	"all": true, "and": true, "as": true, "column": true, "create": true, "current_user": true, "default": true, "disable": true,
	"for": true, "from": true, "grant": true, "group": true, "in": true, "not": true, "null": true, "on": true, "or": true, "select": true,
	"session_user": true, "set": true, "table": true, "to": true, "union": true, "user": true, "using": true, "where": true, "with": true,
}

// isName reports whether a token may be a name.
func isName(t token) bool {
	return t.kind == quoted || t.kind == word && !reservedWords[folded(t.value)]
}

// nameOf is the name that a token means. Only users' names keep their case in
// quotes.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
func (m *match) nameOf(t token, user bool) string {
	if t.kind == quoted && (user || m.keepsCase) {
		return t.value
	}
	return folded(t.value)
}

func userSlot(m *match, name string) bool {
	t := m.peek()
	if !isName(t) || strings.EqualFold(t.value, "public") {
		return false
	}
	user := m.nameOf(t, true)
	m.take(quoteName(user))
	return m.keep(slot{name: name, value: user, sql: quoteName(user)})
}

func nameSlot(m *match, name string) bool {
	t := m.peek()
	if !isName(t) {
		return false
	}
	value := m.nameOf(t, false)
	m.take(quoteName(value))
	return m.keep(slot{name: name, value: value, sql: quoteName(value)})
}

// qualifiedSlot takes schema.table, or table alone.
func qualifiedSlot(m *match, name string) bool {
	first := m.peek()
	if !isName(first) {
		return false
	}
	value, sql := m.nameOf(first, false), quoteName(m.nameOf(first, false))
	m.at++
	if m.peek().is(".") && isName(m.peekAt(1)) {
		second := m.nameOf(m.peekAt(1), false)
		value, sql = value+"."+second, sql+"."+quoteName(second)
		m.at += 2
	}
	m.out = append(m.out, sql)
	return m.keep(slot{name: name, value: value, sql: sql})
}

func textSlot(m *match, name string) bool {
	t := m.peek()
	if t.kind != literal {
		return false
	}
	m.take(quoteText(t.value))
	return m.keep(slot{name: name, value: t.value, sql: quoteText(t.value)})
}

func intSlot(m *match, name string) bool {
	t := m.peek()
	if t.kind != number || strings.Contains(t.text, ".") {
		return false
	}
	m.take(t.text)
	return m.keep(slot{name: name, value: t.text, sql: t.text})
}

// settingSlot takes the name of a setting. Those that PostgreSQL does not know
// get a prefix, by which it takes any.
//
// https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_ConfigurationRef.html
func settingSlot(m *match, name string) bool {
	t := m.peek()
	if t.kind != word || reservedWords[folded(t.value)] {
		return false
	}
	value := folded(t.value)
	m.at++
	if m.peek().is(".") && m.peekAt(1).kind == word {
		value += "." + folded(m.peekAt(1).value)
		m.at += 2
	}
	sql := value
	if redshiftSettings[value] {
		sql = settingPrefix + value
	}
	m.out = append(m.out, sql)
	return m.keep(slot{name: name, value: value, sql: sql})
}

// settingPrefix stands before the settings that Redshift alone has.
const settingPrefix = "redshift_standin."

// redshiftSettings are those that PostgreSQL does not know.
var redshiftSettings = map[string]bool{
	"analyze_threshold_percent": true, "auto_mv": true, "datashare_break_glass_session_var": true, "describe_field_name_in_uppercase": true,
	"downcase_delimited_identifier": true, "enable_case_sensitive_identifier": true, "enable_case_sensitive_super_attribute": true,
	"enable_numeric_rounding": true, "enable_result_cache_for_session": true, "enable_vacuum_boost": true,
	"error_on_nondeterministic_update": true, "json_serialization_enable": true, "json_serialization_parse_nested_strings": true,
	"max_concurrency_scaling_clusters": true, "mv_enable_aqmv_for_session": true, "navigate_super_null_on_error": true,
	"parse_super_null_on_error": true, "pg_federation_repeatable_read": true, "query_group": true,
	"spectrum_enable_pseudo_columns": true, "spectrum_query_maxerror": true, "stored_proc_log_min_messages": true,
	"use_fips_ssl": true, "wlm_query_slot_count": true,
}

// valueSlot takes the values of a setting: literals, words, numbers, with
// commas between them.
func valueSlot(m *match, name string) bool {
	var values, sql []string
	for {
		t := m.peek()
		switch t.kind {
		case literal:
			sql = append(sql, quoteText(t.value))
		case quoted:
			sql = append(sql, quoteName(m.nameOf(t, false)))
		case word, number:
			sql = append(sql, t.text)
		default:
			return false
		}
		values = append(values, t.value)
		m.at++
		if !m.peek().is(",") {
			break
		}
		m.at++
	}
	joined := strings.Join(sql, ", ")
	m.out = append(m.out, joined)
	return m.keep(slot{name: name, value: strings.Join(values, ", "), sql: joined})
}

// typesSlot takes the types of a function's arguments, with the brackets.
func typesSlot(m *match, name string) bool {
	if !m.peek().is("(") {
		return false
	}
	m.take("(")
	from := len(m.out)
	for depth := 1; depth > 0; {
		t := m.peek()
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.kind != word && t.kind != quoted && t.kind != number && !t.is(",") && !t.is(".") && !t.is("[") && !t.is("]"):
			return false
		}
		sql := t.text
		if t.kind == quoted {
			sql = quoteName(m.nameOf(t, false))
		}
		m.take(sql)
	}
	return m.keep(slot{name: name, sql: strings.Join(m.out[from:len(m.out)-1], " ")})
}

// wordSlot takes one word, and keeps it in upper case.
func wordSlot(m *match, name string) bool {
	t := m.peek()
	if t.kind != word {
		return false
	}
	value := strings.ToUpper(t.value)
	m.take(value)
	return m.keep(slot{name: name, value: value, sql: value})
}

// restSlot takes all that is left, as long as it is nothing that Redshift does
// not have.
func restSlot(m *match, name string) bool {
	from := m.at
	for m.at < len(m.statement) {
		m.at++
	}
	sql, err := passed(m.statement[from:], m.keepsCase)
	if err != nil {
		return false
	}
	m.out = append(m.out, sql)
	return m.keep(slot{name: name, sql: sql})
}

// quoteName makes a name part of a statement of PostgreSQL's.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteText makes text a literal of PostgreSQL's, whatever its
// standard_conforming_strings.
func quoteText(text string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}
