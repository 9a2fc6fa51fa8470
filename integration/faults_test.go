package integration_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

// What goes wrong with the rotation functions that people use today, where no
// other test holds that it does not go wrong here. The whole list, with the
// tests that hold it, is the table of docs/moving-from-aws.md.

const (
	faultsDocument = "../docs/moving-from-aws.md"
	tableBegins    = "<!-- faults: every test that is named here exists -->"
	tableEnds      = "<!-- end of faults -->"
)

// TestTheTableOfFaultsNamesTestsThatExist keeps the table from rotting: every
// row names at least one test, by its package's folder and its name.
func TestTheTableOfFaultsNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(faultsDocument)
	if err != nil {
		t.Fatal(err)
	}
	faults := tableFaults(string(text), testsOf(t, ".."))
	for _, fault := range faults {
		t.Error(fault)
	}
}

// TestAWrongTableOfFaultsIsNoticed lets the check above fail.
func TestAWrongTableOfFaultsIsNoticed(t *testing.T) {
	t.Parallel()
	const head = tableBegins + "\n| fault | here | test |\n|---|---|---|\n"
	tests := map[string]bool{"rotator.TestA": true, "dbdrivers/postgres.TestB": true}
	for _, row := range []struct {
		name, text string
		want       int
	}{
		{"all is well", head + "| x | y | `rotator.TestA`, `dbdrivers/postgres.TestB` |\n| z | y | **not solved** |\n" + tableEnds, 0},
		{"a test that does not exist", head + "| x | y | `rotator.TestC` |\n" + tableEnds, 1},
		{"a test of another package", head + "| x | y | `rotator.TestB` |\n" + tableEnds, 1},
		{"two of them in a row", head + "| x | y | `rotator.TestC`, `rotator.TestA`, `rotator.TestD` |\n" + tableEnds, 2},
		{"a row without a test", head + "| x | y | |\n| z | y | `rotator.TestA` |\n" + tableEnds, 1},
		{"a row of two columns", head + "| x | `rotator.TestA` |\n" + tableEnds, 1},
		{"a test between other words", head + "| x | y | see `rotator.TestA` |\n" + tableEnds, 1},
		{"a table without a row", head + tableEnds, 1},
		{"no table", "nothing", 1},
	} {
		if faults := tableFaults(row.text, tests); len(faults) != row.want {
			t.Errorf("%s: %q, want %d faults", row.name, faults, row.want)
		}
	}
}

var namedTest = regexp.MustCompile("^`([a-z0-9/]+\\.(?:Test|Fuzz)[A-Za-z0-9_]*)`$")

// tableFaults lists what is wrong with the table of a document. The last column
// names tests, or says that the fault is not solved.
func tableFaults(text string, tests map[string]bool) (faults []string) {
	_, table, begins := strings.Cut(text, tableBegins)
	table, _, ends := strings.Cut(table, tableEnds)
	if !begins || !ends {
		return []string{"the document has no table between " + tableBegins + " and " + tableEnds}
	}
	rows := 0
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| fault |") {
			continue
		}
		rows++
		columns := strings.Split(strings.Trim(line, "|"), "|")
		if len(columns) != 3 {
			faults = append(faults, "this row has not three columns: "+line)
			continue
		}
		named := strings.TrimSpace(columns[2])
		if named == "**not solved**" {
			continue
		}
		for name := range strings.SplitSeq(named, ",") {
			found := namedTest.FindStringSubmatch(strings.TrimSpace(name))
			switch {
			case found == nil:
				faults = append(faults, "this row names no test and does not say **not solved**: "+line)
			case !tests[found[1]]:
				faults = append(faults, found[1]+" does not exist, and a row names it: "+line)
			}
		}
	}
	if rows == 0 {
		faults = append(faults, "the table has no row")
	}
	return faults
}

