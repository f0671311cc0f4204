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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// corruptible has a call for each of the actions of DynamoDB, and what it returns
// where the table holds version 7 of the flag "good".
var corruptible = map[string]struct {
	action string
	want   interface{}
}{
	"Get":         {"GetItem", flag("good", 7)},
	"All":         {"Query", map[string]ld.VersionedData{"good": flag("good", 7)}},
	"Upsert":      {"PutItem", nil},
	"Init":        {"BatchWriteItem", nil},
	"Initialized": {"GetItem", true},
}

// A response that can't be right is an error or asked for again, but never taken
// for an empty one.
func TestCorruptedResponses(t *testing.T) {
	t.Parallel()
	for method := range corruptible {
		for name, corrupt := range corruptions {
			for _, checksum := range []bool{true, false} {
				runWithTable(t, fmt.Sprintf("%s, %s, checksum %t", method, name, checksum), func(t *testing.T, f *fixture) {
					require.NoError(t, f.newStore().Init(allData(flag("good", 7))))
					action := corruptible[method].action
					f.checkCorruptedIsError(method, corrupting(action, checksum, corrupt, always))
					f.checkCorruptedIsRetried(method, corrupting(action, checksum, corrupt, once()))
				})
			}
		}
	}
}

func (f *fixture) checkCorruptedIsError(method string, corrupting interceptor) {
	store := f.newStore(ClientConfig(aws.NewConfig().WithMaxRetries(0)))
	f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if method == "Upsert" { // else its second attempt would find that the first has stored it
			f.deleteRow(rowKey{"features", "good"})
		}
		return corrupting(r, send)
	})

	_, err := calls[method](store, flag("good", 8))

	require.Error(f.tb, err)
	time.Sleep(time.Second)
	_ = store.(io.Closer).Close()
	told := f.log.ofStores("WARN:", f.table, corruptible[method].action)
	if method == "Init" {
		require.Empty(f.tb, told, "what it could not write is written by other requests")
	} else {
		require.Len(f.tb, told, 1)
	}
	if method != "Initialized" { // which tells the log alone
		require.ErrorContains(f.tb, err, corruptible[method].action)
		require.ErrorContains(f.tb, err, f.table)
		told = append(told, err.Error())
	}
	for _, text := range told {
		assert.NotContains(f.tb, text, "salt", "a part of a flag")
		assert.NotContains(f.tb, text, "\n")
	}
}

func (f *fixture) checkCorruptedIsRetried(method string, corrupting interceptor) {
	store := f.newStore()
	f.transport.setInterceptor(corrupting)
	f.transport.reset()

	result, err := calls[method](store, flag("good", 9))

	require.NoError(f.tb, err)
	assert.Equal(f.tb, corruptible[method].want, result)
	assert.Len(f.tb, f.transport.recorded(corruptible[method].action), 2, "attempts")
	f.transport.setInterceptor(nil)
	if method == "Upsert" || method == "Init" {
		assertAll(f.tb, f.newStore(), ld.Features, flag("good", 9))
	} else {
		assertAll(f.tb, f.newStore(), ld.Features, flag("good", 7))
	}
}

// DynamoDB's responses always have these parts. A response without them is none
// of its own, and no empty result.
func TestResponsesOfTheWrongShapeAreErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.newStore().Init(allData(flag("good", 7))))
	for action, bodies := range map[string][]string{
		"GetItem": {`{"Item":null}`, `{"Item":[]}`, `{"Item":5}`, `{"Item":"good"}`},
		"Query": {
			`{}`, `{"Count":0}`, `{"Items":null}`, `{"Items":{}}`, `{"Items":5}`, `{"Items":[null]}`, `{"Items":[5]}`,
			`{"Items":[],"LastEvaluatedKey":null}`, `{"Items":[],"LastEvaluatedKey":"good"}`,
		},
		"PutItem":        {`null`, `5`},
		"BatchWriteItem": {`null`, `[]`, `{"UnprocessedItems":[]}`, `{"UnprocessedItems":"none"}`},
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

// An application's handlers may count capacity, and change the body in front of the AWS
// SDK's, here one that a proxy has compressed.
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
