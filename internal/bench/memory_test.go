package bench

import (
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// BenchmarkMemory measures what a store holds after an Init, an All and a Get of each of
// 10,000 flags, the flags included. Without a cache it is what is left of that.
func BenchmarkMemory(b *testing.B) {
	const flags = 10_000
	keys := flagKeys(flags)
	for name, ttl := range map[string]time.Duration{"cached": time.Hour, "TTL zero": 0} {
		for _, maker := range []storeMaker{ours, theOriginal} {
			maker.run(b, name, func(b *testing.B) {
				table := newFilledTable(b, newData(flags))
				store := maker.open(b, table, newClient(b, http.DefaultTransport), ttl)
				before := heldBytes()
				for b.Loop() {
					require.NoError(b, store.Init(newData(flags)))
					_, err := store.All(ld.Features)
					require.NoError(b, err)
					for _, key := range keys[:readKeys(ttl, flags)] {
						_, err := store.Get(ld.Features, key)
						require.NoError(b, err)
					}
				}
				b.ReportMetric(float64(heldBytes()-before), "held-B/op")
				runtime.KeepAlive(store)
			})
		}
	}
}

// readKeys is how many flags to get: without a cache, each is a request.
func readKeys(ttl time.Duration, flags int) int {
	if ttl == 0 {
		return flags / 100
	}
	return flags
}

// heldBytes returns the size of the heap without garbage.
func heldBytes() int64 {
	for range 3 {
		runtime.GC() // pools are emptied in two steps
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
