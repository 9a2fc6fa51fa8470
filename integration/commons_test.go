package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// The tables in docs/postgres-twins.md, docs/mysql-twins.md and
// docs/mariadb-twins.md are what these tests saw. They fail where the two
// differ; to write the pages anew run
//
//	DBROTATION_WRITE_TABLE=1 go test ./integration -run TestWhatATwinHasInCommonWithItsSibling
//
// and read the difference before it is committed.
const (
	writeTable = "DBROTATION_WRITE_TABLE"
	tableBegin = "<!-- The table is written by integration/commons_test.go. -->"
	tableEnd   = "<!-- end -->"
)

// twinsTable is the table of one engine, in one page of the documentation.
type twinsTable struct {
	page       string
	properties []property
	// prepare is executed before everything else, as property.arrange is.
	prepare []string
	// denied is what the server says where a right is missing.
	denied string
	// names are further names that statements may have.
	names map[string]func(c *commonCase) string
}

// commonServer is a server that a table is of. The first one's answers are in
// the table, and those of the others where they differ.
type commonServer struct {
	name   string
	server *dbservers.Server
}

// commonCase is a sibling and its twin, made by one of the two functions.
type commonCase struct {
	*stage
	twinsTable
	maker, arn, app, twin string
	// stranger is a third account, which has nothing of what the two have.
	stranger string
}

// property is one row of the table.
type property struct {
	name string
	// arrange is executed before the twin is made, later after it; {app},
	// {twin}, {f} (the stranger), {s} (a schema of the two) and {admin} stand
	// for names. "@rotate" is no statement.
	arrange, later []string
	// turns is how many rotations follow later, before it is looked at.
	turns int
	// has tries whether an account has the property. The sibling has it, and
	// of what is arranged the stranger has nothing.
	has func(c *commonCase, username string) bool
	// outcome is for rows that are no yes or no; err is how the last rotation
	// ended.
	outcome func(c *commonCase, err error) string
}

func does(statements ...string) func(*commonCase, string) bool {
	return func(c *commonCase, username string) bool { return c.runAs(username, statements...) == nil }
}

// doesNot is true where the right is missing, and nothing else.
func doesNot(statement string) func(*commonCase, string) bool {
	return func(c *commonCase, username string) bool {
		err := c.runAs(username, statement)
		return err != nil && strings.Contains(err.Error(), c.denied)
	}
}

// replies is true where a question has this answer.
func replies(question, want string) func(*commonCase, string) bool {
	return func(c *commonCase, username string) bool {
		return c.answer(username, question) == c.in(want, username)
	}
}

// mended says whether the twin, current after its turn, works again.
func mended(statement string) func(*commonCase, error) string {
	return func(c *commonCase, err error) string {
		if err != nil {
			return "no: the rotation fails"
		}
		return yesOrNo(c.runAs(c.twin, statement) == nil)
	}
}

func yesOrNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func (c *commonCase) schema() string { return "of_" + c.app }

func (c *commonCase) other(username string) string {
	if username == c.app {
		return c.twin
	}
	return c.app
}

// in fills the names in.
func (c *commonCase) in(sql, me string) string {
	for name, of := range c.names {
		if strings.Contains(sql, name) {
			sql = strings.ReplaceAll(sql, name, of(c))
		}
	}
	return strings.NewReplacer("{app}", c.app, "{twin}", c.twin, "{f}", c.stranger, "{s}", c.schema(), "{admin}", c.server.Admin.Username, "{me}", me).Replace(sql)
}

// labelled returns an account's password, under whichever label it is.
func (c *commonCase) labelled(username string) (password string) {
	if username == c.stranger {
		return strangersPassword
	}
	for _, label := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		if name, password := c.credential(c.arn, label); name == username {
			return password
		}
	}
	c.t.Fatalf("%s has no label", username)
	return ""
}

// session signs in as one of the two.
func (c *commonCase) session(username, database string) (session, error) {
	login := c.server.Login(username, c.labelled(username))
	login.Database = database
	return c.enter(c.t.Context(), login)
}

func (c *commonCase) runAs(username string, statements ...string) error {
	conn, err := c.session(username, c.server.Database)
	if err != nil {
		return err
	}
	defer conn.close()
	for _, statement := range statements {
		if err := conn.exec(c.t.Context(), c.in(statement, username)); err != nil {
			return err
		}
	}
	return nil
}

func (c *commonCase) answer(username, query string) (answer string) {
	conn, err := c.session(username, c.server.Database)
	if err != nil {
		return err.Error()
	}
	defer conn.close()
	return answerOf(conn.rows(c.t.Context(), c.in(query, username)))
}

func (c *commonCase) enters(username, database string) bool {
	conn, err := c.session(username, database)
	if err != nil {
		return false
	}
	conn.close()
	return true
}

// entersOnceAtATime is true where a second session is one too many, as the
// server says in these words.
func entersOnceAtATime(tooMany string) func(*commonCase, string) bool {
	return func(c *commonCase, username string) bool {
		// A session that has just ended may still count.
		var first session
		if !eventually(func() (ok bool) {
			conn, err := c.session(username, c.server.Database)
			first = conn
			return err == nil
		}) {
			return false
		}
		defer first.close()
		second, err := c.session(username, c.server.Database)
		if err == nil {
			second.close()
		}
		return err != nil && strings.Contains(err.Error(), tooMany)
	}
}

