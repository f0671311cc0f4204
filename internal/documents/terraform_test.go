package documents

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// The files are read with Terraform's own parser. Terraform itself would have
// to download the provider for AWS, which is as large as all else together.
func TestTerraformIsFormatted(t *testing.T) {
	t.Parallel()
	for _, path := range terraformFiles(t) {
		text := readFile(t, path)
		assert.Equal(t, string(hclwrite.Format([]byte(text))), text, path)
	}
}

func terraformFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(deployPath("*.tf"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	return paths
}

// terraformResources returns the resources of a type.
func terraformResources(t *testing.T, resourceType string) []*hclsyntax.Body {
	t.Helper()
	var found []*hclsyntax.Body
	for _, path := range terraformFiles(t) {
		file, diagnostics := hclsyntax.ParseConfig([]byte(readFile(t, path)), path, hcl.InitialPos)
		require.False(t, diagnostics.HasErrors(), diagnostics.Error())
		for _, block := range file.Body.(*hclsyntax.Body).Blocks {
			if block.Type == "resource" && block.Labels[0] == resourceType {
				found = append(found, block.Body)
			}
		}
	}
	return found
}

// evaluateTerraform evaluates an expression that results in a string, for one
// table, prefix and key.
func evaluateTerraform(t *testing.T, expression hcl.Expression) string {
	t.Helper()
	object := func(name, value string) cty.Value {
		return cty.ObjectVal(map[string]cty.Value{name: cty.StringVal(value)})
	}
	value, diagnostics := expression.Value(&hcl.EvalContext{
		Variables: map[string]cty.Value{
			"path":               object("module", deployPath("")),
			"each":               object("key", prefix),
			"var":                object("kms_key_arn", keyARN),
			"aws_dynamodb_table": cty.ObjectVal(map[string]cty.Value{"flags": object("arn", tableARN)}),
		},
		Functions: map[string]function.Function{"templatefile": templateFile(t)},
	})
	require.False(t, diagnostics.HasErrors(), diagnostics.Error())
	return value.AsString()
}

// templateFile is Terraform's function of this name.
func templateFile(t *testing.T) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "path", Type: cty.String},
			{Name: "vars", Type: cty.DynamicPseudoType},
		},
		Type: function.StaticReturnType(cty.String),
		Impl: func(arguments []cty.Value, _ cty.Type) (cty.Value, error) {
			path := arguments[0].AsString()
			text := readFile(t, path)
			expression, diagnostics := hclsyntax.ParseTemplate([]byte(text), path, hcl.InitialPos)
			if diagnostics.HasErrors() {
				return cty.NilVal, diagnostics
			}
			value, diagnostics := expression.Value(&hcl.EvalContext{Variables: arguments[1].AsValueMap()})
			if diagnostics.HasErrors() {
				return cty.NilVal, diagnostics
			}
			assert.NotContains(t, value.AsString(), "${")
			return cty.StringVal(strings.TrimSpace(value.AsString())), nil
		},
	})
}
