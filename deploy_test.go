package lddynamodb

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

const tableARN = "arn:aws:dynamodb:us-east-1:123456789012:table/flags"

// A tableSchema is what must be the same wherever a table is described.
type tableSchema struct {
	BillingMode          string
	AttributeDefinitions []struct{ AttributeName, AttributeType string }
	KeySchema            []struct{ AttributeName, KeyType string }
}

var wantSchema = tableSchema{
	BillingMode:          dynamodb.BillingModePayPerRequest,
	AttributeDefinitions: []struct{ AttributeName, AttributeType string }{{namespaceAttribute, "S"}, {keyAttribute, "S"}},
	KeySchema:            []struct{ AttributeName, KeyType string }{{namespaceAttribute, "HASH"}, {keyAttribute, "RANGE"}},
}

func TestDeployedTablesHaveTheSchemaOfTheCode(t *testing.T) {
	t.Parallel()
	t.Run("AWS CLI", func(t *testing.T) {
		t.Parallel()
		var schema tableSchema
		require.NoError(t, json.Unmarshal(readDeployFile(t, "create-table.json"), &schema))
		assert.Equal(t, wantSchema, schema)
	})
	t.Run("CloudFormation", func(t *testing.T) {
		t.Parallel()
		var schema tableSchema
		readTemplate(t, "").decode(t, &schema, "Resources", "Table", "Properties")
		assert.Equal(t, wantSchema, schema)
	})
	t.Run("Terraform", func(t *testing.T) {
		t.Parallel()
		blocks := readTerraform(t, "main.tf")
		const table = `resource "aws_dynamodb_table" "flags"`
		assert.Equal(t, []string{`"PAY_PER_REQUEST"`}, blocks[table+" billing_mode"])
		namespace, key := strconv.Quote(namespaceAttribute), strconv.Quote(keyAttribute)
		assert.Equal(t, []string{namespace}, blocks[table+" hash_key"])
		assert.Equal(t, []string{key}, blocks[table+" range_key"])
		assert.Equal(t, []string{namespace, key}, blocks[table+" attribute name"])
		assert.Equal(t, []string{`"S"`, `"S"`}, blocks[table+" attribute type"])
	})
}

func TestTableOfTheCommandLineWorks(t *testing.T) {
	t.Parallel()
	var input dynamodb.CreateTableInput
	decoder := json.NewDecoder(bytes.NewReader(readDeployFile(t, "create-table.json")))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&input))
	f := newFixture(t)
	f.table += "-deployed"
	input.TableName = &f.table
	_, err := f.client.CreateTable(&input)
	require.NoError(t, err)
	store := f.newStore()

	f.writeEverything(store)
	f.readEverything(store)

	assert.True(t, f.newStore().Initialized())
}

// A policy is an IAM policy document, as far as the policies here go.
type policy struct {
	Version   string
	Statement []struct {
		Effect    string
		Action    []string
		Resource  string
		Condition map[string]map[string][]string
	}
}

func TestPoliciesAllowTheActionsOfTheCode(t *testing.T) {
	t.Parallel()
	for name, actions := range map[string][]string{
		"read-only": readActions, "read-write": readWriteActions, "one-prefix": readWriteActions,
	} {
		p := readPolicy(t, name, "production")
		require.Len(t, p.Statement, 1, name)
		var want []string
		for _, action := range actions {
			want = append(want, "dynamodb:"+action)
		}
		assert.ElementsMatch(t, want, p.Statement[0].Action, name)
	}
}

func TestPoliciesAreTheSameInCloudFormation(t *testing.T) {
	t.Parallel()
	template := readTemplate(t, "production")
	for name, resource := range map[string]string{
		"read-only": "ReadOnlyPolicy", "read-write": "ReadWritePolicy", "one-prefix": "OnePrefixPolicy",
	} {
		var p policy
		template.decode(t, &p, "Resources", resource, "Properties", "PolicyDocument")
		assert.Equal(t, readPolicy(t, name, "production"), p, name)
	}
}

