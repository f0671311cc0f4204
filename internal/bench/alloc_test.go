//go:build !race

package bench

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// The race detector allocates, too, and makes pools forget. Allocations are
// counted for the whole process, so the test can't be parallel.
func TestRefreshesAllocateLittle(t *testing.T) {
	f := newMissFixture(t)
	allocations := func(maker storeMaker, read func(ld.FeatureStore) error) float64 {
		store, least := f.open(t, maker), math.Inf(1)
		require.NoError(t, read(store))
		for range 5 { // a garbage collection empties pools
			least = min(least, testing.AllocsPerRun(1, func() { require.NoError(t, read(store)) }))
		}
		return least
	}
	assert.Less(t, allocations(ours, all), allocations(theOriginal, all)/10)
	assert.Less(t, allocations(ours, get), allocations(theOriginal, get))
}
