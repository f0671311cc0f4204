package lddynamodb

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
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
