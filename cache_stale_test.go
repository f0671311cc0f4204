package lddynamodb

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// inStaleTime runs a test for each policy that keeps stale values, in fake time,
// on a store that has read version 1 of the flag f, that there is no flag
// "absent", and the complete set if it is to.
func inStaleTime(t *testing.T, knowsAll bool, test func(t *testing.T, f *fixture, store ld.FeatureStore)) {
	t.Parallel()
	for name, policy := range refreshPolicies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				f.transport.setInterceptor(holding(t, flag("f", 1)))
				store := f.newStore(CacheTTL(time.Minute), StaleValues(policy))
				assertGet(t, store, ld.Features, "f", flag("f", 1))
				assertGet(t, store, ld.Features, "absent", nil)
				if knowsAll {
					assertAll(t, store, ld.Features, flag("f", 1))
				}
				f.transport.reset()
				test(t, f, store)
			})
		})
	}
}

// freshIsServed reads until the store has version 2 of the flag f, and all else
// that it is to have then. One round may serve what is stale.
func freshIsServed(t *testing.T, store ld.FeatureStore) {
	t.Helper()
	for range 2 {
		for _, read := range []func() error{get(store, "f"), get(store, "absent"), all(store)} {
			require.NoError(t, read())
		}
		synctest.Wait()
	}
	assertGet(t, store, ld.Features, "f", flag("f", 2))
	assertGet(t, store, ld.Features, "absent", nil)
	assertAll(t, store, ld.Features, flag("f", 2))
}

func TestStaleValuesAreServedDuringAnOutage(t *testing.T) {
	inStaleTime(t, true, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		time.Sleep(time.Minute)
		f.transport.setInterceptor(denying())

		const outage, every = 9 * time.Minute, 100 * time.Millisecond
		for range outage / every {
			assertGet(t, store, ld.Features, "f", flag("f", 1))
			assertGet(t, store, ld.Features, "absent", nil)
			assertAll(t, store, ld.Features, flag("f", 1))
			time.Sleep(every)
		}

		for _, action := range readActions {
			const calls = 2 * 2 // at most a read and its trial for each value that was known
			requests := len(f.transport.recorded(action))
			assert.Greater(t, requests, calls, "%s: the store looks for the outage's end", action)
			assert.LessOrEqual(t, requests, calls+int(outage/denialInterval), action)
		}
		assert.Len(t, f.log.ofStores(), 1)
		assert.Len(t, f.log.ofStores("WARN", f.table, "AccessDenied"), 1)

		f.transport.setInterceptor(holding(t, flag("f", 2)))
		time.Sleep(denialInterval + retryInterval)

		freshIsServed(t, store)
		assert.Len(t, f.log.ofStores(), 2)
		assert.Len(t, f.log.ofStores("INFO", f.table), 1)
	})
}

// A process in daemon mode may never call All.
func TestStaleItemsNeedNoCompleteSet(t *testing.T) {
	inStaleTime(t, false, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		time.Sleep(time.Hour)
		f.transport.setInterceptor(denying())
		for range 100 {
			assertGet(t, store, ld.Features, "f", flag("f", 1))
			assertGet(t, store, ld.Features, "absent", nil)
			time.Sleep(time.Millisecond)
		}
		assert.LessOrEqual(t, len(f.transport.recorded()), 4, "for each value at most a read and its trial")
		assert.Error(t, get(store, "never read")(), "there is nothing to serve")
		assert.Error(t, all(store)(), "there is nothing to serve")
	})
}

// Also where it takes long to find out, it is found out only once.
func TestCallsDoNotWaitForAnOutageOneByOne(t *testing.T) {
	inStaleTime(t, true, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		time.Sleep(time.Hour)
		f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
			return blackHole(r)
		})
		begin := time.Now()
		assertGet(t, store, ld.Features, "f", flag("f", 1))
		synctest.Wait()
		time.Sleep(noAnswerAfter + minPatience - time.Since(begin)) // where the first call did not wait
		synctest.Wait()

		begin = time.Now()
		for range 1000 {
			assertGet(t, store, ld.Features, "f", flag("f", 1))
			assertAll(t, store, ld.Features, flag("f", 1))
		}
		assert.Zero(t, time.Since(begin))
	})
}

// An application may call All alone. Once a read and its trial have failed, no
// call makes a further one.
func TestAllAloneFindsOutAboutAnOutage(t *testing.T) {
	inStaleTime(t, true, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		time.Sleep(time.Hour)
		f.transport.setInterceptor(denying())
		for range 100 {
			assertAll(t, store, ld.Features, flag("f", 1))
			synctest.Wait()
		}
		assert.Len(t, f.transport.recorded("Query"), 2)
		assert.Empty(t, f.transport.recorded("GetItem"))
	})
}

