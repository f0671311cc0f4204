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

	allModes = []mode{uncached, evict, refresh, refreshAsync, forever}
	// someModes are the least and the most that a cache with a TTL can do.
	someModes = []mode{uncached, refresh}
)

func (m mode) options() []lddynamodb.FeatureStoreOption {
	return []lddynamodb.FeatureStoreOption{lddynamodb.CacheTTL(m.ttl), lddynamodb.StaleValues(m.staleValues)}
}

// keepsStale tells whether evaluations get the last known value where the table
// can't be read.
func (m mode) keepsStale() bool { return m == refresh || m == refreshAsync || m == forever }

// A process is one of the two whose evaluations are watched.
type process int

const (
	connected  process = iota // LaunchDarkly sends its updates there
	daemonMode                // it reads the table only
)

// effect is what a fault does to updates and reads that need the table.
type effect int

const (
	down      effect = iota // none of them succeeds
	slow                    // all of them succeed
	flaky                   // some of them succeed
	noBatches               // all but Inits succeed
)

// permits tells what evaluations may be answered with once cached values are
// stale: where a fault's effect is certain, with nothing but what is promised.
func (m mode) permits(p process, e effect) []answer {
	if p == connected {
		if e == flaky && !m.keepsStale() {
			return []answer{newest, failed} // the update was stored, and can't be read just now
		}
		return []answer{newest} // also where the table refused it
	}
	permitted := []answer{newest, lastKnown}
	switch {
	case e == slow && !m.keepsStale():
		return []answer{newest}
	case e == down && m.keepsStale():
		return []answer{lastKnown}
	case e == down:
		return []answer{failed}
	case e == flaky && !m.keepsStale():
		return append(permitted, failed)
	}
	return permitted
}
