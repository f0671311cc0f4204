// Package utils has what the feature stores for databases are made of.
package utils

import (
	"encoding/json"
	"fmt"
	"time"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// StoreCollection is all items of one kind, in the order in which they should be stored.
type StoreCollection struct {
	Kind  ld.VersionedDataKind
	Items []ld.VersionedData
}

// FeatureStoreCoreBase is the part of a store that knows a database. FeatureStoreWrapper makes a store of it.
type FeatureStoreCoreBase interface {
	// GetInternal returns a plain nil, without an error, where the item is absent. It returns deleted items.
	GetInternal(kind ld.VersionedDataKind, key string) (ld.VersionedData, error)
	// GetAllInternal returns all items of a kind, by key.
	GetAllInternal(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error)
	// UpsertInternal stores the item if it is newer than the one in the store. It returns what is in the store
	// afterwards.
	UpsertInternal(kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error)
	// InitializedInternal tells whether the database holds a full data set.
	InitializedInternal() bool
	// GetCacheTTL must return 0 here.
	GetCacheTTL() time.Duration
}

// NonAtomicFeatureStoreCore is a core that replaces the data item by item, so that the order of the items matters.
type NonAtomicFeatureStoreCore interface {
	FeatureStoreCoreBase
	// InitCollectionsInternal replaces everything in the store.
	InitCollectionsInternal(allData []StoreCollection) error
}

// FeatureStoreCoreStatus is what a core can implement to say when an outage is over.
type FeatureStoreCoreStatus interface {
	IsStoreAvailable() bool
}

// UnmarshalItem makes an item of the kind from its JSON form. JSON null is an error.
func UnmarshalItem(kind ld.VersionedDataKind, raw []byte) (ld.VersionedData, error) {
	data := kind.GetDefaultItem()
	if err := json.Unmarshal(raw, &data); err != nil {
		return nil, fmt.Errorf("unmarshal an item of kind %q: %w", kind.GetNamespace(), err)
	}
	item, ok := data.(ld.VersionedData)
	if !ok {
		return nil, fmt.Errorf("unmarshal an item of kind %q: the JSON has no item, but %T", kind.GetNamespace(), data)
	}
	return item, nil
}
