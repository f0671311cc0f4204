package lddynamodb

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// No response makes the reader panic, and of those that DynamoDB can make it
// reads the same rows as the AWS SDK.
func FuzzReadRows(f *testing.F) {
	for _, body := range []string{
		`{}`,
		`{"Item":{"namespace":{"S":"features"},"key":{"S":"a"},"version":{"N":"1"},"item":{"S":"{\"key\":\"a\"}"}}}`,
		`{"Item":{"key":{"S":"\u00e9\ud83d\udd11\\\/\"\n"},"version":{"S":"1"},"item":{"B":"AAAA"}}}`,
		`{"Item":{"key":{"NULL":true},"item":{"L":[{"M":{"item":{"S":"x"}}}]}},"ConsumedCapacity":{"CapacityUnits":0.5}}`,
		`{"Items":[],"Count":0,"ScannedCount":0}`,
		`{"Items":[{"key":{"S":"a"},"version":{"N":"1"},"item":{"S":"{}"}},{"key":{"S":"b"}}],` +
			`"LastEvaluatedKey":{"namespace":{"S":"features"},"key":{"S":"b"}}}`,
	} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	client := newOfflineClient()
	f.Fuzz(func(t *testing.T, body []byte, isQuery bool) {
		_, _ = decodeResponse(client, body, isQuery, new(response))

		decoded, err := decodeResponse(client, body, isQuery, nil)
		if err == nil {
			assertReadsAsTheSDK(t, client, asDynamoDBAnswers(t, decoded), isQuery)
		}
	})
}

func newOfflineClient() *dynamodb.DynamoDB {
	return dynamodb.New(session.Must(session.NewSession(aws.NewConfig().WithRegion("us-east-1"))))
}

// decodeResponse has the client decode a body, without a request: into a response, or
// without one as the AWS SDK does.
func decodeResponse(client *dynamodb.DynamoDB, body []byte, isQuery bool, into *response) (interface{}, error) {
	r, _ := client.GetItemRequest(&dynamodb.GetItemInput{})
	if isQuery {
		r, _ = client.QueryRequest(&dynamodb.QueryInput{})
	}
	if into != nil {
		r.Handlers.Unmarshal.Swap(sdkUnmarshalHandler, request.NamedHandler{Name: sdkUnmarshalHandler, Fn: into.unmarshal})
	}
	r.HTTPResponse = &http.Response{
		StatusCode: http.StatusOK, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
	r.Handlers.Unmarshal.Run(r)
	return r.Data, r.Error
}

// asDynamoDBAnswers makes a response of which all values have the right types.
func asDynamoDBAnswers(t *testing.T, output interface{}) []byte {
	response := map[string]interface{}{}
	switch output := output.(type) {
	case *dynamodb.GetItemOutput:
		if output.Item != nil {
			response["Item"] = output.Item
		}
	case *dynamodb.QueryOutput:
		items := []rawItem{}
		for _, item := range output.Items {
			if item != nil {
				items = append(items, item)
			}
		}
		response["Items"] = items
		if output.LastEvaluatedKey != nil {
			response["LastEvaluatedKey"] = output.LastEvaluatedKey
		}
	}
	body, err := json.Marshal(response)
	require.NoError(t, err)
	return body
}

// assertReadsAsTheSDK returns the rows.
func assertReadsAsTheSDK(t *testing.T, client *dynamodb.DynamoDB, body []byte, isQuery bool) []row {
	bySDK, err := decodeResponse(client, body, isQuery, nil)
	require.NoError(t, err)
	var reader response
	_, err = decodeResponse(client, body, isQuery, &reader)
	require.NoError(t, err)

	want := []row{}
	var next *rowKey
	switch output := bySDK.(type) {
	case *dynamodb.GetItemOutput:
		if output.Item != nil {
			want = append(want, rowOfAttributes(output.Item))
		}
	case *dynamodb.QueryOutput:
		for _, item := range output.Items {
			want = append(want, rowOfAttributes(item))
		}
		if output.LastEvaluatedKey != nil {
			last := rowOfAttributes(output.LastEvaluatedKey)
			next = &last.rowKey
		}
	}
	assert.True(t, reader.decoded)
	assert.Equal(t, want, reader.rows)
	assert.Equal(t, next, reader.next)
	return reader.rows
}
