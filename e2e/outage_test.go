package e2e_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
)

// An outage of DynamoDB, with updates in the middle of it, ends with everything
// at LaunchDarkly's state, and nobody has restarted anything.
func TestOutage(t *testing.T) {
	t.Parallel()
	forEachCacheMode(t, testOutage)
}

func forEachCacheMode(t *testing.T, test func(*testing.T, time.Duration, lddynamodb.StaleValuesPolicy)) {
	policies := map[string]lddynamodb.StaleValuesPolicy{
		"evict":         lddynamodb.EvictStaleValues,
		"refresh":       lddynamodb.RefreshStaleValues,
		"refresh async": lddynamodb.RefreshStaleValuesAsync,
	}
	for _, ttl := range []time.Duration{0, shortTTL, -time.Second} {
		for name, policy := range policies {
			t.Run(fmt.Sprintf("TTL %s, %s", ttl, name), func(t *testing.T) {
				t.Parallel()
				test(t, ttl, policy)
			})
		}
	}
}

func testOutage(t *testing.T, ttl time.Duration, policy lddynamodb.StaleValuesPolicy) {
	w := newWorld(t)
	writing, reading := newNetwork(), newNetwork()
	stale := lddynamodb.StaleValues(policy)
	var known statusWatch
	streaming := w.startStreaming(t, w.factory(t, writing, lddynamodb.CacheTTL(ttl), stale, known.option()))
	// A daemon-mode client that caches for ever never looks at the table again,
	// by design. So where the streaming client does, this one does not.
	daemonTTL := max(ttl, 0)
	daemon := startDaemon(t, w.factory(t, reading, lddynamodb.CacheTTL(daemonTTL), stale))
	w.requireServersState(t, streaming, daemon)

	writing.setDown(true)
	reading.setDown(true)
	w.updateInTheMiddle(t)
	known.requireOutage(t)
	requireOutageBehaviour(t, streaming, ttl, policy)
	requireOutageBehaviour(t, daemon, daemonTTL, policy)
	// Whatever the cache keeps, the client serves what the table could not take.
	awaitOutcome(t, streaming, "born-in-the-outage", outcome{`"new"`, 0, "FALLTHROUGH"})
	awaitOutcome(t, streaming, "welcome-message", outcome{`"Hello!"`, 0, "OFF"})
	awaitOutcome(t, streaming, "button-color", outcome{`null`, noVariation, "ERROR(FLAG_NOT_FOUND)"})
	if keepsStale(ttl, policy) {
		w.requireServersValues(t, streaming)
	}

	writing.setDown(false)
	reading.setDown(false)
	w.requireServersState(t, streaming, daemon)
	requireReadOnly(t, reading)
}

// A connected client that starts while DynamoDB is down is ready when LaunchDarkly has
// answered. One in daemon mode works as soon as DynamoDB is back.
func TestStartInAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	network := newNetwork()
	network.setDown(true)
	var known statusWatch
	streaming := w.startStreaming(t, w.factory(t, network, lddynamodb.CacheTTL(shortTTL), known.option()))
	known.requireOutage(t)
	daemon := startDaemon(t, w.factory(t, network, lddynamodb.CacheTTL(shortTTL)))
	w.requireServersValues(t, streaming) // it serves what the table could not take
	require.Equal(t, "ERROR(EXCEPTION)", one(t, daemon, "new-checkout", "alice").Reason.String())

	network.setDown(false)
	w.requireServersState(t, streaming, daemon)
}

// requireReadOnly sees that a client in daemon mode has only read.
func requireReadOnly(t *testing.T, network *network) {
	requests, _ := network.counts()
	delete(requests, "GetItem")
	delete(requests, "Query")
	require.Empty(t, requests)
}

// updateInTheMiddle changes, adds and deletes flags and changes a segment, but
// leaves new-checkout for alice as it is.
func (w *world) updateInTheMiddle(t *testing.T) {
	_, err := w.server.Update("/flags/welcome-message", func(flag map[string]any) { flag["on"] = false })
	require.NoError(t, err)
	_, err = w.server.Update("/segments/beta-testers", func(segment map[string]any) {
		segment["excluded"] = []string{"bob"}
	})
	require.NoError(t, err)
	require.NoError(t, w.server.Delete("/flags/button-color", 9))
	require.NoError(t, w.server.Patch("/flags/born-in-the-outage", []byte(`{"key": "born-in-the-outage", "version": 1,
		"on": true, "fallthrough": {"variation": 0}, "variations": ["new"], "salt": "s"}`)))
}

// A statusWatch knows whether a store has told of an outage.
type statusWatch struct{ toldOutage atomic.Bool }

func (w *statusWatch) option() lddynamodb.FeatureStoreOption {
	return lddynamodb.StatusListener(func(status lddynamodb.StoreStatus) {
		if !status.Available {
			w.toldOutage.Store(true)
		}
	})
}

func (w *statusWatch) requireOutage(t *testing.T) {
	t.Helper()
	require.Eventually(t, w.toldOutage.Load, patience, pause, "the store must tell of the outage")
}

// requireOutageBehaviour waits until no cached value can be fresh, and sees
// that flags can be evaluated exactly where the settings promise it.
func requireOutageBehaviour(
	t *testing.T,
	client *ld.LDClient,
	ttl time.Duration,
	policy lddynamodb.StaleValuesPolicy,
) {
	expected := "ERROR(EXCEPTION)"
	if keepsStale(ttl, policy) {
		expected = "TARGET_MATCH"
	}
	time.Sleep(max(ttl, 0))
	require.Equal(t, expected, one(t, client, "new-checkout", "alice").Reason.String())
}

// keepsStale tells whether values that were read before are served in an outage.
func keepsStale(ttl time.Duration, policy lddynamodb.StaleValuesPolicy) bool {
	return ttl < 0 || ttl > 0 && policy != lddynamodb.EvictStaleValues
}

func awaitOutcome(t *testing.T, client *ld.LDClient, flag string, expected outcome) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		result := one(t, client, flag, "eve")
		assert.Equal(c, expected.reason, result.Reason.String())
		assert.JSONEq(c, expected.value, result.Value.JSONString())
	}, patience, pause)
}
