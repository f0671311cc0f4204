package lddynamodb

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// expiring makes a store that waits for the table in each read, and keeps what it has read.
func (f *fixture) expiring() ld.FeatureStore {
	return f.newStore(CacheTTL(time.Nanosecond), StaleValues(EvictStaleValues))
}

// knowing has ways to get to know something of the table, the number of reads that they take, and what costs no request
// then.
var knowing = map[string]struct {
	know  func(f *fixture, s ld.FeatureStore) error
	reads int
	get   map[string]ld.VersionedData
	all   []ld.VersionedData // nil: it is not known
}{
	"Gets": {func(_ *fixture, s ld.FeatureStore) error {
		_, _ = get(s, "deleted")(), get(s, "absent")()
		return get(s, "f")()
	}, 3, map[string]ld.VersionedData{"f": flag("f", 1), "deleted": nil, "absent": nil}, nil},
	"All": {func(_ *fixture, s ld.FeatureStore) error { return all(s)() }, 1,
		map[string]ld.VersionedData{"f": flag("f", 1), "deleted": nil}, []ld.VersionedData{flag("f", 1)}},
	"Init": {func(_ *fixture, s ld.FeatureStore) error { return s.Init(allData(flag("f", 3), flag("new", 1))) }, 3,
		map[string]ld.VersionedData{"f": flag("f", 3), "new": flag("new", 1)},
		[]ld.VersionedData{flag("f", 3), flag("new", 1)}},
	"All and updates": {func(_ *fixture, s ld.FeatureStore) error {
		_, _, _ = all(s)(), s.Upsert(ld.Features, flag("deleted", 3)), s.Upsert(ld.Features, flag("new", 1))
		return s.Delete(ld.Features, "f", 2)
	}, 1, map[string]ld.VersionedData{"f": nil, "deleted": flag("deleted", 3), "new": flag("new", 1)},
		[]ld.VersionedData{flag("deleted", 3), flag("new", 1)}},
	"an update": {func(_ *fixture, s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 2)) }, 0,
		map[string]ld.VersionedData{"f": flag("f", 2)}, nil},
	"updates that lose against newer versions": {func(_ *fixture, s ld.FeatureStore) error {
		_ = s.Upsert(ld.Features, flag("f", 0))
		return s.Upsert(ld.Features, flag("deleted", 1))
	}, 2, map[string]ld.VersionedData{"f": flag("f", 1), "deleted": nil}, nil},
}

func TestWhatIsKnownCostsNoRequest(t *testing.T) {
	t.Parallel()
	for mode, ttl := range cachingTTLs {
		for name, c := range knowing {
			runOnTable(t, mode+"/"+name, func(t *testing.T, f *fixture) {
				require.NoError(t, f.newStore().Init(allData(flag("f", 1), flag("deleted", 1))))
				require.NoError(t, f.newStore().Delete(ld.Features, "deleted", 2))
				f.transport.reset()
				store := f.newStore(CacheTTL(ttl))
				require.NoError(t, c.know(f, store))
				assert.Len(t, f.transport.recorded("GetItem", "Query"), c.reads)
				f.transport.reset()
				for range 2 {
					for key, want := range c.get {
						assertGet(t, store, ld.Features, key, want)
					}
					if c.all != nil {
						assertAll(t, store, ld.Features, c.all...)
					}
				}
				assert.Empty(t, f.transport.recorded())
			})
		}
	}
}

// A countingKind is that of experiments, and counts how many are decoded.
type countingKind struct {
	experimentKind
	decoded *atomic.Int64
}

func (k countingKind) GetDefaultItem() interface{} {
	k.decoded.Add(1)
	return k.experimentKind.GetDefaultItem()
}

