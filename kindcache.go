package lddynamodb

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"
	"golang.org/x/sync/singleflight"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// maxAbsent bounds what a process can make the cache hold by asking for keys
// that don't exist. Beyond it they are forgotten, and asked for again.
const maxAbsent = 10_000

// A kindCache holds the items of one kind. Reads of the table and updates run
// without a lock; what they end with is stored under one, by a rule: a read
// stores nothing that an update overtook.
type kindCache struct {
	namespace string
	ttl       time.Duration // gocache.NoExpiration is for ever
	keepStale bool

	items  atomic.Pointer[gocache.Cache] // by key; deleted ones included, absent ones not
	absent *gocache.Cache                // the keys that the table has no row of
	all    atomic.Pointer[completeSet]   // nil where not known

	itemReads atomic.Pointer[singleflight.Group]
	allReads  atomic.Pointer[singleflight.Group]

	mu      sync.Mutex
	stale   map[string]ld.VersionedData // last known items beside those in all
	journal journal
}

// A completeSet is all items of a kind but the deleted ones. The map never
// changes: callers hold it.
type completeSet struct {
	items   map[string]ld.VersionedData
	expires time.Time // zero is never
}

func (s *completeSet) isFresh() bool { return s.expires.IsZero() || time.Now().Before(s.expires) }

func newKindCache(namespace string, ttl time.Duration, keepStale bool) *kindCache {
	k := &kindCache{
		namespace: namespace,
		ttl:       ttl,
		keepStale: keepStale,
		absent:    gocache.New(ttl, 0),
		stale:     make(map[string]ld.VersionedData),
	}
	k.items.Store(gocache.New(ttl, 0))
	k.itemReads.Store(new(singleflight.Group))
	k.allReads.Store(new(singleflight.Group))
	return k
}

// get returns an item whose TTL has not run out; nil is one known to be absent.
func (k *kindCache) get(key string) (item ld.VersionedData, hit bool) {
	if cached, ok := k.items.Load().Get(key); ok {
		return cached.(ld.VersionedData), true
	}
	_, hit = k.absent.Get(key)
	return nil, hit
}

// getAll returns the complete set, if its TTL has not run out.
func (k *kindCache) getAll() (items map[string]ld.VersionedData, hit bool) {
	if all := k.all.Load(); all != nil && all.isFresh() {
		return all.items, true
	}
	return nil, false
}

// lastKnown returns an item whatever its age. Where the complete set is known,
// an item that isn't in it is known to be absent.
func (k *kindCache) lastKnown(key string) (item ld.VersionedData, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if item, known = k.stale[key]; known {
		return item, true
	}
	if all := k.all.Load(); all != nil {
		return all.items[key], true
	}
	return nil, false
}

// lastKnownAll returns the complete set whatever its age.
func (k *kindCache) lastKnownAll() (items map[string]ld.VersionedData, known bool) {
	if all := k.all.Load(); all != nil {
		return all.items, true
	}
	return nil, false
}

// read lets any number of callers share one read of an item.
func (k *kindCache) read(key string, load func() (ld.VersionedData, error)) (ld.VersionedData, error) {
	item, err, _ := k.itemReads.Load().Do(key, func() (interface{}, error) {
		if item, hit := k.get(key); hit {
			return item, nil // another read has just ended
		}
		since := k.begin()
		defer k.end()
		item, err := load()
		if err == nil {
			k.storeRead(since, key, item)
		}
		return item, err
	})
	found, _ := item.(ld.VersionedData)
	return found, err
}

// readAll lets any number of callers share one read of the complete set.
func (k *kindCache) readAll(load func() (map[string]ld.VersionedData, error)) (map[string]ld.VersionedData, error) {
	items, err, _ := k.allReads.Load().Do("", func() (interface{}, error) {
		if items, hit := k.getAll(); hit {
			return items, nil
		}
		since := k.begin()
		defer k.end()
		items, err := load()
		if err != nil {
			return nil, err
		}
		return k.storeReadAll(since, items), nil
	})
	found, _ := items.(map[string]ld.VersionedData)
	return found, err
}

// update runs an update of an item, and stores the item that it returns: the one
// that the table has afterwards.
func (k *kindCache) update(key string, write func() (ld.VersionedData, error)) (ld.VersionedData, error) {
	since := k.begin()
	defer k.end()
	item, err := write()
	if err == nil && item != nil {
		k.storeUpdate(since, key, item)
	}
	return item, err
}

func (k *kindCache) begin() (since int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.journal.begin()
}

func (k *kindCache) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.journal.end()
}

func (k *kindCache) storeRead(since int, key string, item ld.VersionedData) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.journal.replacedSince(since) || k.journal.updatedSince(since, key) != nil {
		return
	}
	if item != nil {
		k.store(key, item)
		return
	}
	if k.absent.ItemCount() >= maxAbsent {
		k.absent.Flush()
	}
	k.absent.SetDefault(key, nil)
	delete(k.stale, key)
}

