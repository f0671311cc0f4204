package lddynamodb

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"github.com/stretchr/testify/assert"
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
	synctest.Test(t, func(t *testing.T) {
		c := clock{began: time.Now()}
		assert.Equal(t, time.Now().UnixNano(), c.now())
		c.offset.Add(-int64(time.Hour)) // as if the machine had been suspended
		time.Sleep(time.Millisecond)
		assert.Equal(t, time.Now().UnixNano(), c.now())
	})
}

// A process can be made to ask for any number of keys that don't exist.
func TestAbsentKeysTakeLittleMemory(t *testing.T) {
	for mode, ttl := range cachingTTLs {
		for name, c := range map[string]struct{ keys, length int }{
			"many": {5 * maxAbsent, 10}, "long": {5 * maxAbsent, maxSortKeyBytes},
		} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				r := &replica{kind: ld.Features, namespace: "features", ttl: ttl, clock: clock{began: time.Now()}, records: xsync.NewMap[string, *record]()}
				before := heapInUse()
				hits := 0
				for i := range c.keys {
					key := fmt.Sprintf("%0*d", c.length, i)
					r.note(r.begin(), true, found{key: key})
					if _, hit := r.get(key); hit {
						hits++
					}
				}
				assert.Less(t, heapInUse()-before, int64(6<<20))
				assert.GreaterOrEqual(t, hits, c.keys-c.keys/maxAbsent-1, "but those with which all were forgotten")
				assert.LessOrEqual(t, r.records.Size(), maxAbsent)
				assert.Equal(t, r.records.Size(), r.counts.absent)
				runtime.KeepAlive(r)
			})
		}
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // pools keep what they have for one more
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
