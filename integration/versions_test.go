package integration_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// What outlives a step, and so the version of the function that served it, is
// the pending document and the mark on the twin. testdata/frozen holds both, to
// the byte, as every version so far writes them; HOST, PORT, ADMIN and PASSWORD
// stand for what differs from run to run.
//
// These files are never edited. Who changes what is written adds files, and
// the function keeps on reading the old ones: a rotation may have been begun by
// the version before.

// frozenStage is a stage with a secret whose rotation testdata/frozen has.
type frozenStage struct {
	*stage
	arn, adminARN string
	number        string // in the accounts' names
}

// read returns a file of testdata/frozen with the run's own parts in it.
func (s *frozenStage) read(name, password string) string {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "frozen", name))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.NewReplacer("HOST", s.host, "PORT", fmt.Sprint(s.port), "ADMIN", s.adminARN, "NUMBER", s.number, "PASSWORD", password).Replace(string(raw))
}

// canonical and twin are the pair of testdata/frozen.
func (s *frozenStage) canonical() string { return s.name(frozenCanonical) }
func (s *frozenStage) twin() string      { return s.name(frozenTwin) }

func (s *frozenStage) name(account string) string {
	return strings.ReplaceAll(account, "NUMBER", s.number)
}

// frozenPassword makes a password whose JSON form is the text itself.
func (s *stage) frozenPassword() string {
	password := "planted-" + rand.Text()
	s.planted.add(password)
	return password
}

// The accounts of testdata/frozen.
const (
	frozenSingle    = "frozen_NUMBER"
	frozenCanonical = `frozen "pair" NUMBER`
	frozenTwin      = frozenCanonical + "_clone"
)

// A frozenRotation is one whose pending document is in testdata/frozen.
type frozenRotation struct {
	name string
	// before and after are the files of the current and the pending document.
	before, after     string
	current, previous string // the accounts
}

var frozenRotations = []frozenRotation{
	{name: "single", before: "single.json", after: "single.json", current: frozenSingle},
	{name: "alternating, the twin's first turn", before: "canonical.json", after: "twin.json", current: frozenCanonical},
	{name: "alternating, the twin's turn", before: "canonical.json", after: "twin.json", current: frozenCanonical, previous: frozenTwin},
	{name: "alternating, the canonical account's turn", before: "twin.json", after: "canonical.json", current: frozenTwin, previous: frozenCanonical},
}

// newFrozenStage makes the accounts and the secret at the beginning of the
// rotation.
func newFrozenStage(t *testing.T, version string, row frozenRotation) *frozenStage {
	t.Helper()
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
	s := &frozenStage{
		stage:  newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}}),
		number: fmt.Sprintf("%d_%d", os.Getpid(), accounts.Add(1)),
	}
	admin := map[string]any{}
	s.adminSecret(admin)
	s.adminARN = fmt.Sprint(admin["masterarn"])
	password := s.frozenPassword()
	if err := server.CreateUser(t.Context(), s.name(row.current), password); err != nil {
		t.Fatal(err)
	}
	current := s.read(row.before, password)
	if row.previous == "" {
		s.arn = s.secretText(current)
		return s
	}
	// The other account, and its document under AWSPREVIOUS.
	password = s.frozenPassword()
	if err := server.CreateUser(t.Context(), s.name(row.previous), password); err != nil {
		t.Fatal(err)
	}
	s.exec(fmt.Sprintf("SET ROLE %s; GRANT %s TO %s", server.Admin.Username, quotedName(s.canonical()), quotedName(s.twin())),
		fmt.Sprintf("SET ROLE %s; REVOKE CONNECT ON DATABASE %s FROM %s", server.Admin.Username, server.Database, quotedName(s.twin())))
	s.arn = s.secretText(s.read(row.after, password))
	s.putText(s.arn, current)
	return s
}

// putText makes a text the current value.
func (s *stage) putText(arn, text string) {
	s.t.Helper()
	if _, err := s.client.PutSecretValue(s.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: &text}); err != nil {
		s.t.Fatal(err)
	}
}

