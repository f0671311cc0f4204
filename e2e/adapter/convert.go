package adapter

import (
	"encoding/json"
	"fmt"

	"github.com/launchdarkly/go-server-sdk/v7/subsystems/ldstoretypes"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// toV4Kind finds the kind by its name, which is the same in both SDKs.
func toV4Kind(kind ldstoretypes.DataKind) (ld.VersionedDataKind, error) {
	for _, v4Kind := range ld.VersionedDataKinds {
		if v4Kind.GetNamespace() == kind.GetName() {
			return v4Kind, nil
		}
	}
	return nil, fmt.Errorf("the v4 SDK has no kind %q", kind.GetName())
}

// toV4Item makes deleted items anew: v7 gives them all one placeholder key.
func toV4Item(
	kind ld.VersionedDataKind,
	key string,
	item ldstoretypes.SerializedItemDescriptor,
) (ld.VersionedData, error) {
	if item.Deleted {
		return kind.MakeDeletedItem(key, item.Version), nil
	}
	v4Item, err := utils.UnmarshalItem(kind, item.SerializedItem)
	if err != nil {
		return nil, fmt.Errorf("reading v7's JSON of %q: %w", key, err)
	}
	return v4Item, nil
}

func fromV4Item(item ld.VersionedData) (ldstoretypes.SerializedItemDescriptor, error) {
	serialized, err := json.Marshal(item)
	if err != nil {
		return ldstoretypes.SerializedItemDescriptor{}, fmt.Errorf("encoding %q for v7: %w", item.GetKey(), err)
	}
	return ldstoretypes.SerializedItemDescriptor{
		Version:        item.GetVersion(),
		Deleted:        item.IsDeleted(),
		SerializedItem: serialized,
	}, nil
}
