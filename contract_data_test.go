package lddynamodb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// experiments is a kind that the SDK knows nothing of. Its items have a JSON of
// their own.
var experiments experimentKind

type experimentKind struct{}

func (experimentKind) GetNamespace() string        { return "experiments" }
func (experimentKind) GetDefaultItem() interface{} { return &experiment{} }
func (experimentKind) MakeDeletedItem(key string, version int) ld.VersionedData {
	return &experiment{ID: key, Revision: version, Abandoned: true}
}

type experiment struct {
	ID         string             `json:"id"`
	Revision   int                `json:"revision"`
	Abandoned  bool               `json:"abandoned,omitempty"`
	Hypothesis string             `json:"hypothesis"`
	Shares     map[string]float64 `json:"shares"`
}

func (e *experiment) GetKey() string  { return e.ID }
func (e *experiment) GetVersion() int { return e.Revision }
func (e *experiment) IsDeleted() bool { return e.Abandoned }

func checkCustomKind(t *testing.T, f *contractFixture) {
	store := f.open()
	first := &experiment{ID: "same", Revision: 1, Hypothesis: "more <b>is</b> more", Shares: map[string]float64{"a": 0.25}}
	second := &experiment{ID: "second", Revision: 1}
	data := allData(flag("same", 7), segment("same", 8))
	data[experiments] = map[string]ld.VersionedData{"same": first, "second": second, "removed": &experiment{ID: "removed"}}
	require.NoError(t, store.Init(data))
	delete(data[experiments], "removed")
	require.NoError(t, store.Init(data))
	for _, store := range []ld.FeatureStore{store, f.open()} {
		assertGet(t, store, experiments, "same", first)
		assertAll(t, store, experiments, first, second)
	}

	newer := &experiment{ID: "same", Revision: 2, Hypothesis: "less is more"}
	require.NoError(t, store.Upsert(experiments, newer))
	require.NoError(t, store.Upsert(experiments, first))
	require.NoError(t, store.Delete(experiments, "second", 2))
	require.NoError(t, store.Delete(experiments, "same", 1))

	for _, store := range []ld.FeatureStore{store, f.open()} {
		assertGet(t, store, experiments, "same", newer)
		assertGet(t, store, experiments, "second", nil)
		assertAll(t, store, experiments, newer)
		assertGet(t, store, ld.Features, "same", flag("same", 7))
		assertGet(t, store, ld.Segments, "same", segment("same", 8))
	}
}

func checkPages(t *testing.T, f *contractFixture) {
	const flags, size = 12, 300_000 // a page ends at 1 MB
	var data []ld.VersionedData
	for i := range flags {
		data = append(data, flagOfSize(fmt.Sprint("large ", i), 1, size))
	}
	writer := f.open()
	require.NoError(t, writer.Init(allData(data...)))
	assertAll(t, writer, ld.Features, data...)

	f.transport.reset()
	assertAll(t, f.open(), ld.Features, data...)
	assert.Greater(t, len(f.transport.recorded("Query")), 1)

	// An Init sees the rows of all pages, too.
	rest := data[flags-1:]
	require.NoError(t, f.open().Init(allData(rest...)))
	assertAll(t, f.open(), ld.Features, rest...)
}

func checkKeys(t *testing.T, f *contractFixture) {
	var data []ld.VersionedData
	for _, key := range unusualKeys() {
		data = append(data, flag(key, 1))
	}
	store, another := f.open(), f.open()
	require.NoError(t, store.Init(allData(data...)))
	assertAll(t, f.open(), ld.Features, data...)

	rows := f.rows()
	for _, item := range data {
		key := item.GetKey()
		assert.Contains(t, rows, "features/"+key)
		assertGet(t, another, ld.Features, key, item)
		require.NoError(t, store.Upsert(ld.Features, flag(key, 2)))
		assertGet(t, f.open(), ld.Features, key, flag(key, 2))
		require.NoError(t, store.Delete(ld.Features, key, 3))
		assertGet(t, f.open(), ld.Features, key, nil)
	}
	assertAll(t, store, ld.Features)
	assertAll(t, f.open(), ld.Features)
	assert.Len(t, f.rows(), len(rows), "no key may be taken for another")
}

// unusualKeys are different for DynamoDB, also where they look the same.
func unusualKeys() []string {
	return []string{
		"with spaces", " around ", " ", "tab\tand\nnewline",
		"slashes/and\\backslashes", "/", ".", "..", "features/f",
		"colons:and:more", ":", "p:features", "$inited", "$deleted",
		`"double" and 'single' quotes`, "`backquotes`", "{\"S\":\"json\"}", "<html>&amp;</html>",
		"%s %d %%", "#name :value", "a=b&c=d?e+f", "null", "0", "-1", "true",
		"Case", "case",
		"größe", "日本語", "مفتاح", "ключ", "composed \u00e9", "composed e\u0301",
		"🚩", "🏳️‍🌈 and 👩🏽‍🚀", "\u2028line separator", "zero\u200bwidth", "\ufeffbyte order mark", "replacement \ufffd",
		"\x01\x1f\x7f",
		strings.Repeat("k", 1000), strings.Repeat("k", maxSortKeyBytes), strings.Repeat("é", maxSortKeyBytes/2),
	}
}
