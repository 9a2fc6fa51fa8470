package documentdb_test

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xdg-go/scram"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// script says how a scripted server behaves: as DocumentDB 5.0 is documented,
// where nothing else is said. It keeps users in memory and knows the commands that
// the driver may send; another one is an error of the test.
type script struct {
	// Mongo lets users live in any database, and has MongoDB's codes.
	Mongo bool
	// Wires are the wire versions that it speaks.
	Wires [2]int32
	// Replica, Elastic: what it says of itself.
	Replica, Elastic bool
	// Mechanisms are those it has. NoMechanism is its code for another.
	Mechanisms  []string
	NoMechanism int32
	// HideMechanisms: usersInfo does not show them, as before 5.0.1.
	HideMechanisms bool
	// HideRoles: usersInfo does not show them.
	HideRoles bool
	// SelfService: users may change their own password.
	SelfService bool
	// OldHello knows isMaster only. It says so without a code.
	OldHello bool
	// AnySource lets users of admin sign in by any database.
	AnySource bool
	// NoCustom acknowledges customData and drops it.
	NoCustom bool
	// NoConcern does not know writeConcern on commands for users, and says so by
	// this code.
	NoConcern int32
	// Unconfirmed answers changes of passwords by a writeConcernError.
	Unconfirmed bool
	// Open signs nobody in and lets everybody in.
	Open bool
	// Alias is the name of which every sign-in is told.
	Alias string
	// NoTLS speaks without it.
	NoTLS bool
	// LongCodes sends codes as 64-bit numbers.
	LongCodes bool
	// Fails answers commands by an error. It is asked before each.
	Fails func(q question) error
	// Forgets acknowledges changes of roles and does nothing.
	Forgets bool
}

// scripted is a server by a script.
type scripted struct {
	script
	t        *testing.T
	listener net.Listener
	roots    *dbservers.CA

	mu      sync.Mutex
	users   map[string]*account
	taken   map[string]int // sign-ins by name
	refused map[string]int
	starts  int // conversations begun outside a greeting
	sent    []question
	peers   map[*peer]bool
	cuts    map[string]*cut // by the user whose messages they count
}

// account is one user.
type account struct {
	name, database, password string
	roles                    []grant
	custom                   bson.Raw
	mechanisms               []string
	restrictions             bson.A
	kept                     map[string]scram.StoredCredentials
}

type grant struct {
	Role string `bson:"role"`
	DB   string `bson:"db"`
}

func key(database, name string) string { return database + "\x00" + name }

// refusal is an error of the server.
type refusal struct {
	code int32
	name string
	text string
}

func (r refusal) Error() string { return r.text }

var (
	denied    = refusal{code: 13, name: "Unauthorized", text: "Authorization failure"}
	noUser    = refusal{code: 11, name: "UserNotFound", text: "Could not find user"}
	badValue  = refusal{code: 2, name: "BadValue", text: "is not a valid argument"}
	noField   = refusal{code: 40415, name: "Location40415", text: "BSON field is an unknown field."}
	noCommand = refusal{code: 59, name: "CommandNotFound", text: "no such command"}
)

var authority = sync.OnceValues(dbservers.NewCA)

// play starts a server that ends with the test. It has the admin "master", shaped
// as DocumentDB's primary user.
func play(t *testing.T, script script) *scripted {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if script.Wires == [2]int32{} {
		script.Wires = [2]int32{0, 13}
	}
	if script.Mechanisms == nil {
		script.Mechanisms = []string{sha1, sha256}
	}
	s := &scripted{
		script: script, t: t, listener: listener, roots: ca, users: map[string]*account{},
		taken: map[string]int{}, refused: map[string]int{}, peers: map[*peer]bool{}, cuts: map[string]*cut{},
	}
	certificate, private, err := ca.Issue("127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, private)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	go s.accept(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	s.add(account{name: "master", password: masterPassword, roles: []grant{{"root", "admin"}}})
	s.add(account{name: "serviceadmin", password: masterPassword, roles: []grant{{"root", "admin"}}})
	return s
}

const masterPassword = "Master-password-1"

func (s *scripted) stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		_ = p.conn.Close()
	}
}

