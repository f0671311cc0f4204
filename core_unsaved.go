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
}

// supersedes tells whether an update to an item is none. The same version again
// is one, as long as it waits: its sender wants to know whether it is written.
func (i unsavedItem) supersedes(item ld.VersionedData) bool {
	return isNewer(i.item, item) || (i.item != nil && !i.waiting && !isNewer(item, i.item))
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
	return k.items[key]
}

// withoutTable returns the newer of what is unsaved of an item and the row that was
// last seen, if one can tell without the table what to serve: if the item is unsaved,
// or an Init waits, of which a part may be written.
func (u *unsaved) withoutTable(namespace, key string, last ld.VersionedData) (item ld.VersionedData, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.kinds[namespace]
	if k == nil || (k.removed == nil && k.items[key].item == nil) {
		return nil, false
	}
	return k.newestWithoutTable(key, last), true
}

func (k *unsavedKind) newestWithoutTable(key string, last ld.VersionedData) ld.VersionedData {
	if kept := k.items[key].item; !isNewer(last, kept) || k.isRemoved(key, last) {
		return kept
	}
	return last
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
	kept := k.row(key)
	if stored != nil && !isNewer(kept.item, stored) {
		delete(k.items, key)
	}
	return kept.newest(stored)
}

// isRemoved tells whether an Init that waits will delete the row of this item.
func (k *unsavedKind) isRemoved(key string, stored ld.VersionedData) bool {
	return k.row(key).isRemoved(stored)
}

// An unsavedRow is what is unsaved of one row.
type unsavedRow struct {
	item    ld.VersionedData
	removed bool // by an Init that waits, if the row has still the version
	version int
}

func (k *unsavedKind) row(key string) unsavedRow {
	version, removed := k.removed[key]
	return unsavedRow{k.items[key].item, removed, version}
}

// row returns what is unsaved of a row just now. A read needs it from before its
// request: meanwhile it may be written, and the table have answered before that.
func (u *unsaved) row(namespace, key string) unsavedRow {
	if u.isEmpty() {
		return unsavedRow{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if k := u.kinds[namespace]; k != nil {
		return k.row(key)
	}
	return unsavedRow{}
}

func (r unsavedRow) isRemoved(stored ld.VersionedData) bool {
	return r.removed && stored != nil && stored.GetVersion() == r.version
}

func (r unsavedRow) newest(stored ld.VersionedData) ld.VersionedData {
	switch {
	case isNewer(r.item, stored):
		return r.item
	case r.item == nil && r.isRemoved(stored):
		return nil
	}
	return stored
}

// copyOf returns what is unsaved of a kind just now, as row does of a row.
func (u *unsaved) copyOf(namespace string) *unsavedKind {
	if u.isEmpty() {
		return new(unsavedKind)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.kinds[namespace]
	if k == nil {
		return new(unsavedKind)
	}
	return &unsavedKind{items: maps.Clone(k.items), removed: maps.Clone(k.removed)}
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

// allWithoutTable makes the rows that were last seen what is served if the table
// can't be asked. It returns false if no Init waits: then nobody knows all items.
func (u *unsaved) allWithoutTable(namespace string, last *dataSet) (ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.kinds[namespace]
	if k == nil || k.removed == nil {
		return false
	}
	for key := range k.removed {
		if k.newestWithoutTable(key, last.get(key)) == nil {
			last.remove(key)
		}
	}
	for key := range k.items {
		last.put(k.newestWithoutTable(key, last.get(key)))
	}
	return true
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
