package documentdb

import (
	"errors"
	"fmt"
	"slices"
)

// reserved are users that the service works with.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/security.managing-users.html
var reserved = []string{"serviceadmin", "rdsadmin", "__system"}

// admins are the built-in roles of any database whose users manage other users.
// They are shown with the database admin, but for userAdmin.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/role_based_access_control.html
// https://www.mongodb.com/docs/manual/reference/built-in-roles/
var admins = []string{
	"root", "__system", "userAdminAnyDatabase", "userAdmin", "restore",
}

// mongoAdmins are those of MongoDB that manage the server. On DocumentDB none of
// them changes a password, and every user that was made before 26 March 2020 has
// the first.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/role_based_access_control.html
var mongoAdmins = []string{"clusterAdmin", "clusterManager", "hostManager"}

// owner manages users where it is of the database admin, in which every user may
// be given every role.
const owner = "dbOwner"

func (d Driver) isAdmin(r role) bool {
	return slices.Contains(admins, r.Name) || d.mongo && slices.Contains(mongoAdmins, r.Name) || r.Name == owner && r.Database == databaseAdmin
}

// mechanismIAM is that of users who sign in by IAM.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/iam-identity-auth.html
const mechanismIAM = "MONGODB-AWS"

// checkTarget refuses accounts by their name alone. The secret that names the
// account is less trusted than the admin's, so an admin's power ends here.
func (c *change) checkTarget(name string) error {
	if err := c.driver.checkName(name); err != nil {
		return err
	}
	switch {
	case c.bySelf():
		return nil
	case name == c.as.Username:
		return fmt.Errorf("%q is the admin itself, whose login changes other accounts only", name)
	case slices.Contains(reserved, name):
		return fmt.Errorf("%q is reserved by the service; an admin's login never changes it", name)
	}
	return nil
}

// fence says why an admin's login leaves a user alone.
func (d Driver) fence(u user) error {
	if !u.rolesShown {
		return errRolesHidden
	}
	for _, r := range slices.Concat(u.roles, u.inherited) {
		if d.isAdmin(r) {
			return fmt.Errorf("it has the %s, and so is an admin itself; an admin's login never sets its password", r)
		}
	}
	if u.mechanisms != nil && !slices.ContainsFunc(u.mechanisms, func(m string) bool { return m != mechanismIAM }) {
		return errors.New("it signs in by IAM and has no password of the server's own; a rotation cannot change it")
	}
	return nil
}