func (s *scripted) accept(settings *tls.Config) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		if !s.NoTLS {
			conn = tls.Server(conn, settings)
		}
		p := &peer{server: s, conn: conn}
		s.mu.Lock()
		s.peers[p] = true
		s.mu.Unlock()
		go p.serve()
	}
}

// add makes a user by nobody's command.
func (s *scripted) add(a account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.database == "" {
		a.database = "admin"
	}
	if a.mechanisms == nil {
		a.mechanisms = s.Mechanisms
	}
	s.users[key(a.database, a.name)] = &a
}

// user is a copy of a user of admin.
func (s *scripted) user(name string) account { return s.userIn("admin", name) }

func (s *scripted) userIn(database, name string) account {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[key(database, name)]; u != nil {
		return *u
	}
	return account{}
}

func (s *scripted) edit(name string, change func(*account)) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if u.name == name {
			change(u)
			return
		}
	}
	s.t.Fatalf("no user %q", name)
}

// login is a user's login at this server.
func (s *scripted) login(name, password string) dbdrivers.Login {
	return dbdrivers.Login{
		Host: "127.0.0.1", Port: portOf(s.t, s.listener), Username: name, Password: dbdrivers.NewPassword(password), Database: "admin",
		TLS: tlsconf.Settings{Roots: s.roots.Roots(), Plaintext: s.NoTLS},
	}
}

func portOf(t *testing.T, listener net.Listener) int {
	t.Helper()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	return address.Port
}

func (s *scripted) master() dbdrivers.Login { return s.login("master", masterPassword) }

// commands are the names of what signed-in connections have sent, the goodbye
// aside.
func (s *scripted) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, q := range s.sent {
		names = append(names, q.name())
	}
	return names
}

func (s *scripted) signedIn(name string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok {
		s.taken[name]++
	} else {
		s.refused[name]++
	}
}

// cut is where the next call of a user breaks off.
type cut struct {
	at, messages int
	answerLost   bool
	done         bool
}

// cutNext returns an admin whose call breaks off at its nth message.
func (s *scripted) cutNext(nth int, answerLost bool) (login dbdrivers.Login, was func() bool) {
	name := "admin_" + rand.Text()
	s.add(account{name: name, password: masterPassword, roles: []grant{{"root", "admin"}}})
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &cut{at: nth, answerLost: answerLost}
	s.cuts[name] = c
	return s.login(name, masterPassword), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return c.done
	}
}

// peer is one connection.
type peer struct {
	server *scripted
	conn   net.Conn
	user   *account
	sasl   *conversation
}

func (p *peer) serve() {
	defer func() {
		_ = p.conn.Close()
		p.server.mu.Lock()
		delete(p.server.peers, p)
		p.server.mu.Unlock()
	}()
	for {
		q, err := readQuestion(p.conn)
		if err != nil {
			return
		}
		cutBefore, cutAfter := p.counted(q)
		if cutBefore {
			return
		}
		answer, err := p.answer(q)
		if err != nil {
			answer = p.server.failure(err)
		}
		if cutAfter || writeAnswer(p.conn, q, answer) != nil {
			return
		}
	}
}

// counted notes a message, and says whether it is the one to cut off at.
func (p *peer) counted(q question) (before, after bool) {
	s := p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	name := q.name()
	if p.user == nil || name == "endSessions" {
		return false, false
	}
	s.sent = append(s.sent, q)
	c := s.cuts[p.user.name]
	if c == nil || c.done {
		return false, false
	}
	c.done = c.messages == c.at
	c.messages++
	return c.done && !c.answerLost, c.done && c.answerLost
}

