package lddynamodb

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// A backlog is what the table did not take during an outage, where items are
// cached for ever. It is written when the table is back.
type backlog struct {
	mu     sync.Mutex
	items  map[ld.VersionedDataKind]map[string]ld.VersionedData
	inited bool // an Init is among it
}

// get returns the item that waits under a key, or nil.
func (b *backlog) get(kind ld.VersionedDataKind, key string) ld.VersionedData {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.items[kind][key]
}

// add notes an item that was not stored.
func (b *backlog) add(kind ld.VersionedDataKind, item ld.VersionedData) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.items == nil {
		b.items = make(map[ld.VersionedDataKind]map[string]ld.VersionedData)
	}
	if b.items[kind] == nil {
		b.items[kind] = make(map[string]ld.VersionedData)
	}
	b.items[kind][item.GetKey()] = item
}

// remove notes that the table has these items, or newer ones.
func (b *backlog) remove(kind ld.VersionedDataKind, stored ...ld.VersionedData) {
	b.mu.Lock()
	defer b.mu.Unlock()
	unsaved := b.items[kind]
	for _, item := range stored {
		if item == nil {
			continue // it can't be stored
		}
		if waiting := unsaved[item.GetKey()]; waiting != nil && waiting.GetVersion() <= item.GetVersion() {
			delete(unsaved, item.GetKey())
		}
	}
}

// init notes an Init, which takes the place of what waits of its kinds.
func (b *backlog) init(collections []utils.StoreCollection, stored bool) {
	b.mu.Lock()
	for _, collection := range collections {
		delete(b.items, collection.Kind)
	}
	b.inited = !stored
	b.mu.Unlock()
	if stored {
		return
	}
	for _, collection := range collections {
		for _, item := range collection.Items {
			b.add(collection.Kind, item)
		}
	}
}

// collections returns what waits, in Init's order.
func (b *backlog) collections() (collections []utils.StoreCollection, inited bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind, items := range b.items {
		if len(items) > 0 {
			collections = append(collections, utils.StoreCollection{Kind: kind, Items: slices.Collect(maps.Values(items))})
		}
	}
	slices.SortFunc(collections, func(a, b utils.StoreCollection) int {
		return cmp.Compare(initRank(a.Kind), initRank(b.Kind))
	})
	return collections, b.inited
}

// initRank puts segments before the flags that use them, and the rest last.
func initRank(kind ld.VersionedDataKind) int {
	switch kind.GetNamespace() {
	case ld.Segments.GetNamespace():
		return 0
	case ld.Features.GetNamespace():
		return 1
	default:
		return 2
	}
}

// saveBacklog writes what waits, and takes over what the table has newer. It
// leaves deletes to the Init that the SDK runs next: an obsolete row looks like
// another process's new one.
func (c *cache) saveBacklog() error {
	if err := c.beginWriting(); err != nil {
		return err
	}
	defer c.endWriting()
	collections, inited := c.unsaved.collections()
	for _, collection := range collections {
		current, err := c.core.saveNewer(collection)
		c.unsaved.remove(collection.Kind, current...)
		for _, item := range current {
			c.kind(collection.Kind.GetNamespace()).storeIfNewer(item.GetKey(), item)
		}
		if err != nil {
			return err
		}
		c.unsaved.remove(collection.Kind, collection.Items...) // also what can't be stored
	}
	if !inited {
		return nil
	}
	if err := c.table.putInited(c.ctx, c.initedKey()); err != nil {
		return err
	}
	c.unsaved.init(nil, true)
	return nil
}

// saveNewer writes the items that are newer than the table's, in waves as Init
// does, but each on the condition that it still is. It returns what the table
// has then. A malformed row in an item's place is left to the Init that the SDK
// runs after an outage.
func (c *core) saveNewer(collection utils.StoreCollection) (current []ld.VersionedData, err error) {
	c.beginWrite()
	defer c.endWrite()
	plan := c.encodeCollection(collection)
	err = c.table.query(c.ctx, plan.namespace, true, func(rows []row) {
		for _, r := range rows {
			if _, ok := plan.rows[r.key]; !ok {
				continue
			}
			if item, err := r.decode(plan.kind); err == nil && item.GetVersion() >= plan.items[r.key].GetVersion() {
				current = append(current, item)
				delete(plan.rows, r.key)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for _, wave := range plan.waves() {
		stored, err := c.saveWave(plan, wave)
		current = append(current, stored...)
		if err != nil {
			return current, err
		}
	}
	return current, nil
}

func (c *core) saveWave(plan collectionPlan, wave []row) (current []ld.VersionedData, err error) {
	var group errgroup.Group
	group.SetLimit(maxParallelBatches)
	var mu sync.Mutex
	for _, r := range wave {
		group.Go(func() error {
			item, err := c.storeNewest(plan.kind, r, plan.items[r.key])
			if isMalformed(err) {
				item, err = plan.items[r.key], nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			current = append(current, item)
			return nil
		})
	}
	err = group.Wait()
	return current, err
}
