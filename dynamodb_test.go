package lddynamodb

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/shared_test/ldtest"
)

// The contract of ld.FeatureStore, part by part. It holds for stores of every
// kind, so everything here is said of stores and tables, and nothing of caches
// or requests. The SDK has tests of its own for stores, which say the rest.
var contract = []struct {
	promise string
	check   func(*testing.T, *fixture)
}{
	{"Init replaces everything", checkInitReplaces},
	{"Init leaves kinds alone that it has no data of", checkInitLeavesOtherKinds},
	{"the maps of Init and All stay the caller's", checkMapsAreNotShared},
	{"what is missing is a plain nil", checkMissing},
	{"an update counts only if it is newer", checkVersions},
	{"a data set can be larger than a page", checkPages},
	{"kinds can be the application's own", checkCustomKind},
	{"keys can hold any character", checkKeys},
}

func TestContract(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keepsContract(t, func(*fixture) []FeatureStoreOption { return []FeatureStoreOption{CacheTTL(ttl)} })
		})
	}
}

// Without a cache, nothing hides what such a client reads and writes.
func TestContractOverAClientWithoutRequestOptions(t *testing.T) {
	t.Parallel()
	keepsContract(t, func(f *fixture) []FeatureStoreOption {
		return []FeatureStoreOption{CacheTTL(0), DynamoClient(clientWithoutOptions{f.newClient(f.transport)})}
	})
}

// keepsContract checks all parts of the contract for stores with these options.
func keepsContract(t *testing.T, options func(*fixture) []FeatureStoreOption) {
	for _, part := range contract {
		runOnTable(t, part.promise, func(t *testing.T, f *fixture) {
			f.options = options(f)
			part.check(t, f)
		})
	}
}

func checkInitReplaces(t *testing.T, f *fixture) {
	store := f.newStore()
	require.NoError(t, store.Init(allData(flag("kept", 5), flag("changed", 5), flag("removed", 5), segment("gone", 5))))
	require.NoError(t, store.Upsert(ld.Features, flag("added later", 1)))
	require.NoError(t, store.Delete(ld.Features, "deleted", 7))
	require.NoError(t, store.Delete(ld.Features, "back again", 7))

	// The data of an Init counts whatever the versions are.
	data := []ld.VersionedData{flag("kept", 5), flag("changed", 3), flag("back again", 2), flag("new", 1)}
	require.NoError(t, store.Init(allData(data...)))

	for name, store := range map[string]ld.FeatureStore{"this process": store, "another": f.newStore()} {
		t.Log(name)
		for _, item := range data {
			assertGet(t, store, ld.Features, item.GetKey(), item)
		}
		for _, key := range []string{"removed", "added later", "deleted"} {
			assertGet(t, store, ld.Features, key, nil)
		}
		assertAll(t, store, ld.Features, data...)
		assertGet(t, store, ld.Segments, "gone", nil)
		assertAll(t, store, ld.Segments)
	}
	assert.Len(t, f.rows(), len(data)+1, "one row for each item, and the one that says that the data is complete")
}

func checkInitLeavesOtherKinds(t *testing.T, f *fixture) {
	store := f.newStore()
	require.NoError(t, store.Upsert(experiments, &experiment{ID: "x", Revision: 1}))
	require.NoError(t, store.Upsert(ld.Segments, segment("s", 1)))

	require.NoError(t, store.Init(map[ld.VersionedDataKind]map[string]ld.VersionedData{ld.Features: {"f": flag("f", 1)}}))

	for _, store := range []ld.FeatureStore{store, f.newStore()} {
		assertAll(t, store, experiments, &experiment{ID: "x", Revision: 1})
		assertAll(t, store, ld.Segments, segment("s", 1))
		assertAll(t, store, ld.Features, flag("f", 1))
	}
}

func checkMapsAreNotShared(t *testing.T, f *fixture) {
	store := f.newStore()
	data := allData(flag("a", 1))
	require.NoError(t, store.Init(data))
	data[ld.Features]["b"] = flag("b", 1)
	delete(data[ld.Features], "a")
	assertAll(t, store, ld.Features, flag("a", 1))

	before, err := store.All(ld.Features)
	require.NoError(t, err)
	require.NoError(t, store.Upsert(ld.Features, flag("a", 2)))
	require.NoError(t, store.Upsert(ld.Features, flag("c", 1)))

	assert.Equal(t, map[string]ld.VersionedData{"a": flag("a", 1)}, before, "an update must not change it under its readers")
	assertAll(t, store, ld.Features, flag("a", 2), flag("c", 1))
}

