package adapter

import (
	"github.com/launchdarkly/go-server-sdk/v7/subsystems/ldstoretypes"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

func (d *dataStore) Init(allData []ldstoretypes.SerializedCollection) error {
	data := make(map[ld.VersionedDataKind]map[string]ld.VersionedData, len(allData))
	for _, collection := range allData {
		kind, err := toV4Kind(collection.Kind)
		if err != nil {
			return err
		}
		items := make(map[string]ld.VersionedData, len(collection.Items))
		for _, item := range collection.Items {
			if items[item.Key], err = toV4Item(kind, item.Key, item.Item); err != nil {
				return err
			}
		}
		data[kind] = items
	}
	return d.store.Init(data)
}

// Upsert always reports a change, because a v4 store does not tell. v7 then
// only announces a flag change once too often.
func (d *dataStore) Upsert(
	kind ldstoretypes.DataKind,
	key string,
	item ldstoretypes.SerializedItemDescriptor,
) (bool, error) {
	v4Kind, err := toV4Kind(kind)
	if err != nil {
		return false, err
	}
	v4Item, err := toV4Item(v4Kind, key, item)
	if err != nil {
		return false, err
	}
	if err := d.store.Upsert(v4Kind, v4Item); err != nil {
		return false, err
	}
	return true, nil
}
