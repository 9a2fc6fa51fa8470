package redshift

import (
	"context"
	"fmt"
	"strings"
)

// Policies that are attached to accounts, to roles and to PUBLIC.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_ATTACHED_MASKING_POLICY.html
// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_RLS_ATTACHED_POLICY.html
const (
	askMasking     = "SELECT policy_name, schema_name, table_name, grantee, grantee_type FROM pg_catalog.svv_attached_masking_policy WHERE grantee IN ($1, $2)"
	askRowSecurity = "SELECT polname, relschema, relname, grantee, granteekind FROM pg_catalog.svv_rls_attached_policy WHERE grantee IN ($1, $2)"
)

const unseenNote = "the admin may not read svv_rls_attached_policy, so a policy of row-level security that is attached to one of the two accounts was not looked for; " +
	"as a superuser grant the admin the role sys:secadmin"

// policies refuses accounts that a policy is attached to by name: rows and
// values that it keeps from one of the two the other would see. It comes before
// the transaction, which would not outlive that the admin may not read.
func (t *twin) policies(ctx context.Context) error {
	if err := run(ctx, t.session, timeout(ctx)); err != nil {
		return t.failed(err)
	}
	found, err := t.attached(ctx, "masking policy", askMasking)
	if err != nil {
		return t.unread(err)
	}
	more, err := t.attached(ctx, "RLS policy", askRowSecurity)
	switch {
	case hasState(err, "42501"):
		t.unseen = true
	case err != nil:
		return t.unread(err)
	}
	if found = append(found, more...); len(found) > 0 {
		return unsupported(t.doing, fmt.Errorf("%s; a policy of one account does not hold for its twin: attach it to a role that both hold, and detach it from the account",
			strings.Join(found, ", ")))
	}
	return nil
}

// attached names the policies of one kind that are attached to either account.
func (t *twin) attached(ctx context.Context, kind, sql string) ([]string, error) {
	rows, err := ask(ctx, t.session, sql, t.req.Canonical, t.req.Twin)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, row := range rows {
		if len(row) != 5 || row[3].Text != t.req.Canonical && row[3].Text != t.req.Twin {
			return nil, errAnswer
		}
		// Whatever is no role's and not PUBLIC's is an account's.
		if grantee := strings.ToLower(row[4].Text); grantee != "role" && grantee != "public" {
			found = append(found, fmt.Sprintf("%s %s on %s is attached to %q",
				kind, identifier(row[0].Text), identifier(row[1].Text, row[2].Text), row[3].Text))
		}
	}
	return found, nil
}
