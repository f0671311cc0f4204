package lddynamodb

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// maxRefreshes bounds how many values are re-read in the background at once.
const maxRefreshes = 16

// uninitializedTTL is for how long Initialized is false without a request, if what is
// cached does not expire: a process must notice at some time.
const uninitializedTTL = 15 * time.Second

// maxErrorPause is for how long at most Initialized is false without a request
// after one that failed.
const maxErrorPause = time.Second

// allWrites is the weight of a write that excludes all others.
const allWrites = math.MaxInt64

var _ interface {
	utils.NonAtomicFeatureStoreCore
	utils.FeatureStoreCoreStatus
} = (*cache)(nil)

// A cache is a memory cache over a core. It stands where the SDK's wrapper
// expects a core and tells it that the TTL is 0, because the wrapper's own cache
// lets slow reads overwrite newer updates and drops all items at each of them.
type cache struct {
	core        *core
	ttl         time.Duration // zero is no cache, negative is for ever
	staleValues StaleValuesPolicy
	clock       clock

	kinds   atomic.Pointer[[]*kindCache] // few and seldom added to, so a slice
	addKind sync.Mutex

	hasData   atomic.Bool
	initReads singleflight.Group
	askAgain  atomic.Int64 // until then there is no data without a request, by the clock

	// writes lets updates run at the same time, but an Init alone, and the writing
	// of what waits. It is no lock: nothing that evaluates waits for it.
	writes     *semaphore.Weighted
	arrivals   atomic.Int64 // writes so far
	underWay   atomic.Int64 // of these
	toldAt     atomic.Int64 // arrivals when the SDK was last told that the store is available
	refreshing *semaphore.Weighted
	refreshes  sync.Map // of refreshKey: what is being re-read in the background
	recovering atomic.Bool
	background background
	closing    sync.Once
}

func newCache(core *core, ttl time.Duration, staleValues StaleValuesPolicy) *cache {
	c := &cache{
		core: core, ttl: ttl, staleValues: staleValues, clock: newClock(),
		writes: semaphore.NewWeighted(allWrites), refreshing: semaphore.NewWeighted(maxRefreshes),
	}
	c.kinds.Store(new([]*kindCache))
	c.toldAt.Store(-1)
	if ttl <= 0 {
		c.staleValues = EvictStaleValues // nothing gets stale
	}
	return c
}

// Close ends requests that are under way and waits for the background work.
func (c *cache) Close() error {
	c.closing.Do(func() {
		c.core.close()
		c.background.wait()
		c.core.warnOfUnsaved()
	})
	return nil
}

// GetCacheTTL keeps the SDK's wrapper from caching.
func (c *cache) GetCacheTTL() time.Duration { return 0 }

// GetDiagnosticsComponentTypeName is the store's type in the SDK's diagnostics.
func (c *cache) GetDiagnosticsComponentTypeName() string { return "DynamoDB" }

// GetInternal returns an item from memory, or reads it.
func (c *cache) GetInternal(kind ld.VersionedDataKind, key string) (ld.VersionedData, error) {
	k := c.kind(kind)
	item, hit := k.get(key)
	if hit {
		return item, nil
	}
	known, isKnown := k.lastKnown(key)
	if isKnown && c.servesStale() && c.core.readsFail(getItem, k.namespace) {
		return known, nil // here, not in serve: in an outage this is the hot path, and must not allocate
	}
	return serve(c, refreshKey{k, key}, known, isKnown, func() (ld.VersionedData, error) {
		return k.read(key, func() (ld.VersionedData, error) { return c.load(k, key) })
	})
}

// load reads an item. For a malformed row it returns the last known item, if
// stale ones are kept, or nothing: no retry would mend the row.
func (c *cache) load(k *kindCache, key string) (ld.VersionedData, error) {
	item, err := c.core.get(k.kind, key)
	if _, malformed := asMalformed(err); !malformed {
		return item, err
	}
	if known, isKnown := k.lastKnown(key); isKnown && c.servesStale() {
		return known, nil
	}
	return nil, nil
}

// GetAllInternal returns the complete set of a kind from memory, or reads it.
func (c *cache) GetAllInternal(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
	k := c.kind(kind)
	items, hit := k.getAll()
	if hit {
		return items, nil
	}
	known, isKnown := k.lastKnownAll()
	if isKnown && c.servesStale() && c.core.readsFail(query, k.namespace) {
		return known, nil
	}
	return serve(c, refreshKey{kind: k}, known, isKnown, func() (map[string]ld.VersionedData, error) {
		return k.readAll(func() (*dataSet, error) { return c.core.getAll(kind) })
	})
}

