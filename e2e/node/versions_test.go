package node_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
)

func TestNodesOlderUpdatesLeaveOurRows(t *testing.T) {
	t.Parallel()
	testOlderUpdates(t, startGo, startNode)
}

func TestOurOlderUpdatesLeaveNodesRows(t *testing.T) {
	t.Parallel()
	testOlderUpdates(t, startNode, startGo)
}

// testOlderUpdates starts two programs with a LaunchDarkly each, one of which
// lags behind. The changes of a LaunchDarkly reach the table in their order.
func testOlderUpdates(t *testing.T, startAhead, startBehind starter) {
	table := fixture.NewTable(t)
	initial := payloadOf(flag("patched", 1, "at first"), flag("deleted", 1, "at first"))
	ahead, behind := fixture.NewServer(t, initial), fixture.NewServer(t, initial)
	startAhead(t, table, options{server: ahead})
	program := startBehind(t, table, options{server: behind})

	patch(t, ahead, "patched", 5, "ahead")
	require.NoError(t, ahead.Delete("/flags/deleted", 5))
	deleted := awaitVersion(t, table, "deleted", 5)
	patched := awaitVersion(t, table, "patched", 5)

	patch(t, behind, "patched", 4, "behind")
	patch(t, behind, "patched", 5, "behind")
	require.NoError(t, behind.Delete("/flags/patched", 4))
	patch(t, behind, "deleted", 4, "behind")
	patch(t, behind, "deleted", 5, "behind")
	patch(t, behind, "all-tried", 1, true)
	awaitVersion(t, table, "all-tried", 1)

	assert.Equal(t, deleted, readFlag(t, table, "deleted"))
	assert.Equal(t, patched, readFlag(t, table, "patched"))
	assert.Equal(t, "ahead", evaluateOne(t, program, "patched").Value)
	assert.Nil(t, evaluateOne(t, program, "deleted").Value)

	patch(t, behind, "deleted", 6, "newest")
	require.NoError(t, behind.Delete("/flags/patched", 6))
	patch(t, behind, "caught-up", 1, true)
	awaitVersion(t, table, "caught-up", 1)
	assert.Equal(t, 6, readFlag(t, table, "patched").Version)
	assert.Equal(t, 6, readFlag(t, table, "deleted").Version)
	assert.Nil(t, evaluateOne(t, program, "patched").Value)
	assert.Equal(t, "newest", evaluateOne(t, program, "deleted").Value)
}

func patch(t *testing.T, server *ldserver.Server, key string, version int, value any) {
	require.NoError(t, server.Patch("/flags/"+key, flag(key, version, value)))
}
