package documents

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
)

// Each table that a document or a file in deploy describes is created, and a
// store works on it.
func TestDescribedTablesWork(t *testing.T) {
	t.Parallel()
	for name, describe := range map[string]func(*testing.T) *dynamodb.CreateTableInput{
		"AWS CLI with a file": tableOfFile,
		"CloudFormation":      tableOfTemplate,
		"Terraform":           tableOfTerraform,
		"README.md": func(t *testing.T) *dynamodb.CreateTableInput {
			return tableOfCommand(t, readFile(t, root, "README.md"))
		},
		"doc.go": func(t *testing.T) *dynamodb.CreateTableInput {
			return tableOfCommand(t, strings.ReplaceAll(readFile(t, root, "doc.go"), "\n//\t", "\n"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			input := describe(t)
			table := createTable(t, input)
			client := lddynamodb.DynamoClient(newClient(t, http.DefaultTransport))
			store := newStore(t, table, client)

			require.NoError(t, write(store))
			require.NoError(t, read(store))

			assert.True(t, newStore(t, table, client).Initialized())
			assert.Equal(t, dynamodb.BillingModePayPerRequest, *input.BillingMode)
		})
	}
}

func tableOfFile(t *testing.T) *dynamodb.CreateTableInput {
	t.Helper()
	var input dynamodb.CreateTableInput
	decoder := json.NewDecoder(strings.NewReader(readFile(t, root, "deploy", "create-table.json")))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&input))
	return &input
}

func tableOfTemplate(t *testing.T) *dynamodb.CreateTableInput {
	t.Helper()
	tables := readTemplate(t).ofType("AWS::DynamoDB::Table")
	require.Len(t, tables, 1)
	var table struct { // the other properties refer to parameters
		BillingMode          *string
		AttributeDefinitions []*dynamodb.AttributeDefinition
		KeySchema            []*dynamodb.KeySchemaElement
	}
	tables[0].decode(t, &table)
	return &dynamodb.CreateTableInput{
		BillingMode: table.BillingMode, AttributeDefinitions: table.AttributeDefinitions, KeySchema: table.KeySchema,
	}
}

func tableOfTerraform(t *testing.T) *dynamodb.CreateTableInput {
	t.Helper()
	tables := terraformResources(t, "aws_dynamodb_table")
	require.Len(t, tables, 1)
	text := func(body *hclsyntax.Body, attribute string) *string {
		require.Contains(t, body.Attributes, attribute)
		return aws.String(evaluateTerraform(t, body.Attributes[attribute].Expr))
	}
	input := &dynamodb.CreateTableInput{
		BillingMode: text(tables[0], "billing_mode"),
		KeySchema: []*dynamodb.KeySchemaElement{
			{AttributeName: text(tables[0], "hash_key"), KeyType: aws.String(dynamodb.KeyTypeHash)},
			{AttributeName: text(tables[0], "range_key"), KeyType: aws.String(dynamodb.KeyTypeRange)},
		},
	}
	for _, block := range tables[0].Blocks {
		if block.Type == "attribute" {
			input.AttributeDefinitions = append(input.AttributeDefinitions, &dynamodb.AttributeDefinition{
				AttributeName: text(block.Body, "name"), AttributeType: text(block.Body, "type"),
			})
		}
	}
	return input
}

// tableOfCommand reads the arguments of the first "aws dynamodb create-table" in
// a text that are written out.
func tableOfCommand(t *testing.T, text string) *dynamodb.CreateTableInput {
	t.Helper()
	text = strings.ReplaceAll(text, "\\\n", " ")
	_, text, found := strings.Cut(text, "aws dynamodb create-table ")
	require.True(t, found)
	line, _, _ := strings.Cut(text, "\n")
	arguments := make(map[string][]string)
	var name string
	for _, word := range strings.Fields(line) {
		if strings.HasPrefix(word, "--") {
			name = word
		} else {
			arguments[name] = append(arguments[name], word)
		}
	}
	decode := func(argument string, into interface{}) {
		encoded, err := json.Marshal(shorthand(t, arguments[argument]))
		require.NoError(t, err)
		decoder := json.NewDecoder(bytes.NewReader(encoded))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(into))
	}
	require.Len(t, arguments["--billing-mode"], 1)
	input := &dynamodb.CreateTableInput{BillingMode: &arguments["--billing-mode"][0]}
	decode("--attribute-definitions", &input.AttributeDefinitions)
	decode("--key-schema", &input.KeySchema)
	return input
}

// shorthand reads the AWS CLI's "Name=value,Name=value" structures.
func shorthand(t *testing.T, words []string) []map[string]string {
	t.Helper()
	var structures []map[string]string
	for _, word := range words {
		structure := make(map[string]string)
		for field := range strings.SplitSeq(word, ",") {
			name, value, found := strings.Cut(field, "=")
			require.True(t, found, word)
			structure[name] = value
		}
		structures = append(structures, structure)
	}
	return structures
}

func deployPath(name string) string { return filepath.Join(root, "deploy", name) }
