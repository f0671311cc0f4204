package node_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
)

func TestRowsOfDeletedItems(t *testing.T) {
	t.Parallel()
	deletedItem := func(start starter) map[string]any {
		table, server := fixture.NewTable(t), fixture.NewServer(t, payloadOf(flag("f", 1, true)))
		start(t, table, options{server: server})
		require.NoError(t, server.Delete("/flags/f", 2))
		row := awaitVersion(t, table, "f", 2)
		for _, startReader := range starters {
			require.Equal(t, "FLAG_NOT_FOUND", evaluateOne(t, startReader(t, table, options{}), "f").Reason["errorKind"])
		}
		var item map[string]any
		require.NoError(t, json.Unmarshal([]byte(row.Item), &item))
		return item
	}
	byNode := deletedItem(startNode)
	assert.Equal(t, map[string]any{"key": "f", "version": 2.0, "deleted": true}, byNode)
	byOurs := deletedItem(startGo)
	assert.Subset(t, byOurs, byNode)
	assert.Contains(t, byOurs, "variations")
}
