package lddynamodb

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

func checkInitialized(t *testing.T, f *contractFixture) {
	process, another := f.open(), f.open()
	require.False(t, process.Initialized())

	require.NoError(t, process.Upsert(ld.Features, flag("f", 1)))
	require.NoError(t, process.Delete(ld.Segments, "s", 1))
	assert.False(t, f.open().Initialized(), "updates make no full data set")

	require.NoError(t, process.Init(allData(flag("f", 1))))
	assert.True(t, process.Initialized())
	assert.True(t, another.Initialized())
	assert.False(t, f.open(Prefix("p")).Initialized(), "another prefix has a data set of its own")
}

func checkOtherProcess(t *testing.T, f *contractFixture) {
	writer, reader := f.open(), f.open()
	before := []ld.VersionedData{flag("changed", 1), flag("removed", 1)}
	after := []ld.VersionedData{flag("changed", 2), flag("added", 1)}
	require.NoError(t, writer.Init(allData(before...)))
	assertGet(t, reader, ld.Features, "changed", flag("changed", 1))
	assertGet(t, reader, ld.Features, "removed", flag("removed", 1))
	assertGet(t, reader, ld.Features, "added", nil)
	assertAll(t, reader, ld.Features, before...)

	require.NoError(t, writer.Init(allData(after...)))

	assertAll(t, f.open(), ld.Features, after...)
	assertAll(t, writer, ld.Features, after...)
	if f.ttl == 0 {
		assertGet(t, reader, ld.Features, "changed", flag("changed", 2))
		assertGet(t, reader, ld.Features, "removed", nil)
		assertGet(t, reader, ld.Features, "added", flag("added", 1))
		assertAll(t, reader, ld.Features, after...)
		return
	}
	assertGet(t, reader, ld.Features, "changed", flag("changed", 1))
	assertGet(t, reader, ld.Features, "removed", flag("removed", 1))
	assertGet(t, reader, ld.Features, "added", nil)
	assertAll(t, reader, ld.Features, before...)
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

func checkPrefixes(t *testing.T, f *contractFixture) {
	prefixes := []string{"", "p", "p:q", "pq", "features", "$inited"}
	stores := make([]ld.FeatureStore, len(prefixes))
	for i, prefix := range prefixes {
		stores[i] = f.open(Prefix(prefix))
		assert.False(t, stores[i].Initialized(), "prefix %q", prefix)
		require.NoError(t, f.open(Prefix(prefix)).Init(allData(
			flag("same", i+1), flag("deleted", 1), flag("of "+prefix, 1), segment("same", i+1))))
	}
	require.NoError(t, stores[1].Init(allData(flag("same", 100))))
	require.NoError(t, stores[2].Upsert(ld.Features, flag("same", 200)))
	require.NoError(t, stores[3].Delete(ld.Features, "deleted", 300))

	for i, prefix := range prefixes {
		store := f.open(Prefix(prefix))
		assert.True(t, store.Initialized(), "prefix %q", prefix)
		same, own := flag("same", i+1), flag("of "+prefix, 1)
		switch i {
		case 1:
			assertAll(t, store, ld.Features, flag("same", 100))
			assertAll(t, store, ld.Segments)
			continue
		case 2:
			same = flag("same", 200)
			assertAll(t, store, ld.Features, same, flag("deleted", 1), own)
		case 3:
			assertAll(t, store, ld.Features, same, own)
		default:
			assertAll(t, store, ld.Features, same, flag("deleted", 1), own)
		}
		assertGet(t, store, ld.Features, "same", same)
		assertGet(t, store, ld.Segments, "same", segment("same", i+1))
	}
}

func checkRace(t *testing.T, f *contractFixture) {
	const versions = 30
	stores := []ld.FeatureStore{f.open(), f.open()}
	for _, last := range []*ld.FeatureFlag{flag("updated last", versions), deletedFlag("deleted last", versions)} {
		var group errgroup.Group
		for version := 1; version <= versions; version++ {
			contender, store := flag(last.Key, version), stores[rand.N(len(stores))]
			if version == versions {
				contender = last
			}
			group.Go(func() error {
				if err := upsertOrDelete(store, contender); err != nil {
					return err
				}
				item, err := store.Get(ld.Features, contender.Key)
				if err == nil && item != nil && item.GetVersion() < contender.Version {
					err = fmt.Errorf("read version %d after writing %d", item.GetVersion(), contender.Version)
				}
				return err
			})
		}
		require.NoError(t, group.Wait())

		assertGet(t, f.open(), ld.Features, last.Key, readable(last))
		for _, store := range stores {
			// A process that loses learns of the winner, and caches that.
			require.NoError(t, store.Upsert(ld.Features, flag(last.Key, versions-1)))
			assertGet(t, store, ld.Features, last.Key, readable(last))
		}
		row := f.rows()["features/"+last.Key]
		assert.Equal(t, fmt.Sprint(versions), *row[versionAttribute].N)
	}
}
