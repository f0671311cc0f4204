package lddynamodb

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// secretInFlag is in flags that must not be seen in logs and errors.
const secretInFlag = "only-for-flags"

// malformedRows has rows of flags that hold no valid flag: for each key, what
// the row has beside its primary key.
var malformedRows = map[string]rawItem{
	"without-item":        {versionAttribute: number("3")},
	"without-version":     {itemAttribute: text(flagJSON("without-version", "3"))},
	"without-both":        {},
	"item-number":         {versionAttribute: number("3"), itemAttribute: number("3")},
	"item-binary":         {versionAttribute: number("3"), itemAttribute: {B: []byte(flagJSON("item-binary", "3"))}},
	"item-bool":           {versionAttribute: number("3"), itemAttribute: {BOOL: aws.Bool(true)}},
	"item-null":           {versionAttribute: number("3"), itemAttribute: {NULL: aws.Bool(true)}},
	"item-list":           {versionAttribute: number("3"), itemAttribute: {L: []*dynamodb.AttributeValue{text("{}")}}},
	"item-map":            {versionAttribute: number("3"), itemAttribute: {M: rawItem{"key": text("item-map")}}},
	"item-set":            {versionAttribute: number("3"), itemAttribute: {SS: []*string{aws.String("{}")}}},
	"version-string":      {versionAttribute: text("3"), itemAttribute: text(flagJSON("version-string", "3"))},
	"version-bool":        {versionAttribute: {BOOL: aws.Bool(true)}, itemAttribute: text(flagJSON("version-bool", "3"))},
	"version-fraction":    {versionAttribute: number("1.5"), itemAttribute: text(flagJSON("version-fraction", "1.5"))},
	"version-other":       {versionAttribute: number("3"), itemAttribute: text(flagJSON("version-other", "2"))},
	"json-empty":          {versionAttribute: number("3"), itemAttribute: text("")},
	"json-cut-off":        {versionAttribute: number("3"), itemAttribute: text(strings.TrimSuffix(flagJSON("json-cut-off", "3"), "}"))},
	"json-continued":      {versionAttribute: number("3"), itemAttribute: text(flagJSON("json-continued", "3") + secretInFlag)},
	"json-null":           {versionAttribute: number("0"), itemAttribute: text("null")},
	"json-array":          {versionAttribute: number("3"), itemAttribute: text("[]")},
	"json-string":         {versionAttribute: number("3"), itemAttribute: text(strconv.Quote(secretInFlag))},
	"json-number":         {versionAttribute: number("3"), itemAttribute: text("424242")},
	"json-empty-object":   {versionAttribute: number("0"), itemAttribute: text("{}")},
	"json-without-key":    {versionAttribute: number("3"), itemAttribute: text(`{"version":3}`)},
	"json-other-key":      {versionAttribute: number("3"), itemAttribute: text(flagJSON("good", "3"))},
	"json-version-string": {versionAttribute: number("3"), itemAttribute: text(flagJSON("json-version-string", `"3"`))},
	"json-wrong-type":     {versionAttribute: number("3"), itemAttribute: text(`{"key":"json-wrong-type","version":3,"salt":424242}`)},
	"json-wrong-rules":    {versionAttribute: number("3"), itemAttribute: text(`{"rules":[{"clauses":"` + secretInFlag + `"}]}`)},
}

func flagJSON(key, version string) string {
	return fmt.Sprintf(`{"key":%q,"version":%s,"on":true,"salt":%q}`, key, version, secretInFlag)
}

func text(s string) *dynamodb.AttributeValue   { return &dynamodb.AttributeValue{S: aws.String(s)} }
func number(n string) *dynamodb.AttributeValue { return &dynamodb.AttributeValue{N: aws.String(n)} }

// putFlagRow writes what a row has beside its primary key.
func (f *fixture) putFlagRow(key string, attributes rawItem) {
	f.tb.Helper()
	item := rowKey{ld.Features.GetNamespace(), key}.attributes()
	for name, value := range attributes {
		item[name] = value
	}
	f.putRow(item)
}

// newMalformedFixture has a table with all malformed rows, a flag and a deleted
// flag.
func newMalformedFixture(t *testing.T) *fixture {
	f := newFixture(t)
	store := f.newStore()
	require.NoError(t, store.Init(allData(flag("good", 7), flag("gone", 1))))
	require.NoError(t, store.Delete(ld.Features, "gone", 2))
	for key, attributes := range malformedRows {
		f.putFlagRow(key, attributes)
	}
	return f
}

// ttls has a cache TTL of each sort.
var ttls = map[string]time.Duration{"no cache": 0, "cached": time.Hour, "cached forever": -1}

func TestMalformedRowsHarmNoOthers(t *testing.T) {
	t.Parallel()
	table := newMalformedFixture(t)
	clients := map[string]FeatureStoreOption{
		"response decoder":  ClientConfig(nil),
		"optionless client": DynamoClient(clientWithoutOptions{table.client}),
	}
	for clientName, client := range clients {
		for ttlName, ttl := range ttls {
			t.Run(clientName+", "+ttlName, func(t *testing.T) {
				t.Parallel()
				f := table.sibling(t)
				store := f.newStore(CacheTTL(ttl), client)

				items, err := store.All(ld.Features)
				require.NoError(t, err)
				assert.Equal(t, map[string]ld.VersionedData{"good": flag("good", 7)}, items)

				for key := range malformedRows {
					item, err := store.Get(ld.Features, key)
					assert.Nil(t, item, key)
					assert.ErrorContains(t, err, "features/"+key+" ")
					assert.NotContains(t, err.Error(), secretInFlag)
					assert.NotContains(t, err.Error(), "424242", "a part of a flag")
				}

				item, err := store.Get(ld.Features, "good")
				require.NoError(t, err)
				assert.Equal(t, flag("good", 7), item)

				f.assertMalformedLoggedOnce()
			})
		}
	}
}