func checkMissing(t *testing.T, f *fixture) {
	writer := f.newStore()
	require.NoError(t, writer.Init(allData(flag("deleted", 1), segment("deleted", 1))))
	require.NoError(t, writer.Delete(ld.Features, "deleted", 2))
	require.NoError(t, writer.Delete(ld.Segments, "deleted", 2))

	for _, store := range []ld.FeatureStore{writer, f.newStore()} {
		for range 2 { // the second time from the cache, where there is one
			for _, kind := range []ld.VersionedDataKind{ld.Features, ld.Segments, experiments} {
				assertGet(t, store, kind, "absent", nil)
				assertGet(t, store, kind, "deleted", nil)
				assertGet(t, store, kind, "", nil)
			}
		}
	}
}

// upsertOrDelete makes a store take a flag or, if it is marked as deleted, the
// flag's deletion.
func upsertOrDelete(store ld.FeatureStore, f *ld.FeatureFlag) error {
	if f.Deleted {
		return store.Delete(ld.Features, f.Key, f.Version)
	}
	return store.Upsert(ld.Features, f)
}

// readable is what a store returns for a flag.
func readable(f *ld.FeatureFlag) ld.VersionedData {
	if f.Deleted {
		return nil
	}
	return f
}

func checkVersions(t *testing.T, f *fixture) {
	process, another := f.newStore(), f.newStore()
	makers := map[string]func(string, int) *ld.FeatureFlag{
		"an update":  func(key string, version int) *ld.FeatureFlag { return flag(key, version) },
		"a deletion": deletedFlag,
	}
	const current = 10
	for firstName, makeFirst := range makers {
		for secondName, makeSecond := range makers {
			for _, version := range []int{0, current - 1, current, current + 1, math.MaxInt} {
				for by, second := range map[string]ld.FeatureStore{"the same process": process, "another": another} {
					key := fmt.Sprintf("%s of version %d after %s, by %s", secondName, version, firstName, by)
					before, after := makeFirst(key, current), makeSecond(key, version)
					require.NoError(t, upsertOrDelete(process, before))

					require.NoError(t, upsertOrDelete(second, after), "an update that comes too late is no error")

					winner := before
					if version > current {
						winner = after
					}
					assertGet(t, second, ld.Features, key, readable(winner))
					assertGet(t, f.newStore(), ld.Features, key, readable(winner))
				}
			}
		}
	}
}

func checkCustomKind(t *testing.T, f *fixture) {
	store := f.newStore()
	first := &experiment{ID: "same", Revision: 1, Hypothesis: "more <b>is</b> more", Shares: map[string]float64{"a": 0.25}}
	second := &experiment{ID: "second", Revision: 1}
	data := allData(flag("same", 7), segment("same", 8))
	data[experiments] = map[string]ld.VersionedData{"same": first, "second": second, "removed": &experiment{ID: "removed"}}
	require.NoError(t, store.Init(data))
	delete(data[experiments], "removed")
	require.NoError(t, store.Init(data))
	for _, store := range []ld.FeatureStore{store, f.newStore()} {
		assertGet(t, store, experiments, "same", first)
		assertAll(t, store, experiments, first, second)
	}

	newer := &experiment{ID: "same", Revision: 2, Hypothesis: "less is more"}
	require.NoError(t, store.Upsert(experiments, newer))
	require.NoError(t, store.Upsert(experiments, first))
	require.NoError(t, store.Delete(experiments, "second", 2))
	require.NoError(t, store.Delete(experiments, "same", 1))

	for _, store := range []ld.FeatureStore{store, f.newStore()} {
		assertGet(t, store, experiments, "same", newer)
		assertGet(t, store, experiments, "second", nil)
		assertAll(t, store, experiments, newer)
		assertGet(t, store, ld.Features, "same", flag("same", 7))
		assertGet(t, store, ld.Segments, "same", segment("same", 8))
	}
}

