package lddynamodb

import (
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"
	"golang.org/x/sync/singleflight"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

const (
	// maxAbsent bounds what a process can make the cache hold by asking for keys
	// that don't exist. Beyond it some are forgotten, and asked for again.
	maxAbsent = 10_000
	// spread is the part of a TTL, at its end, in which an entry expires at a random
	// moment: processes that start together would read together for ever.
	spread = 10
)

// A clock tells the time that has passed since it was made, by the monotonic clock
// alone: a hit asks for it, and time.Now costs twice as much.
type clock struct{ made time.Time }

const never = time.Duration(math.MaxInt64)

func newClock() clock { return clock{time.Now()} }

func (c clock) isPast(t time.Duration) bool { return t <= time.Since(c.made) }

// after returns the time after a time to live. A negative one is for ever.
func (c clock) after(ttl time.Duration) time.Duration {
	if now := time.Since(c.made); ttl >= 0 && ttl < never-now {
		return now + ttl
	}
	return never
}

// A kindCache holds the items of one kind. Reads of the table and writes to it
// run without a lock; what they end with is stored under one, by two rules. Of
// what was stored since a read or an update began, the newest version stays. And
// a read during which an Init replaced everything is made again.
type kindCache struct {
	kind        ld.VersionedDataKind
	name        string        // the kind's namespace
	namespace   string        // the same with the prefix, as the table has it
	ttl         time.Duration // negative is for ever
	servesStale bool
	clock       clock

	set     atomic.Pointer[completeSet] // nil if it is not known
	entries sync.Map                    // of *entry, by key
	absent  *gocache.Cache              // of the time when it expires that the table has no such row
	flights atomic.Pointer[flights]     // new after each write

	mu       sync.Mutex // held while something is stored
	stores   int        // so far
	replaced int        // the store that last replaced everything
}

// A completeSet is all that there is of a kind. It never changes, because callers
// hold its map; it is replaced. It always has the newest version that is known.
type completeSet struct {
	*dataSet
	expires time.Duration
	stored  int // the number of the store that put it there
}

// An entry is an item that was read or updated on its own.
type entry struct {
	item    ld.VersionedData
	expires time.Duration
	stored  int
}

// Flights are reads that any number of callers share.
type flights struct{ items, all singleflight.Group }

func newKindCache(kind ld.VersionedDataKind, namespace string, clock clock, ttl time.Duration, servesStale bool) *kindCache {
	k := &kindCache{
		kind: kind, name: kind.GetNamespace(), namespace: namespace, clock: clock, ttl: ttl, servesStale: servesStale,
		absent: gocache.New(gocache.NoExpiration, 0),
	}
	k.flights.Store(new(flights))
	return k
}

// get returns an item whose TTL has not run out; nil is one known to be absent.
func (k *kindCache) get(key string) (item ld.VersionedData, hit bool) {
	if set := k.set.Load(); set != nil && !k.clock.isPast(set.expires) {
		if item := set.get(key); item != nil {
			return item, true
		}
	}
	if cached, ok := k.entries.Load(key); ok {
		e := cached.(*entry)
		return e.item, !k.clock.isPast(e.expires)
	}
	expires, ok := k.absent.Get(key)
	return nil, ok && !k.clock.isPast(expires.(time.Duration))
}

// getAll returns the complete set, if its TTL has not run out.
func (k *kindCache) getAll() (items map[string]ld.VersionedData, hit bool) {
	if set := k.set.Load(); set != nil && !k.clock.isPast(set.expires) {
		return set.items, true
	}
	return nil, false
}

// lastKnown returns an item whatever its age. If the complete set is known, an
// item that isn't in it is known to be absent.
func (k *kindCache) lastKnown(key string) (item ld.VersionedData, known bool) {
	if cached, ok := k.entries.Load(key); ok {
		return cached.(*entry).item, true
	}
	if set := k.set.Load(); set != nil {
		return set.get(key), true
	}
	_, known = k.absent.Get(key)
	return nil, known
}

// lastKnownAll returns the complete set whatever its age.
func (k *kindCache) lastKnownAll() (items map[string]ld.VersionedData, known bool) {
	if set := k.set.Load(); set != nil {
		return set.items, true
	}
	return nil, false
}

// read lets any number of callers share one read of an item.
func (k *kindCache) read(key string, load func() (ld.VersionedData, error)) (ld.VersionedData, error) {
	if k.ttl == 0 {
		return load()
	}
	result, err, _ := k.flights.Load().items.Do(key, func() (interface{}, error) {
		for {
			since := k.begin()
			if item, hit := k.get(key); hit {
				return item, nil // stored since the caller looked
			}
			item, err := load()
			if err != nil {
				return nil, err
			}
			if newest, ok := k.storeRead(since, key, item); ok {
				return newest, nil
			}
		}
	})
	item, _ := result.(ld.VersionedData)
	return item, err
}

// readAll lets any number of callers share one read of all items.
func (k *kindCache) readAll(load func() (*dataSet, error)) (map[string]ld.VersionedData, error) {
	if k.ttl == 0 {
		set, err := load()
		if err != nil {
			return nil, err
		}
		return set.items, nil
	}
	result, err, _ := k.flights.Load().all.Do("", func() (interface{}, error) {
		for {
			since := k.begin()
			if items, hit := k.getAll(); hit {
				return items, nil
			}
			set, err := load()
			if err != nil {
				return nil, err
			}
			if items, ok := k.storeAll(since, set); ok {
				return items, nil
			}
		}
	})
	items, _ := result.(map[string]ld.VersionedData)
	return items, err
}

// update runs an update of an item, and stores the item that it returns, if any:
// what is served afterwards.
func (k *kindCache) update(key string, write func() (ld.VersionedData, error)) (ld.VersionedData, error) {
	since := k.begin()
	item, err := write()
	if item != nil && k.ttl != 0 {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.startNewReads()
		if !isNewer(k.storedSince(since, key), item) {
			k.store(key, item)
		}
	}
	return item, err
}

// begin waits for what is just being stored, so that it need not be read again,
// and returns the number of stores so far.
func (k *kindCache) begin() (since int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stores
}

// storeRead stores an item that was read, or nil if there is none, and returns
// the newest one. It does neither if everything was replaced since the read began.
func (k *kindCache) storeRead(since int, key string, item ld.VersionedData) (newest ld.VersionedData, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.replaced > since {
		return nil, false
	}
	if later := k.storedSince(since, key); later != nil && !isNewer(item, later) {
		return later, true
	}
	k.store(key, item)
	return item, true
}

// storeAll stores a complete set that was read, and returns the items of it and of
// what was stored since then. It does neither if everything was replaced.
func (k *kindCache) storeAll(since int, set *dataSet) (items map[string]ld.VersionedData, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.replaced > since {
		return nil, false
	}
	k.addStoredSince(since, set)
	k.retainMalformed(set)
	if old := k.set.Load(); old != nil && maps.Equal(old.items, set.items) {
		set.items = old.items // for callers that look whether anything has changed
	}
	k.storeSet(set)
	return set.items, true
}

// addStoredSince adds to a set what was stored since then, if it is newer.
func (k *kindCache) addStoredSince(since int, set *dataSet) {
	add := func(item ld.VersionedData) {
		if isNewer(item, set.get(item.GetKey())) {
			set.put(item)
		}
	}
	k.entries.Range(func(_, cached any) bool {
		if e := cached.(*entry); e.stored > since {
			add(e.item)
		}
		return true
	})
	if other := k.set.Load(); other != nil && other.stored > since {
		for _, item := range other.items {
			add(item)
		}
		for _, tombstone := range other.tombstones {
			add(tombstone)
		}
	}
}

// retainMalformed keeps the last known items of malformed rows as entries, because
// the set leaves them out.
func (k *kindCache) retainMalformed(set *dataSet) {
	old := k.set.Load()
	k.entries.Range(func(key, _ any) bool {
		if !set.malformed[key.(string)] {
			k.entries.Delete(key)
		}
		return true
	})
	for key := range set.malformed {
		if old == nil || !k.servesStale {
			return
		}
		if item := old.get(key); item != nil {
			k.entries.LoadOrStore(key, &entry{item: item, stored: old.stored})
		}
	}
}

// replace stores the whole data set of an Init.
func (k *kindCache) replace(set *dataSet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.startNewReads()
	removed := k.knownKeys() // none without a cache
	k.entries.Clear()
	k.absent.Flush()
	k.storeSet(set)
	k.replaced = k.stores
	for key := range removed {
		if set.get(key) == nil {
			k.storeAbsent(key)
		}
	}
}

func (k *kindCache) knownKeys() map[string]bool {
	keys := make(map[string]bool)
	k.entries.Range(func(key, _ any) bool {
		keys[key.(string)] = true
		return true
	})
	if set := k.set.Load(); set != nil {
		for key := range set.items {
			keys[key] = true
		}
		for key := range set.tombstones {
			keys[key] = true
		}
	}
	return keys
}

// clear forgets everything.
func (k *kindCache) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.startNewReads()
	k.stores++
	k.replaced = k.stores
	k.set.Store(nil)
	k.entries.Clear()
	k.absent.Flush()
}