func (s *scripted) failure(err error) bson.D {
	var r refusal
	if !errors.As(err, &r) {
		r = refusal{code: 8, name: "UnknownError", text: err.Error()}
	}
	answer := bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: r.text}}
	if r.code != 0 {
		var code any = r.code
		if s.LongCodes {
			code = int64(r.code)
		}
		answer = append(answer, bson.E{Key: "code", Value: code})
	}
	if r.name != "" {
		answer = append(answer, bson.E{Key: "codeName", Value: r.name})
	}
	return answer
}

func (p *peer) answer(q question) (bson.D, error) {
	s, name := p.server, q.name()
	if s.Fails != nil {
		if err := s.Fails(q); err != nil {
			return nil, err
		}
	}
	switch name {
	case "isMaster", "ismaster", "hello":
		if name == "hello" && s.OldHello {
			return nil, refusal{text: "Feature not supported: hello"}
		}
		return p.hello(q)
	case "saslStart":
		s.mu.Lock()
		s.starts++
		s.mu.Unlock()
		answer, err := p.begin(q.command, q.database)
		if err != nil {
			s.signedIn(usernameIn(q.command), false)
		}
		return answer, err
	case "saslContinue":
		return p.proceed(q.command)
	case "endSessions", "ping":
		return done(), nil
	}
	if p.user == nil && !s.Open {
		return nil, denied
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.command(q)
}

// usernameIn is the name in the first message of a conversation.
func usernameIn(command bson.Raw) string {
	_, payload, _ := command.Lookup("payload").BinaryOK()
	for _, part := range strings.Split(string(payload), ",") {
		if name, found := strings.CutPrefix(part, "n="); found {
			return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
		}
	}
	return ""
}

func done() bson.D { return bson.D{{Key: "ok", Value: 1.0}} }

func (p *peer) hello(q question) (bson.D, error) {
	s := p.server
	answer := bson.D{
		{Key: "helloOk", Value: !s.OldHello}, {Key: "maxBsonObjectSize", Value: 16777216}, {Key: "maxMessageSizeBytes", Value: 48000000},
		{Key: "maxWriteBatchSize", Value: 100000}, {Key: "logicalSessionTimeoutMinutes", Value: 30},
		{Key: "minWireVersion", Value: s.Wires[0]}, {Key: "maxWireVersion", Value: s.Wires[1]}, {Key: "readOnly", Value: false},
	}
	writable := "ismaster"
	if q.name() == "hello" {
		writable = "isWritablePrimary"
	}
	answer = append(answer, bson.E{Key: writable, Value: !s.Replica})
	if s.Elastic {
		answer = append(answer, bson.E{Key: "msg", Value: "isdbgrid"})
	} else {
		answer = append(answer, bson.E{Key: "setName", Value: "rs0"}, bson.E{Key: "secondary", Value: s.Replica}, bson.E{Key: "hosts", Value: bson.A{"elsewhere.invalid:27017"}})
	}
	if who, ok := q.command.Lookup("saslSupportedMechs").StringValueOK(); ok {
		database, name, _ := strings.Cut(who, ".")
		database = s.from(database)
		if u := s.userIn(database, name); u.name != "" {
			answer = append(answer, bson.E{Key: "saslSupportedMechs", Value: u.mechanisms})
		}
	}
	if doc, ok := q.command.Lookup("speculativeAuthenticate").DocumentOK(); ok {
		database, _ := doc.Lookup("db").StringValueOK()
		if said, err := p.begin(doc, database); err == nil {
			answer = append(answer, bson.E{Key: "speculativeAuthenticate", Value: said})
		}
	}
	return append(answer, bson.E{Key: "ok", Value: 1.0}), nil
}

// manages reports whether the peer may change users.
func (p *peer) manages() bool {
	return p.user != nil && slices.ContainsFunc(p.user.roles, func(g grant) bool {
		return g.DB == "admin" && slices.Contains([]string{"root", "userAdminAnyDatabase"}, g.Role)
	})
}

// fieldsOf are the fields that a command may have, beside what every one has.
var fieldsOf = map[string][]string{
	"connectionStatus":    {},
	"usersInfo":           {"showAuthenticationRestrictions"},
	"createUser":          {"pwd", "roles", "customData", "mechanisms", "authenticationRestrictions"},
	"updateUser":          {"pwd", "roles", "customData", "mechanisms", "authenticationRestrictions"},
	"grantRolesToUser":    {"roles"},
	"revokeRolesFromUser": {"roles"},
	"find":                {"filter"},
}

// command answers what needs a signed-in user. The caller holds the lock.
func (p *peer) command(q question) (bson.D, error) {
	s, name := p.server, q.name()
	known, ok := fieldsOf[name]
	if !ok {
		s.t.Errorf("the command %q is none that the driver may send", name)
		return nil, noCommand
	}
	elements, err := q.command.Elements()
	if err != nil {
		return nil, err
	}
	for _, e := range elements[1:] {
		switch {
		case strings.HasPrefix(e.Key(), "$"), e.Key() == "lsid":
		case e.Key() == "writeConcern" && s.NoConcern != 0:
			return nil, refusal{code: s.NoConcern, text: "not with writeConcern"}
		case e.Key() == "writeConcern" && s.Mongo:
		case !slices.Contains(known, e.Key()), !s.Mongo && strings.Contains(e.Key(), "Restrictions"), s.HideMechanisms && e.Key() == "mechanisms":
			return nil, refusal{code: noField.code, name: noField.name, text: "BSON field '" + name + "." + e.Key() + "' is an unknown field."}
		}
	}
	switch name {
	case "connectionStatus":
		return p.status(), nil
	case "usersInfo":
		return p.usersInfo(q, elements[0])
	case "find":
		database := q.database
		if !slices.Contains(p.user.roles, grant{"read", database}) {
			return nil, denied
		}
		return bson.D{{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: database + ".t"}, {Key: "firstBatch", Value: bson.A{}}}}, {Key: "ok", Value: 1.0}}, nil
	}
	target, _ := elements[0].Value().StringValueOK()
	own := name == "updateUser" && p.user != nil && target == p.user.name && s.SelfService && len(q.command.Lookup("customData").Value) == 0
	switch {
	case !p.manages() && !own:
		return nil, denied
	case s.Replica:
		return nil, refusal{code: 10107, name: "NotWritablePrimary", text: "not primary"}
	}
	return s.change(q, name, s.lives(q.database), target)
}

