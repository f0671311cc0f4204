package lddynamodb

import (
	"fmt"
	"maps"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// storeFlags makes a table of a flag that exists and one that was deleted.
func storeFlags(t *testing.T, f *fixture) {
	writer := f.newStore(CacheTTL(0))
	require.NoError(t, writer.Init(allData(flag("f", 1), flag("deleted", 1))))
	require.NoError(t, writer.Delete(ld.Features, "deleted", 2))
}

func TestEachItemIsReadOnce(t *testing.T) {
	t.Parallel()
	for mode, ttl := range cachingTTLs {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			storeFlags(t, f)
			store := f.newStore(CacheTTL(ttl))
			for _, key := range []string{"f", "deleted", "absent"} {
				f.transport.reset()
				for range 3 {
					_, err := store.Get(ld.Features, key)
					require.NoError(t, err)
				}
				assert.Len(t, f.transport.recorded(), 1, key)
			}
			f.transport.reset()
			for range 3 {
				assertAll(t, store, ld.Features, flag("f", 1))
			}
			assert.Len(t, f.transport.recorded(), 1)
		})
	}
}

func TestWithTTLZeroEveryCallReadsTheTable(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	storeFlags(t, f)
	store := f.newStore(CacheTTL(0))
	require.NoError(t, store.Init(allData(flag("f", 2))))
	f.transport.reset()

	for range 3 {
		assertGet(t, store, ld.Features, "f", flag("f", 2))
		assertGet(t, store, ld.Features, "absent", nil)
		assertAll(t, store, ld.Features, flag("f", 2))
	}
	assert.Len(t, f.transport.recorded("GetItem"), 6)
	assert.Len(t, f.transport.recorded("Query"), 3)
}

// What costs no request, because it is known.
func TestWhatIsKnownCostsNoRequest(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		know func(*testing.T, ld.FeatureStore)
		want map[string]ld.VersionedData // of Get
		all  []ld.VersionedData          // of All, nil is unknown
	}{
		{
			"what All read is there for Get, deleted items too",
			func(t *testing.T, s ld.FeatureStore) { require.NoError(t, all(s)()) },
			map[string]ld.VersionedData{"f": flag("f", 1), "deleted": nil},
			[]ld.VersionedData{flag("f", 1)},
		},
		{
			"Init makes All and Get whole",
			func(t *testing.T, s ld.FeatureStore) {
				require.NoError(t, s.Init(allData(flag("f", 3), flag("new", 1))))
			},
			map[string]ld.VersionedData{"f": flag("f", 3), "new": flag("new", 1)},
			[]ld.VersionedData{flag("f", 3), flag("new", 1)},
		},
		{
			"what Init removed is absent",
			func(t *testing.T, s ld.FeatureStore) {
				require.NoError(t, get(s, "f")())
				require.NoError(t, s.Init(allData(flag("new", 1))))
			},
			map[string]ld.VersionedData{"f": nil},
			[]ld.VersionedData{flag("new", 1)},
		},
		{
			"updates and deletes go into what All read",
			func(t *testing.T, s ld.FeatureStore) {
				require.NoError(t, all(s)())
				require.NoError(t, s.Upsert(ld.Features, flag("deleted", 3)))
				require.NoError(t, s.Upsert(ld.Features, flag("new", 1)))
				require.NoError(t, s.Delete(ld.Features, "f", 2))
			},
			map[string]ld.VersionedData{"f": nil, "deleted": flag("deleted", 3), "new": flag("new", 1)},
			[]ld.VersionedData{flag("deleted", 3), flag("new", 1)},
		},
		{
			"an update is there for Get",
			func(t *testing.T, s ld.FeatureStore) { require.NoError(t, s.Upsert(ld.Features, flag("f", 2))) },
			map[string]ld.VersionedData{"f": flag("f", 2)},
			nil,
		},
		{
			"an update that lost against a newer version leaves the winner",
			func(t *testing.T, s ld.FeatureStore) {
				require.NoError(t, s.Upsert(ld.Features, flag("f", 0)))
				require.NoError(t, s.Upsert(ld.Features, flag("deleted", 1)))
			},
			map[string]ld.VersionedData{"f": flag("f", 1), "deleted": nil},
			nil,
		},
		{
			"an item that Get read is in what All read",
			func(t *testing.T, s ld.FeatureStore) {
				require.NoError(t, all(s)())
				require.NoError(t, get(s, "absent")())
			},
			map[string]ld.VersionedData{"absent": nil},
			[]ld.VersionedData{flag("f", 1)},
		},
	}
	for mode, ttl := range cachingTTLs {
		for _, c := range cases {
			t.Run(mode+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				storeFlags(t, f)
				store := f.newStore(CacheTTL(ttl))
				c.know(t, store)
				f.transport.reset()

				for key, want := range c.want {
					assertGet(t, store, ld.Features, key, want)
				}
				if c.all != nil {
					assertAll(t, store, ld.Features, c.all...)
				}
				assert.Empty(t, f.transport.recorded())
			})
		}
	}
}

