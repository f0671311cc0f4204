package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	credentialsv2 "github.com/aws/aws-sdk-go-v2/credentials"
	dynamodbv2 "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	original "gopkg.in/launchdarkly/go-server-sdk.v4/lddynamodb"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/awsv2"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

func TestMain(m *testing.M) {
	os.Exit(dynamolocal.RunTests(m))
}

// expired is a TTL that has run out when the next call comes, so that each read
// goes to the table.
const expired = time.Nanosecond

// A storeMaker makes one of the stores to compare.
type storeMaker struct {
	name string
	make func(table string, client *dynamodb.DynamoDB, ttl time.Duration) (ld.FeatureStoreFactory, error)
}

var ours = storeMaker{"ours", func(table string, client *dynamodb.DynamoDB, ttl time.Duration) (ld.FeatureStoreFactory, error) {
	return lddynamodb.NewDynamoDBFeatureStoreFactory(table, lddynamodb.DynamoClient(client), lddynamodb.CacheTTL(ttl),
		lddynamodb.StaleValues(lddynamodb.RefreshStaleValues))
}}

// oursWithV2 is ours with a client of the AWS SDK v2 in the place of the given one.
var oursWithV2 = storeMaker{"awsv2", func(table string, client *dynamodb.DynamoDB, ttl time.Duration) (ld.FeatureStoreFactory, error) {
	v2 := dynamodbv2.New(dynamodbv2.Options{
		BaseEndpoint: &client.Endpoint, Region: *client.Config.Region, HTTPClient: client.Config.HTTPClient,
		Credentials: credentialsv2.NewStaticCredentialsProvider("id", "secret", ""),
	})
	return lddynamodb.NewDynamoDBFeatureStoreFactory(table, lddynamodb.DynamoClient(awsv2.New(v2)), lddynamodb.CacheTTL(ttl),
		lddynamodb.StaleValues(lddynamodb.RefreshStaleValues))
}}

var theOriginal = storeMaker{"original", func(table string, client *dynamodb.DynamoDB, ttl time.Duration) (ld.FeatureStoreFactory, error) {
	return original.NewDynamoDBFeatureStoreFactory(table, original.DynamoClient(client), original.CacheTTL(ttl))
}}

var inMemory = storeMaker{"memory", func(string, *dynamodb.DynamoDB, time.Duration) (ld.FeatureStoreFactory, error) {
	return ld.NewInMemoryFeatureStoreFactory(), nil
}}

// open makes a store that logs nothing, and closes it when the benchmark ends.
func (m storeMaker) open(tb testing.TB, table string, client *dynamodb.DynamoDB, ttl time.Duration) ld.FeatureStore {
	tb.Helper()
	factory, err := m.make(table, client, ttl)
	require.NoError(tb, err)
	config := ld.Config{Loggers: ldlog.NewDefaultLoggers()}
	config.Loggers.SetMinLevel(ldlog.None)
	store, err := factory(config)
	require.NoError(tb, err)
	if closer, ok := store.(io.Closer); ok {
		tb.Cleanup(func() { _ = closer.Close() })
	}
	return store
}

// run makes a sub-benchmark for the store.
func (m storeMaker) run(b *testing.B, name string, f func(*testing.B)) {
	b.Run(strings.TrimPrefix(name+"/store="+m.name, "/"), func(b *testing.B) {
		b.ReportAllocs()
		f(b)
	})
}

// newClient makes a client for DynamoDB Local. Both stores get the same.
func newClient(tb testing.TB, transport http.RoundTripper, configs ...*aws.Config) *dynamodb.DynamoDB {
	tb.Helper()
	endpoint, err := dynamolocal.Endpoint()
	require.NoError(tb, err)
	awsSession, err := session.NewSession(aws.NewConfig().WithEndpoint(endpoint).WithRegion("us-east-1").
		WithCredentials(credentials.NewStaticCredentials("id", "secret", "")).
		WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(tb, err)
	return dynamodb.New(awsSession, configs...)
}

// newTable creates a table that is deleted when the benchmark ends. Each module makes its
// own, because modules can't share test code.
func newTable(tb testing.TB) (name string) {
	tb.Helper()
	client := newClient(tb, http.DefaultTransport)
	name = fmt.Sprintf("bench-%016x", rand.Uint64())
	_, err := client.CreateTable(&dynamodb.CreateTableInput{
		TableName:   aws.String(name),
		BillingMode: aws.String(dynamodb.BillingModePayPerRequest),
		AttributeDefinitions: []*dynamodb.AttributeDefinition{
			{AttributeName: aws.String("namespace"), AttributeType: aws.String(dynamodb.ScalarAttributeTypeS)},
			{AttributeName: aws.String("key"), AttributeType: aws.String(dynamodb.ScalarAttributeTypeS)},
		},
		KeySchema: []*dynamodb.KeySchemaElement{
			{AttributeName: aws.String("namespace"), KeyType: aws.String(dynamodb.KeyTypeHash)},
			{AttributeName: aws.String("key"), KeyType: aws.String(dynamodb.KeyTypeRange)},
		},
	})
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_, err := client.DeleteTable(&dynamodb.DeleteTableInput{TableName: aws.String(name)})
		require.NoError(tb, err)
	})
	return name
}

// newFilledTable creates a table that holds the data.
func newFilledTable(tb testing.TB, data dataSet) (name string) {
	tb.Helper()
	name = newTable(tb)
	require.NoError(tb, ours.open(tb, name, newClient(tb, http.DefaultTransport), time.Hour).Init(data))
	return name
}

// A stopwatch measures the processor time of this process, in parts.
type stopwatch struct{ started, total time.Duration }

func (w *stopwatch) start() { w.started = processorTime() }
func (w *stopwatch) stop()  { w.total += processorTime() - w.started }

func (w *stopwatch) report(b *testing.B) {
	b.ReportMetric(float64(w.total)/float64(b.N), "cpu-ns/op")
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// loop measures calls with their processor time. What comes before a call, if
// anything, is not measured.
func loop(b *testing.B, before func(), call func() error) {
	runtime.GC()
	var watch stopwatch
	for b.Loop() {
		if before != nil {
			b.StopTimer()
			before()
			b.StartTimer()
		}
		watch.start()
		err := call()
		watch.stop()
		if err != nil {
			b.Fatal(err)
		}
	}
	watch.report(b)
}
