package dbservers

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
	"github.com/dbrotation/dbrotation/integration/dbservers/documentdbgate"
)

// startStandIn starts FerretDB as the stand-in for DocumentDB, wherever other
// servers are to run: the image of MongoDB cannot be counted on.
func startStandIn(t *testing.T, opt DocumentDBOptions) *Server {
	t.Helper()
	s, err := startDocumentDB(within(t), opt, processWay)
	return started(t, s, err)
}

// says runs a command in admin as somebody.
func says(ctx context.Context, t *testing.T, s *Server, login dbdrivers.Login, command string) (bson.Raw, error) {
	t.Helper()
	conn, err := ConnectMongo(ctx, login)
	check(t, err)
	defer func() { check(t, conn.Close()) }()
	return mongoSession{conn}.say(ctx, command, nil)
}

// TestAStandInForDocumentDBFromStartToClose is the story that the other engines
// have, as far as it can be told of one that speaks no SQL.
func TestAStandInForDocumentDBFromStartToClose(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	s := startStandIn(t, DocumentDBOptions{})
	if s.Engine != "documentdb" || s.Version == "" || !strings.HasPrefix(s.Source, "local process ") || !strings.Contains(s.Source, "FerretDB v1.24.0") {
		t.Errorf("the server is %s %s, from %s", s.Engine, s.Version, s.Source)
	}
	standInWantsVerifiedTLS(ctx, t, s)
	standInsAdminIsThePrimaryUser(ctx, t, s)

	const user, password = "app-1", `planted'\$p`
	check(t, s.CreateUser(ctx, user, password))
	opens(ctx, t, s, user, password, true)
	opens(ctx, t, s, user, "another-password", false)
	opens(ctx, t, s, "nobody", password, false)
	counted, err := s.SignIns(ctx, user)
	check(t, err)
	if want := (SignIns{Accepted: 1, Refused: 1}); counted != want {
		t.Errorf("the log tells of %+v, want %+v", counted, want)
	}
	keepsPasswordsOutOfItsLogs(ctx, t, s)
	standInComesBackWithItsData(ctx, t, s)
	standInChangesItsCertificate(ctx, t, s)
	if _, err := s.StartReplica(ctx); !errors.Is(err, errNoReplicas) {
		t.Errorf("a replica: %v", err)
	}
	standInLeavesNothing(ctx, t, s)
}

func standInWantsVerifiedTLS(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	stranger := s.Admin
	stranger.TLS = tlsconf.Settings{Roots: x509.NewCertPool()}
	if _, err := ConnectMongo(ctx, stranger); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("a client without the CA: %v, want an unknown authority", err)
	}
	stranger.TLS = tlsconf.Settings{Plaintext: true}
	if _, err := ConnectMongo(ctx, stranger); err == nil {
		t.Error("a client without TLS was let in")
	}
	for _, name := range []string{"127.0.0.1", "localhost"} {
		named := s.Admin
		named.TLS.ServerName = name
		if _, err := says(ctx, t, s, named, `{"ping": 1}`); err != nil {
			t.Errorf("verifying the server as %s: %v", name, err)
		}
	}
}

func standInsAdminIsThePrimaryUser(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	told, err := says(ctx, t, s, s.Admin, `{"usersInfo": "`+s.Admin.Username+`"}`)
	check(t, err)
	if text := told.String(); !strings.Contains(text, `"roles": [{"db": "admin","role": "root"}]`) {
		t.Errorf("the admin is %s", text)
	}
	if s.Admin.Username == s.Superuser.Username {
		t.Error("the admin is serviceadmin")
	}
	for _, command := range []string{`{"dropUser": "` + s.Admin.Username + `"}`, `{"updateUser": "serviceadmin", "pwd": "a-password"}`} {
		var refused *MongoError
		if _, err := says(ctx, t, s, s.Admin, command); !errors.As(err, &refused) || refused.Code != 13 {
			t.Errorf("%s: %v, want error 13", command, err)
		}
	}
}

