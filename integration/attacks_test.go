package integration_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

// attacker is a socket to which an attack leads. It keeps what it is sent.
type attacker struct {
	t        *testing.T
	listener net.Listener
	play     func(net.Conn) // what it answers; nil: nothing
	handlers sync.WaitGroup

	mu   sync.Mutex
	seen []*victim
}

// victim is one connection to the attacker.
type victim struct {
	net.Conn
	owner *attacker
	bytes []byte
}

// Read keeps what is read.
func (v *victim) Read(p []byte) (int, error) {
	n, err := v.Conn.Read(p)
	v.owner.mu.Lock()
	defer v.owner.mu.Unlock()
	v.bytes = append(v.bytes, p[:n]...)
	return n, err
}

// attack opens a socket at the first of these addresses that this machine has,
// and proves that it notices who comes.
func attack(t *testing.T, play func(net.Conn), addresses ...string) *attacker {
	t.Helper()
	a := &attacker{t: t, play: play}
	var errs []error
	for _, address := range addresses {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err == nil {
			a.listener = listener
			break
		}
		errs = append(errs, err)
	}
	if a.listener == nil {
		t.Fatal(errors.Join(errs...))
	}
	a.handlers.Go(a.serve)
	t.Cleanup(func() { _ = a.listener.Close(); a.handlers.Wait() })

	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", a.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(a.connections()) != 1 || string(a.connections()[0]) != "hello"; {
		if time.Now().After(deadline) {
			t.Fatal("the attacker does not notice who comes")
		}
		time.Sleep(time.Millisecond)
	}
	_ = conn.Close()
	a.mu.Lock()
	a.seen = nil
	a.mu.Unlock()
	return a
}

func (a *attacker) serve() {
	for {
		conn, err := a.listener.Accept()
		if err != nil {
			return
		}
		v := &victim{Conn: conn, owner: a}
		a.mu.Lock()
		a.seen = append(a.seen, v)
		a.mu.Unlock()
		a.handlers.Go(func() {
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if a.play != nil {
				a.play(v)
			}
			_, _ = io.Copy(io.Discard, v)
		})
	}
}

// connections returns what each connection has sent.
func (a *attacker) connections() [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	sent := make([][]byte, len(a.seen))
	for i, v := range a.seen {
		sent[i] = bytes.Clone(v.bytes)
	}
	return sent
}

func (a *attacker) host() string {
	a.t.Helper()
	host, _, err := net.SplitHostPort(a.listener.Addr().String())
	if err != nil {
		a.t.Fatal(err)
	}
	return host
}

func (a *attacker) port() int { return portOf(a.t, a.listener) }

// byStrategy makes a document one of the strategy, with the server's admin.
func (s *stage) byStrategy(strategy string, document map[string]any) {
	s.t.Helper()
	s.adminSecret(document)
	document["dbrotation"] = map[string]any{"strategy": strategy}
}

// failsAs rotates, and fails the test unless that ends in an error of a class
// that says every part.
func (s *stage) failsAs(arn, class string, says ...string) {
	s.t.Helper()
	var failed *localaws.RotationError
	if err := s.rotate(arn); !errors.As(err, &failed) {
		s.t.Errorf("the rotation ended with %v, want a failure", err)
	}
	s.password(arn, "AWSPENDING")
	log := s.aws.FunctionLog(function)
	for _, part := range append(says, `"class":"`+class+`"`, arn) {
		if !strings.Contains(log, part) {
			s.t.Errorf("the function's log does not say %s:\n%s", part, log)
		}
	}
}

