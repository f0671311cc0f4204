package lddynamodb

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// The keeper never asks for the row that failed, and for as little as it can.
func TestWhenAndWhatTheKeeperAsks(t *testing.T) {
	t.Parallel()
	usual := []int{100, 300, 700, 1500, 2500, 3500, 4500}
	for name, c := range map[string]struct {
		fault interceptor
		call  func(ld.FeatureStore) func() error
		asks  string
		times []int // in milliseconds since the failure
	}{
		"Get": {failing(unknownHost), func(s ld.FeatureStore) func() error { return get(s, "f") }, `"$probe"`, usual},
		"All": {failing(unknownHost), all, `"Limit":1,`, usual},
		"Get, denied": {denying(), func(s ld.FeatureStore) func() error { return get(s, "f") }, `"$probe"`,
			[]int{100, 5500, 10500, 15500}},
		"All, denied": {denying("Query"), all, `"Limit":1,`, []int{100, 5500, 10500, 15500}},
	} {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0))
			var mu sync.Mutex // for what follows
			var times []int
			var began time.Time
			f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				if !began.IsZero() {
					assert.Contains(t, string(r.body), c.asks)
					times = append(times, int(time.Since(began).Milliseconds()))
				}
				return c.fault(r, send)
			})
			require.Error(t, c.call(store)())
			synctest.Wait()
			mu.Lock()
			began = time.Now()
			mu.Unlock()
			time.Sleep(time.Duration(c.times[len(c.times)-1]+1) * time.Millisecond)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			assert.Equal(t, c.times, times)
		})
	}
}

func TestProbesNeverPileUp(t *testing.T) {
	t.Parallel()
	for name, timeout := range map[string]time.Duration{"default": DefaultRequestTimeout, "none": 0, "long": 30 * time.Second} {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0), RequestTimeout(timeout))
			f.transport.setInterceptor(failing(refusals["access denied"].answer))
			for _, call := range calls {
				_, _ = call(store, flag("f", 1))
			}
			var underWay atomic.Int64
			f.transport.setInterceptor(failing(func(r *sentRequest) (*http.Response, error) {
				assert.LessOrEqual(t, underWay.Add(1), int64(2), "a second attempt joins a slow one")
				defer underWay.Add(-1)
				return blackHole(r)
			}))
			time.Sleep(10 * time.Minute)
			assert.NotEmpty(t, f.transport.recorded())
		})
	}
}

// All that fails together is one outage: it has one warning, then one in ten minutes, and one at its end.
func TestOutageFromItsBeginningToItsEnd(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0))
			f.transport.setInterceptor(failing(fault))
			var callers sync.WaitGroup
			for range 5 {
				for _, call := range []func() error{get(store, "f"), get(store, "g"), all(store), upsert(store, flag("u", 1))} {
					callers.Go(func() { assert.Error(t, call()) })
				}
			}
			callers.Wait()
			time.Sleep(12 * time.Minute)
			assert.Len(t, f.log.ofStores("WARN:", `Table "no-table" can't be used: `), 1)
			assert.Len(t, f.log.ofStores("WARN:", `Table "no-table" still can't be used, after 10m`), 1)
			assert.Len(t, f.log.ofStores(), 2)
			f.transport.setInterceptor(nil)
			longest := DefaultRequestTimeout + time.Second
			if name == "throttling" {
				longest = 4 * DefaultRequestTimeout // the AWS SDK's pauses between attempts, for each action
			}
			assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(1)), longest)
			assert.NoError(t, get(store, "f")())
			assert.NoError(t, all(store)())
			assert.Empty(t, storeGoroutines())
			time.Sleep(time.Hour)
			lines := f.log.ofStores()
			require.Len(t, lines, 3)
			assert.Regexp(t, `^WARN: .* can be used again, after .*s$`, lines[2])
		})
	}
}

