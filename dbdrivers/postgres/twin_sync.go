package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// beforeSteps is the savepoint to go back to where a step is refused.
const beforeSteps = "before_steps"

// sync runs statements and asks for the differences that are left, in one
// round trip.
func (t *twin) sync(ctx context.Context, statements ...pgwire.Statement) ([]difference, error) {
	answers, err := t.session.Ask(ctx, append(statements, t.differences())...)
	if err != nil {
		return nil, err
	}
	return differencesOf(answers[len(answers)-1])
}

// equalise takes the plan's steps, and proves that nothing is left to be done.
func (t *twin) equalise(ctx context.Context, p plan, f twinFacts) error {
	if len(p.steps) == 0 {
		return nil
	}
	statements := []pgwire.Statement{{SQL: "SAVEPOINT " + beforeSteps}}
	for _, s := range p.steps {
		statements = append(statements, pgwire.Statement{SQL: s.sql})
	}
	found, err := t.sync(ctx, statements...)
	if hasState(err, "42501") && !t.session.Ended() {
		return t.refused(ctx, p, f, err)
	}
	if err != nil {
		return t.failed(err, pgwire.Unchanged)
	}
	left, err := t.plan(found, f)
	if err != nil {
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing, err)
	}
	if len(left.steps) > 0 {
		var names []string
		for _, s := range left.steps {
			names = append(names, s.what)
		}
		return dbdrivers.Classify(dbdrivers.ErrUnsupported, t.doing,
			fmt.Errorf("the server took every statement, and yet the twin differs from its sibling in: %s", strings.Join(names, ", ")))
	}
	return nil
}

// refused takes the steps one by one, to name all that the admin may not do,
// and what lets it. The transaction is given up in any case.
func (t *twin) refused(ctx context.Context, p plan, f twinFacts, cause error) error {
	var what, remedies []string
	if _, err := t.session.Run(ctx, "ROLLBACK TO "+beforeSteps); err != nil {
		return t.failed(err, pgwire.Unchanged)
	}
	for _, s := range p.steps {
		_, err := t.session.Run(ctx, "SAVEPOINT step; "+s.sql)
		if err == nil {
			continue
		}
		if !hasState(err, "42501") {
			return t.failed(err, pgwire.Unchanged)
		}
		what = append(what, s.what)
		if remedy := t.remedy(s, f); remedy != "" {
			remedies = append(remedies, remedy)
		}
		if _, err := t.session.Run(ctx, "ROLLBACK TO step"); err != nil {
			return t.failed(err, pgwire.Unchanged)
		}
	}
	why := "the admin may not give the twin what its sibling has, or take away what it has not: " + strings.Join(what, ", ")
	if len(remedies) > 0 {
		why += "; as a superuser run: " + strings.Join(remedies, "; ")
	}
	return pgwire.Classify(t.doing, cause, pgwire.Unchanged, pgwire.Rules{{State: "42501", Class: dbdrivers.ErrPrivilege, Remedy: why}})
}

// remedy lets the admin take a step, or takes it. The value of a setting is
// left out: it may be a secret, as custom settings sometimes are.
//
// https://www.postgresql.org/docs/15/sql-grant.html
func (t *twin) remedy(s step, f twinFacts) string {
	switch {
	case s.parameter == "":
		return s.sql
	case t.session.Major() >= 15:
		return "GRANT SET ON PARAMETER " + parameter(s.parameter) + " TO " + identifier(f.twin.actor)
	}
	return ""
}
