package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

const (
	// awsSingle and awsAlternating are AWS's functions in a stage; adopting is
	// ours with leave to hand a twin's objects over.
	awsSingle      = "aws-single-user"
	awsAlternating = "aws-alternating-users"
	adopting       = "adopting"
)

// inherited is a database as AWS's function leaves it after a few rotations:
// both accounts have made tables, and both were granted some.
type inherited struct {
	*stage
	arn, app, clone string
	schema          string
}

// inherit lets AWS's function rotate until the account with this suffix is
// current.
func inherit(t *testing.T, version, current string) *inherited {
	t.Helper()
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
	s := newStage(t, stageOptions{server: server, env: map[string]string{"CREATE_TWINS": "true"}})
	s.addAWSFunction(awsAlternating, true)
	s.addAdopting()
	i := &inherited{stage: s, arn: s.alternatingSecret()}
	i.app, _ = s.credential(i.arn, "AWSCURRENT")
	i.clone = i.app + "_clone"
	i.schema = "of_" + i.app
	s.exec("CREATE SCHEMA "+i.schema,
		"GRANT ALL ON SCHEMA "+i.schema+" TO "+i.app,
		"CREATE TABLE "+i.schema+".granted_to_app (n int)", "CREATE TABLE "+i.schema+".granted_to_clone (n int)",
		"GRANT ALL ON "+i.schema+".granted_to_app TO "+i.app,
		"ALTER ROLE "+i.app+" SET statement_timeout = '17s'",
		"SET ROLE "+server.Admin.Username+"; CREATE ROLE group_"+i.app,
		"CREATE TABLE "+i.schema+".granted_to_group (n int)", "GRANT ALL ON "+i.schema+".granted_to_group TO group_"+i.app)
	i.mustRun("AWSCURRENT", "CREATE TABLE "+i.schema+".made_by_app (n int)", "CREATE TABLE "+i.schema+".also_made_by_app (n int)")
	s.mustRotateBy(awsAlternating, i.arn)
	i.mustRun("AWSCURRENT", "CREATE TABLE "+i.schema+".made_by_clone (n int)", "CREATE VIEW "+i.schema+".seen_by_clone AS SELECT * FROM "+i.schema+".made_by_app")
	s.exec("GRANT ALL ON "+i.schema+".granted_to_clone TO "+i.clone, "ALTER ROLE "+i.clone+" SET work_mem = '3MB'",
		"SET ROLE "+server.Admin.Username+"; GRANT group_"+i.app+" TO "+i.clone)
	s.mustRotateBy(awsAlternating, i.arn)
	if current != "" {
		s.mustRotateBy(awsAlternating, i.arn)
	}
	if username, _ := s.credential(i.arn, "AWSCURRENT"); username != i.app+current {
		t.Fatalf("current is %s, want %s", username, i.app+current)
	}
	return i
}

// addAdopting registers the executable once more, with leave to hand over.
func (s *stage) addAdopting() {
	s.t.Helper()
	s.addExecutable(adopting, executable, map[string]string{"ADOPT": "reassign"})
}

// addExecutable registers an executable as another function of the stage.
func (s *stage) addExecutable(name, path string, env map[string]string) {
	s.t.Helper()
	roots := s.t.TempDir() + "/roots.pem"
	if err := os.WriteFile(roots, s.server.RootsPEM, 0o600); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]string{"SSL_ROOTS": roots, "CREATE_TWINS": "true"}
	for key, value := range env {
		all[key] = value
	}
	if err := s.aws.AddFunction(localaws.Function{Name: name, Path: path, Env: all}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.noPasswordIn("the log of "+name, s.aws.FunctionLog(name)) })
}

