package redshift

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// step is one statement that makes the twin more like its sibling.
type step struct {
	sql string
	// what names it in the report, without values; more are the other rights
	// that it gives.
	what string
	more []string
	// removes: the twin has less after it. extra: it is about something that
	// its sibling has not, which stays the first time a twin is taken over.
	removes, extra bool
	// secret: the statement has a value that nobody should see.
	secret bool
}

// state is what the two accounts hold, as far as it is compared.
type state struct {
	wantRights, haveRights         rights
	wantAttributes, haveAttributes attributes
	wantSettings, haveSettings     map[string]string
	// owned is what the twin owns.
	owned []object
	// unlisted are those of wantRights that the views may not show of the twin.
	unlisted rights
}

// concede takes out of what is wanted what the views do not show of the twin,
// which was just granted it, and returns that in words.
func (s state) concede() (names []string) {
	for _, r := range sortedRights(s.unlisted) {
		_, wanted := s.wantRights[r]
		if _, shown := s.haveRights[r]; wanted && !shown {
			delete(s.wantRights, r)
			names = append(names, r.name())
		}
	}
	return names
}

// read reads all of it.
func (t *twin) read(ctx context.Context) (s state, err error) {
	if s, err = t.readState(ctx); err != nil {
		return s, t.unread(err)
	}
	return s, nil
}

func (t *twin) readState(ctx context.Context) (s state, err error) {
	canonical, twin := t.req.Canonical, t.req.Twin
	users, err := t.datedUsers(ctx)
	if err != nil {
		return s, err
	}
	if !users[canonical].exists || !users[twin].exists {
		return s, fmt.Errorf("%w: %w", errAnswer, errNoUser)
	}
	options, err := t.readAttributes(ctx, users)
	if err != nil {
		return s, err
	}
	held := map[string]rights{canonical: make(rights), twin: make(rights)}
	owned := make(map[string][]object)
	if err := t.readGroups(ctx, held); err != nil {
		return s, err
	}
	if err := t.readViews(ctx, held); err != nil {
		return s, err
	}
	if err := t.readRoutines(ctx, held, owned); err != nil {
		return s, err
	}
	if err := t.readDefaults(ctx, held); err != nil {
		return s, err
	}
	if err := t.readOwned(ctx, owned); err != nil {
		return s, err
	}
	unlisted := t.ofOwner(held[canonical], owned[canonical])
	t.withoutOwned(held, owned[twin])
	return state{
		wantRights: held[canonical], haveRights: held[twin],
		wantAttributes: options[canonical], haveAttributes: options[twin],
		wantSettings: users[canonical].settings, haveSettings: users[twin].settings,
		owned: owned[twin], unlisted: unlisted,
	}, nil
}

// withoutOwned leaves out the rights on what the twin owns: it has them all,
// and its sibling's are not its own to have.
func (t *twin) withoutOwned(held map[string]rights, objects []object) {
	for _, all := range held {
		without(all, objects)
	}
}

// steps are what it takes to make the twin equal: what it has too much is taken
// away first, because a column's privilege stands in the way of the table's.
func (t *twin) steps(s state) ([]step, error) {
	steps, err := t.attributeSteps(s.wantAttributes, s.haveAttributes)
	if err != nil {
		return nil, err
	}
	settings, err := t.settingSteps(s.wantSettings, s.haveSettings)
	if err != nil {
		return nil, err
	}
	steps = append(steps, settings...)
	for _, r := range sortedRights(s.haveRights) {
		option := s.haveRights[r]
		wanted, found := s.wantRights[r]
		switch {
		case !found:
			_, whole := s.wantRights[t.right(r.whole)]
			steps = append(steps, step{sql: r.revoke(), what: r.name(), removes: true, extra: r.whole == "" || !whole})
		case option && !wanted:
			steps = append(steps, step{sql: r.revokeOption(), what: r.option() + " FOR " + r.name(), removes: true, extra: true})
		}
	}
	return append(steps, grants(s)...), nil
}