// from is the database in which a login's user is looked for.
func (s *scripted) from(database string) string {
	if s.AnySource {
		return "admin"
	}
	return database
}

// lives is the database in which a command's users live.
func (s *scripted) lives(database string) string {
	if s.Mongo {
		return database
	}
	return "admin"
}

func (p *peer) status() bson.D {
	users := bson.A{}
	if p.user != nil {
		name := p.user.name
		if p.server.Alias != "" {
			name = p.server.Alias
		}
		users = append(users, bson.D{{Key: "user", Value: name}, {Key: "db", Value: p.user.database}})
	}
	return bson.D{
		{Key: "authInfo", Value: bson.D{{Key: "authenticatedUsers", Value: users}, {Key: "authenticatedUserRoles", Value: bson.A{}}}},
		{Key: "ok", Value: 1.0},
	}
}

func (p *peer) usersInfo(q question, first bson.RawElement) (bson.D, error) {
	s := p.server
	name, byName := first.Value().StringValueOK()
	database := s.lives(q.database)
	if !byName {
		return nil, badValue
	}
	if !p.manages() && (!s.Mongo || p.user == nil || name != p.user.name) {
		return nil, denied
	}
	list := bson.A{}
	for _, u := range s.users {
		if u.name == name && u.database == database {
			shown := s.shown(u)
			// MongoDB shows them to who asks for them.
			if asked, _ := q.command.Lookup("showAuthenticationRestrictions").BooleanOK(); asked {
				shown = append(shown, bson.E{Key: "authenticationRestrictions", Value: append(bson.A{}, u.restrictions...)})
			}
			list = append(list, shown)
		}
	}
	return bson.D{{Key: "users", Value: list}, {Key: "ok", Value: 1.0}}, nil
}