// run signs in with the credential under a label and runs statements.
func (s *stage) run(arn, label string, statements ...string) error {
	s.t.Helper()
	conn, err := s.enter(s.t.Context(), s.server.Login(s.credential(arn, label)))
	if err != nil {
		return err
	}
	defer conn.close()
	for _, statement := range statements {
		if err := conn.exec(s.t.Context(), statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (i *inherited) mustRun(label string, statements ...string) {
	i.t.Helper()
	if err := i.run(i.arn, label, statements...); err != nil {
		i.t.Fatal(err)
	}
}

// tables are all that the two made or were granted.
var inheritedTables = []string{"made_by_app", "also_made_by_app", "made_by_clone", "granted_to_app", "granted_to_clone", "granted_to_group"}

// may lists what either account may do, by trying it.
func (i *inherited) may() map[string]bool {
	i.t.Helper()
	possible := map[string]bool{}
	for _, label := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		username, _ := i.credential(i.arn, label)
		try := func(name string, statements ...string) {
			statements = append(append([]string{"BEGIN"}, statements...), "ROLLBACK")
			possible[username+" may "+name] = i.run(i.arn, label, statements...) == nil
		}
		for _, table := range inheritedTables {
			try("read "+table, "SELECT * FROM "+i.schema+"."+table)
			try("write "+table, "INSERT INTO "+i.schema+"."+table+" VALUES (1)")
		}
		for _, table := range []string{"made_by_app", "made_by_clone"} {
			try("alter "+table, "ALTER TABLE "+i.schema+"."+table+" ADD m int")
		}
		try("read seen_by_clone", "SELECT * FROM "+i.schema+".seen_by_clone")
		try("create a table", "CREATE TABLE "+i.schema+".another (n int)")
	}
	return possible
}

// setting is what a sign-in of an account starts with.
func (i *inherited) setting(username, name string) (value string) {
	i.t.Helper()
	conn, err := dbservers.Connect(i.t.Context(), i.server.Login(i.labelled(username)))
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(i.t.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil {
		i.t.Fatal(err)
	}
	return value
}

// labelled returns an account's credential, under whichever label it is.
func (i *inherited) labelled(username string) (name, password string) {
	i.t.Helper()
	for _, label := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		if name, password := i.credential(i.arn, label); name == username {
			return name, password
		}
	}
	i.t.Fatalf("%s has no label", username)
	return "", ""
}

// logSince returns what a function has logged after the first length bytes.
func (s *stage) logSince(name string, length int) string {
	return s.aws.FunctionLog(name)[length:]
}

// TestTenTurnsAfterAWSsFunction takes a database over that AWS's function has
// rotated. Nothing that either account could do before is lost, whoever has
// the first turn, and what the twin owns is named.
func TestTenTurnsAfterAWSsFunction(t *testing.T) {
	t.Parallel()
	eachTakeover(t, func(t *testing.T, i *inherited) {
		before := i.may()
		for _, certain := range []string{
			i.clone + " may write made_by_clone", i.clone + " may write made_by_app", i.clone + " may write granted_to_clone",
			i.clone + " may write granted_to_group", i.app + " may write granted_to_app", i.app + " may create a table",
		} {
			if !before[certain] {
				t.Fatalf("the scene is not set: not %s", certain)
			}
		}
		if before[i.app+" may read made_by_clone"] {
			t.Fatal("the fault of AWS's function does not show")
		}
		for turn := range 10 {
			mark := len(i.aws.FunctionLog(function))
			i.mustRotateBy(function, i.arn)
			if !i.opens(i.arn, "AWSPREVIOUS") {
				t.Fatalf("turn %d: AWSPREVIOUS does not open the database", turn)
			}
			log := i.logSince(function, mark)
			if username, _ := i.credential(i.arn, "AWSCURRENT"); username == i.clone {
				for _, object := range []string{"made_by_clone", "seen_by_clone"} {
					if !strings.Contains(log, object) {
						t.Errorf("turn %d: the function's log does not name %s:\n%s", turn, object, log)
					}
				}
				if got := i.setting(i.clone, "statement_timeout"); got != "17s" {
					t.Errorf("turn %d: the twin's statement_timeout is %s", turn, got)
				}
			}
			if turn >= 2 {
				continue
			}
			// The first turn of each. Nothing was revoked.
			if strings.Contains(log, `"removed":[`) {
				t.Errorf("turn %d: something was taken away the first time:\n%s", turn, log)
			}
			after := i.may()
			for what, could := range before {
				if could && !after[what] {
					t.Errorf("turn %d: no longer: %s", turn, what)
				}
			}
			if got := i.setting(i.clone, "work_mem"); got != "3MB" {
				t.Errorf("turn %d: the twin's own setting is gone: work_mem is %s", turn, got)
			}
		}
		// What it owns it keeps, to the end.
		i.mustBeUsable(i.clone, "made_by_clone", "made_by_app")
		i.mustBeUsable(i.app, "made_by_app", "granted_to_app")
	})
}

// mustBeUsable proves that an account reads, writes and, of its pair's tables,
// alters.
func (i *inherited) mustBeUsable(username string, tables ...string) {
	i.t.Helper()
	conn, err := dbservers.Connect(i.t.Context(), i.server.Login(i.labelled(username)))
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, table := range tables {
		for _, statement := range []string{"SELECT * FROM %s", "INSERT INTO %s VALUES (1)"} {
			statement = fmt.Sprintf(statement, i.schema+"."+table)
			if _, err := conn.Exec(i.t.Context(), statement); err != nil {
				i.t.Errorf("as %s: %s: %v", username, statement, err)
			}
		}
	}
}

func (i *inherited) owner(object string) (owner string) {
	i.t.Helper()
	conn, err := i.server.ConnectSuperuser(i.t.Context())
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(i.t.Context(), "SELECT relowner::regrole::text FROM pg_class WHERE oid = $1::text::regclass", i.schema+"."+object).Scan(&owner); err != nil {
		i.t.Fatal(err)
	}
	return owner
}

func eachTakeover(t *testing.T, story func(t *testing.T, i *inherited)) {
	for _, version := range dbservers.TestedPostgresVersions() {
		for _, row := range []struct{ name, current string }{
			{"the first turn is the twin's", ""},
			{"the first turn is the canonical account's", "_clone"},
		} {
			t.Run(version+" "+row.name, func(t *testing.T) {
				t.Parallel()
				story(t, inherit(t, version, row.current))
			})
		}
	}
}

// TestATwinsTablesAreHandedOver lets the function reassign what the twin owns.
// From then on the two are equal, which AWS's function never makes them:
// "permission denied for table" is what its users meet.
func TestATwinsTablesAreHandedOver(t *testing.T) {
	t.Parallel()
	eachTakeover(t, func(t *testing.T, i *inherited) {
		// What was given to the twin itself is the operator's to move.
		i.exec("REVOKE ALL ON "+i.schema+".granted_to_clone FROM "+i.clone, "GRANT ALL ON "+i.schema+".granted_to_clone TO "+i.app)
		i.mustRotateBy(function, i.arn)
		mark := len(i.aws.FunctionLog(adopting))
		for range 2 {
			i.mustRotateBy(adopting, i.arn)
			if !i.opens(i.arn, "AWSPREVIOUS") {
				t.Fatal("AWSPREVIOUS does not open the database")
			}
		}
		log := i.logSince(adopting, mark)
		for _, object := range []string{"made_by_clone", "seen_by_clone"} {
			if got := i.owner(object); got != i.app {
				t.Errorf("%s belongs to %s, want %s", object, got, i.app)
			}
			if !strings.Contains(log, object) {
				t.Errorf("the function's log does not say that %s was handed over:\n%s", object, log)
			}
		}
		for turn := range 4 {
			label := "AWSCURRENT"
			if err := i.run(i.arn, label, fmt.Sprintf("CREATE TABLE %s.turn%d (n int)", i.schema, turn)); err != nil {
				t.Errorf("turn %d: %v", turn, err)
			}
			tables := []string{"made_by_app", "made_by_clone", "granted_to_app", "granted_to_clone"}
			for earlier := range turn + 1 {
				tables = append(tables, fmt.Sprintf("turn%d", earlier))
			}
			i.mustBeUsable(i.app, tables...)
			i.mustBeUsable(i.clone, tables...)
			if err := i.run(i.arn, label, fmt.Sprintf("ALTER TABLE %s.made_by_clone ADD a%d int", i.schema, turn), fmt.Sprintf("ALTER TABLE %s.made_by_app ADD a%d int", i.schema, turn)); err != nil {
				t.Errorf("turn %d: %v", turn, err)
			}
			mark := len(i.aws.FunctionLog(adopting))
			i.mustRotateBy(adopting, i.arn)
			if log := i.logSince(adopting, mark); strings.Contains(log, `"kept":[`) {
				t.Errorf("turn %d: the twin still has what its sibling has not:\n%s", turn, log)
			}
		}
	})
}

// TestAnUnprovenAccountIsLeftAlone meets somebody else's account where the
// twin would be. Nothing on it changes, whatever it holds.
func TestAnUnprovenAccountIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedPostgresVersions() {
		for _, name := range []string{function, adopting} {
			t.Run(version+" by "+name, func(t *testing.T) {
				t.Parallel()
				server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				s.addAdopting()
				arn := s.alternatingSecret()
				app, password := s.credential(arn, "AWSCURRENT")
				stranger := app + "_clone"
				s.planted.add("planted-stranger")
				if err := server.CreateUser(t.Context(), stranger, "planted-stranger"); err != nil {
					t.Fatal(err)
				}
				s.exec("CREATE TABLE owned_by_"+stranger+" (n int)", "ALTER TABLE owned_by_"+stranger+" OWNER TO "+stranger,
					"CREATE TABLE open_to_"+stranger+" (n int)", "GRANT SELECT ON open_to_"+stranger+" TO "+stranger,
					"ALTER ROLE "+stranger+" SET work_mem = '3MB'", "COMMENT ON ROLE "+stranger+" IS 'of the reporting team'",
					"SET ROLE "+server.Admin.Username+"; GRANT "+app+" TO "+stranger)
				before := s.roleDump(stranger)
				for _, part := range []string{"reporting team", "work_mem", stranger + "=r/"} {
					if !strings.Contains(before, part) {
						t.Fatalf("the dump does not hold %s:\n%s", part, before)
					}
				}
				if err := s.rotateBy(name, arn); err == nil {
					t.Error("the rotation went through")
				}
				log := s.aws.FunctionLog(name)
				for _, part := range []string{`"class":"forbidden"`, stranger, "AWSPREVIOUS", "Nothing was changed"} {
					if !strings.Contains(log, part) {
						t.Errorf("the function's log does not say %q:\n%s", part, log)
					}
				}
				if diff := cmp.Diff(before, s.roleDump(stranger)); diff != "" {
					t.Errorf("the account was changed:\n%s", diff)
				}
				if !s.accepts(stranger, "planted-stranger") || !s.opens(arn, "AWSCURRENT") || s.password(arn, "AWSCURRENT") != password {
					t.Error("a credential changed")
				}
			})
		}
	}
}

// roleDump is all that the server knows of a role, to the byte.
func (s *stage) roleDump(role string) (dump string) {
	s.t.Helper()
	conn, err := s.server.ConnectSuperuser(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	const everything = `WITH r AS (SELECT oid FROM pg_authid WHERE rolname = $1)
		SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '') FROM (
		SELECT 'role ' || a::text AS line FROM pg_authid a, r WHERE a.oid = r.oid
		UNION ALL SELECT 'member ' || m::text FROM pg_auth_members m, r WHERE m.roleid = r.oid OR m.member = r.oid
		UNION ALL SELECT 'setting ' || s::text FROM pg_db_role_setting s, r WHERE s.setrole = r.oid
		UNION ALL SELECT 'comment ' || d::text FROM pg_shdescription d, r WHERE d.objoid = r.oid
		UNION ALL SELECT 'depends ' || d::text FROM pg_shdepend d, r WHERE d.refobjid = r.oid
		UNION ALL SELECT 'relation ' || c.relname || ' ' || coalesce(c.relacl::text, '') || c.relowner FROM pg_class c, pg_shdepend d, r WHERE d.refobjid = r.oid AND d.objid = c.oid
		UNION ALL SELECT 'database ' || coalesce(b.datacl::text, '') FROM pg_database b, pg_shdepend d, r WHERE d.refobjid = r.oid AND d.objid = b.oid AND NOT b.datallowconn) AS lines`
	if err := conn.QueryRow(s.t.Context(), everything, role).Scan(&dump); err != nil {
		s.t.Fatal(err)
	}
	return dump
}

// foreign are members of a document that nobody here owns, in forms that a
// careless decoder loses.
const foreign = `"ratio": 5432.0, "big": 123456789012345678901234567890, "small": 0.10, "nested": {"b": [1, 2.50, {"c": null}], "a": "\u00e9\ud83d\ude00"}, "umlaut": "Grün 用户", "markup": "<a&b>", "empty": {}, "no": false`

// foreignSecret makes an account and a secret that holds foreign members too.
func (s *stage) foreignSecret(alternating bool) (arn string) {
	s.t.Helper()
	document := s.document(s.account())
	if alternating {
		s.adminSecret(document)
		delete(document, "dbrotation")
	}
	document["port"] = fmt.Sprint(s.port)
	text, err := json.Marshal(document)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.secretText("{" + foreign + ", " + string(text[1:]))
}

// text returns the value under a label.
func (s *stage) text(arn, label string) string {
	s.t.Helper()
	out, err := s.client.GetSecretValue(s.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionStage: &label})
	if err != nil {
		s.t.Fatal(err)
	}
	return aws.ToString(out.SecretString)
}

// besidesCredential decodes a document, less its username and password.
func besidesCredential(t *testing.T, text string) map[string]any {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	delete(document, "username")
	delete(document, "password")
	return document
}

// sameForeign proves that a rotation kept what the document held besides.
func sameForeign(t *testing.T, before, after string) {
	t.Helper()
	if was, is := besidesCredential(t, before), besidesCredential(t, after); !reflect.DeepEqual(was, is) {
		t.Error("the document changed in more than its credential: " + cmp.Diff(was, is))
	}
	// The forms that both functions write alike.
	for _, form := range []string{`5432.0`, `123456789012345678901234567890`, `"<a&b>"`} {
		if !strings.Contains(after, form) {
			t.Errorf("the document has lost the form %s", form)
		}
	}
}

// sharedServer is a server at which AWS's functions can rotate.
type sharedServer struct {
	name   string
	shared func(t *testing.T) *dbservers.Server
}

// awsServers are of every engine that this function and AWS's have in common.
func awsServers() (servers []sharedServer) {
	for _, version := range dbservers.TestedPostgresVersions() {
		servers = append(servers, sharedServer{"postgres " + version, func(t *testing.T) *dbservers.Server {
			return sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
		}})
	}
	return append(servers, awsFamilyServers...)
}

// TestRotationsByAWSsFunctionAndOurs go by turns, sixteen in a row, as when a
// team moves over and back.
func TestRotationsByAWSsFunctionAndOurs(t *testing.T) {
	t.Parallel()
	for _, at := range awsServers() {
		for _, row := range []struct {
			name, theirs string
			alternating  bool
		}{
			{"single", awsSingle, false},
			{"alternating", awsAlternating, true},
		} {
			t.Run(at.name+" "+row.name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, stageOptions{server: at.shared(t), tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				s.addAWSFunction(row.theirs, row.alternating)
				arn := s.foreignSecret(row.alternating)
				// Three in a pattern of two, so that each of the two functions
				// meets either account of a pair.
				for turn, name := range []string{
					row.theirs, function, row.theirs, function, row.theirs, function, row.theirs, function,
					function, row.theirs, row.theirs, function, function, row.theirs, row.theirs, function,
				} {
					before := s.text(arn, "AWSCURRENT")
					old, oldPassword := s.credential(arn, "AWSCURRENT")
					s.mustRotateBy(name, arn)
					sameForeign(t, before, s.text(arn, "AWSCURRENT"))
					if name == function && !strings.Contains(s.text(arn, "AWSCURRENT"), untilCredential(before)) {
						t.Errorf("turn %d: ours rewrote the document", turn)
					}
					if s.accepts(old, oldPassword) != row.alternating {
						t.Errorf("turn %d: the credential before opens the database: %v", turn, !row.alternating)
					}
				}
			})
		}
	}
}

// untilCredential is what stands before the first member that a rotation
// writes.
func untilCredential(text string) string {
	return text[:min(strings.Index(text, `"username"`), strings.Index(text, `"password"`))]
}

// TestStepsOfOneRotationByAWSsFunctionAndOurs changes the function between two
// steps of a rotation, as a deployment in its middle does.
func TestStepsOfOneRotationByAWSsFunctionAndOurs(t *testing.T) {
	t.Parallel()
	steps := []string{"createSecret", "setSecret", "testSecret", "finishSecret"}
	for _, at := range awsServers() {
		for _, alternating := range []bool{false, true} {
			strategy := map[bool]string{true: "alternating", false: "single"}[alternating]
			for cut := 1; cut < len(steps); cut++ {
				for _, oursFirst := range []bool{false, true} {
					who := map[bool][2]string{true: {"ours", "AWS's"}, false: {"AWS's", "ours"}}[oursFirst]
					t.Run(fmt.Sprintf("%s %s %s by %s and the rest by %s", at.name, strategy, strings.Join(steps[:cut], "+"), who[0], who[1]), func(t *testing.T) {
						t.Parallel()
						s := newStage(t, stageOptions{server: at.shared(t), tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
						const relay = "relay"
						theirs := s.awsFunction(relay, alternating).handle
						s.addRelay(relay, func(step string) stepHandler {
							for _, early := range steps[:cut] {
								if early == step {
									return map[bool]stepHandler{true: s.ours, false: theirs}[oursFirst]
								}
							}
							return map[bool]stepHandler{true: theirs, false: s.ours}[oursFirst]
						})
						arn := s.foreignSecret(alternating)
						// Either account's turn, and the twin's once more.
						for range 3 {
							before := s.text(arn, "AWSCURRENT")
							s.mustRotateBy(relay, arn)
							sameForeign(t, before, s.text(arn, "AWSCURRENT"))
							if alternating && !s.opens(arn, "AWSPREVIOUS") {
								t.Error("AWSPREVIOUS does not open the database")
							}
						}
					})
				}
			}
		}
	}
}
