package lddynamodb

import (
	"fmt"
	"testing"
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
	for mode, ttl := range cachingTTLs {
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

// Many reads, of present and absent items, that many writes overtake.
func TestManyReadsThatWritesOvertake(t *testing.T) {
	t.Parallel()
	const n = 20
	for mode, ttl := range cachingTTLs {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			var before, after []ld.VersionedData
			for i := range n {
				before = append(before, flag(fmt.Sprintf("f%d", i), 1))
				after = append(after, flag(fmt.Sprintf("f%d", i+n/2), 2)) // removes the first half, adds another
			}
			require.NoError(t, f.newStore().Init(allData(before...)))
			store := f.newStore(CacheTTL(ttl))
			var held []*heldCall
			for i := range n + n/2 {
				key := fmt.Sprintf("f%d", i)
				held = append(held, f.holdResponse("GetItem", `"`+key+`"`).during(get(store, key)))
			}
			held = append(held, f.holdResponse("Query", "").during(all(store)))

			require.NoError(t, store.Init(allData(after...)))
			require.NoError(t, store.Upsert(ld.Features, flag("f0", 3)))
			require.NoError(t, store.Delete(ld.Features, fmt.Sprintf("f%d", n), 3))
			for _, h := range held {
				h.finish()
			}

			want := append([]ld.VersionedData{flag("f0", 3)}, after[:n/2]...)
			want = append(want, after[n/2+1:]...)
			assertAll(t, store, ld.Features, want...)
			for _, item := range want {
				assertGet(t, store, ld.Features, item.GetKey(), item)
			}
			for i := 1; i < n/2; i++ {
				assertGet(t, store, ld.Features, fmt.Sprintf("f%d", i), nil)
			}
			assertGet(t, store, ld.Features, fmt.Sprintf("f%d", n), nil)
		})
	}
}

// With a short TTL, there may always be another All that ends while a Get is under
// way.
func TestGetOfAnAbsentKeyIsReadOnceWhateverAllFinds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.newStore().Init(allData(flag("g", 1))))
	store := f.newStore(CacheTTL(time.Nanosecond))
	var found ld.VersionedData
	read := f.holdResponse("GetItem", `"absent"`).during(func() (err error) {
		found, err = store.Get(ld.Features, "absent")
		return err
	})
	f.transport.reset()
	for range 5 {
		assertAll(t, store, ld.Features, flag("g", 1))
	}

	read.finish()

	assert.Nil(t, found)
	assert.Len(t, f.transport.recorded("Query"), 5)
	assert.Empty(t, f.transport.recorded("GetItem"), "no second one")
}

