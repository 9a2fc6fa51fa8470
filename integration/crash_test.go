package integration_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/mysqlgate"
	"github.com/dbrotation/dbrotation/integration/dbservers/wiregate"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

// A row of the crash matrix: an engine and a strategy. Another one is another
// row; what is failed is found out by recording a rotation of it.
type crashRow struct {
	name string
	// start makes a stage whose secrets point at a gate.
	start func(t *testing.T) (*stage, databaseGate)
	// secret makes a new account and its secret, and returns the secret's ARN.
	secret func(s *stage) (arn string)
	// wasClosed is true where the password before the rotation must not open
	// the database after it. Where it is false, that password must: at every
	// moment, and in the end.
	wasClosed bool
	// incomplete says, where somebody can sign in as the pending twin, what it
	// lacks of its sibling. It is nil where the turn is no twin's.
	incomplete func(s *stage, arn string) (lacks string)
	// forget drops an account and its twin, where a server slows down by those
	// that it has.
	forget func(s *stage, username string)
}

var crashMatrix = []crashRow{
	{name: "postgres single", start: startPostgresBehindAGate, secret: (*stage).singleSecret, wasClosed: true},
	{name: "postgres single by an admin", start: startPostgresBehindAGate, secret: (*stage).singleSecretByAdmin, wasClosed: true},
	{name: "postgres alternating, the twin's first turn", start: startPostgresBehindAGate, secret: (*stage).alternatingSecret},
	{name: "postgres alternating, the canonical account's turn", start: startPostgresBehindAGate, secret: (*stage).alternatingSecretOfTheTwin},
	{
		name: "postgres alternating, a twin that AWS's function left is adopted",
		start: func(t *testing.T) (*stage, databaseGate) {
			t.Helper()
			return startBehindAGate(t, map[string]string{"ADOPT": "reassign"})
		},
		secret: (*stage).leftByAWS,
	},
	{name: "mysql single", start: startMySQLBehindAGate, secret: (*stage).singleSecret, wasClosed: true},
	{name: "mysql single by an admin", start: startMySQLBehindAGate, secret: (*stage).singleSecretByAdmin, wasClosed: true},
	{name: "mysql dual-password", start: startMySQLBehindAGate, secret: (*stage).dualPasswordSecret},
	{name: "mysql dual-password by an admin", start: startMySQLBehindAGate, secret: (*stage).dualPasswordSecretByAdmin},
	{name: "mysql alternating, the twin's first turn", start: startMySQLBehindAGate, secret: (*stage).grantedSecret, incomplete: (*stage).lacksOfItsSibling},
	{name: "mysql alternating, the canonical account's turn", start: startMySQLBehindAGate, secret: (*stage).alternatingSecretOfTheTwin},
	{name: "mariadb single", start: startMariaDBBehindAGate, secret: (*stage).singleSecret, wasClosed: true},
	{name: "mariadb single by an admin", start: startMariaDBBehindAGate, secret: (*stage).singleSecretByAdmin, wasClosed: true},
	{name: "mariadb dual-password by an admin", start: startMariaDBBehindAGate, secret: (*stage).dualPasswordSecretByAdmin},
	{name: "mariadb alternating, the twin's first turn", start: startMariaDBBehindAGate, secret: (*stage).grantedSecret, incomplete: (*stage).lacksOfItsSibling},
	{name: "mariadb alternating, the canonical account's turn", start: startMariaDBBehindAGate, secret: (*stage).alternatingSecretOfTheTwin},
	{name: "redshift single", start: startRedshiftBehindAGate, secret: (*stage).singleSecret, wasClosed: true, forget: (*stage).dropRedshiftUsers},
	{name: "redshift single by an admin", start: startRedshiftBehindAGate, secret: (*stage).singleSecretByAdmin, wasClosed: true, forget: (*stage).dropRedshiftUsers},
	{
		name: "redshift alternating, the twin's first turn", start: startRedshiftBehindAGate,
		secret: (*stage).redshiftSecretWithRights, incomplete: (*stage).redshiftTwinLacks, forget: (*stage).dropRedshiftUsers,
	},
	{
		name: "redshift alternating, the canonical account's turn", start: startRedshiftBehindAGate,
		secret: (*stage).alternatingSecretOfTheTwin, forget: (*stage).dropRedshiftUsers,
	},
	{name: "documentdb single", start: startDocumentDBBehindAGate, secret: (*stage).managerSecret, wasClosed: true, forget: (*stage).dropUsers},
	{name: "documentdb single by an admin", start: startDocumentDBBehindAGate, secret: (*stage).singleSecretByAdmin, wasClosed: true, forget: (*stage).dropUsers},
	{
		name: "documentdb alternating, the twin's first turn", start: startDocumentDBBehindAGate,
		secret: (*stage).documentdbSecretWithRoles, incomplete: (*stage).documentdbTwinLacks, forget: (*stage).dropUsers,
	},
	{
		name: "documentdb alternating, the canonical account's turn", start: startDocumentDBBehindAGate,
		secret: (*stage).alternatingSecretOfTheTwin, forget: (*stage).dropUsers,
	},
}

