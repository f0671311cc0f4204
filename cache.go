package lddynamodb

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// maxErrorPause is for how long at most Initialized is false without a request
// after one that failed.
const maxErrorPause = time.Second

var _ interface {
	utils.NonAtomicFeatureStoreCore
	utils.FeatureStoreCoreStatus
} = (*cache)(nil)

// A cache is a memory cache over a core. It stands where the SDK's wrapper
// expects a core and tells it that the TTL is 0, because the wrapper's own cache
// lets slow reads overwrite newer updates and drops all items at each of them.
type cache struct {
	*core
	ttl         time.Duration // negative is for ever
	staleValues StaleValuesPolicy
	clock       *clock

	kinds   atomic.Pointer[[]*kindCache] // few and seldom added to, so a slice
	addKind sync.Mutex

	inited    atomic.Bool
	initReads singleflight.Group
	askAgain  atomic.Int64 // the instant until which inited is false without a request

	// turn is full while an Init or the backlog is being written. Each would
	// undo some of the other. Nothing else waits for it.
	turn        chan struct{}
	unsaved     backlog
	refusing    sync.Mutex  // held while what the table refused gets into the cache and into unsaved
	initRefused atomic.Bool // by the table, which has taken none since
	refreshes   sync.Map    // of refreshKey: what is being re-read in the background
	background  background
}

func newCache(core *core, ttl time.Duration, staleValues StaleValuesPolicy) *cache {
	c := &cache{core: core, ttl: ttl, staleValues: staleValues, clock: newClock(), turn: make(chan struct{}, 1)}
	c.kinds.Store(new([]*kindCache))
	if c.isForever() {
		c.staleValues = EvictStaleValues // nothing gets stale
		c.clock.stop()
	} else {
		c.background.start(c.keepTime)
	}
	return c
}

// Close ends requests that are under way and waits for the background work.
func (c *cache) Close() error {
	err := c.core.Close()
	c.background.wait()
	return err
}

// GetInternal returns an item from memory, or reads it.
func (c *cache) GetInternal(kind ld.VersionedDataKind, key string) (ld.VersionedData, error) {
	k := c.kind(kind.GetNamespace())
	if item, hit := k.get(key); hit {
		return item, nil
	}
	if !canBeSortKey(key) {
		return nil, nil // before it takes any room in the cache
	}
	known, isKnown := k.lastKnown(key)
	return serve(c, refreshKey{k, key}, known, isKnown, func() (ld.VersionedData, error) {
		item, err := k.read(key, func() (ld.VersionedData, error) { return c.readItem(k, kind, key) })
		if isMalformed(err) && known != nil && c.keepsStale() {
			return k.renew(key), nil // else each evaluation would read the row
		}
		return item, err
	})
}

// readItem reads an item, but does not bring back what a refused Init removed
// and the table still has.
func (c *cache) readItem(k *kindCache, kind ld.VersionedDataKind, key string) (ld.VersionedData, error) {
	if known, isKnown := k.lastKnown(key); c.initRefused.Load() && isKnown {
		return known, nil
	}
	return c.core.GetInternal(kind, key)
}

// GetAllInternal returns the complete set of a kind from memory, or reads it.
func (c *cache) GetAllInternal(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
	if report, ok := kind.(outageReport); ok {
		return nil, report.cause
	}
	k := c.kind(kind.GetNamespace())
	if items, hit := k.getAll(); hit {
		return items, nil
	}
	known, isKnown := k.lastKnownAll()
	return serve(c, refreshKey{kind: k}, known, isKnown, func() (map[string]ld.VersionedData, error) {
		return k.readAll(func() (map[string]ld.VersionedData, error) { return c.core.getAll(kind) })
	})
}

// serve answers a miss: with what is loaded or, by the policy for stale values,
// with what is known. During an outage it doesn't ask: the SDK keeps asking
// whether that is over.
func serve[T any](c *cache, key refreshKey, known T, isKnown bool, load func() (T, error)) (T, error) {
	if !isKnown || !c.keepsStale() {
		return load()
	}
	if c.outage.failsReads.Load() {
		c.outage.remind()
		return known, nil
	}
	if c.staleValues == RefreshStaleValuesAsync {
		c.refresh(key, func() { _, _ = load() })
		return known, nil
	}
	loaded, err := load()
	if err == nil || isMalformed(err) {
		return loaded, err
	}
	c.outage.remind()
	return known, nil
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
	started := c.background.tryStart(func() {
		defer c.refreshes.Delete(key)
		load()
		c.outage.remind() // where the read failed
	})
	if !started {
		c.refreshes.Delete(key)
	}
}

// UpsertInternal updates the table and, with what it has afterwards, the cache.
func (c *cache) UpsertInternal(kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error) {
	k := c.kind(kind.GetNamespace())
	if c.isForever() {
		return c.upsertForever(k, kind, item)
	}
	return k.update(item.GetKey(), func() (ld.VersionedData, error) { return c.core.UpsertInternal(kind, item) })
}