// TestAnAdminsPasswordIsAimedAtAnotherSocket lets the application's secret
// point at a socket of an attacker. Not one connection reaches it, and the
// admin does not sign in to its own server either.
func TestAnAdminsPasswordIsAimedAtAnotherSocket(t *testing.T) {
	t.Parallel()
	// A server of its own: its log tells of every sign-in.
	server := startPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
	port := strconv.Itoa(server.Port)
	// The admin's port at another address of this machine: then the host alone
	// is what is wrong.
	beside := attack(t, nil, net.JoinHostPort("127.0.0.2", port), net.JoinHostPort("::1", port))
	behind := attack(t, nil, net.JoinHostPort(server.Host, "0"))
	for _, row := range []struct {
		name    string
		secret  func(document map[string]any)
		pending func(document map[string]any) // edits the pending version instead
		class   string
		says    string
	}{
		{name: "another address", secret: func(d map[string]any) { d["host"] = beside.host() }, class: "forbidden", says: "ADMIN_HOSTS"},
		{name: "another address, without TLS", secret: func(d map[string]any) { d["host"], d["ssl"] = beside.host(), "false" }, class: "forbidden", says: "ADMIN_HOSTS"},
		{name: "another port", secret: func(d map[string]any) { d["port"] = behind.port() }, class: "forbidden", says: strconv.Itoa(behind.port())},
		{name: "another port, as text", secret: func(d map[string]any) { d["port"] = strconv.Itoa(behind.port()) }, class: "forbidden", says: strconv.Itoa(behind.port())},
		{name: "an address in front of the host", secret: func(d map[string]any) { d["host"] = beside.host() + "," + server.Host }, class: "invalid-secret", says: `\"host\"`},
		{name: "a port in the host", secret: func(d map[string]any) { d["host"] = fmt.Sprintf("%s:%d", server.Host, behind.port()) }, class: "invalid-secret", says: `\"host\"`},
		{name: "a client's own parameter", secret: func(d map[string]any) { d["host"] = server.Host + " hostaddr=" + beside.host() }, class: "invalid-secret", says: `\"host\"`},
		{name: "another address, in the pending version", pending: func(d map[string]any) { d["host"] = beside.host() }, class: "mismatch", says: `\"host\"`},
		{name: "another port, in the pending version", pending: func(d map[string]any) { d["port"] = behind.port() }, class: "mismatch", says: `\"port\"`},
		{name: "no TLS, in the pending version", pending: func(d map[string]any) { d["ssl"] = false }, class: "mismatch", says: `\"ssl\"`},
		{name: "an admin of one's own, in the pending version", pending: func(d map[string]any) { d["masterarn"] = fmt.Sprint(d["masterarn"]) + "x" }, class: "mismatch", says: `\"masterarn\"`},
	} {
		for _, strategy := range []string{"single", "alternating"} {
			t.Run(row.name+" "+strategy, func(t *testing.T) {
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				username, first := s.account()
				document := s.document(username, first)
				s.byStrategy(strategy, document)
				if row.secret != nil {
					row.secret(document)
				}
				arn := s.secret(document)
				_, mark := s.serverLog(0)
				if row.pending == nil {
					s.failsAs(arn, row.class, row.says)
				} else {
					const planted = "planted-by-an-attacker"
					s.planted.add(planted)
					row.pending(document)
					document["password"] = planted
					if strategy == "alternating" {
						document["username"] = username + "_clone"
					}
					err := s.invoke("setSecret", arn, s.pend(arn, document))
					log := s.aws.FunctionLog(function)
					if err == nil || !strings.Contains(log, `"class":"`+row.class+`"`) || !strings.Contains(log, row.says) {
						t.Errorf("error %v; the function's log does not name %s:\n%s", err, row.says, log)
					}
				}
				log, _ := s.serverLog(mark)
				if good, failed := signIns(log); good+failed != 0 {
					t.Errorf("the server was asked:\n%s", log)
				}
				for _, a := range []*attacker{beside, behind} {
					if sent := a.connections(); len(sent) > 0 {
						t.Errorf("%d connections to the attacker, which sent %q", len(sent), sent)
					}
				}
				if !s.accepts(username, first) || s.password(arn, "AWSCURRENT") != first {
					t.Error("something changed")
				}
			})
		}
	}
}

