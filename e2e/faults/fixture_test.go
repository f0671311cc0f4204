package faults_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/clientlog"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

const (
	// patience is far longer than anything takes.
	patience = 2 * time.Minute
	// pause is between two looks at something that is to happen soon.
	pause = 50 * time.Millisecond
	// while is how long evaluations are watched, where nothing is slow.
	while = time.Second
)

// A fixture is a table of a test's own, and a network through which stores
// reach it.
type fixture struct {
	t       *testing.T
	server  *dynamolocal.Server // nil where the tests share one
	network *network
	table   *localtable.Table
	options []lddynamodb.FeatureStoreOption
	logs    []*clientlog.Log // one of each store
}

func newFixture(t *testing.T, mode mode, fault fault) *fixture {
	f := &fixture{t: t}
	endpoint := f.endpoint(fault.ownServer)
	f.network = newNetwork(t, endpoint)
	f.options = append(mode.options(), lddynamodb.ClientConfig(f.network.awsConfig()))
	if fault.timeout > 0 {
		f.options = append(f.options, lddynamodb.RequestTimeout(fault.timeout))
	}
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
func (f *fixture) createTable() { require.NoError(f.t, f.table.Recreate()) }

// factory is for one store, and for a client that has its log, too.
func (f *fixture) factory() (ld.FeatureStoreFactory, *clientlog.Log) {
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory(f.table.Name, f.options...)
	require.NoError(f.t, err)
	return factory, f.newLog()
}

func (f *fixture) newLog() *clientlog.Log {
	log := &clientlog.Log{}
	f.logs = append(f.logs, log)
	return log
}

// newStore makes a store as for a client in daemon mode.
func (f *fixture) newStore() ld.FeatureStore {
	factory, log := f.factory()
	store, err := factory(ldconfig.Daemon(nil, log))
	require.NoError(f.t, err)
	f.t.Cleanup(func() { assert.NoError(f.t, store.(io.Closer).Close()) })
	return store
}

// newDeprecatedStore makes a store without a factory.
func (f *fixture) newDeprecatedStore() ld.FeatureStore {
	options := append(slices.Clone(f.options), lddynamodb.Logger(f.newLog()))
	store, err := lddynamodb.NewDynamoDBFeatureStore(f.table.Name, options...)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { assert.NoError(f.t, store.(io.Closer).Close()) })
	return store
}

// outagesKnown tells how many outages each store has logged.
func (f *fixture) outagesKnown() []int {
	known := make([]int, len(f.logs))
	for i, log := range f.logs {
		known[i] = len(log.Lines("can't be used: "))
	}
	return known
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

// add looks at once for what an Upsert acknowledged: a store of the deprecated
// constructor acknowledges what the table has.
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
