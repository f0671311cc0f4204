package lddynamodb

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// Things expire in the last tenth of their TTL, and never after it.
func TestEverythingExpiresAfterOneTTL(t *testing.T) {
	t.Parallel()
	const moment = time.Nanosecond
	for _, ttl := range []time.Duration{time.Microsecond, 15 * time.Millisecond, time.Second, DefaultCacheTTL, 36 * time.Hour} {
		for name, read := range map[string]func(ld.FeatureStore) error{
			"an item":          func(s ld.FeatureStore) error { return get(s, "f")() },
			"an absent item":   func(s ld.FeatureStore) error { return get(s, "absent")() },
			"the complete set": func(s ld.FeatureStore) error { return all(s)() },
			"no data set yet":  func(s ld.FeatureStore) error { s.Initialized(); return nil },
		} {
			t.Run(fmt.Sprintf("%s, %s", name, ttl), func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					f.transport.setInterceptor(holding(t, flag("f", 1)))
					store := f.newStore(CacheTTL(ttl))
					for reads := range 4 {
						assert.Len(t, f.transport.recorded(), reads)
						require.NoError(t, read(store))
						require.Len(t, f.transport.recorded(), reads+1)
						for _, pause := range []time.Duration{ttl / 3, ttl - ttl/3 - ttl/spread - moment} {
							time.Sleep(pause)
							require.NoError(t, read(store))
							require.Len(t, f.transport.recorded(), reads+1)
						}
						time.Sleep(ttl/spread + moment)
					}
				})
			})
		}
	}
}

// Processes that start together would read together for ever, were it not for
// expiries at random moments, of each item and of each complete set.
func TestExpiriesAreSpread(t *testing.T) {
	t.Parallel()
	const n, ttl = 200, time.Minute
	for name, read := range map[string]func(stores []ld.FeatureStore, i int) error{
		"items":         func(s []ld.FeatureStore, i int) error { return get(s[0], fmt.Sprint("f", i))() },
		"absent items":  func(s []ld.FeatureStore, i int) error { return get(s[0], fmt.Sprint("absent", i))() },
		"complete sets": func(s []ld.FeatureStore, i int) error { return all(s[i])() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				var flags []*ld.FeatureFlag
				var stores []ld.FeatureStore
				for i := range n {
					flags = append(flags, flag(fmt.Sprint("f", i), 1))
					stores = append(stores, f.newStore(CacheTTL(ttl)))
				}
				f.transport.setInterceptor(holding(t, flags...))
				readAll := func() (requests int) {
					f.transport.reset()
					for i := range n {
						require.NoError(t, read(stores, i))
					}
					return len(f.transport.recorded())
				}
				require.Equal(t, n, readAll())

				time.Sleep(ttl - ttl/spread/2)

				assert.InDelta(t, n/2, readAll(), n/4)
			})
		})
	}
}

// Updates don't prolong the life of the complete set, which would keep changes
// by other processes out of it for as long as there are updates.
func TestUpdatesKeepTheExpiryOfTheCompleteSet(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(holding(t, flag("f", 1), flag("g", 1)))
		store := f.newStore(CacheTTL(time.Minute))
		assertAll(t, store, ld.Features, flag("f", 1), flag("g", 1))
		time.Sleep(40 * time.Second)
		require.NoError(t, store.Upsert(ld.Features, flag("f", 2)))
		assertAll(t, store, ld.Features, flag("f", 2), flag("g", 1))
		require.Len(t, f.transport.recorded("Query"), 1)
		f.transport.setInterceptor(holding(t, flag("f", 2), flag("g", 2)))

		time.Sleep(20 * time.Second)

		assertAll(t, store, ld.Features, flag("f", 2), flag("g", 2))
		assert.Len(t, f.transport.recorded("Query"), 2)
	})
}

func TestConcurrentMissesShareARequest(t *testing.T) {
	t.Parallel()
	reads := map[string]func(ld.FeatureStore) (ld.VersionedData, error){
		"Initialized": func(s ld.FeatureStore) (ld.VersionedData, error) { s.Initialized(); return flag("f", 1), nil },
	}
	for _, r := range overtaken {
		reads[r.name] = r.read
	}
	for name, read := range reads {
		for outcome, respond := range map[string]interceptor{
			"a result":         holding(t, flag("f", 1)),
			"an error":         denying(),
			"a broken network": failing(brokenConnection),
		} {
			if name == "Initialized" && outcome != "a result" {
				continue // it has no error
			}
			t.Run(name+", "+outcome, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					const callers = 50
					released := make(chan struct{})
					f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
						<-released
						return respond(r, send)
					})
					store := f.newStore(ClientConfig(f.awsConfig(f.transport).WithMaxRetries(0)))
					var found, failed atomic.Int64
					for range callers {
						go func() {
							if item, err := read(store); err != nil {
								failed.Add(1)
							} else if item != nil {
								found.Add(1)
							}
						}()
					}
					synctest.Wait()
					require.Len(t, f.transport.recorded(), 1)

					close(released)
					synctest.Wait()

					if outcome == "a result" {
						assert.Len(t, f.transport.recorded(), 1)
						assert.EqualValues(t, callers, found.Load())
						return
					}
					assert.Len(t, f.transport.recorded(), 2, "it is tried once more")
					assert.EqualValues(t, callers, failed.Load())
					f.transport.setInterceptor(holding(t, flag("f", 1)))
					time.Sleep(time.Minute) // the store notices the end of the outage
					item, err := read(store)
					require.NoError(t, err, "errors are not cached")
					assert.Equal(t, flag("f", 1), item)
				})
			})
		}
	}
}

func TestInitializedIsAskedForUntilItIsTrue(t *testing.T) {
	t.Parallel()
	// The row has its keys only, but for the store any attributes will do.
	initialized := func(t *testing.T) interceptor { return holding(t, flag(initedKey, 1)) }
	for mode, ttl := range cachingTTLs {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(ttl))
				for range 10 {
					assert.False(t, store.Initialized())
				}
				assert.Len(t, f.transport.recorded(), 1)
				f.transport.setInterceptor(initialized(t))

				time.Sleep(max(ttl, DefaultCacheTTL)) // a process with a negative TTL has to notice at some time

				for range 10 {
					assert.True(t, store.Initialized())
					time.Sleep(100 * time.Hour)
				}
				assert.Len(t, f.transport.recorded(), 2)
			})
		})
		t.Run(mode+", after an Init", func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(ttl))
				assert.False(t, store.Initialized())
				require.NoError(t, store.Init(allData()))
				f.transport.reset()

				assert.True(t, store.Initialized())
				assert.Empty(t, f.transport.recorded())
			})
		})
	}
	t.Run("TTL zero", func(t *testing.T) {
		t.Parallel()
		inFakeTime(t, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0))
			for range 3 {
				assert.False(t, store.Initialized())
			}
			assert.Len(t, f.transport.recorded(), 3)
		})
	})
}

// A closed store forgets what it has cached when it would have.
func TestExpiryGoesOnAfterClose(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(holding(t, flag("f", 1)))
		store := f.newStore(CacheTTL(time.Minute), StaleValues(EvictStaleValues))
		require.NoError(t, get(store, "f")())
		require.NoError(t, store.(io.Closer).Close())

		time.Sleep(time.Minute - time.Minute/spread - time.Nanosecond)
		assert.NoError(t, get(store, "f")())
		time.Sleep(time.Minute/spread + time.Nanosecond)
		assert.Error(t, get(store, "f")())
	})
}
