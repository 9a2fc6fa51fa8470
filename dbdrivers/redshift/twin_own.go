package redshift

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// object is what an account owns.
type object struct {
	// words name it in a GRANT, alter in an ALTER, and so in reports.
	words, alter string
	// privileges are what its owner may do with it and others can be granted.
	// unlisted are those of them that the page of the view of grants does not
	// list, so that a cluster may not show them.
	privileges, unlisted []string
}

// https://docs.aws.amazon.com/redshift/latest/dg/c_intro_catalog_views.html
const (
	askRelations = "SELECT n.nspname, c.relname, c.relkind, u.usename FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n, pg_catalog.pg_user u WHERE n.oid = c.relnamespace AND u.usesysid = c.relowner AND c.relkind IN ('r', 'v') AND u.usename IN ($1, $2)"
	askSchemas   = "SELECT n.nspname, u.usename FROM pg_catalog.pg_namespace n, pg_catalog.pg_user u WHERE u.usesysid = n.nspowner AND u.usename IN ($1, $2)"
	askDatabases = "SELECT d.datname, u.usename FROM pg_catalog.pg_database d, pg_catalog.pg_user u WHERE u.usesysid = d.datdba AND u.usename IN ($1, $2)"
)

// What an owner may do, as GRANT has it.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
var (
	onTables    = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES", "DROP", "ALTER", "TRUNCATE"}
	onViews     = []string{"SELECT", "DROP", "ALTER"}
	onSchemas   = []string{"CREATE", "USAGE", "DROP", "ALTER"}
	onDatabases = []string{"CREATE", "TEMP"}
)

// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_RELATION_PRIVILEGES.html
// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_SCHEMA_PRIVILEGES.html
var (
	unlistedOnTables  = []string{"ALTER", "TRUNCATE"}
	unlistedOnSchemas = []string{"DROP"}
)

// internal reports a schema of the server's own, or of temporary tables.
func internal(schema string) bool {
	return strings.HasPrefix(schema, "pg_") || schema == "information_schema"
}

// materialised is how a table that keeps a materialized view is named after it.
//
// https://docs.aws.amazon.com/redshift/latest/dg/materialized-view-create-sql-command.html
var materialised = regexp.MustCompile(`^mv_tbl__(.+)__[0-9]+$`)

// askExternal reads the external schemas, on which USAGE alone can be granted.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_EXTERNAL_SCHEMAS.html
const askExternal = "SELECT schemaname FROM pg_catalog.svv_external_schemas"

// readOwned adds what the two accounts own in this database, and the databases.
func (t *twin) readOwned(ctx context.Context, owned map[string][]object) error {
	if err := t.readRelations(ctx, owned); err != nil {
		return err
	}
	if err := t.readSchemas(ctx, owned); err != nil {
		return err
	}
	databases, err := t.askOwned(ctx, askDatabases, 2)
	if err != nil {
		return err
	}
	for _, row := range databases {
		words := "DATABASE " + t.quoted(row[0])
		owned[row[1]] = append(owned[row[1]], object{words: words, alter: words, privileges: onDatabases})
	}
	return nil
}

// askOwned asks what the two accounts own. The owner is in the last column.
func (t *twin) askOwned(ctx context.Context, sql string, columns int) ([][]string, error) {
	rows, err := ask(ctx, t.session, sql, t.req.Canonical, t.req.Twin)
	if err != nil {
		return nil, err
	}
	var all [][]string
	for _, row := range rows {
		if len(row) != columns {
			return nil, errAnswer
		}
		if owner := row[columns-1].Text; owner != t.req.Canonical && owner != t.req.Twin {
			return nil, errAnswer
		}
		all = append(all, texts(row))
	}
	return all, nil
}

// readRelations adds tables and views, but for the tables in which the server
// keeps the materialized views among them.
func (t *twin) readRelations(ctx context.Context, owned map[string][]object) error {
	rows, err := t.askOwned(ctx, askRelations, 4)
	if err != nil {
		return err
	}
	type relation struct{ schema, name, owner string }
	views := make(map[relation]bool)
	for _, row := range rows {
		if row[2] == "v" {
			views[relation{row[0], row[1], row[3]}] = true
		}
	}
	for _, row := range rows {
		if of := materialised.FindStringSubmatch(row[1]); internal(row[0]) || of != nil && views[relation{row[0], of[1], row[3]}] {
			continue
		}
		o := object{words: "TABLE " + t.quoted(row[0], row[1]), privileges: onTables, unlisted: unlistedOnTables}
		if row[2] == "v" {
			o.privileges = onViews
		}
		// ALTER TABLE takes views as well.
		o.alter = o.words
		owned[row[3]] = append(owned[row[3]], o)
	}
	return nil
}

