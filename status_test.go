package lddynamodb

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// toldStatuses has what a listener was told, and when.
type toldStatuses struct {
	mu       sync.Mutex
	statuses []StoreStatus
	times    []time.Time
}

func (l *toldStatuses) listen(status StoreStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses = append(l.statuses, status)
	l.times = append(l.times, time.Now())
}

// require checks what the listener was told, and forgets it. An error is written
// as a part of its text.
func (l *toldStatuses) require(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Len(t, l.statuses, len(want), "%v", l.statuses)
	for i, status := range l.statuses {
		require.Equal(t, status.Available, status.Err == nil)
		text := fmt.Sprintf("unsaved %d, available", status.Unsaved)
		if !status.Available {
			text = fmt.Sprintf("unsaved %d, %s", status.Unsaved, status.Err)
		}
		require.Contains(t, text, want[i])
	}
	l.statuses, l.times = nil, nil
}

func TestStatusListener(t *testing.T) {
	t.Parallel()
	for name, options := range outageModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				told := new(toldStatuses)
				store := f.newStore(append(options, StatusListener(told.listen))...)
				require.NoError(t, store.Init(allData(flag("f", 1))))
				require.NoError(t, get(store, "f")())
				time.Sleep(time.Minute)
				told.require(t)

				f.transport.setInterceptor(failing(noConnection))
				_, err := store.Get(experiments, "x")
				require.Error(t, err)
				told.require(t, "unsaved 0, GetItem experiments/x")
				time.Sleep(time.Minute)
				told.require(t)

				f.transport.setInterceptor(denying())
				time.Sleep(time.Minute)
				told.require(t, "add it to their IAM policy")

				require.Error(t, store.Upsert(ld.Features, flag("f", 2)))
				told.require(t, "unsaved 1, ")
				require.NoError(t, store.Upsert(ld.Features, flagOfSize("big", 1, maxItemBytes)))
				time.Sleep(time.Minute)
				told.require(t, "unsaved 2, ")

				f.transport.setInterceptor(nil)
				time.Sleep(time.Minute)
				synctest.Wait()
				told.mu.Lock()
				told.statuses = told.statuses[len(told.statuses)-1:] // it may be written before the outage ends
				told.mu.Unlock()
				told.require(t, "unsaved 1, available")

				require.NoError(t, store.Upsert(ld.Features, flag("big", 2)))
				time.Sleep(time.Minute)
				told.require(t, "unsaved 0, available")
				assert.Empty(t, storeGoroutines())
			})
		})
	}
}

// Of changes of the number alone, the latest is told once a second.
func TestStatusListenerIsToldOfUnsavedItemsOnceASecond(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		told := new(toldStatuses)
		store := f.newStore(StatusListener(told.listen))
		f.transport.setInterceptor(denying())
		for i := range 250 {
			require.Error(t, store.Upsert(ld.Features, flag(fmt.Sprint(i), 1)))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		told.mu.Lock()
		assert.InDelta(t, 4, len(told.statuses), 1)
		for i := range told.statuses[1:] {
			assert.GreaterOrEqual(t, told.times[i+1].Sub(told.times[i]), time.Second)
			assert.Greater(t, told.statuses[i+1].Unsaved, told.statuses[i].Unsaved)
		}
		assert.Equal(t, 250, told.statuses[len(told.statuses)-1].Unsaved)
		told.mu.Unlock()

		f.transport.setInterceptor(nil)
		time.Sleep(time.Minute)
		told.mu.Lock()
		defer told.mu.Unlock()
		last := told.statuses[len(told.statuses)-1]
		assert.Equal(t, StoreStatus{Available: true}, last)
	})
}

// A read can find that another process has stored a newer version of an item that
// this one could not.
func TestStatusListenerIsToldOfARowThatReplacesAnUnsavedItem(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(ld.FeatureStore) func() error{
		"Get": func(s ld.FeatureStore) func() error { return get(s, "big") }, "All": all,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				told := new(toldStatuses)
				store := f.newStore(CacheTTL(0), StatusListener(told.listen))
				require.NoError(t, store.Upsert(ld.Features, flagOfSize("big", 1, maxItemBytes)))
				time.Sleep(time.Minute)
				told.require(t, "unsaved 1, available")
				require.NoError(t, f.newStore(DynamoClient(f.client)).Upsert(ld.Features, flag("big", 2)))

				require.NoError(t, read(store)())

				time.Sleep(time.Minute)
				told.require(t, "unsaved 0, available")
			})
		})
	}
}

// The calls come one at a time, and hold up nothing. They may call the store, and
// close it.
func TestStatusListenerMayTakeItsTimeAndUseTheStore(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		var store ld.FeatureStore
		var running sync.Mutex
		var told []bool
		store = f.newStore(CacheTTL(0), StatusListener(func(status StoreStatus) {
			if !running.TryLock() {
				t.Error("two calls at the same time")
				return
			}
			defer running.Unlock()
			for _, call := range calls {
				_, _ = call(store, flag("f", 1))
			}
			time.Sleep(20 * time.Second)
			told = append(told, status.Available)
			if len(told) == 4 {
				assert.NoError(t, store.(io.Closer).Close())
			}
		}))
		for i := range 2 {
			f.transport.setInterceptor(failing(noConnection))
			assert.LessOrEqual(t, elapsed(func() { assert.Error(t, upsert(store, flag("g", i))()) }), time.Second)
			time.Sleep(15 * time.Second)
			f.transport.setInterceptor(nil)
			assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(i+1)), 2*time.Second+timeStep)
			time.Sleep(25 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		running.Lock()
		defer running.Unlock()
		assert.Equal(t, []bool{false, true, false, true}, told)
		assert.Empty(t, storeGoroutines())
	})
}

// Nothing is left of what there was to tell.
func TestClosedStoreTellsNothing(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		told := new(toldStatuses)
		store := f.newStore(StatusListener(told.listen))
		f.transport.setInterceptor(denying())
		require.Error(t, store.Upsert(ld.Features, flag("f", 1)))
		told.require(t, "unsaved 1, PutItem features/f")
		require.Error(t, store.Upsert(ld.Features, flag("g", 1))) // a second later it would be told
		require.NoError(t, store.(io.Closer).Close())
		require.Error(t, store.Upsert(ld.Features, flag("h", 1)))
		time.Sleep(time.Minute)
		told.require(t)
		assert.Empty(t, storeGoroutines())
	})
}
