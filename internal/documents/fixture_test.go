package documents

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// root is the folder of the repository.
const root = "../.."

func TestMain(m *testing.M) {
	os.Exit(dynamolocal.RunTests(m))
}

// createTable creates a table with the schema of a document, under another name.
// The rest of the input is for AWS, and DynamoDB Local has no part in it.
func createTable(t *testing.T, input *dynamodb.CreateTableInput) (name string) {
	t.Helper()
	name = fmt.Sprintf("documents-%016x", rand.Uint64())
	_, err := newClient(t, http.DefaultTransport).CreateTable(&dynamodb.CreateTableInput{
		TableName:            aws.String(name),
		BillingMode:          input.BillingMode,
		AttributeDefinitions: input.AttributeDefinitions,
		KeySchema:            input.KeySchema,
	})
	require.NoError(t, err)
	return name
}

func newClient(t *testing.T, transport http.RoundTripper) *dynamodb.DynamoDB {
	t.Helper()
	endpoint, err := dynamolocal.Endpoint()
	require.NoError(t, err)
	awsSession, err := session.NewSession(aws.NewConfig().
		WithEndpoint(endpoint).
		WithRegion("us-east-1").
		WithCredentials(credentials.NewStaticCredentials("id", "secret", "")).
		WithMaxRetries(0).
		WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	return dynamodb.New(awsSession)
}

// newStore makes a store that logs nothing and is closed at the end of the test.
func newStore(t *testing.T, table string, options ...lddynamodb.FeatureStoreOption) ld.FeatureStore {
	t.Helper()
	options = append(options, lddynamodb.Logger(log.New(io.Discard, "", 0)))
	store, err := lddynamodb.NewDynamoDBFeatureStore(table, options...) // which reports what is refused
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.(io.Closer).Close() })
	return store
}

// write does what a process does that is connected to LaunchDarkly. It returns
// the first error.
func write(store ld.FeatureStore) error {
	data := ld.MakeAllVersionedDataMap(
		map[string]*ld.FeatureFlag{"a": {Key: "a", Version: 1}, "obsolete": {Key: "obsolete", Version: 1}},
		map[string]*ld.Segment{"a": {Key: "a", Version: 1}})
	if err := store.Init(data); err != nil {
		return err
	}
	for _, version := range []int{3, 2} { // the second is older than the table's
		if err := store.Upsert(ld.Features, &ld.FeatureFlag{Key: "a", Version: version}); err != nil {
			return err
		}
	}
	if err := store.Delete(ld.Segments, "a", 2); err != nil {
		return err
	}
	delete(data[ld.Features], "obsolete")
	return store.Init(data)
}

// read does what a process does in daemon mode, and returns the first error.
func read(store ld.FeatureStore) error {
	store.Initialized()
	for _, kind := range ld.VersionedDataKinds {
		if _, err := store.All(kind); err != nil {
			return err
		}
		for _, key := range []string{"a", "absent"} {
			if _, err := store.Get(kind, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// A gate is a transport that lets requests through to DynamoDB Local or answers
// them itself. It remembers the actions that it was asked for.
type gate struct {
	// answer returns nil to let a request through.
	answer func(action string, body []byte) *http.Response

	mu      sync.Mutex
	actions map[string]bool
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_ = r.Body.Close()
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	g.mu.Lock()
	if g.actions == nil {
		g.actions = make(map[string]bool)
	}
	g.actions["dynamodb:"+action] = true
	g.mu.Unlock()
	if response := g.answer(action, body); response != nil {
		response.Request = r
		return response, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

// refusal is the response with which DynamoDB refuses a request.
func refusal(code, message string) *http.Response {
	body := fmt.Sprintf(`{"__type": "com.amazonaws.dynamodb.v20120810#%s", "message": %q}`, code, message)
	return &http.Response{
		StatusCode:    http.StatusBadRequest,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}
