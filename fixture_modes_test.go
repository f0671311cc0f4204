package lddynamodb

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// ttls has a cache TTL of each sort. None runs out while a test lasts.
var ttls = map[string]time.Duration{"no cache": 0, "cached": time.Hour, "cached forever": -1}

// cachingTTLs has those of ttls with which there is a cache.
var cachingTTLs = map[string]time.Duration{"cached": ttls["cached"], "cached forever": ttls["cached forever"]}

// refreshPolicies are those that keep stale values.
var refreshPolicies = map[string]StaleValuesPolicy{
	"RefreshStaleValues": RefreshStaleValues, "RefreshStaleValuesAsync": RefreshStaleValuesAsync,
}

const shortTTL = 5 * time.Millisecond

// modes has stores of every sort.
var modes = map[string][]FeatureStoreOption{
	"no cache":        {CacheTTL(0)},
	"defaults":        {},
	"cached forever":  {CacheTTL(-1)},
	"expires":         {CacheTTL(shortTTL), StaleValues(EvictStaleValues)},
	"expires at once": {CacheTTL(time.Nanosecond), StaleValues(EvictStaleValues)},
	"refreshed":       {CacheTTL(shortTTL), StaleValues(RefreshStaleValues)},
	"refreshed later": {CacheTTL(shortTTL), StaleValues(RefreshStaleValuesAsync)},
	"eventual reads":  {CacheTTL(shortTTL), ConsistentReads(false)},
}

// A storeCall is one of a store's methods, called for a flag. The result is that
// of the method, if it has any.
type storeCall func(store ld.FeatureStore, f *ld.FeatureFlag) (result interface{}, err error)

// calls has a call of each method.
var calls = map[string]storeCall{
	"Get":    func(s ld.FeatureStore, f *ld.FeatureFlag) (interface{}, error) { return s.Get(ld.Features, f.Key) },
	"All":    func(s ld.FeatureStore, _ *ld.FeatureFlag) (interface{}, error) { return s.All(ld.Features) },
	"Init":   func(s ld.FeatureStore, f *ld.FeatureFlag) (interface{}, error) { return nil, s.Init(allData(f)) },
	"Upsert": func(s ld.FeatureStore, f *ld.FeatureFlag) (interface{}, error) { return nil, s.Upsert(ld.Features, f) },
	"Delete": func(s ld.FeatureStore, f *ld.FeatureFlag) (interface{}, error) {
		return nil, s.Delete(ld.Features, f.Key, f.Version)
	},
	"Initialized": func(s ld.FeatureStore, _ *ld.FeatureFlag) (interface{}, error) {
		if !s.Initialized() {
			return false, errNotInitialized
		}
		return true, nil
	},
}

var errNotInitialized = errors.New("the store is not initialized")

// callOf has the method that needs each of the actions of DynamoDB.
var callOf = map[string]storeCall{
	"GetItem": calls["Get"], "Query": calls["All"], "PutItem": calls["Upsert"], "BatchWriteItem": calls["Init"],
}

// storeCalls makes the store do each of the actions of DynamoDB, for any flag.
var storeCalls = func() map[string]func(ld.FeatureStore, int) (interface{}, error) {
	byAction := make(map[string]func(ld.FeatureStore, int) (interface{}, error))
	for action, call := range callOf {
		byAction[action] = func(store ld.FeatureStore, version int) (interface{}, error) {
			return call(store, flag("any", version))
		}
	}
	return byAction
}()

// Calls with their arguments, to be made later.

func get(store ld.FeatureStore, key string) func() error {
	return func() error { _, err := store.Get(ld.Features, key); return err }
}

func all(store ld.FeatureStore) func() error {
	return func() error { _, err := store.All(ld.Features); return err }
}

func upsert(store ld.FeatureStore, item ld.VersionedData) func() error {
	return func() error { return store.Upsert(ld.Features, item) }
}

func initWith(store ld.FeatureStore, items ...ld.VersionedData) func() error {
	return func() error { return store.Init(allData(items...)) }
}

// The actions of DynamoDB that the store needs, in alphabetical order. They are
// those of the documented IAM policies.
var (
	readActions      = []string{"GetItem", "Query"}
	readWriteActions = []string{"BatchWriteItem", "GetItem", "PutItem", "Query"}
)

func (f *fixture) hasEnded(outages int) func() bool {
	return func() bool { return len(f.log.ofStores("WARN:", "can be used again")) == outages }
}

var outageModes = map[string][]FeatureStoreOption{
	"no cache":                        {CacheTTL(0)},
	"cached forever":                  {CacheTTL(-1)},
	"cached, EvictStaleValues":        {CacheTTL(time.Second), StaleValues(EvictStaleValues)},
	"cached, RefreshStaleValues":      {CacheTTL(time.Second), StaleValues(RefreshStaleValues)},
	"cached, RefreshStaleValuesAsync": {CacheTTL(time.Second), StaleValues(RefreshStaleValuesAsync)},
}

func storeFlags(t *testing.T, f *fixture) {
	writer := f.newStore(CacheTTL(0))
	require.NoError(t, writer.Init(allData(flag("f", 1), flag("deleted", 1))))
	require.NoError(t, writer.Delete(ld.Features, "deleted", 2))
}

func onPartition(partition, action string, fail reply) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.action == action && strings.Contains(string(r.body), fmt.Sprintf(`{"S":%q}`, partition)) {
			return fail(r)
		}
		return send()
	}
}