// leftByAWS is a secret and its pair as AWS's function leaves them with the
// canonical account current: a clone that is a member of it, signs in by
// AWSPREVIOUS and owns a table.
func (s *stage) leftByAWS() (arn string) {
	s.t.Helper()
	app, password := s.account()
	clone, clonePassword := app+"_clone", "planted-"+rand.Text()
	s.planted.add(clonePassword)
	// It holds nothing by itself: what PUBLIC may lets it in.
	s.exec("SET ROLE "+s.server.Admin.Username+"; CREATE ROLE "+clone+" LOGIN PASSWORD '"+clonePassword+"'; GRANT "+app+" TO "+clone,
		"CREATE TABLE of_"+clone+" (id int)", "ALTER TABLE of_"+clone+" OWNER TO "+clone)
	document := s.document(clone, clonePassword)
	s.adminSecret(document)
	delete(document, "dbrotation")
	arn = s.secret(document)
	document["username"], document["password"] = app, password
	text, err := json.Marshal(document)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.client.PutSecretValue(s.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: aws.String(string(text))}); err != nil {
		s.t.Fatal(err)
	}
	return arn
}

// databaseGate counts the calls of one rotation to its database, and fails
// the one it is told to.
type databaseGate interface {
	// Reset forgets calls and faults.
	Reset()
	// Recorded are the calls since Reset: those that were answered in their
	// order, and then the quits in theirs.
	Recorded() []databaseCall
	// Fail cuts a call off, or calls act there and answers nothing, before the
	// server sees it or after the server did it.
	Fail(call databaseCall, kind wiregate.FaultKind, act func()) (fired func() bool)
}

// databaseCall is a sign-in or a statement, the nth of both, or the nth quit.
type databaseCall struct {
	name string
	nth  int
	quit bool
}

// needed reports whether the step cannot end well without the call. Nobody waits
// for what comes of a quit; and what a driver says for order's sake, after the
// change, may fail.
func (c databaseCall) needed() bool {
	return !c.quit && !strings.Contains(c.name, "DISCARD OLD PASSWORD")
}

// alternatingSecretOfTheTwin is alternatingSecret after the twin's first turn.
func (s *stage) alternatingSecretOfTheTwin() (arn string) {
	s.t.Helper()
	arn = s.alternatingSecret()
	if err := s.rotate(arn); err != nil {
		s.t.Fatal(err)
	}
	return arn
}

func startPostgresBehindAGate(t *testing.T) (*stage, databaseGate) {
	t.Helper()
	return startBehindAGate(t, map[string]string{"CREATE_TWINS": "true"})
}

func startBehindAGate(t *testing.T, env map[string]string) (*stage, databaseGate) {
	t.Helper()
	return behindAPostgresGate(t, sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true}), env)
}

func startRedshiftBehindAGate(t *testing.T) (*stage, databaseGate) {
	t.Helper()
	return behindAPostgresGate(t, sharedRedshift(t, dbservers.RedshiftOptions{Plaintext: true}), map[string]string{"CREATE_TWINS": "true"})
}

func behindAPostgresGate(t *testing.T, server *dbservers.Server, env map[string]string) (*stage, databaseGate) {
	t.Helper()
	gate := newGate(t, server)
	return newStage(t, stageOptions{server: server, gate: gate, env: env}), faultyGate{reset: gate.Reset, inject: gate.Inject, recorded: func() (names []string) {
		for _, call := range gate.Calls() {
			names = append(names, named(call.Kind, call.Text))
		}
		return names
	}}
}

func startMySQLBehindAGate(t *testing.T) (*stage, databaseGate) {
	t.Helper()
	return behindAMySQLGate(t, sharedMySQL(t, dbservers.MySQLOptions{Plaintext: true}))
}

func startMariaDBBehindAGate(t *testing.T) (*stage, databaseGate) {
	t.Helper()
	return behindAMySQLGate(t, sharedMariaDB(t, dbservers.MariaDBOptions{Plaintext: true}))
}

func behindAMySQLGate(t *testing.T, server *dbservers.Server) (*stage, databaseGate) {
	t.Helper()
	gate := newMySQLGate(t, server)
	list := func(calls []mysqlgate.Call) (names []string) {
		for _, call := range calls {
			names = append(names, named(call.Kind, call.Text))
		}
		return names
	}
	return newStage(t, stageOptions{server: server, gate: gate, env: map[string]string{"CREATE_TWINS": "true"}}), faultyGate{
		reset: gate.Reset, inject: gate.Inject, injectAtQuit: gate.InjectAtQuit,
		recorded: func() []string { return list(gate.Calls()) },
		quits:    func() []string { return list(gate.Quits()) },
	}
}

