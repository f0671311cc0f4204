package e2e_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"

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
	factory, store := watch(w.factory(t, writing, lddynamodb.CacheTTL(ttl), stale))
	streaming := w.startStreaming(t, factory)
	// A daemon-mode client that caches for ever never looks at the table again,
	// by design. So where the streaming client does, this one does not.
	daemonTTL := max(ttl, 0)
	daemon := startDaemon(t, w.factory(t, reading, lddynamodb.CacheTTL(daemonTTL), stale))
	w.requireServersState(t, streaming, daemon)

	writing.setDown(true)
	reading.setDown(true)
	w.updateInTheMiddle(t)
	store.requireNoticed(t)
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

// Clients that start while DynamoDB is down work as soon as it is back.
func TestStartInAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	network := newNetwork()
	network.setDown(true)
	factory, store := watch(w.factory(t, network, lddynamodb.CacheTTL(shortTTL)))
	streaming := w.startStreamingFor(t, factory, 0)
	store.requireNoticed(t)
	daemon := startDaemon(t, w.factory(t, network, lddynamodb.CacheTTL(shortTTL)))
	w.requireServersValues(t, streaming) // it serves what the table could not take
	require.Equal(t, "ERROR(EXCEPTION)", one(t, daemon, "new-checkout", "alice").Reason.String())

	network.setDown(false)
	// Until then the SDK has a data race between its stream and evaluations.
	require.Eventually(t, func() bool { return store.inits.Load() >= 2 }, patience, pause)
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

// A watchedStore tells what the SDK knows of it and how often it was sent
// everything.
type watchedStore struct {
	*utils.FeatureStoreWrapper
	inits atomic.Int64
}

// watch returns the store that the factory will have made for the client.
func watch(factory ld.FeatureStoreFactory) (ld.FeatureStoreFactory, *watchedStore) {
	var watched watchedStore
	return func(config ld.Config) (ld.FeatureStore, error) {
		store, err := factory(config)
		if err != nil {
			return nil, err
		}
		watched.FeatureStoreWrapper = store.(*utils.FeatureStoreWrapper)
		return &watched, nil
	}, &watched
}

func (s *watchedStore) Init(data map[ld.VersionedDataKind]map[string]ld.VersionedData) error {
	err := s.FeatureStoreWrapper.Init(data)
	s.inits.Add(1)
	return err
}

func (s *watchedStore) requireNoticed(t *testing.T) {
	require.Eventually(t, func() bool { return !s.GetStoreStatus().Available }, patience, pause,
		"the client must know that its store is not available")
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