func TestPoliciesAreTheSameInTerraform(t *testing.T) {
	t.Parallel()
	blocks := readTerraform(t, "main.tf")
	for resource, want := range map[string]string{
		"read_only":  `templatefile("${path.module}/policies/read-only.json", { table_arn = aws_dynamodb_table.flags.arn })`,
		"read_write": `templatefile("${path.module}/policies/read-write.json", { table_arn = aws_dynamodb_table.flags.arn })`,
		"one_prefix": `templatefile("${path.module}/policies/one-prefix.json", ` +
			`{ table_arn = aws_dynamodb_table.flags.arn, prefix = each.key })`,
	} {
		assert.Equal(t, []string{want}, blocks[`resource "aws_iam_policy" "`+resource+`" policy`])
	}
}

// The store does its work under the policies, and what they are to prevent is
// refused. The test stands in for IAM, in front of DynamoDB Local.
func TestPoliciesAreEnough(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy string
		prefix string
		work   func(*fixture, ld.FeatureStore)
	}{
		"daemon mode":             {"read-only", "", (*fixture).readEverything},
		"daemon mode, prefix":     {"read-only", "production", (*fixture).readEverything},
		"connected":               {"read-write", "", (*fixture).writeEverything},
		"connected, prefix":       {"read-write", "production", (*fixture).writeEverything},
		"confined to a prefix":    {"one-prefix", "production", (*fixture).writeEverything},
		"confined to odd prefix":  {"one-prefix", "a:*", (*fixture).writeEverything},
		"confined, but only read": {"one-prefix", "production", (*fixture).readEverything},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			refused := f.enforce(readPolicy(t, test.policy, test.prefix))

			test.work(f, f.newStore(Prefix(test.prefix)))

			assert.Zero(t, refused.Load())
			assert.NotEmpty(t, f.transport.recorded())
		})
	}
}

func TestReadOnlyPolicyRefusesWrites(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.enforce(readPolicy(t, "read-only", ""))
	store := f.newStore()

	require.ErrorContains(t, store.Upsert(ld.Features, flag("a", 1)), "AccessDeniedException")
	require.ErrorContains(t, store.Init(allData(flag("a", 1))), "AccessDeniedException")

	assert.Empty(t, f.rows())
}

func TestOnePrefixPolicyRefusesTheOthers(t *testing.T) {
	t.Parallel()
	for _, prefix := range prefixes {
		if prefix == "" {
			continue // no prefix, so not confined
		}
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.enforce(readPolicy(t, "one-prefix", prefix))
			for _, other := range prefixes {
				if other == prefix {
					continue
				}
				store := f.newStore(Prefix(other), CacheTTL(0))
				for action, call := range storeCalls {
					_, err := call(store, 1)
					require.ErrorContains(t, err, "AccessDeniedException", "%s with prefix %q", action, other)
				}
				assert.False(t, store.Initialized())
			}
			assert.Empty(t, f.rows())
		})
	}
}

// enforce refuses what a policy does not allow, and counts it.
func (f *fixture) enforce(p policy) (refused *atomic.Int64) {
	refused = new(atomic.Int64)
	f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if p.allows(r) {
			return send()
		}
		refused.Add(1)
		return refusals["access denied"].answer(r)
	})
	return refused
}

func (p policy) allows(r *sentRequest) bool {
	for _, statement := range p.Statement {
		if statement.Effect != "Allow" || statement.Resource != tableARN ||
			!slices.Contains(statement.Action, "dynamodb:"+r.action) {
			continue
		}
		keys, confined := statement.Condition["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
		if !confined || !slices.ContainsFunc(r.leadingKeys(), func(key string) bool { return !slices.Contains(keys, key) }) {
			return true
		}
	}
	return false
}

// leadingKeys are the partition keys that a request asks for.
func (r *sentRequest) leadingKeys() []string {
	var input struct {
		Key, Item                 rawItem
		ExpressionAttributeValues rawItem
	}
	if err := json.Unmarshal(r.body, &input); err != nil {
		panic(err) // the AWS SDK made it
	}
	switch r.action {
	case "GetItem":
		return []string{*input.Key[namespaceAttribute].S}
	case "PutItem":
		return []string{*input.Item[namespaceAttribute].S}
	case "Query":
		return []string{*input.ExpressionAttributeValues[":namespace"].S}
	}
	var keys []string
	_, requests := r.batch()
	for _, request := range requests {
		if request.PutRequest != nil {
			keys = append(keys, *request.PutRequest.Item[namespaceAttribute].S)
		} else {
			keys = append(keys, *request.DeleteRequest.Key[namespaceAttribute].S)
		}
	}
	return keys
}

func readDeployFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("deploy", name))
	require.NoError(t, err)
	return content
}

