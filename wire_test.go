package lddynamodb

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

const checksumHeader = "X-Amz-Crc32"

// corruptions has what may happen to the body of a successful response.
var corruptions = map[string]func([]byte) io.Reader{
	"empty":   func([]byte) io.Reader { return bytes.NewReader(nil) },
	"cut off": func(body []byte) io.Reader { return bytes.NewReader(body[:len(body)/2]) },
	"cut off, with less than the declared length": func(body []byte) io.Reader {
		return io.MultiReader(bytes.NewReader(body[:len(body)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
	},
	"blank":      func([]byte) io.Reader { return strings.NewReader(" \n") },
	"HTML":       func([]byte) io.Reader { return strings.NewReader("<html><body>Log in to this network</body></html>") },
	"JSON null":  func([]byte) io.Reader { return strings.NewReader("null") },
	"JSON array": func([]byte) io.Reader { return strings.NewReader("[]") },
	"JSON text":  func([]byte) io.Reader { return strings.NewReader(`"ok"`) },
	"twice":      func(body []byte) io.Reader { return strings.NewReader(string(body) + string(body)) },
	"garbled":    func(body []byte) io.Reader { return bytes.NewReader(bytes.ReplaceAll(body, []byte(`{`), []byte(`[`))) },
}

// corrupting makes an interceptor that has the requests of an action executed
// and, as long as more returns true, corrupts the responses.
func corrupting(action string, checksum bool, corrupt func([]byte) io.Reader, more func() bool) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		response, err := send()
		if err != nil || r.action != action || !more() {
			return response, err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, err
		}
		_ = response.Body.Close()
		if !checksum {
			response.Header.Del(checksumHeader)
		} else if response.Header.Get(checksumHeader) == "" {
			return nil, fmt.Errorf("no checksum with the response to %s", action)
		}
		response.Body = io.NopCloser(corrupt(body))
		return response, nil
	}
}

func always() bool { return true }

func once() func() bool {
	var first sync.Once
	return func() (isFirst bool) {
		first.Do(func() { isFirst = true })
		return isFirst
	}
}

// storeCalls makes the store do each of the actions of DynamoDB that it needs,
// once. They are for a table that holds version 7 of good, and write versions
// that it does not have.
var storeCalls = map[string]func(store ld.FeatureStore, version int) (result interface{}, err error){
	"GetItem": func(store ld.FeatureStore, _ int) (interface{}, error) { return store.Get(ld.Features, "good") },
	"Query":   func(store ld.FeatureStore, _ int) (interface{}, error) { return store.All(ld.Features) },
	"PutItem": func(store ld.FeatureStore, version int) (interface{}, error) {
		return nil, store.Upsert(ld.Features, flag("new", version))
	},
	"BatchWriteItem": func(store ld.FeatureStore, version int) (interface{}, error) {
		return nil, store.Init(allData(flag("good", 7), flag("new", version)))
	},
}

// A response that can't be right is an error or asked for again, but never taken
// for an empty one.
func TestCorruptedResponses(t *testing.T) {
	t.Parallel()
	for action := range storeCalls {
		for name, corrupt := range corruptions {
			for _, checksum := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %s, checksum %t", action, name, checksum), func(t *testing.T) {
					t.Parallel()
					f := newFixture(t)
					require.NoError(t, f.newStore().Init(allData(flag("good", 7))))
					f.checkCorruptedIsError(action, corrupting(action, checksum, corrupt, always))
					f.checkCorruptedIsRetried(action, corrupting(action, checksum, corrupt, once()))
				})
			}
		}
	}
}

func (f *fixture) checkCorruptedIsError(action string, corrupting interceptor) {
	store := f.newStore(ClientConfig(aws.NewConfig().WithMaxRetries(0)))
	f.transport.setInterceptor(corrupting)

	_, err := storeCalls[action](store, 1)

	require.ErrorContains(f.tb, err, action)
	assert.ErrorContains(f.tb, err, f.table)
	assert.NotContains(f.tb, err.Error(), "salt", "a part of a flag")
	assert.NotContains(f.tb, err.Error(), "\n")
}

func (f *fixture) checkCorruptedIsRetried(action string, corrupting interceptor) {
	store := f.newStore()
	f.transport.setInterceptor(corrupting)

	result, err := storeCalls[action](store, 2)

	require.NoError(f.tb, err)
	switch action {
	case "GetItem":
		assert.Equal(f.tb, flag("good", 7), result)
	case "Query":
		assert.Equal(f.tb, map[string]ld.VersionedData{"good": flag("good", 7)}, result)
	default:
		f.transport.setInterceptor(nil)
		items, err := f.newStore().All(ld.Features)
		require.NoError(f.tb, err)
		assert.Equal(f.tb, map[string]ld.VersionedData{"good": flag("good", 7), "new": flag("new", 2)}, items)
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
		"BatchWriteItem": {`{}`, `{"UnprocessedItems":null}`, `{"UnprocessedItems":[]}`, `{"UnprocessedItems":"none"}`},
	} {
		for _, body := range bodies {
			t.Run(action+" "+body, func(t *testing.T) {
				t.Parallel()
				f := f.sibling(t)
				store := f.newStore(ClientConfig(aws.NewConfig().WithMaxRetries(0)))
				f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
					if r.action == action {
						return answer(r, http.StatusOK, body), nil
					}
					return send()
				})

				_, err := storeCalls[action](store, 1)

				require.ErrorContains(t, err, "the response can't be used")
			})
		}
	}
}