func startDocumentDBBehindAGate(t *testing.T) (*stage, databaseGate) {
	t.Helper()
	server := sharedDocumentDB(t, dbservers.DocumentDBOptions{Plaintext: true})
	gate := newMongoGate(t, server)
	return newStage(t, stageOptions{server: server, gate: gate, env: map[string]string{"CREATE_TWINS": "true"}}), faultyGate{
		reset: gate.Reset, inject: gate.Inject,
		recorded: func() (names []string) {
			for _, call := range gate.Calls() {
				names = append(names, named(call.Kind, call.Text))
			}
			return names
		},
	}
}

// named names a call of the database in a line.
func named(kind, text string) string {
	if text == "" {
		return kind
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 60 {
		text = text[:60] + "..."
	}
	return text
}

// faultyGate makes a databaseGate of a gate of any engine. One that counts no
// quits leaves those fields nil.
type faultyGate struct {
	reset                func()
	inject, injectAtQuit func(wiregate.Fault) (fired func() bool)
	recorded, quits      func() []string
}

func (g faultyGate) Reset() { g.reset() }

func (g faultyGate) Recorded() (calls []databaseCall) {
	for n, name := range g.recorded() {
		calls = append(calls, databaseCall{name: fmt.Sprintf("database %d %s", n, name), nth: n})
	}
	if g.quits == nil {
		return calls
	}
	for n, name := range g.quits() {
		calls = append(calls, databaseCall{name: fmt.Sprintf("database, %s %d", name, n), nth: n, quit: true})
	}
	return calls
}

func (g faultyGate) Fail(call databaseCall, kind wiregate.FaultKind, act func()) (fired func() bool) {
	inject := g.inject
	if call.quit {
		inject = g.injectAtQuit
	}
	return inject(wiregate.Fault{Kind: kind, Nth: call.nth, Act: act})
}

// crash is one way in which one call of a rotation goes wrong.
type crash struct {
	name   string
	inject func(s *stage, gate databaseGate) (fired func() bool)
	// mustRetry is true where the step cannot have ended well, so that the
	// rotation has to be delivered again.
	mustRetry bool
}

// TestCrashMatrix fails every call that a rotation makes, to Secrets Manager
// and to the database, before it and after it, and kills the function there;
// then the rotation is delivered again. At every moment a credential under a
// label opens the database, and in the end AWSCURRENT does.
func TestCrashMatrix(t *testing.T) {
	t.Parallel()
	for _, row := range crashMatrix {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, gate := row.start(t)
			crashes := record(t, s, gate, row)
			queue := make(chan crash, len(crashes))
			for _, crash := range crashes {
				queue <- crash
			}
			close(queue)
			var stages sync.WaitGroup
			for range stagesPerRow {
				s, gate := row.start(t)
				stages.Go(func() {
					for crash := range queue {
						t.Run(crash.name, func(t *testing.T) {
							survive(t, s, gate, row, crash)
						})
					}
				})
			}
			stages.Wait()
			t.Logf("%d ways to fail", len(crashes))
		})
	}
}

// stagesPerRow is how many stages share a row's crashes. Most of the time is
// spent in the pauses between the SDK's tries, so there are more of them than
// processors.
const stagesPerRow = 5

