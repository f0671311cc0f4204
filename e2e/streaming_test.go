package e2e_test

import (
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/payload"
)

// startPair starts a client that writes the table and, when it has, one that reads it.
func startPair(t *testing.T, w *world) (streaming, daemon *ld.LDClient) {
	streaming = w.startStreaming(t, w.factory(t, newNetwork()))
	w.awaitTableLikeServer(t)
	daemon = startDaemon(t, w.factory(t, newNetwork(), lddynamodb.CacheTTL(shortTTL)))
	return streaming, daemon
}

func TestInitialDataReachesTheTableAndADaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	streaming, daemon := startPair(t, w)

	reference := w.startReference(t)
	for _, client := range []*ld.LDClient{streaming, daemon, reference} {
		for _, result := range w.evaluate(t, client) {
			assertOutcome(t, outcomes[result.Flag][userIndex(t, result.User)], result)
		}
	}

	users, err := evaluation.Users(payload.Users())
	require.NoError(t, err)
	flags := keysOf(t, payload.JSON())
	expected := evaluation.All(reference, flags, users)
	assert.Equal(t, expected, evaluation.All(streaming, flags, users))
	assert.Equal(t, expected, evaluation.All(daemon, flags, users))
}

func TestPatchesReachTheTableAndADaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	streaming, daemon := startPair(t, w)
	require.Equal(t, "true", one(t, daemon, "new-checkout", "bob").Value.JSONString())

	_, err := w.server.Update("/flags/welcome-message", func(flag map[string]any) {
		flag["fallthrough"] = map[string]any{"variation": 3}
	})
	require.NoError(t, err)
	_, err = w.server.Update("/segments/beta-testers", func(segment map[string]any) {
		segment["included"] = []string{}
	})
	require.NoError(t, err)
	require.NoError(t, w.server.Patch("/flags/new: flag/ü", []byte(`{"key": "new: flag/ü", "version": 1, "on": true,
		"fallthrough": {"variation": 0}, "variations": ["new"], "salt": "s"}`)))

	w.requireServersState(t, streaming, daemon)
	assertOutcome(t, outcome{`"<b>你好</b> & \"🎉\""`, 3, "FALLTHROUGH"}, one(t, daemon, "welcome-message", "eve"))
	assertOutcome(t, outcome{`false`, 1, "FALLTHROUGH"}, one(t, daemon, "new-checkout", "bob"))
	assertOutcome(t, outcome{`"new"`, 0, "FALLTHROUGH"}, one(t, daemon, "new: flag/ü", "bob"))
}

func TestAnOldPatchChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	streaming, daemon := startPair(t, w)

	require.NoError(t, w.server.Patch("/flags/site-offline", []byte(`{"key": "site-offline", "version": 3, "on": true,
		"fallthrough": {"variation": 0}, "variations": [true, false], "salt": "s"}`)))
	// Patches come in order, so when this one is there, so was the other.
	_, err := w.server.Update("/flags/max-basket-size", func(flag map[string]any) { flag["on"] = false })
	require.NoError(t, err)

	for _, client := range []*ld.LDClient{streaming, daemon} {
		require.Eventually(t, func() bool {
			return one(t, client, "max-basket-size", "alice").Reason.String() == "OFF"
		}, patience, pause)
		assertOutcome(t, outcome{`false`, 1, "OFF"}, one(t, client, "site-offline", "alice"))
	}
	row, err := w.table.Row("features", "site-offline")
	require.NoError(t, err)
	assert.Equal(t, 4, row.Version)
}

func TestDeletesReachTheTableAndADaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	streaming, daemon := startPair(t, w)
	require.Equal(t, "false", one(t, daemon, "prix/été: -50 % 🎉", "alice").Value.JSONString())

	require.NoError(t, w.server.Delete("/flags/prix/été: -50 % 🎉", 7))
	require.NoError(t, w.server.Delete("/segments/big-spenders", 4))

	w.requireServersState(t, streaming, daemon)
	assertOutcome(t, outcome{`null`, noVariation, "ERROR(FLAG_NOT_FOUND)"}, one(t, daemon, "prix/été: -50 % 🎉", "alice"))
	assertOutcome(t, outcome{`"ask first"`, 1, "FALLTHROUGH"}, one(t, daemon, "one-click-order", "alice"))

	row, err := w.table.Row("features", "prix/été: -50 % 🎉")
	require.NoError(t, err)
	require.NotNil(t, row, "a deleted item must stay, or an older update could bring it back")
	assert.Equal(t, 7, row.Version)
	assert.Contains(t, row.Item, `"deleted":true`)
	assert.Contains(t, row.Item, `"key":"prix/été: -50 % 🎉"`)
}

func TestReconnectsBringWhatWasMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	streaming, daemon := startPair(t, w)

	w.server.DropConnections()
	_, err := w.server.Update("/flags/site-offline", func(flag map[string]any) { flag["on"] = true })
	require.NoError(t, err)
	require.NoError(t, w.server.Delete("/flags/delivery-to", 10))

	w.requireServersState(t, streaming, daemon)
	assertOutcome(t, outcome{`true`, 0, "FALLTHROUGH"}, one(t, daemon, "site-offline", "eve"))
	assertOutcome(t, outcome{`null`, noVariation, "ERROR(FLAG_NOT_FOUND)"}, one(t, daemon, "delivery-to", "eve"))
}