// testsOf finds the tests below a folder, as folder.Name. A suite that a
// package runs is named by the function that runs it.
func testsOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		for _, declared := range file.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && f.Recv == nil && regexp.MustCompile(`^(Test|Fuzz)`).MatchString(f.Name.Name) {
				tests[path.Clean(filepath.ToSlash(relative))+"."+f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// TestNoPasswordComesFromAPredictableSource: a function that many copy seeds
// its generator with the time of day.
func TestNoPasswordComesFromAPredictableSource(t *testing.T) {
	t.Parallel()
	imports := listImports(t)[module+"/rotator"]
	if !slices.Contains(imports, "crypto/rand") {
		t.Errorf("the package that makes passwords does not import crypto/rand, but %q", imports)
	}
	for _, predictable := range []string{"math/rand", "math/rand/v2"} {
		if slices.Contains(imports, predictable) {
			t.Errorf("the package that makes passwords imports %s", predictable)
		}
	}
}

// newestServers are the newest of each engine.
var newestServers = []sharedServer{
	{"postgres", func(t *testing.T) *dbservers.Server {
		return sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
	}},
	{"mysql", func(t *testing.T) *dbservers.Server {
		return sharedMySQL(t, dbservers.MySQLOptions{Plaintext: true})
	}},
	{"mariadb", func(t *testing.T) *dbservers.Server {
		return sharedMariaDB(t, dbservers.MariaDBOptions{Plaintext: true})
	}},
}

// setByHand changes an account's password behind the secret's back.
func (s *stage) setByHand(username string) {
	s.t.Helper()
	if s.server.Engine == "postgres" {
		s.exec("ALTER ROLE " + username + " PASSWORD 'set by hand'")
		return
	}
	s.exec("ALTER USER " + username + " IDENTIFIED BY 'set by hand'")
}

// exists reports whether the server has an account.
func (s *stage) exists(username string) bool {
	s.t.Helper()
	if s.server.Engine == "postgres" {
		return len(s.table("SELECT FROM pg_roles WHERE rolname = $1", username)) > 0
	}
	return len(s.table("SELECT user FROM mysql.user WHERE user = ?", username)) > 0
}

// TestSecretsAsPeopleHaveThem rotates documents that AWS's console, its SDKs,
// CloudFormation and people's scripts have written. Nothing but the password
// may differ afterwards, byte by byte.
func TestSecretsAsPeopleHaveThem(t *testing.T) {
	t.Parallel()
	// The names of Aurora, where there is one.
	aurora := map[string]string{"postgres": "aurora-postgresql", "mysql": "aurora-mysql", "mariadb": "mariadb"}
	rows := []struct{ name, text string }{
		{"the console's, for Aurora", `{"username":"USER","password":"PASSWORD","engine":"ALIAS","host":"HOST","port":PORT,"dbname":"DATABASE","dbClusterIdentifier":"prod"}`},
		{"CloudFormation's, whose numbers are text", `{"dbClusterIdentifier":"prod","password":"PASSWORD","dbname":"DATABASE","engine":"ENGINE","port":"PORT","host":"HOST","username":"USER"}`},
		{"Python's", `{"engine": "ENGINE", "host": "HOST", "username": "USER", "password": "PASSWORD", "dbname": "DATABASE", "port": PORT, "ssl": true, "note": "\u00e4\u20ac"}`},
		{"with the flags as text", `{"engine":"ENGINE","host":"HOST","port":"PORT","username":"USER","password":"PASSWORD","dbname":"DATABASE","ssl":"true"}`},
		{"with fields that are empty", `{"engine":"ENGINE","host":"HOST","port":PORT,"username":"USER","password":"PASSWORD","dbname":"DATABASE","masterarn":null,"ssl":null,"description":""}`},
		{"by hand, with what an application keeps beside", "{\n\t\"url\": \"ENGINE://HOST:PORT/DATABASE\",\n\t\"pool\": {\"max\": 1e1, \"password\": \"no\"},\n\t\"id\": 12345678901234567890, \"rate\": 1.50,\n" +
			"\t\"engine\": \"ENGINE\", \"host\": \"HOST\", \"port\": PORT,\n\t\"username\": \"USER\", \"password\": \"PASSWORD\", \"dbname\": \"DATABASE\"\n}\n"},
		{"with no database", `{"engine":"ENGINE","host":"HOST","port":PORT,"username":"USER","password":"PASSWORD"}`},
	}
	for _, at := range newestServers {
		for _, row := range rows {
			t.Run(at.name+" "+row.name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, stageOptions{server: at.shared(t)})
				username, first := s.account()
				text := strings.NewReplacer("USER", username, "HOST", s.host, "PORT", fmt.Sprint(s.port), "DATABASE", s.server.Database,
					"ENGINE", s.server.Engine, "ALIAS", aurora[s.server.Engine]).Replace(row.text)
				arn := s.secretText(strings.Replace(text, "PASSWORD", first, 1))
				if err := s.rotate(arn); err != nil {
					t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
				}
				if !s.opens(arn, "AWSCURRENT") || s.accepts(username, first) {
					t.Error("AWSCURRENT does not open the database, or the old password does")
				}
				// The document's own text holds the new password as it is: none of
				// its characters needs an escape in JSON.
				if after := s.value(arn, "AWSCURRENT"); after != strings.Replace(text, "PASSWORD", s.password(arn, "AWSCURRENT"), 1) {
					t.Error("the document changed in more than its password")
				}
			})
		}
	}
}

