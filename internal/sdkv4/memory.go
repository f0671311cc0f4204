package ldclient

import "sync"

// NewInMemoryFeatureStoreFactory returns a factory of stores that keep their data in memory only.
func NewInMemoryFeatureStoreFactory() FeatureStoreFactory {
	return func(Config) (FeatureStore, error) {
		return &inMemoryFeatureStore{}, nil
	}
}

type inMemoryFeatureStore struct {
	mu          sync.RWMutex
	data        map[VersionedDataKind]map[string]VersionedData
	initialized bool
}

func (s *inMemoryFeatureStore) Get(kind VersionedDataKind, key string) (VersionedData, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	item, found := s.data[kind][key]
	if !found || item.IsDeleted() {
		return nil, nil
	}
	return item, nil
}

func (s *inMemoryFeatureStore) All(kind VersionedDataKind) (map[string]VersionedData, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	items := make(map[string]VersionedData, len(s.data[kind]))
	for key, item := range s.data[kind] {
		if !item.IsDeleted() {
			items[key] = item
		}
	}
	return items, nil
}

func (s *inMemoryFeatureStore) Init(data map[VersionedDataKind]map[string]VersionedData) error {
	// The caller keeps its maps, so the store must not write to them.
	own := make(map[VersionedDataKind]map[string]VersionedData, len(data))
	for kind, items := range data {
		own[kind] = make(map[string]VersionedData, len(items))
		for key, item := range items {
			own[kind][key] = item
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = own
	s.initialized = true
	return nil
}

func (s *inMemoryFeatureStore) Delete(kind VersionedDataKind, key string, version int) error {
	return s.Upsert(kind, kind.MakeDeletedItem(key, version))
}

func (s *inMemoryFeatureStore) Upsert(kind VersionedDataKind, item VersionedData) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data == nil {
		s.data = make(map[VersionedDataKind]map[string]VersionedData)
	}
	if s.data[kind] == nil {
		s.data[kind] = make(map[string]VersionedData)
	}
	if old, found := s.data[kind][item.GetKey()]; !found || old.GetVersion() < item.GetVersion() {
		s.data[kind][item.GetKey()] = item
	}
	return nil
}

func (s *inMemoryFeatureStore) Initialized() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.initialized
}
