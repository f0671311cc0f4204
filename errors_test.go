package lddynamodb

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

func TestErrorsTellTheTableTheCauseAndTheRemedy(t *testing.T) {
	t.Parallel()
	for name, refused := range refusals {
		for action, call := range storeCalls {
			runInFakeTime(t, name+", "+action, func(t *testing.T, f *fixture) {
				store := f.newStore()
				f.transport.setInterceptor(failing(refused.answer, action))

				_, err := call(store, 1)

				assertTells(t, err, action, f.table, refused.code, refused.remedy)
				if name == "access denied" {
					assert.ErrorContains(t, err, "perform: dynamodb:"+action+" on resource")
				}
			})
		}
	}
}

// assertTells checks that an error wraps the AWS error with a code, and tells
// what it should in one line without credentials.
func assertTells(t *testing.T, err error, texts ...string) {
	t.Helper()
	var failure awserr.Error
	require.ErrorAs(t, err, &failure)
	assert.Contains(t, texts, failure.Code())
	for _, text := range texts {
		assert.ErrorContains(t, err, text)
	}
	assert.NotContains(t, err.Error(), "\n")
	assert.NotContains(t, err.Error(), "session-token")
}

// These never get as far as to DynamoDB.
func TestErrorsOfTheAWSSettingsTellTheRemedy(t *testing.T) {
	t.Parallel()
	endpoint, err := dynamolocal.Endpoint()
	require.NoError(t, err)
	for name, test := range map[string]struct {
		config       *aws.Config
		code, remedy string
	}{
		"no credentials": {aws.NewConfig().WithEndpoint(endpoint).WithRegion("us-east-1"),
			"NoCredentialProviders", "no AWS credentials were found"},
		"empty credentials": {aws.NewConfig().WithEndpoint(endpoint).WithRegion("us-east-1").
			WithCredentials(credentials.NewStaticCredentials("", "", "")),
			"EmptyStaticCreds", "no AWS credentials were found"},
		"no region": {aws.NewConfig().WithCredentials(credentials.NewStaticCredentials("id", "secret", "")),
			"MissingRegion", "no AWS region is set"},
	} {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			awsSession, err := session.NewSession(test.config)
			require.NoError(t, err)
			client := DynamoClient(dynamodb.New(awsSession))

			for action, call := range storeCalls {
				f := f.sibling(t)
				_, err := call(f.newStore(client), 1)
				assertTells(t, err, f.table, test.code, test.remedy)
				if action != "BatchWriteItem" { // Init fails when it compares
					assert.ErrorContains(t, err, action)
				}
				time.Sleep(time.Second)
				assert.Len(t, f.log.ofStores(test.remedy), 1)
			}
			assert.False(t, f.newStore(client).Initialized())
		})
	}
}

func TestTablesWithOtherKeySchemas(t *testing.T) {
	t.Parallel()
	type actions = []string
	for schema, succeeds := range map[string]actions{
		"id:S":              {},
		"namespace:S":       {"Query", "PutItem"},
		"key:S":             {"PutItem"},
		"namespace:S id:S":  {"Query"},
		"Namespace:S Key:S": {},
		"key:S namespace:S": {"GetItem", "PutItem", "BatchWriteItem"},
		"namespace:N key:S": {},
		"namespace:S key:N": {"Query"},
		"namespace:B key:B": {},
	} {
		runWithTable(t, schema, func(t *testing.T, f *fixture) {
			f.table += "-other"
			f.createTable(strings.Fields(schema)...)
			store := f.newStore()

			err := store.Init(allData(flag("a", 1), flag("b", 1)))

			const remedy = `the table seems to have another key schema; it needs the partition key "namespace" and the sort key "key"`
			assertTells(t, err, f.table, "ValidationException", remedy)
			assert.False(t, f.newStore().Initialized())
			output, err := f.client.Scan(&dynamodb.ScanInput{TableName: aws.String(f.table)})
			require.NoError(t, err)
			assert.Empty(t, output.Items, "Init has written nothing")
			time.Sleep(time.Second)
			assert.NotEmpty(t, f.log.ofStores("WARN:", remedy))

			for action, err := range f.tryEachAction() {
				if slices.Contains(succeeds, action) {
					assert.NoError(t, err, action) // DynamoDB can't tell
				} else {
					assertTells(t, err, action, f.table, "ValidationException", remedy)
				}
			}
		})
	}
}

// tryEachAction makes requests that Init would only make later.
func (f *fixture) tryEachAction() map[string]error {
	t := &table{client: f.client, name: f.table}
	ctx := f.tb.Context()
	key := rowKey{"features", "a"}
	r, err := encodeRow(key.namespace, flag(key.key, 1))
	require.NoError(f.tb, err)
	errs := map[string]error{}
	_, errs["GetItem"] = t.get(ctx, key, true)
	_, errs["Query"] = t.query(ctx, key.namespace, true, nil, 0)
	_, errs["PutItem"] = t.putIfNewer(ctx, r)
	_, errs["BatchWriteItem"] = t.batchWrite(ctx, key.namespace, writeRequests([]row{r, {rowKey: rowKey{"features", "b"}}}))
	return errs
}

// The service words what it does not like about a request's keys in many ways.
func TestRemedyForKeySchemas(t *testing.T) {
	t.Parallel()
	const remedyText = "another key schema"
	for message, isKeySchema := range map[string]bool{
		"The provided key element does not match the schema":                                                     true,
		"The number of conditions on the keys is invalid":                                                        true,
		"Query condition missed key schema element: namespace":                                                   true,
		"Query key condition not supported":                                                                      true,
		"One or more parameter values were invalid: Condition parameter type does not match schema type":         true,
		"One or more parameter values were invalid: Missing the key id in the item":                              true,
		"One or more parameter values were invalid: Type mismatch for key namespace expected: N actual: S":       true,
		"The table does not have the specified index":                                                            true,
		"Item size has exceeded the maximum allowed size":                                                        false,
		"ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value": false,
		"Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: item":              false,
	} {
		told := remedy(awserr.New("ValidationException", message, nil))
		assert.Equal(t, isKeySchema, strings.Contains(told, remedyText), message)
	}
}
