package utils

import (
	"bytes"
	"errors"
	"sync"
	"time"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

var errCore = errors.New("the database is away")

// testCore is a core that a test scripts by setting functions. A call whose function is nil finds nothing and succeeds.
type testCore struct {
	get         func(kind ld.VersionedDataKind, key string) (ld.VersionedData, error)
	getAll      func(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error)
	init        func(allData []StoreCollection) error
	upsert      func(kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error)
	initialized func() bool
	ttl         time.Duration
}

func (c *testCore) GetInternal(kind ld.VersionedDataKind, key string) (ld.VersionedData, error) {
	if c.get == nil {
		return nil, nil
	}
	return c.get(kind, key)
}

func (c *testCore) GetAllInternal(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
	if c.getAll == nil {
		return map[string]ld.VersionedData{}, nil
	}
	return c.getAll(kind)
}

func (c *testCore) InitCollectionsInternal(allData []StoreCollection) error {
	if c.init == nil {
		return nil
	}
	return c.init(allData)
}

func (c *testCore) UpsertInternal(kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error) {
	if c.upsert == nil {
		return item, nil
	}
	return c.upsert(kind, item)
}

func (c *testCore) InitializedInternal() bool { return c.initialized != nil && c.initialized() }

func (c *testCore) GetCacheTTL() time.Duration { return c.ttl }

// failingCore is a core whose every data call fails.
func failingCore() testCore {
	return testCore{
		get:    func(ld.VersionedDataKind, string) (ld.VersionedData, error) { return nil, errCore },
		getAll: func(ld.VersionedDataKind) (map[string]ld.VersionedData, error) { return nil, errCore },
		init:   func([]StoreCollection) error { return errCore },
		upsert: func(ld.VersionedDataKind, ld.VersionedData) (ld.VersionedData, error) { return nil, errCore },
	}
}

// statusCore is a core that can be asked for its status and closed.
type statusCore struct {
	testCore
	available func() bool
	close     func() error
}

func (c *statusCore) IsStoreAvailable() bool { return c.available() }

func (c *statusCore) Close() error {
	if c.close == nil {
		return nil
	}
	return c.close()
}

func (c *statusCore) GetDiagnosticsComponentTypeName() string { return "Test" }

// logOutput is a buffer that may be read while others write to it.
type logOutput struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *logOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *logOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
