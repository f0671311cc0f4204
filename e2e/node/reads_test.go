package node_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
)

func TestConsistencyOfReads(t *testing.T) {
	t.Parallel()
	table := fixture.NewTable(t)
	require.NoError(t, newStore(t, table).Init(v4Data(t, payloadOf(flag("f", 1, true)))))
	consistent := func(start starter) bool {
		proxy, behind := newProxy(t, table, nil)
		program := start(t, behind, options{})
		require.Equal(t, true, evaluateOne(t, program, "f").Value)
		reads := proxy.recorded("GetItem")
		return bytes.Contains(reads[len(reads)-1].body, []byte(`"ConsistentRead":true`))
	}
	assert.False(t, consistent(startNode))
	assert.True(t, consistent(startGo))
}
