package lddynamodb

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

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
					assertGet(t, store, ld.Features, key, nil)
				}
				assertGet(t, store, ld.Features, "good", flag("good", 7))

				f.assertMalformedLoggedOnce()
				assert.Len(t, f.log.ofStores(), len(malformedRows), "it is no outage")
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
		assertAll(t, store, ld.Features)
		assertGet(t, store, ld.Features, "bad", nil)
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

// Else each evaluation of the flag would read the row again.
func TestMalformedRowIsReadOnce(t *testing.T) {
	t.Parallel()
	for name, ttl := range cachingTTLs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.putFlagRow("bad", malformedRows["json-cut-off"])
			store := f.newStore(CacheTTL(ttl))
			for range 3 {
				assertGet(t, store, ld.Features, "bad", nil)
			}
			assert.Len(t, f.transport.recorded(), 1)
		})
	}
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

func TestMalformedRowGivesWayToTheSameVersion(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			store := f.newStore(CacheTTL(ttl))
			f.putFlagRow("bad", malformedRows["json-cut-off"])

			require.NoError(t, store.Upsert(ld.Features, flag("bad", 3)))

			assertGet(t, store, ld.Features, "bad", flag("bad", 3))
			assertGet(t, f.newStore(CacheTTL(ttl)), ld.Features, "bad", flag("bad", 3))
		})
	}
}

// The row's item may be newer, so it stays. Only an Init puts the row right. An
// error would have the SDK send everything again, to no effect.
func TestMalformedRowOfANewerVersionIsLeftToInit(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			store := f.newStore(CacheTTL(ttl))
			f.putFlagRow("bad", malformedRows["json-cut-off"])
			before := f.rows()

			require.NoError(t, store.Upsert(ld.Features, flag("bad", 2)))

			assertGet(t, store, ld.Features, "bad", flag("bad", 2))
			assertAll(t, store, ld.Features, flag("bad", 2))
			assertGet(t, f.newStore(CacheTTL(ttl)), ld.Features, "bad", nil)
			assert.Equal(t, before, f.rows())
			assert.Empty(t, f.log.ofStores("WARN:"))

			require.NoError(t, store.Init(allData(flag("bad", 1))))
			assertGet(t, store, ld.Features, "bad", flag("bad", 1))
			assertGet(t, f.newStore(CacheTTL(ttl)), ld.Features, "bad", flag("bad", 1))
		})
	}
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
