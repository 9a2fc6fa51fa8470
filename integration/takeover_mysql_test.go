package integration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// awsFamilyServers are of MySQL and MariaDB, the newest of each.
var awsFamilyServers = []sharedServer{
	{"mysql", func(t *testing.T) *dbservers.Server { return sharedMySQL(t, mysqlForAWS) }},
	{"mariadb", func(t *testing.T) *dbservers.Server {
		return sharedMariaDB(t, dbservers.MariaDBOptions{Plaintext: true})
	}},
}

// inheritedFamily is a database of MySQL or MariaDB as AWS's function leaves it
// after a few rotations.
type inheritedFamily struct {
	*stage
	arn, app, clone string
	// database holds the tables that the two were granted, role what the clone
	// alone was granted by somebody.
	database, role string
}

// inheritFamily lets AWS's function rotate until the account with this suffix is
// current, and then what happens in a database happens: something is granted to
// the clone alone, and something is taken from its sibling alone.
func inheritFamily(t *testing.T, at sharedServer, current string) *inheritedFamily {
	t.Helper()
	s := newStage(t, stageOptions{server: at.shared(t), env: map[string]string{"CREATE_TWINS": "true"}})
	s.addAWSFunction(awsAlternating, true)
	i := &inheritedFamily{stage: s, arn: s.alternatingSecret()}
	i.app, _ = s.credential(i.arn, "AWSCURRENT")
	i.clone, i.database, i.role = i.app+"_clone", "of_"+i.app, i.app+"_r"
	s.exec("CREATE DATABASE "+i.database, "CREATE ROLE "+i.role, "GRANT "+i.role+" TO "+s.server.Admin.Username+" WITH ADMIN OPTION")
	for _, table := range familyTables {
		s.exec("CREATE TABLE " + i.database + "." + table + " (n int)")
	}
	s.exec("GRANT SELECT ON "+i.database+".by_role TO "+i.role,
		"GRANT SELECT, INSERT ON "+i.database+".of_both TO "+i.app+" WITH GRANT OPTION",
		"GRANT SELECT, INSERT ON "+i.database+".once_of_both TO "+i.app,
		"ALTER USER "+i.app+" WITH MAX_QUERIES_PER_HOUR 54321")
	s.mustRotateBy(awsAlternating, i.arn)
	s.mustRotateBy(awsAlternating, i.arn)
	if current != "" {
		s.mustRotateBy(awsAlternating, i.arn)
	}
	if username, _ := s.credential(i.arn, "AWSCURRENT"); username != i.app+current {
		t.Fatalf("current is %s, want %s", username, i.app+current)
	}
	s.exec("GRANT SELECT, INSERT ON "+i.database+".of_clone TO "+i.clone, "GRANT "+i.role+" TO "+i.clone,
		"REVOKE ALL PRIVILEGES ON "+i.database+".once_of_both FROM "+i.app)
	return i
}

var familyTables = []string{"of_both", "once_of_both", "of_clone", "by_role"}

// may lists what either account may do, by trying it.
func (i *inheritedFamily) may() map[string]bool {
	i.t.Helper()
	possible := map[string]bool{}
	for _, label := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		username, _ := i.credential(i.arn, label)
		try := func(name string, statements ...string) {
			possible[strings.Replace(username, i.app, "app", 1)+" may "+name] = i.run(i.arn, label, statements...) == nil
		}
		for _, table := range familyTables {
			try("read "+table, "SELECT * FROM "+i.database+"."+table)
			try("write "+table, "INSERT INTO "+i.database+"."+table+" VALUES (1)")
		}
		try("read by_role by its role", "SET ROLE "+i.role, "SELECT * FROM "+i.database+".by_role")
		try("pass of_both on", "GRANT SELECT ON "+i.database+".of_both TO "+username)
	}
	return possible
}

// limit is one that AWS's function does not copy.
func (i *inheritedFamily) limit(username string) string {
	i.t.Helper()
	return i.rows("SELECT max_questions FROM mysql.user WHERE user = '" + username + "'")[0]
}

// TestTurnsAfterAWSsFunctionInTheMySQLFamily takes a database over that AWS's
// function has rotated. On the twin's first turn nothing that either account
// could do is lost, and what the twin holds beyond its sibling is named; from
// its second turn on the two are equal.
func TestTurnsAfterAWSsFunctionInTheMySQLFamily(t *testing.T) {
	t.Parallel()
	for _, at := range awsFamilyServers {
		for _, current := range []string{"", "_clone"} {
			t.Run(at.name+" app"+current+" is current", func(t *testing.T) {
				t.Parallel()
				takeOverFamily(t, inheritFamily(t, at, current))
			})
		}
	}
}

