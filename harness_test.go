package lddynamodb

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// TestMain keeps the machine's AWS settings away from the tests. AWS_CA_BUNDLE
// would make the AWS SDK refuse the transports that inject faults.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	_ = os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	_ = os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}

// A fixture is a table of its own in DynamoDB Local, and what a test needs to
// make stores on it and to look at what they do.
type fixture struct {
	tb        testing.TB
	table     string
	client    *dynamodb.DynamoDB // neither recorded nor disturbed
	transport *transport         // under the stores
	log       *logLines          // what the stores logged
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{
		tb:        tb,
		table:     fmt.Sprintf("%.200s-%08x", invalidInTableName.ReplaceAllString(tb.Name(), "_"), rand.Uint32()),
		transport: &transport{},
		log:       &logLines{},
	}
	f.client = f.newClient(http.DefaultTransport)
	f.createTable()
	return f
}

// sibling is another test's view of the same table, with a transport and a log
// of its own.
func (f *fixture) sibling(tb testing.TB) *fixture {
	return &fixture{tb: tb, table: f.table, client: f.client, transport: &transport{}, log: &logLines{}}
}

var invalidInTableName = regexp.MustCompile(`[^a-zA-Z0-9_.-]`)

func (f *fixture) awsConfig(roundTripper http.RoundTripper) *aws.Config {
	endpoint, err := dynamolocal.Endpoint()
	require.NoError(f.tb, err)
	return aws.NewConfig().WithEndpoint(endpoint).WithRegion("us-east-1").
		WithCredentials(credentials.NewStaticCredentials("id", "secret", "")).
		WithHTTPClient(&http.Client{Transport: roundTripper})
}

func (f *fixture) newClient(roundTripper http.RoundTripper) *dynamodb.DynamoDB {
	awsSession, err := session.NewSession(f.awsConfig(roundTripper))
	require.NoError(f.tb, err)
	return dynamodb.New(awsSession)
}

func (f *fixture) createTable() {
	f.tb.Helper()
	_, err := f.client.CreateTable(&dynamodb.CreateTableInput{
		TableName:   aws.String(f.table),
		BillingMode: aws.String(dynamodb.BillingModePayPerRequest),
		AttributeDefinitions: []*dynamodb.AttributeDefinition{
			{AttributeName: aws.String(namespaceAttribute), AttributeType: aws.String(dynamodb.ScalarAttributeTypeS)},
			{AttributeName: aws.String(keyAttribute), AttributeType: aws.String(dynamodb.ScalarAttributeTypeS)},
		},
		KeySchema: []*dynamodb.KeySchemaElement{
			{AttributeName: aws.String(namespaceAttribute), KeyType: aws.String(dynamodb.KeyTypeHash)},
			{AttributeName: aws.String(keyAttribute), KeyType: aws.String(dynamodb.KeyTypeRange)},
		},
	})
	require.NoError(f.tb, err)
}

// newStore makes a store over the fixture's transport, as the SDK does, and
// closes it at the end of the test. Each store has a client of its own.
func (f *fixture) newStore(options ...FeatureStoreOption) ld.FeatureStore {
	f.tb.Helper()
	options = append([]FeatureStoreOption{ClientConfig(f.awsConfig(f.transport))}, options...)
	factory, err := NewDynamoDBFeatureStoreFactory(f.table, options...)
	require.NoError(f.tb, err)
	var loggers ldlog.Loggers
	loggers.SetBaseLogger(f.log)
	store, err := factory(ld.Config{Loggers: loggers})
	require.NoError(f.tb, err)
	f.tb.Cleanup(func() { _ = store.(io.Closer).Close() })
	return store
}

// rawItem is a row as DynamoDB has it.
type rawItem = map[string]*dynamodb.AttributeValue

// rows returns the table's rows by "namespace/key".
func (f *fixture) rows() map[string]rawItem {
	f.tb.Helper()
	rows := make(map[string]rawItem)
	err := f.client.ScanPages(&dynamodb.ScanInput{TableName: aws.String(f.table), ConsistentRead: aws.Bool(true)},
		func(page *dynamodb.ScanOutput, _ bool) bool {
			for _, item := range page.Items {
				rows[*item[namespaceAttribute].S+"/"+*item[keyAttribute].S] = item
			}
			return true
		})
	require.NoError(f.tb, err)
	return rows
}

// putRow writes a row as it is, valid or not.
func (f *fixture) putRow(item rawItem) {
	f.tb.Helper()
	_, err := f.client.PutItem(&dynamodb.PutItemInput{TableName: aws.String(f.table), Item: item})
	require.NoError(f.tb, err)
}

// row returns a row, or nil.
func (f *fixture) row(key rowKey) rawItem {
	f.tb.Helper()
	output, err := f.client.GetItem(&dynamodb.GetItemInput{
		TableName: aws.String(f.table), Key: key.attributes(), ConsistentRead: aws.Bool(true),
	})
	require.NoError(f.tb, err)
	return output.Item
}

// deleteRow deletes a row past the stores.
func (f *fixture) deleteRow(key rowKey) {
	f.tb.Helper()
	_, err := f.client.DeleteItem(&dynamodb.DeleteItemInput{TableName: aws.String(f.table), Key: key.attributes()})
	require.NoError(f.tb, err)
}

// flag makes a small flag.
func flag(key string, version int, prerequisites ...string) *ld.FeatureFlag {
	f := &ld.FeatureFlag{Key: key, Version: version, On: true, Salt: "salt", Variations: []interface{}{true, false}}
	for _, p := range prerequisites {
		f.Prerequisites = append(f.Prerequisites, ld.Prerequisite{Key: p, Variation: 0})
	}
	return f
}

// flagOfSize makes a flag whose JSON is longer by the given number of bytes.
func flagOfSize(key string, version, padding int) *ld.FeatureFlag {
	f := flag(key, version)
	f.Salt = strings.Repeat("s", padding)
	return f
}

func segment(key string, version int, included ...string) *ld.Segment {
	return &ld.Segment{Key: key, Version: version, Included: included, Salt: "salt"}
}

// allData makes the argument of Init. Both kinds are always in it, as the SDK
// has it.
func allData(items ...ld.VersionedData) map[ld.VersionedDataKind]map[string]ld.VersionedData {
	data := map[ld.VersionedDataKind]map[string]ld.VersionedData{ld.Features: {}, ld.Segments: {}}
	for _, item := range items {
		if _, ok := item.(*ld.Segment); ok {
			data[ld.Segments][item.GetKey()] = item
		} else {
			data[ld.Features][item.GetKey()] = item
		}
	}
	return data
}

// logLines is a logger that keeps what it is told.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Println(values ...interface{}) { l.add(fmt.Sprintln(values...)) }
func (l *logLines) Printf(format string, values ...interface{}) {
	l.add(fmt.Sprintf(format, values...))
}

func (l *logLines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSuffix(line, "\n"))
}

// all returns the lines of the stores and of the SDK.
func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// ofStores returns the stores' own lines, without the SDK's, that contain all
// of the given texts.
func (l *logLines) ofStores(texts ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
next:
	for _, line := range l.lines {
		for _, text := range append([]string{"DynamoDBFeatureStore:"}, texts...) {
			if !strings.Contains(line, text) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}
