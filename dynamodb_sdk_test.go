package lddynamodb

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/shared_test/ldtest"
)

// The SDK has these tests for the authors of stores. They close no store, so the
// fixture does.

func TestOfTheSDKForStores(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			makeStore := func(ld.Config) (ld.FeatureStore, error) { return f.newStore(CacheTTL(ttl)), nil }
			ldtest.RunFeatureStoreTests(t, makeStore, f.clear, ttl != 0)
		})
	}
}

func TestOfTheSDKForPrefixes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	makeStore := func(prefix string) (ld.FeatureStore, error) { return f.newStore(CacheTTL(0), Prefix(prefix)), nil }
	ldtest.RunFeatureStorePrefixIndependenceTests(t, makeStore, f.clear)
}

func TestOfTheSDKForConcurrentUpdates(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			store, other := f.newStore(CacheTTL(ttl)), f.sibling(t).newStore(CacheTTL(ttl))
			called := false
			ldtest.RunFeatureStoreConcurrentModificationTests(t, store, other, func(update func()) {
				f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
					if r.action == "PutItem" {
						update()
						called = true
					}
					return send()
				})
			})
			require.True(t, called)
		})
	}
}