// shown is a user as usersInfo shows it.
func (s *scripted) shown(u *account) bson.D {
	id := u.name
	if s.Mongo {
		id = u.database + "." + u.name
	}
	doc := bson.D{{Key: "_id", Value: id}, {Key: "user", Value: u.name}, {Key: "db", Value: u.database}}
	if u.custom != nil {
		doc = append(doc, bson.E{Key: "customData", Value: u.custom})
	}
	if !s.HideRoles {
		doc = append(doc, bson.E{Key: "roles", Value: append([]grant{}, u.roles...)})
	}
	if !s.HideMechanisms {
		doc = append(doc, bson.E{Key: "mechanisms", Value: u.mechanisms})
	}
	return doc
}

// change does what an admin says.
func (s *scripted) change(q question, name, database, target string) (bson.D, error) {
	u := s.users[key(database, target)]
	switch {
	case name != "createUser" && u == nil:
		return nil, noUser
	case name == "createUser" && u != nil && s.Mongo:
		return nil, refusal{code: 51003, name: "Location51003", text: "User already exists"}
	case name == "createUser" && u != nil:
		return nil, refusal{code: 11000, name: "DuplicateKey", text: "User already exists"}
	case target == "serviceadmin":
		return nil, denied
	}
	next := account{name: target, database: database, mechanisms: s.Mechanisms}
	if u != nil {
		next = *u
		next.kept = nil
	}
	if password, ok := q.command.Lookup("pwd").StringValueOK(); ok {
		next.password = password
		if q.command.Lookup("mechanisms").Type == 0 {
			next.mechanisms = s.Mechanisms
		}
	}
	if value := q.command.Lookup("mechanisms"); value.Type != 0 {
		next.mechanisms = nil
		if err := value.Unmarshal(&next.mechanisms); err != nil {
			return nil, badValue
		}
	}
	if doc, ok := q.command.Lookup("customData").DocumentOK(); ok && !s.NoCustom {
		next.custom = slices.Clone(doc)
	}
	if value := q.command.Lookup("authenticationRestrictions"); value.Type != 0 {
		next.restrictions = nil
		if err := value.Unmarshal(&next.restrictions); err != nil {
			return nil, badValue
		}
	}
	if err := s.changeRoles(q, name, database, &next); err != nil {
		return nil, err
	}
	s.users[key(database, target)] = &next
	if s.Unconfirmed {
		return append(bson.D{{Key: "writeConcernError", Value: bson.D{
			{Key: "code", Value: 64}, {Key: "codeName", Value: "WriteConcernFailed"}, {Key: "errmsg", Value: "waiting for replication timed out: " + next.password},
		}}}, done()...), nil
	}
	return done(), nil
}

func (s *scripted) changeRoles(q question, name, database string, u *account) error {
	value := q.command.Lookup("roles")
	if value.Type == 0 {
		return nil
	}
	var said []grant
	if err := value.Unmarshal(&said); err != nil {
		return badValue
	}
	for i := range said {
		if said[i].DB == "" {
			said[i].DB = database
		}
		if said[i].Role == "" {
			return badValue
		}
	}
	if s.Forgets && name != "createUser" {
		return nil
	}
	switch name {
	case "grantRolesToUser":
		u.roles = append(slices.Clone(u.roles), said...)
	case "revokeRolesFromUser":
		u.roles = slices.DeleteFunc(slices.Clone(u.roles), func(g grant) bool { return slices.Contains(said, g) })
	default:
		u.roles = said
	}
	return nil
}

// document makes customData.
func document(t *testing.T, fields bson.D) bson.Raw {
	t.Helper()
	doc, err := bson.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func (g grant) String() string { return fmt.Sprintf("%s@%s", g.Role, g.DB) }
