package ldclient

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInMemoryStoreIsEmptyAtFirst(t *testing.T) {
	t.Parallel()
	store := newStore(t)

	assert.False(t, store.Initialized())
	assertAbsent(t, store, Features, "a")
	assertAll(t, store, Features, map[string]VersionedData{})
}

func TestInMemoryStoresShareNothing(t *testing.T) {
	t.Parallel()
	factory := NewInMemoryFeatureStoreFactory()
	one, err := factory(Config{})
	require.NoError(t, err)
	other, err := factory(Config{})
	require.NoError(t, err)

	require.NoError(t, one.Init(MakeAllVersionedDataMap(map[string]*FeatureFlag{"a": {Key: "a"}}, nil)))

	assert.False(t, other.Initialized())
	assertAbsent(t, other, Features, "a")
}

func TestInMemoryStoreInitReplacesEverything(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	require.NoError(t, store.Init(MakeAllVersionedDataMap(
		map[string]*FeatureFlag{"a": {Key: "a", Version: 9}, "b": {Key: "b", Version: 9}},
		map[string]*Segment{"a": {Key: "a", Version: 9}})))

	older := &FeatureFlag{Key: "a", Version: 1}
	require.NoError(t, store.Init(MakeAllVersionedDataMap(map[string]*FeatureFlag{"a": older}, nil)))

	assert.True(t, store.Initialized())
	assertAll(t, store, Features, map[string]VersionedData{"a": older})
	assertAll(t, store, Segments, map[string]VersionedData{})
}

func TestInMemoryStoreKeepsItsMapsToItself(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	flag := &FeatureFlag{Key: "a", Version: 1}
	data := MakeAllVersionedDataMap(map[string]*FeatureFlag{"a": flag}, nil)
	require.NoError(t, store.Init(data))

	delete(data[Features], "a")
	items, err := store.All(Features)
	require.NoError(t, err)
	delete(items, "a")

	assertAll(t, store, Features, map[string]VersionedData{"a": flag})
}

func TestInMemoryStoreUpsertTakesOnlyTheNewer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		version int
		taken   bool
	}{
		"older": {1, false},
		"same":  {2, false},
		"newer": {3, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t)
			first := &FeatureFlag{Key: "a", Version: 2}
			second := &FeatureFlag{Key: "a", Version: test.version}
			require.NoError(t, store.Upsert(Features, first))
			require.NoError(t, store.Upsert(Features, second))

			want := first
			if test.taken {
				want = second
			}
			got, err := store.Get(Features, "a")
			require.NoError(t, err)
			assert.Same(t, want, got)
		})
	}
}

func TestInMemoryStoreDeleteIsVersioned(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	flag := &FeatureFlag{Key: "a", Version: 2}
	require.NoError(t, store.Upsert(Features, flag))

	require.NoError(t, store.Delete(Features, "a", 2))
	assertAll(t, store, Features, map[string]VersionedData{"a": flag})

	require.NoError(t, store.Delete(Features, "a", 3))
	assertAbsent(t, store, Features, "a")
	assertAll(t, store, Features, map[string]VersionedData{})

	require.NoError(t, store.Upsert(Features, &FeatureFlag{Key: "a", Version: 3}))
	assertAbsent(t, store, Features, "a")

	again := &FeatureFlag{Key: "a", Version: 4}
	require.NoError(t, store.Upsert(Features, again))
	assertAll(t, store, Features, map[string]VersionedData{"a": again})
}

func TestInMemoryStoreRemembersTheDeletionOfWhatItNeverHad(t *testing.T) {
	t.Parallel()
	store := newStore(t)

	require.NoError(t, store.Delete(Segments, "a", 2))
	require.NoError(t, store.Upsert(Segments, &Segment{Key: "a", Version: 1}))

	assertAbsent(t, store, Segments, "a")
}

func TestInMemoryStoreKeepsKindsApart(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	segment := &Segment{Key: "a", Version: 1}
	require.NoError(t, store.Upsert(Segments, segment))

	assertAbsent(t, store, Features, "a")
	assertAll(t, store, Segments, map[string]VersionedData{"a": segment})
}

// The race detector is the judge here; the newest version has to win as well.
func TestInMemoryStoreIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	var users sync.WaitGroup
	for version := 1; version <= 20; version++ {
		users.Go(func() {
			key := strconv.Itoa(version)
			assert.NoError(t, store.Upsert(Features, &FeatureFlag{Key: "shared", Version: version}))
			assert.NoError(t, store.Delete(Features, key, version))
			assertAbsent(t, store, Features, key)
			_, err := store.All(Features)
			assert.NoError(t, err)
			store.Initialized()
		})
	}
	users.Wait()

	assertAll(t, store, Features, map[string]VersionedData{"shared": &FeatureFlag{Key: "shared", Version: 20}})
}

func newStore(t *testing.T) FeatureStore {
	t.Helper()
	store, err := NewInMemoryFeatureStoreFactory()(Config{})
	require.NoError(t, err)
	return store
}

func assertAbsent(t *testing.T, store FeatureStore, kind VersionedDataKind, key string) {
	t.Helper()
	item, err := store.Get(kind, key)
	assert.NoError(t, err)
	assert.True(t, item == nil, "a plain nil, not %#v", item)
}

func assertAll(t *testing.T, store FeatureStore, kind VersionedDataKind, want map[string]VersionedData) {
	t.Helper()
	items, err := store.All(kind)
	assert.NoError(t, err)
	assert.Equal(t, want, items)
}