// storeIfNewer stores an item that was found in the table.
func (k *kindCache) storeIfNewer(item ld.VersionedData) {
	if k.ttl == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.startNewReads()
	if known, _ := k.lastKnown(item.GetKey()); isNewer(item, known) {
		k.store(item.GetKey(), item)
	}
}

// storedSince returns the item that was stored for a key since then, or nil.
func (k *kindCache) storedSince(since int, key string) ld.VersionedData {
	if cached, ok := k.entries.Load(key); ok && cached.(*entry).stored > since {
		return cached.(*entry).item
	}
	if set := k.set.Load(); set != nil && set.stored > since {
		return set.get(key)
	}
	return nil
}

// store stores what is known of an item. Between the two changes, a reader that
// finds the new item here never finds the old one there: it finds nothing, and
// waits in begin.
func (k *kindCache) store(key string, item ld.VersionedData) {
	k.stores++
	set := k.set.Load()
	changed := k.setWith(set, key, item)
	if changed != set {
		k.entries.Delete(key)
		k.absent.Delete(key)
		k.set.Store(changed)
	}
	if item == nil {
		k.storeAbsent(key)
		k.entries.Delete(key)
		return
	}
	k.entries.Store(item.GetKey(), &entry{item, k.expiry(), k.stores}) // the caller's key may be part of something large
	k.absent.Delete(key)
}

