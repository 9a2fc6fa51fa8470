package redshift

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// right is one direct grant, as the words of the statement that gives it to
// the twin. Two rights are the same where the words are.
type right struct {
	// prefix is ALTER DEFAULT PRIVILEGES and its like, with a blank at its end.
	prefix string
	// words are what is granted, and on what.
	words string
	// to is who is granted it: the twin, but for its own default privileges.
	to string
	// tail follows the grantee.
	tail string
	// whole is, of a column's privilege, the same on the whole table.
	whole string
}

// rights are those of one account, and whether it may pass them on.
type rights map[right]bool

func (r right) option() string {
	if strings.HasPrefix(r.words, "ROLE ") {
		return "ADMIN OPTION"
	}
	return "GRANT OPTION"
}

func (r right) grant(option bool) string {
	if r.isGroup() {
		return "ALTER " + r.words + " ADD USER " + r.to
	}
	sql := r.prefix + "GRANT " + r.words + " TO " + r.to
	if option {
		sql += " WITH " + r.option()
	}
	return sql + r.tail
}

func (r right) revoke() string {
	if r.isGroup() {
		return "ALTER " + r.words + " DROP USER " + r.to
	}
	return r.prefix + "REVOKE " + r.words + " FROM " + r.to + r.tail
}

func (r right) revokeOption() string {
	return r.prefix + "REVOKE " + r.option() + " FOR " + r.words + " FROM " + r.to + r.tail
}

func (r right) isGroup() bool { return strings.HasPrefix(r.words, "GROUP ") }

// joins reports whether one GRANT may give a right together with others on the
// same object, and what the two parts of its words are.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
func (r right) joins() (privilege, on string, joins bool) {
	privilege, on, found := strings.Cut(r.words, " ON ")
	kind, _, _ := strings.Cut(on, " ")
	return privilege, on, found && r.prefix == "" && r.tail == "" && privilegeWords.MatchString(privilege) &&
		(kind == "TABLE" || kind == "SCHEMA" || kind == "DATABASE")
}

// name tells a right in a report.
func (r right) name() string {
	name := r.words + r.tail
	if r.prefix != "" {
		name = strings.TrimPrefix(r.prefix, "ALTER ") + name + " to " + r.to
	}
	return name
}

// A view lists direct grants of one kind. Its statement has the two accounts as
// parameters, and a row the grantee in the column account.
//
// https://docs.aws.amazon.com/redshift/latest/dg/svv_views.html
type view struct {
	sql     string
	columns int
	// account and option are columns; option is -1 where there is none.
	account, option int
	// right makes one of a row, or none where the row counts for nothing.
	right func(t *twin, row []string) (right, error)
}

const direct = " WHERE identity_type = 'user' AND identity_name IN ($1, $2)"

var views = []view{
	{ // https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_USER_GRANTS.html
		sql: askRoles, columns: 3, account: 0, option: 2,
		right: func(t *twin, row []string) (right, error) { return t.right("ROLE " + t.quoted(row[1])), nil },
	},
	{ // https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_RELATION_PRIVILEGES.html
		sql:     "SELECT namespace_name, relation_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_relation_privileges" + direct,
		columns: 5, account: 3, option: 4,
		right: func(t *twin, row []string) (right, error) {
			privilege, err := privilegeOf(row[2])
			return t.right(privilege + " ON TABLE " + t.quoted(row[0], row[1])), err
		},
	},
	{ // https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_COLUMN_PRIVILEGES.html
		sql:     "SELECT namespace_name, relation_name, column_name, privilege_type, identity_name FROM pg_catalog.svv_column_privileges" + direct,
		columns: 5, account: 4, option: -1,
		right: func(t *twin, row []string) (right, error) {
			privilege, err := privilegeOf(row[3])
			table := " ON TABLE " + t.quoted(row[0], row[1])
			r := t.right(privilege + " (" + t.quoted(row[2]) + ")" + table)
			r.whole = privilege + table
			return r, err
		},
	},
	{ // https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_SCHEMA_PRIVILEGES.html
		sql:     "SELECT namespace_name, privilege_type, privilege_scope, identity_name, admin_option FROM pg_catalog.svv_schema_privileges" + direct,
		columns: 5, account: 3, option: 4,
		right: func(t *twin, row []string) (right, error) { return t.scoped("SCHEMA", row[0], row[1], row[2]) },
	},
	{ // https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_DATABASE_PRIVILEGES.html
		sql:     "SELECT database_name, privilege_type, privilege_scope, identity_name, admin_option FROM pg_catalog.svv_database_privileges" + direct,
		columns: 5, account: 3, option: 4,
		right: func(t *twin, row []string) (right, error) { return t.scoped("DATABASE", row[0], row[1], row[2]) },
	},
	{ // https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_LANGUAGE_PRIVILEGES.html
		sql:     "SELECT language_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_language_privileges" + direct,
		columns: 4, account: 2, option: 3,
		right: func(t *twin, row []string) (right, error) {
			privilege, err := privilegeOf(row[1])
			return t.right(privilege + " ON LANGUAGE " + t.quoted(row[0])), err
		},
	},
	{ // https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_DATASHARE_PRIVILEGES.html
		sql:     "SELECT datashare_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_datashare_privileges" + direct,
		columns: 4, account: 2, option: 3,
		right: func(t *twin, row []string) (right, error) {
			privilege, err := privilegeOf(row[1])
			return t.right(privilege + " ON DATASHARE " + t.quoted(row[0])), err
		},
	},
	{ // https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_ML_MODEL_PRIVILEGES.html
		sql:     "SELECT namespace_name, model_name, privilege_type, identity_name, admin_option FROM pg_catalog.svv_ml_model_privileges" + direct,
		columns: 5, account: 3, option: 4,
		right: func(t *twin, row []string) (right, error) {
			privilege, err := privilegeOf(row[2])
			return t.right(privilege + " ON MODEL " + t.quoted(row[0], row[1])), err
		},
	},
	{ // https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_IAM_PRIVILEGES.html
		sql:     "SELECT iam_arn, command_type, identity_name FROM pg_catalog.svv_iam_privileges" + direct,
		columns: 3, account: 2, option: -1,
		right: func(t *twin, row []string) (right, error) { return t.assumeRole(row[0], row[1]) },
	},
}

