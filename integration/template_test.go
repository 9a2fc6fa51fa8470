package integration_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/engines"
	"github.com/dbrotation/dbrotation/rotator"
)

// A templateCheck lists what is wrong with a template.
type templateCheck func(template) []string

// What every template of this repository must satisfy. No SAM is needed to
// know it; that AWS takes the template, only AWS can tell.
var templateChecks = map[string]templateCheck{
	"all that is mentioned exists":             danglingReferences,
	"all that is declared is used":             unusedDeclarations,
	"every parameter has its place in a group": ungroupedParameters,
	"nothing waits for itself":                 circles,
	"who may invoke is told by account":        permissionsWithoutAccount,
	"functions have a time-out":                functionsWithoutTimeout,
	"functions start the binary":               functionsWithoutBootstrap,
	"rights are named one by one":              wildcardActions,
}

func TestTheTemplateIsSound(t *testing.T) {
	t.Parallel()
	sam := readTemplate(t)
	for name, check := range templateChecks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, fault := range check(sam) {
				t.Error(fault)
			}
		})
	}
}

func TestTheTemplateSetsWhatTheFunctionReads(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../functions/rotation/environment.go")
	if err != nil {
		t.Fatal(err)
	}
	read, err := variablesRead(source)
	if err != nil {
		t.Fatal(err)
	}
	if len(read) == 0 {
		t.Fatal("no variable was found in the function's source; the test has lost its subject")
	}
	for _, fault := range environmentFaults(readTemplate(t), read) {
		t.Error(fault)
	}
}

// CloudFormation holds the whole value against AllowedPattern.
//
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
func TestTheTemplateTakesTheListsThatTheFunctionReads(t *testing.T) {
	t.Parallel()
	sam := readTemplate(t)
	for parameter, values := range map[string]map[string]bool{
		"Twins": {
			"": true, "app_a:app_b": true, "app_a:app_b,app:app_clone": true, "a b:c-d": true,
			"app": false, "app:": false, ":app": false, "a:b:c": false, "a:b,": false, "a:b,c": false, ",a:b": false,
		},
		"OwnerRoles": {
			"": true, "app_owner": true, "app_owner,other": true, "an owner": true,
			",": false, "app_owner,": false, ",app_owner": false, "a,,b": false,
		},
	} {
		pattern, err := regexp.Compile("^(?:" + text(at(sam.parameters[parameter], "AllowedPattern")) + ")$")
		if err != nil {
			t.Fatal(err)
		}
		for value, want := range values {
			if pattern.MatchString(value) != want {
				t.Errorf("%s: %q is taken: %t, want %t", parameter, value, !want, want)
			}
		}
	}
	if values := texts(at(sam.parameters["Adopt"], "AllowedValues")); !slices.Equal(values, []string{"", "reassign"}) {
		t.Errorf("Adopt may be %q", values)
	}
	if values := texts(at(sam.parameters["Strategy"], "AllowedValues")); !slices.Equal(values,
		[]string{"", string(rotator.Single), string(rotator.Alternating), string(rotator.DualPassword)}) {
		t.Errorf("Strategy may be %q", values)
	}
}

