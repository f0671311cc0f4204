//go:build !race

package lddynamodb

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// Every flag evaluation is such a read. Allocations are counted for the whole process, so this test can't run in
// parallel, and the keeper must not work meanwhile.
func TestReadsOfWhatIsKnownAllocateNothing(t *testing.T) {
	getF := func(s ld.FeatureStore) { _, _ = s.Get(ld.Features, "f") }
	getAbsent := func(s ld.FeatureStore) { _, _ = s.Get(ld.Features, "absent") }
	getAll := func(s ld.FeatureStore) { _, _ = s.All(ld.Features) }
	type reads = map[string]func(ld.FeatureStore)
	for name, c := range map[string]struct {
		prepare func(t *testing.T, f *fixture, s ld.FeatureStore)
		ttls    map[string]time.Duration
		reads   reads
	}{
		"the complete set": {func(t *testing.T, f *fixture, s ld.FeatureStore) { require.NoError(t, s.Init(allData(flag("f", 1)))) },
			cachingTTLs, reads{"Get": getF, "All": getAll}},
		"a daemon's": {func(t *testing.T, f *fixture, s ld.FeatureStore) { getF(s); getAbsent(s) },
			cachingTTLs, reads{"Get": getF, "Get of an absent key": getAbsent}},
		"a refused update": {func(t *testing.T, f *fixture, s ld.FeatureStore) {
			f.transport.setInterceptor(denying())
			require.Error(t, s.Upsert(ld.Features, flag("f", 1)))
		}, ttls, reads{"Get": getF}},
		"a refused Init": {func(t *testing.T, f *fixture, s ld.FeatureStore) {
			f.transport.setInterceptor(denying())
			getAbsent(s)
			require.Error(t, s.Init(allData(append(numberedFlags("f", 1000), flag("f", 1), flagOfSize("big", 1, maxItemBytes))...)))
		}, cachingTTLs, reads{"Get": getF, "All": getAll,
			"Get of one that can't be stored": func(s ld.FeatureStore) { _, _ = s.Get(ld.Features, "big") }}},
		"stale values in an outage": {func(t *testing.T, f *fixture, s ld.FeatureStore) {
			getF(s)
			getAll(s)
			f.transport.setInterceptor(denying())
			time.Sleep(time.Hour)
			getF(s)
			getAll(s)
		}, map[string]time.Duration{"cached": time.Minute}, reads{"Get": getF}},
	} {
		for mode, ttl := range c.ttls {
			t.Run(name+"/"+mode, func(t *testing.T) {
				inFakeTime(t, func(t *testing.T, f *fixture) {
					f.transport.setInterceptor(holding(t, flag("f", 1)))
					store := f.newStore(CacheTTL(ttl))
					c.prepare(t, f, store)
					for read, run := range c.reads {
						run(store) // with TTL zero it learns that reads are denied too
						f.transport.reset()
						assert.Zero(t, testing.AllocsPerRun(100, func() { run(store) }), read)
						assert.Empty(t, f.transport.recorded(), read)
					}
				})
			})
		}
	}
}
