package lddynamodb

import (
	"hash/maphash"
	"maps"
	"sync"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// knownRows has what this process last saw in the table, or put there. So a row
// that is the same as before need not be decoded again, and a late Init can tell
// the rows that it left out from another process's new ones.
type knownRows struct {
	mu         sync.RWMutex
	namespaces map[string]map[string]knownRow // by key
}

// A knownRow tells a row by its version, and its JSON by length and hash, which
// takes no copy of it.
type knownRow struct {
	version string
	size    int
	hash    uint64
	item    ld.VersionedData
}

var hashSeed = maphash.MakeSeed()

// item returns the item of a row that is the same as before.
func (k *knownRows) item(r row) (ld.VersionedData, bool) {
	known := k.get(r.rowKey)
	same := known.item != nil && known.version == r.version && known.size == len(r.item) &&
		known.hash == maphash.Bytes(hashSeed, r.item)
	return known.item, same
}

func (k *knownRows) get(key rowKey) knownRow {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.namespaces[key.namespace][key.key]
}

// remember notes that the table has this item in this row.
func (k *knownRows) remember(r row, item ld.VersionedData) {
	known := knownRow{r.version, len(r.item), maphash.Bytes(hashSeed, r.item), item}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.namespaces == nil {
		k.namespaces = make(map[string]map[string]knownRow)
	}
	if k.namespaces[r.namespace] == nil {
		k.namespaces[r.namespace] = make(map[string]knownRow)
	}
	k.namespaces[r.namespace][item.GetKey()] = known
}

// forget notes that the table has no such row.
func (k *knownRows) forget(key rowKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.namespaces[key.namespace], key.key)
}

// retain notes that the table has no other rows of a namespace than these.
func (k *knownRows) retain(namespace string, set *dataSet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.namespaces[namespace], func(key string, _ knownRow) bool {
		return set.get(key) == nil && !set.malformed[key]
	})
}

func (k *knownRows) count(namespace string) int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.namespaces[namespace])
}

// versions returns the versions of all rows of a namespace.
func (k *knownRows) versions(namespace string) map[string]int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	versions := make(map[string]int, len(k.namespaces[namespace]))
	for key, known := range k.namespaces[namespace] {
		versions[key] = known.item.GetVersion()
	}
	return versions
}

// all returns the items of all rows of a namespace.
func (k *knownRows) all(namespace string) *dataSet {
	k.mu.RLock()
	defer k.mu.RUnlock()
	set := newDataSet(len(k.namespaces[namespace]))
	for _, known := range k.namespaces[namespace] {
		set.put(known.item)
	}
	return set
}

// last returns the item that was last seen in a row, or nil.
func (k *knownRows) last(key rowKey) ld.VersionedData { return k.get(key).item }

// newest returns the newer of an item and the known one.
func (k *knownRows) newest(namespace string, item ld.VersionedData) ld.VersionedData {
	if last := k.last(rowKey{namespace, item.GetKey()}); isNewer(last, item) {
		return last
	}
	return item
}
