package lddynamodb

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A response that can't be right is an error or asked for again, but never taken for an empty one.
func TestCorruptedResponses(t *testing.T) {
	t.Parallel()
	for action, call := range callOf {
		for name, corrupt := range corruptions {
			for _, checksum := range []bool{true, false} {
				runWithTable(t, fmt.Sprintf("%s, %s, checksum %t", action, name, checksum), func(t *testing.T, f *fixture) {
					require.NoError(t, f.newStore().Init(allData(flag("any", 7))))
					store := f.newStore(ClientConfig(aws.NewConfig().WithMaxRetries(0)))
					f.transport.setInterceptor(corrupting(action, checksum, corrupt, 100))
					_, err := call(store, flag("any", 8))
					require.ErrorContains(t, err, action)
					require.ErrorContains(t, err, f.table)
					require.NotContains(t, err.Error(), "salt", "a part of a flag")
					require.NotContains(t, err.Error(), "\n")
					_ = store.(io.Closer).Close()
					require.NoError(t, f.newStore(DynamoClient(f.client)).Init(allData(flag("any", 7))))
					f.transport.reset()
					f.transport.setInterceptor(corrupting(action, checksum, corrupt, 1))
					result, err := call(f.newStore(), flag("any", 9))
					require.NoError(t, err)
					assert.Len(t, f.transport.recorded(action), 2, "attempts")
					switch action {
					case getItem:
						assert.Equal(t, flag("any", 7), result)
					case query:
						assert.Equal(t, map[string]ld.VersionedData{"any": flag("any", 7)}, result)
					default:
						f.requireHolds([]ld.VersionedData{flag("any", 9)})
					}
				})
			}
		}
	}
}

// DynamoDB's responses always have these parts. A response without them is none of its own, and no empty result.
func TestResponsesOfTheWrongShapeAreErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.newStore().Init(allData(flag("good", 7))))
	for action, bodies := range map[string][]string{
		"GetItem": {`null`, `[]`, `"ok"`, `{"Item":null}`, `{"Item":[]}`, `{"Item":5}`, `{"Item":"good"}`},
		"Query": {
			`null`, `[]`, `"ok"`, `{}`, `{"Count":0}`, `{"Items":null}`, `{"Items":{}}`, `{"Items":5}`, `{"Items":[null]}`, `{"Items":[5]}`,
			`{"Items":[],"LastEvaluatedKey":null}`, `{"Items":[],"LastEvaluatedKey":"good"}`,
		},
		"PutItem":        {`null`, `[]`, `"ok"`, `5`},
		"BatchWriteItem": {`null`, `[]`, `"ok"`, `{"UnprocessedItems":[]}`, `{"UnprocessedItems":"none"}`},
	} {
		for _, body := range bodies {
			t.Run(action+" "+body, func(t *testing.T) {
				t.Parallel()
				f := f.sibling(t)
				f.transport.setInterceptor(failing(withBody(body), action))
				_, err := callOf[action](f.newStore(), flag("good", 8))
				require.ErrorContains(t, err, "the response can't be used")
				require.ErrorContains(t, err, "something other than DynamoDB answered, HTTP 200")
			})
		}
	}
}

// An application's handlers may count capacity, and change the body in front of the AWS SDK's, here one that a proxy
// has compressed.
func TestHandlersOfTheClientGoOnWorking(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.transport.setInterceptor(func(_ *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		response, err := send()
		if err != nil {
			return nil, err
		}
		defer func() { _ = response.Body.Close() }()
		var compressed bytes.Buffer
		writer := gzip.NewWriter(&compressed)
		_, err = io.Copy(writer, response.Body)
		response.Body = io.NopCloser(&compressed)
		return response, errors.Join(err, writer.Close())
	})
	client := f.newClient(f.transport)
	gunzip := func(r *request.Request) { r.HTTPResponse.Body, r.Error = gzip.NewReader(r.HTTPResponse.Body) }
	client.Handlers.Unmarshal.PushFront(gunzip)
	client.Handlers.UnmarshalError.PushFront(gunzip)
	client.Handlers.Validate.PushFront(func(r *request.Request) {
		total := reflect.ValueOf(aws.String(dynamodb.ReturnConsumedCapacityTotal))
		reflect.ValueOf(r.Params).Elem().FieldByName("ReturnConsumedCapacity").Set(total)
	})
	var mu sync.Mutex
	consumed := map[string]bool{}
	client.Handlers.Complete.PushBack(func(r *request.Request) {
		mu.Lock()
		defer mu.Unlock()
		consumed[r.Operation.Name] = strings.Contains(fmt.Sprint(r.Data), "CapacityUnits: ")
	})
	store := f.newStore(CacheTTL(0), DynamoClient(client))
	require.NoError(t, store.Init(allData(flag("good", 6))))
	require.NoError(t, store.Upsert(ld.Features, flag("good", 7)))
	assertGet(t, store, ld.Features, "good", flag("good", 7))
	assertAll(t, store, ld.Features, flag("good", 7))
	assert.True(t, store.Initialized())
	assert.Equal(t, map[string]bool{"GetItem": true, "Query": true, "PutItem": true, "BatchWriteItem": true}, consumed)
}

// No response makes the reader panic, and of those that DynamoDB can make it reads the same rows as the AWS SDK.
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
	client := dynamodb.New(session.Must(session.NewSession(aws.NewConfig().WithRegion("us-east-1"))))
	f.Fuzz(func(t *testing.T, body []byte, isQuery bool) {
		_, _ = decodeResponse(client, body, isQuery, new(response))
		decoded, err := decodeResponse(client, body, isQuery, nil)
		if err != nil {
			return
		}
		// As DynamoDB answers, all values have the right types.
		valid, want, next := map[string]any{}, []row{}, ""
		switch output := decoded.(type) {
		case *dynamodb.GetItemOutput:
			if output.Item != nil {
				valid["Item"], want = output.Item, append(want, rowOfAttributes(output.Item))
			}
		case *dynamodb.QueryOutput:
			items := slices.DeleteFunc(append([]rawItem{}, output.Items...), func(item rawItem) bool { return item == nil })
			valid["Items"] = items
			for _, item := range items {
				want = append(want, rowOfAttributes(item))
			}
			if next = rowOfAttributes(output.LastEvaluatedKey).key; next != "" {
				valid["LastEvaluatedKey"] = output.LastEvaluatedKey
			}
		}
		body, err = json.Marshal(valid)
		require.NoError(t, err)
		var got response
		_, err = decodeResponse(client, body, isQuery, &got)
		require.NoError(t, err)
		assert.Equal(t, want, got.rows)
		assert.Equal(t, next, got.next)
	})
}

// decodeResponse has the client decode a body, without a request: into a response, or without one as the AWS SDK does.
func decodeResponse(client *dynamodb.DynamoDB, body []byte, isQuery bool, into *response) (interface{}, error) {
	r, _ := client.GetItemRequest(&dynamodb.GetItemInput{})
	if isQuery {
		r, _ = client.QueryRequest(&dynamodb.QueryInput{})
	}
	if into != nil {
		r.Handlers.Unmarshal.Swap("awssdk.jsonrpc.Unmarshal", request.NamedHandler{Name: "awssdk.jsonrpc.Unmarshal", Fn: into.unmarshal})
	}
	r.HTTPResponse = &http.Response{
		StatusCode: http.StatusOK, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
	r.Handlers.Unmarshal.Run(r)
	return r.Data, r.Error
}