// Of the cached items of a process, a new version by another process is seen
// only by reading it, so it also has to get into the complete set.
func TestWhatGetReadsIsThereForAll(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	storeFlags(t, f)
	store := f.newStore(CacheTTL(time.Hour))
	require.NoError(t, all(store)())
	require.NoError(t, f.newStore().Upsert(ld.Features, flag("new", 1)))

	assertGet(t, store, ld.Features, "new", flag("new", 1))
	assertAll(t, store, ld.Features, flag("f", 1), flag("new", 1))
}

// A caller of All keeps a map that nothing changes any more.
func TestMapsOfAllNeverChange(t *testing.T) {
	t.Parallel()
	for mode, ttl := range cachingTTLs {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			storeFlags(t, f)
			store := f.newStore(CacheTTL(ttl))
			changes := []func() error{
				all(store),
				func() error { return store.Upsert(ld.Features, flag("f", 2)) },
				func() error { return store.Upsert(ld.Features, flag("new", 1)) },
				func() error { return store.Delete(ld.Features, "f", 3) },
				func() error { return store.Init(allData(flag("g", 1))) },
				func() error { return store.Upsert(ld.Features, flag("g", 2)) },
			}
			type snapshot struct{ held, copied map[string]ld.VersionedData }
			var snapshots []snapshot
			for _, change := range changes {
				require.NoError(t, change())
				held, err := store.All(ld.Features)
				require.NoError(t, err)
				snapshots = append(snapshots, snapshot{held, maps.Clone(held)})
			}
			for i, s := range snapshots {
				assert.Equal(t, s.copied, s.held, "the set after change %d", i)
			}
		})
	}
}

// What the table refuses is the newest that this process knows, so it is cached,
// but for what is older than that.
func TestRefusedWritesAreCached(t *testing.T) {
	t.Parallel()
	for mode, ttl := range cachingTTLs {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			storeFlags(t, f)
			store := f.newStore(CacheTTL(ttl))
			require.NoError(t, all(store)())
			f.transport.setInterceptor(denying("PutItem", "BatchWriteItem"))
			before := f.rows()

			require.Error(t, store.Upsert(ld.Features, flag("f", 0)))
			assertHas(t, store, flag("f", 1))
			require.Error(t, store.Upsert(ld.Features, flag("f", 2)))
			assertHas(t, store, flag("f", 2))
			require.Error(t, store.Delete(ld.Features, "f", 3))
			assertHas(t, store, nil)
			require.Error(t, store.Init(allData(flag("g", 4))))
			assertHas(t, store, nil)
			assertAll(t, store, ld.Features, flag("g", 4))

			assert.Equal(t, before, f.rows())
		})
	}
}

// Where items are cached for ever, All is the complete set, however little of
// it the process knew before.
func TestCachedForEverAllIsComplete(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	storeFlags(t, f)
	store := f.newStore(CacheTTL(-1))
	require.NoError(t, store.Upsert(ld.Features, flag("new", 1)))
	require.NoError(t, get(store, "absent")())

	assertAll(t, store, ld.Features, flag("f", 1), flag("new", 1))

	require.NoError(t, f.newStore().Init(allData(flag("other", 1))))
	f.transport.reset()
	assertAll(t, store, ld.Features, flag("f", 1), flag("new", 1))
	assertGet(t, store, ld.Features, "f", flag("f", 1))
	assert.Empty(t, f.transport.recorded(), "it is read once")
}

// A process can be made to ask for any number of keys that don't exist.
func TestUnknownKeysTakeLittleMemory(t *testing.T) {
	for mode, ttl := range cachingTTLs {
		for _, keepStale := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stale values kept: %t", mode, keepStale), func(t *testing.T) {
				const keys = 5 * maxAbsent
				folder := strings.Repeat("/", 500)
				k := newKindCache(ld.Features, "features", newClock(), ttl, keepStale)
				before := heapInUse()
				for i := range keys {
					path := folder + strconv.Itoa(i)
					_, err := k.read(path[len(folder):], func() (ld.VersionedData, error) { return nil, nil })
					require.NoError(t, err)
				}
				assert.Less(t, heapInUse()-before, int64(4<<20))
				runtime.KeepAlive(k)
			})
		}
	}
}

// Of keys that are absent and that take turns, only those are read again that had
// to be forgotten.
func TestMoreUnknownKeysThanAreKeptMostlyHit(t *testing.T) {
	t.Parallel()
	k := newKindCache(ld.Features, "features", newClock(), time.Hour, false)
	loads := 0
	for round := range 10 {
		loads = 0
		for i := range maxAbsent + 1 {
			_, err := k.read(strconv.Itoa(i), func() (ld.VersionedData, error) { loads++; return nil, nil })
			require.NoError(t, err)
		}
		if round == 0 {
			assert.Equal(t, maxAbsent+1, loads)
		} else {
			assert.Less(t, loads, maxAbsent/2)
		}
	}
}

// An application may cut its keys from something large, and the cache must not
// hold on to that.
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

func heapInUse() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