// TestASecretReachesForAnotherAccountOfTheServer names an account whose
// password the secret's writer does not know. No admin signs in for it; and
// where the operator lets the admin reset passwords, what is fenced off stays
// fenced off. The server's catalogs are the same before and after, byte by byte.
func TestASecretReachesForAnotherAccountOfTheServer(t *testing.T) {
	t.Parallel()
	const theirs = "of_another_team"
	for _, version := range dbservers.TestedPostgresVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := startPostgres(t, dbservers.PostgresOptions{Version: version})
			for _, statement := range []string{
				"CREATE ROLE rdsadmin LOGIN SUPERUSER", "CREATE ROLE dba LOGIN", "GRANT rds_superuser TO dba",
			} {
				if err := server.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if err := server.CreateUser(t.Context(), theirs, "planted-of-another-team"); err != nil {
				t.Fatal(err)
			}
			for _, row := range []struct {
				name, username string
				class          string // default: nothing-opens
				reset          string // its class where the admin may reset; empty: that is the operator's word
			}{
				{name: "a superuser", username: "postgres", reset: "unsupported"},
				{name: "the account of RDS", username: "rdsadmin", reset: "unsupported"},
				{name: "a role of RDS", username: "rds_superuser", reset: "unsupported"},
				{name: "a member of a role of RDS", username: "dba", reset: "unsupported"},
				{name: "a role of the server", username: "pg_monitor", reset: "unsupported"},
				{name: "the admin", username: server.Admin.Username, class: "forbidden", reset: "forbidden"},
				{name: "another team's", username: theirs},
				{name: "another team's, in other letters", username: strings.ToUpper(theirs), reset: "unsupported"},
				{name: "another team's, with a blank behind", username: theirs + " ", reset: "unsupported"},
				{name: "another team's, quoted", username: `"` + theirs + `"`, reset: "unsupported"},
			} {
				for _, strategy := range []string{"single", "alternating"} {
					for _, mayReset := range []bool{false, true} {
						class := row.class
						if class == "" {
							class = "nothing-opens"
						}
						name := row.name + " " + strategy
						if mayReset {
							if class = row.reset; class == "" {
								continue
							}
							name += ", while the admin may reset"
						}
						t.Run(name, func(t *testing.T) {
							s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{
								"CREATE_TWINS": "true", "ADMIN_MAY_RESET": strconv.FormatBool(mayReset),
							}})
							const guess = "planted-guess-1"
							s.planted.add(guess)
							document := s.document(row.username, guess)
							s.byStrategy(strategy, document)
							arn := s.secret(document)
							before := catalogs(t, server)
							_, mark := s.serverLog(0)
							s.failsAs(arn, class)
							log, _ := s.serverLog(mark)
							if diff := cmp.Diff(before, catalogs(t, server)); diff != "" {
								t.Errorf("the server's accounts changed: %s", diff)
							}
							if as := "user=" + server.Admin.Username; !mayReset && strings.Contains(log, as) {
								t.Errorf("the admin signed in:\n%s", log)
							}
							if s.password(arn, "AWSCURRENT") != guess {
								t.Error("AWSCURRENT changed")
							}
						})
					}
				}
			}
		})
	}
}

// TestASecretTakesWhatTheOperatorDidNotList: the accounts of a pair and the
// role that they act as count only where the function's environment lists them.
func TestASecretTakesWhatTheOperatorDidNotList(t *testing.T) {
	t.Parallel()
	// A server of its own: its log tells of every sign-in.
	server := startPostgres(t, dbservers.PostgresOptions{Version: "18"})
	const theirs = "of_another_team"
	if err := server.CreateUser(t.Context(), theirs, "planted-of-another-team"); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name     string
		settings func(username string) map[string]any
		says     string
	}{
		{"another team's account as its twin", func(username string) map[string]any { return map[string]any{"twins": []string{username, theirs}} }, "TWINS"},
		{"another team's account as the canonical one", func(username string) map[string]any { return map[string]any{"twins": []string{theirs, username}} }, "TWINS"},
		{"the admin as its twin", func(username string) map[string]any {
			return map[string]any{"twins": []string{username, server.Admin.Username}}
		}, "TWINS"},
		{"another team's account as the owner", func(string) map[string]any { return map[string]any{"ownerRole": theirs} }, "OWNER_ROLES"},
		{"the admin as the owner", func(string) map[string]any { return map[string]any{"ownerRole": server.Admin.Username} }, "OWNER_ROLES"},
		{"a role of the server as the owner", func(string) map[string]any { return map[string]any{"ownerRole": "pg_read_all_data"} }, "OWNER_ROLES"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{
				"CREATE_TWINS": "true", "TWINS": "mine:mine_too," + theirs + ":another", "OWNER_ROLES": "mine",
			}})
			username, first := s.account()
			document := s.document(username, first)
			s.adminSecret(document)
			settings := row.settings(username)
			settings["strategy"] = "alternating"
			document["dbrotation"] = settings
			arn := s.secret(document)
			before := catalogs(t, server)
			_, mark := s.serverLog(0)
			s.failsAs(arn, "invalid-secret", row.says)
			log, _ := s.serverLog(mark)
			if good, failed := signIns(log); good+failed != 0 {
				t.Errorf("the server was asked:\n%s", log)
			}
			if diff := cmp.Diff(before, catalogs(t, server)); diff != "" {
				t.Errorf("the server's accounts changed: %s", diff)
			}
			if s.password(arn, "AWSCURRENT") != first || s.password(arn, "AWSPENDING") != "" {
				t.Error("the secret changed")
			}
		})
	}
}

