package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
)

// startPolling starts a client that polls and has everything already.
func (w *world) startPolling(t *testing.T, factory ld.FeatureStoreFactory) *ld.LDClient {
	return startClient(t, ldconfig.Polling(w.server.URL(), factory, nil))
}

// It takes half a minute, because the SDK polls no more often than that.
func TestAPollingClientKeepsTheTableUpToDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	polling := w.startPolling(t, w.factory(t, newNetwork()))
	daemon := startDaemon(t, w.factory(t, newNetwork(), lddynamodb.CacheTTL(shortTTL)))
	w.requireServersState(t, polling, daemon)
	require.Equal(t, 1, w.server.Polls())

	w.updateInTheMiddle(t)
	w.requireServersState(t, polling, daemon)
	require.Equal(t, 2, w.server.Polls())
}

// DynamoDB refuses what the client gets at its first poll. LaunchDarkly has nothing
// new after that, so the SDK never sends it again.
func TestAPollingClientWhoseFirstInitWasRefused(t *testing.T) {
	t.Parallel()
	forEachCacheMode(t, func(t *testing.T, ttl time.Duration, policy lddynamodb.StaleValuesPolicy) {
		w := newWorld(t)
		network := newNetwork()
		network.setDown(true)
		options := []lddynamodb.FeatureStoreOption{lddynamodb.CacheTTL(ttl), lddynamodb.StaleValues(policy)}
		polling := w.startPolling(t, w.factory(t, network, options...))
		require.Equal(t, w.evaluate(t, w.startReference(t)), w.evaluate(t, polling), "it serves what it was sent")

		network.setDown(false)
		back := time.Now()
		w.awaitTableLikeServer(t)
		t.Logf("the table is right %s after it is back", time.Since(back).Round(10*time.Millisecond))
		require.Equal(t, 1, w.server.Polls())
		w.requireServersState(t, polling, startDaemon(t, w.factory(t, newNetwork())))
	})
}
