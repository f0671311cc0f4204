package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

var allStores = []storeMaker{ours, theOriginal, inMemory}

// BenchmarkGetHit measures an evaluation's read in a connected process, which
// has the complete set of flags in memory.
func BenchmarkGetHit(b *testing.B) {
	for _, flags := range []int{1_000, 10_000} {
		data, keys, table := newData(flags), flagKeys(flags), newTable(b)
		for _, maker := range allStores {
			store := maker.open(b, table, newClient(b, &replay{}), time.Hour)
			require.NoError(b, store.Init(data))
			benchmarkHits(b, maker, fmt.Sprintf("flags=%d", flags), func(i int) (interface{}, error) {
				return store.Get(ld.Features, keys[i%flags])
			})
		}
	}
}

// BenchmarkAllHit measures AllFlagsState's read in a connected process.
func BenchmarkAllHit(b *testing.B) {
	for _, flags := range []int{1_000, 10_000} {
		data, table := newData(flags), newTable(b)
		for _, maker := range allStores {
			store := maker.open(b, table, newClient(b, &replay{}), time.Hour)
			require.NoError(b, store.Init(data))
			benchmarkHits(b, maker, fmt.Sprintf("flags=%d", flags), func(int) (interface{}, error) {
				return store.All(ld.Features)
			})
		}
	}
}

// BenchmarkDaemonGetHit measures an evaluation's read in daemon mode, where
// single reads have filled the cache and no complete set is known.
func BenchmarkDaemonGetHit(b *testing.B) {
	const flags = 1_000
	data, keys := newData(flags), flagKeys(flags)
	table := newFilledTable(b, data)
	for _, maker := range allStores {
		store := maker.open(b, table, newClient(b, &replay{}), time.Hour)
		if maker.name == inMemory.name {
			require.NoError(b, store.Init(data)) // there is no table to read from
		}
		for _, key := range keys {
			item, err := store.Get(ld.Features, key)
			require.NoError(b, err)
			require.NotNil(b, item)
		}
		benchmarkHits(b, maker, fmt.Sprintf("flags=%d", flags), func(i int) (interface{}, error) {
			return store.Get(ld.Features, keys[i%flags])
		})
	}
}

// goroutinesPerProcessor makes many goroutines also on few processors.
const goroutinesPerProcessor = 32

func benchmarkHits(b *testing.B, maker storeMaker, name string, read func(i int) (interface{}, error)) {
	maker.run(b, name+"/goroutines=one", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, _ = read(i)
		}
	})
	maker.run(b, name+"/goroutines=many", func(b *testing.B) {
		b.SetParallelism(goroutinesPerProcessor)
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				_, _ = read(i)
			}
		})
	})
}