func TestInitializedTakesNoCorruptedResponseForAnAnswer(t *testing.T) {
	t.Parallel()
	for name, corrupt := range corruptions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			require.NoError(t, f.newStore().Init(allData()))
			store := f.newStore()
			f.transport.setInterceptor(corrupting("GetItem", false, corrupt, once()))

			assert.True(t, store.Initialized())
			assert.Len(t, f.transport.recorded("GetItem"), 2+1, "two attempts, after the one of the store that ran Init")
		})
	}
}

// What comes with a wrong checksum must not be mixed into what the next attempt
// brings: a corrupted item would be written to the table as an unprocessed one.
func TestUnprocessedItemsOfACorruptedResponseAreForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore()
	isFirst := once()
	f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.action != "BatchWriteItem" || !isFirst() {
			return send()
		}
		response := answer(r, http.StatusOK, fmt.Sprintf(
			`{"UnprocessedItems":{%q:[{"PutRequest":{"Item":{"namespace":{"S":"features"},"key":{"S":"corrupted"}}}}]}}`, f.table))
		response.Header.Set(checksumHeader, "1")
		return response, nil
	})

	require.NoError(t, store.Init(allData(flag("good", 7))))

	assert.NotContains(t, f.rows(), "features/corrupted")
	assert.Contains(t, f.rows(), "features/good")
}

// keysOfAllSorts are keys that JSON has to escape, or doesn't.
var keysOfAllSorts = []string{
	"plain", "with space", `"quoted"`, `back\slash`, "/slash", "line\nbreak", "tab\t", "\x01", "<b>&amp;</b>",
	"schlüssel", "钥匙", "🔑", "\u2028", "$inited", "a:b", "%s", "\u0000", "\uFFFD", `\u0041`,
}

// The response decoder and the AWS SDK's own give the same items.
func TestClientsThatIgnoreOptionsReadTheSame(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	want := map[string]ld.VersionedData{}
	for i, key := range keysOfAllSorts {
		item := flagOfSize(key, i+1, 200_000) // several pages
		item.Sel = key
		want[key] = item
	}
	require.NoError(t, f.newStore().Init(map[ld.VersionedDataKind]map[string]ld.VersionedData{ld.Features: want, ld.Segments: {}}))

	for name, store := range map[string]ld.FeatureStore{
		"response decoder":  f.newStore(CacheTTL(0)),
		"optionless client": f.newStore(CacheTTL(0), DynamoClient(clientWithoutOptions{f.client})),
	} {
		items, err := store.All(ld.Features)
		require.NoError(t, err)
		assert.Equal(t, want, items, name)
		for _, key := range append([]string{"absent"}, keysOfAllSorts...) {
			item, err := store.Get(ld.Features, key)
			require.NoError(t, err)
			assert.Equal(t, want[key], item, "%s: %q", name, key)
		}
		assert.True(t, store.Initialized(), name)
	}
	assert.Greater(t, len(f.transport.recorded("Query")), 3, "Init's and All's queries have several pages")
	assert.Empty(t, f.log.ofStores("ERROR:"))
}

// An application may count capacity with handlers on its own client.
func TestHandlersOfTheClientSeeTheConsumedCapacity(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	consumed := map[string]float64{}
	client := f.newClient(f.transport)
	client.Handlers.Validate.PushFront(func(r *request.Request) {
		switch input := r.Params.(type) {
		case *dynamodb.GetItemInput:
			input.ReturnConsumedCapacity = aws.String(dynamodb.ReturnConsumedCapacityTotal)
		case *dynamodb.QueryInput:
			input.ReturnConsumedCapacity = aws.String(dynamodb.ReturnConsumedCapacityTotal)
		}
	})
	client.Handlers.Complete.PushBack(func(r *request.Request) {
		switch output := r.Data.(type) {
		case *dynamodb.GetItemOutput:
			consumed[r.Operation.Name] += *output.ConsumedCapacity.CapacityUnits
		case *dynamodb.QueryOutput:
			consumed[r.Operation.Name] += *output.ConsumedCapacity.CapacityUnits
		}
	})
	store := f.newStore(CacheTTL(0), DynamoClient(client))

	require.NoError(t, store.Upsert(ld.Features, flag("good", 7)))
	_, err := store.Get(ld.Features, "good")
	require.NoError(t, err)
	_, err = store.All(ld.Features)
	require.NoError(t, err)

	assert.Equal(t, map[string]float64{"GetItem": 1, "Query": 1}, consumed)
}
