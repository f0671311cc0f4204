package lddynamodb

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// unsaved has what this process received and the table does not have: items that
// DynamoDB can never hold, and what the table refused for now, which waits to be
// written. It is served from memory, unless a row is as new.
type unsaved struct {
	mu        sync.Mutex
	kinds     map[string]*unsavedKind // by namespace
	initWaits bool                    // the table is still to say that it holds a full data set
	size      atomic.Int64            // the number of items; -1 if an Init without items waits
}

type unsavedKind struct {
	kind  ld.VersionedDataKind
	items map[string]unsavedItem
	// removed is nil unless an Init waits to be written. It has the rows that the
	// Init left out and that this process knew, by key, with their versions.
	removed map[string]int
}

type unsavedItem struct {
	item    ld.VersionedData
	waiting bool // to be written
	decides bool // that this is what is served if the table can't be asked
	removes bool // the row with just this version
	removed int
}

// newest returns the newer of what the table has and what is unsaved. Either may
// be nil.
func (i unsavedItem) newest(stored ld.VersionedData) ld.VersionedData {
	switch {
	case isNewer(i.item, stored):
		return i.item
	case i.item == nil && i.removes && stored != nil && stored.GetVersion() == i.removed:
		return nil
	}
	return stored
}

func (k *unsavedKind) list() []ld.VersionedData {
	items := make([]ld.VersionedData, 0, len(k.items))
	for _, kept := range k.items {
		items = append(items, kept.item)
	}
	return items
}

func (u *unsaved) isEmpty() bool { return u.size.Load() == 0 }

// get returns what is unsaved of an item.
func (u *unsaved) get(namespace, key string) unsavedItem {
	if u.isEmpty() {
		return unsavedItem{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.kinds[namespace]
	if k == nil {
		return unsavedItem{}
	}
	return k.get(key)
}

func (k *unsavedKind) get(key string) unsavedItem {
	kept := k.items[key]
	kept.decides = kept.item != nil || k.removed != nil
	kept.removed, kept.removes = k.removed[key]
	return kept
}

// newest is that of the item. What the table has as new is done with.
func (u *unsaved) newest(namespace, key string, stored ld.VersionedData) ld.VersionedData {
	if u.isEmpty() {
		return stored
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.kinds[namespace]
	if k == nil {
		return stored
	}
	newest := k.newest(key, stored)
	u.countItems()
	return newest
}

func (k *unsavedKind) newest(key string, stored ld.VersionedData) ld.VersionedData {
	newest := k.get(key).newest(stored)
	if stored != nil && newest == stored {
		delete(k.items, key)
	}
	return newest
}

// mergeInto makes the items that were read the newest ones.
func (u *unsaved) mergeInto(namespace string, set *dataSet) {
	if u.isEmpty() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.kinds[namespace].mergeInto(set)
	u.countItems()
}

func (k *unsavedKind) mergeInto(set *dataSet) {
	if k == nil {
		return
	}
	for key := range k.removed {
		if k.newest(key, set.get(key)) == nil {
			set.remove(key)
		}
	}
	for key := range k.items {
		set.put(k.newest(key, set.get(key)))
	}
}

// all returns a copy of what is unsaved of a kind, or nil.
func (u *unsaved) all(namespace string) *unsavedKind {
	if u.isEmpty() {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.kinds[namespace]
	if k == nil {
		return nil
	}
	return &unsavedKind{k.kind, maps.Clone(k.items), k.removed}
}

// add adds an item, unless what is there is newer.
func (u *unsaved) add(kind ld.VersionedDataKind, key rowKey, item ld.VersionedData, waiting bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.kinds[key.namespace]
	if k == nil {
		k = u.replace(kind, key.namespace)
	}
	if !isNewer(k.items[key.key].item, item) {
		k.items[item.GetKey()] = unsavedItem{item: item, waiting: waiting}
	}
	u.countItems()
}

// replace drops what is unsaved of a kind.
func (u *unsaved) replace(kind ld.VersionedDataKind, namespace string) *unsavedKind {
	if u.kinds == nil {
		u.kinds = make(map[string]*unsavedKind)
	}
	k := &unsavedKind{kind: kind, items: make(map[string]unsavedItem)}
	u.kinds[namespace] = k
	return k
}

// initSaved notes an Init that the table has, but for what it can't hold.
func (u *unsaved) initSaved(plan []*kindPlan) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range plan {
		k := u.replace(p.kind, p.namespace)
		for key := range p.leftOut {
			k.items[key] = unsavedItem{item: p.items[key]}
		}
	}
	u.initWaits = false
	u.countItems()
}

// initRefused notes an Init that the table did not take.
func (u *unsaved) initRefused(plan []*kindPlan, known *knownRows) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range plan {
		k := u.replace(p.kind, p.namespace)
		k.removed = known.versions(p.namespace)
		for _, r := range p.obsolete {
			if version, err := strconv.Atoi(r.version); err == nil {
				k.removed[r.key] = version
			}
		}
		for key, item := range p.items {
			k.items[key] = unsavedItem{item: item, waiting: !p.leftOut[key]}
			delete(k.removed, key)
		}
	}
	u.initWaits = true
	u.countItems()
}

// done notes that the table has an item, or a newer one.
func (u *unsaved) done(namespace string, stored ld.VersionedData) {
	u.newest(namespace, stored.GetKey(), stored)
}

// written notes that all that waited is written.
func (u *unsaved) written() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, k := range u.kinds {
		k.removed = nil
	}
	u.initWaits = false
	u.countItems()
}

func (u *unsaved) hasInit() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.initWaits
}

// waiting returns the kinds of which something waits to be written, in Init's
// order.
func (u *unsaved) waiting() []unsavedKind {
	u.mu.Lock()
	defer u.mu.Unlock()
	var waiting []unsavedKind
	for _, k := range u.kinds {
		if !k.isWaiting() {
			continue
		}
		items := maps.Clone(k.items)
		maps.DeleteFunc(items, func(_ string, kept unsavedItem) bool { return !kept.waiting })
		waiting = append(waiting, unsavedKind{kind: k.kind, items: items, removed: k.removed})
	}
	slices.SortFunc(waiting, func(a, b unsavedKind) int { return cmp.Compare(initRank(a.kind), initRank(b.kind)) })
	return waiting
}

// isWaiting tells whether anything waits to be written.
func (u *unsaved) isWaiting() bool {
	if u.isEmpty() {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, k := range u.kinds {
		if k.isWaiting() {
			return true
		}
	}
	return u.initWaits
}

func (k *unsavedKind) isWaiting() bool {
	if k.removed != nil {
		return true
	}
	for _, kept := range k.items {
		if kept.waiting {
			return true
		}
	}
	return false
}

func (u *unsaved) count() int { return int(max(u.size.Load(), 0)) }

// countItems has to be called after each change.
func (u *unsaved) countItems() {
	size := 0
	for _, k := range u.kinds {
		size += len(k.items)
	}
	if size == 0 && u.initWaits {
		size = -1
	}
	u.size.Store(int64(size))
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