// engineNames are what people call the engines, by the drivers' names for
// themselves.
var engineNames = map[string]string{"postgres": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB", "redshift": "Redshift", "documentdb": "DocumentDB"}

func TestTheTemplateSpeaksOfEveryEngine(t *testing.T) {
	t.Parallel()
	says := descriptions(readTemplate(t))
	for name, driver := range engines.Table() {
		for _, fault := range engineFaults(says, name, driver) {
			t.Error(fault)
		}
	}
}

func TestAnEngineThatTheTemplateForgetsIsNoticed(t *testing.T) {
	t.Parallel()
	says := map[string]string{"SecurityGroupIds": "5432 for PostgreSQL, 3307 for MySQL", "Strategy": "dual-password needs PostgreSQL"}
	for name, want := range map[string]int{"mysql": 2, "mariadb": 2, "postgres": 1} {
		if got := engineFaults(says, name, engines.Table()[name]); len(got) != want {
			t.Errorf("%s: %d faults, want %d: %q", name, len(got), want, got)
		}
	}
}

// engineFaults compares what is said of an engine with what its driver does.
func engineFaults(says map[string]string, name string, driver dbdrivers.Driver) []string {
	var faults []string
	traits := driver.Traits()
	called, ok := engineNames[traits.Engine]
	if !ok {
		return []string{fmt.Sprintf("%s is the driver %q, which has no name here", name, traits.Engine)}
	}
	ports := says["SecurityGroupIds"]
	if !strings.Contains(ports, strconv.Itoa(traits.DefaultPort)) || !strings.Contains(ports, called) {
		faults = append(faults, fmt.Sprintf("SecurityGroupIds does not speak of port %d for %s", traits.DefaultPort, called))
	}
	_, retains := driver.(dbdrivers.PasswordRetainer)
	if strings.Contains(says["Strategy"], called) != retains {
		faults = append(faults, fmt.Sprintf("Strategy speaks of %s with dual-password: %t, want %t", called, !retains, retains))
	}
	return faults
}

// descriptions are what the template says of its parameters.
func descriptions(sam template) map[string]string {
	says := make(map[string]string)
	for name, parameter := range sam.parameters {
		says[name] = text(at(parameter, "Description"))
	}
	return says
}

func TestOperatingExplainsEachVariable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../functions/rotation/environment.go")
	if err != nil {
		t.Fatal(err)
	}
	read, err := variablesRead(source)
	if err != nil || len(read) == 0 {
		t.Fatalf("no variable was found in the function's source (%v); the test has lost its subject", err)
	}
	_, table, found := strings.Cut(string(page), "## Variables")
	if !found {
		t.Fatal("docs/operating.md has no section Variables")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	for _, variable := range read {
		if !strings.Contains(table, "`"+variable+"`") {
			t.Errorf("docs/operating.md does not explain %s", variable)
		}
	}
}

func readTemplate(t *testing.T) template {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sam, err := parseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return sam
}

// pseudoParameters are those that AWS declares.
//
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
var pseudoParameters = []string{
	"AWS::AccountId", "AWS::NoValue", "AWS::NotificationARNs", "AWS::Partition",
	"AWS::Region", "AWS::StackId", "AWS::StackName", "AWS::URLSuffix",
}

// attributes are what GetAtt may ask of a resource, by type. A type that is
// not here has none that this repository has needed yet.
var attributes = map[string][]string{
	"AWS::IAM::Role":            {"Arn", "RoleId"},
	"AWS::Logs::LogGroup":       {"Arn"},
	"AWS::Serverless::Function": {"Arn"},
}

func danglingReferences(sam template) []string {
	var faults []string
	for _, r := range sam.references() {
		resource, isResource := sam.resources[r.name]
		_, isParameter := sam.parameters[r.name]
		_, isCondition := sam.conditions[r.name]
		var ok bool
		switch r.kind {
		case "Ref":
			ok = isResource || isParameter || slices.Contains(pseudoParameters, r.name)
		case "Condition":
			ok = isCondition
		default:
			ok = isResource
		}
		if !ok {
			faults = append(faults, fmt.Sprintf("line %d: %s of %s, which does not exist", r.line, r.kind, r.name))
			continue
		}
		if kind := text(at(resource, "Type")); r.kind == "GetAtt" && !slices.Contains(attributes[kind], r.attribute) {
			faults = append(faults, fmt.Sprintf("line %d: %s has no attribute %q that this test knows", r.line, kind, r.attribute))
		}
	}
	return faults
}

// references are all mentions in the template.
func (t template) references() []reference {
	var found []reference
	for _, s := range []section{t.conditions, t.resources, t.outputs} {
		for _, name := range slices.Sorted(maps.Keys(s)) {
			found = append(found, references(s[name])...)
		}
	}
	return found
}

func unusedDeclarations(sam template) []string {
	used := map[string]bool{}
	for _, r := range sam.references() {
		used[r.name] = true
	}
	var faults []string
	for kind, s := range map[string]section{"parameter": sam.parameters, "condition": sam.conditions} {
		for name := range s {
			if !used[name] {
				faults = append(faults, fmt.Sprintf("the %s %s is declared and never used", kind, name))
			}
		}
	}
	return faults
}

// ungroupedParameters holds the console's form to the parameters there are.
func ungroupedParameters(sam template) []string {
	groups := at(sam.metadata, "AWS::CloudFormation::Interface", "ParameterGroups")
	if groups == nil {
		return nil
	}
	times := map[string]int{}
	for _, group := range groups.Content {
		for _, name := range texts(at(group, "Parameters")) {
			times[name]++
		}
	}
	var faults []string
	for name := range sam.parameters {
		if times[name] != 1 {
			faults = append(faults, fmt.Sprintf("the parameter %s is in %d groups, not in one", name, times[name]))
		}
		delete(times, name)
	}
	for name := range times {
		faults = append(faults, fmt.Sprintf("a group lists the parameter %s, which does not exist", name))
	}
	return faults
}

func circles(sam template) []string {
	var faults []string
	done := map[string]bool{}
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		if start := slices.Index(path, name); start >= 0 {
			faults = append(faults, "a circle: "+strings.Join(append(path[start:], name), " needs "))
			return
		}
		if done[name] {
			return
		}
		for _, r := range references(sam.resources[name]) {
			if _, is := sam.resources[r.name]; is {
				visit(r.name, append(slices.Clone(path), name))
			}
		}
		done[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(sam.resources)) {
		visit(name, nil)
	}
	return faults
}

// permissionsWithoutAccount guards against a secret in a stranger's account
// that names this function as its own.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func permissionsWithoutAccount(sam template) []string {
	var faults []string
	for name, permission := range sam.ofType("AWS::Lambda::Permission") {
		if account := references(at(permission, "Properties", "SourceAccount")); len(account) != 1 || account[0].name != "AWS::AccountId" {
			faults = append(faults, name+": SourceAccount is not !Ref AWS::AccountId, so any account's secrets may invoke the function")
		}
	}
	return faults
}

