package lddynamodb

import (
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

// The keeper never asks for the row that failed, and for as little as it can.
func TestWhenAndWhatTheKeeperAsks(t *testing.T) {
	t.Parallel()
	usual := []int64{100, 300, 700, 1500, 2500, 3500, 4500}
	for name, c := range map[string]struct {
		fault interceptor
		call  func(ld.FeatureStore) func() error
		asks  string
		times []int64 // in milliseconds since the failure
	}{
		"Get": {failing(unknownHost), func(s ld.FeatureStore) func() error { return get(s, "f") }, `"$probe"`, usual},
		"All": {failing(unknownHost), all, `"Limit":1,`, usual},
		"Get, denied": {denying(), func(s ld.FeatureStore) func() error { return get(s, "f") }, `"$probe"`,
			[]int64{100, 5500, 10500, 15500}},
		"All, denied": {denying("Query"), all, `"Limit":1,`, []int64{100, 5500, 10500, 15500}},
	} {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0))
			var mu sync.Mutex // for what follows
			var times []int64
			var began time.Time
			f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				if !began.IsZero() {
					assert.Contains(t, string(r.body), c.asks)
					times = append(times, time.Since(began).Milliseconds())
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

// All that fails together is one outage: it has one warning, then one in ten minutes,
// and one at its end.
func TestOutageFromItsBeginningToItsEnd(t *testing.T) {
	t.Parallel()
	for faultName, fault := range faults {
		for timeoutName, timeout := range map[string]time.Duration{"default": DefaultRequestTimeout, "long": 90 * time.Second} {
			runInFakeTime(t, faultName+"/"+timeoutName, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(0), RequestTimeout(timeout))
				f.transport.setInterceptor(failing(fault))
				began := time.Now()
				var callers sync.WaitGroup
				for range 5 {
					for _, key := range []string{"f", "g"} {
						callers.Go(func() { assert.Error(t, get(store, key)()) })
					}
					callers.Go(func() { assert.Error(t, all(store)()) })
					callers.Go(func() { assert.Error(t, store.Upsert(ld.Features, flag("u", 1))) })
				}
				callers.Wait()
				time.Sleep(35 * time.Minute)
				assert.Len(t, f.log.ofStores("WARN:", `Table "no-table" can't be used: `), 1)
				reminders := len(f.log.ofStores("WARN:", `Table "no-table" still can't be used, after `))
				assert.InDelta(t, 3, reminders, timeout.Minutes(), "they wait for the end of a look")
				assert.Len(t, f.log.ofStores(), 1+reminders)

				f.transport.setInterceptor(nil)
				longest := timeout + time.Second
				if faultName == "throttling" {
					longest = 4 * timeout // the AWS SDK's pauses between attempts, for each action
				}
				assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(1)), longest)
				lasted := time.Since(began)
				assert.NoError(t, get(store, "f")())
				assert.NoError(t, all(store)())
				assert.Empty(t, storeGoroutines())
				time.Sleep(time.Hour)
				lines := f.log.ofStores()
				require.Len(t, lines, 2+reminders)
				assert.Regexp(t, `^WARN: .* can be used again, after .*; items that were written late: 1$`, lines[1+reminders])
				assert.InDelta(t, lasted.Seconds(), loggedDuration(t, lines[1+reminders]).Seconds(), 4*timeout.Seconds())
			})
		}
	}
}

// loggedDuration is how long an outage lasted, by the line about its end.
func loggedDuration(t *testing.T, line string) time.Duration {
	t.Helper()
	found := regexp.MustCompile(`after ([^;]*)`).FindStringSubmatch(line)
	require.Len(t, found, 2, line)
	lasted, err := time.ParseDuration(found[1])
	require.NoError(t, err)
	return lasted
}

// An Init needs four actions. What it could not do is done by the others, or when
// they are allowed again. An outage of one kind's writes is none of the other's.
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
		"PutItem of $inited":  {onPartition("$inited", "PutItem", refusals["access denied"].answer), []string{"$inited/$inited"}},
		"PutItem":             {denying("PutItem"), []string{"$inited/$inited"}},
		"writes of segments":  {denyingWritesOf("segments"), []string{"segments/s", "$inited/$inited"}},
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

func denyingWritesOf(partition string) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		for _, name := range rowNames(r.writeRequests()) {
			if strings.HasPrefix(name, partition+"/") {
				return refusals["access denied"].answer(r)
			}
		}
		return send()
	}
}

// It is served at once, and written with the rest.
func TestUpdateWhileALateWriteIsUnderWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		update func(ld.FeatureStore) error
		want   ld.VersionedData
	}{
		"of another flag":   {func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("new", 2)) }, flag("new", 2)},
		"of one that waits": {func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f-7", 2)) }, flag("f-7", 2)},
		"of the one that is being written": {
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f-0", 2)) }, flag("f-0", 2)},
		"of a segment": {func(s ld.FeatureStore) error { return s.Upsert(ld.Segments, segment("s", 2)) }, segment("s", 2)},
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

				assert.LessOrEqual(t, elapsed(func() { require.NoError(t, c.update(store)) }), time.Second)
				assertGet(t, store, kindOf(c.want), c.want.GetKey(), c.want)
				time.Sleep(time.Second)
				close(held.released)

				timeUntil(t, "the end", f.hasEnded(1))
				items[nameOf(c.want)] = c.want
				f.requireHolds(slices.Collect(maps.Values(items)))
				assertGet(t, store, kindOf(c.want), c.want.GetKey(), c.want)
			})
		}
	}
}

// What fails while the keeper goes to rest must not be left without one.
func TestWorkThatComesWhileTheKeeperGoesToRest(t *testing.T) {
	t.Parallel()
	s := newStore(&table{name: "no-table"}, ldlog.Loggers{}, nil)
	t.Cleanup(func() { _ = s.Close() })
	r := s.replica(ld.Features)
	s.keeper.isRunning.Store(true)
	r.mu.Lock() // rest asks the replica after the outage
	rested, woken := make(chan struct{}), make(chan struct{})
	go func() { defer close(rested); s.rest() }()
	for s.keeper.mu.TryLock() {
		s.keeper.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond) // if that is too short, the test shows nothing
	s.outage.note(target{action: getItem}, 0, errors.New("no connection"))
	go func() { defer close(woken); s.wake() }()
	select {
	case <-woken:
	case <-time.After(10 * time.Millisecond): // it waits for rest to end
	}
	r.mu.Unlock()
	<-rested
	<-woken
	assert.True(t, s.keeper.isRunning.Load())
}
