package lddynamodb

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

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
				runWithTable(t, fmt.Sprintf("%s/%s/by %s", mode, changeName, seen.name), func(t *testing.T, f *fixture) {
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
			runWithTable(t, mode+"/"+name, func(t *testing.T, f *fixture) {
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
		}
	}
}
