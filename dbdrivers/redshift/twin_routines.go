package redshift

import (
	"context"
	"fmt"
	"regexp"
)

// routine names a function or a procedure with its arguments, as both
// catalogues word them.
type routine struct{ schema, name, arguments string }

// askRoutines reads all procedures, which the view of privileges does not tell
// from functions, and what the two accounts own.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_PG_PROC_INFO.html
const askRoutines = "SELECT n.nspname, p.proname, oidvectortypes(p.proargtypes), p.prokind, u.usename FROM pg_catalog.pg_proc_info p, pg_catalog.pg_namespace n, pg_catalog.pg_user u WHERE n.oid = p.pronamespace AND u.usesysid = p.proowner AND (p.prokind = 'p' OR u.usename IN ($1, $2))"

// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_FUNCTION_PRIVILEGES.html
const askRoutineRights = "SELECT namespace_name, function_name, argument_types, privilege_type, identity_name, admin_option FROM pg_catalog.svv_function_privileges" + direct

// argumentTypes are names of types and commas. They cannot be quoted as one.
var argumentTypes = regexp.MustCompile(`^[A-Za-z0-9_ ,.()"\[\]]*$`)

// readRoutines adds the rights on functions and procedures, and what of them
// the two accounts own.
func (t *twin) readRoutines(ctx context.Context, into map[string]rights, owned map[string][]object) error {
	rows, err := ask(ctx, t.session, askRoutines, t.req.Canonical, t.req.Twin)
	if err != nil {
		return err
	}
	procedures := make(map[routine]bool)
	for _, row := range rows {
		if len(row) != 5 {
			return errAnswer
		}
		r := routine{row[0].Text, row[1].Text, row[2].Text}
		procedure := row[3].Text == "p"
		if procedure {
			procedures[r] = true
		}
		_, ours := into[row[4].Text]
		switch {
		case !ours && !procedure:
			return errAnswer
		case !ours || internal(r.schema):
			continue
		}
		words, err := t.routineWords(r, procedure)
		if err != nil {
			return err
		}
		owned[row[4].Text] = append(owned[row[4].Text], object{words: words, alter: words, privileges: []string{"EXECUTE"}})
	}
	rows, err = ask(ctx, t.session, askRoutineRights, t.req.Canonical, t.req.Twin)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if len(row) != 6 {
			return errAnswer
		}
		r := routine{row[0].Text, row[1].Text, row[2].Text}
		words, err := t.routineWords(r, procedures[r])
		if err != nil {
			return err
		}
		privilege, err := privilegeOf(row[3].Text)
		if err != nil {
			return err
		}
		if err := hold(into, row[4].Text, t.right(privilege+" ON "+words), row[5].Is()); err != nil {
			return err
		}
	}
	return nil
}

func (t *twin) routineWords(r routine, procedure bool) (string, error) {
	if !argumentTypes.MatchString(r.arguments) {
		return "", fmt.Errorf("%w: it shows arguments of types %q", errAnswer, r.arguments)
	}
	kind := "FUNCTION "
	if procedure {
		kind = "PROCEDURE "
	}
	return kind + t.quoted(r.schema, r.name) + "(" + r.arguments + ")", nil
}