// TestASecretLeadsTheAdminIntoItsOwnDatabase: the twin is opened from the
// database of the application's secret. Its owner has put functions and tables
// of the server's own names before the server's, which do his work with the
// rights of whoever calls them.
func TestASecretLeadsTheAdminIntoItsOwnDatabase(t *testing.T) {
	t.Parallel()
	// What a driver could call. Names whose types nobody else may use are left
	// out: the server refuses them.
	const shadow = `DO $$
DECLARE f record;
BEGIN
	FOR f IN SELECT proname AS name, format_type(prorettype, NULL) AS gives, pg_get_function_arguments(oid) AS takes
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset
		AND proname ~ '^(pg_|has_|current_|set_config|quote_|format|shobj_|obj_|array_|string_to|regexp_|lower|upper|length|replace|concat|hashtext|to_reg|encode|decode|md5)'
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.name, f.takes, f.gives, 'BEGIN PERFORM evil.strike(); RETURN NULL; END');
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	FOR f IN SELECT relname AS name FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')
	LOOP
		BEGIN
			EXECUTE format('CREATE VIEW evil.%I AS SELECT c.* FROM pg_catalog.%I c WHERE evil.strike()', f.name, f.name);
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
END $$`
	const standing = `SELECT (SELECT count(*) FROM pg_catalog.pg_proc WHERE pronamespace = 'evil'::regnamespace),
		(SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace = 'evil'::regnamespace)`
	for _, version := range dbservers.TestedPostgresVersions() {
		for _, adopt := range []string{"", "reassign"} {
			t.Run(version+" ADOPT="+adopt, func(t *testing.T) {
				t.Parallel()
				server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true", "ADOPT": adopt}})
				username, first := s.account()
				target, targets := s.account()
				database := "of_" + username
				s.exec("CREATE DATABASE " + database + " OWNER " + username)
				t.Cleanup(func() {
					if err := server.Exec(context.Background(), "DROP DATABASE "+database+" WITH (FORCE)"); err != nil {
						t.Error(err)
					}
				})
				login := server.Superuser
				login.Database = database
				conn, err := dbservers.Connect(t.Context(), login)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
				for _, statement := range []string{
					"SET ROLE " + username, "CREATE SCHEMA evil", "GRANT USAGE ON SCHEMA evil TO PUBLIC",
					"CREATE FUNCTION evil.strike() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN ALTER ROLE " + target + " PASSWORD ''struck''; RETURN true; END'",
					shadow,
					"GRANT SELECT ON ALL TABLES IN SCHEMA evil TO PUBLIC",
					"ALTER DATABASE " + database + " SET search_path = evil, pg_catalog",
				} {
					if _, err := conn.Exec(t.Context(), statement); err != nil {
						t.Fatalf("%.80s: %v", statement, err)
					}
				}
				var functions, tables int
				if err := conn.QueryRow(t.Context(), standing).Scan(&functions, &tables); err != nil {
					t.Fatal(err)
				}
				if functions < 200 || tables < 50 {
					t.Fatalf("%d functions and %d tables stand in the way, too few to prove anything", functions, tables)
				}

				document := s.document(username, first)
				document["dbname"] = database
				s.byStrategy("alternating", document)
				arn := s.secret(document)
				for range 3 {
					if err := s.rotate(arn); err != nil {
						t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
					}
				}
				if !s.accepts(target, targets) || s.accepts(target, "struck") {
					t.Error("the admin did what the database's owner wanted")
				}
			})
		}
	}
}

