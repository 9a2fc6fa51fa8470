package integration_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// strategiesByAdmin are those by which an admin's login does the work.
func (k mysqlServer) strategiesByAdmin() (names []string) {
	names = []string{"single", "dual-password"}
	for _, strategy := range k.strategies {
		if strategy.alternating {
			names = append(names, "alternating")
		}
	}
	return names
}

// signInsOf counts the attempts of a user in a part of a server's log.
func signInsOf(log, user string) int { return strings.Count(log, "\t"+user+"@") }

// TestASecretReachesForAnotherAccountOfMySQL is
// [TestASecretReachesForAnotherAccountOfTheServer] for MySQL's family. Besides,
// the secret may hold the very password of an account that is an admin itself.
func TestASecretReachesForAnotherAccountOfMySQL(t *testing.T) {
	t.Parallel()
	const theirs = "of_another_team"
	for _, kind := range mysqlServers() {
		t.Run(kind.engine+" "+kind.version, func(t *testing.T) {
			t.Parallel()
			server := kind.start(t)
			for _, user := range []string{"rdsadmin", "rdsrepladmin", "has_super", "has_create_user", "has_powerful_role", theirs} {
				if err := server.CreateUser(t.Context(), user, "planted-of-"+user); err != nil {
					t.Fatal(err)
				}
			}
			for _, statement := range []string{
				"GRANT SUPER ON *.* TO has_super", "GRANT CREATE USER ON *.* TO has_create_user",
				"CREATE ROLE powerful", "GRANT CREATE USER ON *.* TO powerful", "GRANT powerful TO has_powerful_role",
			} {
				if err := server.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			for _, row := range []struct {
				name, username string
				// opens: the secret's writer knows the password.
				opens bool
				class string // default: nothing-opens
				// reset is its class where the admin may reset; empty: that is the
				// operator's word.
				reset string
			}{
				{name: "the superuser", username: "root", reset: "unsupported"},
				{name: "the account of RDS", username: "rdsadmin", reset: "unsupported"},
				{name: "the account of RDS, by its password", username: "rdsadmin", opens: true, class: "unsupported", reset: "unsupported"},
				{name: "another account of RDS", username: "rdsrepladmin", reset: "unsupported"},
				{name: "an account of the server", username: "mysql.sys", reset: "unsupported"},
				{name: "an account of MariaDB", username: "mariadb.sys", reset: "unsupported"},
				{name: "a role", username: "powerful", reset: "unsupported"},
				{name: "the admin", username: server.Admin.Username, class: "forbidden", reset: "forbidden"},
				{name: "an account with SUPER", username: "has_super", reset: "unsupported"},
				{name: "an account with SUPER, by its password", username: "has_super", opens: true, class: "unsupported", reset: "unsupported"},
				{name: "an account with CREATE USER", username: "has_create_user", reset: "unsupported"},
				{name: "an account with CREATE USER, by its password", username: "has_create_user", opens: true, class: "unsupported", reset: "unsupported"},
				{name: "an account that may take a role with CREATE USER, by its password", username: "has_powerful_role", opens: true, class: "unsupported", reset: "unsupported"},
				{name: "another team's", username: theirs},
				{name: "another team's, in other letters", username: strings.ToUpper(theirs), reset: "unsupported"},
				{name: "another team's, with a blank behind", username: theirs + " ", reset: "unsupported"},
				// MySQL takes all of these away around a name in a statement.
				{name: "another team's, with a blank before", username: " " + theirs, reset: "unsupported"},
				{name: "another team's, with a tab before", username: "\t" + theirs, reset: "unsupported"},
				{name: "the superuser, with a newline behind", username: "root\n", reset: "unsupported"},
				{name: "another team's, with its host", username: theirs + "@%", reset: "unsupported"},
				{name: "another team's, quoted", username: "`" + theirs + "`", reset: "unsupported"},
			} {
				for _, strategy := range kind.strategiesByAdmin() {
					for _, mayReset := range []bool{false, true} {
						name, class := row.name+" "+strategy, row.class
						if class == "" {
							class = "nothing-opens"
						}
						if mayReset {
							name += ", while the admin may reset"
							class = row.reset
						}
						if class == "" {
							continue
						}
						t.Run(name, func(t *testing.T) {
							password := "planted-guess-1"
							if row.opens {
								password = "planted-of-" + row.username
							}
							reaches(t, server, row.username, password, strategy, class, mayReset)
						})
					}
				}
			}
		})
	}
}

// reaches rotates a secret that names somebody else's account, and fails the
// test unless that ends in an error of a class and changes nothing.
func reaches(t *testing.T, server *dbservers.Server, username, password, strategy, class string, mayReset bool) {
	t.Helper()
	s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{
		"CREATE_TWINS": "true", "ADMIN_MAY_RESET": strconv.FormatBool(mayReset),
	}})
	s.planted.add(password)
	document := s.document(username, password)
	s.byStrategy(strategy, document)
	arn := s.secret(document)
	before := accountTables(t, server)
	_, mark := s.serverLog(0)
	s.failsAs(arn, class)
	log, _ := s.serverLog(mark)
	if diff := cmp.Diff(before, accountTables(t, server), cmp.AllowUnexported(accountRow{})); diff != "" {
		t.Errorf("the server's accounts changed: %s", diff)
	}
	// Who does not know the password makes no admin sign in; unsupported is what
	// the admin's login finds out.
	if !mayReset && class != "unsupported" && signInsOf(log, server.Admin.Username) > 0 {
		t.Errorf("the admin signed in:\n%s", log)
	}
	if s.password(arn, "AWSCURRENT") != password {
		t.Error("AWSCURRENT changed")
	}
}

