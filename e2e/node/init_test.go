package node_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
)

func TestWhenATableIsSaidToBeComplete(t *testing.T) {
	t.Parallel()
	server := fixture.NewServer(t, payloadOf(thirtyFlags()...))

	// Node sends all requests at once. Those without the row that says so are
	// held until that row is there.
	table := fixture.NewTable(t)
	var flagsThen atomic.Int64
	_, behind := newProxy(t, table, func(_ http.ResponseWriter, r request) bool {
		if r.action == "BatchWriteItem" && !r.saysComplete() {
			assert.Eventually(t, func() bool { return isInited(t, table) }, patience, pause)
			flagsThen.Store(int64(countFlags(t, table)))
		}
		return false
	})
	startNode(t, behind, options{server: server})
	assert.LessOrEqual(t, flagsThen.Load(), int64(5)) // 25 were held
	assert.Equal(t, 30, countFlags(t, table))

	// This module's store waits until all is stored.
	table = fixture.NewTable(t)
	_, behind = newProxy(t, table, func(_ http.ResponseWriter, r request) bool {
		if r.saysComplete() {
			flagsThen.Store(int64(countFlags(t, table)))
		}
		return false
	})
	startGo(t, behind, options{server: server})
	assert.EqualValues(t, 30, flagsThen.Load())
	assert.True(t, isInited(t, table))
}

func TestWritesOfARestart(t *testing.T) {
	t.Parallel()
	server := fixture.NewServer(t, payloadOf(thirtyFlags()...))
	rowsWritten := func(start starter) int {
		table := fixture.NewTable(t)
		start(t, table, options{server: server})
		proxy, behind := newProxy(t, table, nil)
		start(t, behind, options{server: server})
		return proxy.rowsWritten()
	}
	assert.Equal(t, 31, rowsWritten(startNode))
	assert.Equal(t, 31, rowsWritten(startV7))
	assert.Zero(t, rowsWritten(startGo))
}

func TestObsoleteRowsUnderADollarSign(t *testing.T) {
	t.Parallel()
	keepsObsolete := func(start starter, prefix string) bool {
		table := fixture.NewTable(t)
		before := fixture.NewServer(t, payloadOf(flag("kept", 1, true), flag("obsolete", 1, true)))
		now := fixture.NewServer(t, payloadOf(flag("kept", 1, true)))
		start(t, table, options{prefix: prefix, server: before})
		start(t, table, options{prefix: prefix, server: now})
		row, err := table.Row(prefix+":features", "obsolete")
		require.NoError(t, err)
		return row != nil
	}
	assert.False(t, keepsObsolete(startNode, "eu"))
	assert.True(t, keepsObsolete(startNode, "eu$1"))
	assert.False(t, keepsObsolete(startGo, "eu$1"))
}