// An update is seen by a read as soon as the table has it, before the store has
// the response. From then on nobody sees what was before it.
func TestAnUpdateUnderWayThatWasSeenIsNotUnseen(t *testing.T) {
	t.Parallel()
	deleted := ld.Features.MakeDeletedItem("f", 2)
	for _, c := range []struct {
		name string
		item ld.VersionedData
		want ld.VersionedData
	}{{"update", flag("f", 2), flag("f", 2)}, {"delete", deleted, nil}} {
		for mode, ttl := range cachingTTLs {
			open := func(t *testing.T) (*fixture, ld.FeatureStore) {
				f := newFixture(t)
				require.NoError(t, f.newStore().Init(allData(flag("f", 1), flag("g", 1))))
				return f, f.newStore(CacheTTL(ttl))
			}
			t.Run(mode+"/"+c.name+", by All while Get is under way", func(t *testing.T) {
				t.Parallel()
				f, store := open(t)
				older := f.holdResponse("GetItem", `"f"`).during(get(store, "f"))
				update := f.holdResponse("PutItem", `"f"`).during(upsert(store, c.item))
				require.NoError(t, all(store)())

				older.finish()

				assertHas(t, store, c.want)
				update.finish()
				assertHas(t, store, c.want)
			})
			t.Run(mode+"/"+c.name+", by Get while All is under way", func(t *testing.T) {
				t.Parallel()
				f, store := open(t)
				older := f.holdResponse("Query", "").during(all(store))
				update := f.holdResponse("PutItem", `"f"`).during(upsert(store, c.item))
				assertGet(t, store, ld.Features, "f", c.want)

				older.finish()

				assertHas(t, store, c.want)
				update.finish()
				assertHas(t, store, c.want)
			})
			t.Run(mode+"/"+c.name+", by Get while an earlier update is under way", func(t *testing.T) {
				t.Parallel()
				f, store := open(t)
				require.NoError(t, f.newStore().Init(allData(flag("f", 0))))
				earlier := f.holdResponse("PutItem", `"f"`).during(upsert(store, flag("f", 1)))
				update := f.holdResponse("PutItem", `"f"`).during(upsert(store, c.item))
				assertGet(t, store, ld.Features, "f", c.want)

				earlier.finish()

				assertHas(t, store, c.want)
				update.finish()
				assertHas(t, store, c.want)
			})
			t.Run(mode+"/"+c.name+", by All while an earlier update is under way", func(t *testing.T) {
				t.Parallel()
				f, store := open(t)
				require.NoError(t, f.newStore().Init(allData(flag("f", 0))))
				earlier := f.holdResponse("PutItem", `"f"`).during(upsert(store, flag("f", 1)))
				update := f.holdResponse("PutItem", `"f"`).during(upsert(store, c.item))
				require.NoError(t, all(store)())

				earlier.finish()

				assertHas(t, store, c.want)
				update.finish()
				assertHas(t, store, c.want)
			})
			t.Run(mode+"/"+c.name+", by Get that a finished update overtook", func(t *testing.T) {
				t.Parallel()
				f, store := open(t)
				require.NoError(t, f.newStore().Init(allData(flag("f", 0))))
				read := f.holdRequest("GetItem", `"f"`).during(get(store, "f"))
				require.NoError(t, store.Upsert(ld.Features, flag("f", 1)))
				update := f.holdResponse("PutItem", `"f"`).during(upsert(store, c.item))

				read.finish() // it was the last to reach the table

				assertHas(t, store, c.want)
				update.finish()
				assertHas(t, store, c.want)
			})
		}
	}
}

// An Init and an update take turns, and so do two Inits. In the end the store has
// what the table has.
func TestWritesUnderWayTogether(t *testing.T) {
	t.Parallel()
	type start = func(f *fixture, store ld.FeatureStore) *heldCall
	const written = `{"S":"f"}`
	upsertFinal := func(f *fixture, store ld.FeatureStore, early bool) *heldCall {
		return f.hold("PutItem", written, early).during(upsert(store, flag("f", 7)))
	}
	initFinal := func(f *fixture, store ld.FeatureStore, early bool) *heldCall {
		return f.hold("BatchWriteItem", written, early).during(initWith(store, flag("f", 5)))
	}
	first := map[string]start{
		"an update that the table has": func(f *fixture, s ld.FeatureStore) *heldCall { return upsertFinal(f, s, false) },
		"an update on its way":         func(f *fixture, s ld.FeatureStore) *heldCall { return upsertFinal(f, s, true) },
		"an Init that the table has":   func(f *fixture, s ld.FeatureStore) *heldCall { return initFinal(f, s, false) },
		"an Init on its way":           func(f *fixture, s ld.FeatureStore) *heldCall { return initFinal(f, s, true) },
		"an Init that reads the table": func(f *fixture, s ld.FeatureStore) *heldCall {
			return f.holdResponse("Query", `"features"`).during(initWith(s, flag("f", 1)))
		},
		"an Init that removes it": func(f *fixture, s ld.FeatureStore) *heldCall {
			return f.holdRequest("BatchWriteItem", `"DeleteRequest"`).during(initWith(s, flag("g", 1)))
		},
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
		for firstName, start := range first {
			for secondName, write := range second {
				t.Run(fmt.Sprintf("%s/%s/%s", mode, firstName, secondName), func(t *testing.T) {
					t.Parallel()
					f := newFixture(t)
					require.NoError(t, f.newStore().Init(allData(flag("f", 1))))
					store := f.newStore(CacheTTL(ttl))
					held := start(f, store)
					written := make(chan error, 1)
					go func() { written <- write(store) }()
					select {
					case err := <-written:
						require.NoError(t, err)
						written <- nil
					case <-time.After(100 * time.Millisecond): // it waits for its turn
					}

					held.finish()
					require.NoError(t, await(t, "the other write", written))

					f.assertAgreesWithTable(store)
				})
			}
		}
	}
}

