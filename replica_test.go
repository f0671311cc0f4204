package lddynamodb

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// The time of day jumps if a machine was suspended, and if its clock is set.
func TestFreshnessGoesByTheClock(t *testing.T) {
	const ttl = time.Minute
	stored := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	for now, want := range map[time.Duration]bool{
		0: true, ttl - 1: true,
		ttl: false, time.Hour: false, // suspended
		-1: false, -time.Hour: false, // set back
	} {
		assert.Equal(t, want, isFresh(stored+int64(ttl), ttl, stored+int64(now)), now)
		assert.True(t, isFresh(math.MaxInt64, -1, stored+int64(now)), "for ever, %s", now)
		assert.False(t, isFresh(0, 0, stored+int64(now)), "not at all, %s", now)
	}
}

// A process can be made to ask for any number of keys that don't exist.
func TestAbsentKeysTakeLittleMemory(t *testing.T) {
	for mode, ttl := range cachingTTLs {
		for name, c := range map[string]struct{ keys, length, most int }{
			"many": {5 * maxAbsent, 10, maxAbsent}, "long": {5000, maxSortKeyBytes, maxAbsentBytes / maxSortKeyBytes},
		} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				r := newReplica(ld.Features, "features", ttl, true)
				before := heapInUse()
				hits := 0
				for i := range c.keys {
					key := fmt.Sprintf("%0*d", c.length, i)
					r.note(r.begin(true), &found{key: key})
					if _, hit := r.get(key); hit {
						hits++
					}
				}
				assert.Less(t, heapInUse()-before, int64(4<<20))
				assert.GreaterOrEqual(t, hits, c.keys-c.keys/c.most-1, "but those with which all were forgotten")
				known := 0
				r.records.Range(func(any, any) bool { known++; return true })
				assert.LessOrEqual(t, known, c.most)
				assert.Equal(t, known, r.counts.absent)
				runtime.KeepAlive(r)
			})
		}
	}
}

// No row can have such a key, so it is neither asked for nor kept.
func TestKeysThatNoRowCanHaveCostNothing(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		runInFakeTime(t, mode, func(t *testing.T, f *fixture) {
			store := f.newStore(options...)
			for _, key := range []string{"", strings.Repeat("k", maxSortKeyBytes+1), "not UTF-8: \xff"} {
				assertGet(t, store, ld.Features, key, nil)
			}
			assert.Empty(t, f.transport.recorded())
		})
	}
}

// An application may cut its keys from something large, and the store must not hold on
// to that.
func TestKeysOfCallersAreNotKept(t *testing.T) {
	f := newFixture(t)
	const keys, size = 30, 1 << 20
	for i := range keys {
		f.putFlagRow(fmt.Sprint("flag", i), rawItem{
			versionAttribute: number("3"), itemAttribute: text(flagJSON(fmt.Sprint("flag", i), "3"))})
		f.putFlagRow(fmt.Sprint("deleted", i), rawItem{versionAttribute: number("3"), itemAttribute: text(`{"version":3,"deleted":true}`)})
		f.putFlagRow(fmt.Sprint("malformed", i), malformedRows["json-cut-off"])
	}
	for mode, ttl := range ttls {
		t.Run(mode, func(t *testing.T) {
			store := f.newStore(CacheTTL(ttl))
			for _, sort := range []string{"flag", "deleted", "malformed", "absent"} {
				require.NoError(t, get(store, sort+"0")())
				f.transport.reset()
				before := heapInUse()
				for i := range keys {
					key := fmt.Sprint(sort, i)
					large := key + strings.Repeat("/", size)
					require.NoError(t, get(store, large[:len(key)])())
				}
				f.transport.reset()
				assert.Less(t, heapInUse()-before, int64(keys*size/2), sort)
			}
			runtime.KeepAlive(store)
		})
	}
}

// With TTL zero no items are kept, only what tells whether rows have changed.
func TestWithTTLZeroLittleIsKept(t *testing.T) {
	const flags, bytesEach = 2000, 250 // the items take 1000
	f := newFixture(t)
	use := func() ld.FeatureStore {
		store := f.newStore(CacheTTL(0), DynamoClient(f.client))
		items := make([]ld.VersionedData, flags)
		for i := range items {
			items[i] = flagOfSize("f"+strconv.Itoa(i), 1, 500)
		}
		require.NoError(t, store.Init(allData(items...)))
		found, err := store.All(ld.Features)
		require.NoError(t, err)
		require.Len(t, found, flags)
		for i := range 20 {
			require.NoError(t, get(store, "f"+strconv.Itoa(i))())
			require.NoError(t, store.Upsert(ld.Features, flagOfSize("f"+strconv.Itoa(i), 2, 500)))
		}
		return store
	}
	first := use()
	before := heapInUse() // with the buffers of connections and decoders
	second := use()
	assert.LessOrEqual(t, heapInUse()-before, int64(flags*bytesEach))
	runtime.KeepAlive(first)
	runtime.KeepAlive(second)
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // pools keep what they have for one more
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
