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
	// the database after it.
	wasClosed bool
}

var crashMatrix = []crashRow{
	{
		name:  "postgres single",
		start: startPostgresBehindAGate,
		secret: func(s *stage) string {
			return s.secret(s.document(s.account()))
		},
		wasClosed: true,
	},
	{
		name:  "postgres single by an admin",
		start: startPostgresBehindAGate,
		secret: func(s *stage) string {
			document := s.document(s.account())
			s.adminSecret(document)
			return s.secret(document)
		},
		wasClosed: true,
	},
	{
		name:   "postgres alternating, the twin's first turn",
		start:  startPostgresBehindAGate,
		secret: func(s *stage) string { return s.alternatingSecret() },
	},
	{
		name:  "postgres alternating, the canonical account's turn",
		start: startPostgresBehindAGate,
		secret: func(s *stage) string {
			arn := s.alternatingSecret()
			if err := s.rotate(arn); err != nil {
				s.t.Fatal(err)
			}
			return arn
		},
	},
	{
		name: "postgres alternating, a twin that AWS's function left is adopted",
		start: func(t *testing.T) (*stage, databaseGate) {
			t.Helper()
			return startBehindAGate(t, map[string]string{"ADOPT": "reassign"})
		},
		secret: func(s *stage) string { return s.leftByAWS() },
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
	// Recorded names the calls since Reset, in order.
	Recorded() []string
	// FailBefore cuts the nth call off before the server sees it, FailAfter
	// after the server did it, without its answer.
	FailBefore(nth int) (fired func() bool)
	FailAfter(nth int) (fired func() bool)
	// KillBefore and KillAfter call kill there instead, and answer nothing.
	KillBefore(nth int, kill func()) (fired func() bool)
	KillAfter(nth int, kill func()) (fired func() bool)
}

func startPostgresBehindAGate(t *testing.T) (*stage, databaseGate) {
	t.Helper()
	return startBehindAGate(t, map[string]string{"CREATE_TWINS": "true"})
}

func startBehindAGate(t *testing.T, env map[string]string) (*stage, databaseGate) {
	t.Helper()
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
	gate := newGate(t, server)
	return newStage(t, stageOptions{server: server, gate: gate, env: env}), postgresGate{gate}
}

type postgresGate struct{ *wiregate.Gate }

func (g postgresGate) Recorded() []string {
	var names []string
	for _, call := range g.Calls() {
		text := call.Kind
		if call.Text != "" {
			text = strings.Join(strings.Fields(call.Text), " ")
		}
		if len(text) > 60 {
			text = text[:60] + "..."
		}
		names = append(names, text)
	}
	return names
}

func (g postgresGate) FailBefore(nth int) func() bool {
	return g.Inject(wiregate.Fault{Kind: wiregate.CutBefore, Nth: nth})
}

func (g postgresGate) FailAfter(nth int) func() bool {
	return g.Inject(wiregate.Fault{Kind: wiregate.CutAfter, Nth: nth})
}

func (g postgresGate) KillBefore(nth int, kill func()) func() bool {
	return g.Inject(wiregate.Fault{Kind: wiregate.HoldBefore, Nth: nth, Act: kill})
}

func (g postgresGate) KillAfter(nth int, kill func()) func() bool {
	return g.Inject(wiregate.Fault{Kind: wiregate.HoldAfter, Nth: nth, Act: kill})
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
const stagesPerRow = 4

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
	kill := func(s *stage) func() { return func() { s.aws.KillFunction(function) } }
	for n, name := range gate.Recorded() {
		name = fmt.Sprintf("database %d %s", n, name)
		add(name+" is cut off", true, func(_ *stage, g databaseGate) func() bool { return g.FailBefore(n) })
		add(name+" loses its answer", true, func(_ *stage, g databaseGate) func() bool { return g.FailAfter(n) })
		add(name+" is where the function is killed", true, func(s *stage, g databaseGate) func() bool { return g.KillBefore(n, kill(s)) })
		add(name+" is the last the function does", true, func(s *stage, g databaseGate) func() bool { return g.KillAfter(n, kill(s)) })
	}
	if nth < 8 || len(gate.Recorded()) < 2 {
		t.Fatalf("recorded %d calls of Secrets Manager and %d of the database", nth, len(gate.Recorded()))
	}
	return crashes
}

// survive rotates a new secret while one call goes wrong.
func survive(t *testing.T, s *stage, gate databaseGate, row crashRow, crash crash) {
	defer func(t *testing.T) { s.t = t }(s.t)
	s.t = t
	arn := row.secret(s)
	username, first := s.credential(arn, "AWSCURRENT")
	s.aws.ClearFaults()
	gate.Reset()

	var lockedOut atomic.Int32
	remove := watch(s, arn, func(localaws.Invocation) {
		if !s.opens(arn, "AWSCURRENT") && !s.opens(arn, "AWSPENDING") {
			lockedOut.Add(1)
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
	if row.wasClosed && s.accepts(username, first) {
		t.Error("the password from before the rotation still opens the database")
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
