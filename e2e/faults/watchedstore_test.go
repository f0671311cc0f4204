package faults_test

import (
	"fmt"
	"io"
	"sync"
	"testing"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// A watchedStore knows what the SDK has told it of checkout, and which updates it
// acknowledged. It forwards the six methods and Close, as the store of
// ld-relay 5 does, so that the SDK sees no status.
type watchedStore struct {
	store ld.FeatureStore
	f     *fixture

	mu           sync.Mutex
	version      int
	acknowledged map[string]int // versions, by "namespace/key"
}

// withStatus lets the SDK see the store's status after all.
func withStatus(store *watchedStore) ld.FeatureStore {
	type status struct{ *utils.FeatureStoreWrapper } // one level deeper: watchedStore's methods come first
	return &struct {
		*watchedStore
		status
	}{store, status{store.store.(*utils.FeatureStoreWrapper)}}
}

// Get implements ld.FeatureStore.
func (s *watchedStore) Get(kind ld.VersionedDataKind, key string) (ld.VersionedData, error) {
	return s.store.Get(kind, key)
}

// All implements ld.FeatureStore.
func (s *watchedStore) All(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
	return s.store.All(kind)
}

// Init implements ld.FeatureStore.
func (s *watchedStore) Init(data map[ld.VersionedDataKind]map[string]ld.VersionedData) error {
	err := s.store.Init(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = max(s.version, data[ld.Features][checkout].GetVersion())
	return err
}

// Delete implements ld.FeatureStore.
func (s *watchedStore) Delete(kind ld.VersionedDataKind, key string, version int) error {
	return s.store.Delete(kind, key, version)
}

// Upsert implements ld.FeatureStore.
func (s *watchedStore) Upsert(kind ld.VersionedDataKind, item ld.VersionedData) error {
	err := s.store.Upsert(kind, item)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		if s.acknowledged == nil {
			s.acknowledged = make(map[string]int)
		}
		s.acknowledged[kind.GetNamespace()+"/"+item.GetKey()] = item.GetVersion()
	}
	s.version = max(s.version, item.GetVersion())
	return err
}

// Initialized implements ld.FeatureStore.
func (s *watchedStore) Initialized() bool { return s.store.Initialized() }

// Close implements io.Closer.
func (s *watchedStore) Close() error { return s.store.(io.Closer).Close() }

// counted counts in the end: stores of the factory acknowledge what they write late.
func (s *watchedStore) counted() (updates updateCount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := s.f.rows()
	for name, version := range s.acknowledged {
		updates.acknowledged++
		if rows[name] < version {
			updates.lost++
		}
	}
	return updates
}

// await waits until an Init or Upsert of that version has succeeded or failed.
func (s *watchedStore) await(t *testing.T, version int) {
	awaitNoProblem(t, func() string {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.version < version {
			return fmt.Sprintf("the SDK has sent version %d, not yet %d", s.version, version)
		}
		return ""
	})
}
