package lddynamodb

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

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