func standInComesBackWithItsData(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	check(t, s.Exec(ctx, `{"createRole": "own", "privileges": [], "roles": []}`))
	check(t, s.Exec(ctx, `{"createUser": "kept", "pwd": "as-it-was", "roles": ["own", {"role": "read", "db": "appdb"}], "customData": {"k": 1}}`))
	info := func() string {
		told, err := says(ctx, t, s, s.Admin, `{"usersInfo": "kept"}`)
		check(t, err)
		return told.String()
	}
	seen := info()
	if !strings.Contains(seen, `"role": "own"`) || !strings.Contains(seen, `"customData": {"k"`) {
		t.Errorf("the user is %s", seen)
	}
	before, err := s.Log(ctx)
	check(t, err)
	conn, err := ConnectMongo(ctx, s.Login("kept", "as-it-was"))
	check(t, err)
	defer func() { _ = conn.Close() }()

	check(t, s.Stop(ctx))
	check(t, s.Stop(ctx))
	if _, err := conn.Run(ctx, adminDatabase, bson.D{{Key: "ping", Value: 1}}); err == nil {
		t.Error("a session outlived the server")
	}
	if _, err := s.Opens(ctx, "kept", "as-it-was"); err == nil {
		t.Error("a stopped server: no error")
	}
	if conn, err := net.Dial("tcp", s.Admin.Address()); err == nil {
		_ = conn.Close()
		t.Error("the port of a stopped server still answers")
	}
	stopped, err := s.Log(ctx)
	check(t, err)
	if !strings.HasPrefix(stopped, before) {
		t.Error("the log of a stopped server is not whole")
	}

	check(t, s.Start(ctx))
	check(t, s.Start(ctx))
	opens(ctx, t, s, "kept", "as-it-was", true)
	opens(ctx, t, s, "kept", "another-password", false)
	if got := info(); got != seen {
		t.Errorf("after a restart the user is\n%s\nbefore it was\n%s", got, seen)
	}
	after, err := s.Log(ctx)
	check(t, err)
	if !strings.HasPrefix(after, stopped) {
		t.Error("the log began anew")
	}
}

func standInChangesItsCertificate(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	swap := func(ca *CA, host string) error {
		cert, key, err := ca.Issue(host)
		check(t, err)
		check(t, s.SetTLS(ctx, cert, key))
		check(t, s.Exec(ctx, `{"ping": 1}`))
		_, err = s.Opens(ctx, "kept", "as-it-was")
		return err
	}
	if err := swap(s.CA, "db.example.com"); !errors.As(err, new(x509.HostnameError)) {
		t.Errorf("a certificate of another name: %v", err)
	}
	check(t, s.Stop(ctx))
	check(t, s.Start(ctx))
	if _, err := s.Opens(ctx, "kept", "as-it-was"); !errors.As(err, new(x509.HostnameError)) {
		t.Errorf("the same after a restart: %v", err)
	}
	other, err := NewCA()
	check(t, err)
	if err := swap(other, s.Host); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("a certificate of another authority: %v", err)
	}
	if err := swap(s.CA, s.Host); err != nil {
		t.Errorf("a certificate like the first: %v", err)
	}
}

