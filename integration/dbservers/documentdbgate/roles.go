package documentdbgate

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// role is a role that somebody was granted, in the order of fields that
// DocumentDB shows.
type role struct {
	DB   string `bson:"db"`
	Name string `bson:"role"`
}

func (r role) String() string { return r.Name + "@" + r.DB }

// documents are roles as a command shows them; none are an empty list.
func documents(roles []role) bson.A {
	shown := bson.A{}
	for _, r := range roles {
		shown = append(shown, r)
	}
	return shown
}

// storedRole is a user-defined role as the gate keeps it.
type storedRole struct {
	ID         string        `bson:"_id"`
	Name       string        `bson:"role"`
	DB         string        `bson:"db"`
	Roles      []role        `bson:"roles"`
	Privileges bson.RawValue `bson:"privileges"` // an array
}

// The gate's own collection, which no client sees.
const (
	ownDatabase     = "documentdbgate"
	rolesCollection = "roles"
)

// role reads one user-defined role.
func (g *Gate) role(ctx context.Context, r role) (stored storedRole, found bool, err error) {
	var roles []storedRole
	err = g.own.find(ctx, ownDatabase, rolesCollection, byID(r.String()), &roles)
	if err != nil || len(roles) == 0 {
		return storedRole{}, false, err
	}
	return roles[0], true, nil
}

// rolesIn reads the roles of a command. A role without a database is bound to
// the command's own, and all are to be there.
func (s *session) rolesIn(ctx context.Context, m opmsg.Message) ([]role, error) {
	listed, is := m.Body.Lookup("roles").ArrayOK()
	if !is {
		return nil, refuse(codeBadValue, "'roles' must be an array")
	}
	values, err := listed.Values()
	if err != nil {
		return nil, err
	}
	var roles []role
	for _, v := range values {
		r := role{DB: m.Database()}
		if name, is := v.StringValueOK(); is {
			r.Name = name
		} else {
			document, _ := v.DocumentOK()
			name, named := document.Lookup("role").StringValueOK()
			db, placed := document.Lookup("db").StringValueOK()
			if !named || !placed {
				return nil, refuse(codeBadValue, "A role must be a string or have the strings 'role' and 'db'")
			}
			r = role{DB: db, Name: name}
		}
		if err := s.there(ctx, r); err != nil {
			return nil, err
		}
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles, nil
}

// there refuses a role that does not exist.
func (s *session) there(ctx context.Context, r role) error {
	if of, known := builtIn[r.Name]; known && (!of.onlyInAdmin || r.DB == adminDatabase) && (!of.onlyMongoDB || s.gate.plays().MongoDB) {
		return nil
	}
	_, found, err := s.gate.role(ctx, r)
	if err == nil && !found {
		err = refuse(codeRoleNotFound, "Could not find role: "+r.String())
	}
	return err
}

func grantRoles(ctx context.Context, s *session, m opmsg.Message) (any, error) {
	return s.regrant(ctx, m, actionGrantRole, func(held, named []role) []role {
		for _, r := range named {
			if !slices.Contains(held, r) {
				held = append(held, r)
			}
		}
		return held
	})
}

func revokeRoles(ctx context.Context, s *session, m opmsg.Message) (any, error) {
	return s.regrant(ctx, m, actionRevokeRole, func(held, named []role) []role {
		return slices.DeleteFunc(slices.Clone(held), func(r role) bool { return slices.Contains(named, r) })
	})
}

// regrant gives a user the roles that change makes of those held and those that
// the command names.
func (s *session) regrant(ctx context.Context, m opmsg.Message, needed action, change func(held, named []role) []role) (any, error) {
	if err := s.mayAll(ctx, needed); err != nil {
		return nil, err
	}
	if err := onlyFields(m, "roles"); err != nil {
		return nil, err
	}
	who, stored, err := s.existing(ctx, m)
	if err != nil {
		return nil, err
	}
	named, err := s.rolesIn(ctx, m)
	if err != nil {
		return nil, err
	}
	next := change(stored.Roles, named)
	if err := s.keepsRoot(who, stored.Roles, next); err != nil {
		return nil, err
	}
	if err := s.gate.set(ctx, who, bson.D{{Key: "roles", Value: documents(next)}}); err != nil {
		return nil, err
	}
	return done(ctx, s, m)
}

// keepsRoot refuses to take root from the primary user.
func (s *session) keepsRoot(who account, held, next []role) error {
	root := role{DB: adminDatabase, Name: "root"}
	if s.isPrimary(who) && slices.Contains(held, root) && !slices.Contains(next, root) {
		return refuse(codeUnauthorized, "Authorization failure")
	}
	return nil
}

// createRole makes a user-defined role.
func createRole(ctx context.Context, s *session, m opmsg.Message) (any, error) {
	if err := s.mayAll(ctx, actionCreateRole); err != nil {
		return nil, err
	}
	// authenticationRestrictions is among those that DocumentDB refuses.
	if err := onlyFields(m, "privileges", "roles"); err != nil {
		return nil, err
	}
	who, err := s.named(m)
	if err != nil {
		return nil, err
	}
	privileges := m.Body.Lookup("privileges")
	if _, is := privileges.ArrayOK(); !is {
		return nil, refuse(codeBadValue, "'privileges' must be an array")
	}
	roles, err := s.rolesIn(ctx, m)
	if err != nil {
		return nil, err
	}
	made := role{DB: who.db, Name: who.name}
	if _, found, err := s.gate.role(ctx, made); err != nil {
		return nil, err
	} else if found {
		return nil, refuse(codeRoleAlreadyExists, "Role "+made.String()+" already exists")
	}
	if err := s.gate.own.run(ctx, ownDatabase, bson.D{
		{Key: "insert", Value: rolesCollection},
		{Key: "documents", Value: bson.A{bson.D{
			{Key: "_id", Value: made.String()},
			{Key: "role", Value: made.Name},
			{Key: "db", Value: made.DB},
			{Key: "roles", Value: documents(roles)},
			{Key: "privileges", Value: privileges},
		}}},
	}); err != nil {
		return nil, err
	}
	return done(ctx, s, m)
}

// rolesInfo tells of the roles that it is asked for by name, or of all that are
// user-defined.
func rolesInfo(ctx context.Context, s *session, m opmsg.Message) (any, error) {
	if err := s.mayAll(ctx, actionViewRole); err != nil {
		return nil, err
	}
	asked, all, err := s.asked(m, "role")
	if err != nil {
		return nil, err
	}
	var stored []storedRole
	if err := s.gate.own.find(ctx, ownDatabase, rolesCollection, bson.D{}, &stored); err != nil {
		return nil, err
	}
	shown := bson.A{}
	for _, r := range stored {
		if all || slices.Contains(asked, account{name: r.Name, db: r.DB}) {
			shown = append(shown, bson.D{
				{Key: "role", Value: r.Name}, {Key: "db", Value: r.DB}, {Key: "isBuiltin", Value: false},
				{Key: "roles", Value: documents(r.Roles)}, {Key: "inheritedRoles", Value: documents(r.Roles)},
			})
		}
	}
	for _, a := range asked {
		if _, known := builtIn[a.name]; known {
			shown = append(shown, bson.D{
				{Key: "role", Value: a.name}, {Key: "db", Value: a.db}, {Key: "isBuiltin", Value: true},
				{Key: "roles", Value: bson.A{}}, {Key: "inheritedRoles", Value: bson.A{}},
			})
		}
	}
	return bson.D{{Key: "roles", Value: shown}, {Key: "ok", Value: 1.0}}, nil
}
