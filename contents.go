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

// The contents of a kindCache. The go-caches leave expiry to their user: theirs
// costs a call of time.Now for each hit. A complete set never changes, because
// callers hold it; it is replaced.
type contents struct {
	items   *gocache.Cache              // of *entry, deleted items included
	absent  *gocache.Cache              // of instant: when it expires that the table has no such row
	all     map[string]ld.VersionedData // the complete set, or nil
	expires instant                     // when that does
}

type entry struct {
	item    ld.VersionedData
	expires instant
}

func newContents() *contents { return &contents{items: newGoCache(), absent: newGoCache()} }

func newGoCache() *gocache.Cache { return gocache.New(gocache.NoExpiration, 0) }

// get returns an item whose TTL has not run out; nil is one known to be absent.
func (k *kindCache) get(key string) (item ld.VersionedData, hit bool) {
	c := k.contents.Load()
	if !k.clock.isPast(c.expires) {
		if item, ok := c.all[key]; ok {
			return item, true
		}
	}
	if cached, ok := c.items.Get(key); ok {
		e := cached.(*entry)
		return e.item, !k.clock.isPast(e.expires)
	}
	expires, ok := c.absent.Get(key)
	return nil, ok && !k.clock.isPast(expires.(instant))
}

// getAll returns the complete set, if its TTL has not run out.
func (k *kindCache) getAll() (items map[string]ld.VersionedData, hit bool) {
	c := k.contents.Load()
	return c.all, c.all != nil && !k.clock.isPast(c.expires)
}

// lastKnown returns an item whatever its age. Where the complete set is known,
// an item that isn't in it is known to be absent.
func (k *kindCache) lastKnown(key string) (item ld.VersionedData, known bool) {
	c := k.contents.Load()
	if cached, ok := c.items.Get(key); ok {
		return cached.(*entry).item, true
	}
	if _, ok := c.absent.Get(key); ok {
		return nil, true
	}
	return c.all[key], c.all != nil
}

// lastKnownAll returns the complete set whatever its age.
func (k *kindCache) lastKnownAll() (items map[string]ld.VersionedData, known bool) {
	all := k.contents.Load().all
	return all, all != nil
}

// store stores what is known of an item. Where that changes the complete set, a
// reader in between finds nothing and waits in begin: who has seen the new item
// never sees the old one again, here or there.
func (k *kindCache) store(key string, item ld.VersionedData) {
	c := k.contents.Load()
	if changed := k.contentsWith(key, item); changed != c {
		c.items.Delete(key)
		c.absent.Delete(key)
		k.contents.Store(changed)
	}
	if item != nil {
		c.items.SetDefault(key, &entry{item, k.clock.in(k.ttl)})
		c.absent.Delete(key)
		return
	}
	if c.absent.ItemCount() >= maxAbsent {
		c.absent.Flush()
	}
	// The key may be a small part of something large.
	c.absent.SetDefault(strings.Clone(key), k.clock.in(k.ttl))
	c.items.Delete(key)
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
		return &contents{items: c.items, absent: c.absent} // not worth a copy
	case !exists && current == nil, exists && current != nil && current.GetVersion() == item.GetVersion():
		return c
	}
	all := maps.Clone(c.all)
	if exists {
		all[key] = item
	} else {
		delete(all, key)
	}
	return &contents{c.items, c.absent, all, c.expires}
}

// complete makes contents of a whole data set beside what is known to be absent.
func (k *kindCache) complete(absent *gocache.Cache, items map[string]ld.VersionedData) *contents {
	all := make(map[string]ld.VersionedData, len(items))
	cached := make(map[string]gocache.Item, len(items))
	entries := make([]entry, 0, len(items))
	expires := k.clock.in(k.ttl)
	for key, item := range items {
		entries = append(entries, entry{item, expires})
		cached[key] = gocache.Item{Object: &entries[len(entries)-1]}
		if !item.IsDeleted() {
			all[key] = item
		}
	}
	return &contents{gocache.NewFrom(gocache.NoExpiration, 0, cached), absent, all, expires}
}

// removedBy returns what is known to be absent once an Init has put these items in
// the place of those that are cached.
func (k *kindCache) removedBy(items map[string]ld.VersionedData) *gocache.Cache {
	absent, expires := newGoCache(), k.clock.in(k.ttl)
	for key := range k.contents.Load().items.Items() {
		if items[key] == nil {
			absent.SetDefault(key, expires)
		}
	}
	return absent
}

// forget makes the next reads of an item, and of the complete set, ask the
// table.
func (c *contents) forget(key string) {
	c.all = nil
	c.items.Delete(key)
	c.absent.Delete(key)
}

// renew makes an item fresh that is known, and returns it, or nil.
func (k *kindCache) renew(key string) ld.VersionedData {
	k.mu.Lock()
	defer k.mu.Unlock()
	item, _ := k.lastKnown(key)
	if item != nil {
		k.store(key, item)
	}
	return item
}

// sweep frees what has expired. Where stale values are kept, that is the absent
// keys, if the complete set tells of them.
func (k *kindCache) sweep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.contents.Load()
	if !k.keepStale || c.all != nil {
		for key, cached := range c.absent.Items() {
			if k.clock.isPast(cached.Object.(instant)) {
				c.absent.Delete(key)
			}
		}
	}
	if k.keepStale {
		return
	}
	for key, cached := range c.items.Items() {
		if k.clock.isPast(cached.Object.(*entry).expires) {
			c.items.Delete(key)
		}
	}
	if k.clock.isPast(c.expires) {
		k.contents.Store(&contents{items: c.items, absent: c.absent})
	}
}
