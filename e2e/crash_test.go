package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/payload"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// The SDK tells its stream of changes of the store's status through a channel with
// room for ten, from goroutines that wait where it is full, and Close closes it. So
// where nobody reads it, ten changes and a Close crash the application, in a
// goroutine where no test can recover. Each of these tests is a process of its own.

// childVariable is set in such a process.
const childVariable = "LDDYNAMODB_E2E_CHILD"

// inChild runs a scenario in a process of its own, which must not crash.
func inChild(t *testing.T, scenario func(*testing.T)) {
	if os.Getenv(childVariable) != "" {
		scenario(t)
		return
	}
	t.Parallel()
	endpoint, err := dynamolocal.Endpoint()
	require.NoError(t, err)
	command := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), childVariable+"=1", dynamolocal.EndpointVariable+"="+endpoint,
		"GORACE=report_bugs=0") // how the SDK closes the channel is a data race anyway
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// The stream is busy with an Init that DynamoDB throttles, while reads of flags are
// denied and others work.
func TestCloseDuringAThrottledInit(t *testing.T) {
	inChild(t, func(t *testing.T) {
		testThrottledInit(t, &throttlingNetwork{denied: "features"}, "site-offline")
	})
}

// The same, with a row in the table that holds no flag.
func TestCloseDuringAThrottledInitWithAMalformedRow(t *testing.T) {
	inChild(t, func(t *testing.T) { testThrottledInit(t, &throttlingNetwork{}, malformed) })
}

// malformed is the key of a row that no store has written.
const malformed = "malformed"

func testThrottledInit(t *testing.T, network *throttlingNetwork, failing string) {
	w := newWorld(t)
	client := w.startUncached(t, network)
	putMalformed(t, w.table)
	require.Equal(t, "OFF", one(t, client, "site-offline", "alice").Reason.String())

	network.throttles.Store(true)
	_, err := w.server.Update("/flags/welcome-message", func(flag map[string]any) { flag["on"] = false })
	require.NoError(t, err)
	require.NoError(t, w.server.Replace(w.server.Payload()))
	require.Eventually(t, network.hasThrottled.Load, patience, pause)
	for end := time.Now().Add(throttledFor); time.Now().Before(end); time.Sleep(pause) {
		one(t, client, failing, "alice")
	}
	closeAndWatch(t, client)
}

// LaunchDarkly refuses the stream, so that nobody ever reads the channel.
func TestCloseAfterOutagesBehindARefusedStream(t *testing.T) {
	inChild(t, func(t *testing.T) {
		w := newWorld(t)
		require.NoError(t, seed(w.table, payload.JSON(), nil))
		w.server.RefuseStreams(http.StatusUnauthorized)
		network := newNetwork()
		var store *utils.FeatureStoreWrapper
		factory := func(config ld.Config) (ld.FeatureStore, error) {
			made, err := w.factory(t, network, lddynamodb.CacheTTL(0))(config)
			store = made.(*utils.FeatureStoreWrapper)
			return made, err
		}
		client, err := ld.MakeCustomClient("sdk-test", ldconfig.Streaming(w.server.URL(), factory, nil), patience)
		require.ErrorIs(t, err, ld.ErrInitializationFailed)
		awaitReason(t, client, "OFF")

		for range 7 {
			network.setDown(true)
			awaitReason(t, client, "ERROR(EXCEPTION)")
			network.setDown(false)
			awaitReason(t, client, "OFF")
			for end := time.Now().Add(longestPause); time.Now().Before(end) && !store.GetStoreStatus().Available; {
				time.Sleep(pause)
			}
		}
		closeAndWatch(t, client)
	})
}

const (
	// longestPause is what a store may let pass between two changes of its status,
	// so that there are not too many. It may also let none follow.
	longestPause = time.Second
	// throttledFor is long enough for ten changes with pauses that become longer.
	throttledFor = 25 * time.Second
)

func awaitReason(t *testing.T, client *ld.LDClient, reason string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return one(t, client, "site-offline", "alice").Reason.String() == reason
	}, patience, pause)
}

// closeAndWatch closes a client and gives the SDK's goroutines the time to crash.
func closeAndWatch(t *testing.T, client *ld.LDClient) {
	require.NoError(t, client.Close())
	time.Sleep(time.Second)
}

// startUncached starts a streaming client that reads the table for every
// evaluation. Its requests may take longer than the test.
func (w *world) startUncached(t *testing.T, network http.RoundTripper) *ld.LDClient {
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory(w.table.Name,
		lddynamodb.CacheTTL(0),
		lddynamodb.RequestTimeout(patience),
		lddynamodb.ClientConfig(localtable.Config(w.table.Endpoint).WithHTTPClient(&http.Client{Transport: network})))
	require.NoError(t, err)
	client, err := ld.MakeCustomClient("sdk-test", ldconfig.Streaming(w.server.URL(), factory, nil), patience)
	require.NoError(t, err)
	return client
}

func putMalformed(t *testing.T, table *localtable.Table) {
	client, err := localtable.Connect(table.Endpoint, nil)
	require.NoError(t, err)
	_, err = client.PutItem(&dynamodb.PutItemInput{
		TableName: aws.String(table.Name),
		Item: map[string]*dynamodb.AttributeValue{
			"namespace": {S: aws.String("features")},
			"key":       {S: aws.String(malformed)},
			"version":   {N: aws.String("1")},
			"item":      {S: aws.String("{")},
		},
	})
	require.NoError(t, err)
}

// A throttlingNetwork throttles writes and denies reads of single rows of one
// partition, once told.
type throttlingNetwork struct {
	denied       string // the partition's key, empty where none is denied
	throttles    atomic.Bool
	hasThrottled atomic.Bool
}

// RoundTrip makes the network an HTTP transport.
func (n *throttlingNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	if !n.throttles.Load() {
		return http.DefaultTransport.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case action == "BatchWriteItem" || action == "PutItem":
		n.hasThrottled.Store(true)
		return refusal(r, dynamodb.ErrCodeProvisionedThroughputExceededException), nil
	case action == "GetItem" && n.denied != "" && bytes.Contains(body, []byte(`"`+n.denied+`"`)):
		return refusal(r, "AccessDeniedException"), nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

func refusal(r *http.Request, code string) *http.Response {
	text := fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"injected by a test"}`, code)
	return &http.Response{
		Status: http.StatusText(http.StatusBadRequest), StatusCode: http.StatusBadRequest,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:          io.NopCloser(strings.NewReader(text)),
		ContentLength: int64(len(text)),
		Request:       r,
	}
}
