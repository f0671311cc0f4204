package adapter

import (
	"crypto/rand"

	"github.com/launchdarkly/go-server-sdk/v7/subsystems/ldstoretypes"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

func (d *dataStore) Get(kind ldstoretypes.DataKind, key string) (ldstoretypes.SerializedItemDescriptor, error) {
	notFound := ldstoretypes.SerializedItemDescriptor{}.NotFound()
	v4Kind, err := toV4Kind(kind)
	if err != nil {
		return notFound, err
	}
	item, err := d.store.Get(v4Kind, key)
	if err != nil || item == nil {
		return notFound, err
	}
	return fromV4Item(item)
}

func (d *dataStore) GetAll(kind ldstoretypes.DataKind) ([]ldstoretypes.KeyedSerializedItemDescriptor, error) {
	v4Kind, err := toV4Kind(kind)
	if err != nil {
		return nil, err
	}
	items, err := d.store.All(v4Kind)
	if err != nil {
		return nil, err
	}
	all := make([]ldstoretypes.KeyedSerializedItemDescriptor, 0, len(items))
	for key, item := range items {
		serialized, err := fromV4Item(item)
		if err != nil {
			return nil, err
		}
		all = append(all, ldstoretypes.KeyedSerializedItemDescriptor{Key: key, Item: serialized})
	}
	return all, nil
}

func (d *dataStore) IsInitialized() bool { return d.store.Initialized() }

// IsStoreAvailable reads what only the table can tell, because a v4 store has
// no method for the question: a key that nobody has asked for, of a kind whose
// complete set no cache knows.
func (d *dataStore) IsStoreAvailable() bool {
	_, err := d.store.Get(availabilityKind{}, rand.Text())
	return err == nil
}

// availabilityKind has no items.
type availabilityKind struct {
	ld.FeatureFlagVersionedDataKind
}

func (availabilityKind) GetNamespace() string { return "$availability" }