// upsertForever also serves what the table refused, and writes it later.
func (c *cache) upsertForever(k *kindCache, kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error) {
	if waiting := c.unsaved.get(kind, item.GetKey()); waiting != nil && !isNewer(item, waiting) {
		return waiting, nil
	}
	stored, err := k.update(item.GetKey(), func() (ld.VersionedData, error) { return c.core.UpsertInternal(kind, item) })
	if err != nil {
		c.keepRefused(k, kind, item)
	} else if stored != nil {
		c.unsaved.remove(kind, stored)
	}
	return stored, err
}

func (c *cache) keepRefused(k *kindCache, kind ld.VersionedDataKind, item ld.VersionedData) {
	c.refusing.Lock()
	defer c.refusing.Unlock()
	if k.storeIfNewer(item.GetKey(), item) {
		c.unsaved.add(kind, item)
	}
}

// InitCollectionsInternal replaces the data in the table and in the cache.
func (c *cache) InitCollectionsInternal(collections []utils.StoreCollection) error {
	if err := c.takeTurn(); err != nil {
		return err
	}
	defer c.endTurn()
	since := make([]int, len(collections))
	for i, collection := range collections {
		k := c.kind(collection.Kind.GetNamespace())
		since[i] = k.begin()
		defer k.end()
	}
	err := c.core.InitCollectionsInternal(collections)
	switch {
	case err == nil:
		c.storeInit(collections, since)
	case c.isForever():
		c.keepRefusedInit(collections, since)
	default:
		return err
	}
	c.inited.Store(true)
	return err
}

func (c *cache) storeInit(collections []utils.StoreCollection, since []int) {
	for i, collection := range collections {
		c.unsaved.drop(collection.Kind)
		c.kind(collection.Kind.GetNamespace()).init(since[i], storableItems(collection))
	}
	c.unsaved.initSaved()
	c.initRefused.Store(false)
}

func (c *cache) keepRefusedInit(collections []utils.StoreCollection, since []int) {
	c.refusing.Lock()
	defer c.refusing.Unlock()
	c.initRefused.Store(true) // before reads that it overtakes are made again
	for i, collection := range collections {
		c.unsaved.drop(collection.Kind)
		for _, item := range c.kind(collection.Kind.GetNamespace()).initRefused(since[i], storableItems(collection)) {
			c.unsaved.add(collection.Kind, item)
		}
	}
	c.unsaved.init()
}

// takeTurn waits for the turn to write much, or for the store to be closed.
func (c *cache) takeTurn() error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

func (c *cache) endTurn() { <-c.turn }

// storableItems leaves out items under whose keys reads find nothing.
func storableItems(collection utils.StoreCollection) map[string]ld.VersionedData {
	items := make(map[string]ld.VersionedData, len(collection.Items))
	for _, item := range collection.Items {
		if canBeSortKey(item.GetKey()) {
			items[item.GetKey()] = item
		}
	}
	return items
}

// InitializedInternal tells whether the table holds a full data set. A yes is
// for ever, a no for one TTL.
func (c *cache) InitializedInternal() bool {
	if c.inited.Load() {
		return true
	}
	inited, _, _ := c.initReads.Do("", func() (interface{}, error) {
		if c.inited.Load() || !c.clock.isPast(instant(c.askAgain.Load())) {
			return c.inited.Load(), nil
		}
		inited, err := c.core.inited()
		if inited {
			c.inited.Store(true)
			return true, nil
		}
		ttl := c.ttl
		if c.isForever() {
			ttl = DefaultCacheTTL // a process must notice at some time
		}
		if c.core.observeRead(err) != nil {
			c.outage.remind()
			ttl = min(ttl, maxErrorPause)
		}
		c.askAgain.Store(int64(c.clock.in(ttl)))
		return c.inited.Load(), nil // an Init may have come by
	})
	return inited.(bool)
}

// IsStoreAvailable tells whether the table can be used again. It can only once
// it has what it could not take before.
func (c *cache) IsStoreAvailable() bool {
	if c.isClosed() {
		return true
	}
	if !c.core.isReachable() {
		return false
	}
	if c.core.observeWrite(c.saveBacklog()) != nil {
		c.outage.relapse()
		return false
	}
	c.askAgain.Store(0)
	c.outage.end()
	return true
}

func (c *cache) isForever() bool { return c.ttl < 0 }

func (c *cache) keepsStale() bool { return c.staleValues != EvictStaleValues }

// kind returns the cache of the kind with this namespace.
func (c *cache) kind(namespace string) *kindCache {
	for _, k := range *c.kinds.Load() {
		if k.namespace == namespace {
			return k
		}
	}
	c.addKind.Lock()
	defer c.addKind.Unlock()
	kinds := *c.kinds.Load()
	for _, k := range kinds {
		if k.namespace == namespace {
			return k
		}
	}
	k := newKindCache(namespace, c.clock, c.ttl, c.keepsStale())
	kinds = append(slices.Clone(kinds), k)
	c.kinds.Store(&kinds)
	return k
}

// keepTime has the clock tick and frees what has expired, until the store is
// closed.
func (c *cache) keepTime() {
	defer c.clock.stop()
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	nextSweep := c.clock.in(c.ttl)
	for {
		select {
		case <-ticker.C:
			c.clock.tick()
		case <-c.ctx.Done():
			return
		}
		if c.clock.isPast(nextSweep) {
			nextSweep = c.clock.in(c.ttl)
			for _, k := range *c.kinds.Load() {
				k.sweep()
			}
		}
	}
}