func standInLeavesNothing(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	check(t, s.Close())
	check(t, s.Close())
	if err := s.Start(ctx); !errors.Is(err, errClosed) {
		t.Errorf("starting a closed server: %v", err)
	}
	if err := s.PlayDocumentDB(documentdbgate.Behavior{}); !errors.Is(err, errClosed) {
		t.Errorf("playing another cluster: %v", err)
	}
	p := behind(t, s)
	if alive(p.current.cmd.Process.Pid) {
		t.Error("the process is still there")
	}
	if _, err := os.Stat(p.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// behind is FerretDB's own process.
func behind(t *testing.T, s *Server) *process {
	t.Helper()
	gated, is := s.place.(*ferretPlace)
	if !is {
		t.Fatalf("the server is %s", s.Source)
	}
	p, is := gated.place.(*process)
	if !is {
		t.Fatalf("the server is %s", s.Source)
	}
	return p
}

func TestAStandInWithoutTLSAndOneForBoth(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	plain := startStandIn(t, DocumentDBOptions{NoTLS: true})
	check(t, plain.CreateUser(ctx, "app", "first-password"))
	opens(ctx, t, plain, "app", "first-password", true)
	opens(ctx, t, plain, "app", "second-password", false)
	encrypted := plain.Admin
	encrypted.TLS = tlsconf.Settings{Roots: plain.Roots}
	if _, err := ConnectMongo(ctx, encrypted); err == nil {
		t.Error("a server without TLS spoke it")
	}
	cert, key, err := plain.CA.Issue(plain.Host)
	check(t, err)
	if err := plain.SetTLS(ctx, cert, key); err == nil {
		t.Error("a certificate for a server without TLS: no error")
	}

	both := startStandIn(t, DocumentDBOptions{Plaintext: true})
	unencrypted := both.Admin
	unencrypted.TLS = tlsconf.Settings{Plaintext: true}
	for _, login := range []dbdrivers.Login{unencrypted, both.Admin} {
		if _, err := says(ctx, t, both, login, `{"ping": 1}`); err != nil {
			t.Errorf("a server for both: %v", err)
		}
	}
	mixed := both.Admin
	mixed.TLS.Roots = plain.Roots
	if _, err := ConnectMongo(ctx, mixed); err == nil {
		t.Error("the second server is verified by the first one's authority")
	}
}

func TestAStandInPlaysAnotherCluster(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	s := startStandIn(t, DocumentDBOptions{})
	change := `{"updateUser": "` + s.Admin.Username + `", "customData": {}}`
	wants := func(code int32) {
		t.Helper()
		var refused *MongoError
		switch _, err := says(ctx, t, s, s.Admin, change); {
		case code == 0:
			check(t, err)
		case !errors.As(err, &refused) || refused.Code != code:
			t.Errorf("got %v, want error %d", err, code)
		}
	}
	wants(0)
	check(t, s.PlayDocumentDB(documentdbgate.Behavior{Reader: true}))
	wants(10107)
	check(t, s.Stop(ctx))
	check(t, s.Start(ctx))
	wants(10107)
	check(t, s.PlayDocumentDB(documentdbgate.Behavior{}))
	wants(0)
}

func TestAContainerHasNoGate(t *testing.T) {
	t.Parallel()
	for _, opt := range []DocumentDBOptions{{Gated: true}, {Behavior: documentdbgate.Behavior{Reader: true}}} {
		if _, err := startDocumentDB(within(t), opt, containerWay); err == nil || !strings.Contains(err.Error(), "DocumentDBOptions.Gated") {
			t.Errorf("%+v: got %v", opt, err)
		}
	}
}

func TestEqualDocumentDBOptionsShareAServer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		one, two DocumentDBOptions
		shared   bool
	}{
		{"nothing, twice", DocumentDBOptions{}, DocumentDBOptions{}, true},
		{"the same cluster, twice", DocumentDBOptions{Behavior: documentdbgate.Behavior{Elastic: true}}, DocumentDBOptions{Behavior: documentdbgate.Behavior{Elastic: true}}, true},
		{"no TLS at all, and plaintext beside it", DocumentDBOptions{NoTLS: true}, DocumentDBOptions{Plaintext: true}, false},
		{"with TLS and without", DocumentDBOptions{}, DocumentDBOptions{NoTLS: true}, false},
		{"with the gate for certain, and any", DocumentDBOptions{Gated: true}, DocumentDBOptions{}, false},
		{"two clusters", DocumentDBOptions{Behavior: documentdbgate.Behavior{Elastic: true}}, DocumentDBOptions{Behavior: documentdbgate.Behavior{Reader: true}}, false},
		{"two versions", DocumentDBOptions{Behavior: documentdbgate.Behavior{MaxWireVersion: 7}}, DocumentDBOptions{}, false},
	} {
		if got := documentdbKey(row.one) == documentdbKey(row.two); got != row.shared {
			t.Errorf("%s: shared %v, want %v", row.name, got, row.shared)
		}
	}
}

