package lddynamodb

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// overtaking are the writes of a process that come by while it reads.
var overtaking = []struct {
	name   string
	before ld.VersionedData // in the table, nil is nothing
	write  func(ld.FeatureStore) error
	after  ld.VersionedData
}{
	{"an update", flag("f", 1), func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 2)) }, flag("f", 2)},
	{"the first update", nil, func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 2)) }, flag("f", 2)},
	{"several updates", flag("f", 1), func(s ld.FeatureStore) error {
		_, _ = s.Upsert(ld.Features, flag("f", 2)), s.Delete(ld.Features, "f", 3)
		return s.Upsert(ld.Features, flag("f", 4))
	}, flag("f", 4)},
	{"a delete", flag("f", 1), func(s ld.FeatureStore) error { return s.Delete(ld.Features, "f", 2) }, nil},
	{"an Init with a newer version", flag("f", 1), func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2))) }, flag("f", 2)},
	{"an Init with an older version", flag("f", 5), func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2))) }, flag("f", 2)},
	{"an Init that adds it", nil, func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2))) }, flag("f", 2)},
	{"an Init that removes it", flag("f", 1), func(s ld.FeatureStore) error { return s.Init(allData(flag("g", 1))) }, nil},
}

// overtaken are the reads.
var overtaken = []struct {
	name   string
	action string
	read   func(ld.FeatureStore) (f ld.VersionedData, err error)
}{
	{"Get", "GetItem", func(s ld.FeatureStore) (ld.VersionedData, error) { return s.Get(ld.Features, "f") }},
	{"All", "Query", func(s ld.FeatureStore) (ld.VersionedData, error) {
		items, err := s.All(ld.Features)
		return items["f"], err
	}},
}

// A read that the table answered before a write came by gives its caller what
// the write made of it, and so do all reads afterwards.
func TestReadThatAWriteOvertakes(t *testing.T) {
	t.Parallel()
	for mode, ttl := range ttls {
		for _, w := range overtaking {
			for _, r := range overtaken {
				t.Run(fmt.Sprintf("%s/%s/%s", mode, r.name, w.name), func(t *testing.T) {
					t.Parallel()
					f := newFixture(t)
					if w.before != nil {
						require.NoError(t, f.newStore().Upsert(ld.Features, w.before))
					}
					store := f.newStore(CacheTTL(ttl))
					var read ld.VersionedData
					held := f.holdResponse(r.action, `"features"`).during(func() (err error) {
						read, err = r.read(store)
						return err
					})
					require.NoError(t, w.write(store))
					assertGet(t, store, ld.Features, "f", w.after) // nobody waits for the read

					held.finish()

					assert.Equal(t, w.after, read)
					assertHas(t, store, w.after)
				})
			}
		}
	}
}

// What one call has returned, no later call goes behind, whatever answers were under
// way. Here another process changes the table.
func TestWhatACallerHasSeenIsNotUnseen(t *testing.T) {
	t.Parallel()
	changes := map[string]struct {
		make func(ld.FeatureStore) error
		want ld.VersionedData
	}{
		"an update":               {func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 2)) }, flag("f", 2)},
		"a delete":                {func(s ld.FeatureStore) error { return s.Delete(ld.Features, "f", 2) }, nil},
		"an Init that removes it": {func(s ld.FeatureStore) error { return s.Init(allData(flag("g", 1))) }, nil},
	}
	modes := map[string][]FeatureStoreOption{
		"cold":      {CacheTTL(time.Hour)},
		"no cache":  {CacheTTL(0)},
		"evicted":   {CacheTTL(time.Second), StaleValues(EvictStaleValues)},
		"refreshed": {CacheTTL(time.Second)},
	}
	for mode, options := range modes {
		for changeName, change := range changes {
			for i, seen := range overtaken {
				older := overtaken[1-i]
				t.Run(fmt.Sprintf("%s/%s/by %s", mode, changeName, seen.name), func(t *testing.T) {
					t.Parallel()
					inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
						another := f.newStore(DynamoClient(f.client))
						require.NoError(t, another.Init(allData(flag("f", 1), flag("h", 1))))
						store := f.newStore(options...)
						if mode != "cold" {
							assertHas(t, store, flag("f", 1))
							time.Sleep(time.Second)
						}
						held := f.holdResponse(older.action, "")
						result := make(chan error, 1)
						go func() { _, err := older.read(store); result <- err }()
						synctest.Wait()
						require.NoError(t, change.make(another))
						item, err := seen.read(store)
						require.NoError(t, err)
						require.Equal(t, visibleVersion(change.want), visibleVersion(item))

						close(held.released)
						require.NoError(t, <-result)

						for range 3 {
							assertHas(t, store, change.want)
							time.Sleep(time.Second)
						}
					})
				})
			}
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

