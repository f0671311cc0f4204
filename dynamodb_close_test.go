package lddynamodb

import (
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

func checkClose(t *testing.T, f *fixture) {
	for name, call := range calls {
		store := f.newStore(RequestTimeout(0)) // so that nothing but Close ends a request
		held := make(chan struct{}, 10)
		f.transport.setInterceptor(failing(func(r *sentRequest) (*http.Response, error) {
			held <- struct{}{}
			return blackHole(r)
		}))
		result := make(chan error, 1)
		go func() { _, err := call(store, flag("f", 2)); result <- err }()
		await(t, "a request of "+name, held)

		closed := make(chan error, 1)
		go func() { closed <- store.(io.Closer).Close() }()

		assert.NoError(t, await(t, "Close during "+name, closed))
		assert.Error(t, await(t, "the end of "+name, result))
	}
	assert.Empty(t, f.log.ofStores("can't be used"), "what Close ends is no outage")
}

// It can't run at the same time as other tests, whose goroutines would count.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.options = []FeatureStoreOption{CacheTTL(ttl), ClientConfig(aws.NewConfig().WithMaxRetries(0))}
			before := goleak.IgnoreCurrent()
			store, another := f.newStore(StaleValues(RefreshStaleValuesAsync)), f.newStore()
			require.NoError(t, store.Init(allData(flag("f", 1), flag("g", 1, "f"), segment("s", 1))))
			for _, call := range calls {
				_, err := call(store, flag("f", 2))
				require.NoError(t, err)
			}

			// An outage has the store look for its end, again and again.
			f.transport.setInterceptor(failing(brokenConnection))
			require.Error(t, store.Upsert(ld.Features, flag("f", 3)))
			require.Error(t, all(another)())
			f.transport.setInterceptor(failing(blackHole))

			require.NoError(t, store.(io.Closer).Close())
			require.NoError(t, another.(io.Closer).Close())

			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			assert.NoError(t, goleak.Find(before))
		})
	}
}

// The SDK goes on asking a store that it has closed, if an error came after that,
// until the answer is yes.
func TestClosedStoreIsNothingToWaitFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	opts, err := newOptions(f.table, nil)
	require.NoError(t, err)
	core := opts.newCore(f.newClient(f.transport), ldlog.Loggers{})
	cache := newCache(core, -1, EvictStaleValues)
	require.NoError(t, cache.Close())

	assert.True(t, cache.IsStoreAvailable())
	assert.Empty(t, f.transport.recorded())
}
