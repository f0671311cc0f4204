package lddynamodb

import ld "gopkg.in/launchdarkly/go-server-sdk.v4"

// A dataSet is all that there is of a kind.
type dataSet struct {
	items      map[string]ld.VersionedData
	tombstones map[string]ld.VersionedData
	malformed  map[string]bool // the keys of malformed rows, which are left out
}

func newDataSet(size int) *dataSet {
	return &dataSet{items: make(map[string]ld.VersionedData, size), tombstones: make(map[string]ld.VersionedData)}
}

// get returns an item, deleted or not, or nil.
func (s *dataSet) get(key string) ld.VersionedData {
	if item, ok := s.items[key]; ok {
		return item
	}
	if tombstone, ok := s.tombstones[key]; ok {
		return tombstone
	}
	return nil
}

func (s *dataSet) put(item ld.VersionedData) {
	key := item.GetKey()
	if item.IsDeleted() {
		delete(s.items, key)
		s.tombstones[key] = item
	} else {
		delete(s.tombstones, key)
		s.items[key] = item
	}
}

func (s *dataSet) remove(key string) {
	delete(s.items, key)
	delete(s.tombstones, key)
}

func (s *dataSet) add(items []ld.VersionedData, malformed []string) {
	for _, item := range items {
		s.put(item)
	}
	for _, key := range malformed {
		if s.malformed == nil {
			s.malformed = make(map[string]bool)
		}
		s.malformed[key] = true
	}
}