// catalogs returns all that a server keeps of its accounts, row by row.
func catalogs(t *testing.T, server *dbservers.Server) []string {
	t.Helper()
	conn, err := server.ConnectSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var rows []string
	for _, catalog := range []string{"pg_authid", "pg_auth_members", "pg_db_role_setting", "pg_shdescription", "pg_shdepend"} {
		var text string
		if err := conn.QueryRow(t.Context(), "SELECT coalesce(string_agg(c::text, E'\\n' ORDER BY c::text), '') FROM "+catalog+" c").Scan(&text); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, catalog)
		rows = append(rows, strings.Split(text, "\n")...)
	}
	return rows
}

// sslRequest is how a client asks a PostgreSQL server for TLS.
//
// https://www.postgresql.org/docs/current/protocol-message-formats.html
var sslRequest = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), 80877103)

// TestSomebodyOnTheWayToTheServer answers in the server's place. Without its
// certificate nobody learns more than that a client came.
func TestSomebodyOnTheWayToTheServer(t *testing.T) {
	t.Parallel()
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
	strangers, err := dbservers.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		play func(t *testing.T, heard *plaintext) func(net.Conn)
	}{
		{"it says that there is no TLS", func(*testing.T, *plaintext) func(net.Conn) { return answers("N") }},
		{"it says that the server is too old to know TLS", func(*testing.T, *plaintext) func(net.Conn) {
			return answers("E\x00\x00\x00\x2fSFATAL\x00C0A000\x00Munsupported frontend protocol\x00\x00")
		}},
		{"it asks for the password in TLS's place", func(*testing.T, *plaintext) func(net.Conn) { return answers("R\x00\x00\x00\x08\x00\x00\x00\x03") }},
		{"it has a certificate of another authority", func(t *testing.T, heard *plaintext) func(net.Conn) {
			return speaksTLS(certificateOf(t, strangers, "127.0.0.1"), heard)
		}},
		{"it has another server's certificate", func(t *testing.T, heard *plaintext) func(net.Conn) {
			return speaksTLS(certificateOf(t, server.CA, "other.example.com"), heard)
		}},
	} {
		for _, strategy := range []string{"", "single", "alternating"} {
			name := row.name + ", the account by itself"
			if strategy != "" {
				name = row.name + ", " + strategy + " by an admin"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var heard plaintext
				a := attack(t, row.play(t, &heard), "127.0.0.1:0")
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				// Both secrets lead to it: it is on the way of everybody.
				s.host, s.port = a.host(), a.port()
				username, first := s.account()
				document := s.document(username, first)
				if strategy != "" {
					s.byStrategy(strategy, document)
				}
				arn := s.secret(document)
				if err := s.rotate(arn); err == nil {
					t.Error("the rotation went through")
				}
				sent := a.connections()
				if len(sent) == 0 {
					t.Error("nobody came, so nothing was tried")
				}
				for _, bytes := range sent {
					rest, asked := strings.CutPrefix(string(bytes), string(sslRequest))
					// What may follow is the handshake, whose records have the
					// types 20 to 22, and nothing in plaintext.
					if !asked || rest != "" && (rest[0] < 20 || rest[0] > 22) {
						t.Errorf("the client did not insist on TLS: it sent %q", bytes)
					}
				}
				if text := heard.String(); text != "" {
					t.Errorf("under the stranger's certificate the client sent %q", text)
				}
				if !s.accepts(username, first) || s.password(arn, "AWSCURRENT") != first {
					t.Error("something changed")
				}
				s.password(arn, "AWSPENDING")
			})
		}
	}
}

// plaintext is what was decrypted of all connections.
type plaintext struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *plaintext) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *plaintext) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// answers reads the client's first message and says this.
func answers(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, len(sslRequest))); err == nil {
			_, _ = io.WriteString(conn, text)
		}
	}
}

// speaksTLS agrees to TLS, shows a certificate, and keeps what is then said.
func speaksTLS(certificate tls.Certificate, heard io.Writer) func(net.Conn) {
	return func(conn net.Conn) {
		answers("S")(conn)
		_, _ = io.Copy(heard, tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}))
	}
}

func certificateOf(t *testing.T, ca *dbservers.CA, name string) tls.Certificate {
	t.Helper()
	certificate, key, err := ca.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