func TestKnownRowsAreNotDecoded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	kind := countingKind{decoded: new(atomic.Int64)}
	a, found, written, updated := &experiment{ID: "a"}, &experiment{ID: "found"}, &experiment{ID: "written"}, &experiment{ID: "updated"}
	writer, store := f.newStore(), f.expiring()
	require.NoError(t, writer.Upsert(experiments, found))
	data := allData()
	data[kind] = map[string]ld.VersionedData{"found": found, "written": written}
	require.NoError(t, store.Init(data))
	require.NoError(t, store.Upsert(kind, updated))
	assertAll(t, store, kind, found, written, updated)
	assert.Zero(t, kind.decoded.Load(), "this process has put them there, or found them as they were to be")
	require.NoError(t, writer.Upsert(experiments, a))
	require.NoError(t, writer.Delete(experiments, "deleted", 1))
	f.transport.reset()
	for range 3 {
		assertAll(t, store, kind, a, found, written, updated)
		assertGet(t, store, kind, "a", a)
		assertGet(t, store, kind, "deleted", nil)
	}
	assert.Len(t, f.transport.recorded(), 9)
	assert.EqualValues(t, 2, kind.decoded.Load())
}

// The table may have been filled from another environment, or by hand.
func TestRowsThatDifferALittleAreDecoded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	asLong := flag("f", 7)
	asLong.Salt = strings.ToUpper(asLong.Salt)
	stores := []ld.FeatureStore{f.expiring(), f.expiring(), f.newStore(CacheTTL(0))}
	require.NoError(t, stores[0].Init(allData(flag("f", 7))))
	for _, item := range []*ld.FeatureFlag{flag("f", 7), asLong, flagOfSize("f", 7, 100), nil, flag("f", 7)} {
		var want ld.VersionedData
		if item == nil {
			f.deleteRow(rowKey{"features", "f"})
		} else {
			want = item
			f.putFlagRow("f", rawItem{versionAttribute: number("7"), itemAttribute: text(jsonOf(t, item))})
		}
		for _, store := range stores {
			assertHas(t, store, want)
		}
	}
	f.putFlagRow("f", rawItem{versionAttribute: number("8"), itemAttribute: text(jsonOf(t, flag("f", 7)))})
	for _, store := range stores {
		assertHas(t, store, flag("f", 8)) // the attribute counts
	}
}

func TestConcurrentMissesShareARequest(t *testing.T) {
	t.Parallel()
	const callers = 50
	for _, name := range []string{"Get", "All", "Initialized"} {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			store, table := f.newStore(), holding(t, flag("f", 1), flag(initedKey, 1))
			for want, respond := range []interceptor{denying(), table} {
				f.transport.reset()
				f.transport.setInterceptor(answersLate(time.Second).over(respond))
				var found atomic.Int64
				for range callers {
					go func() {
						if _, err := calls[name](store, flag("f", 1)); err == nil {
							found.Add(1)
						}
					}()
				}
				time.Sleep(time.Second)
				synctest.Wait()
				assert.Len(t, f.transport.recorded(), 1)
				assert.EqualValues(t, want*callers, found.Load())
				f.transport.setInterceptor(nil)
				time.Sleep(denialPause + time.Second) // errors are not kept
			}
		})
	}
}

func TestInitializedIsAskedForUntilItIsTrue(t *testing.T) {
	t.Parallel()
	for mode, ttl := range ttls {
		runInFakeTime(t, mode, func(t *testing.T, f *fixture) {
			store, filled := f.newStore(CacheTTL(ttl)), f.newStore(CacheTTL(ttl))
			for range 10 {
				assert.False(t, store.Initialized())
			}
			requests := len(f.transport.recorded())
			assert.Equal(t, map[bool]int{true: 10, false: 1}[ttl == 0], requests)
			// The row has its keys only, but for the store any attributes will do.
			f.transport.setInterceptor(holding(t, flag(initedKey, 1)))
			time.Sleep(DefaultCacheTTL) // a process has to notice at some time
			for range 10 {
				assert.True(t, store.Initialized())
				time.Sleep(100 * time.Hour)
			}
			assert.Len(t, f.transport.recorded(), requests+1)
			assert.NoError(t, filled.Init(allData()))
			f.transport.reset()
			assert.True(t, filled.Initialized())
			assert.Empty(t, f.transport.recorded())
		})
	}
}

