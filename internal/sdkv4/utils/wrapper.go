package utils

import (
	"fmt"
	"io"
	"sync/atomic"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// FeatureStoreWrapper is the feature store on top of a core. It orders the data of an Init and watches for outages of
// the database. It holds no lock while it calls the core.
type FeatureStoreWrapper struct {
	core        NonAtomicFeatureStoreCore
	initialized atomic.Bool
	outages     *outageMonitor
}

// NewNonAtomicFeatureStoreWrapper makes a store that logs nothing.
func NewNonAtomicFeatureStoreWrapper(core NonAtomicFeatureStoreCore) *FeatureStoreWrapper {
	return NewNonAtomicFeatureStoreWrapperWithConfig(core, ld.Config{})
}

// NewNonAtomicFeatureStoreWrapperWithConfig makes a store that logs outages to the configuration's Loggers. It panics
// if the core's cache TTL is not 0: there is no cache here.
func NewNonAtomicFeatureStoreWrapperWithConfig(
	core NonAtomicFeatureStoreCore,
	config ld.Config,
) *FeatureStoreWrapper {
	if ttl := core.GetCacheTTL(); ttl != 0 {
		panic(fmt.Sprintf("this FeatureStoreWrapper has no cache: the core's GetCacheTTL() must be 0, but is %s", ttl))
	}
	return &FeatureStoreWrapper{core: core, outages: newOutageMonitor(core, config.Loggers)}
}

// Get returns the item, or nil where it is absent or deleted.
func (w *FeatureStoreWrapper) Get(kind ld.VersionedDataKind, key string) (ld.VersionedData, error) {
	item, err := w.core.GetInternal(kind, key)
	if err != nil {
		w.outages.begin()
		return nil, err
	}
	if item == nil || item.IsDeleted() {
		return nil, nil
	}
	return item, nil
}

// All returns the core's map as it is.
func (w *FeatureStoreWrapper) All(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
	items, err := w.core.GetAllInternal(kind)
	if err != nil {
		w.outages.begin()
		return nil, err
	}
	return items, nil
}

// Init replaces everything in the store.
func (w *FeatureStoreWrapper) Init(data map[ld.VersionedDataKind]map[string]ld.VersionedData) error {
	if err := w.core.InitCollectionsInternal(orderedCollections(data)); err != nil {
		w.outages.begin()
		return err
	}
	w.initialized.Store(true)
	return nil
}

// Upsert stores the item if it is newer than the one in the store.
func (w *FeatureStoreWrapper) Upsert(kind ld.VersionedDataKind, item ld.VersionedData) error {
	if _, err := w.core.UpsertInternal(kind, item); err != nil {
		w.outages.begin()
		return err
	}
	return nil
}

// Delete stores the kind's deleted item if it is newer than the one in the store.
func (w *FeatureStoreWrapper) Delete(kind ld.VersionedDataKind, key string, version int) error {
	return w.Upsert(kind, kind.MakeDeletedItem(key, version))
}

// Initialized asks the core until the first true or the first successful Init, and never after that.
func (w *FeatureStoreWrapper) Initialized() bool {
	if w.initialized.Load() {
		return true
	}
	if !w.core.InitializedInternal() {
		return false
	}
	w.initialized.Store(true)
	return true
}

// Close stops the watch for the end of an outage and closes the core where it is an io.Closer. A second call only
// waits until the first one's work is done.
func (w *FeatureStoreWrapper) Close() error {
	var err error
	if w.outages.stop() {
		// Before the wait: a core that is being asked for its status may only answer once it is closed.
		err = closeCore(w.core)
	}
	w.outages.wait()
	return err
}

func closeCore(core NonAtomicFeatureStoreCore) error {
	if closer, ok := core.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// GetDiagnosticsComponentTypeName returns what the core's method of that name returns, or "custom" if it has none.
func (w *FeatureStoreWrapper) GetDiagnosticsComponentTypeName() string {
	named, ok := w.core.(interface{ GetDiagnosticsComponentTypeName() string })
	if !ok {
		return "custom"
	}
	return named.GetDiagnosticsComponentTypeName()
}