// TestAWrongPasswordIsNotTriedWithoutTLS: a function that takes every failure
// for missing TLS tries each password once more, in plaintext. These servers
// would let it.
func TestAWrongPasswordIsNotTriedWithoutTLS(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		notTriedWithoutTLS(t, startPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true}), func(s *stage, mark int, _ ...string) (came, failed, newMark int) {
			log, newMark := s.serverLog(mark)
			return strings.Count(log, "connection received"), len(authFailed.FindAllString(log, -1)), newMark
		})
	})
	family := func(s *stage, _ int, users ...string) (came, failed, newMark int) {
		counted := s.signIns(users...)
		return counted.Accepted + counted.Refused, counted.Refused, 0
	}
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		notTriedWithoutTLS(t, startMySQL(t, dbservers.MySQLOptions{Plaintext: true}), family)
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		notTriedWithoutTLS(t, startMariaDB(t, dbservers.MariaDBOptions{Plaintext: true}), family)
	})
}

// notTriedWithoutTLS counts the sign-ins to a server by its own log: since a
// mark, or those of users that nobody else has.
func notTriedWithoutTLS(t *testing.T, server *dbservers.Server, count func(s *stage, mark int, users ...string) (came, failed, newMark int)) {
	for _, strategy := range []string{"", "single", "alternating"} {
		s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
		username, _ := s.account()
		const wrong = "planted-wrong-1"
		s.planted.add(wrong)
		document := s.document(username, wrong)
		if strategy != "" {
			s.byStrategy(strategy, document)
		}
		arn := s.secret(document)
		_, _, mark := count(s, 0, username, username+"_clone")
		s.failsAs(arn, "nothing-opens")
		// Current and pending; there is no previous version.
		if came, failed, _ := count(s, mark, username, username+"_clone"); came != 2 || failed != 2 {
			t.Errorf("strategy %q: %d sign-ins and %d that failed, want 2 of each", strategy, came, failed)
		}
	}
}

// TestNoPasswordInTheServersStatistics: pg_stat_statements keeps the text of
// every ALTER ROLE, and many may read it.
//
// https://www.postgresql.org/docs/current/pgstatstatements.html
func TestNoPasswordInTheServersStatistics(t *testing.T) {
	t.Parallel()
	server := startPostgres(t, dbservers.PostgresOptions{Version: "18", Settings: map[string]string{
		"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "all", "track_activity_query_size": "16384",
	}})
	if err := server.Exec(t.Context(), "CREATE EXTENSION pg_stat_statements"); err != nil {
		t.Fatal(err)
	}
	for _, strategy := range []string{"", "single", "alternating"} {
		s := newStage(t, stageOptions{server: server, env: map[string]string{"CREATE_TWINS": "true"}})
		username, first := s.account()
		document := s.document(username, first)
		if strategy != "" {
			s.byStrategy(strategy, document)
		}
		arn := s.secret(document)
		// What CreateUser sent holds the password, and is not the function's.
		s.exec("SELECT pg_stat_statements_reset()")
		if err := s.rotate(arn); err != nil {
			t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
		}
		_, second := s.credential(arn, "AWSCURRENT")
		statements := s.statistics()
		if !strings.Contains(statements, "ALTER ROLE") {
			t.Errorf("strategy %q: the statistics hold no change, so nothing can be searched in them:\n%s", strategy, statements)
		}
		s.noPasswordIn("pg_stat_statements", statements)

		// A password that was sent as it is would be found.
		s.exec("ALTER ROLE " + username + " PASSWORD '" + second + "'")
		if !strings.Contains(s.statistics(), second) {
			t.Error("pg_stat_statements does not keep what is looked for")
		}
	}
}

// statistics returns every statement that pg_stat_statements keeps.
func (s *stage) statistics() (statements string) {
	s.t.Helper()
	conn, err := s.server.ConnectSuperuser(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(s.t.Context())) }()
	if err := conn.QueryRow(s.t.Context(), "SELECT string_agg(query, E'\\n') FROM pg_stat_statements").Scan(&statements); err != nil {
		s.t.Fatal(err)
	}
	return statements
}

