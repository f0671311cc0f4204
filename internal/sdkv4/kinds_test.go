package ldclient

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKindsNameTheirItems(t *testing.T) {
	t.Parallel()
	assert.Equal(t, [...]VersionedDataKind{Features, Segments}, VersionedDataKinds)
	assert.Equal(t, "features", Features.GetNamespace())
	assert.Equal(t, "features", fmt.Sprint(Features))
	assert.Equal(t, "segments", Segments.GetNamespace())
	assert.Equal(t, "segments", fmt.Sprint(Segments))
}

func TestKindsMakeItems(t *testing.T) {
	t.Parallel()
	assert.Equal(t, &FeatureFlag{}, Features.GetDefaultItem())
	assert.NotSame(t, Features.GetDefaultItem(), Features.GetDefaultItem())
	assert.Equal(t, &FeatureFlag{Key: "a", Version: 2, Deleted: true}, Features.MakeDeletedItem("a", 2))
	assert.Equal(t, &Segment{}, Segments.GetDefaultItem())
	assert.NotSame(t, Segments.GetDefaultItem(), Segments.GetDefaultItem())
	assert.Equal(t, &Segment{Key: "a", Version: 2, Deleted: true}, Segments.MakeDeletedItem("a", 2))
}

func TestItemsTellTheirKeyVersionAndDeletion(t *testing.T) {
	t.Parallel()
	for _, item := range []VersionedData{
		&FeatureFlag{Key: "a", Version: 2, Deleted: true},
		&Segment{Key: "a", Version: 2, Deleted: true},
	} {
		assert.Equal(t, "a", item.GetKey())
		assert.Equal(t, 2, item.GetVersion())
		assert.True(t, item.IsDeleted())
	}
	assert.False(t, (&FeatureFlag{}).IsDeleted())
	assert.False(t, (&Segment{}).IsDeleted())
}

func TestMakeAllVersionedDataMap(t *testing.T) {
	t.Parallel()
	flag, segment := &FeatureFlag{Key: "flag"}, &Segment{Key: "segment"}

	assert.Equal(t,
		map[VersionedDataKind]map[string]VersionedData{
			Features: {"flag": flag},
			Segments: {"segment": segment},
		},
		MakeAllVersionedDataMap(map[string]*FeatureFlag{"flag": flag}, map[string]*Segment{"segment": segment}))

	assert.Equal(t,
		map[VersionedDataKind]map[string]VersionedData{Features: {}, Segments: {}},
		MakeAllVersionedDataMap(nil, nil), "both kinds are there without an item too")
}
