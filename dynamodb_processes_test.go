package lddynamodb

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

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
