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