func (t *twin) readSchemas(ctx context.Context, owned map[string][]object) error {
	rows, err := t.askOwned(ctx, askSchemas, 2)
	if err != nil || len(rows) == 0 {
		return err
	}
	shown, err := ask(ctx, t.session, askExternal)
	if err != nil {
		return err
	}
	external := make(map[string]bool)
	for _, row := range shown {
		if len(row) != 1 {
			return errAnswer
		}
		external[row[0].Text] = true
	}
	for _, row := range rows {
		if internal(row[0]) {
			continue
		}
		words := "SCHEMA " + t.quoted(row[0])
		o := object{words: words, alter: words, privileges: onSchemas, unlisted: unlistedOnSchemas}
		if external[row[0]] {
			o.privileges = []string{"USAGE"}
		}
		owned[row[1]] = append(owned[row[1]], o)
	}
	return nil
}

// ofOwner gives the rights of who owns the objects, and returns those of them that
// the views may not show. What they may show of an owner's own rights is in other
// words, and goes.
func (t *twin) ofOwner(held rights, objects []object) (unlisted rights) {
	without(held, objects)
	unlisted = make(rights)
	for _, o := range objects {
		for _, privilege := range o.privileges {
			r := t.right(privilege + " ON " + o.words)
			held[r] = false
			if slices.Contains(o.unlisted, privilege) {
				unlisted[r] = false
			}
		}
	}
	return unlisted
}

// without takes away the rights on objects.
func without(held rights, objects []object) {
	on := make(map[string]bool, len(objects))
	for _, o := range objects {
		on[o.words] = true
	}
	for r := range held {
		// A name may have the word in it, so that every place is tried.
		for _, words, found := strings.Cut(r.words, " ON "); found && r.prefix == ""; _, words, found = strings.Cut(words, " ON ") {
			if on[words] {
				delete(held, r)
			}
		}
	}
}

// told bounds how many things of the twin's own an error or a report names.
const told = 20

func named(objects []object) []string {
	var names []string
	for _, o := range objects[:min(len(objects), told)] {
		names = append(names, o.alter+" (owner)")
	}
	if more := len(objects) - told; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return names
}

func (t *twin) handOver(o object) string {
	return "ALTER " + o.alter + " OWNER TO " + identifier(t.req.Canonical)
}

// owns refuses a twin that was equal once and has come to something of its own.
func (t *twin) owns(objects []object) error {
	var remedies []string
	for _, o := range objects[:min(len(objects), told)] {
		remedies = append(remedies, t.handOver(o))
	}
	return fmt.Errorf("%w: %s; in database %s, as a superuser run: %s", dbdrivers.ErrTwinOwns,
		strings.Join(named(objects), ", "), identifier(t.req.Admin.Database), strings.Join(remedies, "; "))
}

// adopt hands what the twin owns here to its sibling.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html
func (t *twin) adopt(ctx context.Context, found state) ([]string, error) {
	var adopted []string
	for _, o := range found.owned {
		if err := t.do(ctx, step{sql: t.handOver(o), what: "the owner of " + o.alter}); err != nil {
			return nil, err
		}
		adopted = append(adopted, o.alter)
	}
	return adopted, nil
}

// do takes one step. Its error names the step, and its statement where that
// has no value of a setting.
func (t *twin) do(ctx context.Context, s step) error {
	if err := t.keepCase(ctx); err != nil {
		return err
	}
	err := run(ctx, t.session, s.sql)
	if err == nil {
		return nil
	}
	doing := t.doing + ": " + whats([]step{s})
	remedy := "the admin may not do this"
	if !s.secret {
		remedy += "; as a superuser in database " + identifier(t.req.Admin.Database) + " run: " + s.sql
	}
	return failed(doing, err, pgwire.Unchanged, pgwire.Rules{
		{State: "42501", Class: dbdrivers.ErrPrivilege, Remedy: remedy},
		{State: "2BP01", Class: dbdrivers.ErrUnsupported, Remedy: "others hold it from the twin, which passed it on; take it from them first"},
	})
}

// keepCase makes names in quotes keep their case from here on, where an object
// has such a name. It stays off otherwise, as nearly everywhere.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_enable_case_sensitive_identifier.html
func (t *twin) keepCase(ctx context.Context) error {
	if t.keepsCase || !t.capitals {
		return nil
	}
	if err := run(ctx, t.session, "SET enable_case_sensitive_identifier TO true"); err != nil {
		return t.failed(err)
	}
	t.keepsCase = true
	return nil
}