// An Init needs four actions. What it could not do is done by the others, or when they are allowed again. An outage of
// one kind's writes is none of the other's.
func TestInitOfWhichAPartIsDenied(t *testing.T) {
	t.Parallel()
	items := append(numberedFlags("f", 100), segment("s", 1))
	for name, c := range map[string]struct {
		denied  interceptor
		missing []string // rows that can't be written meanwhile
	}{
		"BatchWriteItem":      {denying("BatchWriteItem"), nil},
		"Query":               {denying("Query"), nil},
		"GetItem":             {denying("GetItem"), nil},
		"PutItem of $inited":  {failingWith(`{"S":"$inited"}`, refusals["access denied"].answer, "PutItem"), []string{"$inited/$inited"}},
		"PutItem":             {denying("PutItem"), []string{"$inited/$inited"}},
		"writes of segments":  {refusingWriteOf("segments/", refusals["access denied"].answer), []string{"segments/s", "$inited/$inited"}},
		"BatchWriteItem slow": {failing(throttled, "BatchWriteItem"), nil},
	} {
		runWithTable(t, name, func(t *testing.T, f *fixture) {
			store := f.newSDKStore(configLoggingTo(f.log), CacheTTL(0))
			f.transport.setInterceptor(c.denied)
			require.NoError(t, store.Init(allData(items...)))
			time.Sleep(30 * time.Second)
			rows := f.rows()
			for _, row := range c.missing {
				assert.NotContains(t, rows, row)
			}
			assert.Len(t, rows, len(items)+1-len(c.missing))
			f.transport.reset()
			time.Sleep(time.Minute)
			assert.LessOrEqual(t, len(f.transport.recorded()), 2*13, "one in five seconds to look, and one to write")
			f.transport.setInterceptor(nil)
			time.Sleep(denialPause + time.Second)
			f.requireHolds(items)
			assert.Empty(t, storeGoroutines())
		})
	}
}

// It is served at once, and written with the rest.
func TestUpdateWhileALateWriteIsUnderWay(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]ld.VersionedData{
		"of another flag": flag("new", 2), "of the one that is being written": flag("f-0", 2), "of a segment": segment("s", 2),
	} {
		for modeName, options := range outageModes {
			runWithTable(t, name+"/"+modeName, func(t *testing.T, f *fixture) {
				store := f.newSDKStore(configLoggingTo(f.log), append(options, RequestTimeout(time.Minute))...)
				items := map[string]ld.VersionedData{}
				for _, item := range append(numberedFlags("f", 100), segment("s", 1)) {
					items[nameOf(item)] = item
				}
				f.transport.setInterceptor(failing(unknownHost))
				require.NoError(t, store.Init(allData(slices.Collect(maps.Values(items))...)))
				time.Sleep(10 * time.Second)
				held := f.holdRequest("PutItem", `"f-0"`)
				f.transport.setInterceptor(nil)
				<-held.arrived
				assert.LessOrEqual(t, elapsed(func() { require.NoError(t, upsert(store, want)()) }), time.Second)
				assertGet(t, store, kindOf(want), want.GetKey(), want)
				time.Sleep(time.Second)
				close(held.released)
				timeUntil(t, "the end", f.hasEnded(1))
				items[nameOf(want)] = want
				f.requireHolds(slices.Collect(maps.Values(items)))
				assertGet(t, store, kindOf(want), want.GetKey(), want)
			})
		}
	}
}

// What waits is written in the order of Init: segments before flags before all else, a flag after those that it needs,
// and last that it is complete.
func TestLateWriteIsInTheOrderOfInit(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newStore()
		f.transport.setInterceptor(failing(noConnection))
		require.Error(t, store.Init(allKinds(
			x(1), flag("top", 1, "middle"), flag("middle", 1, "bottom"), flag("bottom", 1), segment("s", 1))))
		f.transport.reset()
		f.transport.setInterceptor(nil)
		time.Sleep(time.Second)
		assert.Equal(t, []string{
			"segments/s", "features/bottom", "features/middle", "features/top", "experiments/x", "$inited/$inited",
		}, f.transport.written())
		assert.Empty(t, storeGoroutines())
	})
}

// What a late write costs depends on what waits, not on what the table holds. While it is refused, the table is asked
// for one row at a time.
func TestCostOfLateWrites(t *testing.T) {
	t.Parallel()
	const changed = 5
	refusals := map[string]interceptor{"batches denied": denying("BatchWriteItem")}
	maps.Copy(refusals, ways)
	for name, refusing := range refusals {
		runWithTable(t, name, func(t *testing.T, f *fixture) {
			f.options = []FeatureStoreOption{ClientConfig(aws.NewConfig().WithMaxRetries(2))}
			store := f.newStore()
			data := numberedFlags("f", 100)
			require.NoError(t, store.Init(allData(data...)))
			for i := range changed {
				data[i] = flag(data[i].GetKey(), 2)
			}
			f.transport.setInterceptor(refusing)
			require.Error(t, store.Init(allData(data...)))
			f.transport.reset()
			if name != "batches denied" {
				const seconds = 300
				time.Sleep(seconds * time.Second)
				assert.LessOrEqual(t, len(f.transport.recorded()), 4*seconds)
				for _, r := range f.transport.recorded("Query") {
					require.Contains(t, string(r.body), `"Limit":1`)
				}
				f.transport.reset()
				f.transport.setInterceptor(nil)
			}
			time.Sleep(time.Minute)
			assert.Len(t, f.transport.written(), changed)
			assert.LessOrEqual(t, len(f.transport.recorded()), changed+10)
			assert.Empty(t, storeGoroutines())
			f.requireHolds(data)
		})
	}
}

