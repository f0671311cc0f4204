package lddynamodb

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// These could be taken for one another, or for what follows a prefix.
func TestPrefixesCantReachEachOther(t *testing.T) {
	t.Parallel()
	prefixes := []string{"", "a", "aa", "a:", ":a", ":", "a:a", "a:features", "features", "segments", "$inited", "a:$inited", "*", "a?"}
	for name, ttl := range ttls {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			newStore := func(prefix string) ld.FeatureStore { return f.newStore(CacheTTL(ttl), Prefix(prefix)) }
			dataOf := func(i int) []ld.VersionedData {
				return []ld.VersionedData{flag("same", i+1), flag("only of "+prefixes[i], 1), flag("$inited", i+1),
					flag("a:$inited", i+1), flag("features", i+1), segment("same", i+1), segment("$inited", i+1)}
			}
			for i, prefix := range prefixes {
				for _, item := range dataOf(i) {
					require.NoError(t, newStore(prefix).Upsert(kindOf(item), item))
				}
			}
			for i, prefix := range prefixes {
				assert.False(t, newStore(prefix).Initialized(), "prefix %q, though others are", prefix)
				require.NoError(t, newStore(prefix).Init(allData(dataOf(i)...)))
			}
			for i, prefix := range prefixes {
				store, want := newStore(prefix), allData(dataOf(i)...)
				assert.True(t, store.Initialized(), "prefix %q", prefix)
				for kind, items := range want {
					for key, item := range items {
						assertGet(t, store, kind, key, item)
					}
					all, err := store.All(kind)
					require.NoError(t, err)
					assert.Equal(t, items, all, "prefix %q", prefix)
				}
			}
		})
	}
}
