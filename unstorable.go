package lddynamodb

import (
	"sync"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// unstorableItems keeps what DynamoDB can't hold, so that this process at least
// goes on serving it: each item until the table has a newer version of it.
type unstorableItems struct {
	mu    sync.Mutex
	items map[rowKey]ld.VersionedData
}

// keep adds an item, unless a newer version of it is there. It returns false
// where nothing changed.
func (u *unstorableItems) keep(key rowKey, item ld.VersionedData) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if kept := u.items[key]; kept != nil && kept.GetVersion() >= item.GetVersion() {
		return false
	}
	if u.items == nil {
		u.items = make(map[rowKey]ld.VersionedData)
	}
	u.items[key] = item
	return true
}

// newest returns the newer of what the table has and what is kept. Either may
// be nil. What the table has overtaken is forgotten.
func (u *unstorableItems) newest(key rowKey, stored ld.VersionedData) ld.VersionedData {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := u.items[key]
	if kept == nil {
		return stored
	}
	if stored != nil && stored.GetVersion() > kept.GetVersion() {
		delete(u.items, key)
		return stored
	}
	return kept
}

// mergeInto makes items that were read the newest ones of a namespace. Under keys
// that no row can have, reads find nothing.
func (u *unstorableItems) mergeInto(items map[string]ld.VersionedData, namespace string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, kept := range u.items {
		if key.namespace != namespace || !canBeSortKey(key.key) {
			continue
		}
		if stored := items[key.key]; stored != nil && stored.GetVersion() > kept.GetVersion() {
			delete(u.items, key)
		} else {
			items[key.key] = kept
		}
	}
}

// retain makes what is kept of a namespace the same as what an Init left out.
// Of that it has the newer versions already.
func (u *unstorableItems) retain(plan *collectionPlan) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key := range u.items {
		if key.namespace != plan.namespace {
			continue
		}
		if plan.leftOut[key.key] {
			u.items[key] = plan.items[key.key]
		} else {
			delete(u.items, key)
		}
	}
}