// functionsWithoutTimeout: Lambda's default of three seconds ends a rotation
// half-way.
func functionsWithoutTimeout(sam template) []string {
	var faults []string
	for name, function := range sam.ofType("AWS::Serverless::Function") {
		seconds, err := strconv.Atoi(text(at(function, "Properties", "Timeout")))
		if err != nil || seconds < 60 || seconds > 900 {
			faults = append(faults, name+": Timeout is not between 60 and 900 seconds")
		}
	}
	return faults
}

func functionsWithoutBootstrap(sam template) []string {
	var faults []string
	for name, function := range sam.ofType("AWS::Serverless::Function") {
		if handler := text(at(function, "Properties", "Handler")); handler != "bootstrap" {
			faults = append(faults, fmt.Sprintf("%s: Handler is %q; an OS-only runtime starts bootstrap", name, handler))
		}
	}
	return faults
}

func wildcardActions(sam template) []string {
	var faults []string
	var look func(name string, node *yaml.Node)
	look = func(name string, node *yaml.Node) {
		for key, value := range pairs(node) {
			if key.Value == "NotAction" {
				faults = append(faults, fmt.Sprintf("%s, line %d: NotAction allows what nobody has listed", name, key.Line))
			}
			if key.Value != "Action" {
				continue
			}
			for _, action := range texts(value) {
				if strings.ContainsAny(action, "*?") {
					faults = append(faults, fmt.Sprintf("%s, line %d: the action %s is a wildcard", name, value.Line, action))
				}
			}
		}
		for _, child := range node.Content {
			look(name, child)
		}
	}
	for name, resource := range sam.resources {
		look(name, resource)
	}
	return faults
}

// environmentFaults compares the variables that the template sets with those
// that the function reads.
func environmentFaults(sam template, read []string) []string {
	var faults []string
	for name, function := range sam.ofType("AWS::Serverless::Function") {
		set := map[string]bool{}
		for key := range pairs(at(function, "Properties", "Environment", "Variables")) {
			set[key.Value] = true
			if !slices.Contains(read, key.Value) {
				faults = append(faults, fmt.Sprintf("%s is given %s, which it does not read", name, key.Value))
			}
		}
		for _, variable := range read {
			if !set[variable] {
				faults = append(faults, fmt.Sprintf("%s reads %s, which it is not given", name, variable))
			}
		}
	}
	return faults
}

