package documentdbgate

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/integration/dbservers/internal/opmsg"
)

// adminDatabase is where DocumentDB keeps users and roles, and usersCollection
// where FerretDB keeps users there.
const (
	adminDatabase   = "admin"
	usersCollection = "system.users"
)

// storedUser is a user as FerretDB keeps it, with what the gate adds: the roles
// and the custom data.
type storedUser struct {
	ID          string   `bson:"_id"`
	UserID      any      `bson:"userId"`
	Name        string   `bson:"user"`
	DB          string   `bson:"db"`
	Roles       []role   `bson:"roles"`
	CustomData  bson.Raw `bson:"customData"`
	Credentials bson.Raw `bson:"credentials"`
}

// lives is where a user that a command of database names lives.
func (b Behavior) lives(database string) string {
	if b.MongoDB {
		return database
	}
	return adminDatabase
}

// user reads one user.
func (g *Gate) user(ctx context.Context, a account) (u storedUser, found bool, err error) {
	var users []storedUser
	err = g.own.find(ctx, adminDatabase, usersCollection, byID(a.db+"."+a.name), &users)
	if err != nil || len(users) == 0 {
		return storedUser{}, false, err
	}
	return users[0].whole(), true, nil
}

// whole gives FerretDB's first user the role that it has without being granted
// it.
func (u storedUser) whole() storedUser {
	if u.Name == ServiceAdmin && len(u.Roles) == 0 {
		u.Roles = []role{{DB: adminDatabase, Name: "root"}}
	}
	return u
}

// set gives a user fields.
func (g *Gate) set(ctx context.Context, a account, fields bson.D) error {
	return g.own.run(ctx, adminDatabase, bson.D{
		{Key: "update", Value: usersCollection},
		{Key: "updates", Value: bson.A{bson.D{
			{Key: "q", Value: byID(a.db + "." + a.name)}, {Key: "u", Value: bson.D{{Key: "$set", Value: fields}}},
		}}},
	})
}

// named is the user that a command is about.
func (s *session) named(m opmsg.Message) (account, error) {
	name, is := m.Body.Lookup(m.Command()).StringValueOK()
	if !is {
		return account{}, refuse(codeBadValue, "'"+m.Command()+"' must be a string")
	}
	return account{name: name, db: s.gate.plays().lives(m.Database())}, nil
}

// existing is the named user, who is there and may be changed.
func (s *session) existing(ctx context.Context, m opmsg.Message) (account, storedUser, error) {
	who, err := s.named(m)
	if err != nil {
		return account{}, storedUser{}, err
	}
	if who.name == ServiceAdmin {
		return account{}, storedUser{}, refuse(codeUnauthorized, "Authorization failure")
	}
	stored, found, err := s.gate.user(ctx, who)
	if err == nil && !found {
		err = refuse(codeUserNotFound, "User "+who.String()+" not found")
	}
	return who, stored, err
}

// isPrimary reports whether a user is the cluster's primary user, which stays.
func (s *session) isPrimary(a account) bool {
	return a == account{name: s.gate.config.Primary, db: adminDatabase}
}

func createUser(ctx context.Context, s *session, m opmsg.Message) (any, error) {
	if err := s.mayAll(ctx, actionCreateUser, actionGrantRole); err != nil {
		return nil, err
	}
	if err := onlyFields(m, "pwd", "customData", "roles", "mechanisms", "digestPassword", "passwordDigestor"); err != nil {
		return nil, err
	}
	who, err := s.named(m)
	if err != nil {
		return nil, err
	}
	plays := s.gate.plays()
	if err := plays.nameFits(who.name); err != nil {
		return nil, err
	}
	password, err := plays.passwordOf(m)
	if err != nil {
		return nil, err
	}
	if _, given := m.Body.Lookup("roles").ArrayOK(); !given {
		return nil, refuse(codeBadValue, `"createUser" command requires a "roles" array`)
	}
	roles, err := s.rolesIn(ctx, m)
	if err != nil {
		return nil, err
	}
	told := bson.D{{Key: "createUser", Value: who.name}, {Key: "pwd", Value: password}, {Key: "roles", Value: bson.A{}}}
	told, err = plays.withMechanisms(told, m)
	if err != nil {
		return nil, err
	}
	if err := s.gate.own.run(ctx, who.db, told); err != nil {
		return nil, plays.duplicate(err, who)
	}
	fields := bson.D{{Key: "roles", Value: documents(roles)}}
	if custom, given := m.Body.Lookup("customData").DocumentOK(); given {
		fields = append(fields, bson.E{Key: "customData", Value: custom})
	}
	if err := s.gate.set(ctx, who, fields); err != nil {
		return nil, err
	}
	return done(ctx, s, m)
}