// record rotates once without a fault and makes of every call that it sees
// the ways in which that call can fail.
func record(t *testing.T, s *stage, gate databaseGate, row crashRow) []crash {
	t.Helper()
	arn := row.secret(s)
	gate.Reset()
	before := len(s.aws.Calls())
	if err := s.rotate(arn); err != nil {
		t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
	}
	calls := gate.Recorded()
	var crashes []crash
	add := func(name string, mustRetry bool, inject func(*stage, databaseGate) func() bool) {
		crashes = append(crashes, crash{name: name, inject: inject, mustRetry: mustRetry})
	}
	fault := func(f localaws.Fault) func(*stage, databaseGate) func() bool {
		f.Function = function
		return func(s *stage, _ databaseGate) func() bool {
			injected := s.aws.Inject(f)
			return func() bool { return injected.Fired() > 0 }
		}
	}
	nth, reads := 0, 0
	for _, call := range s.aws.Calls()[before:] {
		if call.Function == "" {
			continue
		}
		n := nth
		nth++
		name := fmt.Sprintf("%d %s %s", n, call.Step, call.Operation)
		// The SDK tries a call three times. A fault of one try is mended by
		// the SDK, one of all three reaches the step.
		add(name+" fails before, once", false, fault(localaws.Fault{Kind: localaws.FailBefore, Skip: n}))
		add(name+" fails before", false, fault(localaws.Fault{Kind: localaws.FailBefore, Skip: n, Times: 3}))
		add(name+" loses its answer, once", false, fault(localaws.Fault{Kind: localaws.FailAfter, Skip: n}))
		add(name+" loses its answers", false, fault(localaws.Fault{Kind: localaws.FailAfter, Skip: n, Times: 3}))
		add(name+" is where the function is killed", true, fault(localaws.Fault{Kind: localaws.KillBefore, Skip: n}))
		add(name+" is the last the function does", true, fault(localaws.Fault{Kind: localaws.KillAfter, Skip: n}))
		if call.Operation == "GetSecretValue" || call.Operation == "DescribeSecret" {
			// Only reads match this kind of fault, so only reads are skipped.
			add(name+" reads old labels and versions", false, fault(localaws.Fault{Kind: localaws.StaleRead, Skip: reads, Times: 2}))
			reads++
		}
	}
	for _, call := range calls {
		for _, way := range []struct {
			name      string
			kind      wiregate.FaultKind
			kills     bool
			mustRetry bool
		}{
			{"is cut off", wiregate.CutBefore, false, call.needed()},
			{"loses its answer", wiregate.CutAfter, false, call.needed()},
			// A quit may be the last that a step does.
			{"is where the function is killed", wiregate.HoldBefore, true, !call.quit},
			{"is the last the function does", wiregate.HoldAfter, true, !call.quit},
		} {
			add(call.name+" "+way.name, way.mustRetry, func(s *stage, g databaseGate) func() bool {
				var kill func()
				if way.kills {
					kill = func() { s.aws.KillFunction(function) }
				}
				return g.Fail(call, way.kind, kill)
			})
		}
	}
	if nth < 8 || len(calls) < 2 {
		t.Fatalf("recorded %d calls of Secrets Manager and %d of the database", nth, len(calls))
	}
	return crashes
}

// survive rotates a new secret while one call goes wrong.
func survive(t *testing.T, s *stage, gate databaseGate, row crashRow, crash crash) {
	defer func(t *testing.T) { s.t = t }(s.t)
	s.t = t
	arn := row.secret(s)
	username, first := s.credential(arn, "AWSCURRENT")
	if row.forget != nil {
		defer row.forget(s, strings.TrimSuffix(username, "_clone"))
	}
	s.aws.ClearFaults()
	gate.Reset()

	var lockedOut, closed atomic.Int32
	var halfMade atomic.Value
	remove := watch(s, arn, func(invocation localaws.Invocation) {
		if row.incomplete != nil && invocation.Step == "setSecret" {
			if lacks := row.incomplete(s, arn); lacks != "" {
				halfMade.Store(lacks)
			}
		}
		current, password := s.credential(arn, "AWSCURRENT")
		open := current != "" && s.accepts(current, password)
		if !open && !s.opens(arn, "AWSPENDING") {
			lockedOut.Add(1)
		}
		if row.wasClosed {
			return
		}
		if current != username || password != first { // else it was just tried
			open = s.accepts(username, first)
		}
		if !open {
			closed.Add(1)
		}
	})
	defer remove()
	attempts := len(s.aws.Invocations())
	fired := crash.inject(s, gate)
	err := s.rotate(arn)
	s.aws.ClearFaults()
	gate.Reset()

	if !fired() {
		t.Fatal("the fault was never met")
	}
	if err != nil {
		t.Fatalf("the rotation did not converge: %v\n%s", err, s.aws.FunctionLog(function))
	}
	if lacks := halfMade.Load(); lacks != nil {
		t.Errorf("there was a moment at which the twin opened the database, and was not its sibling's equal:\n%s", lacks)
	}
	if lockedOut.Load() > 0 {
		t.Error("there was a moment at which no labelled credential opened the database")
	}
	if crash.mustRetry && len(s.aws.Invocations())-attempts <= 4 {
		t.Error("the rotation was not delivered again: the fault had no effect")
	}
	if !s.opens(arn, "AWSCURRENT") {
		t.Error("AWSCURRENT does not open the database")
	}
	if s.password(arn, "AWSCURRENT") == first {
		t.Error("the password did not change")
	}
	if closed.Load() > 0 {
		t.Error("there was a moment at which the password from before the rotation did not open the database")
	}
	if open := s.accepts(username, first); open == row.wasClosed {
		t.Errorf("the password from before the rotation opens the database: %t", open)
	}
}

// watch has call called after each invocation for a secret until remove:
// OnInvocation only adds.
func watch(s *stage, arn string, call func(localaws.Invocation)) (remove func()) {
	ctx, cancel := context.WithCancel(context.Background())
	s.aws.OnInvocation(func(invocation localaws.Invocation) {
		if ctx.Err() == nil && invocation.SecretARN == arn {
			call(invocation)
		}
	})
	return cancel
}
