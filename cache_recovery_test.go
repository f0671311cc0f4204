package lddynamodb

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// sdkPollInterval is how often the SDK's wrapper asks whether the store is
// available again.
const sdkPollInterval = 500 * time.Millisecond

// requireStatusChanges checks what the SDK was told so far.
func (f *fixture) requireStatusChanges(unavailable, available int) {
	f.tb.Helper()
	synctest.Wait()
	count := func(text string) (n int) {
		for _, line := range f.log.all() {
			if strings.Contains(line, text) {
				n++
			}
		}
		return n
	}
	require.Equal(f.tb, unavailable, count("Detected persistent store unavailability"), "changes to unavailable")
	require.Equal(f.tb, available, count("Persistent store is available again"), "changes to available")
}

func TestSDKIsToldOfAnOutageOnce(t *testing.T) {
	t.Parallel()
	for faultName, fault := range faults {
		for modeName, options := range outageModes {
			t.Run(faultName+"/"+modeName, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					store := f.newStore(options...)
					f.transport.setInterceptor(failing(fault.answer))
					for range 20 {
						for name, call := range calls {
							if name != "Initialized" {
								_, _ = call(store, flag("f", 1))
							}
						}
						store.Initialized()
						time.Sleep(time.Second)
					}
					f.requireStatusChanges(1, 0)

					f.transport.setInterceptor(nil)
					time.Sleep(fault.ended + time.Second + sdkPollInterval)
					f.requireStatusChanges(1, 1)
					time.Sleep(time.Hour)
					f.requireStatusChanges(1, 1)
				})
			})
		}
	}
}

// The SDK reads no status during a write of its own, and takes a store that is
// available for one that takes what it sends.
func TestStoreIsUnavailableDuringWritesAndWhileOneWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action string
		write  func(store ld.FeatureStore) func() error
	}{
		"Upsert": {"PutItem", func(s ld.FeatureStore) func() error { return upsert(s, flag("f", 2)) }},
		"Delete": {"PutItem", func(s ld.FeatureStore) func() error {
			return func() error { return s.Delete(ld.Features, "f", 2) }
		}},
		"Init": {"BatchWriteItem", func(s ld.FeatureStore) func() error { return initWith(s, flag("f", 2)) }},
	} {
		t.Run(name+" under way", func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(0), RequestTimeout(0))
				write := f.holdRequest(c.action, "").during(c.write(store))
				for i := range 10 {
					f.transport.setInterceptor(failing(refusals["access denied"].answer, "GetItem"))
					require.Error(t, get(store, "f")())
					f.transport.setInterceptor(nil)
					timeUntil(t, "the end", f.hasEnded(i+1))
					time.Sleep(time.Second)
					f.requireStatusChanges(1, 0)
				}
				write.finish()
				time.Sleep(sdkPollInterval + time.Millisecond)
				f.requireStatusChanges(1, 1)
			})
		})
		t.Run(name+" refused", func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(0))
				f.transport.setInterceptor(denying("PutItem", "BatchWriteItem"))
				require.Error(t, c.write(store)())
				for range 30 {
					require.NoError(t, all(store)())
					time.Sleep(time.Second)
				}
				f.requireStatusChanges(1, 0)
				f.transport.setInterceptor(nil)
				time.Sleep(denialInterval + sdkPollInterval)
				f.requireStatusChanges(1, 1)
			})
		})
	}
}

// Where nobody reads the SDK's channel, ten changes are enough to crash the
// application when it closes the client. One that reads it writes.
func TestStoreIsAvailableOnceForEachWrite(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore(CacheTTL(0))
		breakDown := func() {
			t.Helper()
			ended := len(f.log.ofStores("INFO"))
			f.transport.setInterceptor(failing(noConnection))
			require.Error(t, get(store, "f")())
			f.transport.setInterceptor(nil)
			timeUntil(t, "the end", f.hasEnded(ended+1))
			require.NoError(t, get(store, "f")(), "the store ends its outages all the same")
			time.Sleep(time.Minute)
		}
		breakDown()
		f.requireStatusChanges(1, 1)
		for i, write := range []func() error{
			upsert(store, flag("f", 1)), initWith(store, flag("f", 1)),
			func() error { return store.Delete(ld.Features, "f", 2) },
		} {
			for range 10 {
				breakDown()
				f.requireStatusChanges(i+2, i+1)
			}
			require.NoError(t, write())
			time.Sleep(time.Second)
			f.requireStatusChanges(i+2, i+2)
		}
	})
}

// What no retry mends is no outage to the SDK either.
func TestSDKIsNotToldOfItems(t *testing.T) {
	t.Parallel()
	testUnsaved(t, func(f *unsavedFixture) {
		for key, attributes := range malformedRows {
			item := rowKey{strings.TrimPrefix(f.prefix+":features", ":"), key}.attributes()
			for name, value := range attributes {
				item[name] = value
			}
			f.putRow(item)
		}
		for version := range 3 {
			for key := range malformedRows {
				require.NoError(f.t, get(f.store, key)())
			}
			require.NoError(f.t, all(f.store)())
			require.NoError(f.t, f.store.Upsert(ld.Features, flagOfSize("big", version, maxItemBytes)))
			require.NoError(f.t, f.store.Upsert(ld.Features, flag("", version)))
			require.NoError(f.t, f.store.Upsert(ld.Features, flag("item-null", version)))
			time.Sleep(2 * time.Second)
		}
		require.NoError(f.t, f.store.Init(allKinds(flagOfSize("big", 4, maxItemBytes), flag("f", 3))))
		f.requireStatusChanges(0, 0)
		assert.Empty(f.t, f.log.ofStores("WARN"))
	})
}

// After Close, whatever is going on.
func TestClosedStoreIsAvailable(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		opts, err := newOptions(f.table, []FeatureStoreOption{ClientConfig(f.awsConfig(f.transport))})
		require.NoError(t, err)
		client, err := opts.newClient()
		require.NoError(t, err)
		cache := newCache(opts.newCore(client, configLoggingTo(f.log).Loggers), opts.cacheTTL, opts.staleValues)
		f.transport.setInterceptor(failing(noConnection))
		_, err = cache.UpsertInternal(ld.Features, flag("f", 1))
		require.Error(t, err)
		for range 3 {
			assert.False(t, cache.IsStoreAvailable())
		}
		require.NoError(t, io.Closer(cache).Close())
		for range 3 {
			assert.True(t, cache.IsStoreAvailable())
		}
	})
}