// TestMySQLAccountsThatOnlyHaveNamesOfAPair is
// [TestAccountsThatOnlyHaveNamesOfAPair] for MySQL's family.
func TestMySQLAccountsThatOnlyHaveNamesOfAPair(t *testing.T) {
	t.Parallel()
	for _, kind := range mysqlServers() {
		for _, row := range []struct{ name, mine, theirs string }{
			{"mine is the one that would be canonical", "", "_clone"},
			{"mine is the one that would be the twin", "_clone", ""},
		} {
			t.Run(kind.engine+" "+kind.version+" "+row.name, func(t *testing.T) {
				t.Parallel()
				server := kind.start(t)
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				base := fmt.Sprintf("pair_%d_%d", os.Getpid(), accounts.Add(1))
				mine, theirs := base+row.mine, base+row.theirs
				const myPassword, theirPassword = "planted-mine-1", "planted-theirs-1"
				for username, password := range map[string]string{mine: myPassword, theirs: theirPassword} {
					s.planted.add(password)
					if err := server.CreateUser(t.Context(), username, password); err != nil {
						t.Fatal(err)
					}
				}
				s.exec("CREATE DATABASE of_"+theirs, "GRANT SELECT ON of_"+theirs+".* TO "+theirs)
				document := s.document(mine, myPassword)
				s.byStrategy("alternating", document)
				arn := s.secret(document)
				before := accountTables(t, server)
				s.failsAs(arn, "forbidden", base, "AWSPREVIOUS")
				if diff := cmp.Diff(before, accountTables(t, server), cmp.AllowUnexported(accountRow{})); diff != "" {
					t.Errorf("the server's accounts changed: %s", diff)
				}
				if !s.accepts(theirs, theirPassword) || !s.accepts(mine, myPassword) {
					t.Error("a password changed")
				}
			})
		}
	}
}

// TestASecretOfMySQLTakesWhatTheOperatorDidNotList is
// [TestASecretTakesWhatTheOperatorDidNotList] for MySQL's family.
func TestASecretOfMySQLTakesWhatTheOperatorDidNotList(t *testing.T) {
	t.Parallel()
	const theirs = "of_another_team"
	for _, kind := range mysqlServers() {
		t.Run(kind.engine+" "+kind.version, func(t *testing.T) {
			t.Parallel()
			server := kind.start(t)
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
				{"the superuser as its twin", func(username string) map[string]any { return map[string]any{"twins": []string{username, "root"}} }, "TWINS"},
				{"an owner, which the server does not know", func(string) map[string]any { return map[string]any{"ownerRole": theirs} }, "OWNER_ROLES"},
			} {
				t.Run(row.name, func(t *testing.T) {
					s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true", "TWINS": "mine:mine_too"}})
					username, first := s.account()
					document := s.document(username, first)
					s.adminSecret(document)
					settings := row.settings(username)
					settings["strategy"] = "alternating"
					document["dbrotation"] = settings
					arn := s.secret(document)
					before := accountTables(t, server)
					_, mark := s.serverLog(0)
					s.failsAs(arn, "invalid-secret", row.says)
					log, _ := s.serverLog(mark)
					if signInsOf(log, username)+signInsOf(log, server.Admin.Username) != 0 {
						t.Errorf("the server was asked:\n%s", log)
					}
					if diff := cmp.Diff(before, accountTables(t, server), cmp.AllowUnexported(accountRow{})); diff != "" {
						t.Errorf("the server's accounts changed: %s", diff)
					}
					if s.password(arn, "AWSCURRENT") != first || s.password(arn, "AWSPENDING") != "" {
						t.Error("the secret changed")
					}
				})
			}
		})
	}
}