func checkPages(t *testing.T, f *fixture) {
	const flags, size = 6, 300_000 // a page ends at 1 MB
	var data []ld.VersionedData
	for i := range flags {
		data = append(data, flagOfSize(fmt.Sprint("large ", i), 1, size))
	}
	writer := f.newStore()
	require.NoError(t, writer.Init(allData(data...)))
	assertAll(t, writer, ld.Features, data...)

	f.transport.reset()
	assertAll(t, f.newStore(), ld.Features, data...)
	assert.Greater(t, len(f.transport.recorded("Query")), 1)

	// An Init sees the rows of all pages, too.
	rest := data[flags-1:]
	require.NoError(t, f.newStore().Init(allData(rest...)))
	assertAll(t, f.newStore(), ld.Features, rest...)
}

func checkKeys(t *testing.T, f *fixture) {
	var data []ld.VersionedData
	for _, key := range unusualKeys {
		data = append(data, flag(key, 1))
	}
	store, another := f.newStore(), f.newStore()
	require.NoError(t, store.Init(allData(data...)))
	assertAll(t, f.newStore(), ld.Features, data...)

	rows := f.rows()
	for _, item := range data {
		key := item.GetKey()
		assert.Contains(t, rows, "features/"+key)
		assertGet(t, another, ld.Features, key, item)
		require.NoError(t, store.Upsert(ld.Features, flag(key, 2)))
		assertGet(t, f.newStore(), ld.Features, key, flag(key, 2))
		require.NoError(t, store.Delete(ld.Features, key, 3))
		assertGet(t, f.newStore(), ld.Features, key, nil)
	}
	assertAll(t, store, ld.Features)
	assertAll(t, f.newStore(), ld.Features)
	assert.Len(t, f.rows(), len(rows), "no key may be taken for another")
}

func TestAnotherProcessIsSeenWhenTheTTLIsOver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	writer, reader := f.newStore(), f.newStore(CacheTTL(50*time.Millisecond))
	require.False(t, reader.Initialized())
	require.NoError(t, writer.Init(allData(flag("changed", 1), flag("removed", 1))))
	require.Eventually(t, reader.Initialized, hangGuard, time.Millisecond)
	for _, key := range []string{"changed", "removed", "added"} {
		_, err := reader.Get(ld.Features, key)
		require.NoError(t, err)
	}
	_, err := reader.All(ld.Features)
	require.NoError(t, err)

	require.NoError(t, writer.Init(allData(flag("changed", 2), flag("added", 1))))

	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for key, want := range map[string]int{"changed": 2, "added": 1} {
			item, err := reader.Get(ld.Features, key)
			require.NoError(c, err)
			require.NotNil(c, item)
			assert.Equal(c, want, item.GetVersion())
		}
		item, err := reader.Get(ld.Features, "removed")
		require.NoError(c, err)
		assert.Nil(c, item)
		items, err := reader.All(ld.Features)
		require.NoError(c, err)
		assert.Equal(c, map[string]ld.VersionedData{"changed": flag("changed", 2), "added": flag("added", 1)}, items)
	}, hangGuard, time.Millisecond)
}

// The SDK has these tests for the authors of stores. They close no store, so the
// fixture does.

func TestOfTheSDKForStores(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			makeStore := func(ld.Config) (ld.FeatureStore, error) { return f.newStore(CacheTTL(ttl)), nil }
			ldtest.RunFeatureStoreTests(t, makeStore, f.clear, ttl != 0)
		})
	}
}

func TestOfTheSDKForPrefixes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	makeStore := func(prefix string) (ld.FeatureStore, error) { return f.newStore(CacheTTL(0), Prefix(prefix)), nil }
	ldtest.RunFeatureStorePrefixIndependenceTests(t, makeStore, f.clear)
}

func TestOfTheSDKForConcurrentUpdates(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			store, other := f.newStore(CacheTTL(ttl)), f.sibling(t).newStore(CacheTTL(ttl))
			called := false
			ldtest.RunFeatureStoreConcurrentModificationTests(t, store, other, func(update func()) {
				f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
					if r.action == "PutItem" {
						update()
						called = true
					}
					return send()
				})
			})
			require.True(t, called)
		})
	}
}