// TestTheFrozenFormsAreWhatIsWritten compares what the executable stores and
// marks with what it has always stored and marked.
func TestTheFrozenFormsAreWhatIsWritten(t *testing.T) {
	t.Parallel()
	for _, row := range frozenRotations {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newFrozenStage(t, "18", row)
			stored := ""
			const relay = "relay"
			s.addRelay(relay, func(step string) stepHandler {
				return func(ctx context.Context, event []byte) error {
					err := s.ours(ctx, event)
					if step == "createSecret" {
						stored = s.text(s.arn, "AWSPENDING")
					}
					return err
				}
			})
			s.mustRotateBy(relay, s.arn)
			if want := s.read(row.after, s.password(s.arn, "AWSCURRENT")); stored != want {
				t.Error("the pending document is not written as testdata/frozen/" + row.after + " has it; versions before would still write that one, so keep it readable")
			}
			if row.after == "twin.json" {
				if mark, want := s.comment(s.twin()), s.read("equal.mark", ""); mark != want {
					t.Errorf("the twin's mark is %q, and was %q in versions before; keep that one readable", mark, want)
				}
			}
		})
	}
	t.Run("a twin that keeps something", func(t *testing.T) {
		t.Parallel()
		s := newFrozenStage(t, "18", frozenRotations[2])
		s.exec("CREATE TABLE kept_"+s.number+" (n int)", "ALTER TABLE kept_"+s.number+" OWNER TO "+quotedName(s.twin()))
		s.mustRotateBy(function, s.arn)
		if mark, want := s.comment(s.twin()), s.read("taken.mark", ""); mark != want {
			t.Errorf("the twin's mark is %q, and was %q in versions before; keep that one readable", mark, want)
		}
	})
}

// comment returns a role's comment.
func (s *stage) comment(role string) (comment string) {
	s.t.Helper()
	conn, err := s.server.ConnectSuperuser(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(s.t.Context(), "SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1", role).Scan(&comment); err != nil {
		s.t.Fatal(err)
	}
	return comment
}

// TestARotationBegunByAnotherVersionIsCarriedOn begins with the frozen bytes
// and goes on by the executable, from setSecret or from testSecret on.
func TestARotationBegunByAnotherVersionIsCarriedOn(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedPostgresVersions() {
		for _, row := range frozenRotations {
			t.Run(version+" "+row.name, func(t *testing.T) {
				t.Parallel()
				s := newFrozenStage(t, version, row)
				begun := s.read(row.after, s.frozenPassword())
				const relay = "relay"
				client := s.awsFunction(relay, false).client
				s.addRelay(relay, func(step string) stepHandler {
					if step != "createSecret" {
						return s.ours
					}
					return func(ctx context.Context, event []byte) error {
						var e stepEvent
						if err := json.Unmarshal(event, &e); err != nil {
							return err
						}
						_, err := client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
							SecretId: &s.arn, ClientRequestToken: &e.ClientRequestToken, SecretString: &begun, VersionStages: []string{"AWSPENDING"},
						})
						return err
					}
				})
				s.mustRotateBy(relay, s.arn)
				if s.text(s.arn, "AWSCURRENT") != begun {
					t.Error("AWSCURRENT is not the document that the rotation was begun with")
				}
				s.mustRotateBy(function, s.arn)
			})
		}
	}
}

