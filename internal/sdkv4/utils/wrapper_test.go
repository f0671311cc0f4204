package utils

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

var (
	_ ld.FeatureStore = (*FeatureStoreWrapper)(nil)
	_ io.Closer       = (*FeatureStoreWrapper)(nil)
)

func TestWrapperRefusesACacheTTL(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{15 * time.Second, -1} {
		assert.PanicsWithValue(t,
			"this FeatureStoreWrapper has no cache: the core's GetCacheTTL() must be 0, but is "+ttl.String(),
			func() { NewNonAtomicFeatureStoreWrapper(&testCore{ttl: ttl}) })
	}
}

func TestWrapperGet(t *testing.T) {
	t.Parallel()
	flag := &ld.FeatureFlag{Key: "there", Version: 1}
	wrapper := NewNonAtomicFeatureStoreWrapper(&testCore{
		get: func(kind ld.VersionedDataKind, key string) (ld.VersionedData, error) {
			assert.Equal(t, ld.Features, kind)
			switch key {
			case "there":
				return flag, nil
			case "deleted":
				return kind.MakeDeletedItem(key, 1), nil
			default:
				return nil, nil
			}
		},
	})

	item, err := wrapper.Get(ld.Features, "there")
	require.NoError(t, err)
	assert.Same(t, flag, item)

	for _, key := range []string{"deleted", "absent"} {
		item, err = wrapper.Get(ld.Features, key)
		require.NoError(t, err)
		assert.True(t, item == nil, "a plain nil for the %s flag", key)
	}
}

// Every evaluation of a flag goes through Get. Not parallel: the allocations of all goroutines are counted.
func TestWrapperGetAllocatesNothing(t *testing.T) {
	flag := &ld.FeatureFlag{Key: "a"}
	wrapper := NewNonAtomicFeatureStoreWrapper(&testCore{
		get: func(ld.VersionedDataKind, string) (ld.VersionedData, error) { return flag, nil },
	})

	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = wrapper.Get(ld.Features, "a") }))
}

func TestWrapperAllReturnsTheCoresMap(t *testing.T) {
	t.Parallel()
	items := map[string]ld.VersionedData{"a": ld.Features.MakeDeletedItem("a", 1)}
	wrapper := NewNonAtomicFeatureStoreWrapper(&testCore{
		getAll: func(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
			assert.Equal(t, ld.Features, kind)
			return items, nil
		},
	})

	all, err := wrapper.All(ld.Features)
	require.NoError(t, err)
	assert.Equal(t, items, all)
	items["b"] = &ld.FeatureFlag{Key: "b"}
	assert.Len(t, all, 2, "the same map, not a copy")
}

func TestWrapperUpsertAndDeleteUpsertInTheCore(t *testing.T) {
	t.Parallel()
	type call struct {
		kind ld.VersionedDataKind
		item ld.VersionedData
	}
	var calls []call
	wrapper := NewNonAtomicFeatureStoreWrapper(&testCore{
		upsert: func(kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error) {
			calls = append(calls, call{kind, item})
			return &ld.Segment{Key: "the newer one that was there"}, nil
		},
	})

	segment := &ld.Segment{Key: "a", Version: 1}
	require.NoError(t, wrapper.Upsert(ld.Segments, segment))
	require.NoError(t, wrapper.Delete(ld.Segments, "a", 2))

	assert.Equal(t, []call{
		{ld.Segments, segment},
		{ld.Segments, ld.Segments.MakeDeletedItem("a", 2)},
	}, calls)
}

func TestWrapperReturnsTheCoresErrors(t *testing.T) {
	t.Parallel()
	core := failingCore()
	wrapper := NewNonAtomicFeatureStoreWrapper(&core)
	t.Cleanup(func() { assert.NoError(t, wrapper.Close()) })

	for name, call := range dataCalls {
		assert.Same(t, errCore, call(wrapper), name)
	}
}

func TestWrapperAsksWhetherTheCoreIsInitializedUntilTheFirstTrue(t *testing.T) {
	t.Parallel()
	answers := []bool{false, false, true}
	wrapper := NewNonAtomicFeatureStoreWrapper(&testCore{initialized: func() bool {
		require.NotEmpty(t, answers, "asked again after the first true")
		answer := answers[0]
		answers = answers[1:]
		return answer
	}})

	assert.False(t, wrapper.Initialized())
	assert.False(t, wrapper.Initialized())
	assert.True(t, wrapper.Initialized())
	assert.True(t, wrapper.Initialized())
}

func TestWrapperIsInitializedByASuccessfulInitOnly(t *testing.T) {
	t.Parallel()
	var initErr error
	asked := 0
	wrapper := NewNonAtomicFeatureStoreWrapper(&testCore{
		init:        func([]StoreCollection) error { return initErr },
		initialized: func() bool { asked++; return false },
	})
	t.Cleanup(func() { assert.NoError(t, wrapper.Close()) })

	initErr = errCore
	assert.Error(t, wrapper.Init(nil))
	assert.False(t, wrapper.Initialized())
	assert.Equal(t, 1, asked)

	initErr = nil
	assert.NoError(t, wrapper.Init(nil))
	assert.True(t, wrapper.Initialized())
	assert.Equal(t, 1, asked)
}

// A core may use the store that it is in. With a lock held during a call, this test would hang.
func TestACoreMayCallTheWrapper(t *testing.T) {
	t.Parallel()
	var wrapper *FeatureStoreWrapper
	useAll := func() {
		for _, call := range dataCalls {
			_ = call(wrapper)
		}
		wrapper.Initialized()
	}
	nested := false
	once := func() {
		if !nested {
			nested = true
			useAll()
			nested = false
		}
	}
	wrapper = NewNonAtomicFeatureStoreWrapper(&testCore{
		get: func(ld.VersionedDataKind, string) (ld.VersionedData, error) { once(); return nil, errCore },
		getAll: func(ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
			once()
			return nil, errCore
		},
		init: func([]StoreCollection) error { once(); return errCore },
		upsert: func(ld.VersionedDataKind, ld.VersionedData) (ld.VersionedData, error) {
			once()
			return nil, errCore
		},
		initialized: func() bool { once(); return false },
	})

	useAll()

	assert.NoError(t, wrapper.Close())
}

func TestWrapperNamesTheCoreForDiagnostics(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "custom", NewNonAtomicFeatureStoreWrapper(&testCore{}).GetDiagnosticsComponentTypeName())
	assert.Equal(t, "Test", NewNonAtomicFeatureStoreWrapper(&statusCore{}).GetDiagnosticsComponentTypeName())
}

// dataCalls are the calls whose failure means an outage.
var dataCalls = map[string]func(*FeatureStoreWrapper) error{
	"Get":    func(w *FeatureStoreWrapper) error { _, err := w.Get(ld.Features, "a"); return err },
	"All":    func(w *FeatureStoreWrapper) error { _, err := w.All(ld.Features); return err },
	"Init":   func(w *FeatureStoreWrapper) error { return w.Init(nil) },
	"Upsert": func(w *FeatureStoreWrapper) error { return w.Upsert(ld.Features, &ld.FeatureFlag{Key: "a"}) },
	"Delete": func(w *FeatureStoreWrapper) error { return w.Delete(ld.Features, "a", 1) },
}