// An Init and an update take turns, and so do two Inits. In the end the store has
// what the table has.
func TestWritesUnderWayTogether(t *testing.T) {
	t.Parallel()
	const written = `{"S":"f"}`
	first := map[string]struct {
		action, text string
		early        bool
		call         func(ld.FeatureStore) error
	}{
		"an update that the table has": {"PutItem", written, false, func(s ld.FeatureStore) error { return upsert(s, flag("f", 7))() }},
		"an update on its way":         {"PutItem", written, true, func(s ld.FeatureStore) error { return upsert(s, flag("f", 7))() }},
		"an Init that the table has":   {"BatchWriteItem", written, false, func(s ld.FeatureStore) error { return initWith(s, flag("f", 5))() }},
		"an Init on its way":           {"BatchWriteItem", written, true, func(s ld.FeatureStore) error { return initWith(s, flag("f", 5))() }},
		"an Init that reads the table": {"Query", `"features"`, false, func(s ld.FeatureStore) error { return initWith(s, flag("f", 1))() }},
		"an Init that removes it":      {"BatchWriteItem", `"DeleteRequest"`, true, func(s ld.FeatureStore) error { return initWith(s, flag("g", 1))() }},
	}
	second := map[string]func(ld.FeatureStore) error{
		"an update":            func(s ld.FeatureStore) error { return upsert(s, flag("f", 6))() },
		"a delete":             func(s ld.FeatureStore) error { return s.Delete(ld.Features, "f", 6) },
		"an Init":              func(s ld.FeatureStore) error { return initWith(s, flag("f", 4))() },
		"an Init without it":   func(s ld.FeatureStore) error { return initWith(s, flag("h", 4))() },
		"an Init and a Get":    func(s ld.FeatureStore) error { _ = initWith(s, flag("h", 4))(); return get(s, "f")() },
		"an update and an All": func(s ld.FeatureStore) error { _ = upsert(s, flag("f", 6))(); return all(s)() },
	}
	for mode, ttl := range cachingTTLs {
		for firstName, one := range first {
			for secondName, other := range second {
				t.Run(fmt.Sprintf("%s/%s/%s", mode, firstName, secondName), func(t *testing.T) {
					t.Parallel()
					inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
						another := f.newStore(DynamoClient(f.client), CacheTTL(0))
						require.NoError(t, another.Init(allData(flag("f", 1))))
						store := f.newStore(CacheTTL(ttl))
						held := f.hold(one.action, one.text, one.early).during(func() error { return one.call(store) })
						written := make(chan error, 1)
						go func() { written <- other(store) }()
						synctest.Wait() // it has ended, or waits for its turn

						held.finish()
						require.NoError(t, <-written)

						item, err := another.Get(ld.Features, "f")
						require.NoError(t, err)
						assertHas(t, store, item)
					})
				})
			}
		}
	}
}

// What was refused is served until it is in the table, and then from there. A read
// that the table answered before that does not show what was before it.
func TestReadsThatALateWriteOvertakes(t *testing.T) {
	t.Parallel()
	writes := map[string]func(ld.FeatureStore) error{
		"updates": func(s ld.FeatureStore) error {
			_ = s.Delete(ld.Features, "removed", 2)
			return s.Upsert(ld.Features, flag("f", 2))
		},
		"an Init": func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2))) },
	}
	for mode, options := range outageModes {
		for name, write := range writes {
			t.Run(mode+"/"+name, func(t *testing.T) {
				t.Parallel()
				inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
					store := f.newStore(options...)
					require.NoError(t, store.Init(allData(flag("f", 1), flag("removed", 1))))
					f.transport.setInterceptor(denying("PutItem", "BatchWriteItem"))
					require.Error(t, write(store))
					time.Sleep(time.Second)
					holds := []*hold{f.holdResponse("GetItem", `"f"`), f.holdResponse("GetItem", `"removed"`), f.holdResponse("Query", "")}
					var reads errgroup.Group
					reads.Go(get(store, "f"))
					reads.Go(get(store, "removed"))
					reads.Go(all(store))
					f.transport.setInterceptor(nil)
					timeUntil(t, "the end", f.hasEnded(1))
					for _, h := range holds {
						close(h.released)
					}
					require.NoError(t, reads.Wait())

					for range 3 {
						assertHas(t, store, flag("f", 2))
						assertGet(t, store, ld.Features, "removed", nil)
						assertAll(t, store, ld.Features, flag("f", 2))
						time.Sleep(time.Second)
					}
				})
			})
		}
	}
}
