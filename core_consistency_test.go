package lddynamodb

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// inEventualTime runs a test in fake time, for TTL zero and for a cache, on a
// store with eventual reads. The table holds version 1 of the flag f.
func inEventualTime(t *testing.T, test func(t *testing.T, f *fixture, store ld.FeatureStore)) {
	t.Parallel()
	for mode, ttl := range map[string]time.Duration{"no cache": 0, "expires at once": time.Nanosecond} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				f.transport.setInterceptor(holding(t, flag("f", 1)))
				test(t, f, f.newStore(CacheTTL(ttl), ConsistentReads(false)))
			})
		})
	}
}

// assertReads checks that all reads since the last check were consistent or that
// none was.
func (f *fixture) assertReads(t *testing.T, consistent bool) {
	t.Helper()
	reads := f.transport.recorded("GetItem", "Query")
	require.NotEmpty(t, reads)
	for _, r := range reads {
		var input struct{ ConsistentRead bool }
		require.NoError(t, json.Unmarshal(r.body, &input))
		assert.Equal(t, consistent, input.ConsistentRead, "%s %s", r.action, r.body)
	}
	f.transport.reset()
}

func readAgain(t *testing.T, store ld.FeatureStore) {
	t.Helper()
	time.Sleep(time.Nanosecond) // the TTL
	require.NoError(t, get(store, "f")())
	require.NoError(t, all(store)())
}

func TestReadsAreConsistentByDefault(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(holding(t, flag("f", 1)))
		store := f.newStore()
		require.NoError(t, get(store, "f")())
		require.NoError(t, all(store)())
		f.assertReads(t, true)
	})
}

func TestReadsThatFillTheCacheCanBeEventual(t *testing.T) {
	inEventualTime(t, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		readAgain(t, store)
		f.assertReads(t, false)
	})
}

func TestReadsThatDecideAboutWritesAreConsistent(t *testing.T) {
	inEventualTime(t, func(t *testing.T, f *fixture, store ld.FeatureStore) {
		store.Initialized()
		f.assertReads(t, true)

		require.NoError(t, store.Init(allData(flag("f", 2))))
		f.assertReads(t, true)

		time.Sleep(time.Hour)
		f.transport.setInterceptor(failing(conditionFailed, "PutItem").over(holding(t, flag("f", 1))))
		require.NoError(t, store.Upsert(ld.Features, flag("f", 1)))
		f.assertReads(t, true)
	})
}

// A replica that has not got this process's own write yet would show what was
// before it.
func TestReadsSoonAfterAWriteAreConsistent(t *testing.T) {
	for _, write := range []string{"Upsert", "Delete", "Init"} {
		t.Run(write, func(t *testing.T) {
			inEventualTime(t, func(t *testing.T, f *fixture, store ld.FeatureStore) {
				_, err := calls[write](store, flag("f", 2))
				require.NoError(t, err)
				for _, pause := range []time.Duration{0, time.Second, 3 * time.Second} {
					time.Sleep(pause)
					readAgain(t, store)
					f.assertReads(t, true)
				}
				time.Sleep(time.Minute)
				readAgain(t, store)
				f.assertReads(t, false)
			})
		})
	}
}

// The table can have a write long before the store knows it.
func TestReadsDuringAWriteAreConsistent(t *testing.T) {
	for _, action := range []string{"PutItem", "BatchWriteItem"} {
		t.Run(action, func(t *testing.T) {
			inEventualTime(t, func(t *testing.T, f *fixture, store ld.FeatureStore) {
				held := f.holdRequest(action, "").during(func() error {
					_, err := callOf[action](store, flag("f", 2))
					return err
				})
				f.transport.reset()

				for range 3 {
					time.Sleep(3 * time.Second)
					readAgain(t, store)
					f.assertReads(t, true)
				}
				held.finish()
			})
		})
	}
}
