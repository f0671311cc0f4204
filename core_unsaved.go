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
	any       atomic.Bool             // false if there is nothing of all this, as is usual
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

// An unsavedRow is what is unsaved of one row.
type unsavedRow struct {
	unsavedItem
	decides bool // that this is what is served if the table can't be asked
	removed bool // by an Init that waits, if the row still has the version
	version int
}

// newest returns the newer of the row that the table has and what is unsaved. Either
// may be nil.
func (r unsavedRow) newest(stored ld.VersionedData) ld.VersionedData {
	switch {
	case isNewer(r.item, stored):
		return r.item
	case r.item == nil && r.removed && stored != nil && stored.GetVersion() == r.version:
		return nil
	}
	return stored
}

// supersedes tells whether an update to an item is none. The same version again
// is one, as long as it waits: its sender wants to know whether it is written.
func (r unsavedRow) supersedes(item ld.VersionedData) bool {
	return isNewer(r.item, item) || (r.item != nil && !r.waiting && !isNewer(item, r.item))
}

func (k *unsavedKind) row(key string) unsavedRow {
	kept := k.items[key]
	version, removed := k.removed[key]
	return unsavedRow{kept, kept.item != nil || k.removed != nil, removed, version}
}

// mergeInto makes the items of a set the newest ones.
func (k *unsavedKind) mergeInto(set *dataSet) {
	for key := range k.removed {
		if k.row(key).newest(set.get(key)) == nil {
			set.remove(key)
		}
	}
	for key := range k.items {
		set.put(k.row(key).newest(set.get(key)))
	}
}

func (k *unsavedKind) list() []ld.VersionedData {
	items := make([]ld.VersionedData, 0, len(k.items))
	for _, kept := range k.items {
		items = append(items, kept.item)
	}
	return items
}

// with calls a function, which may change it, with what is unsaved of a namespace,
// if anything is.
func (u *unsaved) with(namespace string, do func(k *unsavedKind)) {
	if !u.any.Load() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if k := u.kinds[namespace]; k != nil {
		do(k)
		u.changed()
	}
}

// row returns what is unsaved of a row just now. A read needs it from before its
// request: meanwhile it may be written, and the table have answered before that.
func (u *unsaved) row(namespace, key string) (row unsavedRow) {
	u.with(namespace, func(k *unsavedKind) { row = k.row(key) })
	return row
}

// all returns what is unsaved of a kind just now, as row does of a row.
func (u *unsaved) all(namespace string) *unsavedKind {
	copied := new(unsavedKind)
	u.with(namespace, func(k *unsavedKind) { *copied = unsavedKind{k.kind, maps.Clone(k.items), k.removed} })
	return copied
}

// newest returns the newer of the row that the table has and what is unsaved. What
// the table has as new is done with.
func (u *unsaved) newest(namespace, key string, stored ld.VersionedData) ld.VersionedData {
	newest := stored
	u.with(namespace, func(k *unsavedKind) {
		if stored != nil && !isNewer(k.items[key].item, stored) {
			delete(k.items, key)
		}
		newest = k.row(key).newest(stored)
	})
	return newest
}

// mergeInto does the same for all rows that the table has.
func (u *unsaved) mergeInto(namespace string, set *dataSet) {
	u.with(namespace, func(k *unsavedKind) {
		maps.DeleteFunc(k.items, func(key string, kept unsavedItem) bool {
			stored := set.get(key)
			return stored != nil && !isNewer(kept.item, stored)
		})
		k.mergeInto(set)
	})
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
	u.changed()
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
	u.changed()
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
	u.changed()
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
	u.changed()
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
	if !u.any.Load() {
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

func (u *unsaved) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, k := range u.kinds {
		n += len(k.items)
	}
	return n
}

// changed has to be called after each change.
func (u *unsaved) changed() {
	some := u.initWaits
	for _, k := range u.kinds {
		some = some || len(k.items) > 0
	}
	u.any.Store(some)
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
