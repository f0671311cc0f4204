package lddynamodb

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A kindCache holds the items of one kind. Reads of the table and writes to it
// run without a lock; what they end with is stored under one, by three rules. Of
// what came in since a read or an update began, the newest version stays. A read
// that an Init overtook is made again. And of an update and an Init that were
// under way together, neither is stored: the table is asked.
type kindCache struct {
	namespace string
	clock     *clock
	ttl       time.Duration // negative is for ever
	keepStale bool

	contents atomic.Pointer[contents]
	flights  atomic.Pointer[flights] // new after each write

	mu      sync.Mutex // held while something is stored
	journal journal
}

// Flights are reads that any number of callers share.
type flights struct{ items, all singleflight.Group }

func newKindCache(namespace string, clock *clock, ttl time.Duration, keepStale bool) *kindCache {
	k := &kindCache{namespace: namespace, clock: clock, ttl: ttl, keepStale: keepStale}
	k.flights.Store(new(flights))
	k.contents.Store(newContents())
	return k
}

// read lets any number of callers share one read of an item.
func (k *kindCache) read(key string, load func() (ld.VersionedData, error)) (ld.VersionedData, error) {
	result, err, _ := k.flights.Load().items.Do(key, func() (interface{}, error) {
		for {
			if item, overtaken, err := k.tryRead(key, load); !overtaken {
				return item, err
			}
		}
	})
	item, _ := result.(ld.VersionedData)
	return item, err
}

func (k *kindCache) tryRead(key string, load func() (ld.VersionedData, error)) (
	item ld.VersionedData, overtaken bool, err error,
) {
	since := k.begin()
	defer k.end()
	if item, hit := k.get(key); hit {
		return item, false, nil // stored since the caller looked
	}
	if item, err = load(); err != nil {
		return nil, false, err
	}
	item, overtaken = k.storeRead(since, key, item)
	return item, overtaken, nil
}

// readAll lets any number of callers share one read of all items, deleted ones
// included. It returns the complete set of them.
func (k *kindCache) readAll(load func() (map[string]ld.VersionedData, error)) (map[string]ld.VersionedData, error) {
	result, err, _ := k.flights.Load().all.Do("", func() (interface{}, error) {
		for {
			if all, overtaken, err := k.tryReadAll(load); !overtaken {
				return all, err
			}
		}
	})
	all, _ := result.(map[string]ld.VersionedData)
	return all, err
}

func (k *kindCache) tryReadAll(load func() (map[string]ld.VersionedData, error)) (
	all map[string]ld.VersionedData, overtaken bool, err error,
) {
	since := k.begin()
	defer k.end()
	if all, hit := k.getAll(); hit {
		return all, false, nil
	}
	items, err := load()
	if err != nil {
		return nil, false, err
	}
	all, overtaken = k.storeReadAll(since, items)
	return all, overtaken, nil
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

// begin waits for what is just being stored, so that it need not be read again.
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

// storeRead stores an item that was read, or nil where there is none, unless
// what came in meanwhile is as new. It returns the newer of both.
func (k *kindCache) storeRead(since int, key string, item ld.VersionedData) (newest ld.VersionedData, overtaken bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.journal.overtookSince(since) {
		return nil, true
	}
	if later := k.journal.itemSince(since, key); later != nil && !isNewer(item, later) {
		return later, false
	}
	if item != nil {
		k.journal.noteRead(key, item)
	}
	k.store(key, item)
	return item, false
}

// storeReadAll stores all items, as they were read. It returns the complete set
// of them and of what came in meanwhile. Reads of single items that are under way
// are made again, and find it.
func (k *kindCache) storeReadAll(since int, items map[string]ld.VersionedData) (
	all map[string]ld.VersionedData, overtaken bool,
) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.journal.overtookSince(since) {
		return nil, true
	}
	k.addNewer(items, since)
	if k.ttl < 0 { // the table may not have all that was cached since the process began
		for key, cached := range k.contents.Load().items.Items() {
			if item := cached.Object.(*entry).item; isNewer(item, items[key]) {
				items[key] = item
			}
		}
	}
	k.journal.noteReadAll()
	k.journal.overtake()
	c := k.complete(k.contents.Load().absent, items)
	k.contents.Store(c)
	return c.all, false
}

// addNewer adds what has come in since then, where it is newer.
func (k *kindCache) addNewer(items map[string]ld.VersionedData, since int) {
	for key := range k.journal.items {
		if later := k.journal.itemSince(since, key); isNewer(later, items[key]) {
			items[key] = later
		}
	}
}

// storeUpdate stores what an update ended with, unless what came in meanwhile is
// newer. If the table took an Init meanwhile, only the table knows which of the
// two was the last, and so for other updates at that time.
func (k *kindCache) storeUpdate(since int, key string, item ld.VersionedData) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.startNewReads()
	later := k.journal.itemSince(since, key)
	if cached, _ := k.get(key); k.journal.readAllSince(since) && isNewer(cached, later) {
		later = cached
	}
	switch {
	case k.journal.initedSince(since), k.journal.isUnsureSince(since, key):
		k.journal.noteUpdate(key, nil)
		k.journal.overtake()
		c := *k.contents.Load()
		c.forget(key)
		k.contents.Store(&c)
	case isNewer(later, item):
		k.journal.noteUpdate(key, later)
	default:
		k.journal.noteUpdate(key, item)
		k.store(key, item)
	}
}

// storeIfNewer stores an item that the table did not take from this process. It
// returns false where the cached one is as new.
func (k *kindCache) storeIfNewer(key string, item ld.VersionedData) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if cached, _ := k.get(key); !isNewer(item, cached) {
		return false
	}
	k.startNewReads()
	k.journal.noteUpdate(key, item)
	k.store(key, item)
	return true
}

// init stores the whole data set of an Init that the table took. Of items that
// were updated meanwhile, only the table knows what was the last.
func (k *kindCache) init(since int, items map[string]ld.VersionedData) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.startNewReads()
	k.journal.overtake()
	k.journal.noteInit()
	c := k.complete(k.removedBy(items), items)
	for key, entry := range k.journal.items {
		if entry.updated > since {
			c.forget(key)
		}
	}
	k.contents.Store(c)
}

// initRefused stores the whole data set of an Init that the table did not take,
// with the updates since then, and returns it.
func (k *kindCache) initRefused(since int, items map[string]ld.VersionedData) map[string]ld.VersionedData {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.startNewReads()
	k.journal.overtake()
	k.addNewer(items, since)
	k.contents.Store(k.complete(k.removedBy(items), items))
	return items
}

// startNewReads keeps callers that come after a write from waiting for reads that
// began before: such a read may have its result already.
func (k *kindCache) startNewReads() { k.flights.Store(new(flights)) }
