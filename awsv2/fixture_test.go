package awsv2_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	credentialsv2 "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	v1 "github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/awsv2"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// hangGuard ends tests that would wait for ever.
const hangGuard = 2 * time.Minute

func TestMain(m *testing.M) {
	dynamolocal.HideAWSSettings()
	http.DefaultTransport = countV1Requests{http.DefaultTransport}
	result := m.Run()
	if n := v1Requests.Load(); n > 0 {
		fmt.Printf("FAIL: the AWS SDK v1 made %d requests\n", n)
		result = 1
	}
	os.Exit(result)
}

// newV1 makes a client of the AWS SDK v1 that does not wait between attempts.
func newV1(t testing.TB, endpoint string, attempts int) *v1.DynamoDB {
	t.Helper()
	awsSession, err := session.NewSession(aws.NewConfig().WithEndpoint(endpoint).WithRegion("us-east-1").
		WithCredentials(credentials.NewStaticCredentials("id", "secret", "")).WithHTTPClient(newHTTPClient(t)))
	require.NoError(t, err)
	return v1.New(awsSession, aws.NewConfig().WithMaxRetries(attempts-1).WithSleepDelay(func(time.Duration) {}))
}

// newV2 makes a client of the AWS SDK v2 that does not wait between attempts.
func newV2(t testing.TB, endpoint string, attempts int, options ...func(*dynamodb.Options)) *dynamodb.Client {
	t.Helper()
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1", HTTPClient: newHTTPClient(t),
		Credentials: credentialsv2.NewStaticCredentialsProvider("id", "secret", ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	}, options...)
}

func newHTTPClient(t testing.TB) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// clients makes a client of each AWS SDK.
func clients(t testing.TB, endpoint string, attempts int) map[string]dynamodbiface.DynamoDBAPI {
	t.Helper()
	return map[string]dynamodbiface.DynamoDBAPI{
		"v1": newV1(t, endpoint, attempts),
		"v2": awsv2.New(newV2(t, endpoint, attempts)),
	}
}

// calls has the four operations, with the smallest input that the AWS SDK v1 takes.
var calls = map[string]func(ctx aws.Context, client dynamodbiface.DynamoDBAPI) (output any, err error){
	"GetItem": func(ctx aws.Context, c dynamodbiface.DynamoDBAPI) (any, error) {
		return c.GetItemWithContext(ctx, &v1.GetItemInput{TableName: aws.String("table"), Key: item("k")})
	},
	"Query": func(ctx aws.Context, c dynamodbiface.DynamoDBAPI) (any, error) {
		return c.QueryWithContext(ctx, &v1.QueryInput{TableName: aws.String("table")})
	},
	"PutItem": func(ctx aws.Context, c dynamodbiface.DynamoDBAPI) (any, error) {
		return c.PutItemWithContext(ctx, &v1.PutItemInput{TableName: aws.String("table"), Item: item("k")})
	},
	"BatchWriteItem": func(ctx aws.Context, c dynamodbiface.DynamoDBAPI) (any, error) {
		return c.BatchWriteItemWithContext(ctx, &v1.BatchWriteItemInput{RequestItems: map[string][]*v1.WriteRequest{
			"table": {{PutRequest: &v1.PutRequest{Item: item("k")}}},
		}})
	},
}

type attributes = map[string]*v1.AttributeValue

func item(key string) attributes {
	return attributes{"namespace": {S: aws.String("features")}, "key": {S: aws.String(key)}}
}

func actionOf(r *http.Request) string {
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return action
}

// A server answers in DynamoDB's place, or passes requests on to DynamoDB Local.
type server struct {
	*httptest.Server
	table string

	mu       sync.Mutex
	handler  http.HandlerFunc // nil passes on
	requests []*http.Request
	bodies   []string
}

