package node_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/payload"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/v7client"
)

func TestNodeEvaluatesWhatOurStoreWrote(t *testing.T) {
	t.Parallel()
	table := fixture.NewTable(t)
	require.NoError(t, newStore(t, table).Init(v4Data(t, payload.JSON())))
	flags, err := evaluation.FlagKeys(payload.JSON())
	require.NoError(t, err)

	inGo := startGo(t, table, options{}).evaluate(t, flags, payload.Users())
	inNode := startNode(t, table, options{}).evaluate(t, flags, payload.Users())

	require.Len(t, inGo, 14*20)
	assert.Equal(t, inGo, inNode)
	requireVariety(t, inGo)
}

// requireVariety makes sure that the results are worth a comparison.
func requireVariety(t *testing.T, results []result) {
	kinds := make(map[any]bool)
	for _, r := range results {
		kinds[r.Reason["kind"]] = true
	}
	for _, kind := range []string{"OFF", "TARGET_MATCH", "RULE_MATCH", "FALLTHROUGH", "PREREQUISITE_FAILED", "ERROR"} {
		require.True(t, kinds[kind], kind)
	}
}

func TestOurStoreReadsWhatNodeWrote(t *testing.T) {
	t.Parallel()
	table, server := fixture.NewTable(t), fixture.NewServer(t, payload.JSON())
	startNode(t, table, options{server: server})
	store := newStore(t, table, lddynamodb.CacheTTL(0))

	require.True(t, store.Initialized())
	requireItems(t, server.Payload(), store)

	const odd = `a$b/c: "d"\ <&> ü` + "\u2028\t🎉"
	require.NoError(t, server.Patch("/flags/"+odd, flag(odd, 1, odd)))
	require.NoError(t, server.Delete("/segments/kunden: Zürich/Süd", 2))
	require.NoError(t, server.Delete("/flags/prix/été: -50 % 🎉", 7))
	awaitVersion(t, table, "prix/été: -50 % 🎉", 7) // changes come in order
	requireItems(t, server.Payload(), store)
	requireNoItem(t, store, ld.Features, "prix/été: -50 % 🎉")
	requireNoItem(t, store, ld.Segments, "kunden: Zürich/Süd")
}

// requireItems requires a store to have just the items of a payload.
func requireItems(t *testing.T, payload []byte, store ld.FeatureStore) {
	t.Helper()
	for kind, items := range v4Data(t, payload) {
		for key, item := range items {
			if item.IsDeleted() {
				requireNoItem(t, store, kind, key)
				delete(items, key)
				continue
			}
			found, err := store.Get(kind, key)
			require.NoError(t, err)
			require.Equal(t, item, found)
		}
		all, err := store.All(kind)
		require.NoError(t, err)
		require.Equal(t, items, all)
	}
}

func requireNoItem(t *testing.T, store ld.FeatureStore, kind ld.VersionedDataKind, key string) {
	t.Helper()
	found, err := store.Get(kind, key)
	require.NoError(t, err)
	require.Nil(t, found)
}

func TestPrefixesKeepProgramsApart(t *testing.T) {
	t.Parallel()
	table := fixture.NewTable(t)
	goServer := fixture.NewServer(t, payloadOf(flag("only-go", 1, "Go's"), flag("both", 1, "Go's")))
	nodeServer := fixture.NewServer(t, payloadOf(flag("only-node", 1, "Node's"), flag("both", 1, "Node's")))

	// Each writes its data set after the other one, and then Node an update.
	startGo(t, table, options{prefix: "go", server: goServer})
	startNode(t, table, options{prefix: "node", server: nodeServer})
	startGo(t, table, options{prefix: "go", server: goServer})
	require.NoError(t, nodeServer.Delete("/flags/both", 2))
	require.Eventually(t, func() bool {
		row, err := table.Row("node:features", "both")
		return err == nil && row != nil && row.Version == 2
	}, patience, pause)

	for _, start := range starters {
		assert.Equal(t, map[string]any{"only-go": "Go's", "only-node": nil, "both": "Go's"},
			valuesOf(t, start(t, table, options{prefix: "go"}), "only-go", "only-node", "both"))
		assert.Equal(t, map[string]any{"only-go": nil, "only-node": "Node's", "both": nil},
			valuesOf(t, start(t, table, options{prefix: "node"}), "only-go", "only-node", "both"))
		assert.Equal(t, map[string]any{"only-go": nil, "only-node": nil, "both": nil},
			valuesOf(t, start(t, table, options{}), "only-go", "only-node", "both"))
	}
	assert.True(t, newStore(t, table, lddynamodb.Prefix("node")).Initialized())
	assert.False(t, newStore(t, table).Initialized())
}

func valuesOf(t *testing.T, p program, flags ...string) map[string]any {
	values := make(map[string]any)
	for _, key := range flags {
		values[key] = evaluateOne(t, p, key).Value
	}
	return values
}

// What a newer SDK writes has fields that SDK v4 doesn't know. If each start of ours
// replaced such rows, and each start of the others ours, no table would settle.
func TestStartsOfOursLeaveTheRowsOfOtherSDKsAlone(t *testing.T) {
	t.Parallel()
	table, server := fixture.NewTable(t), fixture.NewServer(t, payload.JSON())
	requireLeftAlone := func() {
		t.Helper()
		before, err := table.Rows()
		require.NoError(t, err)
		proxy, behind := newProxy(t, table, nil)
		startGo(t, behind, options{server: server})
		require.Zero(t, proxy.rowsWritten())
		after, err := table.Rows()
		require.NoError(t, err)
		require.Equal(t, before, after)
	}

	// Each program has a LaunchDarkly of its own, so that nobody else writes its update.
	// The one that starts last has written all other rows.
	var own []*ldserver.Server
	for _, start := range []starter{startGo, startNode, startV7} {
		own = append(own, fixture.NewServer(t, payload.JSON()))
		start(t, table, options{server: own[len(own)-1]})
	}
	for i, key := range []string{"site-offline", "new-checkout", "saved-cards"} {
		for _, s := range []*ldserver.Server{own[i], server} {
			version, err := s.Update("/flags/"+key, func(flag map[string]any) { flag["on"] = false })
			require.NoError(t, err)
			awaitVersion(t, table, key, version)
		}
	}
	requireLeftAlone()
	for _, start := range []starter{startV7, startNode, startV7} {
		start(t, table, options{server: server})
		requireLeftAlone()
	}
}

// startV7 starts a client of the Go SDK v7, which only writes.
func startV7(t *testing.T, table *localtable.Table, o options) program {
	client, err := v7client.Start(table, o.server.URL(), patience)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return nil
}
