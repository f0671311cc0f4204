package ldclient

// FeatureStore holds flags and segments. Its methods are safe to call from many goroutines.
type FeatureStore interface {
	// Get returns nil, without an error, where the item is absent or deleted.
	Get(kind VersionedDataKind, key string) (VersionedData, error)
	// All leaves deleted items out. Without an error the map is never nil.
	All(kind VersionedDataKind) (map[string]VersionedData, error)
	// Init replaces everything in the store.
	Init(data map[VersionedDataKind]map[string]VersionedData) error
	// Delete puts the kind's deleted item in place of an older item.
	Delete(kind VersionedDataKind, key string, version int) error
	// Upsert stores the item where there is none or an older one.
	Upsert(kind VersionedDataKind, item VersionedData) error
	// Initialized tells whether Init ever succeeded, in this process or, with a shared store, in another.
	Initialized() bool
}

// FeatureStoreFactory makes a store for the client that has the given configuration.
type FeatureStoreFactory func(config Config) (FeatureStore, error)