// serve starts a server until the test ends.
func serve(t testing.TB, handler http.HandlerFunc) *server {
	t.Helper()
	s := &server{handler: handler}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// serveTable starts a server that passes requests on, and makes a table.
func serveTable(t testing.TB) *server {
	t.Helper()
	s := serve(t, nil)
	s.table = "awsv2-" + rand.Text()
	_, err := newV1(t, localEndpoint(t), 1).CreateTable(&v1.CreateTableInput{
		TableName:   &s.table,
		BillingMode: aws.String(v1.BillingModePayPerRequest),
		AttributeDefinitions: []*v1.AttributeDefinition{
			{AttributeName: aws.String("namespace"), AttributeType: aws.String("S")},
			{AttributeName: aws.String("key"), AttributeType: aws.String("S")},
		},
		KeySchema: []*v1.KeySchemaElement{
			{AttributeName: aws.String("namespace"), KeyType: aws.String("HASH")},
			{AttributeName: aws.String("key"), KeyType: aws.String("RANGE")},
		},
	})
	require.NoError(t, err)
	return s
}

func localEndpoint(t testing.TB) string {
	t.Helper()
	endpoint, err := dynamolocal.Endpoint()
	require.NoError(t, err)
	return endpoint
}

func (s *server) handle(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
	handler := s.handler
	s.mu.Unlock()
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if handler == nil {
		passOn(w, r)
		return
	}
	handler(w, r)
}

// local is how servers reach DynamoDB Local.
var local = &http.Transport{MaxIdleConnsPerHost: 100}

// passOn has DynamoDB Local answer.
func passOn(w http.ResponseWriter, r *http.Request) {
	endpoint, err := dynamolocal.Endpoint()
	if err != nil {
		panic(err)
	}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, endpoint, r.Body)
	if err != nil {
		panic(err)
	}
	request.Header = r.Header.Clone()
	response, err := local.RoundTrip(request)
	if err != nil {
		return // the client has gone
	}
	defer response.Body.Close()
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, response.Body)
}

// recorded returns the requests so far of an action, and their bodies.
func (s *server) recorded(action string) (requests []*http.Request, bodies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.requests {
		if actionOf(r) == action {
			requests, bodies = append(requests, r), append(bodies, s.bodies[i])
		}
	}
	return requests, bodies
}

const requestID = "4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG"

// answer answers every request alike.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Header().Set("X-Amzn-Requestid", requestID)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// answerError answers as DynamoDB does.
func answerError(status int, code, message string) http.HandlerFunc {
	return answer(status, fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":%q}`, code, message))
}

// open makes a store.
func open(t testing.TB, table string, client dynamodbiface.DynamoDBAPI, log *storeLog, options ...lddynamodb.FeatureStoreOption) ld.FeatureStore {
	t.Helper()
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory(table,
		append(options, lddynamodb.DynamoClient(client), lddynamodb.Logger(log))...)
	require.NoError(t, err)
	store, err := factory(ld.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.(io.Closer).Close() })
	return store
}

// A storeLog keeps what a store logs.
type storeLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *storeLog) Println(values ...interface{}) { l.add(fmt.Sprintln(values...)) }
func (l *storeLog) Printf(format string, values ...interface{}) {
	l.add(fmt.Sprintf(format, values...))
}

func (l *storeLog) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(line))
}

// with returns the lines that have a text.
func (l *storeLog) with(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func flag(i, version int) *ld.FeatureFlag {
	return &ld.FeatureFlag{Key: fmt.Sprintf("flag-%04d", i), Version: version, On: true,
		Variations: []interface{}{true, strings.Repeat("é\"x", 300)}}
}

func flags(n, version int) map[ld.VersionedDataKind]map[string]ld.VersionedData {
	features := make(map[string]ld.VersionedData, n)
	for i := range n {
		features[flag(i, version).Key] = flag(i, version)
	}
	return map[ld.VersionedDataKind]map[string]ld.VersionedData{ld.Features: features, ld.Segments: {}}
}
