//go:build !race

package lddynamodb

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// Every flag evaluation is such a hit. Allocations are counted for the whole
// process, so this test can't run in parallel.
func TestHitsAllocateNothing(t *testing.T) {
	for name, ttl := range cachingTTLs {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			writer, reader := f.newStore(CacheTTL(ttl)), f.newStore(CacheTTL(ttl))
			require.NoError(t, writer.Init(allData(flag("f", 1))))
			_, err := reader.Get(ld.Features, "f")
			require.NoError(t, err)
			_, err = reader.Get(ld.Features, "unknown")
			require.NoError(t, err)
			f.transport.reset()

			for hit, run := range map[string]func(){
				"item of the complete set": func() { _, _ = writer.Get(ld.Features, "f") },
				"complete set":             func() { _, _ = writer.All(ld.Features) },
				"single item":              func() { _, _ = reader.Get(ld.Features, "f") },
				"absent item":              func() { _, _ = reader.Get(ld.Features, "unknown") },
			} {
				assert.Zero(t, testing.AllocsPerRun(100, run), hit)
			}
			assert.Empty(t, f.transport.recorded(), "each was a hit")
		})
	}
}
