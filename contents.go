package lddynamodb

import (
	"maps"
	"strings"

	gocache "github.com/patrickmn/go-cache"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// maxAbsent bounds what a process can make the cache hold by asking for keys
// that don't exist. Beyond it they are forgotten, and asked for again.
const maxAbsent = 10_000

// The contents of a kindCache. Beside what is in the go-cache, they never
// change: callers hold the complete set.
type contents struct {
	items   *gocache.Cache // of *entry
	all     map[string]ld.VersionedData
	expires instant // when all does
}

// An entry has an expiry of its own, because go-cache's costs a call of
// time.Now for each hit. The item is deleted or not, or nil where the table has
// none.
type entry struct {
	item    ld.VersionedData
	expires instant
}

// get returns an item whose TTL has not run out; nil is one known to be absent.
func (k *kindCache) get(key string) (item ld.VersionedData, hit bool) {
	c := k.contents.Load()
	if !k.clock.isPast(c.expires) {
		if item, ok := c.all[key]; ok {
			return item, true
		}
	}
	cached, ok := c.items.Get(key)
	if !ok {
		return nil, false
	}
	e := cached.(*entry)
	if k.clock.isPast(e.expires) {
		return nil, false
	}
	return e.item, true
}

// getAll returns the complete set, if its TTL has not run out.
func (k *kindCache) getAll() (items map[string]ld.VersionedData, hit bool) {
	c := k.contents.Load()
	if c.all == nil || k.clock.isPast(c.expires) {
		return nil, false
	}
	return c.all, true
}

// lastKnown returns an item whatever its age. Where the complete set is known,
// an item that isn't in it is known to be absent.
func (k *kindCache) lastKnown(key string) (item ld.VersionedData, known bool) {
	c := k.contents.Load()
	if cached, ok := c.items.Get(key); ok {
		return cached.(*entry).item, true
	}
	return c.all[key], c.all != nil
}

// lastKnownAll returns the complete set whatever its age.
func (k *kindCache) lastKnownAll() (items map[string]ld.VersionedData, known bool) {
	c := k.contents.Load()
	return c.all, c.all != nil
}

// store stores what is known of an item. Where that changes the complete set, a
// reader in between finds nothing and waits in begin: who has seen the new item
// never sees the old one again, here or there.
func (k *kindCache) store(key string, item ld.VersionedData) {
	if item == nil {
		key = strings.Clone(key) // it may be a small part of something large
		k.makeRoomForAbsent()
	} else {
		k.journal.noteItem(key, item)
	}
	c := k.contents.Load()
	if changed := k.contentsWith(key, item); changed != c {
		c.items.Delete(key)
		k.contents.Store(changed)
	}
	c.items.SetDefault(key, &entry{item, k.clock.in(k.ttl)})
}

// contentsWith returns the contents with a changed copy of the complete set,
// where an item changes it. The expiry stays.
func (k *kindCache) contentsWith(key string, item ld.VersionedData) *contents {
	c := k.contents.Load()
	current := c.all[key]
	exists := item != nil && !item.IsDeleted()
	switch {
	case c.all == nil:
		return c
	case !k.keepStale && k.clock.isPast(c.expires):
		return &contents{items: c.items} // not worth a copy
	case !exists && current == nil, exists && current != nil && current.GetVersion() == item.GetVersion():
		return c
	}
	all := maps.Clone(c.all)
	if exists {
		all[key] = item
	} else {
		delete(all, key)
	}
	return &contents{c.items, all, c.expires}
}

// replace stores a whole data set beside what is known to be absent, and returns
// the complete set of it: that without deleted items.
func (k *kindCache) replace(absent map[string]gocache.Item, items map[string]ld.VersionedData) (
	all map[string]ld.VersionedData,
) {
	all = make(map[string]ld.VersionedData, len(items))
	cached := absent
	expires := k.clock.in(k.ttl)
	for key, item := range items {
		cached[key] = gocache.Item{Object: &entry{item, expires}}
		if !item.IsDeleted() {
			all[key] = item
		}
	}
	k.absent = len(cached) - len(items)
	k.contents.Store(&contents{newGoCache(cached), all, expires})
	return all
}

// absentees returns what is known to be absent.
func (k *kindCache) absentees() map[string]gocache.Item { return k.entries(isAbsent) }

// absenteesAfterInit returns what is known to be absent when an Init has removed
// everything: this process remembers what there was.
func (k *kindCache) absenteesAfterInit() map[string]gocache.Item {
	removed := &entry{nil, k.clock.in(k.ttl)}
	absent := k.contents.Load().items.Items()
	for key, cached := range absent {
		if !isAbsent(cached.Object.(*entry)) {
			absent[key] = gocache.Item{Object: removed}
		}
	}
	return absent
}

// forgetEverything is for an Init and other writes that were under way together:
// only the table knows which of them it took last.
func (k *kindCache) forgetEverything() {
	k.journal.overtake()
	k.absent = 0
	k.contents.Store(&contents{items: newGoCache(map[string]gocache.Item{})})
}

// makeRoomForAbsent makes room for another absent item where there are enough.
func (k *kindCache) makeRoomForAbsent() {
	if k.absent >= maxAbsent {
		k.absent = 0
		c := k.contents.Load()
		cached := k.entries(func(e *entry) bool { return !isAbsent(e) })
		k.contents.Store(&contents{newGoCache(cached), c.all, c.expires})
	}
	k.absent++
}

// sweep frees what has expired.
func (k *kindCache) sweep() {
	if k.keepStale {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.clock.now()
	swept := &contents{items: newGoCache(k.entries(func(e *entry) bool { return e.expires > now }))}
	if c := k.contents.Load(); c.expires > now {
		swept.all, swept.expires = c.all, c.expires
	}
	k.contents.Store(swept)
}

// entries returns a copy of the entries that a condition holds for.
func (k *kindCache) entries(condition func(*entry) bool) map[string]gocache.Item {
	entries := k.contents.Load().items.Items()
	maps.DeleteFunc(entries, func(_ string, cached gocache.Item) bool { return !condition(cached.Object.(*entry)) })
	return entries
}

func isAbsent(e *entry) bool { return e.item == nil }

// newGoCache makes a cache that leaves expiry to its user.
func newGoCache(entries map[string]gocache.Item) *gocache.Cache {
	return gocache.NewFrom(gocache.NoExpiration, 0, entries)
}