// TestAMySQLAdminsPasswordIsAimedAtAnotherSocket is
// [TestAnAdminsPasswordIsAimedAtAnotherSocket] for MySQL's family.
func TestAMySQLAdminsPasswordIsAimedAtAnotherSocket(t *testing.T) {
	t.Parallel()
	for _, kind := range mysqlServers() {
		t.Run(kind.engine+" "+kind.version, func(t *testing.T) {
			t.Parallel()
			server := kind.start(t)
			port := strconv.Itoa(server.Port)
			beside := attack(t, nil, net.JoinHostPort("127.0.0.2", port), net.JoinHostPort("::1", port))
			behind := attack(t, nil, net.JoinHostPort(server.Host, "0"))
			for _, row := range []struct {
				name   string
				secret func(document map[string]any)
				class  string
				says   string
			}{
				{"another address", func(d map[string]any) { d["host"] = beside.host() }, "forbidden", "ADMIN_HOSTS"},
				{"another address, without TLS", func(d map[string]any) { d["host"], d["ssl"] = beside.host(), "false" }, "forbidden", "ADMIN_HOSTS"},
				{"another port", func(d map[string]any) { d["port"] = behind.port() }, "forbidden", strconv.Itoa(behind.port())},
				{"a network and an address in the host", func(d map[string]any) { d["host"] = "tcp(" + net.JoinHostPort(beside.host(), port) + ")" }, "invalid-secret", `\"host\"`},
				{"a socket in the host", func(d map[string]any) { d["host"] = "/tmp/mysql.sock" }, "invalid-secret", `\"host\"`},
				{"a client's own parameter", func(d map[string]any) { d["host"] = server.Host + "?tls=false" }, "invalid-secret", `\"host\"`},
			} {
				for _, strategy := range kind.strategiesByAdmin() {
					t.Run(row.name+" "+strategy, func(t *testing.T) {
						s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
						username, first := s.account()
						document := s.document(username, first)
						s.byStrategy(strategy, document)
						row.secret(document)
						arn := s.secret(document)
						_, mark := s.serverLog(0)
						s.failsAs(arn, row.class, row.says)
						log, _ := s.serverLog(mark)
						if signInsOf(log, username)+signInsOf(log, server.Admin.Username) != 0 {
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
		})
	}
}

// The capabilities of a server that can do TLS, and of one that cannot.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html
const (
	withoutTLS uint32 = 1<<0 | 1<<2 | 1<<3 | 1<<9 | 1<<13 | 1<<15 | 1<<19 | 1<<20
	withTLS           = withoutTLS | 1<<11
)

// mysqlPacket is a packet of the server's.
func mysqlPacket(sequence byte, payload ...byte) []byte {
	return append([]byte{byte(len(payload)), byte(len(payload) >> 8), 0, sequence}, payload...)
}

// mysqlGreeting is what a server says first.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
func mysqlGreeting(capabilities uint32, plugin string) []byte {
	payload := append([]byte{10}, "8.4.0\x00\x01\x00\x00\x00salt-of-\x00"...)
	payload = binary.LittleEndian.AppendUint16(payload, uint16(capabilities&0xffff))
	payload = append(payload, 45, 2, 0)
	payload = binary.LittleEndian.AppendUint16(payload, uint16(capabilities>>16))
	payload = append(payload, 21)
	payload = append(payload, make([]byte, 10)...)
	payload = append(payload, "twelve-more-\x00"...)
	payload = append(payload, plugin+"\x00"...)
	return mysqlPacket(0, payload...)
}

// TestSomebodyOnTheWayToMySQL is [TestSomebodyOnTheWayToTheServer] for MySQL's
// family, whose servers speak first.
func TestSomebodyOnTheWayToMySQL(t *testing.T) {
	t.Parallel()
	strangers, err := dbservers.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	says := func(bytes []byte) func(*testing.T, *dbservers.Server, *plaintext) func(net.Conn) {
		return func(*testing.T, *dbservers.Server, *plaintext) func(net.Conn) {
			return func(conn net.Conn) { _, _ = conn.Write(bytes) }
		}
	}
	for _, kind := range mysqlServers() {
		server := kind.start(t)
		for _, row := range []struct {
			name string
			play func(*testing.T, *dbservers.Server, *plaintext) func(net.Conn)
		}{
			{"it says that there is no TLS", says(mysqlGreeting(withoutTLS, "caching_sha2_password"))},
			{"it says so, and wants the password itself", says(mysqlGreeting(withoutTLS, "mysql_clear_password"))},
			{"it says so, and wants an old proof", says(mysqlGreeting(withoutTLS, "mysql_native_password"))},
			{"it refuses before a greeting", says(mysqlPacket(0, append([]byte{0xff, 0x15, 0x04}, "#28000Access denied"...)...))},
			{"it has a certificate of another authority", func(t *testing.T, _ *dbservers.Server, heard *plaintext) func(net.Conn) {
				return speaksMySQLTLS(certificateOf(t, strangers, "127.0.0.1"), heard)
			}},
			{"it has another server's certificate", func(t *testing.T, server *dbservers.Server, heard *plaintext) func(net.Conn) {
				return speaksMySQLTLS(certificateOf(t, server.CA, "other.example.com"), heard)
			}},
		} {
			for _, strategy := range append([]string{""}, kind.strategiesByAdmin()...) {
				t.Run(strings.Join([]string{kind.engine, kind.version, row.name, strategy}, " "), func(t *testing.T) {
					t.Parallel()
					var heard plaintext
					a := attack(t, row.play(t, server, &heard), "127.0.0.1:0")
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
						if !insistsOnTLS(bytes) {
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
}

// sslRequestLength is that of the packet by which a client asks for TLS.
//
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_ssl_request.html
const sslRequestLength = 4 + 32

// insistsOnTLS reports whether a client has said nothing in plaintext but that
// it wants TLS. The records of a handshake have the types 20 to 22.
func insistsOnTLS(sent []byte) bool {
	if len(sent) == 0 {
		return true
	}
	if len(sent) < sslRequestLength || sent[0] != sslRequestLength-4 {
		return false
	}
	rest := sent[sslRequestLength:]
	return len(rest) == 0 || rest[0] >= 20 && rest[0] <= 22
}

// speaksMySQLTLS greets, agrees to TLS, shows a certificate, and keeps what is
// then said.
func speaksMySQLTLS(certificate tls.Certificate, heard io.Writer) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := conn.Write(mysqlGreeting(withTLS, "caching_sha2_password")); err != nil {
			return
		}
		if _, err := io.ReadFull(conn, make([]byte, sslRequestLength)); err != nil {
			return
		}
		_, _ = io.Copy(heard, tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}))
	}
}

// TestAnAccountOfMySQLForgesAMark: whoever owns an account that only has a
// twin's name says of it what it can without a privilege, and is not given its
// sibling. A true twin says the same, and is no less a twin.
func TestAnAccountOfMySQLForgesAMark(t *testing.T) {
	t.Parallel()
	for _, kind := range mysqlServers() {
		if kind.engine != "mysql" {
			continue
		}
		for name, attribute := range map[string]string{
			"as its twin": `{"dbrotation": {"twinOf": "{app}", "state": "kept equal"}}`, "as another's": `{"dbrotation": {"twinOf": "z"}}`, "as nobody's": `{"dbrotation": null}`,
		} {
			forge := func(s *stage, app, twin, password string) {
				s.t.Helper()
				said := "ALTER USER CURRENT_USER() IDENTIFIED BY '" + password + "' ATTRIBUTE '" + strings.ReplaceAll(attribute, "{app}", app) + "'"
				conn, err := dbservers.ConnectMySQL(s.t.Context(), s.server.Login(twin, password))
				if err != nil {
					s.t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				if _, err := conn.ExecContext(s.t.Context(), said); err != nil {
					s.t.Fatal(err)
				}
			}
			t.Run(kind.version+" "+name, func(t *testing.T) {
				t.Parallel()
				server := kind.start(t)
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				app, password := s.account()
				const own = "planted-Own-password-1"
				s.planted.add(own)
				if err := server.CreateUser(t.Context(), app+"_clone", own); err != nil {
					t.Fatal(err)
				}
				forge(s, app, app+"_clone", own)
				document := s.document(app+"_clone", own)
				s.byStrategy("alternating", document)
				s.failsAs(s.secret(document), "forbidden", app)
				if !s.accepts(app, password) || !s.accepts(app+"_clone", own) {
					t.Error("a password changed")
				}
			})
			t.Run(kind.version+" "+name+", which it is", func(t *testing.T) {
				t.Parallel()
				s := newStage(t, stageOptions{server: kind.start(t), env: map[string]string{"CREATE_TWINS": "true"}})
				app, password := s.account()
				document := s.document(app, password)
				s.byStrategy("alternating", document)
				arn := s.secret(document)
				s.exec("GRANT SELECT ON lost_by_" + app + ".* TO " + app)
				if err := s.rotate(arn); err != nil {
					t.Fatal(err)
				}
				_, current := s.credential(arn, "AWSCURRENT")
				forge(s, app, app+"_clone", current)
				s.exec("REVOKE SELECT ON lost_by_" + app + ".* FROM " + app)
				for range 2 {
					if err := s.rotate(arn); err != nil {
						t.Fatal(err)
					}
				}
				if grants := strings.Join(s.rows("SHOW GRANTS FOR "+app+"_clone"), "\n"); strings.Contains(grants, "lost_by_") {
					t.Errorf("the twin keeps what its sibling has lost:\n%s", grants)
				}
			})
		}
	}
}
