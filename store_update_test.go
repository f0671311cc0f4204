package lddynamodb

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

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