// column goes through the properties, with one function on one server.
func (table twinsTable) column(t *testing.T, server *dbservers.Server, maker string) []string {
	t.Helper()
	s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
	s.addAWSFunction(awsAlternating, true)
	s.addPublishedAWSFunctions()
	var column []string
	for _, p := range table.properties {
		t.Run(p.name, func(t *testing.T) {
			defer func(t *testing.T) { s.t = t }(s.t)
			s.t = t
			c := &commonCase{stage: s, twinsTable: table, maker: maker, arn: s.alternatingSecret()}
			c.app, _ = s.credential(c.arn, "AWSCURRENT")
			c.twin, c.stranger = c.app+"_clone", c.app+"_f"
			column = append(column, c.look(p))
		})
	}
	if len(column) != len(table.properties) {
		t.Fatal("a row is missing")
	}
	return column
}

const strangersPassword = "planted-strangers"

// look makes the twin and says what it has of a property.
func (c *commonCase) look(p property) string {
	c.t.Helper()
	c.planted.add(strangersPassword)
	if err := c.server.CreateUser(c.t.Context(), c.stranger, strangersPassword); err != nil {
		c.t.Fatal(err)
	}
	for _, statement := range append(append([]string{}, c.prepare...), p.arrange...) {
		c.exec(c.in(statement, ""))
	}
	if p.has != nil && len(p.later) == 0 && p.outcome == nil {
		defer func() {
			if !p.has(c, c.app) {
				c.t.Error("the sibling itself has not what its twin is asked for")
			}
		}()
		if len(p.arrange) > 0 && p.has(c, c.stranger) {
			c.t.Error("a stranger has what the twin is asked for")
		}
	}
	err := c.rotateBy(c.maker, c.arn)
	for _, statement := range p.later {
		if err != nil {
			break
		}
		if statement == "@rotate" {
			err = c.rotateBy(c.maker, c.arn)
			continue
		}
		c.exec(c.in(statement, ""))
	}
	for range p.turns {
		if err == nil {
			err = c.rotateBy(c.maker, c.arn)
		}
	}
	if err != nil {
		c.t.Logf("the rotation ended with %v", err)
	}
	switch {
	case p.outcome != nil:
		return p.outcome(c, err)
	case err != nil:
		return c.failed(p)
	}
	if len(p.later) > 0 && !p.has(c, c.app) {
		c.t.Error("the sibling itself has not what its twin is asked for")
	}
	if username, _ := c.credential(c.arn, "AWSCURRENT"); username != c.twin {
		c.t.Errorf("%s is current, want the twin", username)
	}
	return yesOrNo(p.has(c, c.twin))
}

// failed says what becomes of a rotation that failed when it is delivered again,
// as Secrets Manager does.
func (c *commonCase) failed(p property) string {
	c.t.Helper()
	err := c.deliverAllAgain()
	switch {
	case err == nil && p.has(c, c.twin):
		return "the rotation fails, and its retry goes through with it"
	case err == nil:
		return "the rotation fails, and its retry goes through without it"
	case c.maker == function:
		return "refused"
	}
	return "the rotation fails"
}

// deliverAllAgain delivers the steps of a rotation that failed once more.
func (c *commonCase) deliverAllAgain() error {
	c.t.Helper()
	return c.deliverSteps(c.maker, c.arn)
}

// compare fills the table in, and holds it against its page.
func (table twinsTable) compare(t *testing.T, servers []commonServer) {
	t.Helper()
	type key struct{ server, maker string }
	columns := map[key][]string{}
	var mu sync.Mutex
	made := t.Run("by", func(t *testing.T) {
		for _, s := range servers {
			for _, maker := range []string{function, awsAlternating} {
				t.Run(s.name+" "+maker, func(t *testing.T) {
					t.Parallel()
					cells := table.column(t, s.server, maker)
					mu.Lock()
					defer mu.Unlock()
					columns[key{s.name, maker}] = cells
				})
			}
		}
	})
	if !made || len(columns) != 2*len(servers) {
		t.Fatal("the table was not seen whole")
	}
	var text strings.Builder
	fmt.Fprintf(&text, "| of the sibling | twin by this function | twin by AWS's function |\n|---|---|---|\n")
	for i, p := range table.properties {
		cell := func(maker string) string {
			said := columns[key{servers[0].name, maker}][i]
			for _, s := range servers[1:] {
				if other := columns[key{s.name, maker}][i]; other != said {
					said += fmt.Sprintf("; on %s: %s", s.name, other)
				}
			}
			return said
		}
		fmt.Fprintf(&text, "| %s | %s | %s |\n", p.name, cell(function), cell(awsAlternating))
	}
	compareTable(t, table.page, text.String())
}

// compareTable holds a table against the page's, or writes it there.
func compareTable(t *testing.T, page, table string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash(page))
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), tableBegin+"\n")
	committed, after, foundToo := strings.Cut(rest, tableEnd)
	if !found || !foundToo {
		t.Fatalf("%s has no place for the table", page)
	}
	diff := cmp.Diff(strings.Split(committed, "\n"), strings.Split(table, "\n"))
	if diff == "" {
		return
	}
	if os.Getenv(writeTable) == "" {
		t.Errorf("%s does not say what was seen (- the page, + the servers); where the change is wanted, run: %s=1 go test ./integration -run %s\n%s",
			page, writeTable, t.Name(), diff)
		return
	}
	if err := os.WriteFile(filepath.FromSlash(page), []byte(before+tableBegin+"\n"+table+tableEnd+after), 0o644); err != nil { //nolint:gosec // a page of the documentation
		t.Fatal(err)
	}
	t.Logf("written:\n%s", diff)
}

// eventually asks until the answer is yes, within reason.
func eventually(ask func() bool) bool {
	give := time.Now().Add(10 * time.Second)
	for !ask() {
		if time.Now().After(give) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}