// readPolicy reads a policy and puts its values in, as Terraform does.
func readPolicy(t *testing.T, name, prefix string) policy {
	t.Helper()
	content := strings.NewReplacer("${table_arn}", tableARN, "${prefix}", prefix).
		Replace(string(readDeployFile(t, "policies/"+name+".json")))
	assert.NotContains(t, content, "${", "a value is missing")
	var p policy
	decoder := json.NewDecoder(strings.NewReader(content))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&p))
	return p
}

// A template is a CloudFormation template of which the functions are evaluated.
type template map[string]interface{}

func readTemplate(t *testing.T, prefix string) template {
	t.Helper()
	var node yaml.Node
	require.NoError(t, yaml.Unmarshal(readDeployFile(t, "table.yaml"), &node))
	evaluate(&node, strings.NewReplacer("Table.Arn", tableARN, "${Prefix}", prefix))
	var evaluated template
	require.NoError(t, node.Decode(&evaluated))
	return evaluated
}

// evaluate replaces !GetAtt and !Sub. Others have no part in what is compared.
func evaluate(node *yaml.Node, values *strings.Replacer) {
	if node.Tag == "!GetAtt" || node.Tag == "!Sub" {
		node.Value = values.Replace(node.Value)
	}
	if strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") {
		node.Tag = ""
	}
	for _, child := range node.Content {
		evaluate(child, values)
	}
}

// decode decodes a part of the template.
func (tmpl template) decode(t *testing.T, into interface{}, path ...string) {
	t.Helper()
	var part interface{} = map[string]interface{}(tmpl)
	for _, name := range path {
		part = asMap(part)[name]
		require.NotNil(t, part, name)
	}
	encoded, err := json.Marshal(part)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(encoded, into))
}

func asMap(value interface{}) map[string]interface{} {
	switch value := value.(type) {
	case template:
		return value
	case map[string]interface{}:
		return value
	}
	return nil
}

var (
	terraformBlock     = regexp.MustCompile(`^([a-z_]+(?: "[a-z_]+")*|[a-z_]+ =) \{$`)
	terraformAttribute = regexp.MustCompile(`^([a-z_]+) += (.+)$`)
)

// readTerraform reads a file of the plain sort of HCL that is in use here: each
// line begins a block, ends one or sets an attribute. It returns the attributes'
// expressions by their blocks and their name.
func readTerraform(t *testing.T, name string) map[string][]string {
	t.Helper()
	expressions := map[string][]string{}
	var blocks []string
	for i, line := range strings.Split(string(readDeployFile(t, name)), "\n") {
		text := strings.TrimLeft(line, " ")
		if text == "}" {
			require.NotEmpty(t, blocks, "%s:%d ends no block", name, i+1)
			blocks = blocks[:len(blocks)-1]
		}
		if text == "" {
			continue
		}
		assert.Len(t, line, len(text)+2*len(blocks), "%s:%d is indented wrongly", name, i+1)
		if block := terraformBlock.FindStringSubmatch(text); block != nil {
			blocks = append(blocks, block[1])
		} else if attribute := terraformAttribute.FindStringSubmatch(text); attribute != nil {
			path := strings.Join(append(blocks, attribute[1]), " ")
			expressions[path] = append(expressions[path], attribute[2])
		} else {
			assert.Equal(t, "}", text, "%s:%d is no Terraform", name, i+1)
		}
	}
	assert.Empty(t, blocks, "%s ends in a block", name)
	return expressions
}

// Terraform itself checks the syntax where it is installed.
func TestTerraformIsWellFormed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("deploy/*.tf")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		assert.NotEmpty(t, readTerraform(t, filepath.Base(file)))
	}
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Log("terraform is not installed: the syntax is checked only as far as this test knows it")
		return
	}
	output, err := exec.CommandContext(t.Context(), terraform, "-chdir=deploy", "fmt", "-check", "-diff").CombinedOutput()
	assert.NoError(t, err, string(output))
}
