package node_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
)

// oversizedFlag has more bytes than DynamoDB takes.
func oversizedFlag(key string, version int, value any) json.RawMessage {
	var f map[string]any
	if err := json.Unmarshal(flag(key, version, value), &f); err != nil {
		panic(err) // flag made it
	}
	f["salt"] = strings.Repeat("s", 400<<10)
	return encode(f)
}

func TestAnOversizedItemAmongOthers(t *testing.T) {
	t.Parallel()
	server := fixture.NewServer(t, payloadOf(append(thirtyFlags(), oversizedFlag("a-large-one", 1, "large"))...))
	requireStored := func(start starter, flags int) {
		table := fixture.NewTable(t)
		start(t, table, options{server: server})
		// Node is ready when one request has failed. Others may be under way.
		require.Eventually(t, func() bool {
			return isInited(t, table) && countFlags(t, table) == flags
		}, patience, pause)
	}
	requireStored(startNode, 6) // 24 were in a request with the large one
	requireStored(startGo, 30)
}

func TestAnUpdateToAnOversizedItem(t *testing.T) {
	t.Parallel()
	value := func(start starter) any {
		table, server := fixture.NewTable(t), fixture.NewServer(t, payloadOf(flag("grows", 1, "small")))
		program := start(t, table, options{server: server})
		require.NoError(t, server.Patch("/flags/grows", oversizedFlag("grows", 2, "large")))
		patch(t, server, "marker", 1, true)
		awaitVersion(t, table, "marker", 1)
		require.Equal(t, 1, readFlag(t, table, "grows").Version)
		return evaluateOne(t, program, "grows").Value
	}
	assert.Equal(t, "small", value(startNode))
	assert.Equal(t, "large", value(startGo))
}
