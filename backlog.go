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
		if waiting := unsaved[item.GetKey()]; waiting != nil && waiting.GetVersion() <= item.GetVersion() {
			delete(unsaved, item.GetKey())
		}
	}
}

// init notes that an Init was not stored.
func (b *backlog) init() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inited = true
}

// drop notes that what waits of a kind is out of date, because of an Init.
func (b *backlog) drop(kind ld.VersionedDataKind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.items, kind)
}

// initSaved notes that the table says that its data set is complete.
func (b *backlog) initSaved() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inited = false
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
	if !c.isForever() {
		return nil // without waiting for an Init under way
	}
	if err := c.takeTurn(); err != nil {
		return err
	}
	defer c.endTurn()
	for {
		collections, inited := c.unsaved.collections()
		if len(collections) == 0 && !inited {
			return nil
		}
		for _, collection := range collections {
			if err := c.saveCollection(collection); err != nil {
				return err
			}
		}
		if inited {
			if err := c.table.putInited(c.ctx, c.initedKey()); err != nil {
				return err
			}
			c.unsaved.initSaved()
		}
	}
}

func (c *cache) saveCollection(collection utils.StoreCollection) error {
	current, err := c.core.saveNewer(collection)
	k := c.kind(collection.Kind.GetNamespace())
	for _, item := range current {
		k.storeIfNewer(item.GetKey(), item)
	}
	if err != nil {
		c.unsaved.remove(collection.Kind, current...)
		return err
	}
	c.unsaved.remove(collection.Kind, collection.Items...) // also what can't be stored
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

func (c *core) saveWave(plan *collectionPlan, wave []row) (current []ld.VersionedData, err error) {
	group, ctx := errgroup.WithContext(c.ctx)
	group.SetLimit(maxParallelBatches)
	var mu sync.Mutex
	for _, r := range wave {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err // another has failed
			}
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