func TestStaleValuesEvicted(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(holding(t, flag("f", 1)))
		store := f.newStore(CacheTTL(time.Minute), StaleValues(EvictStaleValues))
		assertGet(t, store, ld.Features, "f", flag("f", 1))
		assertAll(t, store, ld.Features, flag("f", 1))
		f.transport.setInterceptor(denying())
		time.Sleep(time.Minute - time.Minute/spread - time.Nanosecond)
		assertGet(t, store, ld.Features, "f", flag("f", 1))
		assertAll(t, store, ld.Features, flag("f", 1))

		time.Sleep(time.Minute/spread + time.Nanosecond)

		assert.Error(t, get(store, "f")())
		assert.Error(t, all(store)())
	})
}

func TestStaleValuesAreRefreshedByDefault(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(holding(t, flag("f", 1)))
		store := f.newStore()
		assertHas(t, store, flag("f", 1))
		time.Sleep(time.Hour)
		f.transport.setInterceptor(denying())
		assertHas(t, store, flag("f", 1))
		f.transport.setInterceptor(holding(t, flag("f", 2)))

		time.Sleep(time.Hour)

		assertHas(t, store, flag("f", 2))
	})
}

// With a negative TTL nothing is ever stale, so that a policy makes no
// difference: what is not known is an error during an outage.
func TestStaleValuesMakeNoDifferenceForEver(t *testing.T) {
	t.Parallel()
	for name, policy := range refreshPolicies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				f.transport.setInterceptor(holding(t, flag("f", 1)))
				store := f.newStore(CacheTTL(-1), StaleValues(policy))
				assertAll(t, store, ld.Features, flag("f", 1))
				f.transport.setInterceptor(denying())
				time.Sleep(1000 * time.Hour)

				assertGet(t, store, ld.Features, "f", flag("f", 1))
				assertAll(t, store, ld.Features, flag("f", 1))
				assert.Error(t, get(store, "absent")())
			})
		})
	}
}

func TestStaleValuesAreWhatThisProcessWroteLast(t *testing.T) {
	for name, c := range map[string]struct {
		write func(ld.FeatureStore) error
		want  []ld.VersionedData
	}{
		"update": {func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 2)) }, []ld.VersionedData{flag("f", 2)}},
		"delete": {func(s ld.FeatureStore) error { return s.Delete(ld.Features, "f", 2) }, nil},
		"Init":   {func(s ld.FeatureStore) error { return s.Init(allData(flag("g", 1))) }, []ld.VersionedData{flag("g", 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			inStaleTime(t, true, func(t *testing.T, f *fixture, store ld.FeatureStore) {
				time.Sleep(time.Hour)
				require.NoError(t, c.write(store))
				time.Sleep(time.Hour)
				f.transport.setInterceptor(denying())

				for range 3 {
					assertAll(t, store, ld.Features, c.want...)
					for _, item := range c.want {
						assertGet(t, store, ld.Features, item.GetKey(), item)
					}
					if len(c.want) == 0 || c.want[0].GetKey() != "f" {
						assertGet(t, store, ld.Features, "f", nil)
					}
					synctest.Wait()
				}
			})
		})
	}
}

// An item that was seen to be gone does not come back from the stale complete
// set.
func TestStaleItemsDoNotComeBack(t *testing.T) {
	inStaleTime(t, true, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		f.transport.setInterceptor(holding(t))
		time.Sleep(time.Hour)
		require.NoError(t, get(store, "f")())
		synctest.Wait()
		assertGet(t, store, ld.Features, "f", nil)
		f.transport.setInterceptor(denying())
		time.Sleep(time.Hour)

		for range 3 {
			assertGet(t, store, ld.Features, "f", nil)
			assertAll(t, store, ld.Features)
			synctest.Wait()
		}
	})
}

// A row that is malformed by now is no outage, but its last good version is
// better than none.
func TestStaleItemIsServedForAMalformedRow(t *testing.T) {
	inStaleTime(t, false, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
			return answer(r, http.StatusOK, `{"Item":{"version":{"N":"2"},"item":{"S":"{"}}}`), nil
		})
		time.Sleep(time.Hour)
		for range 3 {
			assertGet(t, store, ld.Features, "f", flag("f", 1))
			synctest.Wait()
		}
		assert.Empty(t, f.log.ofStores("can't be used"))
	})
}

// Else each evaluation would read the row again, since this is no outage.
func TestMalformedRowIsReadOnceATTLWhereAStaleItemIsServed(t *testing.T) {
	inStaleTime(t, false, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		time.Sleep(time.Hour)
		f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
			return answer(r, http.StatusOK, `{"Item":{"key":{"S":"f"},"version":{"N":"2"},"item":{"S":"{"}}}`), nil
		})
		for range 100 {
			assertGet(t, store, ld.Features, "f", flag("f", 1))
			synctest.Wait()
		}
		assert.Len(t, f.transport.recorded("GetItem"), 1)
	})
}

