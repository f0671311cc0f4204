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

func checkInitialized(t *testing.T, f *fixture) {
	process, another := f.newStore(), f.newStore()
	require.False(t, process.Initialized())

	require.NoError(t, process.Upsert(ld.Features, flag("f", 1)))
	require.NoError(t, process.Delete(ld.Segments, "s", 1))
	assert.False(t, f.newStore().Initialized(), "updates make no full data set")

	require.NoError(t, process.Init(allData(flag("f", 1))))
	assert.True(t, process.Initialized())
	assert.True(t, another.Initialized())
	assert.False(t, f.newStore(Prefix("p")).Initialized(), "another prefix has a data set of its own")
}

func TestAnotherProcessIsSeenAsFarAsTheTTLLetsIt(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			writer, reader := f.newStore(CacheTTL(ttl)), f.newStore(CacheTTL(ttl))
			before := []ld.VersionedData{flag("changed", 1), flag("removed", 1)}
			after := []ld.VersionedData{flag("changed", 2), flag("added", 1)}
			require.NoError(t, writer.Init(allData(before...)))
			readsBefore := func() {
				assertGet(t, reader, ld.Features, "changed", flag("changed", 1))
				assertGet(t, reader, ld.Features, "removed", flag("removed", 1))
				assertGet(t, reader, ld.Features, "added", nil)
				assertAll(t, reader, ld.Features, before...)
			}
			readsBefore()

			require.NoError(t, writer.Init(allData(after...)))

			assertAll(t, f.newStore(CacheTTL(ttl)), ld.Features, after...)
			assertAll(t, writer, ld.Features, after...)
			if ttl != 0 {
				readsBefore()
				return
			}
			assertGet(t, reader, ld.Features, "changed", flag("changed", 2))
			assertGet(t, reader, ld.Features, "removed", nil)
			assertGet(t, reader, ld.Features, "added", flag("added", 1))
			assertAll(t, reader, ld.Features, after...)
		})
	}
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

func checkRace(t *testing.T, f *fixture) {
	const versions = 30
	stores := []ld.FeatureStore{f.newStore(), f.newStore()}
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

		assertGet(t, f.newStore(), ld.Features, last.Key, readable(last))
		for _, store := range stores {
			// A process that loses learns of the winner, and caches that.
			require.NoError(t, store.Upsert(ld.Features, flag(last.Key, versions-1)))
			assertGet(t, store, ld.Features, last.Key, readable(last))
		}
		row := f.rows()["features/"+last.Key]
		assert.Equal(t, fmt.Sprint(versions), *row[versionAttribute].N)
	}
}