// serve answers a miss: with what is loaded or, by the policy for stale values,
// with what is known.
func serve[T any](c *cache, key refreshKey, known T, isKnown bool, load func() (T, error)) (T, error) {
	keep := isKnown && c.servesStale()
	if keep && c.staleValues == RefreshStaleValuesAsync {
		c.refresh(key, func() {
			_, err := load()
			_ = c.afterCall(err)
		})
		return known, nil
	}
	loaded, err := load()
	if c.afterCall(err) != nil && keep {
		return known, nil
	}
	return loaded, err
}

// A refreshKey is what is re-read: an item or, without a key, a complete set.
type refreshKey struct {
	kind *kindCache
	key  string
}

// refresh re-reads something in the background, unless that is being done or
// enough others are being re-read.
func (c *cache) refresh(key refreshKey, load func()) {
	if _, running := c.refreshes.LoadOrStore(key, true); running {
		return
	}
	if !c.refreshing.TryAcquire(1) {
		c.refreshes.Delete(key)
		return
	}
	end := func() {
		c.refreshing.Release(1)
		c.refreshes.Delete(key)
	}
	started := c.background.start(func() {
		defer end()
		load()
	})
	if !started {
		end()
	}
}

// UpsertInternal updates the table and, with what is served afterwards, the cache.
func (c *cache) UpsertInternal(kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error) {
	end, err := c.beginWrite(1)
	if err != nil {
		return nil, err
	}
	defer end()
	served, err := c.kind(kind).update(item.GetKey(), func() (ld.VersionedData, error) { return c.core.upsert(kind, item) })
	return served, c.afterCall(err)
}

// InitCollectionsInternal replaces the data in the table and in the cache.
func (c *cache) InitCollectionsInternal(collections []utils.StoreCollection) error {
	end, err := c.beginWrite(allWrites)
	if err != nil {
		return err
	}
	defer end()
	served, err := c.core.init(collections)
	for i, set := range served {
		if k := c.kind(collections[i].Kind); set != nil {
			k.replace(set)
		} else {
			k.clear()
		}
	}
	if served != nil {
		c.hasData.Store(true)
	}
	return c.afterCall(err)
}

// beginWrite waits for writes that exclude this one, or for the store to be
// closed.
func (c *cache) beginWrite(weight int64) (end func(), err error) {
	c.arrivals.Add(1)
	c.underWay.Add(1)
	if err := c.writes.Acquire(c.core.ctx, weight); err != nil {
		c.underWay.Add(-1)
		return nil, err
	}
	return func() {
		c.writes.Release(weight)
		c.underWay.Add(-1)
	}, nil
}

// InitializedInternal tells whether there is a full data set. A yes is for ever, a
// no for one TTL.
func (c *cache) InitializedInternal() bool {
	if c.hasData.Load() {
		return true
	}
	inited, _, _ := c.initReads.Do("", func() (interface{}, error) {
		if !c.hasData.Load() && c.clock.isPast(time.Duration(c.askAgain.Load())) {
			c.readInitialized()
		}
		return c.hasData.Load(), nil
	})
	return inited.(bool)
}

func (c *cache) readInitialized() {
	inited, err := c.core.initialized()
	if inited {
		c.hasData.Store(true)
		return
	}
	ttl := c.ttl
	if ttl < 0 {
		ttl = uninitializedTTL
	}
	if c.afterCall(err) != nil {
		ttl = min(ttl, maxErrorPause)
	}
	c.askAgain.Store(int64(c.clock.after(ttl)))
}

// IsStoreAvailable tells the SDK that an outage is over, that nothing waits to be
// written, and that no write is under way: a change of the status that nobody reads
// can end in a crash of the application, and the SDK reads none during a write, or
// while LaunchDarkly refuses its stream. So it is told a second time only if it has
// written something since. Of a closed store it asks no more once it has a yes.
func (c *cache) IsStoreAvailable() bool {
	if c.core.isClosed() {
		return true
	}
	arrivals := c.arrivals.Load()
	if c.core.isFailing() || c.underWay.Load() > 0 || c.toldAt.Load() == arrivals {
		return false
	}
	c.toldAt.Store(arrivals)
	return true
}

// afterCall returns the error of a call of the core's. If that has met an outage,
// a goroutine finds out about its end.
func (c *cache) afterCall(err error) error {
	if c.core.isFailing() {
		c.startRecovery()
	}
	return err
}

func (c *cache) servesStale() bool { return c.staleValues != EvictStaleValues }

// kind returns the cache of a kind.
func (c *cache) kind(kind ld.VersionedDataKind) *kindCache {
	name := kind.GetNamespace()
	for _, k := range *c.kinds.Load() {
		if k.name == name {
			return k
		}
	}
	c.addKind.Lock()
	defer c.addKind.Unlock()
	kinds := *c.kinds.Load()
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	k := newKindCache(kind, c.core.namespace(kind), c.clock, c.ttl, c.servesStale())
	kinds = append(slices.Clone(kinds), k)
	c.kinds.Store(&kinds)
	return k
}