// TestAMarkOfAnotherVersionIsProof has the frozen mark alone say that the
// account is the twin: AWSPREVIOUS knows nothing of it.
func TestAMarkOfAnotherVersionIsProof(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, mark string
		owns, good bool
	}{
		{name: "equal.mark", mark: "equal.mark", good: true},
		{name: "taken.mark", mark: "taken.mark", good: true},
		{name: "taken.mark of one that still owns", mark: "taken.mark", owns: true, good: true},
		{name: "equal.mark below what people wrote", mark: "equal.mark", good: true},
		{name: "no mark"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newFrozenStage(t, "18", frozenRotations[2])
			// Twice the same account: AWSPREVIOUS no longer names the twin.
			s.putText(s.arn, s.read("canonical.json", s.password(s.arn, "AWSCURRENT")))
			if row.mark != "" {
				comment := s.read(row.mark, "")
				if strings.Contains(row.name, "people") {
					comment = "Ask the data team.\n" + comment
				}
				s.exec("COMMENT ON ROLE " + quotedName(s.twin()) + " IS '" + comment + "'")
			}
			if row.owns {
				s.exec("CREATE TABLE kept_"+s.number+" (n int)", "ALTER TABLE kept_"+s.number+" OWNER TO "+quotedName(s.twin()))
			}
			err := s.rotateBy(function, s.arn)
			if (err == nil) != row.good {
				t.Errorf("the rotation ended with: %v\n%s", err, s.aws.FunctionLog(function))
			}
			if !s.opens(s.arn, "AWSCURRENT") {
				t.Error("AWSCURRENT does not open the database")
			}
			if username, _ := s.credential(s.arn, "AWSCURRENT"); row.good != (username == s.twin()) {
				t.Errorf("%s is current", username)
			}
		})
	}
}

// otherExecutable is the function from the same source, built by other flags:
// another file, with a runtime of other parts.
var otherExecutable = sync.OnceValues(func() (path string, err error) {
	path = filepath.Join(filepath.Dir(executable), "bootstrap-other")
	build := exec.Command("go", "build", "-o", path, "github.com/dbrotation/dbrotation/functions/rotation")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the function another way: %w\n%s", err, output)
	}
	one, err := os.ReadFile(executable)
	if err != nil {
		return "", err
	}
	other, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if bytes.Equal(one, other) {
		return "", fmt.Errorf("both builds are the same, %x", sha256.Sum256(one))
	}
	return path, nil
})

// TestTwoBuildsShareARotation serves the four steps of a rotation by two
// builds in sandboxes of their own, in each of the sixteen ways.
func TestTwoBuildsShareARotation(t *testing.T) {
	t.Parallel()
	path, err := otherExecutable()
	if err != nil {
		t.Fatal(err)
	}
	steps := []string{"createSecret", "setSecret", "testSecret", "finishSecret"}
	const other = "other-build"
	for _, version := range dbservers.TestedPostgresVersions() {
		for _, alternating := range []bool{false, true} {
			strategy := map[bool]string{true: "alternating", false: "single"}[alternating]
			t.Run(version+" "+strategy, func(t *testing.T) {
				t.Parallel()
				server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
				s.addExecutable(other, path, nil)
				arn := s.foreignSecret(alternating)
				for assignment := range 16 {
					by := func(step string) string {
						return []string{function, other}[assignment>>slices.Index(steps, step)&1]
					}
					relay := fmt.Sprintf("relay-%d", assignment)
					s.addRelay(relay, func(step string) stepHandler {
						return func(ctx context.Context, event []byte) error { return s.aws.Invoke(ctx, region, by(step), event) }
					})
					// The twin's turn, and the canonical account's.
					turns := 1
					if alternating {
						turns = 2
					}
					for range turns {
						before := s.text(arn, "AWSCURRENT")
						marks := map[string]int{function: len(s.aws.FunctionLog(function)), other: len(s.aws.FunctionLog(other))}
						s.mustRotateBy(relay, arn)
						if after := s.text(arn, "AWSCURRENT"); !strings.HasPrefix(after, untilCredential(before)) {
							t.Errorf("assignment %d: the document was rewritten", assignment)
						}
						if alternating && !s.opens(arn, "AWSPREVIOUS") {
							t.Errorf("assignment %d: AWSPREVIOUS does not open the database", assignment)
						}
						for _, step := range steps {
							if log := s.logSince(by(step), marks[by(step)]); !strings.Contains(log, `"step finished","step":"`+step) {
								t.Errorf("assignment %d: %s was not served by %s:\n%s", assignment, step, by(step), log)
							}
						}
					}
				}
			})
		}
	}
}
