package redshift

import (
	"context"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// askDefaults reads the default privileges by which the two accounts are
// granted something, and those that they define for what they make.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_DEFAULT_PRIVILEGES.html
const askDefaults = "SELECT schema_name, object_type, owner_name, privilege_type, grantee_name, grantee_type, admin_option FROM pg_catalog.svv_default_privileges WHERE grantee_type = 'user' AND grantee_name IN ($1, $2) OR owner_type = 'user' AND owner_name IN ($1, $2)"

// unsayable are privileges that the view shows where all were granted, and that no
// GRANT of Redshift's names: it has no rules, and no triggers.
var unsayable = map[string]bool{"RULE": true, "TRIGGER": true}

// defaultObjects are the view's words and the statement's.
var defaultObjects = map[string]string{"RELATION": "TABLES", "FUNCTION": "FUNCTIONS", "PROCEDURE": "PROCEDURES"}

// readDefaults adds default privileges. What one of the two defines for the
// other is between them: the twin has no such thing for itself.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_DEFAULT_PRIVILEGES.html
func (t *twin) readDefaults(ctx context.Context, into map[string]rights) error {
	rows, err := ask(ctx, t.session, askDefaults, t.req.Canonical, t.req.Twin)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := t.addDefault(into, row); err != nil {
			return err
		}
	}
	return nil
}

func (t *twin) addDefault(into map[string]rights, row []pgwire.Value) (err error) {
	if len(row) != 7 {
		return errAnswer
	}
	owner, grantee, kind := row[2].Text, row[4].Text, strings.ToLower(row[5].Text)
	granted := kind == "user" && into[grantee] != nil
	defines := into[owner] != nil
	switch {
	case !granted && !defines:
		return errAnswer
	case granted && defines:
		return nil
	}
	privilege, err := privilegeOf(row[3].Text)
	if err != nil {
		return err
	}
	if unsayable[privilege] {
		return nil
	}
	objects, found := defaultObjects[strings.ToUpper(row[1].Text)]
	if !found {
		return fmt.Errorf("%w: it shows default privileges on %q, which are not known here", errAnswer, row[1].Text)
	}
	account, r := grantee, t.right(privilege+" ON "+objects)
	if defines {
		if account, r.to = owner, "PUBLIC"; kind != "public" {
			if r.to, err = t.grantee(kind, grantee); err != nil {
				return err
			}
		}
		owner = t.req.Twin
	}
	r.prefix = "ALTER DEFAULT PRIVILEGES FOR USER " + identifier(owner) + " "
	if schema := row[0].Text; schema != "" {
		r.prefix += "IN SCHEMA " + t.quoted(schema) + " "
	}
	return hold(into, account, r, row[6].Is())
}

func (t *twin) grantee(kind, name string) (string, error) {
	switch kind {
	case "user":
		return identifier(name), nil
	case "group":
		return "GROUP " + t.quoted(name), nil
	case "role":
		return "ROLE " + t.quoted(name), nil
	}
	return "", fmt.Errorf("%w: it shows default privileges of a %q, which is not known here", errAnswer, kind)
}