func takeOverFamily(t *testing.T, i *inheritedFamily) {
	before := i.may()
	for what, want := range map[string]bool{
		"app_clone may write of_clone": true, "app_clone may write once_of_both": true, "app_clone may read by_role by its role": true, "app may pass of_both on": true,
		"app may read of_clone": false, "app may read once_of_both": false, "app_clone may pass of_both on": false,
	} {
		if before[what] != want {
			t.Fatalf("the scene is not set: %s: %t", what, before[what])
		}
	}
	twinsTurns := 0
	for turn := range 6 {
		mark := len(i.aws.FunctionLog(function))
		i.mustRotateBy(function, i.arn)
		if !i.opens(i.arn, "AWSPREVIOUS") {
			t.Fatalf("turn %d: AWSPREVIOUS does not open the database", turn)
		}
		log := i.logSince(function, mark)
		if username, _ := i.credential(i.arn, "AWSCURRENT"); username == i.clone {
			twinsTurns++
		}
		after := i.may()
		switch twinsTurns {
		case 0, 1:
			if strings.Contains(log, `"removed":[`) {
				t.Errorf("turn %d: something was taken away the first time:\n%s", turn, log)
			}
			for what, could := range before {
				if could && !after[what] {
					t.Errorf("turn %d: no longer: %s", turn, what)
				}
			}
			if twinsTurns == 1 && !after["app_clone may pass of_both on"] {
				t.Errorf("turn %d: what AWS's function did not copy was not added", turn)
			}
		default:
			for what, can := range after {
				if sibling, isTwins := strings.CutPrefix(what, "app_clone "); isTwins && can != after["app "+sibling] {
					t.Errorf("turn %d: %s: %t, and its sibling: %t", turn, what, can, !can)
				}
			}
		}
		i.mustBeNamed(log, turn, twinsTurns)
		if twinsTurns > 0 && i.limit(i.clone) != "54321" {
			t.Errorf("turn %d: the twin's limit is %s", turn, i.limit(i.clone))
		}
	}
	if sibling, twin := i.grants(i.app), i.grants(i.clone); !slices.Equal(sibling, twin) {
		t.Errorf("after all turns the two are not equal (-sibling +twin):\n%s", cmp.Diff(sibling, twin))
	}
}

// mustBeNamed demands that the log of the twin's first turns names what it holds
// beyond its sibling: as kept, and then as taken away.
func (i *inheritedFamily) mustBeNamed(log string, turn, twinsTurns int) {
	i.t.Helper()
	if username, _ := i.credential(i.arn, "AWSCURRENT"); username != i.clone || twinsTurns > 2 {
		return
	}
	member := map[int]string{1: `"kept":[`, 2: `"removed":[`}[twinsTurns]
	_, list, _ := strings.Cut(log, member)
	list, _, _ = strings.Cut(list, "]")
	for _, right := range []string{"`of_clone`", "`once_of_both`", i.role} {
		if !strings.Contains(list, right) {
			i.t.Errorf("turn %d: %s does not name %s:\n%s", turn, member, right, log)
		}
	}
}

// grants are an account's, without its name and its hash, and without the mark of
// a twin.
func (i *inheritedFamily) grants(username string) []string {
	i.t.Helper()
	rows := i.rows("SHOW GRANTS FOR `" + username + "`")
	for n, row := range rows {
		row, _, _ = strings.Cut(withoutMarks(row), " IDENTIFIED BY PASSWORD")
		rows[n] = strings.ReplaceAll(row, "`"+username+"`", "itself")
	}
	slices.Sort(rows)
	return slices.DeleteFunc(rows, func(row string) bool { return row == "" })
}

// TestAnUnprovenAccountOfTheMySQLFamilyIsLeftAlone is
// [TestAnUnprovenAccountIsLeftAlone] for MySQL and MariaDB.
func TestAnUnprovenAccountOfTheMySQLFamilyIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, at := range awsFamilyServers {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, stageOptions{server: at.shared(t), tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
			arn := s.alternatingSecret()
			app, password := s.credential(arn, "AWSCURRENT")
			stranger, database := app+"_clone", "of_"+app
			s.planted.add("planted-stranger")
			if err := s.server.CreateUser(t.Context(), stranger, "planted-stranger"); err != nil {
				t.Fatal(err)
			}
			s.exec("CREATE DATABASE "+database, "CREATE TABLE "+database+".t (n int)", "GRANT SELECT (n), INSERT ON "+database+".t TO "+stranger+" WITH GRANT OPTION",
				"ALTER USER "+stranger+" WITH MAX_QUERIES_PER_HOUR 54321 PASSWORD EXPIRE INTERVAL 90 DAY")
			before := s.accountDump(stranger)
			for _, part := range []string{"54321", "90", database} {
				if !strings.Contains(before, part) {
					t.Fatalf("the dump does not hold %s:\n%s", part, before)
				}
			}
			s.failsAs(arn, "forbidden", stranger, "AWSPREVIOUS", "Nothing was changed")
			if diff := cmp.Diff(before, s.accountDump(stranger)); diff != "" {
				t.Errorf("the account was changed:\n%s", diff)
			}
			if !s.accepts(stranger, "planted-stranger") || !s.opens(arn, "AWSCURRENT") || s.password(arn, "AWSCURRENT") != password {
				t.Error("a credential changed")
			}
		})
	}
}

// accountDump is all that a server of the family knows of an account, to the
// byte.
func (s *stage) accountDump(username string) string {
	s.t.Helper()
	tables := map[string]string{
		"db": "user", "tables_priv": "user", "columns_priv": "user", "procs_priv": "user", "proxies_priv": "user",
	}
	if s.server.Engine == "mariadb" {
		tables["global_priv"], tables["roles_mapping"] = "user", "user"
	} else {
		tables["user"], tables["global_grants"], tables["default_roles"], tables["role_edges"], tables["password_history"] = "user", "user", "user", "to_user", "user"
	}
	var dump []string
	for table, column := range tables {
		for _, row := range s.table("SELECT * FROM mysql."+table+" WHERE "+column+" = ?", username) {
			dump = append(dump, fmt.Sprintf("%s %q", table, row))
		}
	}
	slices.Sort(dump)
	return strings.Join(dump, "\n")
}
