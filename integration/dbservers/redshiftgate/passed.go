package redshiftgate

import (
	"slices"
	"strings"
)

// absentFunctions are functions of PostgreSQL's that Redshift does not have, or
// has on its leader node alone and warns of.
//
// https://docs.aws.amazon.com/redshift/latest/dg/c_unsupported-postgresql-functions.html
var absentFunctions = []string{
	"aclexplode", "array_agg", "clock_timestamp", "format", "gen_random_uuid", "generate_series", "has_any_column_privilege",
	"has_column_privilege", "has_foreign_data_wrapper_privilege", "has_function_privilege", "has_language_privilege",
	"has_sequence_privilege", "has_server_privilege", "has_tablespace_privilege", "has_type_privilege", "json_agg", "jsonb_agg",
	"now_utc", "parse_ident", "pg_advisory_lock", "pg_advisory_xact_lock", "pg_has_role", "pg_sleep", "pg_try_advisory_lock",
	"pg_try_advisory_xact_lock", "quote_nullable", "statement_timestamp", "string_agg", "to_regclass", "to_regrole", "unnest",
}

// absentRelations are relations of PostgreSQL's that Redshift does not have.
var absentRelations = []string{
	"pg_auth_members", "pg_authid", "pg_db_role_setting", "pg_hba_file_rules", "pg_roles", "pg_settings_file", "pg_stat_ssl", "redshift_standin",
}

// absentWords are sequences of words that Redshift does not have.
//
// https://docs.aws.amazon.com/redshift/latest/dg/c_redshift-and-postgres-sql.html
var absentWords = [][]string{
	{"on", "conflict"}, {"returning"}, {"is", "distinct", "from"}, {"is", "not", "distinct", "from"}, {"lateral"}, {"filter", "("},
	{"array", "["}, {"row", "("}, {"from", "(", "values"}, {"select", "from"}, {"with", "ordinality"}, {"tablesample"},
	{"select", "into"}, {"for", "update"}, {"for", "share"}, {"~*"}, {"generated"}, {"serial"}, {"bigserial"}, {"uuid"}, {"jsonb"},
	{"json"}, {"bytea"}, {"inet"}, {"regclass"}, {"regrole"},
}

// leaderFunctions run on the leader node alone.
//
// https://docs.aws.amazon.com/redshift/latest/dg/c_SQL_functions_leader_node_only.html
var leaderFunctions = []string{
	"current_schema", "current_schemas", "has_database_privilege", "has_schema_privilege", "has_table_privilege",
}

// passed renders tokens that no pattern has looked at, with names folded and
// literals in PostgreSQL's words, unless they are something that Redshift does
// not have.
func passed(statement []token, keepsCase bool) (string, error) {
	m := &match{statement: statement, keepsCase: keepsCase}
	if err := refuseAbsent(statement); err != nil {
		return "", err
	}
	var out strings.Builder
	for i, t := range statement {
		if t.gap && i > 0 {
			out.WriteByte(' ')
		}
		switch t.kind {
		case literal:
			out.WriteString(quoteText(t.value))
		case quoted:
			out.WriteString(quoteName(m.nameOf(t, false)))
		default:
			out.WriteString(t.text)
		}
	}
	return out.String(), nil
}

// refuseAbsent refuses what Redshift does not have.
func refuseAbsent(statement []token) error {
	leader, compute := "", ""
	for i, t := range statement {
		name := ""
		if t.kind == word || t.kind == quoted {
			name = folded(t.value)
		}
		call := i+1 < len(statement) && statement[i+1].is("(")
		switch {
		case call && slices.Contains(absentFunctions, name):
			return refusal("42883", "function %s does not exist in Redshift", name)
		case call && name == "current_setting" && arguments(statement[i+1:]) > 1:
			return refusal("42883", "function current_setting with two arguments does not exist in Redshift")
		case slices.Contains(absentRelations, name):
			return refusal("42P01", "relation \"%s\" does not exist in Redshift", name)
		case slices.Contains(leaderFunctions, name):
			leader = name
		case strings.HasPrefix(name, "svv_") || strings.HasPrefix(name, "svl_") || strings.HasPrefix(name, "stl_"):
			compute = name
		}
		for _, words := range absentWords {
			if begins(statement[i:], words) {
				return refusal("42601", "Redshift has no %s", strings.ToUpper(strings.Join(words, " ")))
			}
		}
	}
	if leader != "" && compute != "" {
		return refusal("0A000", "Specified types or functions (one per INFO message) not supported on Redshift tables: %s runs on the leader node alone, and %s does not", leader, compute)
	}
	return nil
}

// begins reports whether a statement begins with words.
func begins(statement []token, words []string) bool {
	if len(statement) < len(words) {
		return false
	}
	for i, w := range words {
		if !statement[i].is(w) {
			return false
		}
	}
	return true
}

// arguments counts those of the call whose bracket the tokens begin with.
func arguments(tokens []token) int {
	depth, n := 0, 1
	for _, t := range tokens {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.is(",") && depth == 1:
			n++
		}
		if depth == 0 {
			return n
		}
	}
	return n
}
