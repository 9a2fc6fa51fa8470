package documentdbgate

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// action is something that a role allows.
type action string

// The actions that the gate knows, by the names that a role's privileges have.
// That a user may be allowed to change itself is MongoDB's; DocumentDB does not
// list it.
//
// https://www.mongodb.com/docs/manual/reference/privilege-actions/
const (
	actionFind   action = "find"
	actionInsert action = "insert"
	actionUpdate action = "update"

	actionCreateUser       action = "createUser"
	actionDropUser         action = "dropUser"
	actionViewUser         action = "viewUser"
	actionChangePassword   action = "changePassword"
	actionChangeCustomData action = "changeCustomData"
	actionGrantRole        action = "grantRole"
	actionRevokeRole       action = "revokeRole"
	actionCreateRole       action = "createRole"
	actionViewRole         action = "viewRole"

	actionChangeOwnPassword   action = "changeOwnPassword"
	actionChangeOwnCustomData action = "changeOwnCustomData"
)

var userActions = []action{
	actionCreateUser, actionDropUser, actionViewUser, actionChangePassword, actionChangeCustomData,
	actionGrantRole, actionRevokeRole, actionCreateRole, actionViewRole,
}

// rights are what a built-in role allows: on the database that it is granted
// on, or on all.
type rights struct {
	actions []action
	all     bool
	// onlyInAdmin: the role is there in that database alone. onlyMongoDB: it is
	// not DocumentDB's.
	onlyInAdmin, onlyMongoDB bool
}

// builtIn are the roles that are there from the start, with as much of their
// rights as the gate's commands ask for.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/role_based_access_control.html
var builtIn = map[string]rights{
	"read":      {actions: []action{actionFind}},
	"readWrite": {actions: []action{actionFind, actionInsert, actionUpdate}},
	"dbAdmin":   {},
	"dbOwner":   {actions: []action{actionFind, actionInsert, actionUpdate}},
	"userAdmin": {actions: userActions, onlyMongoDB: true},

	"readAnyDatabase":      {actions: []action{actionFind}, all: true, onlyInAdmin: true},
	"readWriteAnyDatabase": {actions: []action{actionFind, actionInsert, actionUpdate}, all: true, onlyInAdmin: true},
	"dbAdminAnyDatabase":   {onlyInAdmin: true},
	"userAdminAnyDatabase": {actions: userActions, all: true, onlyInAdmin: true},
	"clusterAdmin":         {onlyInAdmin: true},
	"clusterManager":       {onlyInAdmin: true},
	"clusterMonitor":       {onlyInAdmin: true},
	"hostManager":          {onlyInAdmin: true},
	"backup":               {actions: []action{actionFind}, all: true, onlyInAdmin: true},
	"restore":              {actions: append([]action{actionInsert, actionUpdate}, userActions...), all: true, onlyInAdmin: true},
	"root": {
		actions: append([]action{actionFind, actionInsert, actionUpdate, actionChangeOwnPassword, actionChangeOwnCustomData}, userActions...),
		all:     true, onlyInAdmin: true,
	},
}

// mayAll refuses the session's user unless it may do all actions on users,
// who live in admin.
func (s *session) mayAll(ctx context.Context, actions ...action) error {
	for _, a := range actions {
		if err := s.may(ctx, a, adminDatabase); err != nil {
			return err
		}
	}
	return nil
}

// may refuses the session's user unless a role of its allows an action on a
// database. Roles are read each time: a change holds at once.
func (s *session) may(ctx context.Context, a action, database string) error {
	if s.user == (account{name: ServiceAdmin, db: adminDatabase}) {
		return nil
	}
	stored, found, err := s.gate.user(ctx, s.user)
	if err != nil {
		return err
	}
	if found {
		allowed, err := s.gate.allow(ctx, stored.Roles, a, database, nil)
		if err != nil || allowed {
			return err
		}
	}
	return refuse(codeUnauthorized, "Authorization failure")
}

// allow reports whether one of roles allows an action. seen are those that were
// looked at already.
func (g *Gate) allow(ctx context.Context, roles []role, a action, database string, seen []role) (bool, error) {
	for _, r := range roles {
		if slices.Contains(seen, r) {
			continue
		}
		seen = append(seen, r)
		if of, known := builtIn[r.Name]; known {
			if slices.Contains(of.actions, a) && (of.all || r.DB == database) {
				return true, nil
			}
			continue
		}
		stored, found, err := g.role(ctx, r)
		if err != nil {
			return false, err
		}
		if !found {
			continue
		}
		if grants(stored.Privileges, a, database) {
			return true, nil
		}
		if allowed, err := g.allow(ctx, stored.Roles, a, database, seen); err != nil || allowed {
			return allowed, err
		}
	}
	return false, nil
}

// grants reports whether a list of privileges allows an action on a database.
//
// https://www.mongodb.com/docs/manual/reference/resource-document/
func grants(privileges bson.RawValue, a action, database string) bool {
	array, _ := privileges.ArrayOK()
	listed, err := array.Values()
	if err != nil {
		return false
	}
	for _, v := range listed {
		privilege, _ := v.DocumentOK()
		resource, _ := privilege.Lookup("resource").DocumentOK()
		db, is := resource.Lookup("db").StringValueOK()
		if !is || db != "" && db != database {
			continue
		}
		actions, _ := privilege.Lookup("actions").ArrayOK()
		names, err := actions.Values()
		if err != nil {
			continue
		}
		for _, n := range names {
			if name, _ := n.StringValueOK(); action(name) == a {
				return true
			}
		}
	}
	return false
}
