package v7_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/payload"
)

const (
	// patience is far longer than anything takes.
	patience = 60 * time.Second
	// pause is between two looks at something that is to happen soon.
	pause = 20 * time.Millisecond
)

func TestV7EvaluatesWhatOurStoreWrote(t *testing.T) {
	t.Parallel()
	testSharing(t, startV4, startV7)
}

func TestOurStoreReadsWhatV7Wrote(t *testing.T) {
	t.Parallel()
	testSharing(t, startV7, startV4)
}

// Each start would otherwise take from the rows what newer SDKs evaluate, and the next
// start of such a one would write all of them again.
func TestAStartOfOursLeavesTheRowsOfV7Alone(t *testing.T) {
	t.Parallel()
	server, table := fixture.NewServer(t, payload.JSON()), fixture.NewTable(t)
	startV4(t, table, server)
	for range 2 {
		startV7(t, table, server)
		ofV7, err := table.Rows()
		require.NoError(t, err)
		require.Contains(t, ofV7[1].Item, "contextTargets", "which SDK v4 does not know")

		startV4(t, table, server)

		rows, err := table.Rows()
		require.NoError(t, err)
		require.Equal(t, ofV7, rows)
	}
}

// A program uses LaunchDarkly with a table.
type program interface {
	// evaluate evaluates every flag for every user of a JSON array.
	evaluate(t *testing.T, flags []string, users []byte) []result
}

// A starter starts a program, which is ready then and ends with the test. Its
// flags come from the server, or where that is nil, from the table alone.
type starter func(t *testing.T, table *localtable.Table, server *ldserver.Server) program

// A result is what one flag was for one user, as every SDK says it in JSON.
type result struct {
	Flag, User       string
	Value, Variation any
	Reason           map[string]any
}

// testSharing lets one program write what the other one reads: a data set that
// has deleted items already, and then a change and deletions.
func testSharing(t *testing.T, startWriter, startReader starter) {
	server, table := fixture.NewServer(t, payload.JSON()), fixture.NewTable(t)
	writer := startWriter(t, table, server)
	requireSameValues(t, server, writer, startReader(t, table, nil))

	_, err := server.Update("/flags/welcome-message", func(flag map[string]any) { flag["on"] = false })
	require.NoError(t, err)
	require.NoError(t, server.Delete("/segments/big-spenders", 4))
	require.NoError(t, server.Delete("/flags/prix/été: -50 % 🎉", 7))
	requireTombstone(t, table, "segments", "big-spenders", 4)
	requireTombstone(t, table, "features", "prix/été: -50 % 🎉", 7)
	requireSameValues(t, server, writer, startReader(t, table, nil))
}

// requireSameValues compares the programs with a client that has its flags from
// the server and keeps them in memory.
func requireSameValues(t *testing.T, server *ldserver.Server, programs ...program) {
	t.Helper()
	flags, err := evaluation.FlagKeys(payload.JSON())
	require.NoError(t, err)
	expected := startReference(t, server).evaluate(t, flags, payload.Users())
	require.Len(t, expected, 14*20)
	for _, p := range programs {
		require.Equal(t, expected, p.evaluate(t, flags, payload.Users()))
	}
}

func requireTombstone(t *testing.T, table *localtable.Table, namespace, key string, version int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		row, err := table.Row(namespace, key)
		require.NoError(c, err)
		require.NotNil(c, row)
		require.Equal(c, version, row.Version)
		require.Contains(c, row.Item, `"deleted":true`)
	}, patience, pause)
}

// inJSON is the way on which the results of all SDKs become comparable.
func inJSON(t *testing.T, results any) (decoded []result) {
	encoded, err := json.Marshal(results)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	return decoded
}
