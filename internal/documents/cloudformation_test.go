package documents

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// A template is a CloudFormation template, of which the functions are evaluated
// as far as the tests need them.
type template struct {
	Resources map[string]resource
}

type resource struct {
	Type       string
	Properties map[string]interface{}
}

func readTemplate(t *testing.T) template {
	t.Helper()
	var node yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(readFile(t, deployPath("table.yaml"))), &node))
	evaluate(&node, map[string]string{
		"!GetAtt Table.Arn":       tableARN,
		"!Ref KeyArn":             keyARN,
		"!Sub ${Prefix}:features": prefix + ":features",
		"!Sub ${Prefix}:segments": prefix + ":segments",
		"!Sub ${Prefix}:$inited":  prefix + ":$inited",
	})
	var evaluated struct {
		Resources map[string]struct {
			Type       string                 `yaml:"Type"`
			Properties map[string]interface{} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	require.NoError(t, node.Decode(&evaluated))
	tmpl := template{Resources: make(map[string]resource)}
	for name, r := range evaluated.Resources {
		tmpl.Resources[name] = resource(r)
	}
	return tmpl
}

// evaluate replaces functions by their values. Of others it drops the name.
func evaluate(node *yaml.Node, values map[string]string) {
	if strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") {
		if value, known := values[node.Tag+" "+node.Value]; known {
			node.Value = value
		}
		node.Tag = ""
	}
	for _, child := range node.Content {
		evaluate(child, values)
	}
}

func (tmpl template) ofType(name string) []resource {
	var found []resource
	for _, r := range tmpl.Resources {
		if r.Type == name {
			found = append(found, r)
		}
	}
	return found
}

// decode decodes the properties, as far as they are fields of the destination.
func (r resource) decode(t *testing.T, into interface{}) {
	t.Helper()
	encoded, err := json.Marshal(r.Properties)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(encoded, into))
}
