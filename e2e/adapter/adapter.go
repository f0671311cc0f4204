// Package adapter puts a feature store for LaunchDarkly's Go SDK v4 under the
// Go SDK v7, whose data source and evaluation engine then work with it. The
// tests use it; applications should take a store made for their SDK.
package adapter

import (
	"fmt"
	"io"

	"github.com/launchdarkly/go-server-sdk/v7/ldcomponents"
	"github.com/launchdarkly/go-server-sdk/v7/subsystems"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// DataStore is what goes in the DataStore field of a v7 configuration. The
// factory makes the store, and is given config, as the v4 SDK would do it. v7
// adds no cache of its own, but does watch for outages, and then lets its data
// source send everything again.
func DataStore(
	factory ld.FeatureStoreFactory,
	config ld.Config,
) subsystems.ComponentConfigurer[subsystems.DataStore] {
	return ldcomponents.PersistentDataStore(PersistentDataStore(factory, config)).NoCaching()
}

// PersistentDataStore is the store alone, without what v7 puts around it.
func PersistentDataStore(
	factory ld.FeatureStoreFactory,
	config ld.Config,
) subsystems.ComponentConfigurer[subsystems.PersistentDataStore] {
	return configurer{factory, config}
}

type configurer struct {
	factory ld.FeatureStoreFactory
	config  ld.Config
}

func (c configurer) Build(subsystems.ClientContext) (subsystems.PersistentDataStore, error) {
	store, err := c.factory(c.config)
	if err != nil {
		return nil, fmt.Errorf("making the feature store: %w", err)
	}
	return &dataStore{store}, nil
}

// dataStore is a v7 data store that keeps everything in a v4 feature store.
type dataStore struct {
	store ld.FeatureStore
}

func (d *dataStore) Close() error {
	if closer, ok := d.store.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
