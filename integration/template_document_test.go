package integration_test

import (
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// template is a CloudFormation template as it was written: its sections, and
// below them YAML with CloudFormation's tags (!Ref, !Sub, ...) or their long
// forms (Ref:, Fn::Sub:, ...).
//
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
type template struct {
	parameters, conditions, resources, outputs section
	metadata                                   *yaml.Node
}

// section is what a part of the template declares, by logical name.
type section map[string]*yaml.Node

func parseTemplate(text []byte) (template, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return template{}, fmt.Errorf("parsing the template: %w", err)
	}
	if len(file.Content) != 1 || file.Content[0].Kind != yaml.MappingNode {
		return template{}, errors.New("parsing the template: it is not a mapping")
	}
	if err := unambiguous(&file); err != nil {
		return template{}, fmt.Errorf("parsing the template: %w", err)
	}
	root := file.Content[0]
	return template{
		parameters: sectionOf(root, "Parameters"),
		conditions: sectionOf(root, "Conditions"),
		resources:  sectionOf(root, "Resources"),
		outputs:    sectionOf(root, "Outputs"),
		metadata:   at(root, "Metadata"),
	}, nil
}

// unambiguous refuses a key that is there twice: one of the two would be lost.
func unambiguous(node *yaml.Node) error {
	seen := map[string]bool{}
	for key := range pairs(node) {
		if seen[key.Value] {
			return fmt.Errorf("line %d: %s is there twice", key.Line, key.Value)
		}
		seen[key.Value] = true
	}
	for _, child := range node.Content {
		if err := unambiguous(child); err != nil {
			return err
		}
	}
	return nil
}

// pairs are the keys and values of a mapping; other nodes have none.
func pairs(node *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(*yaml.Node, *yaml.Node) bool) {
		if node == nil || node.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i], node.Content[i+1]) {
				return
			}
		}
	}
}

// at follows keys down, and is nil where one is not there.
func at(node *yaml.Node, keys ...string) *yaml.Node {
	for _, want := range keys {
		var next *yaml.Node
		for key, value := range pairs(node) {
			if key.Value == want {
				next = value
			}
		}
		node = next
	}
	return node
}

func sectionOf(root *yaml.Node, name string) section {
	s := section{}
	for key, value := range pairs(at(root, name)) {
		s[key.Value] = value
	}
	return s
}

// text is a scalar's text, and empty for anything else.
func text(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode {
		return ""
	}
	return node.Value
}

// texts are the texts of a scalar or of a list of them.
func texts(node *yaml.Node) []string {
	switch {
	case node == nil:
		return nil
	case node.Kind == yaml.ScalarNode:
		return []string{node.Value}
	case node.Kind != yaml.SequenceNode:
		return nil
	}
	var out []string
	for _, item := range node.Content {
		out = append(out, text(item))
	}
	return out
}

// ofType are the resources of a type, by logical name.
func (t template) ofType(name string) section {
	s := section{}
	for resource, body := range t.resources {
		if text(at(body, "Type")) == name {
			s[resource] = body
		}
	}
	return s
}

// reference is one mention of something that the template declares.
type reference struct {
	kind      string // Ref, GetAtt, Condition or DependsOn
	name      string
	attribute string // of a GetAtt
	line      int
}

// references are all mentions below node. A !Sub counts as the Ref and GetAtt
// that it stands for.
func references(node *yaml.Node) []reference {
	if node == nil {
		return nil
	}
	if function, argument, ok := call(node); ok {
		return referencesOfCall(function, argument)
	}
	var found []reference
	for key, value := range pairs(node) {
		switch {
		// A Condition that is a mapping is one of IAM's.
		case key.Value == "Condition" && value.Kind == yaml.ScalarNode:
			found = append(found, reference{kind: "Condition", name: value.Value, line: value.Line})
		case key.Value == "DependsOn":
			for _, name := range texts(value) {
				found = append(found, reference{kind: "DependsOn", name: name, line: value.Line})
			}
		}
	}
	for _, child := range node.Content {
		found = append(found, references(child)...)
	}
	return found
}

// call recognises an intrinsic function in its short and in its long form.
func call(node *yaml.Node) (function string, argument *yaml.Node, ok bool) {
	if strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") {
		return node.Tag[1:], node, true
	}
	if node.Kind == yaml.MappingNode && len(node.Content) == 2 {
		key := node.Content[0].Value
		if key == "Ref" {
			return key, node.Content[1], true
		}
		if name, is := strings.CutPrefix(key, "Fn::"); is {
			return name, node.Content[1], true
		}
	}
	return "", nil, false
}

func referencesOfCall(function string, argument *yaml.Node) []reference {
	var found []reference
	switch function {
	case "Ref", "Condition":
		return []reference{{kind: function, name: argument.Value, line: argument.Line}}
	case "GetAtt":
		name, attribute, _ := strings.Cut(strings.Join(texts(argument), "."), ".")
		return []reference{{kind: "GetAtt", name: name, attribute: attribute, line: argument.Line}}
	case "Sub":
		return referencesOfSub(argument)
	case "If":
		if condition := texts(argument); len(condition) > 0 {
			found = append(found, reference{kind: "Condition", name: condition[0], line: argument.Line})
		}
	}
	for _, child := range argument.Content {
		found = append(found, references(child)...)
	}
	return found
}

var placeholder = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

// referencesOfSub reads "text ${Name} ${Name.Attribute}", where a second
// argument may give some of the names itself.
func referencesOfSub(argument *yaml.Node) []reference {
	var found []reference
	var own []string
	format := argument
	if argument.Kind == yaml.SequenceNode && len(argument.Content) > 0 {
		format = argument.Content[0]
		for _, more := range argument.Content[1:] {
			found = append(found, references(more)...)
			for key := range pairs(more) {
				own = append(own, key.Value)
			}
		}
	}
	for _, match := range placeholder.FindAllStringSubmatch(format.Value, -1) {
		r := reference{kind: "Ref", name: match[1], line: format.Line}
		if name, attribute, is := strings.Cut(match[1], "."); is {
			r = reference{kind: "GetAtt", name: name, attribute: attribute, line: format.Line}
		}
		if !slices.Contains(own, match[1]) {
			found = append(found, r)
		}
	}
	return found
}
