package faults_test

import (
	"cmp"
	"context"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

const (
	// patience is far longer than anything takes.
	patience = 2 * time.Minute
	// pause is between two looks at something that is to happen soon.
	pause = 50 * time.Millisecond
	// ampleTimeout is enough for any request, also where the machine is busy.
	ampleTimeout = 20 * time.Second
)

// A fixture is a table of a test's own, and a network through which stores
// reach it.
type fixture struct {
	t       *testing.T
	server  *dynamolocal.Server // nil where the tests share one
	network *network
	table   *localtable.Table
	options []lddynamodb.FeatureStoreOption
}

func newFixture(t *testing.T, mode mode, fault fault) *fixture {
	f := &fixture{t: t}
	endpoint := f.endpoint(fault.ownServer)
	f.network = newNetwork(t, endpoint)
	f.options = append(mode.options(),
		lddynamodb.ClientConfig(f.network.awsConfig()),
		lddynamodb.RequestTimeout(cmp.Or(fault.timeout, ampleTimeout)))
	var err error
	f.table, err = localtable.Create(endpoint)
	require.NoError(t, err)
	if !fault.ownServer {
		t.Cleanup(func() { assert.NoError(t, f.table.Delete()) })
	}
	return f
}

func (f *fixture) endpoint(ownServer bool) string {
	if ownServer {
		f.startServer(0)
		return f.server.Endpoint()
	}
	endpoint, err := dynamolocal.Endpoint()
	require.NoError(f.t, err)
	return endpoint
}

func (f *fixture) startServer(port int) {
	server, err := dynamolocal.Start(context.Background(), port)
	require.NoError(f.t, err)
	f.t.Cleanup(server.Close)
	f.server = server
}

// createTable makes the table anew after its loss.
func (f *fixture) createTable() {
	client, err := localtable.Connect(f.table.Endpoint, nil)
	require.NoError(f.t, err)
	_, err = client.CreateTable(&dynamodb.CreateTableInput{
		TableName:   aws.String(f.table.Name),
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
	require.NoError(f.t, err)
}

func (f *fixture) factory() ld.FeatureStoreFactory {
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory(f.table.Name, f.options...)
	require.NoError(f.t, err)
	return factory
}

func (f *fixture) newStore() ld.FeatureStore {
	var loggers ldlog.Loggers
	loggers.SetMinLevel(ldlog.None)
	store, err := f.factory()(ld.Config{Loggers: loggers})
	require.NoError(f.t, err)
	f.t.Cleanup(func() { assert.NoError(f.t, store.(io.Closer).Close()) })
	return store
}

// rows returns the versions of the items in the table, by "namespace/key".
func (f *fixture) rows() map[string]int {
	rows, err := f.table.Rows()
	require.NoError(f.t, err)
	versions := make(map[string]int, len(rows))
	for _, row := range rows {
		versions[row.Namespace+"/"+row.Key] = row.Version
	}
	return versions
}

// An updateCount counts updates of the table.
type updateCount struct{ acknowledged, lost int }

// add looks at once for what an Upsert acknowledged: later an Init would hide a
// loss.
func (c *updateCount) add(f *fixture, kind ld.VersionedDataKind, item ld.VersionedData, upsertError error) {
	if upsertError != nil {
		return
	}
	c.acknowledged++
	row, err := f.table.Row(kind.GetNamespace(), item.GetKey())
	assert.NoError(f.t, err)
	if row == nil || row.Version < item.GetVersion() {
		c.lost++
	}
}
