package lddynamodb

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// knownRows has what this process last saw in the table, or put there. So a row
// that is the same as before need not be decoded again, and a late Init can tell
// the rows that it left out from another process's new ones.
type knownRows struct{ namespaces sync.Map } // of *knownNamespace

type knownNamespace struct {
	rows  sync.Map // of *knownRow, by key
	count atomic.Int64
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

func (k *knownRows) namespace(namespace string) *knownNamespace {
	if n, ok := k.namespaces.Load(namespace); ok {
		return n.(*knownNamespace)
	}
	n, _ := k.namespaces.LoadOrStore(namespace, new(knownNamespace))
	return n.(*knownNamespace)
}

// item returns the item of a row that is the same as before.
func (k *knownRows) item(r row) (ld.VersionedData, bool) {
	value, ok := k.namespace(r.namespace).rows.Load(r.key)
	if !ok {
		return nil, false
	}
	known := value.(*knownRow)
	if known.version != r.version || known.size != len(r.item) || known.hash != maphash.Bytes(hashSeed, r.item) {
		return nil, false
	}
	return known.item, true
}

// remember notes that the table has this item in this row.
func (k *knownRows) remember(r row, item ld.VersionedData) {
	n := k.namespace(r.namespace)
	known := &knownRow{r.version, len(r.item), maphash.Bytes(hashSeed, r.item), item}
	if _, replaced := n.rows.Swap(item.GetKey(), known); !replaced {
		n.count.Add(1)
	}
}

// forget notes that the table has no such row.
func (k *knownRows) forget(key rowKey) {
	n := k.namespace(key.namespace)
	if _, had := n.rows.LoadAndDelete(key.key); had {
		n.count.Add(-1)
	}
}

// retain notes that the table has no other rows of a namespace than these.
func (k *knownRows) retain(namespace string, set *dataSet) {
	k.namespace(namespace).rows.Range(func(key, _ any) bool {
		if set.get(key.(string)) == nil && !set.malformed[key.(string)] {
			k.forget(rowKey{namespace, key.(string)})
		}
		return true
	})
}

func (k *knownRows) count(namespace string) int { return int(k.namespace(namespace).count.Load()) }

// versions returns the versions of all rows of a namespace.
func (k *knownRows) versions(namespace string) map[string]int {
	versions := make(map[string]int)
	k.namespace(namespace).rows.Range(func(key, value any) bool {
		versions[key.(string)] = value.(*knownRow).item.GetVersion()
		return true
	})
	return versions
}

// all returns the items of all rows of a namespace.
func (k *knownRows) all(namespace string) *dataSet {
	set := newDataSet(k.count(namespace))
	k.namespace(namespace).rows.Range(func(_, value any) bool {
		set.put(value.(*knownRow).item)
		return true
	})
	return set
}

// last returns the item that was last seen in a row, or nil.
func (k *knownRows) last(key rowKey) ld.VersionedData {
	if known, ok := k.namespace(key.namespace).rows.Load(key.key); ok {
		return known.(*knownRow).item
	}
	return nil
}

// newest returns the newer of an item, which may be nil, and the known one.
func (k *knownRows) newest(namespace string, item ld.VersionedData) ld.VersionedData {
	if item == nil {
		return nil
	}
	if last := k.last(rowKey{namespace, item.GetKey()}); isNewer(last, item) {
		return last
	}
	return item
}
