package ldclient

// VersionedData is a flag or a segment, or what is left of one after its deletion.
type VersionedData interface {
	GetKey() string
	GetVersion() int
	IsDeleted() bool
}

// VersionedDataKind is a kind of VersionedData. Every kind has a namespace of its own in a store.
type VersionedDataKind interface {
	// GetNamespace returns the kind's name, such as "features".
	GetNamespace() string
	// GetDefaultItem returns a pointer to a zero item, to unmarshal JSON into.
	GetDefaultItem() interface{}
	// MakeDeletedItem returns the item that stands for a deleted one.
	MakeDeletedItem(key string, version int) VersionedData
}

// Features is the kind of *FeatureFlag.
var Features FeatureFlagVersionedDataKind

// Segments is the kind of *Segment.
var Segments SegmentVersionedDataKind

// VersionedDataKinds lists all kinds.
var VersionedDataKinds = [...]VersionedDataKind{Features, Segments}

// FeatureFlagVersionedDataKind is the type of Features.
type FeatureFlagVersionedDataKind struct{}

// GetNamespace returns "features".
func (FeatureFlagVersionedDataKind) GetNamespace() string { return "features" }

// String returns the namespace.
func (k FeatureFlagVersionedDataKind) String() string { return k.GetNamespace() }

// GetDefaultItem returns a new *FeatureFlag.
func (FeatureFlagVersionedDataKind) GetDefaultItem() interface{} { return &FeatureFlag{} }

// MakeDeletedItem returns a *FeatureFlag that is marked as deleted.
func (FeatureFlagVersionedDataKind) MakeDeletedItem(key string, version int) VersionedData {
	return &FeatureFlag{Key: key, Version: version, Deleted: true}
}

// SegmentVersionedDataKind is the type of Segments.
type SegmentVersionedDataKind struct{}

// GetNamespace returns "segments".
func (SegmentVersionedDataKind) GetNamespace() string { return "segments" }

// String returns the namespace.
func (k SegmentVersionedDataKind) String() string { return k.GetNamespace() }

// GetDefaultItem returns a new *Segment.
func (SegmentVersionedDataKind) GetDefaultItem() interface{} { return &Segment{} }

// MakeDeletedItem returns a *Segment that is marked as deleted.
func (SegmentVersionedDataKind) MakeDeletedItem(key string, version int) VersionedData {
	return &Segment{Key: key, Version: version, Deleted: true}
}

// MakeAllVersionedDataMap puts flags and segments, by key, into the form that FeatureStore.Init takes.
func MakeAllVersionedDataMap(
	features map[string]*FeatureFlag,
	segments map[string]*Segment,
) map[VersionedDataKind]map[string]VersionedData {
	return map[VersionedDataKind]map[string]VersionedData{
		Features: versionedDataMap(features),
		Segments: versionedDataMap(segments),
	}
}

func versionedDataMap[T VersionedData](items map[string]T) map[string]VersionedData {
	result := make(map[string]VersionedData, len(items))
	for key, item := range items {
		result[key] = item
	}
	return result
}
