package lddynamodb

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A call that gets no answer goes on in the background. What comes after it is served at once, and has the last word.
func TestSDKWritesWithoutAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		calls []func(store ld.FeatureStore) error
		want  []ld.VersionedData
	}{
		"an update during an Init": {[]func(ld.FeatureStore) error{
			func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2), flag("g", 2))) },
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 3)) },
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("new", 1)) },
		}, []ld.VersionedData{flag("f", 3), flag("g", 2), flag("new", 1)}},
		"a second Init": {[]func(ld.FeatureStore) error{
			func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2), flag("g", 2), flag("removed", 2))) },
			func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 3), flag("new", 1))) },
		}, []ld.VersionedData{flag("f", 3), flag("new", 1)}},
		"an Init during an update, and updates after it": {[]func(ld.FeatureStore) error{
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("removed", 2)) },
			func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2), flag("g", 2))) },
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("new", 1)) },
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("g", 3)) },
		}, []ld.VersionedData{flag("f", 2), flag("g", 3), flag("new", 1)}},
	} {
		for mode, options := range outageModes {
			for end, timeout := range map[string]time.Duration{"answered late": time.Minute, "never answered": DefaultRequestTimeout} {
				runWithTable(t, name+"/"+mode+"/"+end, func(t *testing.T, f *fixture) {
					store := f.newSDKStore(configLoggingTo(f.log), append(options, RequestTimeout(timeout))...)
					require.NoError(t, store.Init(allData(flag("f", 1), flag("g", 1))))
					over := make(chan struct{})
					f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
						select {
						case <-over:
							return send()
						case <-r.http.Context().Done():
							return blackHole(r)
						}
					})
					for _, call := range c.calls {
						assert.LessOrEqual(t, elapsed(func() { require.NoError(t, call(store)) }), allPatience)
					}
					for _, item := range c.want {
						assertGet(t, store, ld.Features, item.GetKey(), item)
					}
					if end == "never answered" {
						time.Sleep(time.Minute)
					}
					close(over)
					time.Sleep(2 * time.Minute)
					assertAll(t, store, ld.Features, c.want...)
					assertAll(t, f.newStore(CacheTTL(0), DynamoClient(f.client)), ld.Features, c.want...)
					assert.Empty(t, storeGoroutines())
				})
			}
		}
	}
}

// What Close ends is no outage.
func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		for name, call := range calls {
			runInFakeTime(t, mode+"/"+name, func(t *testing.T, f *fixture) {
				f.options = slices.Concat(options, []FeatureStoreOption{RequestTimeout(0)}) // nothing but Close ends a request
				f.transport.setInterceptor(failing(blackHole))
				for _, open := range []func() ld.FeatureStore{
					func() ld.FeatureStore { return f.newStore() },
					func() ld.FeatureStore { return f.newSDKStore(ld.Config{}) },
					func() ld.FeatureStore { return f.newSDKStore(ld.Config{UseLdd: true}) },
				} {
					store := open()
					result := make(chan error, 1)
					go func() { _, err := call(store, flag("f", 2)); result <- err }()
					synctest.Wait()
					err := store.(io.Closer).Close()
					assert.Equal(t, name == "Init" || name == "Upsert" || name == "Delete", err != nil, "%v", err)
					assert.Error(t, <-result)
					assert.Empty(t, storeGoroutines())
					assert.NoError(t, store.(io.Closer).Close())
				}
				assert.Empty(t, f.log.ofStores("can't be used"))
			})
		}
	}
}

// The store has goroutines only during an outage and for what is under way.
func TestIdleAndClosedStoresHaveNoGoroutine(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		runWithTable(t, mode, func(t *testing.T, f *fixture) {
			told := 0
			store := f.newSDKStore(ld.Config{}, append(options, StatusListener(func(StoreStatus) { told++ }))...)
			require.NoError(t, store.Init(allData(flag("f", 1), flag("g", 1, "f"), segment("s", 1))))
			for _, call := range calls {
				_, err := call(store, flag("f", 2))
				require.NoError(t, err)
			}
			assert.Empty(t, storeGoroutines())
			assert.Equal(t, readWriteActions, f.transport.actions())
			for _, r := range f.transport.recorded() { // other clients, DAX's for one, may not know parameters that were replaced
				assert.NotRegexp(t, `"(AttributesToGet|AttributeUpdates|ConditionalOperator|Expected|KeyConditions|QueryFilter|ScanFilter)":`, string(r.body))
			}
			time.Sleep(time.Minute)
			_, _ = get(store, "f")(), all(store)()
			assert.Empty(t, storeGoroutines())
			f.transport.setInterceptor(failing(brokenConnection))
			require.NoError(t, store.Upsert(ld.Features, flag("f", 3)), "it is kept")
			time.Sleep(time.Minute)
			assert.NotEmpty(t, storeGoroutines())
			synctest.Wait()
			before := told
			assert.NotZero(t, before)
			assert.ErrorContains(t, store.(io.Closer).Close(), "closed before 1 items could be written")
			assert.Len(t, f.log.ofStores("WARN", "closed before 1 items"), 1)
			f.transport.setInterceptor(nil)
			time.Sleep(time.Minute)
			assert.Empty(t, storeGoroutines())
			assert.Equal(t, before, told)
		})
	}
}

// As with other stores, a client of the SDK that is closed can still evaluate flags, and its store can be given to
// another one.
func TestClosedStoreAnswersFromTheTable(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		runWithTable(t, mode, func(t *testing.T, f *fixture) {
			f.options = []FeatureStoreOption{Prefix("p")}
			another, later := f.newStore(CacheTTL(0)), f.newStore(CacheTTL(0))
			told := 0
			store := f.newSDKStore(ld.Config{}, append(options, RequestTimeout(2*time.Second), StatusListener(func(StoreStatus) { told++ }))...)
			require.NoError(t, store.Init(allData(flag("f", 1))))
			assertHas(t, store, flag("f", 1))
			require.NoError(t, store.(io.Closer).Close())
			before := len(f.log.ofStores())
			// Nothing is kept: each call sees what others do, and they what it does.
			for version := 2; version < 10; version += 4 {
				require.NoError(t, another.Upsert(ld.Features, flag("f", version)))
				assertHas(t, store, flag("f", version))
				require.NoError(t, store.Upsert(ld.Features, flag("f", version+1)))
				assertHas(t, later, flag("f", version+1))
				require.NoError(t, store.Delete(ld.Features, "f", version+2))
				assertHas(t, later, nil)
				assertHas(t, store, nil)
				require.NoError(t, store.Init(allData(flag("f", version+3))))
				assertHas(t, later, flag("f", version+3))
				assert.True(t, store.Initialized())
			}
			for _, refused := range []interceptor{failing(noConnection), failing(blackHole), denying()} {
				for name, call := range calls {
					f.transport.setInterceptor(refused)
					assert.LessOrEqual(t, elapsed(func() {
						_, err := call(store, flag("g", 1))
						assert.True(t, err != nil || name == "Initialized", name)
					}), 2*time.Second)
					f.transport.setInterceptor(nil)
					assertHas(t, store, flag("f", 9)) // it does not matter what failed before
					assertGet(t, store, ld.Features, "g", nil)
				}
			}
			time.Sleep(time.Minute)
			assert.Empty(t, storeGoroutines())
			assertHas(t, later, flag("f", 9))
			assert.Zero(t, told)
			assert.Len(t, f.log.ofStores(), before)
		})
	}
}