// storeReadAll stores a complete set that was read, and returns what updates
// have made of it since the read began.
func (k *kindCache) storeReadAll(since int, items map[string]ld.VersionedData) map[string]ld.VersionedData {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.journal.replacedSince(since) {
		return items
	}
	for key, item := range k.newerThanRead(since) {
		if read := items[key]; read == nil || read.GetVersion() <= item.GetVersion() {
			items[key] = item
		}
	}
	return k.replace(items)
}

// newerThanRead returns what a read of the complete set may have missed: the
// updates since it began or, where items are cached for ever, all of them, some
// of which the table may not have yet.
func (k *kindCache) newerThanRead(since int) map[string]ld.VersionedData {
	newer := make(map[string]ld.VersionedData)
	if k.ttl == gocache.NoExpiration {
		for key, cached := range k.items.Load().Items() {
			newer[key] = cached.Object.(ld.VersionedData)
		}
	}
	for key := range k.journal.updates {
		if item := k.journal.updatedSince(since, key); item != nil {
			newer[key] = item
		}
	}
	return newer
}

// storeUpdate stores what an update ended with, unless a later one was faster.
func (k *kindCache) storeUpdate(since int, key string, item ld.VersionedData) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.journal.replacedSince(since) {
		// Which of the two the table took last is unknown.
		k.journal.update(key, item)
		k.forget(key)
		return
	}
	if later := k.journal.updatedSince(since, key); later != nil && later.GetVersion() > item.GetVersion() {
		return
	}
	k.storeNow(key, item)
}

// storeIfNewer stores an item that the table did not take.
func (k *kindCache) storeIfNewer(key string, item ld.VersionedData) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if cached, hit := k.get(key); hit && cached != nil && cached.GetVersion() >= item.GetVersion() {
		return false
	}
	k.storeNow(key, item)
	return true
}

// storeNow stores an item in a way that reads under way don't undo.
func (k *kindCache) storeNow(key string, item ld.VersionedData) {
	k.journal.update(key, item)
	k.itemReads.Load().Forget(key) // later callers must not get an older item
	k.store(key, item)
}

func (k *kindCache) store(key string, item ld.VersionedData) {
	k.items.Load().SetDefault(key, item)
	if k.keepStale {
		k.stale[key] = item
	}
	k.storeInAll(key, item)
}

// storeInAll replaces the complete set by a changed copy, with the same expiry.
func (k *kindCache) storeInAll(key string, item ld.VersionedData) {
	all := k.all.Load()
	if all == nil {
		return
	}
	current := all.items[key]
	if item.IsDeleted() && current == nil ||
		!item.IsDeleted() && current != nil && current.GetVersion() == item.GetVersion() {
		return
	}
	items := maps.Clone(all.items)
	if item.IsDeleted() {
		delete(items, key)
	} else {
		items[key] = item
	}
	k.all.Store(&completeSet{items, all.expires})
}

// forget makes the next reads of an item and of the complete set ask the table.
func (k *kindCache) forget(key string) {
	k.items.Load().Delete(key)
	k.itemReads.Load().Forget(key)
	k.allReads.Store(new(singleflight.Group))
	if all := k.all.Load(); all != nil {
		k.all.Store(&completeSet{all.items, time.Now()})
	}
}

// init stores a whole data set. It overtakes every read and update under way.
func (k *kindCache) init(items map[string]ld.VersionedData) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.journal.replace()
	k.itemReads.Store(new(singleflight.Group))
	k.allReads.Store(new(singleflight.Group))
	k.absent.Flush()
	k.replace(items)
}

// replace stores a whole data set, and returns the complete set of it.
func (k *kindCache) replace(items map[string]ld.VersionedData) map[string]ld.VersionedData {
	var expires time.Time
	var expiration int64 // the same for go-cache
	if k.ttl != gocache.NoExpiration {
		expires = time.Now().Add(k.ttl)
		expiration = expires.UnixNano()
	}
	entries := make(map[string]gocache.Item, len(items))
	all := make(map[string]ld.VersionedData, len(items))
	for key, item := range items {
		entries[key] = gocache.Item{Object: item, Expiration: expiration}
		if !item.IsDeleted() {
			all[key] = item
		}
	}
	k.items.Store(gocache.NewFrom(k.ttl, 0, entries))
	k.all.Store(&completeSet{all, expires})
	clear(k.stale)
	return all
}

// sweep frees what has expired.
func (k *kindCache) sweep() {
	k.items.Load().DeleteExpired()
	k.absent.DeleteExpired()
	if all := k.all.Load(); all != nil && !all.isFresh() && !k.keepStale {
		k.all.CompareAndSwap(all, nil)
	}
}