// assertAgreesWithTable checks that a store has of the flag f what the table has.
func (f *fixture) assertAgreesWithTable(store ld.FeatureStore) {
	f.tb.Helper()
	item, err := f.newStore(CacheTTL(0)).Get(ld.Features, "f")
	require.NoError(f.tb, err)
	assertHas(f.tb, store, item)
}

// Whoever has seen an update in one way to read sees it in the other.
func TestGetAndAllNeverContradictEachOther(t *testing.T) {
	t.Parallel()
	const updates = 200
	for mode, ttl := range cachingTTLs {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.transport.setInterceptor(failing(emptyTable, "PutItem")) // for more updates a second
			store := f.newStore(CacheTTL(ttl))
			padding := make([]ld.VersionedData, 2_000) // make the set long to copy
			for i := range padding {
				padding[i] = flag(fmt.Sprintf("padding%d", i), 1)
			}
			require.NoError(t, store.Init(allData(padding...)))
			require.NoError(t, store.Upsert(ld.Features, flag("f", 1)))

			var group errgroup.Group
			done := make(chan struct{})
			for range 2 {
				group.Go(func() error { return watch(store, done) })
			}
			for version := 2; version <= updates; version++ {
				require.NoError(t, store.Upsert(ld.Features, flag("f", version)))
			}
			close(done)
			assert.NoError(t, group.Wait())
		})
	}
}

// watch reads the flag f in both ways in turn, and fails where it gets older.
func watch(store ld.FeatureStore, done <-chan struct{}) error {
	seen := 0
	for {
		item, err := store.Get(ld.Features, "f")
		if err != nil {
			return err
		}
		items, err := store.All(ld.Features)
		if err != nil {
			return err
		}
		for _, item := range []ld.VersionedData{item, items["f"]} {
			if item == nil || item.GetVersion() < seen {
				return fmt.Errorf("saw %v after version %d", item, seen)
			}
			seen = item.GetVersion()
		}
		select {
		case <-done:
			return nil
		default:
		}
	}
}

// What was refused is served until it is in the table, and then from there. A read
// that the table answered before that must not show what was before it.
func TestReadsThatALateWriteOvertakes(t *testing.T) {
	t.Parallel()
	writes := map[string]func(ld.FeatureStore){
		"updates": func(s ld.FeatureStore) {
			require.Error(t, s.Upsert(ld.Features, flag("f", 2)))
			require.Error(t, s.Delete(ld.Features, "removed", 2))
		},
		"an Init": func(s ld.FeatureStore) { require.Error(t, s.Init(allData(flag("f", 2)))) },
	}
	for mode, options := range readingModes {
		for name, write := range writes {
			t.Run(mode+"/"+name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				store := f.newStore(options...)
				require.NoError(t, store.Init(allData(flag("f", 1), flag("removed", 1))))
				f.transport.setInterceptor(denying("PutItem", "BatchWriteItem"))
				write(store)
				var updated, removed ld.VersionedData
				var items map[string]ld.VersionedData
				held := []*heldCall{
					f.holdResponse("GetItem", `"f"`).during(func() (err error) { updated, err = store.Get(ld.Features, "f"); return err }),
					f.holdResponse("GetItem", `"removed"`).during(func() (err error) { removed, err = store.Get(ld.Features, "removed"); return err }),
					f.holdResponse("Query", "").during(func() (err error) { items, err = store.All(ld.Features); return err }),
				}
				f.transport.setInterceptor(nil)
				f.awaitEndOfOutages()

				for _, h := range held {
					h.finish()
				}

				assert.Equal(t, flag("f", 2), updated)
				assert.Nil(t, removed)
				assert.Equal(t, map[string]ld.VersionedData{"f": flag("f", 2)}, items)
				assertAll(t, store, ld.Features, flag("f", 2))
			})
		}
	}
}