// TestTheOtherAccountCarriesTheTurn: the current account's password was changed
// by hand, or its account is broken. AWS's function then fails for ever,
// although the other account would open.
func TestTheOtherAccountCarriesTheTurn(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedPostgresVersions() {
		for turns, broken := range map[int]string{1: "_clone", 2: ""} {
			t.Run(fmt.Sprintf("%s app%s is broken", version, broken), func(t *testing.T) {
				t.Parallel()
				server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				arn := s.alternatingSecret()
				app, _ := s.credential(arn, "AWSCURRENT")
				for range turns {
					if err := s.rotate(arn); err != nil {
						t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
					}
				}
				s.setByHand(app + broken)
				if s.opens(arn, "AWSCURRENT") || !s.opens(arn, "AWSPREVIOUS") {
					t.Fatal("the story needs a current credential that is refused, and a previous one that opens")
				}
				// The next two turns mend both.
				for turn := range 2 {
					if err := s.rotate(arn); err != nil {
						t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
					}
					if !s.opens(arn, "AWSCURRENT") {
						t.Errorf("AWSCURRENT does not open the database after turn %d", turn)
					}
				}
				if !s.opens(arn, "AWSPREVIOUS") || s.accepts(app+broken, "set by hand") {
					t.Error("the account that was broken was not mended")
				}
			})
		}
	}
}

// TestTheOperatorsLeaveMendsARefusedCurrent is the same at a server that may lock
// an account after refusals: AWSPREVIOUS is not tried after two of them. The
// rotation fails without a change, as AWS's function's does, until the operator
// lets the admin set the password.
func TestTheOperatorsLeaveMendsARefusedCurrent(t *testing.T) {
	t.Parallel()
	for _, at := range newestServers[1:] {
		for turns, broken := range map[int]string{1: "_clone", 2: ""} {
			t.Run(fmt.Sprintf("%s app%s is broken", at.name, broken), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, stageOptions{server: at.shared(t), tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				const resetting = "resetting"
				s.addExecutable(resetting, executable, map[string]string{"ADMIN_MAY_RESET": "true"})
				arn := s.alternatingSecret()
				app, _ := s.credential(arn, "AWSCURRENT")
				for range turns {
					s.mustRotateBy(function, arn)
				}
				s.setByHand(app + broken)
				s.failsAs(arn, "nothing-opens", "ADMIN_MAY_RESET", "Nothing was changed")
				if !s.accepts(app+broken, "set by hand") || !s.opens(arn, "AWSPREVIOUS") || s.opens(arn, "AWSPENDING") {
					t.Error("a password changed")
				}
				if err := s.deliverSteps(resetting, arn); err != nil {
					t.Fatalf("%v\n%s", err, s.aws.FunctionLog(resetting))
				}
				if !s.opens(arn, "AWSCURRENT") {
					t.Error("AWSCURRENT does not open the database")
				}
				s.mustRotateBy(function, arn)
				if !s.opens(arn, "AWSPREVIOUS") || s.accepts(app+broken, "set by hand") {
					t.Error("the account that was broken was not mended")
				}
			})
		}
	}
}

// TestAPreviousRotationIsNotComplete is Secrets Manager's answer after a
// rotation that failed for good. The database already has the new password
// then, and only AWSPENDING holds it: the ways out that the manual names lead
// out, and the label is never taken off on the way.
func TestAPreviousRotationIsNotComplete(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		out  func(s *stage, arn string)
	}{
		{"Secrets Manager delivers it again", func(s *stage, arn string) {
			for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
				if err := s.invoke(step, arn, s.versionOf(arn, "AWSPENDING")); err != nil {
					s.t.Errorf("%s: %v\n%s", step, err, s.aws.FunctionLog(function))
				}
			}
		}},
		{"the operator moves AWSCURRENT to what opens", func(s *stage, arn string) {
			if _, err := s.client.UpdateSecretVersionStage(s.t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &arn, VersionStage: aws.String("AWSCURRENT"),
				MoveToVersionId: aws.String(s.versionOf(arn, "AWSPENDING")), RemoveFromVersionId: aws.String(s.versionOf(arn, "AWSCURRENT")),
			}); err != nil {
				s.t.Error(err)
			}
		}},
	} {
		for _, at := range newestServers {
			for _, strategy := range []string{"", "single", "alternating"} {
				t.Run(at.name+" "+row.name+" "+strategy, func(t *testing.T) {
					t.Parallel()
					s := newStage(t, stageOptions{server: at.shared(t), tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
					document := s.document(s.account())
					calls := 5 // of createSecret and setSecret
					if strategy != "" {
						s.byStrategy(strategy, document)
						calls++
					}
					arn := s.secret(document)
					// testSecret never ends, so the database has what is pending.
					s.aws.Inject(localaws.Fault{Kind: localaws.KillBefore, Function: function, Skip: calls, Times: -1})
					if err := s.rotate(arn); err == nil {
						t.Fatal("the rotation went through")
					}
					s.aws.ClearFaults()
					if !s.opens(arn, "AWSPENDING") {
						t.Fatal("AWSPENDING does not open the database, or its label is gone")
					}
					_, err := s.client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: &arn})
					if err == nil || !strings.Contains(err.Error(), "A previous rotation isn't complete") {
						t.Fatalf("error %v", err)
					}
					row.out(s, arn)
					if !s.opens(arn, "AWSCURRENT") {
						t.Error("AWSCURRENT does not open the database")
					}
					for range 2 {
						if err := s.rotate(arn); err != nil {
							t.Fatalf("the next rotation: %v\n%s", err, s.aws.FunctionLog(function))
						}
						if !s.opens(arn, "AWSCURRENT") {
							t.Error("AWSCURRENT does not open the database after the next rotation")
						}
					}
				})
			}
		}
	}
}