func isConsistent(t *testing.T, r *sentRequest) bool {
	var input struct{ ConsistentRead bool }
	require.NoError(t, json.Unmarshal(r.body, &input))
	return input.ConsistentRead
}

// One of DynamoDB's replicas can be behind another one that was read before.
func TestEventualReadsDoNotGoBehind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ newer, older []*ld.FeatureFlag }{
		"an update":      {[]*ld.FeatureFlag{flag("f", 2)}, []*ld.FeatureFlag{flag("f", 1)}},
		"the first one":  {[]*ld.FeatureFlag{flag("f", 2)}, nil},
		"that it's gone": {nil, []*ld.FeatureFlag{flag("f", 1)}},
	} {
		for mode, ttl := range map[string]time.Duration{"no cache": 0, "expires at once": time.Nanosecond} {
			runInFakeTime(t, name+"/"+mode, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(ttl), ConsistentReads(false), RequestTimeout(time.Minute))
				newer, older := holding(t, c.newer...), holding(t, c.older...)
				var want ld.VersionedData
				if c.newer != nil {
					want = c.newer[0]
				}
				f.transport.setInterceptor(holding(t, flag("f", 1)))
				assertHas(t, store, flag("f", 1))
				f.transport.setInterceptor(newer)
				for range 4 {
					time.Sleep(time.Nanosecond)
					assertHas(t, store, want)
					f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
						if isConsistent(t, r) {
							return newer(r, send)
						}
						return older(r, send)
					})
				}
				f.transport.setInterceptor(older) // now it is so
				time.Sleep(time.Nanosecond)
				item, err := store.Get(ld.Features, "f")
				require.NoError(t, err)
				assert.Equal(t, c.older != nil, item != nil)
			})
		}
	}
}

func TestReadsAreConsistentByDefault(t *testing.T) {
	t.Parallel()
	for _, consistent := range []bool{true, false} {
		inFakeTime(t, func(t *testing.T, f *fixture) {
			store := f.newStore(ConsistentReads(consistent))
			if consistent {
				store = f.newStore()
			}
			require.NoError(t, get(store, "f")())
			require.NoError(t, all(store)())
			for _, r := range f.transport.recorded() {
				assert.Equal(t, consistent, isConsistent(t, r), "%s %s", r.action, r.body)
			}
		})
	}
}

// What one call has seen to be gone, no answer under way brings back.
func TestWhatACallerHasSeenIsNotUnseen(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		for held, name := range map[string][2]string{"GetItem": {"Get", "All"}, "Query": {"All", "Get"}} {
			runWithTable(t, mode+"/"+held, func(t *testing.T, f *fixture) {
				another, store := f.newStore(DynamoClient(f.client)), f.newStore(options...)
				require.NoError(t, another.Init(allData(flag("f", 1), flag("h", 1))))
				older := f.holdResponse(held, "").during(func() error { _, err := calls[name[0]](store, flag("f", 0)); return err })
				require.NoError(t, another.Init(allData(flag("g", 1))))
				_, err := calls[name[1]](store, flag("f", 0))
				require.NoError(t, err)
				older.finish()
				for range 3 {
					assertHas(t, store, nil)
					time.Sleep(time.Second)
				}
			})
		}
	}
}

// Nobody would look again, so an older data set of another process must not stay.
func TestForEverNothingOlderComesIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore(CacheTTL(-1))
	require.NoError(t, store.Upsert(ld.Features, flag("f", 5)))
	require.NoError(t, store.Delete(ld.Features, "deleted", 5))
	require.NoError(t, f.newStore().Init(allData(flag("f", 3), flag("deleted", 3), flag("new", 1))))
	assertAll(t, store, ld.Features, flag("f", 5), flag("new", 1))
	assertGet(t, store, ld.Features, "deleted", nil)
	assertHas(t, store, flag("f", 5))
}
