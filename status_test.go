package lddynamodb

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// toldStatuses has what a listener was told.
type toldStatuses struct {
	mu       sync.Mutex
	statuses []StoreStatus
}

func (l *toldStatuses) listen(status StoreStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses = append(l.statuses, status)
}

// require checks what the listener was told, and forgets it. An error is written as a part of its text.
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
	l.statuses = nil
}

// requireStatusChanges checks what the SDK was told so far.
func (f *fixture) requireStatusChanges(unavailable, available int) {
	f.tb.Helper()
	synctest.Wait()
	count := func(text string) int { return strings.Count(strings.Join(f.log.all(), "\n"), text) }
	require.Equal(f.tb, unavailable, count("Detected persistent store unavailability"), "changes to unavailable")
	require.Equal(f.tb, available, count("Persistent store is available again"), "changes to available")
}

func TestStatusListener(t *testing.T) {
	t.Parallel()
	for name, options := range outageModes {
		runWithTable(t, name, func(t *testing.T, f *fixture) {
			told := new(toldStatuses)
			store := f.newSDKStore(configLoggingTo(f.log), append(options, StatusListener(told.listen))...)
			require.NoError(t, store.Init(allData(flag("f", 1))))
			require.NoError(t, get(store, "f")())
			time.Sleep(time.Minute)
			told.require(t)
			f.transport.setInterceptor(failing(unknownHost))
			_, err := store.Get(experiments, "x")
			require.Error(t, err)
			time.Sleep(firstPause + timeStep)
			told.require(t, "unsaved 0, GetItem experiments/x")
			time.Sleep(5 * time.Minute)
			told.require(t)
			f.transport.setInterceptor(denying())
			time.Sleep(time.Minute)
			told.require(t, "AccessDeniedException")
			require.NoError(t, store.Upsert(ld.Features, flag("f", 2)))
			time.Sleep(2 * time.Second)
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
			assert.Empty(t, storeGoroutines())
			require.NoError(t, store.Upsert(ld.Features, flag("big", 2)))
			time.Sleep(time.Minute)
			told.require(t, "unsaved 0, available")
			assert.Empty(t, storeGoroutines())
		})
	}
}

// The calls come one at a time, and hold up nothing. They may call the store, and close it. Of what has changed
// meanwhile the latest is told.
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
			_, _, _ = get(store, "f")(), all(store)(), store.Upsert(ld.Features, flag("f", 1))
			time.Sleep(100 * time.Second)
			told = append(told, status.Available)
			if len(told) == 3 {
				assert.NoError(t, store.(io.Closer).Close())
			}
		}))
		for i := range 5 { // 20 seconds each
			f.transport.setInterceptor(failing(unknownHost))
			assert.Zero(t, elapsed(func() { assert.Error(t, upsert(store, flag("g", i))()) }))
			time.Sleep(10 * time.Second)
			f.transport.setInterceptor(nil)
			assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(i+1)), 5*time.Second)
			time.Sleep(10 * time.Second)
		}
		f.transport.setInterceptor(failing(unknownHost))
		assert.Error(t, get(store, "f")())
		time.Sleep(time.Hour)
		synctest.Wait()
		running.Lock()
		defer running.Unlock()
		assert.Equal(t, []bool{false, true, false}, told)
		assert.Empty(t, storeGoroutines())
	})
}

// What follows is what the SDK's wrapper is told. A status that goes back and forth can end in a crash of the
// application, see IsStoreAvailable.

// The SDK reads no status during a write of its own, and takes a store that is available for one that takes what it
// sends.
func TestStoreIsUnavailableDuringWrites(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"PutItem", "BatchWriteItem"} {
		runWithTable(t, action, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0), RequestTimeout(0))
			write := f.holdRequest(action, "").during(func() error { _, err := callOf[action](store, flag("f", 2)); return err })
			for range 10 {
				f.transport.setInterceptor(denying("Query"))
				_, err := store.All(experiments)
				require.Error(t, err)
				f.transport.setInterceptor(nil)
				time.Sleep(denialPause + time.Second)
				f.requireStatusChanges(1, 0)
			}
			write.finish()
			time.Sleep(2 * time.Second) // the SDK's wrapper asks twice a second
			f.requireStatusChanges(1, 1)
		})
	}
}

// Where nobody reads the SDK's channel, ten changes are enough to crash the application when it closes the client. One
// that reads it writes.
func TestStoreIsAvailableOnceForEachWrite(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newSDKStore(configLoggingTo(f.log), CacheTTL(0))
		breakDown := func() {
			t.Helper()
			f.transport.setInterceptor(failing(unknownHost))
			require.Error(t, get(store, "unknown")())
			time.Sleep(time.Second)
			f.transport.setInterceptor(nil)
			time.Sleep(time.Minute)
			require.NoError(t, get(store, "unknown")(), "the store ends its outages all the same")
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