// duplicate turns FerretDB's error for a user that is there already into
// DocumentDB's.
func (b Behavior) duplicate(err error, who account) error {
	refused, is := asRefusal(err)
	if !is || refused.code != codeUserAlreadyExists || b.MongoDB {
		return err
	}
	return refuse(codeDuplicateKey, "User "+who.String()+" already exists")
}

func updateUser(ctx context.Context, s *session, m opmsg.Message) (any, error) {
	if err := onlyFields(m, "pwd", "customData", "roles", "mechanisms", "digestPassword", "passwordDigestor"); err != nil {
		return nil, err
	}
	plays := s.gate.plays()
	given := func(field string) bool { return m.Body.Lookup(field).Type != 0 }
	if err := s.mayUpdate(ctx, m, given); err != nil {
		return nil, err
	}
	who, stored, err := s.existing(ctx, m)
	if err != nil {
		return nil, err
	}
	var fields bson.D
	if given("roles") {
		roles, err := s.rolesIn(ctx, m)
		if err != nil {
			return nil, err
		}
		if err := s.keepsRoot(who, stored.Roles, roles); err != nil {
			return nil, err
		}
		fields = append(fields, bson.E{Key: "roles", Value: documents(roles)})
	}
	if given("customData") {
		custom, is := m.Body.Lookup("customData").DocumentOK()
		if !is {
			return nil, refuse(codeBadValue, "'customData' must be a document")
		}
		fields = append(fields, bson.E{Key: "customData", Value: custom})
	}
	switch {
	case given("pwd"):
		password, err := plays.passwordOf(m)
		if err != nil {
			return nil, err
		}
		told := bson.D{{Key: "updateUser", Value: who.name}, {Key: "pwd", Value: password}}
		if told, err = plays.withMechanisms(told, m); err != nil {
			return nil, err
		}
		if err := s.gate.own.run(ctx, who.db, told); err != nil {
			return nil, err
		}
	case given("mechanisms"):
		return nil, refuse(codeBadValue, "'mechanisms' cannot be changed without 'pwd'")
	case fields == nil:
		return nil, refuse(codeBadValue, "Must specify at least one field to update in updateUser")
	}
	if fields != nil {
		if err := s.gate.set(ctx, who, fields); err != nil {
			return nil, err
		}
	}
	return done(ctx, s, m)
}

// mayUpdate reports whether the session's user may change what an updateUser
// gives.
func (s *session) mayUpdate(ctx context.Context, m opmsg.Message, given func(string) bool) error {
	who, err := s.named(m)
	if err != nil {
		return err
	}
	may := func(anyones, own action) error {
		err := s.may(ctx, anyones, adminDatabase)
		if err == nil || who != s.user {
			return err
		}
		if own == actionChangeOwnPassword && s.gate.plays().OwnPassword {
			return nil
		}
		return s.may(ctx, own, adminDatabase)
	}
	if given("pwd") || given("mechanisms") {
		if err := may(actionChangePassword, actionChangeOwnPassword); err != nil {
			return err
		}
	}
	if given("customData") {
		if err := may(actionChangeCustomData, actionChangeOwnCustomData); err != nil {
			return err
		}
	}
	if given("roles") {
		return s.mayAll(ctx, actionGrantRole, actionRevokeRole)
	}
	return nil
}

func dropUser(ctx context.Context, s *session, m opmsg.Message) (any, error) {
	if err := s.mayAll(ctx, actionDropUser); err != nil {
		return nil, err
	}
	who, _, err := s.existing(ctx, m)
	if err != nil {
		return nil, err
	}
	if s.isPrimary(who) {
		return nil, refuse(codeUnauthorized, "Authorization failure")
	}
	if err := s.gate.own.run(ctx, who.db, bson.D{{Key: "dropUser", Value: who.name}}); err != nil {
		return nil, err
	}
	return done(ctx, s, m)
}

