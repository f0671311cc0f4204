package node_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

// Every store writes versions as numbers.
var (
	number = &dynamodb.AttributeValue{N: aws.String("1")}
	text   = &dynamodb.AttributeValue{S: aws.String("1")}
)

// No store writes such rows, but both read them alike: what can be evaluated is.
func TestMalformedRows(t *testing.T) {
	t.Parallel()
	const (
		unknown = "ERROR FLAG_NOT_FOUND"
		served  = "FALLTHROUGH <nil>"
	)
	for name, c := range map[string]struct {
		version *dynamodb.AttributeValue
		item    string
		want    string
	}{
		"JSON that breaks off": {number, `{"key": "f", "version": 1`, unknown},
		"no item":              {number, "", unknown},
		"another key":          {number, string(flag("g", 1, true)), served},
		"another version":      {number, string(flag("f", 2, true)), served},
		"version as a string":  {text, string(flag("f", 1, true)), served},
		"no version":           {nil, string(flag("f", 1, true)), served},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := fixture.NewTable(t)
			require.NoError(t, newStore(t, table).Init(v4Data(t, payloadOf(flag("sound", 1, true)))))
			putRaw(t, table, "f", c.version, c.item)
			reason := func(start starter) string {
				program := start(t, table, options{})
				require.Equal(t, true, evaluateOne(t, program, "sound").Value)
				reason := evaluateOne(t, program, "f").Reason
				return fmt.Sprint(reason["kind"], " ", reason["errorKind"])
			}
			assert.Equal(t, c.want, reason(startNode))
			assert.Equal(t, c.want, reason(startGo))
		})
	}
}

func TestAnUpdateOfAMalformedRow(t *testing.T) {
	t.Parallel()
	version := func(start starter) int {
		table, server := fixture.NewTable(t), fixture.NewServer(t, payloadOf(flag("f", 1, true)))
		start(t, table, options{server: server})
		putRaw(t, table, "f", text, string(flag("f", 1, true)))
		patch(t, server, "f", 2, false)
		patch(t, server, "marker", 1, true)
		awaitVersion(t, table, "marker", 1)
		return readFlag(t, table, "f").Version
	}
	assert.Zero(t, version(startNode)) // it has no number
	assert.Equal(t, 2, version(startGo))
}

// putRaw writes a flag's row that no store would write.
func putRaw(t *testing.T, table *localtable.Table, key string, version *dynamodb.AttributeValue, item string) {
	row := map[string]*dynamodb.AttributeValue{
		"namespace": {S: aws.String("features")},
		"key":       {S: aws.String(key)},
	}
	if version != nil {
		row["version"] = version
	}
	if item != "" {
		row["item"] = &dynamodb.AttributeValue{S: aws.String(item)}
	}
	client, err := localtable.Connect(table.Endpoint, nil)
	require.NoError(t, err)
	_, err = client.PutItem(&dynamodb.PutItemInput{TableName: aws.String(table.Name), Item: row})
	require.NoError(t, err)
}