// versionOf returns the id of the version under a label.
func (s *stage) versionOf(arn, label string) string {
	s.t.Helper()
	out, err := s.client.GetSecretValue(s.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionStage: &label})
	if err != nil {
		s.t.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

// TestANewScheduleMakesNoTwin is RotateImmediately=false for two accounts:
// Secrets Manager calls testSecret alone, on a copy of current, while there is
// no twin yet.
func TestANewScheduleMakesNoTwin(t *testing.T) {
	t.Parallel()
	for _, at := range newestServers {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, stageOptions{server: at.shared(t), tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
			arn := s.alternatingSecret()
			before := s.value(arn, "AWSCURRENT")
			app, _ := s.credential(arn, "AWSCURRENT")
			if _, err := s.client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
				SecretId: &arn, RotationLambdaARN: aws.String(localaws.FunctionARN(region, function)), RotateImmediately: aws.Bool(false),
			}); err != nil {
				t.Fatal(err)
			}
			if err := s.aws.WaitForRotation(t.Context(), region, arn); err != nil {
				t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
			}
			if s.exists(app+"_clone") || s.value(arn, "AWSCURRENT") != before || !s.opens(arn, "AWSCURRENT") {
				t.Error("the twin exists, or AWSCURRENT changed, or does not open the database")
			}
			if log := s.aws.FunctionLog(function); !strings.Contains(log, `"step":"testSecret"`) {
				t.Errorf("testSecret was not called:\n%s", log)
			}
		})
	}
}

// soonOpens signs in as an account that may have one connection: the server counts
// the one before until it has noticed its end.
func (s *stage) soonOpens(username, password string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	for {
		open, err := s.server.Opens(ctx, username, password)
		switch {
		case err == nil && !open:
			s.t.Errorf("the password of %s is refused", username)
			return
		case err == nil:
			return
		}
		select {
		case <-ctx.Done():
			s.t.Errorf("signing in as %s, again and again: %v", username, err)
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestAnApplicationHoldsAllItsConnections: the account's limit of them is
// used up by its own application. Whether the rotation goes through or waits,
// the application's next sign-in with AWSCURRENT must not fail for it.
func TestAnApplicationHoldsAllItsConnections(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, strategy string
		rotates        bool
	}{
		{"the account by itself", "", false},
		{"an admin changes its one password", "single", false},
		{"two accounts take turns", "alternating", true},
	} {
		for _, at := range newestServers {
			t.Run(at.name+" "+row.name, func(t *testing.T) {
				t.Parallel()
				limit, named := "ALTER ROLE %s CONNECTION LIMIT 1", "CONNECTION LIMIT"
				if at.name != "postgres" {
					limit, named = "ALTER USER %s WITH MAX_USER_CONNECTIONS 1", "max_user_connections"
				}
				s := newStage(t, stageOptions{server: at.shared(t), tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				username, first := s.account()
				document := s.document(username, first)
				if row.strategy != "" {
					s.byStrategy(row.strategy, document)
				}
				arn := s.secret(document)
				s.exec(fmt.Sprintf(limit, username))
				conn, err := s.enter(t.Context(), s.server.Login(username, first))
				if err != nil {
					t.Fatal(err)
				}
				if row.rotates {
					if err := s.rotate(arn); err != nil {
						t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
					}
				} else {
					s.failsAs(arn, "barred", named)
				}
				conn.close()
				s.soonOpens(s.credential(arn, "AWSCURRENT"))
				s.soonOpens(username, first)
			})
		}
	}
}