var variableName = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$`)

// variablesRead finds the environment variables that a Go file reads: its
// string literals that are written as variables are. Lambda's own, which start
// with AWS_, are not the template's to set.
//
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
func variablesRead(source []byte) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "environment.go", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		name, err := strconv.Unquote(literal.Value)
		if err == nil && len(name) > 2 && variableName.MatchString(name) && !strings.HasPrefix(name, "AWS_") {
			names[name] = true
		}
		return true
	})
	return slices.Sorted(maps.Keys(names)), nil
}

// Each check is seen to fail.
func TestAnUnsoundTemplateIsNoticed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		check    string
		template string
		want     string
	}{
		{"a Ref to a resource that was renamed", "all that is mentioned exists",
			`{Resources: {A: {Type: "AWS::X", Properties: {Name: !Ref Renamed}}}}`, "Ref of Renamed"},
		{"a Ref in its long form", "all that is mentioned exists",
			`{Resources: {A: {Type: "AWS::X", Properties: {Name: {Ref: Renamed}}}}}`, "Ref of Renamed"},
		{"a Ref to a condition, which has no value", "all that is mentioned exists",
			`{Conditions: {C: !Equals [a, b]}, Resources: {A: {Type: "AWS::X", Properties: {Name: !Ref C}}}}`, "Ref of C"},
		{"a mistyped pseudo parameter", "all that is mentioned exists",
			`{Resources: {A: {Type: "AWS::X", Properties: {Name: !Ref "AWS::Account"}}}}`, "Ref of AWS::Account"},
		{"a GetAtt of a parameter", "all that is mentioned exists",
			`{Parameters: {P: {Type: String}}, Resources: {A: {Type: "AWS::X", Properties: {Name: !GetAtt P.Arn}}}}`, "GetAtt of P"},
		{"a GetAtt of an attribute that the type lacks", "all that is mentioned exists",
			`{Resources: {R: {Type: "AWS::IAM::Role"}, A: {Type: "AWS::X", Properties: {Name: !GetAtt R.ARN}}}}`, `no attribute "ARN"`},
		{"a GetAtt as a list", "all that is mentioned exists",
			`{Resources: {A: {Type: "AWS::X", Properties: {Name: {"Fn::GetAtt": [Gone, Arn]}}}}}`, "GetAtt of Gone"},
		{"a Sub of a resource that is gone", "all that is mentioned exists",
			`{Resources: {A: {Type: "AWS::X", Properties: {Name: !Sub "arn:${AWS::Partition}:${Gone}"}}}}`, "Ref of Gone"},
		{"a Sub of an attribute, one name its own", "all that is mentioned exists",
			`{Resources: {A: {Type: "AWS::X", Properties: {Name: !Sub ["${Own}${Gone.Arn}", {Own: x}]}}}}`, "GetAtt of Gone"},
		{"an If on a condition that is gone", "all that is mentioned exists",
			`{Resources: {A: {Type: "AWS::X", Properties: {Name: !If [Gone, a, b]}}}}`, "Condition of Gone"},
		{"a resource's condition that is gone", "all that is mentioned exists",
			`{Resources: {A: {Type: "AWS::X", Condition: Gone}}}`, "Condition of Gone"},
		{"a condition within a condition", "all that is mentioned exists",
			`{Conditions: {C: !And [!Condition Gone, !Equals [a, b]]}}`, "Condition of Gone"},
		{"a DependsOn that is gone", "all that is mentioned exists",
			`{Resources: {A: {Type: "AWS::X", DependsOn: [A, Gone]}}}`, "DependsOn of Gone"},
		{"an output of something that is gone", "all that is mentioned exists",
			`{Outputs: {O: {Value: !Ref Gone}}}`, "Ref of Gone"},

		{"a parameter that does nothing", "all that is declared is used",
			`{Parameters: {P: {Type: String}}}`, "parameter P"},
		{"a condition that does nothing", "all that is declared is used",
			`{Conditions: {C: !Equals [a, b]}}`, "condition C"},

		{"a parameter outside the form's groups", "every parameter has its place in a group",
			`{Metadata: {"AWS::CloudFormation::Interface": {ParameterGroups: [{Parameters: []}]}}, Parameters: {P: {Type: String}}}`, "P is in 0 groups"},
		{"a group that lists a parameter that is gone", "every parameter has its place in a group",
			`{Metadata: {"AWS::CloudFormation::Interface": {ParameterGroups: [{Parameters: [Gone]}]}}}`, "lists the parameter Gone"},

		{"a role that names the function that names the role", "nothing waits for itself",
			`{Resources: {F: {Type: "AWS::X", Properties: {Role: !GetAtt R.Arn}}, R: {Type: "AWS::Y", Properties: {Deep: [{Arn: !Sub "${F.Arn}"}]}}}}`, "F needs R needs F"},
		{"a resource that waits for itself", "nothing waits for itself",
			`{Resources: {F: {Type: "AWS::X", DependsOn: F}}}`, "F needs F"},

		{"a permission for every account", "who may invoke is told by account",
			`{Resources: {P: {Type: "AWS::Lambda::Permission", Properties: {Principal: secretsmanager.amazonaws.com}}}}`, "P: SourceAccount"},
		{"a permission for somebody else's account", "who may invoke is told by account",
			`{Resources: {P: {Type: "AWS::Lambda::Permission", Properties: {SourceAccount: "123456789012"}}}}`, "P: SourceAccount"},

		{"Lambda's default time-out", "functions have a time-out",
			`{Resources: {F: {Type: "AWS::Serverless::Function", Properties: {Handler: bootstrap}}}}`, "F: Timeout"},
		{"a time-out of three seconds", "functions have a time-out",
			`{Resources: {F: {Type: "AWS::Serverless::Function", Properties: {Timeout: 3}}}}`, "F: Timeout"},

		{"the handler of another runtime", "functions start the binary",
			`{Resources: {F: {Type: "AWS::Serverless::Function", Properties: {Handler: main}}}}`, `Handler is "main"`},

		{"every right on secrets", "rights are named one by one",
			`{Resources: {R: {Type: "AWS::IAM::Role", Properties: {Policies: [{PolicyDocument: {Statement: [{Action: "secretsmanager:*"}]}}]}}}}`, "secretsmanager:*"},
		{"one wildcard in a list, in an If", "rights are named one by one",
			`{Resources: {R: {Type: "AWS::IAM::Role", Properties: {Policies: [!If [C, {Statement: [{Action: [kms:Decrypt, "ec2:Describe*"]}]}, x]]}}}}`, "ec2:Describe*"},
		{"all but one right", "rights are named one by one",
			`{Resources: {R: {Type: "AWS::IAM::Role", Properties: {Statement: [{NotAction: iam:CreateUser}]}}}}`, "NotAction"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bad, err := parseTemplate([]byte(tt.template))
			if err != nil {
				t.Fatal(err)
			}
			faults := templateChecks[tt.check](bad)
			if !slices.ContainsFunc(faults, func(fault string) bool { return strings.Contains(fault, tt.want) }) {
				t.Errorf("faults %q, want one that says %q", faults, tt.want)
			}
		})
	}
}

func TestAVariableOnOneSideAloneIsNoticed(t *testing.T) {
	t.Parallel()
	sam, err := parseTemplate([]byte(`{Resources: {F: {Type: "AWS::Serverless::Function", Properties: {Environment: {Variables: {STRATEGY: x, RETIRED: x}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	read, err := variablesRead([]byte(`package main

		const strategy = "STRATEGY"

		func read(get func(string) string) {
			_ = get("SSL_ROOTS") + get("AWS_REGION") + "a STRATEGY in a sentence"
		}`))
	if err != nil {
		t.Fatal(err)
	}
	faults := environmentFaults(sam, read)
	slices.Sort(faults)
	want := []string{"F is given RETIRED, which it does not read", "F reads SSL_ROOTS, which it is not given"}
	if !slices.Equal(faults, want) {
		t.Errorf("faults %q, want %q", faults, want)
	}
}

func TestAKeyThatIsThereTwiceIsNoticed(t *testing.T) {
	t.Parallel()
	_, err := parseTemplate([]byte("Resources:\n  F: {Type: a}\n  F: {Type: b}\n"))
	if err == nil || !strings.Contains(err.Error(), "line 3: F is there twice") {
		t.Errorf("error %v, want the second F refused", err)
	}
}

// What the function asks of the database services, as package awstopology names it,
// and what its role may ask are the same.
func TestTheTemplateAllowsWhatTheTopologyAsks(t *testing.T) {
	t.Parallel()
	asked := map[string]bool{}
	files, err := filepath.Glob("../rotator/awstopology/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range topologyAction.FindAllStringSubmatch(string(source), -1) {
			asked[match[1]] = true
		}
	}
	if len(asked) < 8 {
		t.Fatalf("the topology's source names %d actions; the test has lost its subject", len(asked))
	}
	allowed := map[string]bool{}
	var look func(node *yaml.Node)
	look = func(node *yaml.Node) {
		for key, value := range pairs(node) {
			if key.Value != "Action" || text(at(node, "Effect")) != "Allow" {
				continue
			}
			for _, action := range texts(value) {
				if topologyAction.MatchString(strconv.Quote(action)) {
					allowed[action] = true
				}
			}
		}
		for _, child := range node.Content {
			look(child)
		}
	}
	for _, policy := range readTemplate(t).ofType("AWS::IAM::RolePolicy") {
		look(policy)
	}
	if want, got := slices.Sorted(maps.Keys(asked)), slices.Sorted(maps.Keys(allowed)); !slices.Equal(want, got) {
		t.Errorf("the function asks %q, and its role may ask %q", want, got)
	}
}

// topologyAction is an IAM action of a database service, as a Go string.
var topologyAction = regexp.MustCompile(`"((?:rds|redshift|redshift-serverless):[A-Z][A-Za-z]+)"`)