// TestSignInsAreCountedFromMongoDBsLog rests on MongoDB's documentation of its
// log: no MongoDB server could be run where this was written.
func TestSignInsAreCountedFromMongoDBsLog(t *testing.T) {
	t.Parallel()
	line := func(message, user string) string {
		return `{"t":{"$date":"2026-01-02T03:04:05.000+00:00"},"s":"I","c":"ACCESS","id":1,"ctx":"conn1","msg":"` + message + `","attr":{"user":"` + user + `","db":"admin"}}` + "\n"
	}
	for _, row := range []struct {
		name string
		log  string
		want SignIns
	}{
		{"nobody", line(mongoAccepted, "other"), SignIns{}},
		{"one", line(mongoAccepted, "app"), SignIns{Accepted: 1}},
		{"two, of which one is wrong", line(mongoAccepted, "app") + line(mongoRefused, "app"), SignIns{Accepted: 1, Refused: 1}},
		{"a wrong one in later words", line(mongoRefusedLater, "app"), SignIns{Refused: 1}},
		{"another user whose name begins the same", line(mongoAccepted, "app_clone"), SignIns{}},
		{"a line of another kind", "about to fork child process\n", SignIns{}},
	} {
		if got := mongoSignIns(row.log, "app"); got != row.want {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
	}
}

// TestMongoDBsFilesAreWhatItReads looks at what a container would be given: none
// could be started where this was written.
func TestMongoDBsFilesAreWhatItReads(t *testing.T) {
	t.Parallel()
	ca, err := NewCA()
	check(t, err)
	for _, row := range []struct {
		name string
		opt  DocumentDBOptions
		mode string
		pair bool
	}{
		{"with TLS", DocumentDBOptions{}, "mode: requireTLS", true},
		{"for both", DocumentDBOptions{Plaintext: true}, "mode: allowTLS", true},
		{"without TLS", DocumentDBOptions{NoTLS: true}, "mode: disabled", false},
	} {
		d := &documentdbDialect{release: documentdbReleases.newest(), options: row.opt}
		files, err := d.primary(ca, `pass'"word`).files(site{bin: "/usr/bin", dir: "/srv/x", listen: "0.0.0.0", port: 27017, host: loopback})
		check(t, err)
		named := make(map[string]file)
		for _, f := range files {
			named[f.name] = f
		}
		conf := string(named[mongoConf].content)
		if !strings.Contains(conf, row.mode) || !strings.Contains(conf, "authorization: enabled") || strings.Contains(conf, mongoPair) != row.pair {
			t.Errorf("%s: the configuration is\n%s", row.name, conf)
		}
		if first := named[mongoFirst]; !first.passing || !strings.Contains(string(first.content), `"pwd":"pass'\"word"`) {
			t.Errorf("%s: the first user is made by %s, which passes: %t", row.name, first.content, first.passing)
		}
		pair := string(named[mongoPair].content)
		if row.pair != (strings.Contains(pair, "BEGIN CERTIFICATE") && strings.Contains(pair, "PRIVATE KEY")) {
			t.Errorf("%s: the certificate's file is %q", row.name, pair)
		}
	}
}

func TestAStatementForMongoDBIsACommand(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	s := startStandIn(t, DocumentDBOptions{})
	check(t, s.Exec(ctx, `{"insert": "things", "documents": [{"n": 1}], "$db": "appdb"}`))
	conn, err := s.ConnectMongoSuperuser(ctx)
	check(t, err)
	defer func() { check(t, conn.Close()) }()
	found, err := conn.Run(ctx, "appdb", bson.D{{Key: "find", Value: "things"}})
	check(t, err)
	if !strings.Contains(found.String(), `"n": {"$numberInt":"1"}`) {
		t.Errorf("found %s", found)
	}
	for statement, want := range map[string]string{"SELECT 'planted'": "Extended JSON", `{"nonsense": "planted"}`: "59"} {
		if err := s.Exec(ctx, statement); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if err := s.Exec(ctx, `{"ping": 1}`, "an argument"); err == nil {
		t.Error("an argument: no error")
	}
	if _, err := s.ConnectSuperuser(ctx); err == nil {
		t.Error("PostgreSQL's protocol on a stand-in for DocumentDB: no error")
	}
}

func TestFerretDBIsBuiltOnce(t *testing.T) {
	t.Parallel()
	first, err := builtFerretDB(within(t))
	check(t, err)
	before, err := os.Stat(first + "/" + ferretProgram)
	check(t, err)
	second, err := builtFerretDB(within(t))
	check(t, err)
	after, err := os.Stat(second + "/" + ferretProgram)
	check(t, err)
	if first != second || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("built into %s at %s, and into %s at %s", first, before.ModTime(), second, after.ModTime())
	}
	if !isVersion(within(t), first+"/"+ferretProgram, ferretMajor) {
		t.Errorf("the program is not of version %s", ferretMajor)
	}
}
