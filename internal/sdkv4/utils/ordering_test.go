package utils

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

type otherKind struct{ ld.SegmentVersionedDataKind }

// The data comes in maps, so every run of a test takes it in another order.
const orderingRuns = 50

func TestInitOrdersKinds(t *testing.T) {
	t.Parallel()
	for range orderingRuns {
		collections := initialize(t, map[ld.VersionedDataKind]map[string]ld.VersionedData{
			otherKind{}: {"other": &ld.Segment{Key: "other"}},
			ld.Features: {"flag": &ld.FeatureFlag{Key: "flag"}},
			ld.Segments: {"segment": &ld.Segment{Key: "segment"}},
		})

		assert.Equal(t, []StoreCollection{
			{Kind: ld.Segments, Items: []ld.VersionedData{&ld.Segment{Key: "segment"}}},
			{Kind: ld.Features, Items: []ld.VersionedData{&ld.FeatureFlag{Key: "flag"}}},
			{Kind: otherKind{}, Items: []ld.VersionedData{&ld.Segment{Key: "other"}}},
		}, collections)
	}
}

func TestInitPassesEmptyKindsOn(t *testing.T) {
	t.Parallel()
	collections := initialize(t, ld.MakeAllVersionedDataMap(nil, nil))

	require.Len(t, collections, 2)
	assert.Equal(t, ld.Segments, collections[0].Kind)
	assert.Empty(t, collections[0].Items)
	assert.Equal(t, ld.Features, collections[1].Kind)
	assert.Empty(t, collections[1].Items)
}

func TestInitPutsPrerequisitesFirst(t *testing.T) {
	t.Parallel()
	for name, prerequisites := range map[string]map[string][]string{
		"none":                   {"a": nil, "b": nil},
		"chain":                  {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": nil},
		"diamond":                {"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": nil},
		"shared and separate":    {"a": {"c"}, "b": {"c"}, "c": nil, "d": {"e"}, "e": nil},
		"outside of the data":    {"a": {"absent", "b"}, "b": {"absent"}},
		"the same one twice":     {"a": {"b", "b"}, "b": nil},
		"by key, not map order":  {"z": nil, "y": {"z"}, "x": {"y", "z"}, "w": {"x"}},
		"a chain of a 1000 keys": longChain(1000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range orderingRuns {
				places := placesAfterInit(t, prerequisites)
				for key, keys := range prerequisites {
					for _, prerequisite := range keys {
						if place, found := places[prerequisite]; found {
							assert.Less(t, place, places[key], "%s comes before %s", prerequisite, key)
						}
					}
				}
			}
		})
	}
}

func TestInitKeepsEveryFlagOfACycle(t *testing.T) {
	t.Parallel()
	for name, prerequisites := range map[string]map[string][]string{
		"of one":         {"a": {"a"}},
		"of two":         {"a": {"b"}, "b": {"a"}},
		"of three":       {"a": {"b"}, "b": {"c"}, "c": {"a"}},
		"two that touch": {"a": {"b"}, "b": {"a", "c"}, "c": {"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range orderingRuns {
				placesAfterInit(t, prerequisites)
			}
		})
	}
}

func TestACycleLeavesTheRestInOrder(t *testing.T) {
	t.Parallel()
	for range orderingRuns {
		places := placesAfterInit(t, map[string][]string{
			"first": nil, "a": {"b", "first"}, "b": {"a"}, "last": {"a", "b"},
		})

		assert.Less(t, places["first"], places["a"])
		assert.Equal(t, 3, places["last"])
	}
}

func longChain(length int) map[string][]string {
	chain := map[string][]string{}
	for i := range length {
		chain[fmt.Sprint(i)] = []string{fmt.Sprint(i + 1)}
	}
	return chain
}

// placesAfterInit gives an Init the flags and returns each one's place in what the core gets. No flag may be missing.
func placesAfterInit(t *testing.T, prerequisites map[string][]string) map[string]int {
	t.Helper()
	flags := map[string]*ld.FeatureFlag{}
	for key, keys := range prerequisites {
		flags[key] = &ld.FeatureFlag{Key: key}
		for _, prerequisite := range keys {
			flags[key].Prerequisites = append(flags[key].Prerequisites, ld.Prerequisite{Key: prerequisite})
		}
	}

	collections := initialize(t, ld.MakeAllVersionedDataMap(flags, nil))
	require.Len(t, collections, 2)
	require.Len(t, collections[1].Items, len(flags))
	places := map[string]int{}
	for place, item := range collections[1].Items {
		places[item.GetKey()] = place
	}
	require.Len(t, places, len(flags))
	return places
}

func initialize(t *testing.T, data map[ld.VersionedDataKind]map[string]ld.VersionedData) []StoreCollection {
	t.Helper()
	var collections []StoreCollection
	wrapper := NewNonAtomicFeatureStoreWrapper(&testCore{init: func(allData []StoreCollection) error {
		collections = allData
		return nil
	}})
	require.NoError(t, wrapper.Init(data))
	return collections
}