// What a process has seen in the table may not be there any more.
func TestRefusedInitIsWrittenOverWhatWasSetBack(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newStore()
		data := []ld.VersionedData{flag("f", 2), flag("g", 1)}
		require.NoError(t, store.Init(allData(data...)))
		require.NoError(t, f.newStore().Init(allData(flag("f", 1), flag("g", 1))))
		f.transport.setInterceptor(denying("BatchWriteItem"))
		require.Error(t, store.Init(allData(data...)))
		time.Sleep(time.Minute)
		f.requireHolds(data)
	})
}

// What a refused Init left out is served again when an update or another Init brings it back.
func TestUpdateBringsBackWhatARefusedInitLeftOut(t *testing.T) {
	for mode, options := range outageModes {
		runWithTable(t, mode, func(t *testing.T, f *fixture) {
			require.NoError(t, f.newStore().Init(allData(flag("f", 2))))
			store := f.newStore(options...)
			require.NoError(t, all(store)())
			f.transport.setInterceptor(denying("Query"))
			require.Error(t, store.Init(allData()))
			assertGet(t, store, ld.Features, "f", nil)
			require.NoError(t, store.Upsert(ld.Features, flag("f", 2)))
			assertGet(t, store, ld.Features, "f", flag("f", 2))
			f.transport.setInterceptor(denying())
			for version, write := range []func(ld.FeatureStore) error{
				func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2))) },
				func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 3)) },
			} {
				require.Error(t, store.Init(allData()))
				assertGet(t, store, ld.Features, "f", nil)
				require.Error(t, write(store))
				assertGet(t, store, ld.Features, "f", flag("f", version+2))
			}
			f.transport.setInterceptor(nil)
			time.Sleep(time.Minute)
			f.requireHolds([]ld.VersionedData{flag("f", 3)})
		})
	}
}

// A row that DynamoDB holds in the place of an item, and that is no valid one, is replaced if it is older.
func TestMalformedRowInThePlaceOfAnUpdate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attributes rawItem
		replaced   bool
	}{
		"same version":  {rawItem{versionAttribute: number("2"), itemAttribute: text("{")}, false},
		"older version": {rawItem{versionAttribute: number("1"), itemAttribute: text("{")}, true},
		"newer version": {rawItem{versionAttribute: number("3"), itemAttribute: text("{")}, false},
		"no version":    {rawItem{versionAttribute: text("3"), itemAttribute: text("{")}, true},
		"a fraction":    {rawItem{versionAttribute: number("2.5"), itemAttribute: text("{")}, false},
		"only a version that is a fraction": {
			rawItem{versionAttribute: number("2.5"), itemAttribute: text(jsonOf(t, flag("f", 1)))}, false},
	} {
		for _, when := range []string{"at once", "known", "late"} {
			t.Run(name+"/"+when, func(t *testing.T) {
				testUnsaved(t, func(f *unsavedFixture) {
					late := when == "late"
					if late {
						f.transport.setInterceptor(failing(noConnection))
						require.Error(f.t, f.upsert(flag("f", 2)))
					}
					row := rowKey{"features", "f"}.attributes()
					maps.Copy(row, c.attributes)
					f.putRow(row)
					if when == "known" {
						time.Sleep(time.Second)
						f.readAll()
					}
					if late {
						f.recover()
					} else {
						require.NoError(f.t, f.upsert(flag("f", 2)))
						assert.Empty(f.t, f.log.ofStores("WARN"))
					}
					f.checkServed(flag("f", 2), flag("g", 1), segment("s", 1), x(1))
					if c.replaced {
						f.requireHoldsItem(f.rows(), flag("f", 2))
					} else {
						assert.Equal(f.t, c.attributes[itemAttribute], f.rows()["features/f"][itemAttribute])
					}
					assert.Empty(f.t, storeGoroutines())
				})
			})
		}
	}
}