// grants give the twin what it lacks, all privileges on one object at once.
func grants(s state) []step {
	type statement struct {
		right
		option bool
	}
	var steps []step
	index := make(map[statement]int)
	privileges := make(map[statement][]string)
	for _, r := range sortedRights(s.wantRights) {
		wanted := s.wantRights[r]
		if option, found := s.haveRights[r]; found && (option || !wanted) {
			continue
		}
		what := r.name()
		if wanted {
			what += " WITH " + r.option()
		}
		privilege, on, joins := r.joins()
		if !joins {
			steps = append(steps, step{sql: r.grant(wanted), what: what})
			continue
		}
		key := statement{r, wanted}
		key.words = on
		privileges[key] = append(privileges[key], privilege)
		all := r
		all.words = strings.Join(privileges[key], ", ") + " ON " + on
		i, found := index[key]
		if !found {
			index[key] = len(steps)
			steps = append(steps, step{sql: all.grant(wanted), what: what})
			continue
		}
		steps[i].sql = all.grant(wanted)
		steps[i].more = append(steps[i].more, what)
	}
	return steps
}

func sortedRights(all rights) []right {
	return slices.SortedFunc(maps.Keys(all), func(a, b right) int {
		return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(a.words, b.words), cmp.Compare(a.to, b.to), cmp.Compare(a.tail, b.tail))
	})
}

func sortedKeys(all map[string]string) []string { return slices.Sorted(maps.Keys(all)) }

// rounds bounds how often the differences are worked off. To take a privilege
// on a table takes those on its columns with it, and they are given again.
const rounds = 3

// equalise works off the differences until there are none, and returns what
// stays. The first time a twin is taken over nothing is taken away; as long as
// it was never equal, what it owns stays; afterwards it may own nothing.
func (t *twin) equalise(ctx context.Context, found state, f twinFacts, report *dbdrivers.TwinReport) ([]string, error) {
	first := f.twin.exists && f.mark == unmarked
	if takenOver := first || f.twin.exists && f.mark == taken; len(found.owned) > 0 && !takenOver {
		return nil, unsupported(t.doing, t.owns(found.owned))
	}
	for round := range rounds + 1 {
		if round > 0 {
			t.unproven = found.concede()
		}
		steps, err := t.steps(found)
		if err != nil {
			return nil, t.unread(err)
		}
		stays := named(found.owned)
		var todo []step
		for _, s := range steps {
			if first && s.extra {
				stays = append(stays, s.what)
			} else {
				todo = append(todo, s)
			}
		}
		if len(todo) == 0 {
			// Whether the twin had it before nobody can tell.
			report.Added = slices.DeleteFunc(report.Added, func(what string) bool { return slices.Contains(t.unproven, what) })
			return stays, nil
		}
		if round == rounds {
			return nil, unsupported(t.doing, t.differs(todo))
		}
		for _, s := range todo {
			if err := t.do(ctx, s); err != nil {
				return nil, err
			}
			switch {
			case round > 0:
				// It is in the report already, or restores what was there.
			case s.removes:
				report.Removed = append(report.Removed, s.what)
			default:
				report.Added = append(append(report.Added, s.what), s.more...)
			}
		}
		if found, err = t.read(ctx); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// differs says what is left of the differences, and what to do about it.
func (t *twin) differs(left []step) error {
	why := "its views do not show what was granted; take it from the sibling, or rotate by the strategy single"
	if slices.ContainsFunc(left, func(s step) bool { return s.removes }) {
		why = fmt.Sprintf("another account may have granted it and can take it back; in database %s, as that account run: %s",
			identifier(t.req.Admin.Database), statements(left))
	}
	return fmt.Errorf("the server took every statement, and yet the twin differs from its sibling in: %s; %s", whats(left), why)
}

func whats(steps []step) string {
	var names []string
	for _, s := range steps {
		names = append(append(names, s.what), s.more...)
	}
	return strings.Join(names, ", ")
}

// statements are those of steps, to be pasted, as far as they have no values.
func statements(steps []step) string {
	var all []string
	for _, s := range steps {
		if !s.secret {
			all = append(all, s.sql)
		}
	}
	return strings.Join(all, "; ")
}