// setWith returns the complete set, or a changed copy of it if an item changes it.
// The expiry stays.
func (k *kindCache) setWith(set *completeSet, key string, item ld.VersionedData) *completeSet {
	cached, isEntry := k.entries.Load(key)
	switch {
	case set == nil || set.get(key) == item:
		return set
	case isEntry && cached.(*entry).item == item:
		return set // the last known item of a malformed row, which the set leaves out
	case !k.servesStale && k.clock.isPast(set.expires):
		return nil // not worth a copy
	}
	data := &dataSet{maps.Clone(set.items), maps.Clone(set.tombstones), set.malformed}
	if item == nil {
		data.remove(key)
	} else {
		data.put(item)
	}
	return &completeSet{data, set.expires, set.stored}
}

func (k *kindCache) storeSet(set *dataSet) {
	if k.ttl == 0 {
		return
	}
	k.stores++
	k.set.Store(&completeSet{set, k.expiry(), k.stores})
}

// storeAbsent stores that there is no row with a key. If there are too many, some
// are forgotten.
func (k *kindCache) storeAbsent(key string) {
	if k.absent.ItemCount() >= maxAbsent {
		forget := maxAbsent / 10
		for other := range k.absent.Items() {
			if forget--; forget < 0 {
				break
			}
			k.absent.Delete(other)
		}
	}
	k.absent.SetDefault(strings.Clone(key), k.expiry())
}

// expiry returns when something that is stored now expires: at a random moment at
// the end of the TTL, never after it.
func (k *kindCache) expiry() time.Duration {
	if k.ttl < 0 {
		return never
	}
	return k.clock.after(k.ttl - rand.N(k.ttl/spread+1))
}

// startNewReads keeps callers that come after a write from waiting for reads that
// began before: such a read may have its result already.
func (k *kindCache) startNewReads() { k.flights.Store(new(flights)) }