// usersInfo tells of users what DocumentDB's documentation shows: a bare name
// as the _id, the database, the roles; the custom data where there is some; and
// the mechanisms, which it does not show (see Behavior).
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/security.managing-users.html
func usersInfo(ctx context.Context, s *session, m opmsg.Message) (any, error) {
	asked, all, err := s.asked(m, "user")
	if err != nil {
		return nil, err
	}
	own := !all && len(asked) == 1 && asked[0] == s.user
	if !own {
		if err := s.mayAll(ctx, actionViewUser); err != nil {
			return nil, err
		}
	}
	var stored []storedUser
	if all {
		err = s.gate.own.find(ctx, adminDatabase, usersCollection, bson.D{}, &stored)
	} else {
		stored, err = s.gate.those(ctx, asked)
	}
	if err != nil {
		return nil, err
	}
	plays := s.gate.plays()
	listed := bson.A{}
	for _, u := range stored {
		if !all || !plays.MongoDB || u.DB == m.Database() || forAll(m) {
			listed = append(listed, plays.shown(u.whole()))
		}
	}
	return bson.D{{Key: "users", Value: listed}, {Key: "ok", Value: 1.0}}, nil
}

// those reads users one by one: reading all of them takes a long time where tests
// have left many.
func (g *Gate) those(ctx context.Context, asked []account) ([]storedUser, error) {
	var stored []storedUser
	for _, who := range asked {
		u, found, err := g.user(ctx, who)
		if err != nil {
			return nil, err
		}
		if found {
			stored = append(stored, u)
		}
	}
	return stored, nil
}

func (b Behavior) shown(u storedUser) bson.D {
	shown := bson.D{
		{Key: "_id", Value: u.Name},
		{Key: "user", Value: u.Name},
		{Key: "db", Value: u.DB},
		{Key: "roles", Value: documents(u.Roles)},
	}
	if b.MongoDB {
		shown[0].Value = u.ID
		shown = append(shown, bson.E{Key: "userId", Value: u.UserID})
	}
	if elements, err := u.CustomData.Elements(); err == nil && len(elements) > 0 {
		shown = append(shown, bson.E{Key: "customData", Value: u.CustomData})
	}
	if b.HideMechanisms {
		return shown
	}
	mechanisms := bson.A{}
	if credentials, err := u.Credentials.Elements(); err == nil {
		for _, c := range credentials {
			mechanisms = append(mechanisms, c.Key())
		}
	}
	return append(shown, bson.E{Key: "mechanisms", Value: mechanisms})
}

func forAll(m opmsg.Message) bool {
	_, is := m.Body.Lookup(m.Command(), "forAllDBs").BooleanOK()
	return is
}

// asked reads which users or roles a command asks for, by the name of the field
// that names one.
func (s *session) asked(m opmsg.Message, field string) (asked []account, all bool, err error) {
	plays := s.gate.plays()
	one := func(v bson.RawValue) error {
		if name, is := v.StringValueOK(); is {
			asked = append(asked, account{name: name, db: plays.lives(m.Database())})
			return nil
		}
		document, is := v.DocumentOK()
		name, named := document.Lookup(field).StringValueOK()
		db, placed := document.Lookup("db").StringValueOK()
		if !is || !named || !placed {
			return refuse(codeBadValue, "'"+m.Command()+"' must name its "+field+" and db")
		}
		asked = append(asked, account{name: name, db: plays.lives(db)})
		return nil
	}
	value := m.Body.Lookup(m.Command())
	if _, is := value.AsInt64OK(); is || forAll(m) {
		return nil, true, nil
	}
	listed, is := value.ArrayOK()
	if !is {
		return asked, false, one(value)
	}
	values, err := listed.Values()
	if err != nil {
		return nil, false, err
	}
	for _, v := range values {
		if err := one(v); err != nil {
			return nil, false, err
		}
	}
	return asked, false, nil
}
