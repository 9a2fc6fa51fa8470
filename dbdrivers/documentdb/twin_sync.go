package documentdb

import (
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// difference is in what a twin is to change.
type difference struct {
	lacking, exceeding roles
	// custom is what its customData is to be, where that is to change, the mark
	// included. customLacks are the fields that it lacks, or has with another
	// value, and customExtra those that it has besides.
	custom                   bson.D
	customLacks, customExtra []string
	// restricted: its authenticationRestrictions differ.
	restricted bool
	// kept is what a twin that is taken over has beyond its sibling.
	kept []string
}

func (d difference) none() bool {
	return len(d.lacking) == 0 && len(d.exceeding) == 0 && d.custom == nil && !d.restricted
}

// names are the differences without values.
func (d difference) names() []string {
	var names []string
	for _, r := range d.lacking {
		names = append(names, "lacks "+r.String())
	}
	for _, r := range d.exceeding {
		names = append(names, "has "+r.String())
	}
	for _, field := range d.customLacks {
		names = append(names, "lacks "+customName(field))
	}
	for _, field := range d.customExtra {
		names = append(names, "has "+customName(field))
	}
	if d.restricted {
		names = append(names, restrictions)
	}
	return names
}

const restrictions = "authenticationRestrictions"

func customName(field string) string { return "customData field " + field }

// compare says in what the twin differs, and what is to be done. Where it is taken
// over, what it has beyond its sibling is kept.
func (t *twin) compare(sibling, it user) difference {
	d := difference{
		lacking:    sibling.roles.beyond(it.roles),
		exceeding:  it.roles.beyond(sibling.roles),
		restricted: !sameValue(sibling.restrictions, it.restrictions),
	}
	want, have := fieldsOf(sibling.custom), fieldsOf(it.custom)
	d.customLacks, d.customExtra = beyond(want, have), missing(have, want)
	if t.first {
		d.keep(want, have)
		// What differs stays as it is.
		want = append(slices.Clone(have), only(want, d.customLacks)...)
	}
	m := markOf(it.custom, sibling.name)
	// A twin that is taken over is marked before its first opening, so that a call
	// that is cut off does not lose the proof.
	if len(d.customLacks)+len(d.customExtra) > 0 || m == unmarked {
		if m == unmarked {
			m = taken
		}
		d.custom = append(slices.Clone(want), m.field(sibling.name))
	}
	return d
}

// keep leaves a twin that is taken over what it has beyond its sibling.
func (d *difference) keep(want, have bson.D) {
	d.kept = d.exceeding.names()
	for _, field := range slices.Concat(d.customExtra, keysOf(only(have, d.customLacks))) {
		d.kept = append(d.kept, customName(field))
	}
	d.exceeding, d.customExtra = nil, nil
	d.customLacks = missing(want, have)
}

// fieldsOf are the fields of customData in their order, without the mark.
func fieldsOf(custom bson.Raw) bson.D {
	elements, err := custom.Elements()
	if err != nil {
		return nil
	}
	var fields bson.D
	for _, e := range elements {
		if e.Key() != markField {
			fields = append(fields, bson.E{Key: e.Key(), Value: e.Value()})
		}
	}
	return fields
}

func has(fields bson.D, key string) bool {
	return slices.ContainsFunc(fields, func(e bson.E) bool { return e.Key == key })
}

// missing are the names of the fields that others have not.
func missing(fields, others bson.D) (names []string) {
	for _, e := range fields {
		if !has(others, e.Key) {
			names = append(names, e.Key)
		}
	}
	return names
}

// beyond are the names of the fields that others have not, or with another value.
func beyond(fields, others bson.D) (names []string) {
	for _, e := range fields {
		if !slices.ContainsFunc(others, func(o bson.E) bool { return o.Key == e.Key && sameField(o, e) }) {
			names = append(names, e.Key)
		}
	}
	return names
}

// only are the fields of these names.
func only(fields bson.D, names []string) (some bson.D) {
	for _, e := range fields {
		if slices.Contains(names, e.Key) {
			some = append(some, e)
		}
	}
	return some
}

func keysOf(fields bson.D) (names []string) {
	for _, e := range fields {
		names = append(names, e.Key)
	}
	return names
}

func sameField(a, b bson.E) bool {
	x, isRaw := a.Value.(bson.RawValue)
	y, isRawToo := b.Value.(bson.RawValue)
	return isRaw && isRawToo && sameValue(x, y)
}

// bring changes the twin. Rights are added before any is taken away.
func (t *twin) bring(sibling, it user, d difference) error {
	if d.custom != nil || d.restricted {
		command := bson.D{{Key: "updateUser", Value: it.name}}
		if d.custom != nil {
			command = append(command, bson.E{Key: "customData", Value: d.custom})
		}
		if d.restricted {
			command = append(command, bson.E{Key: restrictions, Value: listOf(sibling.restrictions)})
		}
		if err := t.session.change(it.database, command); err != nil {
			return t.failed(err)
		}
		for _, field := range d.customLacks {
			t.report.Added = append(t.report.Added, customName(field))
		}
		for _, field := range d.customExtra {
			t.report.Removed = append(t.report.Removed, customName(field))
		}
		if d.restricted {
			t.report.Added = append(t.report.Added, restrictions)
		}
	}
	if err := t.alter(it, "grantRolesToUser", d.lacking); err != nil {
		return err
	}
	t.report.Added = append(t.report.Added, d.lacking.names()...)
	if err := t.alter(it, "revokeRolesFromUser", d.exceeding); err != nil {
		return err
	}
	t.report.Removed = append(t.report.Removed, d.exceeding.names()...)
	return nil
}

func (t *twin) alter(it user, command string, roles roles) error {
	if len(roles) == 0 {
		return nil
	}
	if err := t.session.change(it.database, bson.D{{Key: command, Value: it.name}, {Key: "roles", Value: roles}}); err != nil {
		return t.failed(err)
	}
	return nil
}

// listOf is a list of restrictions for a command, which is empty where there are
// none.
func listOf(value bson.RawValue) any {
	if len(value.Value) == 0 {
		return bson.A{}
	}
	return value
}