func TestRefreshStaleValuesWaitsForTheTable(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(holding(t, flag("f", 1)))
		store := f.newStore(CacheTTL(time.Minute), StaleValues(RefreshStaleValues))
		assertGet(t, store, ld.Features, "f", flag("f", 1))
		assertAll(t, store, ld.Features, flag("f", 1))
		time.Sleep(time.Minute)
		f.transport.setInterceptor(holding(t, flag("f", 2)))

		assertGet(t, store, ld.Features, "f", flag("f", 2))
		assertAll(t, store, ld.Features, flag("f", 2))
	})
}

// inAsyncTime runs a test in fake time, on a store that has read flags, which have
// expired.
func inAsyncTime(t *testing.T, flags int, test func(t *testing.T, f *fixture, store ld.FeatureStore)) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		var all []*ld.FeatureFlag
		for i := range flags {
			all = append(all, flag(fmt.Sprintf("f%d", i), 1))
		}
		f.transport.setInterceptor(holding(t, all...))
		store := f.newStore(CacheTTL(time.Minute), StaleValues(RefreshStaleValuesAsync))
		for _, one := range all {
			assertGet(t, store, ld.Features, one.Key, one)
		}
		_, err := store.All(ld.Features)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		f.transport.reset()
		test(t, f, store)
	})
}

func TestAsyncRefreshKeepsNobodyWaiting(t *testing.T) {
	inAsyncTime(t, 1, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		released := make(chan struct{})
		fresh := holding(t, flag("f0", 2))
		f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			<-released
			return fresh(r, send)
		})
		begin := time.Now()
		for range 100 {
			assertGet(t, store, ld.Features, "f0", flag("f0", 1))
			assertAll(t, store, ld.Features, flag("f0", 1))
			synctest.Wait()
		}
		assert.Zero(t, time.Since(begin))
		assert.Len(t, f.transport.recorded("GetItem"), 1, "one at a time for an item")
		assert.Len(t, f.transport.recorded("Query"), 1, "and for the complete set")

		close(released)
		synctest.Wait()

		assertGet(t, store, ld.Features, "f0", flag("f0", 2))
		assertAll(t, store, ld.Features, flag("f0", 2))
		assert.Len(t, f.transport.recorded(), 2)
	})
}

func TestAsyncRefreshesAreBounded(t *testing.T) {
	const flags = 5 * maxRefreshes
	inAsyncTime(t, flags, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		released := make(chan struct{})
		var fresh []*ld.FeatureFlag
		for i := range flags {
			fresh = append(fresh, flag(fmt.Sprintf("f%d", i), 2))
		}
		respond := holding(t, fresh...)
		f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			<-released
			return respond(r, send)
		})
		getAll := func() (refreshed int) {
			for _, one := range fresh {
				item, err := store.Get(ld.Features, one.Key)
				require.NoError(t, err)
				refreshed += item.GetVersion() - 1
			}
			synctest.Wait()
			return refreshed
		}
		assert.Zero(t, getAll())
		assert.Len(t, f.transport.recorded(), maxRefreshes)

		close(released)
		for range 2 * flags / maxRefreshes {
			synctest.Wait()
			getAll()
		}
		assert.Equal(t, flags, getAll())
		assert.Len(t, f.transport.recorded(), flags)
	})
}

// The fake time's end would report a refresh that goes on after Close.
func TestCloseEndsAsyncRefreshes(t *testing.T) {
	inAsyncTime(t, 1, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
			return blackHole(r)
		})
		assertGet(t, store, ld.Features, "f0", flag("f0", 1))
		synctest.Wait()
		require.Len(t, f.transport.recorded(), 1)

		begin := time.Now()
		require.NoError(t, store.(io.Closer).Close())

		assert.Zero(t, time.Since(begin))
		assertGet(t, store, ld.Features, "f0", flag("f0", 1))
		synctest.Wait()
		assert.Len(t, f.transport.recorded(), 1, "a closed store refreshes nothing")
		assert.Empty(t, f.log.ofStores())
	})
}

func TestMalformedRowStaysOutOfAllAfterGet(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(holding(t, flag("f", 1)))
		store := f.newStore(CacheTTL(time.Minute))
		assertAll(t, store, ld.Features, flag("f", 1))

		const malformed = `{"key":{"S":"f"},"version":{"N":"2"},"item":{"S":"null"}}`
		f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
			if r.action == "Query" {
				return answer(r, http.StatusOK, `{"Items":[`+malformed+`]}`), nil
			}
			return answer(r, http.StatusOK, `{"Item":`+malformed+`}`), nil
		})
		time.Sleep(time.Minute)
		assertAll(t, store, ld.Features)
		assertGet(t, store, ld.Features, "f", flag("f", 1))
		assertAll(t, store, ld.Features)
	})
}
