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

// TestSecretsAsPeopleHaveThem rotates documents that AWS's console, its SDKs,
// CloudFormation and people's scripts have written. Nothing but the password
// may differ afterwards, byte by byte.
func TestSecretsAsPeopleHaveThem(t *testing.T) {
	t.Parallel()
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
	for _, row := range []struct{ name, text string }{
		{"the console's, for Aurora", `{"username":"USER","password":"PASSWORD","engine":"aurora-postgresql","host":"HOST","port":PORT,"dbname":"DATABASE","dbClusterIdentifier":"prod"}`},
		{"CloudFormation's, whose numbers are text", `{"dbClusterIdentifier":"prod","password":"PASSWORD","dbname":"DATABASE","engine":"postgres","port":"PORT","host":"HOST","username":"USER"}`},
		{"Python's", `{"engine": "postgres", "host": "HOST", "username": "USER", "password": "PASSWORD", "dbname": "DATABASE", "port": PORT, "ssl": true, "note": "\u00e4\u20ac"}`},
		{"with the flags as text", `{"engine":"postgres","host":"HOST","port":"PORT","username":"USER","password":"PASSWORD","dbname":"DATABASE","ssl":"true"}`},
		{"with fields that are empty", `{"engine":"postgres","host":"HOST","port":PORT,"username":"USER","password":"PASSWORD","dbname":"DATABASE","masterarn":null,"ssl":null,"description":""}`},
		{"by hand, with what an application keeps beside", "{\n\t\"url\": \"postgres://HOST:PORT/DATABASE\",\n\t\"pool\": {\"max\": 1e1, \"password\": \"no\"},\n\t\"id\": 12345678901234567890, \"rate\": 1.50,\n" +
			"\t\"engine\": \"postgres\", \"host\": \"HOST\", \"port\": PORT,\n\t\"username\": \"USER\", \"password\": \"PASSWORD\", \"dbname\": \"DATABASE\"\n}\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, stageOptions{server: server})
			username, first := s.account()
			text := strings.NewReplacer("USER", username, "HOST", s.host, "PORT", fmt.Sprint(s.port), "DATABASE", server.Database).Replace(row.text)
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

// TestAWrongPasswordIsNotTriedWithoutTLS: a function that takes every failure
// for missing TLS tries each password once more, in plaintext. This server
// would let it.
func TestAWrongPasswordIsNotTriedWithoutTLS(t *testing.T) {
	t.Parallel()
	server := startPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
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
		_, mark := s.serverLog(0)
		s.failsAs(arn, "nothing-opens")
		log, _ := s.serverLog(mark)
		// Current and pending; there is no previous version.
		if came, failed := strings.Count(log, "connection received"), len(authFailed.FindAllString(log, -1)); came != 2 || failed != 2 {
			t.Errorf("strategy %q: %d connections and %d failed sign-ins, want 2 of each:\n%s", strategy, came, failed, log)
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
				s.exec("ALTER ROLE " + app + broken + " PASSWORD 'set by hand'")
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
		for _, strategy := range []string{"", "single", "alternating"} {
			t.Run(row.name+" "+strategy, func(t *testing.T) {
				t.Parallel()
				server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
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
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
	s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
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
	var exists bool
	conn, err := server.ConnectSuperuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", app+"_clone").Scan(&exists); err != nil {
		t.Fatal(err)
	}
	if exists || s.value(arn, "AWSCURRENT") != before || !s.opens(arn, "AWSCURRENT") {
		t.Errorf("the twin exists: %v; or AWSCURRENT changed, or does not open the database", exists)
	}
	if log := s.aws.FunctionLog(function); !strings.Contains(log, `"step":"testSecret"`) {
		t.Errorf("testSecret was not called:\n%s", log)
	}
}

// TestAnApplicationHoldsAllItsConnections: the account's CONNECTION LIMIT is
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
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
			s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
			username, first := s.account()
			document := s.document(username, first)
			if row.strategy != "" {
				s.byStrategy(row.strategy, document)
			}
			arn := s.secret(document)
			s.exec("ALTER ROLE " + username + " CONNECTION LIMIT 1")
			conn := s.as(arn, "AWSCURRENT")
			if row.rotates {
				if err := s.rotate(arn); err != nil {
					t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
				}
			} else {
				s.failsAs(arn, "barred", "CONNECTION LIMIT")
			}
			if err := conn.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if !s.opens(arn, "AWSCURRENT") || !s.accepts(username, first) {
				t.Error("AWSCURRENT does not open the database, or what the application holds does not")
			}
		})
	}
}