// assertMalformedLoggedOnce checks that each of malformedRows has one line in
// the log, which tells nothing of a flag but its key.
func (f *fixture) assertMalformedLoggedOnce() {
	f.tb.Helper()
	for key := range malformedRows {
		lines := f.log.ofStores("features/" + key + " ")
		if assert.Len(f.tb, lines, 1, key) {
			assert.Contains(f.tb, lines[0], "ERROR:")
			assert.Contains(f.tb, lines[0], f.table)
		}
	}
	assert.Empty(f.tb, f.log.ofStores(secretInFlag))
	assert.Empty(f.tb, f.log.ofStores("424242"))
}

func TestMalformedRowIsLoggedOncePerVersion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore(CacheTTL(0))
	read := func() {
		_, err := store.All(ld.Features)
		require.NoError(t, err)
		_, err = store.Get(ld.Features, "bad")
		require.Error(t, err)
	}
	for i, version := range []string{"1", "2", "2.5"} {
		f.putFlagRow("bad", rawItem{versionAttribute: number(version), itemAttribute: text("{")})
		read()
		read()
		assert.Len(t, f.log.ofStores("ERROR:", "features/bad "), i+1)
	}
}

// Whoever can write to the table must not be able to write to the log.
func TestKeysOfMalformedRowsForgeNoLogLines(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore(CacheTTL(0))
	f.putFlagRow("bad\nERROR: forged", malformedRows["json-cut-off"])

	_, err := store.All(ld.Features)
	require.NoError(t, err)

	lines := f.log.ofStores("forged")
	require.Len(t, lines, 1)
	assert.NotContains(t, lines[0], "\n")
}

// A malformed row is no outage: the table works.
func TestMalformedRowIsLoggedAsNoOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore()
	f.putFlagRow("bad", malformedRows["json-cut-off"])

	_, err := store.Get(ld.Features, "bad")

	require.Error(t, err)
	assert.Empty(t, f.log.ofStores("WARN:"))
}

func TestMalformedRowsGiveWayToNewerVersions(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newMalformedFixture(t)
			store := f.newStore(CacheTTL(ttl))
			want := map[string]ld.VersionedData{"good": flag("good", 7)}
			for key := range malformedRows {
				want[key] = flag(key, 4)
				require.NoError(t, store.Upsert(ld.Features, want[key]), key)
			}

			for name, store := range map[string]ld.FeatureStore{"this": store, "another": f.newStore(CacheTTL(ttl))} {
				items, err := store.All(ld.Features)
				require.NoError(t, err)
				assert.Equal(t, want, items, name)
			}
			assert.Empty(t, f.log.ofStores("ERROR:"), "nobody had to read the malformed rows")
		})
	}
}

// A row whose version is at least the update's can't be told from a newer item.
// The error has the SDK run Init, which puts the row right.
func TestMalformedRowOfTheSameVersionIsLeftToInit(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			store := f.newStore(CacheTTL(ttl))
			f.putFlagRow("bad", malformedRows["json-cut-off"])

			require.ErrorContains(t, store.Upsert(ld.Features, flag("bad", 3)), "features/bad ")

			require.NoError(t, store.Init(allData(flag("bad", 3))))
			item, err := f.newStore(CacheTTL(ttl)).Get(ld.Features, "bad")
			require.NoError(t, err)
			assert.Equal(t, flag("bad", 3), item)
		})
	}
}

func TestInitReplacesMalformedRows(t *testing.T) {
	t.Parallel()
	f := newMalformedFixture(t)
	store := f.newStore()
	data := allData(flag("json-cut-off", 3), flag("without-item", 3))

	require.NoError(t, store.Init(data))

	items, err := f.newStore().All(ld.Features)
	require.NoError(t, err)
	assert.Equal(t, data[ld.Features], items)
	assert.Len(t, f.rows(), 3, "the two flags and what says that the data set is complete")
	assert.Empty(t, f.log.ofStores("ERROR:"))
}

// SDKs in other languages write deleted items without a key, or with a key that
// is no key of theirs.
func TestDeletedItemNeedsNoKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.putFlagRow("bare", rawItem{versionAttribute: number("3"), itemAttribute: text(`{"version":3,"deleted":true}`)})
	f.putFlagRow("placeholder", rawItem{
		versionAttribute: number("3"), itemAttribute: text(`{"key":"$deleted","version":3,"deleted":true}`)})
	store := f.newStore(CacheTTL(0))

	items, err := store.All(ld.Features)
	require.NoError(t, err)
	assert.Empty(t, items)
	for _, key := range []string{"bare", "placeholder"} {
		item, err := store.Get(ld.Features, key)
		require.NoError(t, err)
		assert.Nil(t, item)
		require.NoError(t, store.Upsert(ld.Features, flag(key, 3)))
		item, err = store.Get(ld.Features, key)
		require.NoError(t, err)
		assert.Nil(t, item, "deleted at the same version")
	}
	assert.Empty(t, f.log.ofStores("ERROR:"))
}