// right is a right of the twin itself.
func (t *twin) right(words string) right { return right{words: words, to: identifier(t.req.Twin)} }

// quoted quotes names of objects, which are as the catalogue has them.
func (t *twin) quoted(names ...string) string {
	t.capitals = t.capitals || slices.ContainsFunc(names, folds)
	return identifier(names...)
}

// privilegeWords are what a privilege is named by, and cannot be quoted.
var privilegeWords = regexp.MustCompile(`^[A-Z]+( [A-Z]+)*$`)

func privilegeOf(text string) (string, error) {
	privilege := strings.ToUpper(strings.TrimSpace(text))
	if privilege == "TEMPORARY" {
		return "TEMP", nil
	}
	if !privilegeWords.MatchString(privilege) {
		return "", fmt.Errorf("%w: it shows a privilege named %q", errAnswer, text)
	}
	return privilege, nil
}

// scopes are kinds of objects in a schema or a database that a permission is
// for, whichever there are and will be.
//
// https://docs.aws.amazon.com/redshift/latest/dg/t_scoped-permissions.html
var scopes = []string{"SCHEMAS", "TABLES", "FUNCTIONS", "PROCEDURES", "LANGUAGES"}

func (t *twin) scoped(container, name, privilege, scope string) (right, error) {
	privilege, err := privilegeOf(privilege)
	if err != nil {
		return right{}, err
	}
	in := container + " " + t.quoted(name)
	scope = strings.ToUpper(strings.TrimSpace(scope))
	switch {
	case scope == "" || scope == container:
		return t.right(privilege + " ON " + in), nil
	case slices.Contains(scopes, scope):
		return t.right(privilege + " FOR " + scope + " IN " + in), nil
	}
	return right{}, fmt.Errorf("%w: it shows a permission of scope %q on %s, which is not known here", errAnswer, scope, in)
}

// commands are what svv_iam_privileges calls otherwise than GRANT does.
var commands = map[string]string{"EXFUNC": "EXTERNAL FUNCTION"}

// defaultRole is how svv_iam_privileges shows what GRANT calls DEFAULT.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_IAM_PRIVILEGES.html
const defaultRole = "default-aws-iam-role"

func (t *twin) assumeRole(arn, command string) (right, error) {
	command, err := privilegeOf(command)
	if err != nil {
		return right{}, err
	}
	if full, found := commands[command]; found {
		command = full
	}
	on := strings.ToUpper(arn)
	switch {
	case on == strings.ToUpper(defaultRole):
		on = "DEFAULT"
	case on != "DEFAULT" && on != "ALL":
		if on, err = literal(arn); err != nil {
			return right{}, err
		}
	}
	r := t.right("ASSUMEROLE ON " + on)
	r.tail = " FOR " + command
	return r, nil
}

// readViews adds what the two accounts are granted to their rights.
func (t *twin) readViews(ctx context.Context, into map[string]rights) error {
	for _, v := range views {
		rows, err := ask(ctx, t.session, v.sql, t.req.Canonical, t.req.Twin)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if len(row) != v.columns {
				return errAnswer
			}
			r, err := v.right(t, texts(row))
			if err != nil {
				return err
			}
			if err := hold(into, row[v.account].Text, r, v.option >= 0 && row[v.option].Is()); err != nil {
				return err
			}
		}
	}
	return nil
}

// hold adds a right of an account, which may be in several rows. One of neither
// account was not asked for.
func hold(into map[string]rights, account string, r right, option bool) error {
	held := into[account]
	if held == nil {
		return errAnswer
	}
	held[r] = held[r] || option
	return nil
}

func texts(row []pgwire.Value) []string {
	out := make([]string, len(row))
	for i, value := range row {
		out[i] = value.Text
	}
	return out
}

// readGroups adds the groups that are not ours.
func (t *twin) readGroups(ctx context.Context, into map[string]rights) error {
	groups, err := groupsOf(ctx, t.session, t.req.Canonical, t.req.Twin)
	if err != nil {
		return err
	}
	for account, names := range groups {
		for _, group := range names {
			if isMarkGroup(group) {
				continue
			}
			if err := hold(into, account, t.right("GROUP "+t.quoted(group)), false); err != nil {
				return err
			}
		}
	}
	return nil
}
