package lddynamodb

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

var errNotInitialized = errors.New("the store is not initialized")

// contractCalls are all that can be under way when a store is closed.
var contractCalls = map[string]func(ld.FeatureStore) error{
	"Get":    func(s ld.FeatureStore) error { _, err := s.Get(ld.Features, "f"); return err },
	"All":    func(s ld.FeatureStore) error { _, err := s.All(ld.Features); return err },
	"Init":   func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2))) },
	"Upsert": func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 2)) },
	"Delete": func(s ld.FeatureStore) error { return s.Delete(ld.Features, "f", 2) },
	"Initialized": func(s ld.FeatureStore) error {
		if !s.Initialized() {
			return errNotInitialized
		}
		return nil
	},
}

// holdRequests makes every request wait until the store gives it up. The
// channel gets one value for each.
func holdRequests(f *fixture) (held <-chan string) {
	arrived := make(chan string, 100)
	f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
		arrived <- r.action
		<-r.http.Context().Done()
		return nil, r.http.Context().Err()
	})
	return arrived
}

// await ends the test where nothing comes.
func await[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(hangGuard):
		require.FailNow(t, "waited in vain for "+what)
		panic("unreachable")
	}
}

func checkClose(t *testing.T, f *contractFixture) {
	for name, call := range contractCalls {
		store := f.open(RequestTimeout(0)) // so that nothing but Close ends a request
		held := holdRequests(f.fixture)
		result := make(chan error, 1)
		go func() { result <- call(store) }()
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
	for name, s := range cacheSetups {
		t.Run(name, func(t *testing.T) {
			f := &contractFixture{newFixture(t), s}
			before := goleak.IgnoreCurrent()
			withoutRetries := ClientConfig(aws.NewConfig().WithMaxRetries(0))
			store, another := f.open(withoutRetries, StaleValues(RefreshStaleValuesAsync)), f.open(withoutRetries)
			require.NoError(t, store.Init(allData(flag("f", 1), flag("g", 1, "f"), segment("s", 1))))
			for _, call := range contractCalls {
				require.NoError(t, call(store))
			}

			// An outage has the SDK ask for its end, again and again.
			f.transport.setInterceptor(func(*sentRequest, func() (*http.Response, error)) (*http.Response, error) {
				return nil, io.ErrUnexpectedEOF
			})
			require.Error(t, store.Upsert(ld.Features, flag("f", 3)))
			require.Error(t, contractCalls["All"](another))
			holdRequests(f.fixture)

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

	assert.True(t, core.IsStoreAvailable())
	assert.True(t, cache.IsStoreAvailable())
	assert.Empty(t, f.transport.recorded())
}
