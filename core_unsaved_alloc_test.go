//go:build !race

package lddynamodb

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// What is unsaved is a matter of misses. Allocations are counted for the whole
// process, so this test can't run in parallel.
func TestHitsAllocateNothingWhileItemsAreUnsaved(t *testing.T) {
	for name, ttl := range cachingTTLs {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.transport.setInterceptor(denying())
			updated, filled := f.newStore(CacheTTL(ttl)), f.newStore(CacheTTL(ttl))
			require.Error(t, updated.Upsert(ld.Features, flag("f", 1)))
			require.Error(t, filled.Init(allData(append(numberedFlags("f", 1000), flagOfSize("big", 1, maxItemBytes))...)))
			require.NoError(t, get(filled, "f-1")())
			require.NoError(t, get(filled, "unknown")())
			require.NoError(t, all(filled)())

			for hit, run := range map[string]func(){
				"refused update":              func() { _, _ = updated.Get(ld.Features, "f") },
				"item of a refused Init":      func() { _, _ = filled.Get(ld.Features, "f-1") },
				"item that can't be stored":   func() { _, _ = filled.Get(ld.Features, "big") },
				"complete set":                func() { _, _ = filled.All(ld.Features) },
				"item that the Init left out": func() { _, _ = filled.Get(ld.Features, "unknown") },
			} {
				run()
				assert.Zero(t, testing.AllocsPerRun(100, run), hit)
			}
		})
	}
}
