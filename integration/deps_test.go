package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dbrotation/dbrotation"

// importRule says what a part of the tree must not pull in, directly or by
// way of other packages. Tests may: they are not what ships.
type importRule struct {
	name string
	// of are the packages bound by the rule: an import path, or with /... the
	// paths below it too. except are those among them that are not.
	of, except string
	// never are import paths; what is below them is meant as well.
	never []string
}

var importRules = []importRule{
	{
		name:  "the state machine knows no AWS client",
		of:    module + "/rotator",
		never: []string{"github.com/aws", "github.com/aws/smithy-go"},
	},
	{
		name: "the state machine knows no database client",
		of:   module + "/rotator",
		never: []string{
			"database/sql", "github.com/jackc/pgx", "github.com/go-sql-driver/mysql", "go.mongodb.org/mongo-driver",
			module + "/dbdrivers/engines", module + "/dbdrivers/postgres", module + "/dbdrivers/mysql",
		},
	},
	{
		name:  "the state machine speaks no HTTP",
		of:    module + "/rotator",
		never: []string{"net/http"},
	},
	{
		name:  "a driver knows nothing of rotation",
		of:    module + "/dbdrivers/...",
		never: []string{module + "/rotator", module + "/functions"},
	},
	{
		name:  "the state machine knows nothing of the functions that run it",
		of:    module + "/rotator/...",
		never: []string{module + "/functions"},
	},
	{
		name:  "no function ships a test environment",
		of:    module + "/functions/...",
		never: []string{module + "/integration", "github.com/testcontainers", "testing"},
	},
	{
		name:   "nothing sees integration",
		of:     module + "/...",
		except: module + "/integration/...",
		never:  []string{module + "/integration"},
	},
}

func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	imports := listImports(t)
	for _, rule := range importRules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			for _, fault := range rule.faults(imports) {
				t.Error(fault)
			}
		})
	}
}

func TestAnImportTheWrongWayIsNoticed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		imports map[string][]string
		want    []string
	}{
		{
			"directly",
			map[string][]string{"m/a": {"fmt", "client/v5"}},
			[]string{"m/a imports client/v5"},
		},
		{
			"by way of another package",
			map[string][]string{"m/a": {"fmt", "m/b"}, "m/b": {"m/c"}, "m/c": {"client"}},
			[]string{"m/a imports m/b imports m/c imports client"},
		},
		{
			"in a package below",
			map[string][]string{"m/a/deep": {"client"}},
			[]string{"m/a/deep imports client"},
		},
		{
			"not where the name is only alike",
			map[string][]string{"m/a": {"clientele"}, "m/ab": {"client"}},
			nil,
		},
		{
			"not in an excepted package",
			map[string][]string{"m/a": {"fmt"}, "m/a/free": {"client"}},
			nil,
		},
		{
			"and a rule that binds nothing is no rule",
			map[string][]string{"m/b": {"client"}},
			[]string{"no package is m/a/..., so the rule proves nothing"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rule := importRule{of: "m/a/...", except: "m/a/free", never: []string{"client"}}
			if got := rule.faults(tt.imports); !slices.Equal(got, tt.want) {
				t.Errorf("faults %q, want %q", got, tt.want)
			}
		})
	}
}

// listImports is what every package of the module, and all that it pulls in,
// imports in what ships.
func listImports(t *testing.T) map[string][]string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	list.Dir = ".."
	list.Stderr = os.Stderr
	output, err := list.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := list.Start(); err != nil {
		t.Fatal(err)
	}
	imports := map[string][]string{}
	for decoder := json.NewDecoder(output); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		imports[p.ImportPath] = p.Imports
	}
	if err := list.Wait(); err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	return imports
}

// faults are the chains of imports that break the rule, one for each package.
func (r importRule) faults(imports map[string][]string) []string {
	var faults []string
	bound := 0
	for _, path := range slices.Sorted(maps.Keys(imports)) {
		if !matches(path, r.of) || r.except != "" && matches(path, r.except) {
			continue
		}
		bound++
		if chain := r.chain(path, imports); chain != nil {
			faults = append(faults, strings.Join(chain, " imports "))
		}
	}
	if bound == 0 {
		faults = append(faults, fmt.Sprintf("no package is %s, so the rule proves nothing", r.of))
	}
	return faults
}

// chain is the shortest way from a package to one that it must not pull in.
func (r importRule) chain(from string, imports map[string][]string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		path := queue[0]
		if slices.ContainsFunc(r.never, func(never string) bool { return matches(path, never+"/...") }) {
			var chain []string
			for ; path != ""; path = before[path] {
				chain = append([]string{path}, chain...)
			}
			return chain
		}
		for _, next := range imports[path] {
			if _, seen := before[next]; !seen {
				before[next] = path
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// matches compares an import path with one, or with all below it, as the go
// command writes it.
func matches(path, pattern string) bool {
	tree, below := strings.CutSuffix(pattern, "/...")
	return path == tree || below && strings.HasPrefix(path, tree+"/")
}
