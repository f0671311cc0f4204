package faults_test

import (
	"time"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
)

// ttl lets a test wait for a cache to become stale.
const ttl = 200 * time.Millisecond

// A mode is how a store caches. The policy for stale values makes a difference
// only where there are any, with a positive TTL.
type mode struct {
	name        string
	ttl         time.Duration
	staleValues lddynamodb.StaleValuesPolicy
}

var (
	uncached     = mode{"TTL 0", 0, lddynamodb.EvictStaleValues}
	evict        = mode{"TTL, evict", ttl, lddynamodb.EvictStaleValues}
	refresh      = mode{"TTL, refresh", ttl, lddynamodb.RefreshStaleValues}
	refreshAsync = mode{"TTL, refresh async", ttl, lddynamodb.RefreshStaleValuesAsync}
	forever      = mode{"TTL < 0", -1, lddynamodb.EvictStaleValues}

	modes = []mode{uncached, evict, refresh, refreshAsync, forever}
)

func (m mode) options() []lddynamodb.FeatureStoreOption {
	return []lddynamodb.FeatureStoreOption{lddynamodb.CacheTTL(m.ttl), lddynamodb.StaleValues(m.staleValues)}
}

// effect is what a fault does to updates and reads that need the table.
type effect int

const (
	down      effect = iota // none of them succeeds
	slow                    // all of them succeed
	flaky                   // some of them succeed
	noBatches               // all but Inits succeed
)

// permits tells what evaluations may be answered with once cached values are
// stale: where a fault's effect is certain, with nothing but what the mode
// promises.
func (m mode) permits(e effect) []answer {
	switch {
	case m == forever:
		return []answer{newest}
	case e != down && m == refreshAsync, e == flaky && m == refresh:
		return []answer{newest, lastKnown}
	case e == slow || e == noBatches:
		return []answer{newest}
	case e == flaky:
		return []answer{newest, lastKnown, failed}
	case m == refresh || m == refreshAsync:
		return []answer{lastKnown}
	default:
		return []answer{failed}
	}
}
