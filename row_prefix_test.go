package lddynamodb

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// prefixes that could be taken for one another, or for what follows a prefix.
var prefixes = []string{
	"", "a", "aa", "a:", ":a", ":", "a:a", "a:features", "features", "segments", "$inited", "a:$inited", "*", "a*", "a?",
}

func TestPrefixesCantReachEachOther(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			newStore := func(prefix string) ld.FeatureStore { return f.newStore(CacheTTL(ttl), Prefix(prefix)) }
			dataOf := func(i int) map[ld.VersionedDataKind]map[string]ld.VersionedData {
				return allData(flag("same", i+1), flag("only of "+prefixes[i], 1), flag("$inited", i+1),
					flag("a:$inited", i+1), flag("features", i+1), segment("same", i+1), segment("$inited", i+1))
			}
			for i, prefix := range prefixes {
				store := newStore(prefix)
				for kind, items := range dataOf(i) {
					for _, item := range items {
						require.NoError(t, store.Upsert(kind, item))
					}
				}
			}
			for i, prefix := range prefixes {
				store := newStore(prefix)
				assert.False(t, store.Initialized(), "prefix %q, though others are", prefix)
				require.NoError(t, store.Init(dataOf(i)))
				assert.True(t, newStore(prefix).Initialized(), "prefix %q", prefix)
			}
			f.checkPrefixes(newStore, dataOf)

			require.NoError(t, newStore("a").Init(allData()))
			require.NoError(t, newStore("aa").Upsert(ld.Features, flag("same", 1000)))
			require.NoError(t, newStore("a:").Delete(ld.Features, "same", 1000))
			f.checkPrefixes(newStore, func(i int) map[ld.VersionedDataKind]map[string]ld.VersionedData {
				data := dataOf(i)
				switch prefixes[i] {
				case "a":
					return allData()
				case "aa":
					data[ld.Features]["same"] = flag("same", 1000)
				case "a:":
					delete(data[ld.Features], "same")
				}
				return data
			})
		})
	}
}

func (f *fixture) checkPrefixes(
	newStore func(prefix string) ld.FeatureStore, dataOf func(i int) map[ld.VersionedDataKind]map[string]ld.VersionedData,
) {
	f.tb.Helper()
	for i, prefix := range prefixes {
		store := newStore(prefix)
		for kind, want := range dataOf(i) {
			items, err := store.All(kind)
			require.NoError(f.tb, err)
			assert.Equal(f.tb, want, items, "prefix %q", prefix)
			for key, item := range want {
				got, err := store.Get(kind, key)
				require.NoError(f.tb, err)
				assert.Equal(f.tb, item, got, "prefix %q", prefix)
			}
		}
	}
}
